"""How much the siblings of a group differ, place by place: what the difference view draws. Pure.

Source of the comparison: structural similarity, Wang et al. (2004), on blocks that do not overlap.
"""

from collections.abc import Sequence

import numpy as np

_BLOCK = 16  # pixels a side of one block of the comparison
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the paper's constants for 8-bit levels


def comparable(sizes: Sequence[tuple[int, int]], tolerance: float) -> bool:
    """Whether members of these (width, height) have one shape, so that fractions mean the same in all."""
    aspects = [width / height for width, height in sizes]
    return max(aspects) / min(aspects) <= 1 + tolerance


def block_difference(levels: Sequence[np.ndarray]) -> np.ndarray:
    """1 - structural similarity of each block, the mean over all pairs and channels: (rows, cols) float32 in [0, 2].

    Args:
        levels: images of one (height, width, channels), 0..255; what does not fill a block at the right and lower
            edge is left out.
    """
    blocks = [_blocks(image) for image in levels]
    means = [block.mean(axis=-2) for block in blocks]
    spreads = [block - mean[..., None, :] for block, mean in zip(blocks, means, strict=True)]
    variances = [(spread**2).mean(axis=-2) for spread in spreads]
    pairs = [(a, b) for a in range(len(levels)) for b in range(a)]
    total = np.zeros_like(means[0])
    for a, b in pairs:
        covariance = (spreads[a] * spreads[b]).mean(axis=-2)
        light = (2 * means[a] * means[b] + _C1) / (means[a] ** 2 + means[b] ** 2 + _C1)
        form = (2 * covariance + _C2) / (variances[a] + variances[b] + _C2)
        total += 1 - light * form
    return total.mean(axis=-1) / len(pairs)


def _blocks(image: np.ndarray) -> np.ndarray:
    """(height, width, channels) -> (rows, cols, pixels of a block, channels)."""
    rows, cols, channels = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK, image.shape[2]
    cut = image[: rows * _BLOCK, : cols * _BLOCK].reshape(rows, _BLOCK, cols, _BLOCK, channels)
    return cut.transpose(0, 2, 1, 3, 4).reshape(rows, cols, _BLOCK * _BLOCK, channels)
