"""XMP and Photoshop's image resources ("8BIM" blocks) as they are true of a crop. Pure.

Sizes are set, regions, paths and guides move with the box or go, and what else a crop makes untrue goes.

Sources: XMP specification, parts 1 to 3 (ISO 16684); Guidelines For Handling Image Metadata 2.0 (Metadata Working
Group), "Image Regions"; IPTC Photo Metadata Standard, "Image Region"; Microsoft, "People Tagging Overview"; Photo
Sphere XMP Metadata, Motion Photo format and Dynamic Depth (Google); exiftool's tables of the other namespaces;
Photoshop File Formats Specification (Adobe), "Image Resource Blocks", "Path resource format" and "Grid and guides
resource format".
"""

import hashlib
import re
import struct

from pickroom.images.crops import regions
from pickroom.images.crops.rdf import Node, Packet, PacketError
from pickroom.images.crops.regions import Cut

_TIFF, _EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
_XMP, _NOTE = "http://ns.adobe.com/xap/1.0/", "http://ns.adobe.com/xmp/note/"
_CRS, _SNAPSHOTS = "http://ns.adobe.com/camera-raw-settings/1.0/", "http://ns.adobe.com/camera-raw-saved-settings/1.0/"
_GOOGLE = "http://ns.google.com/photos"

_SIZES = {
    f"{_TIFF} ImageWidth": 0,
    f"{_TIFF} ImageLength": 1,
    f"{_TIFF} ImageHeight": 1,  # no name of the specification, but written
    f"{_EXIF} PixelXDimension": 0,
    f"{_EXIF} PixelYDimension": 1,
}
_ORIENTATION = f"{_TIFF} Orientation"
# namespaces that speak of the whole frame: spheres, and pictures within the packet that show all of it
_WHOLE_FRAME = tuple(f"{_GOOGLE}/1.0/{name}/" for name in ("panorama", "depthmap", "image", "focus"))
_LEFT_OUT = {
    f"{_GOOGLE}/1.0/panorama/".encode(): "panorama data (GPano)",
    f"{_GOOGLE}/1.0/depthmap/".encode(): "depth map (GDepth)",
    f"{_GOOGLE}/1.0/image/".encode(): "second picture (GImage)",
}
# namespaces and names that point at bytes behind the picture
_BEHIND = (f"{_GOOGLE}/1.0/container/", f"{_GOOGLE}/dd/1.0/container/", f"{_GOOGLE}/dd/1.0/device/")
_VIDEO = re.compile(
    r"http://ns\.google\.com/photos/1\.0/camera/ (MicroVideo|MotionPhoto)"
    r"|http://ns\.oplus\.com/photos/1\.0/camera/ (MotionPhoto|OLivePhoto|VideoLength)"
)
_PREVIEWS = (f"{_XMP} Thumbnails", f"{_XMP} PageInfo")
# boxes in the picture before the crop, Image Composite Editor's angles of a panorama, Xiaomi's place of a watermark
_BOXES = re.compile(
    r"http://ns\.adobe\.com/camera-raw-settings/1\.0/ (HasCrop|Crop)"
    r"|http://ns\.camerabits\.com/photomechanic/1\.0/ Crop"
    r"|http://ns\.apple\.com/adjustment-settings/1\.0/ Crop"
    r"|http://ns\.microsoft\.com/photo/1\.1/? PanoramicStitch"
    r"|http://ns\.xiaomi\.com/photos/1\.0/camera/ XMPMeta"
)
# Camera Raw's settings at places in the picture: history where they are applied, wrong where they are still to be
_PLACED = re.compile(re.escape(_CRS) + r" (\w*BasedCorrections|Retouch|RedEyeInfo|Upright)")
_APPLIED = f"{_CRS} AlreadyApplied"
PREFIX = b"http://ns.adobe.com/xap/1.0/\0"  # of XMP in a segment of a JPEG (part 3, 1.1.3)
EXTENDED = f"{_NOTE} HasExtendedXMP"
_NAMES = re.compile(  # of what is changed here, for packets that cannot be read
    rb"ImageWidth|ImageLength|ImageHeight|Pixel[XY]Dimension|Subject(Area|Location)|photos/1\.0/(panorama|depthmap|image|focus|cont)"
    rb"|Thumbnails|PageInfo|HasCrop|CropTop|RegionList|RegionInfo|ImageRegion|MotionPhoto|MicroVideo|PanoramicStitch"
)
# image resources of Photoshop
_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")
# thumbnails of Photoshop 4 and 5, and slices, which tile the whole picture
_UNTRUE = (1033, 1036, 1050)
_GUIDES, _XMP_RESOURCE = 1032, 1060
_PATHS = (1025, *range(2000, 2998))
_KNOTS = (1, 2, 4, 5)  # selectors of path records that hold points
_RECORD = 26  # bytes of a path record
_ONE = 1 << 24  # 1 in the fixed point numbers of paths: fractions of the picture
_PER_PIXEL = 32  # guides are in these parts of a pixel


def after_crop(packet: bytes, cut: Cut) -> bytes:
    """A packet as it is true of the crop; one in which nothing changes is given back byte for byte.

    Raises PacketError where it cannot be read, and names something that a crop changes.
    """
    return jpeg_after_crop(packet, b"", cut)[0]


def jpeg_after_crop(packet: bytes, extension: bytes, cut: Cut) -> tuple[bytes, bytes]:
    """A packet and the extended XMP that it names (part 3, 1.1.3.1), "" without any; raises as `after_crop`.

    An extension that says nothing any more is "", and its name goes from the packet.
    """
    try:
        main, extended = Packet(packet), Packet(extension) if extension else None
    except PacketError as error:
        if _NAMES.search((packet + extension).replace(b"\0", b"")):
            raise PacketError(f"its XMP, which speaks of the whole picture, cannot be read: {error}") from error
        return packet, extension
    properties = main.properties()
    applied = any(node.name == _APPLIED and node.value.lower() == "true" for node in properties)
    _change(main, cut, applied=applied)
    if extended is not None:
        _change(extended, cut, applied=applied)
        changed = extended.content() if extended.says_something() else b""
        for node in properties if changed != extension else ():
            if node.name == EXTENDED and changed:
                main.set(node, guid(changed))
            elif node.name == EXTENDED:
                main.remove(node)
        extension = changed
    return main.content(), extension


def left_out(data: bytes) -> list[str]:
    """What a crop of a file with this content cannot have of its XMP, for the user to be told."""
    return [said for mark, said in _LEFT_OUT.items() if mark in data]


def named_extension(packet: bytes) -> str:
    """The GUID of the extended XMP that a packet names, "" where it names none or cannot be read."""
    try:
        return next((node.value for node in Packet(packet).properties() if node.name == EXTENDED), "")
    except PacketError:
        return ""


def guid(extension: bytes) -> str:
    """What an extended packet is called: its MD5 as 32 hexadecimal digits (part 3, 1.1.3.1)."""
    return hashlib.md5(extension, usedforsecurity=False).hexdigest().upper()


def _change(packet: Packet, cut: Cut, *, applied: bool) -> None:
    properties = packet.properties()
    frame = regions.frame_of(properties, cut)
    for node in properties:
        namespace = node.name.rpartition(" ")[0]
        if node.name in _SIZES:
            packet.set(node, str(cut.stored_size[_SIZES[node.name]]))
        elif node.name == _ORIENTATION and cut.before != cut.after:
            packet.set(node, str(cut.after))
        elif (
            namespace in _WHOLE_FRAME
            or node.name in _PREVIEWS
            or _is_box(node, applied)
            or (not cut.trailer and (namespace in _BEHIND or _VIDEO.match(node.name)))
        ):
            packet.remove(node)
        elif namespace == _SNAPSHOTS:  # settings that Camera Raw can go back to
            for inner in node.walk():
                if _is_box(inner, applied):
                    packet.remove(inner)
        else:
            regions.move(packet, node, cut, frame)


def _is_box(node: Node, applied: bool) -> bool:
    return bool(_BOXES.match(node.name)) or (not applied and bool(_PLACED.match(node.name)))


def resources_after_crop(resources: bytes, cut: Cut) -> bytes:
    """Photoshop's resources without previews and slices, paths and guides moved with the picture.

    What cannot be followed stays. Raises PacketError as `after_crop`, for a packet among them.
    """
    kept, at = bytearray(), 0
    while resources[at : at + 4] in _SIGNATURES and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        data_at = at + 6 + (resources[at + 6] + 2 & ~1)  # a Pascal string, padded to even
        if data_at + 4 > len(resources):
            break
        (length,) = struct.unpack_from(">I", resources, data_at)
        end = data_at + 4 + (length + 1 & ~1)
        content = resources[data_at + 4 : data_at + 4 + length]
        changed = content
        if len(content) == length and number in _PATHS:
            records = (content[place : place + _RECORD] for place in range(0, length, _RECORD))
            changed = b"".join(_moved_record(record, cut) for record in records)
        elif len(content) == length and number in (_GUIDES, _XMP_RESOURCE):
            changed = (_moved_guides if number == _GUIDES else after_crop)(content, cut)
        if number in _UNTRUE:
            pass
        elif changed == content:
            kept += resources[at:end]
        else:
            kept += resources[at:data_at] + struct.pack(">I", len(changed)) + changed + bytes(len(changed) % 2)
        at = end
    return bytes(kept) + resources[at:]


def _moved_record(record: bytes, cut: Cut) -> bytes:
    """A path's record: of a knot three points, each its vertical and its horizontal place."""
    if len(record) < _RECORD or struct.unpack_from(">H", record)[0] not in _KNOTS:
        return record
    numbers = struct.unpack_from(">6i", record, 2)
    moved: list[int] = []
    for down, across in zip(numbers[::2], numbers[1::2], strict=True):
        x, y = cut.point(across / _ONE, down / _ONE, clip=False)
        moved += (min(max(round(side * _ONE), -(1 << 31)), (1 << 31) - 1) for side in (y, x))
    return record[:2] + struct.pack(">6i", *moved)


def _moved_guides(content: bytes, cut: Cut) -> bytes:
    """Grid and guides: a head of 12 bytes, their number, and each guide's place and direction (0 vertical)."""
    count = int.from_bytes(content[12:16])
    if len(content) != 16 + 5 * count:
        return content
    guides = []
    for place, direction in struct.iter_unpack(">iB", content[16:]):
        axis = 0 if direction == 0 else 1
        fraction = place / _PER_PIXEL / cut.source_size[axis]
        moved = cut.point(fraction, fraction, clip=False)[axis]
        if 0 <= moved <= 1:
            guides.append(struct.pack(">iB", round(moved * cut.stored_size[axis] * _PER_PIXEL), direction))
    return content[:12] + struct.pack(">I", len(guides)) + b"".join(guides)
