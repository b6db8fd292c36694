"""Box maths: pixels, aspect ratio, and conversion between canvas and image coordinates. Pure.

Boxes are `CropBox` fractions of the EXIF-upright image; sizes are (width, height) in pixels; canvas
coordinates are CSS pixels from the canvas' top left corner.
"""

import math
from dataclasses import dataclass
from typing import TypeVar

from pickroom.core.records import CropBox

PixelBox = tuple[int, int, int, int]
SIDEWAYS = (5, 6, 7, 8)  # EXIF orientations that swap width and height (Exif 2.32, table 4)
Number = TypeVar("Number", int, float)

# LESSONS.md, Cropping: the best single constant box of 7,099 real crops (mean IoU .688). It only preloads the
# crop desk; it is never recorded as an AI's crop.
CONSTANT_CROP = CropBox(0.113, 0.0, 0.883, 0.764)

CORNER_TOLERANCE = 0.05  # FORMATS.md, crop_match: every corner within this of the AI's box


def round_half_up(value: float) -> int:
    """Nearest integer, with halves rounded up (FORMATS.md: "rounded half up")."""
    return math.floor(value + 0.5)


def to_stored(
    box: tuple[Number, Number, Number, Number], size: tuple[Number, Number], orientation: int
) -> tuple[Number, Number, Number, Number]:
    """The part of the stored (width, height) picture that an upright box shows; of size (1, 1), in fractions.

    Source: Exif 2.32, table 4, Orientation (which stored row and column is the visual top and left side).
    """
    x1, y1, x2, y2 = box
    if orientation in SIDEWAYS:
        x1, y1, x2, y2 = y1, x1, y2, x2
    if orientation in (2, 3, 7, 8):
        x1, x2 = size[0] - x2, size[0] - x1
    if orientation in (3, 4, 6, 7):
        y1, y2 = size[1] - y2, size[1] - y1
    return x1, y1, x2, y2


def to_pixels(box: CropBox, width: int, height: int) -> PixelBox:
    """Edges of a box in whole pixels of a (width, height) image: each edge times the size, rounded half up."""
    x1, x2 = round_half_up(box.x1 * width), round_half_up(box.x2 * width)
    return x1, round_half_up(box.y1 * height), x2, round_half_up(box.y2 * height)


def from_pixels(pixels: PixelBox, width: int, height: int) -> CropBox:
    """The box whose edges are these pixels of a (width, height) image; `to_pixels` gives them back exactly."""
    x1, y1, x2, y2 = pixels
    return CropBox(x1 / width, y1 / height, x2 / width, y2 / height)


def with_ratio(box: CropBox, ratio: float | None, size: tuple[int, int]) -> CropBox:
    """A box with another aspect ratio, the same centre and, where the image allows, the same area.

    Args:
        ratio: width / height in pixels; None leaves the box as it is.
    """
    if ratio is None:
        return box
    x1, y1, x2, y2 = to_pixels(box, *size)
    tall = ((x2 - x1) * (y2 - y1) / ratio) ** 0.5
    wide = tall * ratio
    shrink = min(1.0, size[0] / wide, size[1] / tall)
    return centred((x1 + x2) / 2, (y1 + y2) / 2, wide * shrink, tall * shrink, size)


def default_box(size: tuple[int, int]) -> CropBox:
    """The box that the crop desk opens with when no AI proposes one: `CONSTANT_CROP`, of the image's own shape."""
    return with_ratio(CONSTANT_CROP, size[0] / size[1], size)


def centred(x: float, y: float, wide: float, tall: float, size: tuple[int, int]) -> CropBox:
    """A box in whole pixels around a centre, moved into the image where it would leave it; all in pixels."""
    x1 = min(max(x - wide / 2, 0.0), size[0] - wide)
    y1 = min(max(y - tall / 2, 0.0), size[1] - tall)
    return whole_pixels(x1, y1, x1 + wide, y1 + tall, size)


def whole_pixels(x1: float, y1: float, x2: float, y2: float, size: tuple[int, int]) -> CropBox:
    """The box with these edges in pixels, rounded, inside the image and at least one pixel on each side."""
    left, top = (min(max(round_half_up(v), 0), side - 1) for v, side in ((x1, size[0]), (y1, size[1])))
    right, bottom = min(max(round_half_up(x2), left + 1), size[0]), min(max(round_half_up(y2), top + 1), size[1])
    return from_pixels((left, top, right, bottom), *size)


def compose(outer: CropBox, inner: CropBox) -> CropBox:
    """A box drawn inside a crop, in the frame of the image that the crop was cut from."""
    width, height = outer.x2 - outer.x1, outer.y2 - outer.y1
    x2, y2 = min(outer.x1 + inner.x2 * width, outer.x2), min(outer.y1 + inner.y2 * height, outer.y2)
    return CropBox(outer.x1 + inner.x1 * width, outer.y1 + inner.y1 * height, x2, y2)


def corners_match(a: CropBox, b: CropBox, tolerance: float = CORNER_TOLERANCE) -> bool:
    """Whether every corner lies within `tolerance` (a fraction of the image), the `crop_match` of FORMATS.md."""
    # 1e-9: a difference of exactly the tolerance (0.15 - 0.1) must not fail by floating point alone
    return all(abs(p - q) <= tolerance + 1e-9 for p, q in zip(a.to_list(), b.to_list(), strict=True))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an image lies on a canvas: its top left corner and its scale (canvas pixels per image pixel).

    Fitting, letterboxing and zooming are all one Placement, so one mapping serves every view.
    """

    left: float
    top: float
    scale: float
    width: int
    height: int

    def to_canvas(self, x: float, y: float) -> tuple[float, float]:
        """Canvas point of an image point given as fractions."""
        return self.left + x * self.width * self.scale, self.top + y * self.height * self.scale

    def to_image(self, x: float, y: float) -> tuple[float, float]:
        """Image point (fractions, may lie outside [0, 1]) of a canvas point."""
        return (x - self.left) / (self.width * self.scale), (y - self.top) / (self.height * self.scale)

    def rectangle(self, box: CropBox) -> tuple[float, float, float, float]:
        """(x, y, width, height) of a box on the canvas."""
        x1, y1 = self.to_canvas(box.x1, box.y1)
        x2, y2 = self.to_canvas(box.x2, box.y2)
        return x1, y1, x2 - x1, y2 - y1

    @property
    def size(self) -> tuple[float, float]:
        """The image's size on the canvas."""
        return self.width * self.scale, self.height * self.scale


def fit(width: int, height: int, cell: tuple[float, float, float, float]) -> Placement:
    """The image as large as it fits, centred in a cell (x, y, width, height) of the canvas: the letterbox."""
    x, y, cell_width, cell_height = cell
    scale = min(cell_width / width, cell_height / height)
    return Placement(x + (cell_width - width * scale) / 2, y + (cell_height - height * scale) / 2, scale, width, height)
