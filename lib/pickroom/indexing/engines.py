"""The engine of one machine: a few threads, each reading, encoding and publishing batches of its own.

While one thread decodes, another computes, so the forward pass never waits for a picture. On a CPU each thread
computes with its share of the cores: threads that wait for each other at every layer would stall whenever a decoder
takes one of their cores (docs/decisions/041).
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, TypeVar

from pickroom.features.choice import Chosen, EncoderConfig
from pickroom.features.device import device_words, usable_cores
from pickroom.features.reading import ImageSource
from pickroom.indexing.plan import IndexedRows, IndexTask, index_images

T = TypeVar("T")

# the images a batch began with, and what it came to; called by one thread at a time
Publish = Callable[[int, IndexedRows], None]


@dataclass(frozen=True, slots=True)
class EmbedConfig:
    """How to embed."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)  # which one
    # images one worker takes at a time: a kill costs at most one such batch a worker. None is 8 on a CPU, where more is
    # not faster, and 32 on a GPU
    batch: int | None = None
    # threads (local) or processes (Ray); None is as many as the machine or the cluster bears
    workers: int | None = None
    previews: bool = True  # whether thumbnails may stand in for images they are large enough for
    engine: Literal["local", "ray"] = "local"  # "local", or "ray"
    address: str | None = None  # of a running Ray cluster; None starts one on this machine


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


R = TypeVar("R")
_MOST_WORKERS = 8  # more would wait for the disk, or for the GPU


class LocalEngine:
    """Threads of this process (see `Engine`)."""

    def __init__(self, chosen: Chosen, source: ImageSource, config: EmbedConfig) -> None:
        self._encoder, self._source = chosen.encoder(), source
        self.device = device_words(chosen.device)
        self.batch = batch_size(config, chosen.device)
        self.workers = config.workers or min(_MOST_WORKERS, usable_cores())
        each = max(1, usable_cores() // self.workers)  # decoding and computing share the processor's cores
        self._sharing = partial(self._encoder.threads, each) if chosen.device == "cpu" else nullcontext

    def images(self, batches: Sequence[Sequence[IndexTask]], publish: Publish) -> None:
        """See `Engine`."""
        run(
            batches,
            lambda batch: index_images(self._encoder, self._source, batch),
            lambda batch, rows: publish(len(batch), rows),
            self.workers,
            self._sharing,
        )


def run(
    work: Sequence[T],
    do: Callable[[T], R],
    publish: Callable[[T, R], None],
    workers: int,
    sharing: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> None:
    """Do every batch of work and publish its result, in any order.

    The first exception stops all workers at the end of their batch, and is raised here; so does an interrupt.

    Args:
        publish: called from the workers, one at a time, before the worker takes its next batch.
        sharing: entered by each worker for as long as it works: it settles how many threads a forward pass has.
    """
    waiting = deque(work)
    stop, over, publishing = threading.Event(), threading.Event(), threading.Lock()

    def loop() -> None:
        with sharing():
            take_batches()

    def take_batches() -> None:
        while not stop.is_set():
            try:
                batch = waiting.popleft()
            except IndexError:
                return
            result = do(batch)
            with publishing:
                if not over.is_set():
                    publish(batch, result)

    try:
        # entered here, too: PyTorch hands the last number set to every thread made later
        with sharing(), ThreadPoolExecutor(workers, thread_name_prefix="embed") as pool:
            try:
                for future in as_completed([pool.submit(loop) for _ in range(min(workers, len(work)))]):
                    future.result()
            finally:
                stop.set()
    finally:
        # a second Ctrl-C does not wait for the workers: nothing of theirs may be written once this has returned
        with publishing:
            over.set()
