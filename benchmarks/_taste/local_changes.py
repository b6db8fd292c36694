"""What changes one region of one stage: defects as image generators make them, and clean edits made on purpose.

Both are drawn at the native resolution of the stage, of the same sizes and at the same kinds of places, and go through
the same grain and compression: what tells them apart is only how the region looks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from _taste.pixels import Picture, blob, blur, luma, smooth_field, warp

Patch = Picture
_RADIUS = (0.045, 0.125)  # of the short side, log-uniform: a hand, an eye, a face, a sign
# What nobody can see is not a defect that anybody minds, and smearing an even sky is none that anybody could find: a
# change of form of so many 8-bit units in the mean, or of detail by such a factor (log), or some of both.
_FORM, _DETAIL = 5.0, 0.7
_TRIES = 16
_MARGIN = 1.5  # a patch is so much wider than its blot, so that what is moved comes from around it


def _melted(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Forms run into each other: a fold of the picture over itself."""
    shape = patch.shape[:2]
    field = smooth_field(shape, radius * rng.uniform(0.35, 0.6), rng, 2) * radius * rng.uniform(0.14, 0.24)
    return warp(patch, field[0], field[1])


def _smeared(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Detail lost: waxy skin, a face without features."""
    waxy = blur(patch, radius * rng.uniform(0.1, 0.2))
    field = smooth_field(patch.shape[:2], radius * 0.6, rng, 2) * radius * 0.08
    return warp(waxy, field[0], field[1]) * 0.93 + blur(patch, 1.5) * 0.07


def _extra(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Something that is there twice: a sixth finger, a second eye."""
    angle, zoom = rng.uniform(-0.9, 0.9), rng.uniform(0.75, 1.1)
    shift = rng.uniform(0.45, 0.9) * radius
    turn = rng.uniform(0, 2 * np.pi)
    return _turned(patch, angle, zoom, (shift * np.cos(turn), shift * np.sin(turn)))


def _garbled(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Letters, teeth, fingers: parts in their right material at wrong places."""
    tile = max(4.0, radius * rng.uniform(0.2, 0.35))
    rows, cols = (max(2, int(length / tile)) for length in patch.shape[:2])
    steps = rng.normal(0, radius * 0.25, size=(2, rows, cols)).astype(np.float32)
    up = [
        np.kron(step, np.ones((-(-patch.shape[0] // rows), -(-patch.shape[1] // cols)), np.float32)) for step in steps
    ]
    across, down = (blur(one[: patch.shape[0], : patch.shape[1]], tile * 0.18) for one in up)
    return warp(patch, across, down)


def _ghost(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """A limb that shines through: two pictures in one."""
    turn, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.6)
    shift = radius * rng.uniform(0.25, 0.5)
    other = _turned(patch, rng.uniform(-0.2, 0.2), 1.0, (shift * np.cos(turn), shift * np.sin(turn)))
    return patch * (1 - share) + other * share


def _blotch(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """A stain: colour that belongs elsewhere, with an uneven border."""
    uneven = np.clip(0.6 + 0.5 * smooth_field(patch.shape[:2], radius * 0.5, rng)[0], 0, 1.3)[..., None]
    cast = rng.uniform(18, 40) * rng.choice((-1, 1), size=3) * (1, 0.6, 1)
    return patch + uneven * cast.astype(np.float32) * 0.9


def _overdone(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Sharpened to death: halos and a crust of texture."""
    sigma = rng.uniform(1.2, 2.2)
    crust = blur(rng.standard_normal(patch.shape[:2], dtype=np.float32), 1.0)[..., None] * rng.uniform(12, 22)
    return patch + rng.uniform(2.0, 3.5) * (patch - blur(patch, sigma)) + crust


def _reposed(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """A face turned a little, a little larger or smaller, its features whole."""
    shift = rng.normal(0, 0.08 * radius, size=2)
    moved = _turned(
        patch, rng.uniform(-0.25, 0.25), rng.uniform(0.85, 1.18), (shift[0], shift[1]), _bending(mask, radius)
    )
    return _redrawn(moved, rng)


def _reshaped(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Another expression: one slow bend, nothing folds."""
    field = smooth_field(patch.shape[:2], radius * rng.uniform(1.2, 1.8), rng, 2) * radius * rng.uniform(0.1, 0.18)
    field *= _bending(mask, radius)
    return _redrawn(warp(patch, field[0], field[1]), rng)


def _retoned(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Drawn again in another tone: skin a little warmer, cloth a little darker, fading out before any border."""
    gains = (1 + rng.uniform(0.05, 0.16) * rng.choice((-1, 1), size=3)).astype(np.float32)
    share = blur(mask, 0.3 * radius) * mask
    field = smooth_field(patch.shape[:2], radius * rng.uniform(1.2, 1.8), rng, 2) * radius * rng.uniform(0.04, 0.1)
    field *= _bending(mask, radius)
    return _redrawn(warp(patch, field[0], field[1]) * (1 + (gains - 1) * share), rng)


def _restored(patch: Patch, rng: np.random.Generator, radius: float, mask: np.ndarray) -> Patch:
    """Drawn again in more detail, in a better light."""
    lit = patch + (patch - blur(patch, radius * 0.3)) * rng.uniform(0.1, 0.35)  # local contrast: no pool of light
    field = smooth_field(patch.shape[:2], radius * 0.9, rng, 2) * radius * 0.03
    field *= _bending(mask, radius)
    return _redrawn(_redrawn(warp(lit, field[0], field[1]), rng), rng)


def _bending(mask: np.ndarray, radius: float) -> np.ndarray:
    """(height, width): by how much what moves moves here; it fades out slowly, so that no line is torn."""
    return blur(mask[..., 0], 0.22 * radius) * np.clip(mask[..., 0] * 4, 0, 1)


def _redrawn(patch: Patch, rng: np.random.Generator) -> Patch:
    """Sharpness and texture of a region that was rendered on its own."""
    sharp = patch + rng.uniform(0.2, 0.6) * (patch - blur(patch, 1.3))
    busy = np.minimum(np.sqrt(blur(np.square(luma(patch) - blur(luma(patch), 2.0)), 3.0)), 12.0)
    fine = blur(rng.standard_normal(patch.shape[:2], dtype=np.float32), 0.8) * 2.5
    return sharp + (busy * fine * rng.uniform(0.15, 0.4))[..., None]


def _turned(
    patch: Patch, angle: float, zoom: float, shift: tuple[float, float], share: np.ndarray | float = 1.0
) -> Patch:
    height, width = patch.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    across = (np.cos(angle) * x + np.sin(angle) * y) / zoom - x + shift[0]
    down = (-np.sin(angle) * x + np.cos(angle) * y) / zoom - y + shift[1]
    return warp(patch, (across * share).astype(np.float32), (down * share).astype(np.float32))


# patch, stream, radius in pixels, mask (height, width, 1) -> the patch as it is wherever the mask is 1
Painter = Callable[[Patch, np.random.Generator, float, np.ndarray], Patch]
DEFECTS: dict[str, Painter] = {
    "melted": _melted,
    "smeared": _smeared,
    "extra": _extra,
    "garbled": _garbled,
    "ghost": _ghost,
    "blotch": _blotch,
    "overdone": _overdone,
}
EDITS: dict[str, Painter] = {
    "reposed": _reposed,
    "reshaped": _reshaped,
    "retoned": _retoned,
    "restored": _restored,
}


def change(
    picture: Picture, kinds: dict[str, Painter], rng: np.random.Generator
) -> tuple[Picture, str, tuple[float, float, float, float]]:
    """One region changed by a kind drawn at random: the picture, the kind, and the box (fractions).

    Places are drawn by how much there is to see, and drawn again until the change can be seen.
    """
    height, width = picture.shape[:2]
    interest = _interest(picture)
    names = sorted(kinds)
    kind = names[int(rng.integers(len(names)))]
    best: tuple[float, Picture, slice, slice] | None = None
    for _ in range(_TRIES):
        radius = float(np.exp(rng.uniform(*np.log(_RADIUS)))) * min(height, width)
        place = int(rng.choice(interest.size, p=interest.ravel()))
        x = (place % interest.shape[1] + rng.random()) / interest.shape[1] * width
        y = (place // interest.shape[1] + rng.random()) / interest.shape[0] * height
        reach = int(radius * _MARGIN)
        x, y = float(np.clip(x, reach, width - reach - 1)), float(np.clip(y, reach, height - reach - 1))
        down, across = slice(int(y) - reach, int(y) + reach), slice(int(x) - reach, int(x) + reach)
        patch = picture[down, across]
        size = (2 * int(radius), 2 * int(radius))
        inner = blob(size, rng, rng.uniform(0.12, 0.35))
        mask = np.zeros((*patch.shape[:2], 1), dtype=np.float32)
        start = reach - int(radius)
        mask[start : start + size[0], start : start + size[1]] = inner
        made = kinds[kind](patch, rng, radius, mask)
        painted = patch + (np.clip(made, 0, 255) - patch) * mask
        seen = _visible(patch, painted, mask, radius)
        if best is None or seen > best[0]:
            best = seen, painted, down, across
        if seen >= 1:
            break
    assert best is not None
    changed = picture.copy()
    _, painted, down, across = best
    changed[down, across] = painted
    return changed, kind, (across.start / width, down.start / height, across.stop / width, down.stop / height)


def _visible(before: Patch, after: Patch, mask: np.ndarray, radius: float) -> float:
    """How visible a change is; 1 is enough."""
    share = mask[..., 0] / mask.sum()
    sigma = max(1.5, 0.08 * radius)
    form = float((np.abs(blur(after - before, sigma)).mean(axis=2) * share).sum())
    detail = [
        float((np.square(luma(one) - blur(luma(one), 1.5)) * share).sum()) ** 0.5 + 2.0 for one in (before, after)
    ]
    return form / _FORM + abs(float(np.log(detail[1] / detail[0]))) / _DETAIL


def _interest(picture: Picture) -> np.ndarray:
    """Where there is something to see: a grid of chances, more in the middle than at the rim."""
    light = luma(picture)
    busy = np.abs(light - ndimage.uniform_filter(light, 9))
    rows, cols = 24, 24
    step_y, step_x = light.shape[0] // rows, light.shape[1] // cols
    grid = busy[: rows * step_y, : cols * step_x].reshape(rows, step_y, cols, step_x).mean(axis=(1, 3))
    edge = np.minimum(np.arange(24) + 1, 24 - np.arange(24))
    # never the emptier half: a wall, a sky
    grid = np.minimum(np.where(grid >= np.median(grid), grid, 0) ** 1.5, np.quantile(grid, 0.9) ** 1.5) + 1e-9
    grid = grid * np.minimum(edge[:, None], 6) * np.minimum(edge[None, :], 6)
    return grid / grid.sum()
