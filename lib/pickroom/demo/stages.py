"""Render a plan: one picture is painted once and carried through its stages.

A local edit (stage 1.5) and defects are painted into it at their stage, so that later stages inherit them. What a stage
looks like (soft, sharp, enhanced) is made from the picture on the way out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageFilter

from pickroom.demo.config import DemoConfig, stream
from pickroom.demo.defects import add_defect
from pickroom.demo.grades import turn_hue
from pickroom.demo.photographs import load
from pickroom.demo.plan import GroupPlan

# The keys of this module's random streams: (seed, index, key[, stage in tenths]).
_PICTURE, _EDIT, _DEFECT, _NOISE = 11, 12, 13, 14

_FULL = 1280  # pixels of a long side at which the radii below hold; they scale with the picture
_GRAIN = 1.8  # 8-bit units, standard deviation: fine texture, where enlarging the photograph left none


def render_stages(plan: GroupPlan, config: DemoConfig) -> Iterator[tuple[float, Pillow.Image]]:
    """Each stage of a group and its RGB image, in order."""
    picture = _paint(plan, stream(config.seed, plan.index, _PICTURE))
    for stage in plan.stages:
        tenths = round(stage * 10)
        if stage == 1.5:
            _edit(picture, plan, stream(config.seed, plan.index, _EDIT))
        rng = stream(config.seed, plan.index, _DEFECT, tenths)
        for kind in plan.defects.get(stage, ()):
            add_defect(picture, kind, plan.subject, rng)
        yield stage, _develop(picture, plan, stage, stream(config.seed, plan.index, _NOISE, tenths))


def _paint(plan: GroupPlan, rng: np.random.Generator) -> np.ndarray:
    """The finished picture before any stage, (height, width, 3) uint8 at `plan.size`."""
    photograph = load(plan.photograph)
    x1, y1, x2, y2 = plan.window
    box = (x1 * photograph.width, y1 * photograph.height, x2 * photograph.width, y2 * photograph.height)
    image = photograph.resize(plan.size, Pillow.Resampling.LANCZOS, box=box)
    if plan.flip:
        image = image.transpose(Pillow.Transpose.FLIP_LEFT_RIGHT)
    # the photographs are smaller than the pictures: edges come back by sharpening, texture as grain
    enlarged = plan.size[0] / (box[2] - box[0])
    if enlarged > 1:
        image = image.filter(ImageFilter.UnsharpMask(radius=0.7 * enlarged, percent=80, threshold=1))
    pixels = np.asarray(plan.grade.apply(turn_hue(image, plan.hue)), dtype=np.float32)
    grain = rng.standard_normal(pixels.shape[:2], dtype=np.float32)[..., None] * _GRAIN
    return _bytes(pixels * _light(plan.size, rng) + grain)


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


def _light(size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """A soft pool of light somewhere in the upper half, (height, width, 1) float32 around 1."""
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.6)
    reach, strength = rng.uniform(0.5, 0.9), rng.uniform(0.08, 0.3)
    pool = np.exp(-_squared_distance(size, x, y, reach))
    return np.asarray((1 + strength * (pool - 0.6))[..., None].astype(np.float32))


def _squared_distance(size: tuple[int, int], x: float, y: float, unit: float) -> np.ndarray:
    """(height, width) float32: from the point (x, y), in `unit`s; all as fractions of the picture."""
    down = (np.linspace(0, 1, size[1], dtype=np.float32)[:, None] - y) / unit
    across = (np.linspace(0, 1, size[0], dtype=np.float32)[None, :] - x) / unit
    return np.asarray(down**2 + across**2)


def _edit(picture: np.ndarray, plan: GroupPlan, rng: np.random.Generator) -> None:
    """A clean local change around the upper part of the subject, as swapping a face makes one."""
    height, width = picture.shape[:2]
    subject = plan.subject
    x = (subject.x1 + subject.x2) / 2
    y = subject.y1 + (subject.y2 - subject.y1) * 0.4
    radius = max(0.12, 0.42 * min(subject.x2 - subject.x1, subject.y2 - subject.y1))
    mask = np.clip(1.6 * (1 - np.sqrt(_squared_distance((width, height), x, y, radius))), 0, 1)
    mask = (mask * mask * (3 - 2 * mask))[..., None]  # smooth at both ends: no seam

    zoom = rng.uniform(1.03, 1.08)  # about (x, y), so that features move a little and nothing tears
    left, top = x * width * (1 - 1 / zoom), y * height * (1 - 1 / zoom)
    box = (left, top, left + width / zoom, top + height / zoom)
    zoomed = Pillow.fromarray(picture).resize((width, height), Pillow.Resampling.BICUBIC, box=box)
    # as gains, so that a dark sky is not tinted; a picture without colour gets none
    warmth = rng.uniform(-0.07, 0.07) if plan.grade.saturation > 0.2 and plan.photograph.hue else 0.0
    gains = np.array((1 + warmth, 1, 1 - warmth), dtype=np.float32) * rng.uniform(1.02, 1.07)
    changed = np.asarray(zoomed, dtype=np.float32) * gains.astype(np.float32)
    picture[:] = _bytes(picture + (changed - picture) * mask)


def _develop(picture: np.ndarray, plan: GroupPlan, stage: float, rng: np.random.Generator) -> Pillow.Image:
    """The picture as one stage shows it: 1 soft and noisy, 1.5 a little cleaner, 2 sharp, 3 enhanced."""
    image = Pillow.fromarray(picture)
    scale = max(plan.size) / _FULL
    if stage < 2:
        blur, noise = (1.3, 3.2) if stage == 1 else (0.9, 2.4)
        image = image.resize(plan.size_of(stage), Pillow.Resampling.BICUBIC, reducing_gap=None)
        soft = np.asarray(image.filter(ImageFilter.GaussianBlur(blur * scale)), dtype=np.float32)
        speckle = rng.standard_normal(soft.shape, dtype=np.float32) * noise
        return Pillow.fromarray(_bytes(soft + speckle))
    image = image.filter(ImageFilter.UnsharpMask(radius=1.6 * scale, percent=70, threshold=2))
    if stage == 3:
        # the wide mask is what photographers call clarity: local contrast without new edges
        image = image.filter(ImageFilter.UnsharpMask(radius=24 * scale, percent=22, threshold=0))
        image = ImageEnhance.Contrast(ImageEnhance.Color(image).enhance(1.16)).enhance(1.07)
    return image
