"""One XMP packet: ratings, labels and crops set in it, every other property as it was. Pure: bytes in, bytes out.

Sources: XMP specification, part 1 (ISO 16684-1; RDF forms, 7.4) and part 3, 1.2 (sidecars). xmp:Rating -1 means
rejected, 0 none, 1..5 stars (part 2, xmp namespace). The crop's names and their frame, the stored picture before its
Orientation, are Camera Raw's as darktable reads them (darktable, src/develop/lightroom.c): it wants HasCrop "True",
the edges as fractions, and tiff:ImageWidth, ImageLength and Orientation next to them. Flags: xmpDM:pick (1, -1) and
xmpDM:good are what Lightroom Classic writes from version 13.2 on; digiKam has digiKam:PickLabel (1 rejected, 3
accepted) and digiKam:ColorLabel.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pickroom.core.geometry import SIDEWAYS, round_half_up, to_stored
from pickroom.core.naming import extension_of
from pickroom.core.records import CropBox
from pickroom.images.crops.rdf import RDF, Node, Packet, PacketError

__all__ = ["RDF", "PacketError", "StoredFrame", "crop", "merge", "properties", "rating"]

XMP = "http://ns.adobe.com/xap/1.0/"
CRS = "http://ns.adobe.com/camera-raw-settings/1.0/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
XMP_DM = "http://ns.adobe.com/xmp/1.0/DynamicMedia/"
DIGIKAM = "http://www.digikam.org/ns/1.0/"
_PREFIXES = {XMP: "xmp", CRS: "crs", TIFF: "tiff", XMP_DM: "xmpDM", DIGIKAM: "digiKam"}
_COLOURS = {"Red": "1", "Yellow": "3", "Green": "4"}  # digiKam's numbers
_ENCODING = re.compile(r"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")

Properties = Mapping[tuple[str, str], str]  # (namespace, name) -> value
# which file a sidecar is of: its extension (Lightroom, Bridge), its name (Camera Raw)
_NAMED: Properties = {(PHOTOSHOP, "SidecarForExtension"): "", (CRS, "RawFileName"): ""}
NO_CROP: Properties = {(CRS, "HasCrop"): "False"}

_NEW = f"""<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Pickroom">
 <rdf:RDF xmlns:rdf="{RDF}">
  <rdf:Description rdf:about=""/>
 </rdf:RDF>
</x:xmpmeta>
"""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """What a crop's numbers refer to: the upright size in pixels, and the file's EXIF orientation (1..8)."""

    width: int
    height: int
    orientation: int = 1


def rating(stars: int, label: str | None, picked: bool | None = None) -> dict[tuple[str, str], str]:
    """xmp:Rating; the label and the flag where they are given, each as Adobe's programs and as digiKam have them.

    Args:
        label: one of Camera Raw's English names, as in `_COLOURS`.
        picked: True for a pick, False for a reject.
    """
    found = {(XMP, "Rating"): str(stars)}
    if label is not None:
        found |= {(XMP, "Label"): label, (DIGIKAM, "ColorLabel"): _COLOURS[label]}
    if picked is not None:
        found |= {(XMP_DM, "pick"): "1" if picked else "-1", (XMP_DM, "good"): str(picked).lower()}
        found[DIGIKAM, "PickLabel"] = "3" if picked else "1"
    return found


def crop(box: CropBox, frame: StoredFrame) -> dict[tuple[str, str], str]:
    """The crs:Crop* properties of a box, and the tiff ones that say which frame it is in.

    `box` is in fractions of the EXIF-upright image, and written in those of the stored one.
    """
    left, top, right, bottom = to_stored((box.x1, box.y1, box.x2, box.y2), (1.0, 1.0), frame.orientation)
    edges = {"CropTop": top, "CropLeft": left, "CropBottom": bottom, "CropRight": right}
    size = (frame.width, frame.height)
    width, height = size[::-1] if frame.orientation in SIDEWAYS else size
    return {
        **{(CRS, name): _number(value) for name, value in edges.items()},
        (CRS, "CropAngle"): "0",
        (CRS, "HasCrop"): "True",
        (TIFF, "ImageWidth"): str(width),
        (TIFF, "ImageLength"): str(height),
        (TIFF, "Orientation"): str(frame.orientation),
    }


def keep_frame(packet: bytes | None, wanted: Properties) -> Properties:
    """What is wanted without the tiff properties that a RAW file's packet has: the user may have turned it elsewhere.

    The crop stays true: it is in the frame of the sensor. Raises PacketError.
    """
    said = properties(packet, wanted) if packet is not None else {}
    return {key: value for key, value in wanted.items() if key[0] != TIFF or key not in said}


def merge(packet: bytes | None, wanted: Properties) -> bytes:
    """A packet with these properties, all else in it byte for byte; None begins a new one.

    Raises PacketError where it is not XMP in UTF-8.
    """
    if packet is None:
        packet = _NEW.encode()
    try:
        declared = _ENCODING.match(packet.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise PacketError("it is not in UTF-8") from None
    # XMP is Unicode (part 1, 7.1): what is added would not be in the encoding that a packet says
    if declared and declared[1].lower() not in ("utf-8", "utf8"):
        raise PacketError("it says that it is not in UTF-8")
    if b"\0" in packet:
        raise PacketError("it is not XML")
    if properties(packet, wanted) == dict(wanted):
        return packet
    read = Packet(packet)
    for node in read.properties():
        if _key(node) in wanted:
            read.remove(node)
    read.add(wanted, _PREFIXES)
    merged = read.content()
    if properties(merged, wanted) != dict(wanted):
        raise PacketError("it holds something that hides what would be added")
    return merged


def properties(packet: bytes, wanted: Properties) -> dict[tuple[str, str], str]:
    """The values that a packet holds of these properties, attributes and plain elements alike; raises PacketError.

    Only of the picture itself: a saved snapshot of it has a description, and crops, of its own further in.
    """
    return {_key(node): node.value for node in Packet(packet).properties() if _key(node) in wanted}


def names_another(packet: bytes, filename: str, others: Collection[str]) -> bool:
    """Whether a sidecar of an image's stem says that it is of another file; raises PacketError.

    Args:
        others: the names of the files in its folder. A missing file of the image's own format does not count:
            Camera Raw's names stay when a file is renamed.
    """
    said = properties(packet, _NAMED)
    extension, name = (said.get(key, "") for key in _NAMED)
    own = extension_of(filename)
    if extension and extension.lower() != own:
        return True
    return bool(name) and name != filename and (name in others or extension_of(name) != own)


def _key(node: Node) -> tuple[str, str]:
    namespace, _, name = node.name.rpartition(" ")
    return namespace, name


def _number(value: float) -> str:
    """A fraction as Camera Raw writes it: six places, no exponent, no trailing zeros."""
    return f"{round_half_up(value * 1e6) / 1e6:.6f}".rstrip("0").rstrip(".")
