"""What stages do to a whole picture: each is made from the one before, as image generators refine their own output.

Nothing here is local: a sibling differs from another by its size, sharpness, hallucinated texture, grade, light, a
drift of a pixel or less, and how its file is compressed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

from _taste.pixels import Picture, blur, luma, resize, smooth_field, warp


@dataclass(frozen=True, slots=True)
class Scene:
    """The picture as the first stage imagines it, at the full size of the last stages, and that size."""

    picture: Picture
    size: tuple[int, int]


def compose(photograph: Image.Image, long_side: int, rng: np.random.Generator) -> Picture:
    """A window of a photograph, perhaps mirrored, with a light of its own: one project's groups never look alike."""
    scale = rng.uniform(0.62, 1.0)
    width, height = (max(64, round(length * scale)) for length in photograph.size)
    left = int(rng.integers(0, photograph.width - width + 1))
    top = int(rng.integers(0, photograph.height - height + 1))
    factor = long_side / max(width, height)
    size = (round(width * factor / 8) * 8, round(height * factor / 8) * 8)
    image = photograph.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.LANCZOS)
    if rng.random() < 0.5:
        image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return _grade(np.asarray(image, dtype=np.float32), rng, 3.0)


def first(scene: Picture, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """The first stage: smaller, soft, with some noise."""
    soft = blur(resize(scene, size), rng.uniform(0.5, 1.1))
    return _texture(soft, rng, rng.uniform(0.1, 0.35)) + _grain(soft.shape, rng, rng.uniform(0.6, 2.0))


def refined(before: Picture, rng: np.random.Generator) -> Picture:
    """The same size, drawn once more at low strength: detail is invented anew, everything drifts a little."""
    drifted = _drift(before, rng, rng.uniform(0.1, 0.5))
    cleaned = blur(drifted, rng.uniform(0.2, 0.7))
    sharp = cleaned + rng.uniform(0.2, 0.7) * (cleaned - blur(cleaned, 1.2))
    made = _texture(sharp, rng, rng.uniform(0.15, 0.4))
    return _grade(made, rng, 0.5) + _grain(made.shape, rng, rng.uniform(0.3, 1.2))


def enlarged(before: Picture, size: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Larger or equal, sharp, with new texture, a grade, a light: what a person mostly picks."""
    method = (Image.Resampling.BICUBIC, Image.Resampling.LANCZOS)[int(rng.integers(2))]
    large = _drift(resize(before, size, method), rng, rng.uniform(0.2, 0.8))
    radius = rng.uniform(1.0, 2.0)
    sharp = large + rng.uniform(0.5, 1.3) * (large - blur(large, radius))
    made = _texture(sharp, rng, rng.uniform(0.2, 0.55))
    lit = made * (1 + rng.uniform(0, 0.05) * smooth_field(made.shape[:2], max(made.shape), rng)[0][..., None])
    return _grade(lit, rng, 1.0) + _grain(made.shape, rng, rng.uniform(0.2, 1.0))


def _drift(picture: Picture, rng: np.random.Generator, pixels: float) -> Picture:
    """Everything moved a little: a shift, half a per cent of scale, and slow waves of about so many pixels."""
    height, width = picture.shape[:2]
    field = smooth_field((height, width), 60, rng, 2) * pixels
    shift, scale = rng.uniform(-0.7, 0.7, size=2), rng.uniform(-0.002, 0.002)
    across = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :] * width * scale + shift[0] + field[0]
    down = np.linspace(-0.5, 0.5, height, dtype=np.float32)[:, None] * height * scale + shift[1] + field[1]
    return warp(picture, across, down)


def _texture(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Invented detail: fine noise of two octaves where the picture has detail, more in some regions than in others."""
    light = luma(picture)
    busy = np.sqrt(blur(np.square(light - blur(light, 2.0)), 4.0))
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    fine = blur(noise, 0.7) * 2.3 + blur(rng.standard_normal(light.shape, dtype=np.float32), 1.5) * 3.5
    uneven = np.clip(1 + 0.5 * smooth_field(light.shape, 120, rng)[0], 0.2, 2.2)
    return picture + (np.minimum(busy, 8.0) * fine * uneven * strength)[..., None]


def _grain(shape: tuple[int, ...], rng: np.random.Generator, strength: float) -> np.ndarray:
    return rng.standard_normal(shape[:2], dtype=np.float32)[..., None] * strength


def _grade(picture: Picture, rng: np.random.Generator, strength: float) -> Picture:
    """Exposure, contrast, saturation and a cast of the whole."""
    exposure, contrast = 1 + 0.04 * strength * rng.standard_normal(), 1 + 0.05 * strength * rng.standard_normal()
    saturation = 1 + 0.08 * strength * rng.standard_normal()
    cast = rng.standard_normal(3).astype(np.float32) * 2.0 * strength
    grey = luma(picture)[..., None]
    coloured = grey + (picture - grey) * float(np.clip(saturation, 0.4, 1.6))
    made = (coloured - 118) * float(np.clip(contrast, 0.7, 1.35)) + 118 * float(np.clip(exposure, 0.75, 1.3)) + cast
    return np.clip(made, 0, 255).astype(np.float32)
