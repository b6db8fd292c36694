"""The maps that sibling consistency is read from: what siblings share and do not share, block by block. Pure.

n members of one shape; maps are (n, rows, cols) or, between each two members, (n, n, rows, cols).
"""

import numpy as np
from scipy import ndimage

BANDS = 3  # octaves of detail
HIGHEST = 40.0  # of a departure, in units of what is usual: beyond it, more means nothing
_LIGHT = 13  # blocks: what changes over more than this is light


def halved(images: np.ndarray) -> np.ndarray:
    height, width = (length // 2 * 2 for length in images.shape[2:])
    cut = images[:, :, :height, :width]
    result: np.ndarray = (cut[:, :, ::2, ::2] + cut[:, :, 1::2, ::2] + cut[:, :, ::2, 1::2] + cut[:, :, 1::2, 1::2]) / 4
    return result


def in_blocks(images: np.ndarray, block: int) -> np.ndarray:
    """(n, channels, height, width) -> (n, channels, rows, cols, pixels of a block)."""
    n, channels = images.shape[:2]
    rows, cols = images.shape[2] // block, images.shape[3] // block
    cut = images[:, :, : rows * block, : cols * block].reshape(n, channels, rows, block, cols, block)
    return cut.transpose(0, 1, 2, 4, 3, 5).reshape(n, channels, rows, cols, block * block)


def pairwise(blocks: np.ndarray, noise: float) -> np.ndarray:
    """1 - correlation of each block of each two members, the mean over channels: (n, n, rows, cols) in [0, 2]."""
    centred = blocks - blocks.mean(axis=-1, keepdims=True)
    variances = np.square(centred).mean(axis=-1)
    n = len(blocks)
    found = np.zeros((n, n, *blocks.shape[2:4]), dtype=np.float32)
    for a in range(n):
        for b in range(a):
            covariance = np.einsum("crkp,crkp->crk", centred[a], centred[b]) / blocks.shape[-1]
            alike = (covariance + noise) / (np.sqrt(variances[a] * variances[b]) + noise)
            found[a, b] = found[b, a] = (1 - alike).mean(axis=0)
    return found


def unlike(some: np.ndarray, others: np.ndarray, noise: float) -> np.ndarray:
    """1 - correlation of each block of each two of two lists, the mean over channels: (n, m, rows, cols) in [0, 2]."""
    lists = []
    for blocks in (some, others):
        centred = blocks - blocks.mean(axis=-1, keepdims=True)
        lists.append((centred, np.sqrt(np.square(centred).mean(axis=-1))))
    (ours, our_spread), (theirs, their_spread) = lists
    found = np.empty((len(some), len(others), *some.shape[2:4]), dtype=np.float32)
    for a, b in np.ndindex(len(some), len(others)):
        covariance = np.einsum("crkp,crkp->crk", ours[a], theirs[b]) / some.shape[-1]
        found[a, b] = (1 - (covariance + noise) / (our_spread[a] * their_spread[b] + noise)).mean(axis=0)
    return found


def residual_after_warp(bent: np.ndarray, blocks: np.ndarray, noise: float) -> np.ndarray:
    """`departures` of members bent onto their siblings, these as they are: (n, rows, cols)."""
    across, between = unlike(bent, blocks, noise), pairwise(blocks, noise)
    n = len(blocks)
    found = np.empty((n, *across.shape[2:]), dtype=np.float32)
    for member in range(n):
        others = [other for other in range(n) if other != member]
        usual = [between[a, b] for a in others for b in others if a < b]
        found[member] = across[member, others].min(axis=0) - (np.mean(usual, axis=0) if usual else 0)
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
    result: np.ndarray = np.sqrt(np.square((maps[:, None] - maps[None]) / unit).sum(axis=2))
    return result


def without_grade(means: np.ndarray) -> np.ndarray:
    """Block means with each member's overall brightness, contrast and cast taken out, channel by channel.

    Each channel is fitted to the middle of all members by a straight line (a grade, at first order), robustly: blocks
    far off the line, where a defect may be, are left out of a second fit.
    """
    middle = np.median(means, axis=0) if len(means) > 2 else means.mean(axis=0)
    fitted = np.empty_like(means)
    for member, levels in enumerate(means):
        for channel, level in enumerate(levels):
            x, y = level.ravel(), middle[channel].ravel()
            keep = np.ones(len(x), dtype=bool)
            for _ in range(2):
                spread = x[keep].var()
                slope = float(np.cov(x[keep], y[keep], bias=True)[0, 1] / spread) if spread > 1e-3 else 1.0
                offset = float(y[keep].mean() - slope * x[keep].mean())
                off = np.abs(slope * x + offset - y)
                keep = off <= np.quantile(off, 0.9)
            fitted[member, channel] = slope * level + offset
    return fitted


def local_tones(means: np.ndarray) -> np.ndarray:
    """Block means without what a grade, a cast or another light does to the whole, or to a large part of it."""
    tones = without_grade(means)
    tones = tones - (np.median(tones, axis=0) if len(tones) > 2 else tones.mean(axis=0))
    result: np.ndarray = tones - ndimage.uniform_filter(tones, (0, 0, _LIGHT, _LIGHT), mode="nearest")
    return result


def detail_energy(luma: np.ndarray, block: int, rows: int, cols: int) -> np.ndarray:
    """Log energy of each octave of detail around each block: (n, bands, rows, cols)."""
    found = []
    upper = luma
    for band in range(BANDS):
        lower = ndimage.gaussian_filter(luma, (0, 2.0**band, 2.0**band), truncate=3)
        cut = np.square(upper - lower)[:, : rows * block, : cols * block]
        energy = cut.reshape(len(luma), rows, block, cols, block).mean(axis=(2, 4))
        found.append(ndimage.uniform_filter(0.5 * np.log(energy + 1.0), (0, 3, 3), mode="nearest"))
        upper = lower
    return np.stack(found, axis=1)


def without_usual(details: np.ndarray) -> np.ndarray:
    """Detail relative to what is usual of a member: a stage sharpened as a whole has none left."""
    middle = details.mean(axis=0)
    result: np.ndarray = details - np.median(details - middle, axis=(2, 3), keepdims=True)
    return result


def departures(pairs: np.ndarray) -> np.ndarray:
    """How much less a member resembles its nearest sibling than these resemble each other: (n, rows, cols)."""
    n = len(pairs)
    found = np.empty((n, *pairs.shape[2:]), dtype=np.float32)
    for member in range(n):
        others = [other for other in range(n) if other != member]
        nearest = np.min([pairs[member, other] for other in others], axis=0)
        between = [pairs[a, b] for a in others for b in others if a < b]
        found[member] = nearest - (np.mean(between, axis=0) if between else 0)
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
    result: np.ndarray = ndimage.uniform_filter(maps, (0, 3, 3), mode="nearest")
    return result
