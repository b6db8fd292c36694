"""Working with pictures as (height, width, 3) float32 arrays in 0..255: warps, masks, blurs."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional

Picture = np.ndarray  # (height, width, 3) float32, 0..255


def blur(picture: Picture, sigma: float) -> Picture:
    """Gaussian blur of every channel; small pictures or small sigmas only, its cost grows with sigma."""
    if sigma <= 0.05:
        return picture
    return ndimage.gaussian_filter(picture, (sigma, sigma, 0) if picture.ndim == 3 else sigma, mode="nearest")


def resize(picture: Picture, size: tuple[int, int], method: Image.Resampling = Image.Resampling.BICUBIC) -> Picture:
    """The picture at (width, height), resampled channel by channel in float."""
    if picture.shape[1::-1] == size:
        return picture
    channels = [Image.fromarray(np.ascontiguousarray(picture[..., c])).resize(size, method) for c in range(3)]
    return np.stack([np.asarray(channel) for channel in channels], axis=2)


def smooth_field(shape: tuple[int, int], cell: float, rng: np.random.Generator, channels: int = 1) -> np.ndarray:
    """A random field that changes over `cell` pixels, (channels, height, width) float32, standard deviation 1."""
    rows, cols = (max(2, round(length / cell) + 1) for length in shape)
    coarse = torch.from_numpy(rng.standard_normal((1, channels, rows, cols)).astype(np.float32))
    return functional.interpolate(coarse, size=shape, mode="bicubic", align_corners=True)[0].numpy()


def warp(picture: Picture, across: np.ndarray, down: np.ndarray) -> Picture:
    """The picture whose pixel (x, y) is taken from (x + across, y + down); both (height, width), in pixels."""
    height, width = picture.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    grid = np.stack([(x + across) * (2 / (width - 1)) - 1, (y + down) * (2 / (height - 1)) - 1], axis=-1)
    source = torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
    taken = functional.grid_sample(
        source,
        torch.from_numpy(grid.astype(np.float32))[None],
        "bicubic",
        padding_mode="reflection",
        align_corners=True,
    )
    return np.ascontiguousarray(taken[0].numpy().transpose(1, 2, 0))


def blob(shape: tuple[int, int], rng: np.random.Generator, rim: float) -> np.ndarray:
    """An uneven soft blot filling the shape, (height, width, 1) float32 in 0..1, 0 at the border."""
    down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    angle, turns = np.arctan2(down, across), rng.uniform(0, 2 * np.pi, size=3)
    waves = sum(a * np.sin(k * angle + t) for k, a, t in zip((2, 3, 5), (0.16, 0.1, 0.06), turns, strict=True))
    inside = 1 - np.hypot(down, across) * (1.33 + waves)
    mask = np.clip(inside / rim, 0, 1)
    return (mask * mask * (3 - 2 * mask))[..., None].astype(np.float32)


def luma(picture: Picture) -> np.ndarray:
    return picture @ np.array((0.299, 0.587, 0.114), dtype=np.float32)


def finish(picture: Picture) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(picture, 0, 255)).astype(np.uint8))
