"""Render a plan: one picture is painted once and carried through its stages.

A local edit (stage 1.5) and defects are painted into it at their stage, so that later stages inherit them. What a stage
looks like (soft, sharp, enhanced) is made from the picture on the way out. A defect changes one small region of the
picture, seen through a soft mask, and nothing else, as image generators make them.
"""

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance, ImageFilter
from scipy import ndimage

from pickroom.core.records import CropBox
from pickroom.demo.photographs import load, turn_hue
from pickroom.demo.plan import DemoConfig, GroupPlan, stream

# The keys of this module's random streams: (seed, index, key[, stage in tenths]).
_PICTURE, _EDIT, _DEFECT, _NOISE = 11, 12, 13, 14

_FULL = 1280  # pixels of a long side at which the radii below hold; they scale with the picture
_GRAIN = 1.8  # 8-bit units, standard deviation: fine texture, where enlarging the photograph left none

Patch = np.ndarray  # (h, w, 3) float32 in 0..255
# A defect gets the patch, where it shows (h, w, 1) in 0..1 by its shape, and returns the changed patch.
Painter = Callable[[Patch, np.random.Generator], Patch]

_RADIUS = (0.085, 0.145)  # of the short side: a hand, a face, a wheel
# Mean change over the region, 8-bit units; below it nobody would find the defect (a smeared even sky).
_VISIBLE = 14.0
_TRIES = 14


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
    # a soft pool of light somewhere in the upper half
    x, y = rng.uniform(0.1, 0.9), rng.uniform(0.0, 0.6)
    reach, strength = rng.uniform(0.5, 0.9), rng.uniform(0.08, 0.3)
    pool = np.exp(-_squared_distance(plan.size, x, y, reach))
    light = (1 + strength * (pool - 0.6))[..., None].astype(np.float32)
    return _bytes(pixels * light + grain)


def _bytes(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.rint(np.clip(pixels, 0, 255)).astype(np.uint8))


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


def add_defect(picture: np.ndarray, kind: str, subject: CropBox, rng: np.random.Generator) -> None:
    """Paint one defect of a kind (config.DEFECT_KINDS) near the subject, where it is visible, or most visible."""
    best: tuple[float, tuple[slice, slice], np.ndarray] | None = None
    for _ in range(_TRIES):
        region = _region(picture.shape[:2], kind, subject, rng)
        patch = picture[region].astype(np.float32)
        mask = _mask(patch.shape[:2], kind, rng)
        painted = patch + (np.clip(_PAINTERS[kind](patch, rng), 0, 255) - patch) * mask
        change = float(np.abs(painted - patch).sum() / (3 * mask.sum()))
        if best is None or change > best[0]:
            best = change, region, painted
        if change >= _VISIBLE:
            break
    assert best is not None
    picture[best[1]] = np.rint(best[2]).astype(np.uint8)


def _region(shape: tuple[int, int], kind: str, subject: CropBox, rng: np.random.Generator) -> tuple[slice, slice]:
    height, width = shape
    radius = rng.uniform(*_RADIUS) * min(height, width)
    across, down = {"noise_band": (2.6, 0.5), "duplicate": (1.0, 0.8)}.get(kind, (1.0, 1.0))
    half_w, half_h = max(3, int(radius * across)), max(3, int(radius * down))
    # the middle of the subject rather than its rim
    x = rng.uniform(subject.x1 + (subject.x2 - subject.x1) * 0.15, subject.x2 - (subject.x2 - subject.x1) * 0.15)
    y = rng.uniform(subject.y1 + (subject.y2 - subject.y1) * 0.1, subject.y2 - (subject.y2 - subject.y1) * 0.2)
    left = int(np.clip(x * width - half_w, 0, max(0, width - 2 * half_w)))
    top = int(np.clip(y * height - half_h, 0, max(0, height - 2 * half_h)))
    return slice(top, min(height, top + 2 * half_h)), slice(left, min(width, left + 2 * half_w))


def _mask(shape: tuple[int, int], kind: str, rng: np.random.Generator) -> np.ndarray:
    """(h, w, 1) float32 in 0..1, 0 on the rim: an uneven blot, or for blocks and bands a rectangle."""
    down = np.linspace(-1, 1, shape[0], dtype=np.float32)[:, None]
    across = np.linspace(-1, 1, shape[1], dtype=np.float32)[None, :]
    if kind in ("duplicate", "noise_band"):
        inside, rim = 1 - np.maximum(np.abs(down), np.abs(across)), 0.06
    else:
        angle, turns = np.arctan2(down, across), rng.uniform(0, 2 * np.pi, size=2)
        # at least 1 all the way round, so that the blot ends inside the patch
        uneven = 1.25 + 0.15 * np.sin(2 * angle + turns[0]) + 0.1 * np.sin(3 * angle + turns[1])
        inside, rim = 1 - np.sqrt(down**2 + across**2) * uneven, 0.25
    return np.clip(inside / rim, 0, 1)[..., None].astype(np.float32)


def _smear(patch: Patch, rng: np.random.Generator) -> Patch:
    """Dragged along one direction, as by a wet thumb."""
    axis = int(rng.integers(2))
    dragged = ndimage.gaussian_filter1d(patch, sigma=patch.shape[axis] * 0.2, axis=axis, mode="nearest")
    across = patch.shape[1 - axis] * 0.015
    return np.asarray(ndimage.gaussian_filter1d(dragged, sigma=across, axis=1 - axis, mode="nearest"))


def _duplicate(patch: Patch, rng: np.random.Generator) -> Patch:
    """The region's own content a second time, out of place."""
    down, across = rng.uniform(0.25, 0.45, size=2) * rng.choice((-1, 1), size=2)
    shift = (int(down * patch.shape[0]), int(across * patch.shape[1]), 0)
    return np.asarray(ndimage.shift(patch, shift, order=0, mode="mirror"))


def _ringing(patch: Patch, rng: np.random.Generator) -> Patch:
    """Sharpened far too much: bright and dark echoes along every edge."""
    sigma = max(1.2, patch.shape[0] * rng.uniform(0.018, 0.028))
    fine = patch - ndimage.gaussian_filter(patch, (sigma, sigma, 0), mode="nearest")
    coarse = patch - ndimage.gaussian_filter(patch, (3 * sigma, 3 * sigma, 0), mode="nearest")
    smooth = ndimage.gaussian_filter(coarse, (sigma, sigma, 0), mode="nearest")
    return np.asarray(patch + 3.5 * fine - 1.2 * smooth + coarse)


def _blown_out(patch: Patch, rng: np.random.Generator) -> Patch:
    return patch * rng.uniform(1.5, 1.9) + rng.uniform(70, 110)


def _wrong_colour(patch: Patch, rng: np.random.Generator) -> Patch:
    """Red, green and blue change places, and a cast so that it also shows on grey."""
    cast = np.array(((35, -20, 30), (-25, 30, 20), (-25, 0, 45))[rng.integers(3)], dtype=np.float32)
    swapped = np.roll(patch, int(rng.integers(1, 3)), axis=2)
    return np.asarray(patch + (swapped - patch) * rng.uniform(0.5, 0.8) + cast)


def _swirl(patch: Patch, rng: np.random.Generator) -> Patch:
    """Turned about its centre, most in the middle."""
    height, width = patch.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = (y - (height - 1) / 2) / (height / 2), (x - (width - 1) / 2) / (width / 2)
    turn = rng.choice((-1, 1)) * rng.uniform(2.2, 3.4) * np.clip(1 - np.hypot(x, y), 0, 1) ** 1.3
    from_x = (x * np.cos(turn) - y * np.sin(turn)) * (width / 2) + (width - 1) / 2
    from_y = (x * np.sin(turn) + y * np.cos(turn)) * (height / 2) + (height - 1) / 2
    at = partial(ndimage.map_coordinates, coordinates=(from_y, from_x), order=1, mode="nearest")
    return np.stack([at(patch[..., channel]) for channel in range(3)], axis=2)


def _noise_band(patch: Patch, rng: np.random.Generator) -> Patch:
    """Lines torn sideways, with coarse coloured noise."""
    height, width = patch.shape[:2]
    torn = patch.copy()
    thick = max(1, height // 14)
    for start in range(0, height, thick):
        shift = int(rng.normal(0, width * 0.05))
        torn[start : start + thick] = np.roll(patch[start : start + thick], shift, axis=1)
    coarse = rng.normal(0, 42, size=(-(-height // 2), -(-width // 2), 3))
    noise = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return torn + noise


_PAINTERS: dict[str, Painter] = {
    "smear": _smear,
    "duplicate": _duplicate,
    "ringing": _ringing,
    "blown_out": _blown_out,
    "wrong_colour": _wrong_colour,
    "swirl": _swirl,
    "noise_band": _noise_band,
}
