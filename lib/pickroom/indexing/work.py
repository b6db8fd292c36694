"""The work itself, on one batch: read, prepare, one forward pass, rows. Every engine calls these two functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from pickroom.core.errors import ImageError
from pickroom.features.encoder import Encoder, Features, Pixels
from pickroom.features.reading import DecodedImage, EmbedItem, ImageSource
from pickroom.features.regions import Region, RegionConfig, comparable, crop_box, find_regions
from pickroom.features.rows import RegionRow, VectorRow

NO_DIFFERENCE = "the group's images do not differ anywhere"
NOT_FINITE = "the vector is not finite"


@dataclass(frozen=True, slots=True)
class EmbedGroup:
    """One group whose regions are wanted; its members in the group's order."""

    group_id: str
    members_hash: str
    members: tuple[EmbedItem, ...]


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


def embed_groups(
    encoder: Encoder, source: ImageSource, groups: Sequence[EmbedGroup], config: RegionConfig
) -> list[RegionRow]:
    """Rows for the regions of each group; a group that has none gets one row a member that says why.

    A group one of whose members was moved or changed meanwhile, or cannot be opened just now, has no rows: the
    next plan finds it anew.
    """
    assert encoder.spec.preprocessing is not None
    side = min(encoder.spec.preprocessing.height, encoder.spec.preprocessing.width)
    settings = config.settings(side)
    rows: list[RegionRow] = []
    for group in groups:
        try:
            found = _find(encoder, source, group, side, config)
            cuts = _cut(encoder, source, group, found) if isinstance(found, list) else {}
            if not all(source.unchanged(item) for item in group.members):
                continue
        except ImageError as error:
            if _of_the_disk(error) or not all(source.unchanged(item) for item in group.members):
                continue
            found, cuts = f"a member cannot be read: {error.reason}", {}
        if isinstance(found, str):
            rows += [_region_row(group, item, settings, 0, None, None, found) for item in group.members]
            continue
        vectors = encoder.encode(list(cuts.values())).vectors
        for (item, rank), vector in zip(cuts, vectors, strict=True):
            fine = bool(np.isfinite(vector).all())
            error_text = None if fine else NOT_FINITE
            rows.append(_region_row(group, item, settings, rank, found[rank], vector if fine else None, error_text))
    return rows


def _find(
    encoder: Encoder, source: ImageSource, group: EmbedGroup, side: int, config: RegionConfig
) -> list[Region] | str:
    pictures = [source.read(item, config.compare_side // 2) for item in group.members]
    sizes = [(picture.width, picture.height) for picture in pictures]
    if not comparable(sizes, config.aspect_tolerance):
        return "the group's images differ in shape"
    found = find_regions([picture.rgb for picture in pictures], sizes, side, config)
    return found or NO_DIFFERENCE


def _cut(
    encoder: Encoder, source: ImageSource, group: EmbedGroup, found: Sequence[Region]
) -> dict[tuple[EmbedItem, int], Pixels]:
    """Each region of each member at native resolution, prepared; one whole image in memory at a time."""
    cuts = {}
    for item in group.members:
        whole = source.read_whole(item)
        for rank, region in enumerate(found):
            cuts[item, rank] = encoder.prepare(whole.crop(crop_box(region.box, whole.size)))
    return cuts


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


def _region_row(
    group: EmbedGroup,
    item: EmbedItem,
    settings: str,
    rank: int,
    region: Region | None,
    vector: np.ndarray | None,
    error: str | None,
) -> RegionRow:
    box, difference = (region.box, region.difference) if region else (None, None)
    whose = (group.group_id, item.filename, group.members_hash, settings, item.content_hash)
    return RegionRow(*whose, rank, box, difference, vector, error)
