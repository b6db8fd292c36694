"""Where the images of a group go on the stage. Pure.

All lengths are CSS pixels from the stage's top left corner; image sizes are (width, height) in image pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pickroom.geometry import Placement, fit

GAP = 14.0  # between two images
MARGIN = 7.0  # round the whole stage: room for the outermost frame's line
CAPTION = 28.0  # the strip under each image: number, stage, size
MIN_SIZE = (240, 160)  # a stage smaller than this is drawn as if it were this large

# Four wide images in one row are small; in two rows they must gain this much area to be worth leaving the row.
TWO_ROWS_GAIN = 1.3

Rect = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one image.

    Attributes:
        placement: where the whole image lies (fit, letterbox).
        window: (x, y, width, height) that the image may fill when it is zoomed.
    """

    placement: Placement
    window: Rect

    @property
    def box(self) -> Rect:
        """(x, y, width, height) of the whole image."""
        return (self.placement.left, self.placement.top, *self.placement.size)


def arrange(sizes: Sequence[tuple[int, int]], width: float, height: float) -> tuple[Slot, ...]:
    """The slots of 1-4 images, left to right in the given order, as large as fits.

    One row of equal heights; four wide images may take two rows (left to right, then down).

    Args:
        sizes: (width, height) of each image in its own pixels.
        width, height: of the stage.
    """
    if not sizes:
        return ()
    width, height = max(width, MIN_SIZE[0]), max(height, MIN_SIZE[1])
    row = _rows([sizes], width, height)
    if len(sizes) < 4:
        return row
    square = _rows([sizes[:2], sizes[2:]], width, height)
    return square if _area(square) > TWO_ROWS_GAIN * _area(row) else row


def _rows(rows: Sequence[Sequence[tuple[int, int]]], width: float, height: float) -> tuple[Slot, ...]:
    band = (height - 2 * MARGIN - GAP * (len(rows) - 1)) / len(rows)
    slots: list[Slot] = []
    for number, sizes in enumerate(rows):
        slots += _row(sizes, width, MARGIN + number * (band + GAP), band)
    return tuple(slots)


def _row(sizes: Sequence[tuple[int, int]], width: float, top: float, band: float) -> list[Slot]:
    """One row in a band of the given top and height: equal heights, centred, each caption under its image."""
    aspects = [w / h for w, h in sizes]
    room = width - 2 * MARGIN - GAP * (len(sizes) - 1)
    tall = min(band - CAPTION, room / sum(aspects))
    left = (width - tall * sum(aspects) - GAP * (len(sizes) - 1)) / 2
    share = room / len(sizes)
    slots = []
    for place, ((w, h), aspect) in enumerate(zip(sizes, aspects, strict=True)):
        # at the top of the band: what is left over lies under the images, where the words are, not above them
        cell = (left, top, tall * aspect, tall)
        window = (MARGIN + place * (share + GAP), top, share, band - CAPTION)
        slots.append(Slot(fit(w, h, cell), window))
        left += tall * aspect + GAP
    return slots


def _area(slots: Sequence[Slot]) -> float:
    return sum(slot.box[2] * slot.box[3] for slot in slots)
