"""Editing a crop box: draw, move, handles, nudges, scaling, aspect ratios. Pure.

Points are fractions of the EXIF-upright image and may lie outside [0, 1] (a pointer beyond the edge); sizes are
(width, height) in pixels; a ratio is width / height in pixels, None for a free box. Every edit ends on whole pixels,
so that what is drawn is what is written.
"""

from typing import Literal

from pickroom.core.geometry import centred, from_pixels, to_pixels, whole_pixels
from pickroom.core.records import CropBox

Point = tuple[float, float]
Size = tuple[int, int]
Handle = Literal["nw", "n", "ne", "e", "se", "s", "sw", "w"]
# where each handle lies in its box: fractions of the box's width and height
HANDLES: dict[Handle, Point] = {
    **{"nw": (0, 0), "n": (0.5, 0), "ne": (1, 0), "e": (1, 0.5)},
    **{"se": (1, 1), "s": (0.5, 1), "sw": (0, 1), "w": (0, 0.5)},
}
FULL = CropBox(0, 0, 1, 1)
MIN_SIDE = 8  # pixels: a click without a drag is not a box


def draw(anchor: Point, point: Point, size: Size, ratio: float | None) -> CropBox | None:
    """A new box from the point where the pointer went down to where it is now; None while it is too small."""
    x, y = (min(max(anchor[i], 0.0), 1.0) * size[i] for i in (0, 1))
    return _span(x, y, point[0] * size[0] - x, point[1] * size[1] - y, size, ratio)


def resize(box: CropBox, handle: Handle, point: Point, size: Size, ratio: float | None) -> CropBox:
    """Drag one handle to a point; the opposite corner stays, or for an edge handle the opposite edge's middle."""
    edges, at = to_pixels(box, *size), HANDLES[handle]
    anchor = [edges[i] + (1 - at[i]) * (edges[i + 2] - edges[i]) for i in (0, 1)]
    # a handle dragged past the opposite side stops there: the box is never reversed
    pull = [_same_side(point[i] * size[i] - anchor[i], at[i]) for i in (0, 1)]
    if 0.5 not in at:
        toward = (2 * at[0] - 1, 2 * at[1] - 1)
        return _span(anchor[0], anchor[1], pull[0], pull[1], size, ratio, toward) or box
    across, along = (0, 1) if at[0] == 0.5 else (1, 0)  # an edge moves along one axis; on the other its middle stays
    length = min(abs(pull[along]), size[along] - anchor[along] if at[along] else anchor[along])
    breadth: float = edges[across + 2] - edges[across]
    if ratio:
        breadth = length * ratio if along else length / ratio
        room = 2 * min(anchor[across], size[across] - anchor[across])
        if breadth > room:
            breadth, length = room, room / ratio if along else room * ratio
    low, high = [0.0, 0.0], [0.0, 0.0]
    low[across], high[across] = anchor[across] - breadth / 2, anchor[across] + breadth / 2
    low[along] = anchor[along] - (0 if at[along] else length)
    high[along] = low[along] + length if at[along] else anchor[along]
    return whole_pixels(low[0], low[1], high[0], high[1], size)


def move(box: CropBox, dx: int, dy: int, size: Size) -> CropBox:
    """Shift a box by whole pixels, stopping at the image's edges; its size in pixels stays."""
    x1, y1, x2, y2 = to_pixels(box, *size)
    dx = max(-x1, min(dx, size[0] - x2))
    dy = max(-y1, min(dy, size[1] - y2))
    return from_pixels((x1 + dx, y1 + dy, x2 + dx, y2 + dy), *size)


def scale(box: CropBox, factor: float, size: Size) -> CropBox:
    """Scale about the centre, with the same shape; at an edge the box slides along, until it fills the image."""
    x1, y1, x2, y2 = to_pixels(box, *size)
    wide, tall = x2 - x1, y2 - y1
    factor = min(factor, size[0] / wide, size[1] / tall)
    factor = max(factor, min(1.0, MIN_SIDE / min(wide, tall)))
    return centred((x1 + x2) / 2, (y1 + y2) / 2, wide * factor, tall * factor, size)


def inside(outer: CropBox, box: CropBox, size: Size) -> CropBox:
    """A box as it was drawn on a crop of this size: the inverse of `geometry.compose`, on whole pixels."""
    wide, tall = outer.x2 - outer.x1, outer.y2 - outer.y1
    x1, x2 = ((x - outer.x1) / wide * size[0] for x in (box.x1, box.x2))
    y1, y2 = ((y - outer.y1) / tall * size[1] for y in (box.y1, box.y2))
    return whole_pixels(x1, y1, x2, y2, size)


def handle_at(box: CropBox, point: Point, reach: Point) -> Handle | None:
    """The nearest handle within `reach` (x, y) of a point, in fractions of the image; an edge counts all along."""
    distances: dict[Handle, float] = {}
    for handle in HANDLES:
        x, y = handle_point(box, handle)
        dx, dy = abs(point[0] - x) / reach[0], abs(point[1] - y) / reach[1]
        if max(dx, dy) <= 1:
            distances[handle] = dx * dx + dy * dy
    if not distances:
        edges: dict[Handle, float] = {}
        if box.x1 <= point[0] <= box.x2:
            edges |= {"n": abs(point[1] - box.y1) / reach[1], "s": abs(point[1] - box.y2) / reach[1]}
        if box.y1 <= point[1] <= box.y2:
            edges |= {"w": abs(point[0] - box.x1) / reach[0], "e": abs(point[0] - box.x2) / reach[0]}
        distances = {handle: distance for handle, distance in edges.items() if distance <= 1}
    return min(distances.items(), key=lambda known: known[1])[0] if distances else None


def handle_point(box: CropBox, handle: Handle) -> Point:
    """Where a handle of a box lies."""
    at_x, at_y = HANDLES[handle]
    return box.x1 + at_x * (box.x2 - box.x1), box.y1 + at_y * (box.y2 - box.y1)


def contains(box: CropBox, point: Point) -> bool:
    return box.x1 <= point[0] <= box.x2 and box.y1 <= point[1] <= box.y2


def _same_side(distance: float, at: float) -> float:
    return max(distance, 0.0) if at == 1 else min(distance, 0.0) if at == 0 else distance


def _span(
    x: float, y: float, dx: float, dy: float, size: Size, ratio: float | None, toward: Point | None = None
) -> CropBox | None:
    """A box from an anchor (pixels) toward a point, kept in the image and in shape; None when it is too small."""
    right = toward[0] > 0 if toward else dx >= 0
    down = toward[1] > 0 if toward else dy >= 0
    room_x, room_y = (size[0] - x if right else x), (size[1] - y if down else y)
    wide, tall = min(abs(dx), room_x), min(abs(dy), room_y)
    if ratio:
        # the axis on which the pointer is farther away decides, as far as both sides have room
        wide = min(max(abs(dx), abs(dy) * ratio), room_x, room_y * ratio)
        tall = wide / ratio
    if min(wide, tall) < min(MIN_SIDE, *size):
        return None
    x2, y2 = x + (wide if right else -wide), y + (tall if down else -tall)
    return whole_pixels(min(x, x2), min(y, y2), max(x, x2), max(y, y2), size)
