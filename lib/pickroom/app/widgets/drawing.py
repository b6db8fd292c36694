"""What the desks draw over images, and the words under them: frames, boxes, differences, captions.

Lengths are CSS pixels of the stage.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from pickroom.app.widgets.overlay import Caption, Pen, Rect, Slot
from pickroom.core.geometry import to_pixels
from pickroom.core.quantities import percent
from pickroom.core.records import CropBox
from pickroom.sessions.crop.editing import HANDLES, MIN_SIDE, Point
from pickroom.sessions.crop.state import CropImageView, CropState
from pickroom.sessions.duplicates.finding import Copy, DuplicatePair
from pickroom.sessions.review.view import GroupView, ImageView, Mark

AI_LINE = 3.0  # CSS pixels
_GROUP_SIGNS = {"keep": "✓ keep · ", "reject": "✕ · ", "none": ""}


def draw_group(pen: Pen, group: GroupView, slots: Sequence[Slot], *, zoom: bool) -> None:
    """Draw the frames, crop and badge of every image.

    Args:
        zoom: the images fill their windows at 100 %: no crop and no veil, which would not move with them.
    """
    ink = pen.palette
    for image, slot in zip(group.images, slots, strict=True):
        rect = slot.window if zoom else slot.box
        if image.crop is not None and not zoom:
            inner = slot.placement.rectangle(image.crop)
            pen.dim_outside(slot.box, inner)
            pen.outline(inner, [_LIGHT_LINE], 2, dashed=True)
        if image.mark == "reject" and not zoom:
            pen.fill(rect, ink.veil)
        if image.ai_pick:  # inside, on the picture's own edge; what the user chose has its frame outside
            x, y, w, h = rect
            pen.outline((x + AI_LINE, y + AI_LINE, w - 2 * AI_LINE, h - 2 * AI_LINE), [ink.ai], AI_LINE)
        pen.mark(rect, image.mark)
        if image.badge:
            pen.badge(rect[0], rect[1], image.badge)


def group_caption(image: ImageView, details: str) -> Caption:
    """What stands under an image of a group; `details` is when and with what it was taken or made.

    Names that generators give are long and say the stage again: they come last, where the room may end.
    """
    title, said = _GROUP_SIGNS[image.mark] + image.label, [*filter(None, details.split(" · "))]
    quiet = [image.filename, *said] if image.details else [*said, image.filename]
    if (crop := image.crop) is None:
        return Caption(title, quiet, image.mark)
    x1, y1, x2, y2 = to_pixels(crop, image.width, image.height)  # the corners, in pixels of the upright image
    parts = f"{crop.x1:.3f}, {crop.y1:.3f} – {crop.x2:.3f}, {crop.y2:.3f}"
    return Caption(title, quiet, image.mark, crop=(crop, f"{x1}, {y1} – {x2}, {y2} px · {parts}"))


LINE = 2.0  # CSS pixels, of the outline round what differs
_SIDE = 384  # pixels of the long side on which two pictures are compared
_BLOCK = 16  # pixels a side of one block of the comparison
_C1, _C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2  # the paper's constants for 8-bit levels
_LEAST, _FULL = 0.08, 0.60  # 1 - structural similarity of a block that shows first, and of the strongest colour
_ALL_OVER = 0.5  # share of the blocks: an outline round more than this would hide the pictures and tell nothing
_TOLERANCE = 0.02  # width / height that differ by a larger share are not compared
_PAIR_SIGNS = {"keep": "✓ stays · ", "reject": "✕ set aside · ", "none": ""}


@dataclass(frozen=True, slots=True)
class Differences:
    """Where two pictures of one shape differ."""

    heat: np.ndarray | None  # (rows, cols) float32 in [0, 1]; None where their shapes differ, or nearly everything does
    share: float | None  # of the blocks, that differ at all; None where their shapes differ

    @property
    def words(self) -> str:
        """For the user."""
        if self.share is None:
            return "of different shapes: the differences cannot be drawn"
        if self.heat is None:
            return f"different all over ({percent(self.share)} of the picture): look closely before you set one aside"
        return "no visible difference" if self.share == 0 else f"{percent(self.share)} of the picture differs"


def differences(a: PillowImage.Image, b: PillowImage.Image) -> Differences:
    """Compare two upright RGB pictures block by block, at one size."""
    aspects = (a.width / a.height, b.width / b.height)
    if max(aspects) / min(aspects) > 1 + _TOLERANCE:
        return Differences(None, None)
    scale = min(1.0, _SIDE / max(a.size))
    shape = (max(_BLOCK, round(a.width * scale)), max(_BLOCK, round(a.height * scale)))
    levels = [
        np.asarray(picture.resize(shape, PillowImage.Resampling.BOX).convert("YCbCr"), dtype=np.float32)
        for picture in (a, b)
    ]
    found = block_difference(*levels)
    share = float((found > _LEAST).mean())
    heat = np.clip((found - _LEAST) / (_FULL - _LEAST), 0, 1).astype(np.float32)
    return Differences(None if share > _ALL_OVER else heat, share)


def block_difference(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """1 - structural similarity of each block, the mean over channels: (rows, cols) float32 in [0, 2].

    Source: Wang et al. (2004), on blocks that do not overlap.

    Args:
        a, b: (height, width, channels), 0..255; what does not fill a block at the right and lower edge is left out.
    """
    rows, cols, channels = a.shape[0] // _BLOCK, a.shape[1] // _BLOCK, a.shape[2]
    cut = np.stack([a, b])[:, : rows * _BLOCK, : cols * _BLOCK].reshape(2, rows, _BLOCK, cols, _BLOCK, channels)
    blocks = cut.transpose(0, 1, 3, 2, 4, 5).reshape(2, rows, cols, _BLOCK * _BLOCK, channels)
    means = blocks.mean(axis=-2)
    spreads = blocks - means[..., None, :]
    light = (2 * means[0] * means[1] + _C1) / (means[0] ** 2 + means[1] ** 2 + _C1)
    form = (2 * (spreads[0] * spreads[1]).mean(axis=-2) + _C2) / ((spreads**2).mean(axis=-2).sum(axis=0) + _C2)
    return np.asarray((1 - light * form).mean(axis=-1))


def pair_caption(copy: Copy, mark: Mark, *, with_project: bool) -> Caption:
    """What stands under one of the two."""
    place = f"{copy.project_id}: {copy.path}" if with_project else copy.path
    return Caption(f"{_PAIR_SIGNS[mark]}{copy.width} × {copy.height} · {copy.file_size / 1e3:,.0f} kB", [place], mark)


def measured(pair: DuplicatePair) -> str:
    """How near a near pair is."""
    found = [] if pair.cosine is None else [f"cosine {pair.cosine:.3f}"]
    found += [] if pair.bits is None else [f"{pair.bits} of 64 bits differ"]
    return f"near: {', '.join(found)}"


def draw_pair(
    pen: Pen,
    slots: Sequence[Slot],
    marks: Sequence[Mark],
    suggested: int | None,
    heat: np.ndarray | None,
    *,
    zoom: bool,
) -> None:
    """Frames; the heat over both pictures, but not where they are zoomed and would move under it."""
    for place, (slot, mark) in enumerate(zip(slots, marks, strict=True)):
        rect = slot.window if zoom else slot.box
        if mark == "reject" and not zoom:
            pen.fill(rect, pen.palette.veil)
        if heat is not None and not zoom:
            _draw_heat(pen, slot, heat)
        pen.mark(rect, mark)
        if place == suggested:
            pen.badge(rect[0], rect[1], "suggested")


def _draw_heat(pen: Pen, slot: Slot, heat: np.ndarray) -> None:
    """An outline round every place that differs, and a tint: magenta, which neither keep nor reject is.

    The tint is faint, so that what differs can still be seen under it, the stronger the more a block differs.
    """
    left, top, width, height = slot.box
    rows, cols = heat.shape
    wide, tall = width / cols, height / rows
    some = np.pad(heat > 0, 1)
    for row, col in zip(*np.nonzero(heat), strict=True):
        x, y = left + col * wide, top + row * tall
        pen.fill((x, y, wide, tall), f"rgba(255, 0, 200, {0.06 + 0.18 * float(heat[row, col]):.2f})")
        edges = (
            (some[row, col + 1], (x, y, wide, LINE)),
            (some[row + 2, col + 1], (x, y + tall - LINE, wide, LINE)),
            (some[row + 1, col], (x, y, LINE, tall)),
            (some[row + 1, col + 2], (x + wide - LINE, y, LINE, tall)),
        )
        for inside, edge in edges:
            if not inside:
                pen.fill(edge, "rgb(255, 0, 200)")


HANDLE = 10.0  # side of a handle
REACH = 11.0  # how far from a handle's middle the pointer still takes it
NEAREST = 5.0  # the same on a small box, which must keep an inside to be moved by
_SMALL = 40.0  # sides of a box that has room for its corner handles only
_FAINT_SHADE = "rgba(0, 0, 0, 0.45)"
_LIGHT_LINE = "#ffffff"


def draw_page(pen: Pen, images: Sequence[CropImageView], slots: Sequence[Slot]) -> None:
    """Draw the box of every image, with handles on the active one."""
    for image, slot in zip(images, slots, strict=True):
        box = slot.placement.rectangle(image.box)
        if image.active:
            _active_box(pen, box, slot.box, default=image.default)
        else:
            pen.dim_outside(slot.box, box, _FAINT_SHADE)
            pen.outline(box, [_LIGHT_LINE], 1.5, dashed=image.default)


def page_caption(image: CropImageView) -> Caption:
    """Size, where the box comes from, and what the warning is about."""
    warning = image.warning.partition(":")[0]
    return Caption(f"{image.label} · {image.note}", [image.filename], "active" if image.active else "none", warning)


def reach(box: CropBox, slot: Slot) -> Point:
    """How near the pointer must be to take a handle of a box, in fractions of the image."""
    _, _, wide, tall = slot.placement.rectangle(box)
    x, y = (min(REACH, max(NEAREST, side / 5)) for side in (wide, tall))
    return x / slot.box[2], y / slot.box[3]


def drag_shape(state: CropState, slot: Slot) -> dict[str, Any]:
    """What the browser must know to draw the outline of the drag that is under way, in CSS pixels."""
    drag, card = state.drag, state.card
    assert drag is not None and card is not None
    return {
        "mode": drag.mode,
        "start": slot.placement.to_canvas(*drag.start),  # where the pointer went down
        "box": slot.placement.rectangle(drag.box),  # as it was then
        "bounds": slot.box,  # the image, which the box stays in
        "ratio": state.ratio(card),  # width / height that the box keeps, None when it is free
        "at": HANDLES[drag.handle] if drag.handle else None,  # where the handle lies, in fractions of the box
        "least": min(MIN_SIDE, *card.size) * slot.placement.scale,  # the shortest side of a box that is meant
    }


def _active_box(pen: Pen, box: Rect, whole: Rect, *, default: bool) -> None:
    pen.dim_outside(whole, box)
    x, y, w, h = box
    for width, colour in ((2.5, "rgba(0, 0, 0, 0.28)"), (1, "rgba(255, 255, 255, 0.75)")):
        pen.canvas.stroke_style, pen.canvas.line_width = colour, width
        for third in (1 / 3, 2 / 3):
            pen.canvas.stroke_line(x + third * w, y, x + third * w, y + h)
            pen.canvas.stroke_line(x, y + third * h, x + w, y + third * h)
    pen.outline(box, [_LIGHT_LINE, pen.palette.keep], 2.5, dashed=default)
    for at_x, at_y in HANDLES.values():
        if (at_x == 0.5 and w < _SMALL) or (at_y == 0.5 and h < _SMALL):
            continue
        middle_x, middle_y = x + at_x * w, y + at_y * h
        handle = (middle_x - HANDLE / 2, middle_y - HANDLE / 2, HANDLE, HANDLE)
        pen.fill(handle, _LIGHT_LINE)
        pen.canvas.stroke_style, pen.canvas.line_width = pen.palette.keep, 2
        pen.canvas.stroke_rect(*handle)
