"""What a crop takes of a picture, and where regions that XMP states are afterwards. Pure.

Sources: Guidelines For Handling Image Metadata 2.0 (Metadata Working Group), "Image Regions"; IPTC Photo Metadata
Standard, "Image Region"; Microsoft, "People Tagging Overview"; exiftool's acdsee.config.

Regions are in the frame of the stored picture, before its Orientation, as digiKam and Apple write them; where
AppliedToDimensions has the upright picture's shape and not the stored one's, they are in the upright frame.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pickroom.core.geometry import PixelBox, to_stored
from pickroom.images.crops.rdf import Node, Packet

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom
_SIDEWAYS = (5, 6, 7, 8)  # Exif 2.32, table 4: orientations that swap width and height
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
    def stored_size(self) -> tuple[int, int]:
        """(width, height) in pixels of the stored crop."""
        return self.frames(upright=False)[1]

    def frames(self, *, upright: bool) -> tuple[tuple[int, int], tuple[int, int]]:
        """(width, height) in pixels before and after the crop, of the upright picture or of the stored one."""
        crop = (self.box[2] - self.box[0], self.box[3] - self.box[1])
        if upright:
            return self.size, crop
        return (
            self.size[::-1] if self.before in _SIDEWAYS else self.size,
            crop[::-1] if self.after in _SIDEWAYS else crop,
        )

    def rectangle(self, region: Rectangle, *, upright: bool = False, clip: bool = True) -> Rectangle | None:
        """Where a rectangle lies in the crop, both in fractions; None where at least half of it is not in the crop.

        A rectangle without a width or height is a line or a point.

        Args:
            upright: whether the fractions are of the upright picture (and then of the upright crop), not the stored.
            clip: cut the rectangle to the crop; else its edges may lie outside [0, 1].
        """
        x1, y1, x2, y2 = self._mapped(region, upright=upright)
        if _share(x1, x2) * _share(y1, y2) < _MOST - 1e-9:
            return None
        if clip:
            x1, x2, y1, y2 = max(x1, 0.0), min(x2, 1.0), max(y1, 0.0), min(y2, 1.0)
        return to_stored((x1, y1, x2, y2), _UNIT, 1 if upright else self.after)

    def point(self, x: float, y: float, *, upright: bool = False, clip: bool = True) -> tuple[float, float]:
        """Where a point lies in the crop, both in fractions; at its edge where it is outside. See `rectangle`."""
        x, y, _, _ = self._mapped((x, y, x, y), upright=upright)
        if clip:
            x, y = min(max(x, 0.0), 1.0), min(max(y, 0.0), 1.0)
        return to_stored((x, y, x, y), _UNIT, 1 if upright else self.after)[:2]

    def _mapped(self, region: Rectangle, *, upright: bool) -> Rectangle:
        """A rectangle in fractions of the upright crop, not cut."""
        x1, y1, x2, y2 = to_stored(region, _UNIT, 1 if upright else _INVERSE.get(self.before, self.before))
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

        Args:
            values: pixels of the stored picture: x, y of a point; with a diameter, or with a width and a height.
        """
        if len(values) not in (2, 3, 4):
            return None
        x, y, *extent = values
        wide, high = extent if len(extent) == 2 else extent * 2 or (0, 0)
        (width, height), crop = self.frames(upright=False)
        region = (x - wide / 2) / width, (y - high / 2) / height, (x + wide / 2) / width, (y + high / 2) / height
        moved = self.rectangle(region, clip=len(extent) == 2)
        if moved is None:
            return None
        x1, x2, y1, y2 = moved[0] * crop[0], moved[2] * crop[0], moved[1] * crop[1], moved[3] * crop[1]
        return tuple(round(value) for value in ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)[: len(values)])


def _share(low: float, high: float) -> float:
    """The part of [low, high] that lies in [0, 1]."""
    if high <= low:
        return float(0 <= low <= 1)
    return max(min(high, 1) - max(low, 0), 0.0) / (high - low)


def are_upright(properties: Iterable[Node], cut: Cut) -> bool:
    """Whether regions are in the upright frame: where what they are applied to has its shape, not the stored one's."""
    if cut.before not in _SIDEWAYS:
        return False
    for node in properties:
        wide, high = _applied_to(node)
        if node.name in _LISTS and wide and high:
            width, height = cut.size
            return abs(wide * height - high * width) < abs(wide * width - high * height)
    return False


def move(packet: Packet, node: Node, cut: Cut, upright: bool) -> None:
    """Move the regions of a property with the box; those of which at least half is outside go.

    Args:
        node: one of a packet's properties; one that states no regions stays as it is.
        upright: what `are_upright` says of the packet.
    """
    if node.name in _LISTS:
        _move_list(packet, node, cut, upright)
    elif node.name == _MICROSOFT:
        items = _items(_local(node).get("Regions"))
        _keep(packet, node, [(item, _move_people(packet, _local(item), cut, upright)) for item in items])
    elif node.name == _IPTC:
        _keep(packet, node, [(item, _move_boundary(packet, item, cut, upright)) for item in node.items()])
    elif node.name in _SUBJECTS:
        _move_subject(packet, node, cut)


def _applied_to(info: Node) -> tuple[float | None, float | None]:
    sides = _local(_local(info).get("AppliedToDimensions"))
    return _real(sides.get("w")), _real(sides.get("h"))


def _move_list(packet: Packet, info: Node, cut: Cut, upright: bool) -> None:
    """The regions of the Metadata Working Group's form: a list, and what size of picture it was applied to."""
    before, after = cut.frames(upright=upright)
    old = tuple(side or known for side, known in zip(_applied_to(info), before, strict=True))
    new = tuple(side * crop / whole for side, crop, whole in zip(old, after, before, strict=True))
    kept = []
    for item in _items(_local(info).get("RegionList")):
        places = _local(item)
        found = [places[name] for name in _LISTS[info.name] if name in places]
        gone = [area for area in found if not _move_area(packet, _local(area), (old, new), cut, upright)]
        kept.append((item, not found or len(gone) < len(found)))
        for area in gone:
            packet.remove(area)
    if _keep(packet, info, kept):
        sides = _local(_local(info).get("AppliedToDimensions"))
        for side, value in zip(("w", "h"), new, strict=True):
            if side in sides:
                packet.set(sides[side], _number(value))


def _move_area(
    packet: Packet, nodes: Mapping[str, Node], sizes: tuple[tuple[float, ...], ...], cut: Cut, upright: bool
) -> bool:
    """One area (x, y of its centre; w, h, or the diameter d of a circle); False where it is outside."""
    old, new = sizes if "unit" in nodes and nodes["unit"].value == "pixel" else ((1.0, 1.0), (1.0, 1.0))
    x, y = _real(nodes.get("x")), _real(nodes.get("y"))
    if x is None or y is None:
        return True
    diameter = _real(nodes.get("d"))
    wide, high = _real(nodes.get("w")) or 0.0, _real(nodes.get("h")) or 0.0
    if diameter is not None:
        # fractions of the picture's shorter side
        before = cut.frames(upright=upright)[0]
        wide, high = (diameter * min(before) / side for side in before) if old == (1.0, 1.0) else (diameter, diameter)
    region = ((x - wide / 2) / old[0], (y - high / 2) / old[1], (x + wide / 2) / old[0], (y + high / 2) / old[1])
    moved = cut.rectangle(region, upright=upright, clip=diameter is None)
    if moved is None:
        return False
    values = {
        "x": (moved[0] + moved[2]) / 2 * new[0],
        "y": (moved[1] + moved[3]) / 2 * new[1],
        "w": (moved[2] - moved[0]) * new[0],
        "h": (moved[3] - moved[1]) * new[1],
    }
    if diameter is not None:
        after = cut.frames(upright=upright)[1]
        scale = 1.0 if old != (1.0, 1.0) else min(before) / min(after)
        values["d"] = diameter * scale
    for name, value in values.items():
        if name in nodes:
            packet.set(nodes[name], _number(value))
    return True


def _move_people(packet: Packet, region: Mapping[str, Node], cut: Cut, upright: bool) -> bool:
    """Microsoft's region: "left, top, width, height" in fractions; a person without a place stays."""
    node = region.get("Rectangle")
    values = [_real(part) for part in (node.value.split(",") if node else ())]
    if node is None or len(values) != 4 or None in values:
        return True
    left, top, wide, high = (value or 0.0 for value in values)
    moved = cut.rectangle((left, top, left + wide, top + high), upright=upright)
    if moved is not None:
        sides = (moved[0], moved[1], moved[2] - moved[0], moved[3] - moved[1])
        packet.set(node, ", ".join(map(_number, sides)))
    return moved is not None


def _move_boundary(packet: Packet, item: Node, cut: Cut, upright: bool) -> bool:
    """IPTC's region: a rectangle from its corner, a circle about its centre, or a polygon; one without a place stays.

    A polygon's points outside the crop go to its edge.
    """
    boundary = _local(_local(item).get("RegionBoundary"))
    (width, height), (new_width, new_height) = frames = cut.frames(upright=upright)
    if "rbUnit" not in boundary or boundary["rbUnit"].value != "pixel":
        width, height, new_width, new_height = 1, 1, 1, 1
    points = [_local(point) for point in _items(boundary.get("rbVertices"))] or [boundary]
    found = [(_real(point.get("rbX")), _real(point.get("rbY"))) for point in points]
    xs = [x / width for x, _ in found if x is not None]
    ys = [y / height for _, y in found if y is not None]
    if min(len(xs), len(ys)) < len(points):
        return True
    radius = (_real(boundary.get("rbRx")) or 0.0) / width
    down = radius * frames[0][0] / frames[0][1]  # the radius in fractions of the height
    wide, high = (_real(boundary.get("rbW")) or 0.0) / width, (_real(boundary.get("rbH")) or 0.0) / height
    region = (min(xs) - radius, min(ys) - down, max(xs) + radius + wide, max(ys) + down + high)
    moved = cut.rectangle(region, upright=upright, clip=not radius)
    if moved is None:
        return False
    values = {"rbW": (moved[2] - moved[0]) * new_width, "rbH": (moved[3] - moved[1]) * new_height}
    if radius:
        middle = ((moved[0] + moved[2]) / 2 * new_width, (moved[1] + moved[3]) / 2 * new_height)
        values = {"rbX": middle[0], "rbY": middle[1], "rbRx": (moved[2] - moved[0]) / 2 * new_width}
    elif points == [boundary]:
        values |= {"rbX": moved[0] * new_width, "rbY": moved[1] * new_height}
    for point, x, y in zip(points if points != [boundary] else (), xs, ys, strict=False):
        x, y = cut.point(x, y, upright=upright)
        packet.set(point["rbX"], _number(x * new_width))
        packet.set(point["rbY"], _number(y * new_height))
    for name, value in values.items():
        if name in boundary:
            packet.set(boundary[name], _number(value))
    return True


def _move_subject(packet: Packet, node: Node, cut: Cut) -> None:
    items = node.items()
    values = [_real(item) for item in items]
    if not items or None in values:
        return
    moved = cut.subject([round(value or 0) for value in values])
    if moved is None:
        packet.remove(node)
    else:
        for item, value in zip(items, moved, strict=True):
            packet.set(item, str(value))


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
