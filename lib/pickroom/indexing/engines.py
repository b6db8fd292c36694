"""What both engines have in common: they run batches of work somewhere, and this process publishes what comes back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeVar

from pickroom.features.choice import EncoderConfig
from pickroom.indexing.work import IndexedRows, IndexTask

T = TypeVar("T")

# the images a batch began with, and what it came to; called by one thread at a time
Publish = Callable[[int, IndexedRows], None]


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """How to embed.

    Attributes:
        encoder: which one.
        batch: images one worker takes at a time: a kill costs at most one such batch a worker. None is 8 on a
            CPU, where more is not faster, and 32 on a GPU.
        workers: threads (local) or processes (Ray); None is as many as the machine or the cluster bears.
        previews: whether thumbnails may stand in for images they are large enough for.
        engine: "local", or "ray".
        address: of a running Ray cluster; None starts one on this machine.
    """

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    batch: int | None = None
    workers: int | None = None
    previews: bool = True
    engine: Literal["local", "ray"] = "local"
    address: str | None = None


class Engine(Protocol):
    """Runs batches of work, in any order; a batch is published before its worker takes the next one."""

    device: str  # in words
    batch: int  # images a worker takes at a time
    workers: int

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """Do the tasks; raises the first error of any worker."""
        ...


def in_batches(items: Sequence[T], size: int, workers: int) -> list[Sequence[T]]:
    """Items in batches of at most `size`, smaller where there would be too few for every worker."""
    size = max(1, min(size, -(-len(items) // workers)))
    return [items[start : start + size] for start in range(0, len(items), size)]


def batch_size(config: EmbedConfig, device: str) -> int:
    """Images a worker takes at a time on a device."""
    return config.batch or (8 if device == "cpu" else 32)
