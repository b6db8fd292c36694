"""Sibling consistency: where one image of a group differs from the others, although these agree with each other.

Members show one scene. A local defect shows in one of them; what stages do on purpose (sharpen, grade, enlarge) shows
everywhere. So the members are brought to one size, laid onto each other (`registration`: a drift of one pixel hides
most defects), and compared block by block at two scales, each block with its brightness and contrast taken out (as the
structure term of structural similarity does, Wang et al. 2004). A member's departure is how much less it resembles its
nearest sibling than the siblings resemble each other, against what is usual in that member. Then each member is bent
onto its siblings as far as a smooth flow goes: what departs still was not merely moved. It needs no network. With two
members nobody can say which one is odd: both get the same departure, and only what is measured of each alone (its
detail) tells them apart. Maps of n members are (n, rows, cols) or, between each two members, (n, n, rows, cols).
Pure: arrays in, arrays out.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from scipy import ndimage

from pickroom.features import registration

BANDS = 3  # octaves of detail
HIGHEST = 40.0  # of a departure, in units of what is usual: beyond it, more means nothing
_LIGHT = 13  # blocks: what changes over more than this is light


def halved(level: np.ndarray) -> np.ndarray:
    """(..., height, width) at half the size, means of four; an odd row or column at the end is left out."""
    rows, cols = level.shape[-2] // 2 * 2, level.shape[-1] // 2 * 2
    cut = level[..., :rows, :cols]
    return np.asarray((cut[..., ::2, ::2] + cut[..., 1::2, ::2] + cut[..., ::2, 1::2] + cut[..., 1::2, 1::2]) / 4)


def in_blocks(images: np.ndarray, block: int) -> np.ndarray:
    """(n, channels, height, width) -> (n, channels, rows, cols, pixels of a block)."""
    n, channels = images.shape[:2]
    rows, cols = images.shape[2] // block, images.shape[3] // block
    cut = images[:, :, : rows * block, : cols * block].reshape(n, channels, rows, block, cols, block)
    return cut.transpose(0, 1, 2, 4, 3, 5).reshape(n, channels, rows, cols, block * block)


def unlike(some: np.ndarray, others: np.ndarray, noise: float) -> np.ndarray:
    """1 - correlation of each block of each two of two lists, the mean over channels: (n, m, rows, cols) in [0, 2]."""
    ours, theirs = (blocks - blocks.mean(axis=-1, keepdims=True) for blocks in (some, others))
    our_spread, their_spread = (np.sqrt(np.square(centred).mean(axis=-1)) for centred in (ours, theirs))
    found = np.empty((len(some), len(others), *some.shape[2:4]), dtype=np.float32)
    for a, b in np.ndindex(len(some), len(others)):
        covariance = np.einsum("crkp,crkp->crk", ours[a], theirs[b]) / some.shape[-1]
        found[a, b] = (1 - (covariance + noise) / (our_spread[a] * their_spread[b] + noise)).mean(axis=0)
    return found


def flow_measures(flows: np.ndarray, block: int, rows: int, cols: int) -> np.ndarray:
    """What bending took, block by block: (n, 3, rows, cols).

    How far things moved (log), how much neighbours moved apart (log of the gradient), and the smallest area that a
    place was given (the Jacobian; below 0 the picture folds).

    Args:
        flows: at half the size of what `block` is of, see `registration.bent`.
    """
    block //= 2
    cut = flows[:, :, : rows * block, : cols * block]
    cut = cut - np.median(cut, axis=(2, 3), keepdims=True)
    down, across = np.gradient(cut, axis=2), np.gradient(cut, axis=3)
    areas = (1 + across[:, 0]) * (1 + down[:, 1]) - across[:, 1] * down[:, 0]

    def blocked(maps: np.ndarray) -> np.ndarray:
        return maps.reshape(len(flows), rows, block, cols, block)

    far = blocked(np.sqrt(np.square(cut).sum(axis=1))).mean(axis=(2, 4))
    apart = blocked(np.sqrt((np.square(across) + np.square(down)).sum(axis=1))).mean(axis=(2, 4))
    return np.stack([np.log1p(far), np.log(apart + 0.01), blocked(areas).min(axis=(2, 4))], axis=1)


def distances(maps: np.ndarray, unit: float) -> np.ndarray:
    """Euclidean distance over channels between each two members' (channels, rows, cols), in units."""
    return np.asarray(np.sqrt(np.square((maps[:, None] - maps[None]) / unit).sum(axis=2)))


def local_tones(means: np.ndarray) -> np.ndarray:
    """Block means without what a grade, a cast or another light does to the whole, or to a large part of it.

    For the grade (at first order) each channel is fitted to the middle of all members by a straight line, robustly:
    blocks far off the line, where a defect may be, are left out of a second fit.
    """
    middle = np.median(means, axis=0)
    tones = np.empty_like(means)
    for member, channel in np.ndindex(means.shape[:2]):
        level = means[member, channel]
        x, y = level.ravel(), middle[channel].ravel()
        keep = np.ones(len(x), dtype=bool)
        for _ in range(2):
            spread = x[keep].var()
            slope = float(np.cov(x[keep], y[keep], bias=True)[0, 1] / spread) if spread > 1e-3 else 1.0
            offset = float(y[keep].mean() - slope * x[keep].mean())
            off = np.abs(slope * x + offset - y)
            keep = off <= np.quantile(off, 0.9)
        tones[member, channel] = slope * level + offset
    tones -= np.median(tones, axis=0)
    return np.asarray(tones - ndimage.uniform_filter(tones, (0, 0, _LIGHT, _LIGHT), mode="nearest"))


def detail_energy(luma: np.ndarray, block: int, rows: int, cols: int) -> np.ndarray:
    """Log energy of each octave of detail around each block: (n, bands, rows, cols).

    Relative to what is usual of a member: a stage sharpened as a whole has none left.
    """
    found = []
    upper = luma
    for band in range(BANDS):
        lower = ndimage.gaussian_filter(luma, (0, 2.0**band, 2.0**band), truncate=3)
        cut = np.square(upper - lower)[:, : rows * block, : cols * block]
        energy = cut.reshape(len(luma), rows, block, cols, block).mean(axis=(2, 4))
        found.append(smoothed(0.5 * np.log(energy + 1.0)))
        upper = lower
    details = np.stack(found, axis=1)
    return np.asarray(details - np.median(details - details.mean(axis=0), axis=(2, 3), keepdims=True))


def departures(pairs: np.ndarray, across: np.ndarray | None = None) -> np.ndarray:
    """How much less a member resembles its nearest sibling than these resemble each other: (n, rows, cols).

    Args:
        pairs: (n, n, rows, cols), see `unlike`.
        across: how unlike its siblings a member is, the same where it was bent onto them; None as in `pairs`.
    """
    n = len(pairs)
    across = pairs if across is None else across
    found = np.empty((n, *pairs.shape[2:]), dtype=np.float32)
    for member in range(n):
        others = [other for other in range(n) if other != member]
        between = [pairs[a, b] for a in others for b in others if a < b]
        found[member] = across[member, others].min(axis=0) - (np.mean(between, axis=0) if between else 0)
    return found


def against_usual(departures: np.ndarray, busy: np.ndarray) -> np.ndarray:
    """Departures in units of what is usual in that member where siblings are as busy: (n, rows, cols), >= 0.

    A blurred stage departs wherever there is texture, and in an empty sky only noise is compared; so the blocks are put
    in order of their siblings' detail, and each is held against those near it in that order.

    Args:
        busy: (n, rows, cols): log variance of each block.
    """
    found = np.empty_like(departures)
    for member, one in enumerate(departures):
        order = np.argsort(np.delete(busy, member, axis=0).mean(axis=0), axis=None, kind="stable")
        values = one.ravel()[order]
        reach = max(15, len(values) // 6) | 1
        middle = ndimage.median_filter(values, reach, mode="nearest")
        spread = ndimage.percentile_filter(np.abs(values - middle), 75, reach, mode="nearest")
        found[member].ravel()[order] = np.clip((values - middle) / (spread + 0.02), 0, HIGHEST)
    return found


def spread_out(maps: np.ndarray, rows: int, cols: int) -> np.ndarray:
    """A coarser grid on the fine one: (n, rows, cols)."""
    down = np.minimum(np.arange(rows) // 2, maps.shape[1] - 1)
    across = np.minimum(np.arange(cols) // 2, maps.shape[2] - 1)
    return maps[:, down][:, :, across]


def smoothed(maps: np.ndarray) -> np.ndarray:
    """(n, rows, cols) means over three by three blocks."""
    return np.asarray(ndimage.uniform_filter(maps, (0, 3, 3), mode="nearest"))


_VERSION = 4  # of the method; another one gives other values
# maps of departure, each with its statistics
KINDS = ("structure_fine", "structure", "chroma", "tone", "detail", "bent")
SHARES = (0.004, 0.02)  # of the blocks: the mean of the largest departures among so many
_STATISTICS = ("peak", "broad_peak", *(f"top{share:g}" for share in SHARES))
_LEADS = ("first", "second", "lead", *(f"{kind}_lead" for kind in KINDS))
SIGNED = (*(f"detail{band}" for band in range(BANDS)), "light", "blue", "red")
# what is known of a place: each departure, what is different with its sign, what bending took, how unlike it is in
# itself, before and after bending, and how much there is to see
HERE = (*KINDS, *SIGNED, "moved", "apart", "least_area", "unlike", "unlike_bent", "busy")
_OF_PEAKS = ("own_departure", "own_extent", "own_area", "next_departure", "here_departure")
NAMES = (
    tuple(f"{kind}_{statistic}" for kind in KINDS for statistic in _STATISTICS)
    + tuple(f"{lead}_{statistic}" for statistic in _STATISTICS for lead in _LEADS)
    + tuple(f"{where}_{name}" for where in ("own", "own_most", "group") for name in HERE)
    + _OF_PEAKS
)


@dataclass(frozen=True, slots=True)
class ConsistencyConfig:
    """How members are compared."""

    side: int = 1024  # pixels of the long side at which they are compared; smaller where the smallest member is smaller
    block: int = 16  # pixels a side of a block; the coarse scale has blocks of twice that
    # standard deviation in pixels of the blur before the fine comparison: resampling and noise differ between stages
    # there
    blur: float = 1.0
    noise: float = 4.0  # 8-bit units; detail weaker than this is noise, and its form means nothing
    aspect_tolerance: float = 0.02  # members whose width / height differ by a larger share are not compared

    @property
    def hash(self) -> str:
        """Hex SHA-256 over these settings and the method's version."""
        # maps of so many cells a side are made no more; stored comparisons are found by what they were made with
        text = json.dumps({"version": _VERSION, "names": NAMES, "map_side": 12, **asdict(self)}, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Consistency:
    """What the comparison of n members found; row i belongs to member i."""

    values: np.ndarray  # (n, len(NAMES)) float32, finite
    peaks: np.ndarray  # (n, 4) float32: the box of the place where a member departs most, as fractions of the image


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
    drifting = np.stack([np.asarray(member, dtype=np.float32).transpose(2, 0, 1) for member in members])
    levels = registration.without_drift(drifting)
    blur = (0, 0, config.blur, config.blur)
    fine = ndimage.gaussian_filter(levels, blur)
    blocks = in_blocks(fine, config.block)
    rows, cols = blocks.shape[2:4]
    coarse = in_blocks(halved(halved(fine[:, :1])), config.block // 2)  # twice the side of a fine block
    noise = config.noise**2 / 4
    tones = local_tones(blocks.mean(axis=-1))
    details = detail_energy(levels[:, 0], config.block, rows, cols)
    busy, busy_coarse = (np.log1p(one[:, 0].var(axis=-1)) for one in (blocks, coarse))
    bent, flows = registration.bent(levels)
    bent_blocks = in_blocks(ndimage.gaussian_filter(bent[:, :1], blur), config.block)
    luma, chroma = blocks[:, :1], blocks[:, 1:]
    pairs = unlike(luma, luma, noise)
    departed = departures(pairs)
    departed_bent = departures(pairs, unlike(bent_blocks, luma, noise))
    found = np.stack(
        [
            against_usual(departed, busy),
            spread_out(against_usual(departures(unlike(coarse, coarse, noise)), busy_coarse), rows, cols),
            against_usual(departures(unlike(chroma, chroma, noise)), busy),
            against_usual(departures(distances(tones, config.noise * 4)), busy),
            against_usual(departures(distances(details, 1.0)), busy),
            against_usual(departed_bent, busy),
        ],
        axis=1,
    )
    logs = np.log1p(found)
    # a bent member departs in the same places or in none: it has no vote on where the place is
    combined = smoothed(logs[:, : KINDS.index("bent")].reshape(-1, rows, cols)).reshape(len(members), -1, rows, cols)
    combined = combined.sum(axis=1)
    alone = np.stack([departed, departed_bent, busy], axis=1)
    signed = np.concatenate([_siblings(details), _siblings(tones) / config.noise], axis=1)
    here = np.concatenate([logs, signed, flow_measures(flows, config.block, rows, cols), alone], axis=1)
    at_places, windows = _places(combined, here)
    statistics = np.stack([_statistics(found[:, kind]) for kind in range(len(KINDS))], axis=1)
    n = len(members)
    values = np.concatenate([statistics.reshape(n, -1), _leads(statistics), at_places], axis=1)
    edges = [(across.start / cols, down.start / rows, across.stop / cols, down.stop / rows) for down, across in windows]
    peaks = np.asarray(edges, dtype=np.float32).reshape(n, 4)
    return Consistency(values.astype(np.float32), peaks)


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


def _places(combined: np.ndarray, here: np.ndarray) -> tuple[np.ndarray, list[tuple[slice, slice]]]:
    """What is known of each member's own peak (its mean and its most) and of the group's, and how the peaks stand out.

    Args:
        combined: (n, rows, cols), all departures together; here: (n, len(HERE), rows, cols).

    Returns:
        (n, 3 x len(HERE) + len(_OF_PEAKS)) float, and each member's own window.
    """
    windows = [_window(one) for one in combined]
    strongest = windows[int(combined.max(axis=(1, 2)).argmax())]
    found = []
    for one, known, (down, across) in zip(combined, here, windows, strict=True):
        own, peak = known[:, down, across], one.max()
        extent = np.log((one > max(2.0, peak / 2)).mean() + 0.002)
        # the blocks that hang together with the peak and depart half as much
        pieces, _ = ndimage.label(one >= peak / 2)
        area = np.log1p((pieces == pieces.flat[one.argmax()]).sum())
        rest = one.copy()
        rest[max(0, down.start - 2) : down.stop + 2, max(0, across.start - 2) : across.stop + 2] = 0
        parts = [own.mean(axis=(1, 2)), own.max(axis=(1, 2)), known[:, *strongest].mean(axis=(1, 2))]
        found.append(np.concatenate([*parts, (peak, extent, area, rest.max(), one[strongest].mean())]))
    return np.stack(found), windows


def _window(departure: np.ndarray) -> tuple[slice, slice]:
    """Five by five blocks around the largest departure, fewer at the rim."""
    row, col = (int(place) for place in np.unravel_index(departure.argmax(), departure.shape))
    rows, cols = departure.shape
    return slice(max(0, row - 2), min(rows, row + 3)), slice(max(0, col - 2), min(cols, col + 3))
