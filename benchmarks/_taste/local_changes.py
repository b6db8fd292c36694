"""What changes one region of one stage: defects as image generators make them, and clean edits made on purpose.

Both are drawn at the native resolution of the stage, of the same sizes and at the same kinds of places, and go through
the same grain and compression: what tells them apart is only how the region looks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy import ndimage

from _taste.pixels import Picture, blob, blur, luma, resize, smooth_field, warp

Patch = Picture
_RADIUS = (0.045, 0.125)  # of the short side, log-uniform: a hand, an eye, a face, a sign
_VISIBLE = 7.0  # mean change over the region, 8-bit units: what nobody can see is no defect that anybody minds
_TRIES = 12
_MARGIN = 1.5  # a patch is so much wider than its blot, so that what is moved comes from around it


def _melted(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Forms run into each other: a fold of the picture over itself."""
    shape = patch.shape[:2]
    field = smooth_field(shape, radius * rng.uniform(0.35, 0.6), rng, 2) * radius * rng.uniform(0.14, 0.24)
    return warp(patch, field[0], field[1])


def _smeared(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Detail lost: waxy skin, a face without features."""
    waxy = blur(patch, radius * rng.uniform(0.1, 0.2))
    field = smooth_field(patch.shape[:2], radius * 0.6, rng, 2) * radius * 0.08
    return warp(waxy, field[0], field[1]) * 0.93 + blur(patch, 1.5) * 0.07


def _extra(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Something that is there twice: a sixth finger, a second eye."""
    angle, zoom = rng.uniform(-0.9, 0.9), rng.uniform(0.75, 1.1)
    shift = rng.uniform(0.45, 0.9) * radius
    turn = rng.uniform(0, 2 * np.pi)
    return _turned(patch, angle, zoom, (shift * np.cos(turn), shift * np.sin(turn)))


def _garbled(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Letters, teeth, fingers: parts in their right material at wrong places."""
    tile = max(4.0, radius * rng.uniform(0.2, 0.35))
    rows, cols = (max(2, int(length / tile)) for length in patch.shape[:2])
    steps = rng.normal(0, radius * 0.25, size=(2, rows, cols)).astype(np.float32)
    up = [np.kron(step, np.ones((-(-patch.shape[0] // rows), -(-patch.shape[1] // cols)), np.float32)) for step in steps]
    across, down = (blur(one[: patch.shape[0], : patch.shape[1]], tile * 0.18) for one in up)
    return warp(patch, across, down)


def _ghost(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """A limb that shines through: two pictures in one."""
    turn, share = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 0.6)
    shift = radius * rng.uniform(0.25, 0.5)
    other = _turned(patch, rng.uniform(-0.2, 0.2), 1.0, (shift * np.cos(turn), shift * np.sin(turn)))
    return patch * (1 - share) + other * share


def _blotch(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """A stain: colour that belongs elsewhere, with an uneven border."""
    uneven = np.clip(0.6 + 0.5 * smooth_field(patch.shape[:2], radius * 0.5, rng)[0], 0, 1.3)[..., None]
    cast = rng.uniform(18, 40) * rng.choice((-1, 1), size=3) * (1, 0.6, 1)
    return patch + uneven * cast.astype(np.float32) * 0.9


def _overdone(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Sharpened to death: halos and a crust of texture."""
    sigma = rng.uniform(1.2, 2.2)
    crust = blur(rng.standard_normal(patch.shape[:2], dtype=np.float32), 1.0)[..., None] * rng.uniform(12, 22)
    return patch + rng.uniform(2.0, 3.5) * (patch - blur(patch, sigma)) + crust


def _reposed(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """A face turned a little, a little larger or smaller, its features whole."""
    shift = rng.normal(0, 0.05 * radius, size=2)
    moved = _turned(patch, rng.uniform(-0.14, 0.14), rng.uniform(0.9, 1.12), (shift[0], shift[1]))
    return _redrawn(moved, rng)


def _reshaped(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Another expression: one slow bend, nothing folds."""
    field = smooth_field(patch.shape[:2], radius * rng.uniform(1.2, 1.8), rng, 2) * radius * rng.uniform(0.08, 0.14)
    return _redrawn(warp(patch, field[0], field[1]), rng)


def _recoloured(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """A thing of another colour: its light and its texture stay, and the colour keeps to its edges."""
    light = luma(patch)[..., None]
    chroma = patch - light
    middle = chroma[chroma.shape[0] // 3 : -chroma.shape[0] // 3, chroma.shape[1] // 3 : -chroma.shape[1] // 3]
    near = np.exp(-np.square((blur(chroma, 1.5) - middle.mean(axis=(0, 1))) / 22.0).sum(axis=2, keepdims=True))
    order = rng.permutation(3)
    strength = rng.uniform(1.0, 1.5)
    tint = rng.uniform(12, 28) * (np.eye(3)[rng.integers(3)] - 1 / 3).astype(np.float32)
    gain = rng.uniform(0.85, 1.18)
    return patch + near * (light * gain + chroma[..., order] * strength + tint - patch)


def _restored(patch: Patch, rng: np.random.Generator, radius: float) -> Patch:
    """Drawn again in more detail, in a better light."""
    lit = (patch - patch.mean(axis=(0, 1))) * rng.uniform(1.05, 1.25) + patch.mean(axis=(0, 1)) * rng.uniform(0.95, 1.12)
    field = smooth_field(patch.shape[:2], radius * 0.9, rng, 2) * radius * 0.03
    return _redrawn(_redrawn(warp(lit, field[0], field[1]), rng), rng)


def _redrawn(patch: Patch, rng: np.random.Generator) -> Patch:
    """Sharpness and texture of a region that was rendered on its own."""
    sharp = patch + rng.uniform(0.2, 0.6) * (patch - blur(patch, 1.3))
    busy = np.minimum(np.sqrt(blur(np.square(luma(patch) - blur(luma(patch), 2.0)), 3.0)), 12.0)
    fine = blur(rng.standard_normal(patch.shape[:2], dtype=np.float32), 0.8) * 2.5
    return sharp + (busy * fine * rng.uniform(0.15, 0.4))[..., None]


def _turned(patch: Patch, angle: float, zoom: float, shift: tuple[float, float]) -> Patch:
    height, width = patch.shape[:2]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    y, x = y - (height - 1) / 2, x - (width - 1) / 2
    across = (np.cos(angle) * x + np.sin(angle) * y) / zoom - x + shift[0]
    down = (-np.sin(angle) * x + np.cos(angle) * y) / zoom - y + shift[1]
    return warp(patch, across.astype(np.float32), down.astype(np.float32))


Painter = Callable[[Patch, np.random.Generator, float], Patch]
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
    "recoloured": _recoloured,
    "restored": _restored,
}


def change(
    picture: Picture, kinds: dict[str, Painter], rng: np.random.Generator, donor: Picture | None = None
) -> tuple[Picture, str, tuple[float, float, float, float]]:
    """One region changed by a kind drawn at random: the picture, the kind, and the box (fractions).

    Places are drawn by how much there is to see, and drawn again until the change can be seen.

    Args:
        donor: another photograph of the subject: a region may then be swapped for one of it (a clean edit).
    """
    height, width = picture.shape[:2]
    interest = _interest(picture)
    names = sorted(kinds) + (["swapped"] if donor is not None else [])
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
        made = _swapped(patch, donor, rng) if kind == "swapped" else kinds[kind](patch, rng, radius)  # type: ignore[arg-type]
        painted = patch + (np.clip(made, 0, 255) - patch) * mask
        seen = float(np.abs(painted - patch).sum() / (3 * mask.sum()))
        if best is None or seen > best[0]:
            best = seen, painted, down, across
        if seen >= _VISIBLE:
            break
    assert best is not None
    changed = picture.copy()
    _, painted, down, across = best
    changed[down, across] = painted
    return changed, kind, (across.start / width, down.start / height, across.stop / width, down.stop / height)


def _swapped(patch: Patch, donor: Picture, rng: np.random.Generator) -> Patch:
    """A region of another photograph in the light of this one: low frequencies stay, detail is the donor's."""
    height, width = patch.shape[:2]
    interest = _interest(donor)
    place = int(rng.choice(interest.size, p=interest.ravel()))
    x = int(np.clip((place % interest.shape[1]) / interest.shape[1] * donor.shape[1], 0, donor.shape[1] - width))
    y = int(np.clip((place // interest.shape[1]) / interest.shape[0] * donor.shape[0], 0, donor.shape[0] - height))
    other = donor[y : y + height, x : x + width]
    if other.shape != patch.shape:
        other = resize(other, (width, height))
    wide = height * 0.22
    return blur(patch, wide) + (other - blur(other, wide))


def _interest(picture: Picture) -> np.ndarray:
    """Where there is something to see: a grid of chances, more in the middle than at the rim."""
    light = luma(picture)
    busy = np.abs(light - ndimage.uniform_filter(light, 9))
    rows, cols = 24, 24
    step_y, step_x = light.shape[0] // rows, light.shape[1] // cols
    grid = busy[: rows * step_y, : cols * step_x].reshape(rows, step_y, cols, step_x).mean(axis=(1, 3))
    edge = np.minimum(np.arange(24) + 1, 24 - np.arange(24))
    grid = np.minimum(grid, np.quantile(grid, 0.9)) * np.minimum(edge[:, None], 6) * np.minimum(edge[None, :], 6)
    return grid / grid.sum()
