"""The drawing layer over the photographs: one ipycanvas canvas, drawn in one batch, and the strokes it knows.

Every length is CSS pixels of the stage's layout; the canvas holds device pixels, so that lines stay sharp.
"""

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from ipycanvas import Canvas, hold_canvas

from pickroom.app.widgets.stage import Viewport
from pickroom.core.geometry import Placement, fit
from pickroom.core.records import CropBox
from pickroom.sessions.review.view import Mark

GAP = 10.0  # between two images: room for two frames
MARGIN = 6.0  # round the whole stage: a frame, and the line that shows where the keyboard is
LINE, CAPTION = 26.0, 46.0  # under an image, at least: one line of words, or a second one where it is narrow
WIDE = 700.0  # of an image whose words fit on one line
MIN_SIZE = (240, 160)  # a stage smaller than this is drawn as if it were this large

# Side by side is easiest to compare: other rows must show this much more of the images to be worth leaving the one row.
ROWS_GAIN = 1.1

Rect = tuple[float, float, float, float]  # x, y, width, height


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one image."""

    placement: Placement  # where the whole image lies (fit, letterbox)
    window: Rect  # (x, y, width, height) that the image may fill when it is zoomed
    bottom: float  # where the room for words under the image ends

    @property
    def box(self) -> Rect:
        """(x, y, width, height) of the whole image."""
        return (self.placement.left, self.placement.top, *self.placement.size)


@dataclass(frozen=True, slots=True)
class Caption:
    """The words under an image."""

    title: str
    quiet: Sequence[str] = ()  # in fainter letters behind the title, or under it
    mark: Mark | Literal["active"] = "none"  # the colour of the image's number
    flag: str = ""  # a warning
    button: str = ""  # HTML of a button for the mouse
    crop: tuple[CropBox, str] | None = None  # a box that is drawn on the image, and what the pointer over it shows


def arrange(sizes: Sequence[tuple[int, int]], width: float, height: float) -> tuple[Slot, ...]:
    """The slots of 1-4 images, left to right and then down in the given order, as large as fits.

    Images of one shape have one size, so that none looks better for being larger: side by side where that shows about
    as much of them as other rows do, else in the rows that show most.

    Args:
        sizes: (width, height) of each image in its own pixels.
        width, height: of the stage.
    """
    if not sizes:
        return ()
    width, height = max(width, MIN_SIZE[0]), max(height, MIN_SIZE[1])
    aspects = [w / h for w, h in sizes]
    ways = list(rows_of(len(sizes)))
    each = [heights(aspects, way, width, height, LINE) for way in ways]
    if min(a * tall for a, tall in zip(aspects, each[0], strict=True)) < WIDE:
        each[0] = heights(aspects, ways[0], width, height, CAPTION)
    shown = [round(sum(a * tall**2 for a, tall in zip(aspects, one, strict=True)), 6) for one in each]
    best = max(range(len(ways)), key=lambda i: (shown[i], -max(ways[i])))  # 2 + 2 rather than 3 + 1
    if shown[best] < ROWS_GAIN * shown[0]:
        best = 0
    rows = [each[best][sum(ways[best][:row]) :][:count] for row, count in enumerate(ways[best])]
    # what is left over lies under the rows, for longer captions
    spare = height - 2 * MARGIN - GAP * (len(rows) - 1) - sum(map(max, rows))
    slots: list[Slot] = []
    top = MARGIN
    for row in rows:
        slots += _row(sizes[len(slots) :][: len(row)], row, width, top, spare / len(rows))
        top += max(row) + spare / len(rows) + GAP
    return tuple(slots)


def rows_of(count: int) -> Iterator[tuple[int, ...]]:
    """Every way to put so many images into rows, as images a row: (3,), (2, 1), (1, 2), (1, 1, 1) for three."""
    for first in range(count, 0, -1):
        if first == count:
            yield (count,)
        else:
            yield from ((first, *rest) for rest in rows_of(count - first))


def heights(aspects: Sequence[float], rows: Sequence[int], width: float, height: float, caption: float) -> list[float]:
    """The height of each image in these rows, in CSS pixels: one area for all, but none taller than the rows are.

    Args:
        aspects: width / height of each image.
        rows: how many images each row takes.
        caption: room for words under each row.
    """
    most = max((height - 2 * MARGIN - GAP * (len(rows) - 1)) / len(rows) - caption, 1.0)
    side, done = math.inf, 0  # of a square with the area of each image
    for count in rows:
        room = width - 2 * MARGIN - GAP * (count - 1)
        row = sorted(aspects[done : done + count])  # the tallest first: these reach `most` first
        for capped, aspect in enumerate(row):
            fits = (room - most * sum(row[:capped])) / sum(map(math.sqrt, row[capped:]))
            if fits <= most * math.sqrt(aspect):
                side = min(side, fits)
                break
        done += count
    return [max(min(most, side / math.sqrt(aspect)), 1.0) for aspect in aspects]


def _row(
    sizes: Sequence[tuple[int, int]], talls: Sequence[float], width: float, top: float, caption: float
) -> list[Slot]:
    """One row of images of these heights, centred, their lower edges on one line, with so much room for words below."""
    wides = [tall * w / h for (w, h), tall in zip(sizes, talls, strict=True)]
    left = (width - sum(wides) - GAP * (len(sizes) - 1)) / 2
    share = (width - 2 * MARGIN - GAP * (len(sizes) - 1)) / len(sizes)
    deep = max(talls)
    slots = []
    for place, (size, wide, tall) in enumerate(zip(sizes, wides, talls, strict=True)):
        window = (MARGIN + place * (share + GAP), top, share, max(deep + caption - LINE, 1.0))
        slots.append(Slot(fit(*size, (left, top + deep - tall, wide, tall)), window, top + deep + caption))
        left += wide + GAP
    return slots


FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
BADGE = 22.0  # height of a badge
KEEP_LINE, REJECT_LINE = 4.0, 3.0  # of the frames
_LETTER = 7.3  # mean width of a letter at 13 px bold: the kernel cannot measure text


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that a canvas cannot take from the theme. Blue means keep, red means reject; nothing is green."""

    keep: str
    reject: str
    ai: str
    on_ai: str = "#1d1600"
    shade: str = "rgba(0, 0, 0, 0.58)"  # over what a crop leaves out
    veil: str = "rgba(128, 128, 128, 0.45)"  # over a rejected image


_BATCH = threading.RLock()  # ipycanvas collects the batch of every canvas in one place

LIGHT = Palette(keep="#0b62d6", reject="#c4232f", ai="#f2a900")
DARK = Palette(keep="#2f81f7", reject="#e5484d", ai="#f5b932")


class Pen:
    """Strokes on the canvas; made by `Overlay.drawing`."""

    def __init__(self, canvas: Canvas, palette: Palette) -> None:
        self.canvas, self.palette = canvas, palette

    def outline(self, rect: Rect, colours: Sequence[str], width: float, *, dashed: bool = False) -> None:
        """A rectangle that shows on dark, light and busy pictures: a light line within a dark one.

        Args:
            colours: of the lines within the dark one, from the outside in.
            width: of the innermost line; each of the others shows one CSS pixel on both sides of the next.
            dashed: the innermost line is.
        """
        lines = ("rgba(0, 0, 0, 0.8)", *colours)
        for place, colour in enumerate(lines, start=1):
            self.canvas.set_line_dash([9, 6] if dashed and place == len(lines) else [])
            self.canvas.stroke_style, self.canvas.line_width = colour, width + 2 * (len(lines) - place)
            self.canvas.stroke_rect(*rect)
        self.canvas.set_line_dash([])

    def dim_outside(self, rect: Rect, inner: Rect, shade: str | None = None) -> None:
        """Shade a rectangle but for an inner one."""
        self.canvas.fill_style = shade or self.palette.shade
        self.canvas.begin_path()
        self.canvas.rect(*rect)
        self.canvas.rect(*inner)
        self.canvas.fill("evenodd")

    def fill(self, rect: Rect, colour: str) -> None:
        self.canvas.fill_style = colour
        self.canvas.fill_rect(*rect)

    def badge(self, x: float, y: float, text: str) -> None:
        """A word of the AI on a coloured tab, its top left corner at (x, y)."""
        width = len(text) * _LETTER + 14
        self.fill((x, y, width, BADGE), self.palette.ai)
        self.canvas.fill_style, self.canvas.font = self.palette.on_ai, f"700 13px {FONT}"
        self.canvas.text_align, self.canvas.text_baseline = "center", "middle"
        self.canvas.fill_text(text, x + width / 2, y + BADGE / 2 + 1, width - 4)

    def mark(self, rect: Rect, mark: Mark) -> None:
        """A frame just outside an image that is kept or rejected; none where nothing is decided."""
        if mark != "none":
            colour, width = (self.palette.keep, KEEP_LINE) if mark == "keep" else (self.palette.reject, REJECT_LINE)
            x, y, w, h = rect
            self.canvas.stroke_style, self.canvas.line_width = colour, width
            self.canvas.stroke_rect(x - width / 2, y - width / 2, w + width, h + width)


class Overlay:
    """The canvas that lies exactly on a stage (class `pickroom-overlay`, in a box of class `pickroom-layers`)."""

    def __init__(self) -> None:
        self.canvas = Canvas(width=1, height=1)
        self.canvas.add_class("pickroom-overlay")

    @contextmanager
    def drawing(self, viewport: Viewport) -> Iterator[Pen]:
        """Clear the canvas, and send all that the block draws in one batch at its end."""
        canvas = self.canvas
        pixels = round(viewport.width * viewport.dpr), round(viewport.height * viewport.dpr)
        if (canvas.width, canvas.height) != pixels:
            with canvas.hold_sync():
                canvas.width, canvas.height = pixels
        with _BATCH, hold_canvas():
            # A page that was reloaded does not know which canvas the next commands are for: ipycanvas tells it
            # only when the canvas changes, so make it tell each time.
            canvas._canvas_manager._current_canvas = None
            canvas.reset_transform()
            canvas.clear()
            canvas.scale(viewport.dpr, viewport.dpr)
            yield Pen(canvas, DARK if viewport.dark else LIGHT)
