"""What the duplicates desk draws over a pair: which one stays, and where the two differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage

from pickroom.app.widgets.layout import Slot
from pickroom.app.widgets.overlay import Pen
from pickroom.features.regions import block_difference, comparable
from pickroom.sessions.duplicates.pairs import Copy, DuplicatePair
from pickroom.sessions.review.view import Mark

LINE = 2.0  # CSS pixels, of the outline round what differs
_SIDE = 384  # pixels of the long side on which two pictures are compared
_BLOCK = 16  # pixels a side of one block of the comparison, as `block_difference` has it
_LEAST, _FULL = 0.08, 0.60  # 1 - structural similarity of a block that shows first, and of the strongest colour
_ALL_OVER = 0.5  # share of the blocks: an outline round more than this would hide the pictures and tell nothing
_TOLERANCE = 0.02  # width / height that differ by a larger share are not compared
_SIGNS = {"keep": "✓ stays · ", "reject": "✕ set aside · ", "none": ""}


@dataclass(frozen=True, slots=True)
class Differences:
    """Where two pictures of one shape differ.

    Attributes:
        heat: (rows, cols) float32 in [0, 1]; None where their shapes differ, or nearly everything does.
        share: of the blocks, that differ at all; None where their shapes differ.
    """

    heat: np.ndarray | None
    share: float | None

    @property
    def words(self) -> str:
        """For the person."""
        if self.share is None:
            return "of different shapes: the differences cannot be drawn"
        if self.heat is None:
            return f"different all over ({self.share:.0%} of the picture): look closely before one goes"
        return "no visible difference" if self.share == 0 else f"{max(self.share, 0.001):.1%} of the picture differs"


def differences(a: PillowImage.Image, b: PillowImage.Image) -> Differences:
    """Compare two upright RGB pictures block by block (structural similarity, Wang et al., 2004), at one size."""
    if not comparable([a.size, b.size], _TOLERANCE):
        return Differences(None, None)
    scale = min(1.0, _SIDE / max(a.size))
    shape = (max(_BLOCK, round(a.width * scale)), max(_BLOCK, round(a.height * scale)))
    levels = [
        np.asarray(picture.resize(shape, PillowImage.Resampling.BOX).convert("YCbCr"), dtype=np.float32)
        for picture in (a, b)
    ]
    found = block_difference(levels)
    share = float((found > _LEAST).mean())
    heat = np.clip((found - _LEAST) / (_FULL - _LEAST), 0, 1).astype(np.float32)
    return Differences(None if share > _ALL_OVER else heat, share)


def caption(copy: Copy, *, with_project: bool) -> str:
    """What stands under one of the two."""
    place = f"{copy.project_id}: {copy.path}" if with_project else copy.path
    return f"{place} · {copy.width}×{copy.height} · {copy.file_size / 1e3:,.0f} kB"


def measured(pair: DuplicatePair) -> str:
    """How near a near pair is."""
    found = [] if pair.cosine is None else [f"cosine {pair.cosine:.3f}"]
    found += [] if pair.bits is None else [f"{pair.bits} of 64 bits differ"]
    return f"near: {', '.join(found)}"


def draw_pair(
    pen: Pen,
    slots: Sequence[Slot],
    captions: Sequence[str],
    marks: Sequence[Mark],
    suggested: int | None,
    heat: np.ndarray | None,
    *,
    zoom: bool,
) -> None:
    """Frames, numbers, captions; the heat over both pictures, but not where they are zoomed and would move under it."""
    for place, (slot, text, mark) in enumerate(zip(slots, captions, marks, strict=True)):
        rect = slot.window if zoom else slot.box
        if mark == "reject" and not zoom:
            pen.fill(rect, pen.palette.veil)
        if heat is not None and not zoom:
            _draw_heat(pen, slot, heat)
        pen.mark(rect, mark)
        if place == suggested:
            pen.badge(rect[0], rect[1], "suggested", pen.palette.ai, pen.palette.on_ai)
        pen.caption(rect, place + 1, mark, _SIGNS[mark] + text)


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
