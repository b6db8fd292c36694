"""What a crop takes of a picture, and where regions that XMP states are afterwards. Pure.

Sources: Guidelines For Handling Image Metadata 2.0 (Metadata Working Group), "Image Regions"; IPTC Photo Metadata
Standard, "Image Region"; Microsoft, "People Tagging Overview"; exiftool's acdsee.config.

Regions are in the frame of the stored picture, before its Orientation, as digiKam and Apple write them; where
AppliedToDimensions has the upright picture's shape and not the stored one's, they are in the upright frame.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from pickroom.core.geometry import SIDEWAYS, PixelBox, to_stored
from pickroom.images.crops.rdf import Node, Packet

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
_INVERSE = {6: 8, 8: 6}  # every other orientation undoes itself
_MOST = 0.5  # of a region's area must lie in the box, else the region goes
_UNIT = (1.0, 1.0)
_MWG, _ACDSEE = "http://www.metadataworkinggroup.com/schemas/regions/", "http://ns.acdsee.com/regions/"
# lists of regions in the Working Group's form: property -> where a region's places are
_LISTS = {f"{_MWG} Regions": ("Area",), f"{_ACDSEE} Regions": ("DLYArea", "ALGArea")}
_IPTC = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/ ImageRegion"
_MICROSOFT = "http://ns.microsoft.com/photo/1.2/ RegionInfo"
_EXIF = "http://ns.adobe.com/exif/1.0/"
_SUBJECTS = (f"{_EXIF} SubjectArea", f"{_EXIF} SubjectLocation")


class CropError(ValueError):
    """A crop would lose something, or hold something that is not true of it; the message says what."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A crop, in the upright frame, and how the pictures before and after it are stored.

    Attributes:
        size: (width, height) in pixels of the upright picture before the crop.
        box: what is kept of it, in its pixels.
        before: EXIF orientation (1..8) of the stored picture that metadata speak of.
        after: EXIF orientation of the stored crop.
        trailer: whether the bytes behind the picture (a Motion Photo's video) are kept behind the crop.
    """

    size: tuple[int, int]
    box: PixelBox
    before: int = 1
    after: int = 1
    trailer: bool = False

    @property
    def source_size(self) -> tuple[int, int]:
        """(width, height) in pixels of the stored picture before the crop."""
        return self.size[::-1] if self.before in SIDEWAYS else self.size

    @property
    def stored_size(self) -> tuple[int, int]:
        """(width, height) in pixels of the stored crop."""
        crop = (self.box[2] - self.box[0], self.box[3] - self.box[1])
        return crop[::-1] if self.after in SIDEWAYS else crop

    def rectangle(self, region: Rectangle, *, clip: bool = True) -> Rectangle | None:
        """Where a rectangle lies in the crop, both in fractions; None where at least half of it is not in the crop.

        A rectangle without a width or height is a line or a point. Without `clip`, edges may lie outside [0, 1].
        """
        x1, y1, x2, y2 = self._mapped(region)
        if _share(x1, x2) * _share(y1, y2) < _MOST - 1e-9:
            return None
        if clip:
            x1, x2, y1, y2 = max(x1, 0.0), min(x2, 1.0), max(y1, 0.0), min(y2, 1.0)
        return to_stored((x1, y1, x2, y2), _UNIT, self.after)

    def point(self, x: float, y: float, *, clip: bool = True) -> tuple[float, float]:
        """Where a point lies in the crop, both in fractions; at its edge where it is outside. See `rectangle`."""
        x, y, _, _ = self._mapped((x, y, x, y))
        if clip:
            x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        return to_stored((x, y, x, y), _UNIT, self.after)[:2]

    def _mapped(self, region: Rectangle) -> Rectangle:
        """A rectangle in fractions of the upright crop, not cut."""
        x1, y1, x2, y2 = to_stored(region, _UNIT, _INVERSE.get(self.before, self.before))
        left, top, right, bottom = self.box
        (width, height), wide, high = self.size, right - left, bottom - top
        return (
            (x1 * width - left) / wide,
            (y1 * height - top) / high,
            (x2 * width - left) / wide,
            (y2 * height - top) / high,
        )

    def subject(self, values: Sequence[int]) -> tuple[int, ...] | None:
        """SubjectArea or SubjectLocation (Exif 2.32, 4.6.5) in the crop; None where it is outside or is not one.

        `values` are pixels of the stored picture: x, y of a point; with a diameter, or with a width and a height.
        """
        if len(values) not in (2, 3, 4):
            return None
        x, y, *extent = values
        wide, high = extent if len(extent) == 2 else extent * 2 or (0, 0)
        moved = self.rectangle(_around(x, y, wide, high, self.source_size), clip=len(extent) == 2)
        return None if moved is None else tuple(map(round, _centre(moved, self.stored_size)[: len(values)]))


def _around(x: float, y: float, wide: float, high: float, size: Sequence[float]) -> Rectangle:
    """A rectangle about its centre, in fractions of a size."""
    return (x - wide / 2) / size[0], (y - high / 2) / size[1], (x + wide / 2) / size[0], (y + high / 2) / size[1]


def _centre(moved: Rectangle, size: Sequence[float]) -> tuple[float, float, float, float]:
    """x and y of a rectangle's centre, its width and its height, in parts of a size."""
    x1, y1, x2, y2 = moved
    return (x1 + x2) / 2 * size[0], (y1 + y2) / 2 * size[1], (x2 - x1) * size[0], (y2 - y1) * size[1]


def _share(low: float, high: float) -> float:
    """The part of [low, high] that lies in [0, 1]."""
    if high <= low:
        return float(0 <= low <= 1)
    return max(min(high, 1) - max(low, 0), 0.0) / (high - low)


def frame_of(properties: Iterable[Node], cut: Cut) -> Cut:
    """The cut in the frame of a packet's regions: where what they are applied to has its shape, the upright one."""
    for node in properties if cut.before in SIDEWAYS else ():
        wide, high = _applied_to(node)
        if node.name in _LISTS and wide and high:
            width, height = cut.size
            upright = abs(wide * height - high * width) < abs(wide * width - high * height)
            return replace(cut, before=1, after=1) if upright else cut
    return cut


def move(packet: Packet, node: Node, cut: Cut, frame: Cut) -> None:
    """Move the regions of a property with the box; those of which at least half is outside go.

    Args:
        node: one of a packet's properties; one that states no regions stays as it is.
        frame: what `frame_of` says of the packet.
    """
    if node.name in _LISTS:
        _move_list(packet, node, frame)
    elif node.name == _MICROSOFT:
        items = _items(_local(node).get("Regions"))
        _keep(packet, node, [(item, _move_people(packet, _local(item), frame)) for item in items])
    elif node.name == _IPTC:
        _keep(packet, node, [(item, _move_boundary(packet, item, frame)) for item in node.items()])
    elif node.name in _SUBJECTS and (items := node.items()):
        values = [_real(item) for item in items]
        if None in values:
            return
        moved = cut.subject([round(value or 0) for value in values])
        if moved is None:
            packet.remove(node)
        for item, place in zip(items, moved or (), strict=False):
            packet.set(item, str(place))


def _applied_to(info: Node) -> tuple[float | None, float | None]:
    sides = _local(_local(info).get("AppliedToDimensions"))
    return _real(sides.get("w")), _real(sides.get("h"))


def _move_list(packet: Packet, info: Node, cut: Cut) -> None:
    """The regions of the Metadata Working Group's form: a list, and what size of picture it was applied to."""
    before = cut.source_size
    old = tuple(side or known for side, known in zip(_applied_to(info), before, strict=True))
    new = tuple(side * crop / whole for side, crop, whole in zip(old, cut.stored_size, before, strict=True))
    kept = []
    for item in _items(_local(info).get("RegionList")):
        places = _local(item)
        found = [places[name] for name in _LISTS[info.name] if name in places]
        gone = [area for area in found if not _move_area(packet, _local(area), old, new, cut)]
        kept.append((item, not found or len(gone) < len(found)))
        for area in gone:
            packet.remove(area)
    if _keep(packet, info, kept):
        sides = _local(_local(info).get("AppliedToDimensions"))
        _set(packet, sides, dict(zip(("w", "h"), new, strict=True)))


def _move_area(packet: Packet, nodes: Mapping[str, Node], old: Sequence[float], new: Sequence[float], cut: Cut) -> bool:
    """One area (x, y of its centre; w, h, or the diameter d of a circle); False where it is outside."""
    in_pixels = "unit" in nodes and nodes["unit"].value == "pixel"
    if not in_pixels:
        old = new = (1.0, 1.0)
    x, y = _real(nodes.get("x")), _real(nodes.get("y"))
    if x is None or y is None:
        return True
    diameter, before = _real(nodes.get("d")), cut.source_size
    wide, high = _real(nodes.get("w")) or 0.0, _real(nodes.get("h")) or 0.0
    if diameter is not None:
        # fractions of the picture's shorter side
        wide, high = (diameter, diameter) if in_pixels else (diameter * min(before) / side for side in before)
    moved = cut.rectangle(_around(x, y, wide, high, old), clip=diameter is None)
    if moved is None:
        return False
    values = dict(zip(("x", "y", "w", "h"), _centre(moved, new), strict=True))
    if diameter is not None:
        values["d"] = diameter * (1.0 if in_pixels else min(before) / min(cut.stored_size))
    _set(packet, nodes, values)
    return True


def _move_people(packet: Packet, region: Mapping[str, Node], cut: Cut) -> bool:
    """Microsoft's region: "left, top, width, height" in fractions; a person without a place stays."""
    node = region.get("Rectangle")
    values = [_real(part) for part in (node.value.split(",") if node else ())]
    if node is None or len(values) != 4 or None in values:
        return True
    left, top, wide, high = (value or 0.0 for value in values)
    moved = cut.rectangle((left, top, left + wide, top + high))
    if moved is not None:
        sides = (moved[0], moved[1], moved[2] - moved[0], moved[3] - moved[1])
        packet.set(node, ", ".join(map(_number, sides)))
    return moved is not None


def _move_boundary(packet: Packet, item: Node, cut: Cut) -> bool:
    """IPTC's region: a rectangle from its corner, a circle about its centre, or a polygon; one without a place stays.

    A polygon's points outside the crop go to its edge.
    """
    boundary = _local(_local(item).get("RegionBoundary"))
    in_pixels = "rbUnit" in boundary and boundary["rbUnit"].value == "pixel"
    (width, height), new = (cut.source_size, cut.stored_size) if in_pixels else ((1, 1), (1, 1))
    points = [_local(point) for point in _items(boundary.get("rbVertices"))]
    found = [(_real(point.get("rbX")), _real(point.get("rbY"))) for point in points or [boundary]]
    xs = [x / width for x, _ in found if x is not None]
    ys = [y / height for _, y in found if y is not None]
    if min(len(xs), len(ys)) < len(found):
        return True
    radius = (_real(boundary.get("rbRx")) or 0.0) / width
    down = radius * cut.source_size[0] / cut.source_size[1]  # the radius in fractions of the height
    wide, high = (_real(boundary.get("rbW")) or 0.0) / width, (_real(boundary.get("rbH")) or 0.0) / height
    region = (min(xs) - radius, min(ys) - down, max(xs) + radius + wide, max(ys) + down + high)
    moved = cut.rectangle(region, clip=not radius)
    if moved is None:
        return False
    x, y, wide, high = _centre(moved, new)
    values = {"rbW": wide, "rbH": high}
    if radius:
        values = {"rbX": x, "rbY": y, "rbRx": wide / 2}
    elif not points:
        values |= {"rbX": moved[0] * new[0], "rbY": moved[1] * new[1]}
    for point, *place in zip(points, xs, ys, strict=False):
        x, y = cut.point(*place)
        _set(packet, point, {"rbX": x * new[0], "rbY": y * new[1]})
    _set(packet, boundary, values)
    return True


def _set(packet: Packet, nodes: Mapping[str, Node], values: Mapping[str, float]) -> None:
    for name, value in values.items():
        if name in nodes:
            packet.set(nodes[name], _number(value))


def _keep(packet: Packet, info: Node, items: list[tuple[Node, bool]]) -> bool:
    """Remove the regions that are not kept, and all about them where none is left; whether `info` stays."""
    if items and not any(kept for _, kept in items):
        packet.remove(info)
        return False
    for item, kept in items:
        if not kept:
            packet.remove(item)
    return True


def _items(node: Node | None) -> list[Node]:
    return node.items() if node is not None else []


def _local(node: Node | None) -> dict[str, Node]:
    """The fields of a structure by their names without namespaces, which differ from writer to writer."""
    return {name.rpartition(" ")[2]: field for name, field in node.fields().items()} if node is not None else {}


def _real(value: Node | str | None) -> float | None:
    """A finite number, None where there is none; rationals ("800/1") too."""
    text = value.value if isinstance(value, Node) else value or ""
    try:
        number = float(Fraction(text.strip())) if "/" in text else float(text)
    except (ValueError, ZeroDivisionError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _number(value: float) -> str:
    """A number with at most six places, as writers of regions have them."""
    return f"{round(value, 6) + 0.0:.6f}".rstrip("0").rstrip(".")
