"""Where the siblings of a group differ: the few places that are worth a look at native resolution.

A 224-pixel view of a 2048-pixel image cannot show a bad hand. So the members are brought to one size, compared
block by block, and the windows that differ most are cut out of every member at full resolution.
Source of the comparison: structural similarity, Wang et al. (2004), on blocks that do not overlap.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions of the upright image

_BLOCK = 16  # pixels a side of one block of the comparison
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the paper's constants for 8-bit levels
_VERSION = 1  # of the method; another one finds other regions


@dataclass(frozen=True, slots=True)
class RegionConfig:
    """How regions are found.

    Attributes:
        count: regions a group, at most. Each costs one more forward pass an image.
        compare_side: pixels of the long side at which members are compared.
        least_difference: 1 - structural similarity below which a place is the same in all members.
        aspect_tolerance: members whose width / height differ by a larger share are not compared.
    """

    count: int = 2
    compare_side: int = 512
    least_difference: float = 0.02
    aspect_tolerance: float = 0.02

    def settings(self, side: int) -> str:
        """These settings in short, with the encoder's input side in pixels: regions of other ones are other."""
        return f"v{_VERSION} {self.count}x{side} at {self.compare_side} from {self.least_difference:g}"


@dataclass(frozen=True, slots=True)
class Region:
    """One place where the members differ: 1 - structural similarity there, in [0, 2]."""

    box: Box
    difference: float


def members_hash(members: Sequence[tuple[str, str]]) -> str:
    """Hex SHA-256 over a group's (file name, content hash) pairs, in any order."""
    return hashlib.sha256(json.dumps(sorted(members)).encode()).hexdigest()


def find_regions(
    pictures: Sequence[PillowImage.Image], sizes: Sequence[tuple[int, int]], side: int, config: RegionConfig
) -> list[Region]:
    """The places where a group's members differ most, the most different first; none overlap.

    Args:
        pictures: the members upright, at any scale that keeps their shape.
        sizes: their full (width, height) in pixels.
        side: pixels of a region's side in the largest member: the encoder's input, so nothing is scaled away.
    """
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    scale = min(1.0, config.compare_side / max(width, height))
    shape = (max(_BLOCK, round(width * scale)), max(_BLOCK, round(height * scale)))
    levels = [
        np.asarray(picture.resize(shape, PillowImage.Resampling.BOX).convert("YCbCr"), dtype=np.float32)
        for picture in pictures
    ]
    difference = block_difference(levels)
    rows, cols = difference.shape
    # a window in blocks, at least one, at most the whole image
    tall = min(rows, max(1, round(side * scale / _BLOCK)))
    wide = min(cols, max(1, round(side * scale / _BLOCK)))
    means = _window_means(difference, tall, wide)
    found: list[Region] = []
    while len(found) < config.count and np.isfinite(means).any():
        top, left = (int(place) for place in np.unravel_index(np.argmax(means), means.shape))
        if means[top, left] < config.least_difference:
            break
        centre = ((left + wide / 2) * _BLOCK / shape[0], (top + tall / 2) * _BLOCK / shape[1])
        found.append(Region(_box(centre, min(1.0, side / width), min(1.0, side / height)), float(means[top, left])))
        means[max(0, top - tall + 1) : top + tall, max(0, left - wide + 1) : left + wide] = -np.inf
    return found


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


def crop_box(box: Box, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """A region's box in whole pixels of an image of this (width, height), at least one pixel a side."""
    wide, tall = (max(1, round((box[i + 2] - box[i]) * size[i])) for i in (0, 1))
    left, top = (min(round(box[i] * size[i]), size[i] - length) for i, length in ((0, wide), (1, tall)))
    return left, top, left + wide, top + tall


def _blocks(image: np.ndarray) -> np.ndarray:
    """(height, width, channels) -> (rows, cols, pixels of a block, channels)."""
    rows, cols, channels = image.shape[0] // _BLOCK, image.shape[1] // _BLOCK, image.shape[2]
    cut = image[: rows * _BLOCK, : cols * _BLOCK].reshape(rows, _BLOCK, cols, _BLOCK, channels)
    return cut.transpose(0, 2, 1, 3, 4).reshape(rows, cols, _BLOCK * _BLOCK, channels)


def _window_means(values: np.ndarray, tall: int, wide: int) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(values, (tall, wide))
    return windows.mean(axis=(2, 3)).astype(np.float64)


def _box(centre: tuple[float, float], width: float, height: float) -> Box:
    # moved inside, not shrunk: the encoder's input stays filled
    left = min(max(0.0, centre[0] - width / 2), 1 - width)
    top = min(max(0.0, centre[1] - height / 2), 1 - height)
    return left, top, left + width, top + height
