"""Images that are there twice: which one of a pair to keep, why, and what may be set aside. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from pickroom.core.naming import CROP, CROP_AUTO, CROPPED, SELECTED, filename_of

PICKED = (SELECTED, CROPPED, CROP, CROP_AUTO)  # where a user's picks lie
Kind = Literal["exact", "near"]


@dataclass(frozen=True, slots=True)
class Copy:
    """One image file of a project, as it lies on disk.

    Attributes:
        path: relative to the project's root.
        width, height: pixels of the upright image; file_size in bytes; mtime_ns since the epoch.
        fingerprint: its 64-bit perceptual hash, None when it could not be made.
        vector: (D,) float32, raw; None without one. encoder: whose vector it is; others are not comparable.
        group: the group it is, or was, a member of; None for none.
        colours: `gathering.Fingerprint.colours`, None when they could not be read.
    """

    project_id: str
    path: str
    sha256: str
    width: int
    height: int
    file_size: int
    mtime_ns: int
    fingerprint: int | None = None
    vector: np.ndarray | None = field(default=None, compare=False, repr=False)
    encoder: str = ""
    group: str | None = None
    colours: bytes | None = None

    @property
    def key(self) -> tuple[str, str]:
        """What names it over all projects."""
        return self.project_id, self.path

    @property
    def filename(self) -> str:
        return filename_of(self.path)


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images; `a` is the one to keep by `order`.

    Attributes:
        score: 1 for exact; else the cosine, or the share of equal bits of the hashes where that is more.
        bits: of the hashes that differ, None where one has no hash. cosine: None where the vectors do not compare.
    """

    a: Copy
    b: Copy
    kind: Kind
    score: float
    bits: int | None = None
    cosine: float | None = None

    @property
    def across(self) -> bool:
        """Of two projects: only ever reported."""
        return self.a.project_id != self.b.project_id


def is_picked(copy: Copy) -> bool:
    """Whether it lies in one of its project's folders of picks."""
    return "/" in copy.path and copy.path.partition("/")[0] in PICKED


def order(copy: Copy) -> tuple[bool, int, int, int, str, str]:
    """Sorts the one to keep first: a pick, then more pixels, a larger file, an older date; then by name."""
    return (not is_picked(copy), -copy.width * copy.height, -copy.file_size, copy.mtime_ns, *copy.key)


def why(keep: Copy, rest: Copy) -> str:
    """Why `keep` is the one to keep of the two: the first thing that tells them apart in its favour."""
    if is_picked(keep) and not is_picked(rest):
        return f"it is a pick, in {keep.path.partition('/')[0]}/"
    if (pixels := keep.width * keep.height) != (other := rest.width * rest.height):
        word = "more" if pixels > other else "fewer"
        return f"{word} pixels: {keep.width}×{keep.height} against {rest.width}×{rest.height}"
    if keep.file_size != rest.file_size:
        word = "larger" if keep.file_size > rest.file_size else "smaller"
        return f"a {word} file: {_kilobytes(keep.file_size)} against {_kilobytes(rest.file_size)}"
    if keep.mtime_ns != rest.mtime_ns:
        word = "older" if keep.mtime_ns < rest.mtime_ns else "newer"
        return f"{word}: {_day(keep.mtime_ns)} against {_day(rest.mtime_ns)}"
    return "nothing tells them apart: the first by name"


def to_stage(pairs: Iterable[DuplicatePair], project_id: str) -> dict[str, str]:
    """Path to set aside -> path of the image that is kept in its place, of one project; pairs across are passed over.

    The best image is kept, everything paired with it goes, and so on down: whatever goes is itself a pair with one that
    stays. So a chain of small changes never loses its far end for its near one.
    """
    near: dict[Copy, list[str]] = defaultdict(list)
    for pair in pairs:
        if pair.a.project_id == pair.b.project_id == project_id:
            near[pair.a].append(pair.b.path)
            near[pair.b].append(pair.a.path)
    going: dict[str, str] = {}
    for copy in sorted(near, key=order):
        if copy.path not in going:
            for path in near[copy]:
                going.setdefault(path, copy.path)
    return going


def _kilobytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 1e6 else f"{size / 1e3:,.0f} kB" if size >= 1e4 else f"{size:,} B"


def _day(mtime_ns: int) -> str:
    return f"{datetime.fromtimestamp(mtime_ns / 1e9, UTC):%Y-%m-%d %H:%M:%S}"
