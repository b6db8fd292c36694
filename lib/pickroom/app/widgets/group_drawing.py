"""What the deck draws over one group: frames, numbers, the AI's pick with its crop, captions."""

from __future__ import annotations

from collections.abc import Sequence

from pickroom.app.widgets.layout import CAPTION, Rect, Slot
from pickroom.app.widgets.overlay import CHIP, Pen
from pickroom.sessions.review.view import GroupView, ImageView

KEEP_LINE, REJECT_LINE, AI_LINE = 5.0, 3.0, 3.0  # CSS pixels


def draw_group(pen: Pen, group: GroupView, slots: Sequence[Slot], *, zoom: bool) -> None:
    """Draw the frames, crop, badge and caption of every image.

    Args:
        zoom: the images fill their windows at 100 %: no crop and no veil, which would not move with them.
    """
    for image, slot in zip(group.images, slots, strict=True):
        rect = slot.window if zoom else slot.box
        if not zoom:
            _crop(pen, image, slot)
            if image.mark == "reject":
                pen.fill(rect, pen.palette.veil)
        _frames(pen, image, rect)
        if image.badge:
            pen.badge(rect[0], rect[1], image.badge, pen.palette.ai, pen.palette.on_ai)
        _caption(pen, image, rect)


def _crop(pen: Pen, image: ImageView, slot: Slot) -> None:
    if image.crop is not None:
        inner = slot.placement.rectangle(image.crop)
        pen.dim_outside(slot.box, inner)
        pen.dashed(inner)


def _frames(pen: Pen, image: ImageView, rect: Rect) -> None:
    """Outside: what the person chose. Inside, on the picture's own edge: what the AI picked."""
    if image.ai_pick:
        x, y, w, h = rect
        inset = (x + AI_LINE, y + AI_LINE, w - 2 * AI_LINE, h - 2 * AI_LINE)
        pen.frame(inset, pen.palette.ai, AI_LINE)
    if image.mark == "keep":
        pen.frame(rect, pen.palette.keep, KEEP_LINE)
    elif image.mark == "reject":
        pen.frame(rect, pen.palette.reject, REJECT_LINE)


def _caption(pen: Pen, image: ImageView, rect: Rect) -> None:
    x, y, w, h = rect
    middle = y + h + CAPTION / 2 + 3
    ink = pen.palette
    colour = {"keep": ink.keep, "reject": ink.reject, "none": ink.faint}[image.mark]
    letters = ink.on_faint if image.mark == "none" else ink.on_colour
    pen.chip(x + CHIP / 2, middle, str(image.number), colour, letters)
    sign = {"keep": "✓ keep · ", "reject": "✕ · ", "none": ""}[image.mark]
    pen.words(x + CHIP + 7, middle, sign + image.label, max(w - CHIP - 8, 40), ink.text)
