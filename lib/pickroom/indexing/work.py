"""The work itself, on one batch: read once, measure, one forward pass, rows. Every engine calls `index_images`."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pickroom.core.errors import ImageError
from pickroom.features import blocks
from pickroom.features.blocks import BlockRow
from pickroom.features.encoder import Encoder, Pixels
from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.features.store import VectorRow

NOT_FINITE = "the vector is not finite"


@dataclass(frozen=True, slots=True)
class IndexTask:
    """What one image lacks: its vector, and blocks by name."""

    item: EmbedItem
    vector: bool = True
    blocks: tuple[str, ...] = ()


@dataclass(slots=True)
class IndexedRows:
    """What a batch came to; `done` counts its images that were read, or cannot be."""

    vectors: list[VectorRow] = field(default_factory=list)
    blocks: list[tuple[str, BlockRow]] = field(default_factory=list)
    done: int = 0


def index_images(encoder: Encoder, source: ImageSource, tasks: Sequence[IndexTask]) -> IndexedRows:
    """The rows that some images lack, or the reason why they cannot be made.

    An image that was moved or changed since the work was planned has no row: the next plan finds it anew. A block whose
    packages this process lacks has none either.
    """
    made = IndexedRows()
    ready: list[tuple[EmbedItem, tuple[int, int], Pixels]] = []
    here = blocks.available()
    for task in tasks:
        item = task.item
        try:
            if not source.unchanged(item):
                continue
            picture = source.read(item, _least_side(encoder, task))
            pixels = encoder.prepare(picture.rgb) if task.vector else None
            measured = [(name, blocks.measure(name, picture.rgb)) for name in task.blocks if name in here]
            if not source.unchanged(item):  # what was read is what the hash stands for
                continue
            made.blocks += [(name, BlockRow(item.filename, item.content_hash, values)) for name, values in measured]
            if pixels is not None:
                ready.append((item, (picture.width, picture.height), pixels))
        except ImageError as error:
            if not source.unchanged(item):
                continue
            # what the disk or its permissions did is no property of the content: it is tried again next time
            cause = _of_the_disk(error)
            reason = f"unreadable: {cause}" if cause else error.reason
            if task.vector:
                row = _row(item, (item.width, item.height), None, None, reason)
                made.vectors.append(replace(row, content_hash=None) if cause else row)
            if not cause:
                row_of = BlockRow(item.filename, item.content_hash, None, reason)
                made.blocks += [(name, row_of) for name in task.blocks]
        made.done += 1
    if ready:
        features = encoder.encode([pixels for *_, pixels in ready])
        grids = features.patches if features.patches is not None else [None] * len(ready)
        for (item, size, _), vector, grid in zip(ready, features.vectors, grids, strict=True):
            fine = bool(np.isfinite(vector).all())
            values = (vector, grid, None) if fine else (None, None, NOT_FINITE)
            made.vectors.append(_row(item, size, *values))
    return made


def _of_the_disk(error: ImageError) -> str:
    """What the operating system said, "" where the file's content is to blame. Never a path: it is stored."""
    cause = error.__cause__
    return cause.strerror or "" if isinstance(cause, OSError) and cause.errno is not None else ""


def _least_side(encoder: Encoder, task: IndexTask) -> int:
    assert encoder.spec.preprocessing is not None
    return max(encoder.spec.preprocessing.least_side * task.vector, blocks.LEAST_SIDE * bool(task.blocks))


def _row(
    item: EmbedItem,
    size: tuple[int | None, int | None],
    vector: np.ndarray | None,
    patches: np.ndarray | None,
    error: str | None,
) -> VectorRow:
    return VectorRow(item.filename, item.content_hash, *size, item.file_size, item.mtime_ns, vector, patches, error)
