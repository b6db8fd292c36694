"""What the deck draws over one group: frames, numbers, the AI's pick with its crop, captions."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.app.widgets.layout import Slot
from pickroom.app.widgets.overlay import Pen
from pickroom.sessions.review.view import GroupView

AI_LINE = 3.0  # CSS pixels
_SIGNS = {"keep": "✓ keep · ", "reject": "✕ · ", "none": ""}


def draw_group(pen: Pen, group: GroupView, slots: Sequence[Slot], *, zoom: bool) -> None:
    """Draw the frames, crop, badge and caption of every image.

    Args:
        zoom: the images fill their windows at 100 %: no crop and no veil, which would not move with them.
    """
    ink = pen.palette
    for image, slot in zip(group.images, slots, strict=True):
        rect = slot.window if zoom else slot.box
        if image.crop is not None and not zoom:
            inner = slot.placement.rectangle(image.crop)
            pen.dim_outside(slot.box, inner)
            pen.dashed(inner)
        if image.mark == "reject" and not zoom:
            pen.fill(rect, ink.veil)
        if image.ai_pick:  # inside, on the picture's own edge; what the user chose has its frame outside
            x, y, w, h = rect
            pen.frame((x + AI_LINE, y + AI_LINE, w - 2 * AI_LINE, h - 2 * AI_LINE), ink.ai, AI_LINE)
        pen.mark(rect, image.mark)
        if image.badge:
            pen.badge(rect[0], rect[1], image.badge, ink.ai, ink.on_ai)
        pen.caption(rect, image.number, image.mark, _SIGNS[image.mark] + image.label)
