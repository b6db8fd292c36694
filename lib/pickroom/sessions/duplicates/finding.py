"""Find exact and near duplicates among any number of images. Pure.

Exact means the same content, by SHA-256. Near means similar by the perceptual hash (Zauner, "Implementation and
Benchmarking of Perceptual Image Hash Functions", 2010) or by the cosine of their vectors. All pairs are compared, in
blocks of rows, so that no pair across folders is missed; only one block and the found pairs are in memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, Self

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.naming import CROP, CROP_AUTO, CROPPED, SELECTED, filename_of

PICKED = (SELECTED, CROPPED, CROP, CROP_AUTO)  # where a user's picks lie
Kind = Literal["exact", "near"]


@dataclass(frozen=True, slots=True)
class Copy:
    """One image file of a project on disk."""

    project_id: str
    path: str  # relative to the project's root
    sha256: str
    # width, height: pixels of the upright image; file_size in bytes; mtime_ns since the epoch
    width: int
    height: int
    file_size: int
    mtime_ns: int
    fingerprint: int | None = None  # its 64-bit perceptual hash, None when it could not be made
    # (D,) float32, raw; None without one. encoder: whose vector it is; others are not comparable
    vector: np.ndarray | None = field(default=None, compare=False, repr=False)
    encoder: str = ""
    group: str | None = None  # the group it is, or was, a member of; None for none
    colours: bytes | None = None  # `gathering.colours_of` its preview, None when they could not be read

    @property
    def key(self) -> tuple[str, str]:
        """Its unique key over all projects."""
        return self.project_id, self.path

    @property
    def filename(self) -> str:
        return filename_of(self.path)


@dataclass(frozen=True, slots=True)
class DuplicatePair:
    """Two images; `a` is the one to keep by `order`."""

    a: Copy
    b: Copy
    kind: Kind
    score: float  # 1 for exact; else the cosine, or the share of equal bits of the hashes where that is more
    # of the hashes that differ, None where one has no hash. cosine: None where the vectors do not compare
    bits: int | None = None
    cosine: float | None = None

    @property
    def across(self) -> bool:
        """Whether the images are of two projects; such pairs are only reported."""
        return self.a.project_id != self.b.project_id


def is_picked(copy: Copy) -> bool:
    """Whether it lies in one of its project's folders of picks."""
    return "/" in copy.path and copy.path.partition("/")[0] in PICKED


def order(copy: Copy) -> tuple[bool, int, int, int, str, str]:
    """Sorts the one to keep first: a pick, then more pixels, a larger file, an older date; then by name."""
    return (not is_picked(copy), -copy.width * copy.height, -copy.file_size, copy.mtime_ns, *copy.key)


def why(keep: Copy, rest: Copy) -> str:
    """Why `keep` is the one to keep: the first difference in its favour."""
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
    """Path to set aside -> path of the image kept in its place, in one project; pairs of two projects are skipped.

    The best image is kept and all images paired with it are set aside, then the next best, and so on: each image set
    aside is paired with one that stays. So of a chain of small changes the far end is never lost.
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


_ROWS = 256  # images compared with all later ones at a time: bounds memory, changes no result
_COLOURS_AT_ONCE = 1 << 16  # pairs: some 30 MB
_MOST_VIVID = 2.0  # highest factor: more would turn any faint tint into a colour
MOST_PAIRS = 200_000  # near pairs kept, the most alike: a folder of blank pages must not fill the memory
# bits: 65 where a hash is unknown; cosine: NaN where vectors do not compare
_NEAR = np.dtype([("i", "i8"), ("j", "i8"), ("bits", "i8"), ("cosine", "f4"), ("score", "f8")])


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When two images are near duplicates; raises UsageError for a number out of its range."""

    cosine: float = 0.97  # lowest cosine of vectors, in [-1, 1], that links two images whatever their hashes are
    bits: int = 10  # of 64 by which their perceptual hashes may differ, at most
    # the least cosine of a pair linked by its hashes, where both have vectors: blank or blurred pictures share hashes
    # and nothing else. Measured by benchmarks/duplicates.py
    confirm: float = 0.80
    # how far those of a pair linked by its hashes may lie apart (`colour_gap`), where both are known: a hash sees
    # brightness alone, and a blue motorcycle has that of an orange one
    colours: float = 4.0
    within_groups: bool = False  # report near pairs inside one group too
    exact: bool = False  # exact pairs alone: no picture and no vector is read

    @classmethod
    def given(cls, **values: Any) -> Self:
        """Thresholds that the user gave; None takes the default."""
        return cls(**{name: value for name, value in values.items() if value is not None})

    def __post_init__(self) -> None:
        for value in (self.cosine, self.confirm):
            if not -1 <= value <= 1:
                raise UsageError(f"a cosine lies in [-1, 1], not {value!r}", doing="looking for duplicates")
        if not 0 <= self.bits <= 64:
            raise UsageError(f"two hashes differ in 0-64 bits, not {self.bits!r}", doing="looking for duplicates")


@dataclass(frozen=True, slots=True)
class Found:
    """Every pair, exact ones first, then the most alike."""

    pairs: tuple[DuplicatePair, ...]
    dropped: int = 0  # near pairs beyond MOST_PAIRS, the least alike


def find(copies: Sequence[Copy], thresholds: Thresholds | None = None, most: int = MOST_PAIRS) -> Found:
    """Exact and near duplicates among images of any folders and projects.

    Of n copies of one content n - 1 pairs are reported, each with the one to keep in its project, and one pair for each
    further project; only the one to keep is compared for near duplicates.
    """
    thresholds = thresholds or Thresholds()
    ranked = sorted(copies, key=order)
    exact, best = _exact(ranked)
    if thresholds.exact:
        return Found(tuple(exact))
    pairs, dropped = _near_pairs(best, thresholds, most)
    near = [
        DuplicatePair(
            *(best[i], best[j], "near", round(score, 4)),
            bits=None if bits > 64 else bits,
            cosine=None if np.isnan(cosine) else min(cosine, 1.0),
        )
        for i, j, bits, cosine, score in pairs.tolist()
    ]
    near.sort(key=lambda pair: (-pair.score, pair.a.key, pair.b.key))
    return Found((*exact, *near), dropped)


def _exact(ranked: Sequence[Copy]) -> tuple[list[DuplicatePair], list[Copy]]:
    """(pairs of one content, the first of each content in each project in the order given)."""
    by_content: dict[str, dict[str, list[Copy]]] = defaultdict(lambda: defaultdict(list))
    for copy in ranked:
        by_content[copy.sha256][copy.project_id].append(copy)
    pairs, best = [], []
    for projects in by_content.values():
        firsts = [own[0] for own in projects.values()]
        best += firsts
        pairs += [DuplicatePair(own[0], other, "exact", 1.0) for own in projects.values() for other in own[1:]]
        pairs += [DuplicatePair(firsts[0], other, "exact", 1.0) for other in firsts[1:]]
    return sorted(pairs, key=lambda pair: (pair.a.key, pair.b.key)), best


def _near_pairs(copies: Sequence[Copy], thresholds: Thresholds, most: int) -> tuple[np.ndarray, int]:
    """Every pair of places i < j that is near, but not of one content, as `_NEAR`; and how many of the least alike were
    left out beyond `most`."""
    unit, encoder = _unit_vectors(copies)
    hashes = np.array([c.fingerprint or 0 for c in copies], np.uint64)
    hashed = np.array([c.fingerprint is not None for c in copies], bool)
    content = _numbered(c.sha256 for c in copies)
    group = _numbered(None if c.group is None else (c.project_id, c.group) for c in copies)
    unknown = np.full(32, np.nan, np.float32)
    colours = [unknown if c.colours is None else np.frombuffer(c.colours, np.int8) for c in copies]
    colour = np.array(colours, np.float32)
    found, dropped = np.zeros(0, _NEAR), 0
    for first in range(0, len(copies), _ROWS):
        last = min(first + _ROWS, len(copies))
        cosine = unit[first:last] @ unit[first:].T
        bits = np.bitwise_count(hashes[first:last, None] ^ hashes[None, first:])
        rows, columns = np.nonzero((bits <= thresholds.bits) | (cosine >= thresholds.cosine))
        later = columns > rows
        rows, columns = rows[later], columns[later]
        i, j = rows + first, columns + first
        both_hashed, compared = hashed[i] & hashed[j], (encoder[i] == encoder[j]) & (encoder[i] >= 0)
        differs = content[i] != content[j]
        if not thresholds.within_groups:
            differs &= (group[i] != group[j]) | (group[i] < 0)
        near = np.zeros(len(i), _NEAR)
        near["i"], near["j"], near["bits"] = i, j, np.where(both_hashed, bits[rows, columns], 65)
        near["cosine"] = alike = np.where(compared, cosine[rows, columns], np.float32(np.nan))
        by_bits = np.where(both_hashed, 1 - near["bits"] / 64, np.nan)
        near["score"] = np.fmax(np.minimum(alike, 1.0), by_bits)
        by_vector = alike >= thresholds.cosine
        by_hash = (near["bits"] <= thresholds.bits) & (~compared | (alike >= thresholds.confirm))
        # colours are compared last and in parts: all blank images have one hash
        place = np.flatnonzero(by_hash & differs & ~by_vector)
        for part in np.split(place, range(_COLOURS_AT_ONCE, len(place), _COLOURS_AT_ONCE)):
            by_hash[part] = ~(colour_gap(colour[i[part]], colour[j[part]]) > thresholds.colours)  # NaN: unknown
        found = np.concatenate([found, near[(by_hash | by_vector) & differs]])
        if len(found) > (2 * most if last < len(copies) else most):
            dropped += len(found) - most
            found = found[np.sort(np.argsort(-found["score"], kind="stable")[:most])]
    return found, dropped


def _unit_vectors(copies: Sequence[Copy]) -> tuple[np.ndarray, np.ndarray]:
    """((N, D) float32 of unit norm, zeros without a vector; (N,) the number of each one's encoder, or -1).

    Each encoder has columns of its own: images of two encoders have a cosine of 0.
    """
    known = [(c.encoder, c.vector if c.vector is not None and np.any(c.vector) else None) for c in copies]
    sizes = {name: len(raw) for name, raw in known if raw is not None}
    starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
    unit = np.zeros((len(copies), max(sum(sizes.values()), 1)), np.float32)
    for row, (name, raw) in enumerate(known):
        if raw is not None:
            vector = np.asarray(raw, np.float32)
            unit[row, starts[name] : starts[name] + sizes[name]] = vector / np.linalg.norm(vector)
    return unit, _numbered(None if raw is None else name for name, raw in known)


def colour_gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) distances of the colours of rows of (P, 32), in steps of 256, once one is paled to the other.

    A paler, more vivid or grey version is still a copy; another hue is not. NaN where a row is NaN.
    """

    def left(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        scale = np.clip((x * y).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1e-6), 0, _MOST_VIVID)
        apart: np.ndarray = np.abs(x * scale[:, None] - y).mean(axis=1)
        return apart

    gap: np.ndarray = np.minimum(left(a, b), left(b, a))
    return gap


def _numbered(values: Iterable[object]) -> np.ndarray:
    """(N,) int: equal numbers for equal values, -1 for None."""
    numbers: dict[object, int] = {}
    return np.array([-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values], np.int64)
