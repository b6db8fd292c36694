"""Sibling consistency: where one member of a group departs from the others, although these agree with each other.

Members show one scene. A local defect shows in one of them; what stages do on purpose (sharpen, grade, enlarge) shows
everywhere. So the members are brought to one size and compared block by block at two scales, each block with its
brightness and contrast taken out (as the structure term of structural similarity does, Wang et al. 2004), and a
member's departure is how much less it resembles its nearest sibling than the siblings resemble each other, against
what is usual in that member. It needs no network. With two members nobody can say which one is odd: both get the
same departure, and only what is measured of each alone (its detail) tells them apart. Pure: arrays in, arrays out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from pickroom.learn.consistency_maps import (
    BANDS,
    against_usual,
    detail_energy,
    distances,
    halved,
    in_blocks,
    local_tones,
    pairwise,
    smoothed,
    spread_out,
    without_usual,
)
from pickroom.learn.consistency_maps import (
    departures as departures_of,
)

_VERSION = 3  # of the method; another one gives other values
_SEARCH = 4  # pixels of the quarter-size picture within which something moved is looked for
# maps of departure, each with its statistics
KINDS = ("structure_fine", "structure", "chroma", "tone", "detail")
SHARES = (0.004, 0.02)  # of the blocks: the mean of the largest departures among so many
_STATISTICS = ("peak", "broad_peak", *(f"top{share:g}" for share in SHARES))
_LEADS = ("first", "second", "lead", *(f"{kind}_lead" for kind in KINDS))
SIGNED = (*(f"detail{band}" for band in range(BANDS)), "red", "blue", "light")
NAMES = (
    tuple(f"{kind}_{statistic}" for kind in KINDS for statistic in _STATISTICS)
    + tuple(f"{lead}_{statistic}" for statistic in _STATISTICS for lead in _LEADS)
    + tuple(f"own_{name}" for name in SIGNED)
    + tuple(f"group_{name}" for name in SIGNED)
    + ("own_departure", "own_extent", "here_departure", "moved_residual", "moved_gain", "moved_unevenly")
)


@dataclass(frozen=True, slots=True)
class ConsistencyConfig:
    """How members are compared.

    Attributes:
        side: pixels of the long side at which they are compared; smaller where the smallest member is smaller.
        block: pixels a side of a block; the coarse scale has blocks of twice that.
        blur: standard deviation in pixels of the blur before the fine comparison: resampling and noise differ between
            stages there.
        noise: 8-bit units; detail weaker than this is noise, and its form means nothing.
        map_side: cells a side of the stored map of departures.
        aspect_tolerance: members whose width / height differ by a larger share are not compared.
    """

    side: int = 1024
    block: int = 16
    blur: float = 1.0
    noise: float = 4.0
    map_side: int = 12
    aspect_tolerance: float = 0.02

    @property
    def hash(self) -> str:
        """Hex SHA-256 over these settings and the method's version."""
        text = json.dumps({"version": _VERSION, "names": NAMES, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Consistency:
    """What the comparison of n members found; row i belongs to member i.

    Attributes:
        values: (n, len(NAMES)) float32, finite.
        maps: (n, map_side, map_side) float32, >= 0: the largest departure in each cell, in units of what is usual.
        peaks: (n, 4) float32: the box of the place where a member departs most, as fractions of the image.
    """

    values: np.ndarray
    maps: np.ndarray
    peaks: np.ndarray


def shape_for(sizes: Sequence[tuple[int, int]], config: ConsistencyConfig) -> tuple[int, int] | None:
    """The (height, width) at which members of these (width, height) are compared; None when their shapes differ."""
    aspects = [width / height for width, height in sizes]
    if max(aspects) / min(aspects) > 1 + config.aspect_tolerance:
        return None
    width, height = min(sizes, key=lambda size: size[0] * size[1])
    scale = min(1.0, config.side / max(width, height))
    least = 4 * config.block
    return max(least, round(height * scale)), max(least, round(width * scale))


def compare(members: Sequence[np.ndarray], config: ConsistencyConfig) -> Consistency:
    """Compare 2-4 members.

    Args:
        members: each (height, width, 3) uint8 YCbCr, all of one shape: `shape_for`'s.
    """
    levels = np.stack([np.asarray(member, dtype=np.float32).transpose(2, 0, 1) for member in members])
    fine = ndimage.gaussian_filter(levels, (0, 0, config.blur, config.blur))
    blocks = in_blocks(fine, config.block)
    rows, cols = blocks.shape[2:4]
    quarter = halved(halved(fine[:, :1]))
    coarse = in_blocks(quarter, config.block // 2)  # twice the side of a fine block
    noise = config.noise**2 / 4
    tones = local_tones(blocks.mean(axis=-1))
    details = without_usual(detail_energy(levels[:, 0], config.block, rows, cols))
    busy, busy_coarse = (np.log1p(one[:, 0].var(axis=-1)) for one in (blocks, coarse))
    departures = (
        against_usual(departures_of(pairwise(blocks[:, :1], noise)), busy),
        spread_out(against_usual(departures_of(pairwise(coarse, noise)), busy_coarse), rows, cols),
        against_usual(departures_of(pairwise(blocks[:, 1:], noise)), busy),
        against_usual(departures_of(distances(tones, config.noise * 4)), busy),
        against_usual(departures_of(distances(details, 1.0)), busy),
    )
    combined = np.sum([smoothed(np.log1p(one)) for one in departures], axis=0)
    signed = np.concatenate([_siblings(details), _siblings(tones)[:, [2, 1, 0]] / config.noise], axis=1)
    own, group, extra, windows = _places(combined, signed)
    moved = np.stack([_moved(quarter[:, 0], member, window, config) for member, window in enumerate(windows)])
    statistics = np.stack([_statistics(one) for one in departures], axis=1)  # (n, kinds, statistics)
    n = len(members)
    values = np.concatenate([statistics.reshape(n, -1), _leads(statistics), own, group, extra, moved], axis=1)
    edges = [(across.start / cols, down.start / rows, across.stop / cols, down.stop / rows) for down, across in windows]
    peaks = np.asarray(edges, dtype=np.float32).reshape(len(members), 4)
    return Consistency(values.astype(np.float32), _pooled(combined, config.map_side), peaks)


def _statistics(departures: np.ndarray) -> np.ndarray:
    """(n, len(_STATISTICS)): logarithms, as departures have long tails."""
    flat = np.sort(departures.reshape(len(departures), -1), axis=1)[:, ::-1]
    tops = [flat[:, : max(1, round(share * flat.shape[1]))].mean(axis=1) for share in SHARES]
    broad = smoothed(departures).max(axis=(1, 2))
    return np.log1p(np.stack([flat[:, 0], broad, *tops], axis=1))


def _leads(statistics: np.ndarray) -> np.ndarray:
    """What sums up the kinds, since a defect shows in one or two of them and seldom in all.

    For each statistic: the largest and the second largest of the kinds, and by how much a member leads all its
    siblings, in the best of the kinds and in each: (n, statistics x len(_LEADS)).
    """
    n, kinds, count = statistics.shape
    ordered = np.sort(statistics, axis=1)
    siblings = np.stack([np.delete(statistics, member, axis=0).max(axis=0) for member in range(n)])
    leads = statistics - siblings
    found = np.concatenate([ordered[:, -1:], ordered[:, -2:-1], leads.max(axis=1, keepdims=True), leads], axis=1)
    return found.transpose(0, 2, 1).reshape(n, count * (kinds + 3))


def _siblings(maps: np.ndarray) -> np.ndarray:
    """Each member's maps minus the mean of its siblings'."""
    n = len(maps)
    return (maps - maps.mean(axis=0)) * (n / (n - 1))


def _places(
    combined: np.ndarray, signed: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[tuple[slice, slice]]]:
    """What is different, with its sign, at each member's own peak and at the group's; how much; where."""
    windows = [_window(one) for one in combined]
    strongest = windows[int(np.argmax([one.max() for one in combined]))]
    own = np.stack([signed[i][:, down, across].mean(axis=(1, 2)) for i, (down, across) in enumerate(windows)])
    group = signed[:, :, strongest[0], strongest[1]].mean(axis=(2, 3))
    peak = combined.max(axis=(1, 2))
    extent = (combined > np.maximum(2.0, peak / 2)[:, None, None]).mean(axis=(1, 2))
    here = combined[:, strongest[0], strongest[1]].mean(axis=(1, 2))
    return own, group, np.stack([peak, np.log(extent + 0.002), here], axis=1), windows


def _moved(quarter: np.ndarray, member: int, window: tuple[slice, slice], config: ConsistencyConfig) -> np.ndarray:
    """Whether what departs in a member was moved whole, or is not there any more: (3,) float.

    Small squares of the member around its peak are looked for in the nearest sibling within a few pixels. A face
    turned on purpose is found again, each part near where its neighbours are; a garbled one is not.

    Returns:
        what is left at the best places (1 - correlation, the mean), how much was gained over the same place, and how
        unevenly neighbours moved (pixels).
    """
    side = config.block // 2  # of a square; as long as a fine block's quarter-size twin and a half
    scale = config.block // 4
    top, left = window[0].start * scale, window[1].start * scale
    bottom, right = window[0].stop * scale, window[1].stop * scale
    height, width = quarter.shape[1:]
    best, gains, shifts = [], [], []
    others = [other for other in range(len(quarter)) if other != member]
    for y in range(max(_SEARCH, top), min(height - side - _SEARCH, bottom - side + 1), side // 2):
        for x in range(max(_SEARCH, left), min(width - side - _SEARCH, right - side + 1), side // 2):
            square = quarter[member, y : y + side, x : x + side]
            around = quarter[others, y - _SEARCH : y + side + _SEARCH, x - _SEARCH : x + side + _SEARCH]
            alike = np.max([_alike(square, one, config.noise / 2) for one in around], axis=0)
            place = np.unravel_index(int(np.argmax(alike)), alike.shape)
            best.append(1 - alike[place])
            gains.append(alike[place] - alike[_SEARCH, _SEARCH])
            shifts.append(place)
    if not best:
        return np.zeros(3)
    uneven = np.abs(np.diff(np.asarray(shifts, dtype=np.float64), axis=0)).mean() if len(shifts) > 1 else 0.0
    return np.array([np.mean(best), np.mean(gains), uneven])


def _alike(square: np.ndarray, around: np.ndarray, noise: float) -> np.ndarray:
    """Correlation of a square with every place of a larger one."""
    places = np.lib.stride_tricks.sliding_window_view(around, square.shape)
    places = places - places.mean(axis=(2, 3), keepdims=True)
    centred = square - square.mean()
    covariance = (places * centred).mean(axis=(2, 3))
    spread = np.sqrt(np.square(places).mean(axis=(2, 3)) * np.square(centred).mean())
    return (covariance + noise) / (spread + noise)


def _window(departure: np.ndarray, reach: int = 2) -> tuple[slice, slice]:
    row, col = np.unravel_index(int(np.argmax(departure)), departure.shape)
    down = slice(max(0, int(row) - reach), min(departure.shape[0], int(row) + reach + 1))
    return down, slice(max(0, int(col) - reach), min(departure.shape[1], int(col) + reach + 1))


def _pooled(maps: np.ndarray, side: int) -> np.ndarray:
    """The largest value in each of side x side cells; a grid smaller than that is repeated."""
    rows, cols = maps.shape[1:]
    found = np.empty((len(maps), side, side), dtype=np.float32)
    for down in range(side):
        top, bottom = down * rows // side, max(down * rows // side + 1, -(-(down + 1) * rows // side))
        for across in range(side):
            left, right = across * cols // side, max(across * cols // side + 1, -(-(across + 1) * cols // side))
            found[:, down, across] = maps[:, top:bottom, left:right].max(axis=(1, 2))
    return found
