"""Where the images of a group go on the stage. Pure.

All lengths are CSS pixels from the stage's top left corner; image sizes are (width, height) in image pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pickroom.core.geometry import Placement, fit

GAP = 14.0  # between two images
MARGIN = 7.0  # round the whole stage: room for the outermost frame's line
CAPTION = 28.0  # the strip under each image: number, stage, size
MIN_SIZE = (240, 160)  # a stage smaller than this is drawn as if it were this large

# Side by side is easiest to compare: other rows must show this much more of the images to be worth leaving the one row.
ROWS_GAIN = 1.1

Rect = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one image."""

    placement: Placement  # where the whole image lies (fit, letterbox)
    window: Rect  # (x, y, width, height) that the image may fill when it is zoomed

    @property
    def box(self) -> Rect:
        """(x, y, width, height) of the whole image."""
        return (self.placement.left, self.placement.top, *self.placement.size)


def arrange(sizes: Sequence[tuple[int, int]], width: float, height: float) -> tuple[Slot, ...]:
    """The slots of 1-4 images, left to right and then down in the given order, as large as fits.

    All have one height, so that none looks better for being larger: side by side where that is about as large as in
    rows, else in the rows that show them largest.

    Args:
        sizes: (width, height) of each image in its own pixels.
        width, height: of the stage.
    """
    if not sizes:
        return ()
    width, height = max(width, MIN_SIZE[0]), max(height, MIN_SIZE[1])
    aspects = [w / h for w, h in sizes]
    ways = list(rows_of(len(sizes)))
    # with one height for all, what is shown of them grows with its square
    heights = [common_height(aspects, way, width, height) for way in ways]
    best = max(range(len(ways)), key=lambda i: (round(heights[i], 6), -max(ways[i])))  # 2 + 2 rather than 3 + 1
    if heights[best] ** 2 < ROWS_GAIN * heights[0] ** 2:
        best = 0
    band = _band(height, len(ways[best]))
    slots: list[Slot] = []
    for number, count in enumerate(ways[best]):
        top = MARGIN + number * (band + GAP)
        slots += _row(sizes[len(slots) :][:count], width, top, band, heights[best])
    return tuple(slots)


def rows_of(count: int) -> Iterator[tuple[int, ...]]:
    """Every way to put so many images into rows, as images a row: (3,), (2, 1), (1, 2), (1, 1, 1) for three."""
    for first in range(count, 0, -1):
        if first == count:
            yield (count,)
        else:
            yield from ((first, *rest) for rest in rows_of(count - first))


def common_height(aspects: Sequence[float], rows: Sequence[int], width: float, height: float) -> float:
    """The greatest height that all images can have in these rows, in CSS pixels.

    Args:
        aspects: width / height of each image.
        rows: how many images each row takes.
    """
    found, done = _band(height, len(rows)) - CAPTION, 0
    for count in rows:
        found = min(found, (width - 2 * MARGIN - GAP * (count - 1)) / sum(aspects[done : done + count]))
        done += count
    return max(found, 1.0)


def _band(height: float, rows: int) -> float:
    """What each of so many rows has for its images and their captions."""
    return (height - 2 * MARGIN - GAP * (rows - 1)) / rows


def _row(sizes: Sequence[tuple[int, int]], width: float, top: float, band: float, tall: float) -> list[Slot]:
    """One row of images so tall in a band of the given top and height, centred, each caption under its image."""
    aspects = [w / h for w, h in sizes]
    room = width - 2 * MARGIN - GAP * (len(sizes) - 1)
    left = (width - tall * sum(aspects) - GAP * (len(sizes) - 1)) / 2
    share = room / len(sizes)
    slots = []
    for place, ((w, h), aspect) in enumerate(zip(sizes, aspects, strict=True)):
        # at the top of the band: what is left over lies under the images, where the words are, not above them
        cell = (left, top, tall * aspect, tall)
        window = (MARGIN + place * (share + GAP), top, share, max(band - CAPTION, 1.0))
        slots.append(Slot(fit(w, h, cell), window))
        left += tall * aspect + GAP
    return slots
