"""The work itself, on one batch: read, prepare, one forward pass, rows. Every engine calls this function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pickroom.core.errors import ImageError
from pickroom.features.encoder import Encoder, Features, Pixels
from pickroom.features.reading import DecodedImage, EmbedItem, ImageSource
from pickroom.features.rows import VectorRow

NOT_FINITE = "the vector is not finite"


def embed_images(encoder: Encoder, source: ImageSource, items: Sequence[EmbedItem]) -> list[VectorRow]:
    """A row for each image, with its vector or the reason why it has none.

    An image that was moved or changed since the work was planned has no row: the next plan finds it anew.
    """
    rows: dict[EmbedItem, VectorRow] = {}
    ready: list[tuple[EmbedItem, DecodedImage, Pixels]] = []
    for item in items:
        try:
            if not source.unchanged(item):
                continue
            picture = source.read(item, _least_side(encoder))
            pixels = encoder.prepare(picture.rgb)
            if source.unchanged(item):  # what was read is what the hash stands for
                ready.append((item, picture, pixels))
        except ImageError as error:
            if source.unchanged(item):
                # what the disk or its permissions did is no property of the content: it is tried again next time
                cause = _of_the_disk(error)
                row = _row(item, None, None, None, f"unreadable: {cause}" if cause else error.reason)
                rows[item] = replace(row, content_hash=None) if cause else row
    if ready:
        features = encoder.encode([pixels for _, _, pixels in ready])
        for place, (item, picture, _) in enumerate(ready):
            rows[item] = _row(item, picture, *_of(features, place))
    return [rows[item] for item in items if item in rows]


def _of_the_disk(error: ImageError) -> str:
    """What the operating system said, "" where the file's content is to blame. Never a path: it is stored."""
    cause = error.__cause__
    return cause.strerror or "" if isinstance(cause, OSError) and cause.errno is not None else ""


def _least_side(encoder: Encoder) -> int:
    assert encoder.spec.preprocessing is not None
    return encoder.spec.preprocessing.least_side


def _of(features: Features, place: int) -> tuple[np.ndarray | None, np.ndarray | None, str | None]:
    vector = features.vectors[place]
    if not np.isfinite(vector).all():
        return None, None, NOT_FINITE
    return vector, None if features.patches is None else features.patches[place], None


def _row(
    item: EmbedItem,
    picture: DecodedImage | None,
    vector: np.ndarray | None,
    patches: np.ndarray | None,
    error: str | None,
) -> VectorRow:
    size = (picture.width, picture.height) if picture else (item.width, item.height)
    return VectorRow(item.filename, item.content_hash, *size, item.file_size, item.mtime_ns, vector, patches, error)
