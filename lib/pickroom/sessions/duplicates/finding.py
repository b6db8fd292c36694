"""Which images are copies of each other, and which are nearly: pairs over any number of images. Pure.

Exact is the same content, by SHA-256. Near is alike by the perceptual hash (Zauner, "Implementation and Benchmarking of
Perceptual Image Hash Functions", 2010) or by the cosine of their vectors. All pairs are compared, in blocks of rows, so
nothing is missed for being in another folder; what is kept in memory is one block and the pairs found.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from pickroom.sessions.duplicates.pairs import Copy, DuplicatePair, order

_ROWS = 256  # images compared with all later ones at a time: bounds memory, changes no result
_COLOURS_AT_ONCE = 1 << 16  # pairs: some 30 MB
_COLOURS = 32  # numbers of an image's colours
_MOST_VIVID = 2.0  # times: more makes any faint tint into a colour
MOST_PAIRS = 200_000  # near pairs kept, the most alike: a folder of blank pages must not fill the memory


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From when on two images are near duplicates.

    Attributes:
        cosine: of their vectors, at least, in [-1, 1]: alike whatever the hashes say.
        bits: of 64 by which their perceptual hashes may differ, at most.
        confirm: the least cosine of a pair linked by its hashes, where both have vectors: blank or blurred pictures
            share hashes and nothing else. Measured by benchmarks/duplicates.py.
        colours: how far those of a pair linked by its hashes may lie apart (`colour_gap`), where both are known: a hash
            sees brightness alone, and a blue motorcycle has that of an orange one.
        within_groups: report near pairs inside one group too.

    Raises:
        ValueError: a number out of its range.
    """

    cosine: float = 0.97
    bits: int = 10
    confirm: float = 0.80
    colours: float = 4.0
    within_groups: bool = False

    @classmethod
    def given(cls, cosine: float | None, bits: int | None, within_groups: bool) -> Self:
        """Those that a user gave; None for the usual ones."""
        usual = cls(within_groups=within_groups)
        usual = usual if cosine is None else replace(usual, cosine=cosine)
        return usual if bits is None else replace(usual, bits=bits)

    def __post_init__(self) -> None:
        for value in (self.cosine, self.confirm):
            if not -1 <= value <= 1:
                raise ValueError(f"a cosine lies in [-1, 1], not {value!r}")
        if not 0 <= self.bits <= 64:
            raise ValueError(f"two hashes differ in 0-64 bits, not {self.bits!r}")


@dataclass(frozen=True, slots=True)
class Found:
    """Every pair, exact ones first, then the most alike.

    Attributes:
        dropped: near pairs beyond MOST_PAIRS, the least alike.
    """

    pairs: tuple[DuplicatePair, ...]
    dropped: int = 0


def find(copies: Sequence[Copy], thresholds: Thresholds | None = None, most: int = MOST_PAIRS) -> Found:
    """Exact and near duplicates among images of any folders and projects.

    Of n copies of one content n - 1 pairs are reported, each with the one to keep of its project, and one pair for each
    further project; only that one is compared with images that are merely alike.
    """
    thresholds = thresholds or Thresholds()
    ranked = sorted(copies, key=order)
    exact, best = _exact(ranked)
    left, right, bits, cosine, dropped = near_pairs(_Arrays.of(best), thresholds, most)
    near = []
    for i, j, differing, alike in zip(left.tolist(), right.tolist(), bits.tolist(), cosine.tolist(), strict=True):
        a, b = best[i], best[j]
        shared = None if differing > 64 else differing
        measured = None if np.isnan(alike) else min(float(alike), 1.0)
        score = max(measured if measured is not None else -1.0, -1.0 if shared is None else 1 - shared / 64)
        near.append(DuplicatePair(a, b, "near", round(score, 4), shared, measured))
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


@dataclass(frozen=True, slots=True)
class _Arrays:
    """What is compared, as arrays over N images.

    Attributes:
        hashes: (N,) uint64; hashed: (N,) bool, which of them are known.
        unit: (N, D) float32, unit norm; images of two encoders have a cosine of 0.
        colours: (N, 32) float32, NaN where unknown.
        encoder: (N,) int, -1 without a vector. group, content: (N,) int, equal for one group (-1: none) and content.
    """

    hashes: np.ndarray
    hashed: np.ndarray
    unit: np.ndarray
    encoder: np.ndarray
    group: np.ndarray
    content: np.ndarray
    colours: np.ndarray

    @classmethod
    def of(cls, copies: Sequence[Copy]) -> _Arrays:
        known = [(c.encoder, c.vector if c.vector is not None and np.any(c.vector) else None) for c in copies]
        sizes = {name: len(raw) for name, raw in known if raw is not None}
        starts = dict(zip(sizes, np.cumsum([0, *sizes.values()]).tolist(), strict=False))
        unit = np.zeros((len(copies), max(sum(sizes.values()), 1)), np.float32)
        for row, (name, raw) in enumerate(known):
            if raw is not None:
                vector = np.asarray(raw, np.float32)
                unit[row, starts[name] : starts[name] + sizes[name]] = vector / np.linalg.norm(vector)
        return cls(
            np.array([c.fingerprint or 0 for c in copies], np.uint64),
            np.array([c.fingerprint is not None for c in copies], bool),
            unit,
            np.array([-1 if raw is None else list(starts).index(name) for name, raw in known], np.int64),
            _numbered([None if c.group is None else (c.project_id, c.group) for c in copies]),
            _numbered([c.sha256 for c in copies]),
            _colours(copies),
        )


def near_pairs(
    images: _Arrays, thresholds: Thresholds, most: int = MOST_PAIRS
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Every pair of rows i < j that is near, but not of one content.

    Returns:
        i, j: (P,) int; bits: (P,) int, above 64 where a hash is unknown; cosine: (P,) float32, NaN where vectors do not
        compare; and how many of the least alike were let go beyond `most`.
    """
    kept: list[tuple[np.ndarray, ...]] = []
    held = dropped = 0
    count = len(images.hashes)
    for first in range(0, count, _ROWS):
        last = min(first + _ROWS, count)
        cosine = images.unit[first:last] @ images.unit[first:].T
        bits = np.bitwise_count(images.hashes[first:last, None] ^ images.hashes[None, first:])
        rows, columns = np.nonzero((bits <= thresholds.bits) | (cosine >= thresholds.cosine))
        later = columns > rows
        rows, columns = rows[later], columns[later]
        i, j = rows + first, columns + first
        alike, differing = cosine[rows, columns], bits[rows, columns].astype(np.int64)
        hashed = images.hashed[i] & images.hashed[j]
        compared = (images.encoder[i] == images.encoder[j]) & (images.encoder[i] >= 0)
        differs = images.content[i] != images.content[j]
        if not thresholds.within_groups:
            differs &= (images.group[i] != images.group[j]) | (images.group[i] < 0)
        by_vector = compared & (alike >= thresholds.cosine)
        by_hash = hashed & (differing <= thresholds.bits) & (~compared | (alike >= thresholds.confirm))
        # colours are looked at last and not all at once: of blank images every two have one hash
        place = np.flatnonzero(by_hash & differs & ~by_vector)
        for part in np.split(place, range(_COLOURS_AT_ONCE, len(place), _COLOURS_AT_ONCE)):
            gap = colour_gap(images.colours[i[part]], images.colours[j[part]])
            by_hash[part] = ~(gap > thresholds.colours)  # NaN: unknown
        linked = (by_hash | by_vector) & differs
        differing[~hashed] = 65
        found = (i, j, differing, np.where(compared, alike, np.float32(np.nan)))
        kept.append(tuple(values[linked] for values in found))
        held += int(linked.sum())
        if held > 2 * most:
            kept = [_best(kept, most)]
            dropped, held = dropped + held - most, most
    whole = _best(kept, most) if held > most else _together(kept)
    return whole[0], whole[1], whole[2], whole[3], dropped + held - len(whole[0])


def colour_gap(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """(P,) how far the colours of rows of (P, 32) lie apart, in steps of 256, once one is paled to the other.

    A picture made paler, more vivid or grey is still the same; another hue is not. NaN where a row is.
    """

    def left(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        scale = np.clip((x * y).sum(axis=1) / np.maximum((x * x).sum(axis=1), 1e-6), 0, _MOST_VIVID)
        apart: np.ndarray = np.abs(x * scale[:, None] - y).mean(axis=1)
        return apart

    gap: np.ndarray = np.minimum(left(a, b), left(b, a))
    return gap


def _colours(copies: Sequence[Copy]) -> np.ndarray:
    """(N, 32) float32, NaN rows where they are not known."""
    unknown = np.full(_COLOURS, np.nan, np.float32)
    rows = [unknown if c.colours is None else np.frombuffer(c.colours, np.int8).astype(np.float32) for c in copies]
    return np.stack(rows) if rows else np.zeros((0, _COLOURS), np.float32)


def _together(parts: Sequence[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    if not parts:
        return tuple(np.zeros(0, kind) for kind in (np.int64, np.int64, np.int64, np.float32))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))


def _best(parts: Sequence[tuple[np.ndarray, ...]], most: int) -> tuple[np.ndarray, ...]:
    whole = _together(parts)
    score = np.fmax(whole[3], np.where(whole[2] <= 64, 1 - whole[2] / 64, np.nan))
    chosen = np.sort(np.argsort(-score, kind="stable")[:most])
    return tuple(column[chosen] for column in whole)


def _numbered(values: Sequence[object]) -> np.ndarray:
    """(N,) int: equal numbers for equal values, -1 for None."""
    numbers: dict[object, int] = {}
    return np.array([-1 if v is None else numbers.setdefault(v, len(numbers)) for v in values], np.int64)
