"""Crop features made by hand: a bright spot on the grid tells where the crop lies."""

from __future__ import annotations

import numpy as np

from pickroom.learn.crops.features import SHAPE_NAMES, CropFeatures


def spotted(count: int, seed: int = 0, rows: int = 6, cols: int = 5) -> tuple[CropFeatures, np.ndarray]:
    """Features of images, and (N, 4) float32 crops of their own aspect ratio about a spot that only the grid shows."""
    rng = np.random.default_rng(seed)
    middle, side = rng.uniform(0.3, 0.7, (count, 2)), rng.uniform(0.45, 0.55, (count, 1))
    start = np.clip(middle - side / 2, 0, 1 - side)
    x, y = (np.arange(cols) + 0.5) / cols, (np.arange(rows) + 0.5) / rows
    away = (x[None, None, :] - middle[:, 0, None, None]) ** 2 + (y[None, :, None] - middle[:, 1, None, None]) ** 2
    spot = np.exp(-away / 0.02)
    grid = np.stack([spot, rng.normal(0, 0.3, spot.shape), 1 - spot], axis=-1)
    features = CropFeatures(
        grid.astype(np.float16),
        rng.normal(0, 1, (count, 12)).astype(np.float32),
        rng.normal(0, 0.2, (count, len(SHAPE_NAMES))).astype(np.float32),
        np.ones((count, 2), dtype=np.float32),
        np.ones(count, dtype=bool),
    )
    return features, np.concatenate([start, start + side], axis=1).astype(np.float32)
