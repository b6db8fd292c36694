"""XMP as it is true of a crop: sizes are set, regions move with the box or go, the rest of it goes. Pure.

Sources: XMP specification, parts 1 to 3 (ISO 16684); Guidelines For Handling Image Metadata 2.0 (Metadata Working
Group), "Image Regions"; IPTC Photo Metadata Standard, "Image Region"; Microsoft, "People Tagging Overview"; Photo
Sphere XMP Metadata, Motion Photo format and Dynamic Depth (Google); exiftool's tables of the other namespaces.
"""

import hashlib
import re

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


def after_crop(packet: bytes, cut: Cut) -> bytes:
    """A packet as it is true of the crop; one in which nothing changes is given back byte for byte.

    Raises:
        PacketError: it cannot be read, and names something that a crop changes.
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
