"""What the crop desk draws over a page: each image's box, on the active one with handles and thirds; captions.

Lengths are CSS pixels of the stage.
"""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.app.widgets.layout import CAPTION, Rect, Slot
from pickroom.app.widgets.overlay import BADGE, CHIP, FONT, Pen, shortened
from pickroom.app.widgets.stage import DragShape, Viewport
from pickroom.core.records import CropBox
from pickroom.sessions.crop.editing import HANDLES, MIN_SIDE, Point
from pickroom.sessions.crop.state import CropState
from pickroom.sessions.crop.view import CropImageView

HANDLE = 10.0  # side of a handle
REACH = 11.0  # how far from a handle's middle the pointer still takes it
NEAREST = 5.0  # the same on a small box, which must keep an inside to be moved by
_SMALL = 40.0  # sides of a box that has room for its corner handles only
_DASH = [7.0, 5.0]
_FAINT_SHADE = "rgba(0, 0, 0, 0.45)"
_DARK, _LIGHT = "rgba(0, 0, 0, 0.6)", "#ffffff"


def draw_page(pen: Pen, images: Sequence[CropImageView], slots: Sequence[Slot]) -> None:
    for image, slot in zip(images, slots, strict=True):
        box = slot.placement.rectangle(image.box)
        if image.active:
            _active_box(pen, box, slot.box, default=image.default)
        else:
            pen.dim_outside(slot.box, box, _FAINT_SHADE)
            _outline(pen, box, _LIGHT, 1.5, dashed=image.default)
        _caption(pen, image, slot.box)


def draw_empty(pen: Pen, viewport: Viewport, lines: Sequence[str]) -> None:
    """Words in the middle of a stage without images."""
    pen.canvas.text_align, pen.canvas.text_baseline = "center", "middle"
    for place, line in enumerate(lines):
        pen.canvas.fill_style = pen.palette.faint if place else pen.palette.text
        pen.canvas.font = f"{14 if place else 18}px {FONT}"
        middle = viewport.height / 2 - 20 + 28 * place
        pen.canvas.fill_text(line, viewport.width / 2, middle, viewport.width - 20)


def reach(box: CropBox, slot: Slot) -> Point:
    """How near the pointer must be to take a handle of a box, in fractions of the image."""
    _, _, wide, tall = slot.placement.rectangle(box)
    x, y = (min(REACH, max(NEAREST, side / 5)) for side in (wide, tall))
    return x / slot.box[2], y / slot.box[3]


def drag_shape(state: CropState, slot: Slot) -> DragShape:
    """What the browser must know to draw the outline of the drag that is under way on the active image."""
    drag, card = state.drag, state.card
    assert drag is not None and card is not None
    return DragShape(
        mode=drag.mode,
        start=slot.placement.to_canvas(*drag.start),
        box=slot.placement.rectangle(drag.box),
        bounds=slot.box,
        ratio=state.ratio(card),
        at=HANDLES[drag.handle] if drag.handle else None,
        least=min(MIN_SIDE, *card.size) * slot.placement.scale,
    )


def _active_box(pen: Pen, box: Rect, whole: Rect, *, default: bool) -> None:
    pen.dim_outside(whole, box)
    x, y, w, h = box
    for width, colour in ((2.5, "rgba(0, 0, 0, 0.28)"), (1, "rgba(255, 255, 255, 0.75)")):
        pen.canvas.stroke_style, pen.canvas.line_width = colour, width
        for third in (1 / 3, 2 / 3):
            pen.canvas.stroke_line(x + third * w, y, x + third * w, y + h)
            pen.canvas.stroke_line(x, y + third * h, x + w, y + third * h)
    _outline(pen, box, pen.palette.keep, 2.5, dashed=default)
    for at_x, at_y in HANDLES.values():
        if (at_x == 0.5 and w < _SMALL) or (at_y == 0.5 and h < _SMALL):
            continue
        middle_x, middle_y = x + at_x * w, y + at_y * h
        handle = (middle_x - HANDLE / 2, middle_y - HANDLE / 2, HANDLE, HANDLE)
        pen.fill(handle, _LIGHT)
        pen.canvas.stroke_style, pen.canvas.line_width = pen.palette.keep, 2
        pen.canvas.stroke_rect(*handle)


def _outline(pen: Pen, rect: Rect, colour: str, width: float, *, dashed: bool) -> None:
    """A rectangle that shows on light and dark pictures alike; dashed while nobody has drawn or proposed it."""
    for line, ink, dash in ((width + 2, _DARK, []), (width, colour, _DASH if dashed else [])):
        pen.canvas.set_line_dash(dash)
        pen.canvas.stroke_style, pen.canvas.line_width = ink, line
        pen.canvas.stroke_rect(*rect)
    pen.canvas.set_line_dash([])


def _caption(pen: Pen, image: CropImageView, rect: Rect) -> None:
    """Number, size, where the box comes from; a warning has its tab at the right end."""
    x, y, w, h = rect
    middle = y + h + CAPTION / 2 + 3
    ink = pen.palette
    colour, letters = (ink.keep, ink.on_colour) if image.active else (ink.faint, ink.on_faint)
    pen.chip(x + CHIP / 2, middle, str(image.number), colour, letters)
    room = w - CHIP - 8
    if image.warning:
        tab = f"⚠ {image.warning.partition(':')[0]}"
        wide = pen.badge_width(tab)
        pen.badge(x + w - wide, middle - BADGE / 2, tab, ink.ai, ink.on_ai)
        room -= wide + 8
    text = f"{image.label} · {image.note}"
    pen.words(x + CHIP + 7, middle, text if shortened(text, room) == text else image.note, max(room, 40), ink.text)
