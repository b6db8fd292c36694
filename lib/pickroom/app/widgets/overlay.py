"""The drawing layer over the photographs: one ipycanvas canvas, drawn in one batch, and the strokes it knows.

Every length is CSS pixels of the stage's layout; the canvas holds device pixels, so that lines stay sharp.
"""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from ipycanvas import Canvas, hold_canvas

from pickroom.app.widgets.stage import Viewport
from pickroom.core.geometry import Placement, fit
from pickroom.sessions.review.view import Mark

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


FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
CHIP = 22.0  # diameter of a number's disc
BADGE = 22.0  # height of a badge
KEEP_LINE, REJECT_LINE = 5.0, 3.0  # of the frames
_LETTER = 7.3  # mean width of a letter at 13 px bold: the kernel cannot measure text
_PLAIN = 6.5  # of one that is not bold


@dataclass(frozen=True, slots=True)
class Palette:
    """Colours that a canvas cannot take from the theme. Blue means keep, red means reject; nothing is green."""

    text: str
    faint: str
    keep: str
    reject: str
    ai: str
    on_faint: str  # letters on faint
    on_colour: str = "#ffffff"  # letters on keep and reject
    on_ai: str = "#1d1600"
    shade: str = "rgba(0, 0, 0, 0.58)"  # over what a crop leaves out
    veil: str = "rgba(128, 128, 128, 0.45)"  # over a rejected image


_BATCH = threading.RLock()  # ipycanvas collects the batch of every canvas in one place

LIGHT = Palette(text="#212121", faint="#5f6368", keep="#0b62d6", reject="#c4232f", ai="#f2a900", on_faint="#ffffff")
DARK = Palette(text="#f0f0f0", faint="#a8adb3", keep="#2f81f7", reject="#e5484d", ai="#f5b932", on_faint="#111111")


class Pen:
    """Strokes on the canvas; made by `Overlay.drawing`."""

    def __init__(self, canvas: Canvas, palette: Palette) -> None:
        self.canvas, self.palette = canvas, palette

    def frame(self, rect: Rect, colour: str, width: float) -> None:
        """A solid frame just outside a rectangle."""
        x, y, w, h = rect
        self.canvas.set_line_dash([])
        self.canvas.stroke_style, self.canvas.line_width = colour, width
        self.canvas.stroke_rect(x - width / 2, y - width / 2, w + width, h + width)

    def dashed(self, rect: Rect) -> None:
        """A dashed rectangle that shows on light and dark pictures alike."""
        self.canvas.line_width = 2
        for colour, dash in (("rgba(0, 0, 0, 0.75)", []), ("#ffffff", [9, 6])):
            self.canvas.stroke_style = colour
            self.canvas.set_line_dash(dash)
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

    def chip(self, x: float, y: float, text: str, colour: str, letters: str) -> None:
        """A disc with a number, its middle at (x, y)."""
        self.canvas.fill_style = colour
        self.canvas.fill_circle(x, y, CHIP / 2)
        self.canvas.fill_style, self.canvas.font = letters, f"700 13px {FONT}"
        self.canvas.text_align, self.canvas.text_baseline = "center", "middle"
        self.canvas.fill_text(text, x, y + 1)

    def badge(self, x: float, y: float, text: str, colour: str, letters: str) -> None:
        """A word on a coloured tab, its top left corner at (x, y)."""
        width = self.badge_width(text)
        self.fill((x, y, width, BADGE), colour)
        self.canvas.fill_style, self.canvas.font = letters, f"700 13px {FONT}"
        self.canvas.text_align, self.canvas.text_baseline = "center", "middle"
        self.canvas.fill_text(text, x + width / 2, y + BADGE / 2 + 1, width - 4)

    def badge_width(self, text: str) -> float:
        """How much room a badge takes."""
        return len(text) * _LETTER + 14

    def mark(self, rect: Rect, mark: Mark) -> None:
        """The frame of an image that is kept or rejected; none where nothing is decided."""
        if mark != "none":
            keep = mark == "keep"
            self.frame(rect, self.palette.keep if keep else self.palette.reject, KEEP_LINE if keep else REJECT_LINE)

    def caption(self, rect: Rect, number: int, mark: Mark, text: str) -> None:
        """Under an image: its number on the colour of its mark, and a line of text."""
        x, y, w, h = rect
        ink, middle = self.palette, y + h + CAPTION / 2 + 3
        colour = {"keep": ink.keep, "reject": ink.reject, "none": ink.faint}[mark]
        self.chip(x + CHIP / 2, middle, str(number), colour, ink.on_faint if mark == "none" else ink.on_colour)
        self.words(x + CHIP + 7, middle, text, max(w - CHIP - 8, 40), ink.text)

    def words(self, x: float, y: float, text: str, room: float, colour: str) -> None:
        """A line of text, its left middle at (x, y), in `room` CSS pixels: cut short where it would be too long."""
        self.canvas.fill_style, self.canvas.font = colour, f"13px {FONT}"
        self.canvas.text_align, self.canvas.text_baseline = "left", "middle"
        self.canvas.fill_text(shortened(text, room), x, y + 1, room)


def shortened(text: str, room: float) -> str:
    """As much of a line as can be read in `room` CSS pixels, with an ellipsis for the rest."""
    most = max(2, int(room / _PLAIN))
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


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
