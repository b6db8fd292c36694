"""One XMP packet: ratings, labels and crops set in it, every other property as it was. Pure: bytes in, bytes out.

Sources: XMP specification, part 1 (ISO 16684-1; RDF forms, 7.4) and part 3, 1.2 (sidecars). xmp:Rating -1 means
rejected, 0 none, 1..5 stars (part 2, xmp namespace). The crop's names and their frame, the stored picture before its
Orientation, are Camera Raw's as darktable reads them (darktable, src/develop/lightroom.c): it wants HasCrop "True",
the edges as fractions, and tiff:ImageWidth, ImageLength and Orientation beside them.
"""

import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from xml.dom import XMLNS_NAMESPACE, Node, minidom
from xml.parsers.expat import ExpatError

from pickroom.core.geometry import round_half_up, to_stored
from pickroom.core.naming import extension_of
from pickroom.core.records import CropBox

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
XMP = "http://ns.adobe.com/xap/1.0/"
CRS = "http://ns.adobe.com/camera-raw-settings/1.0/"
TIFF = "http://ns.adobe.com/tiff/1.0/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
_PREFIXES = {XMP: "xmp", CRS: "crs", TIFF: "tiff"}
_BREAKS = {9: "\ue009", 10: "\ue00a", 13: "\ue00d"}  # tab, line feed, carriage return
_ENCODING = re.compile(r"""\s*<\?xml\s[^>]*?\bencoding\s*=\s*["']([^"']*)["']""")
_DEEPEST = 100  # elements within elements; what writes them back calls itself for each
_MOST_PARTS = 50_000  # elements and attributes: Camera Raw's have some thousands, and merging takes seconds for these
_SIDEWAYS = (5, 6, 7, 8)  # Exif 2.32, table 4: orientations that swap width and height

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


class PacketError(ValueError):
    """A packet that cannot be merged into without risk to what it holds; the message says why."""


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """What a crop's numbers refer to: the upright size in pixels, and the file's EXIF orientation (1..8)."""

    width: int
    height: int
    orientation: int = 1


def rating(stars: int, label: str | None) -> dict[tuple[str, str], str]:
    """xmp:Rating and, where one is given, xmp:Label."""
    found = {(XMP, "Rating"): str(stars)}
    return found | {(XMP, "Label"): label} if label is not None else found


def crop(box: CropBox, frame: StoredFrame) -> dict[tuple[str, str], str]:
    """The crs:Crop* properties of a box, and the tiff ones that say which frame it is in.

    Args:
        box: fractions of the EXIF-upright image; written as fractions of the stored one.
    """
    left, top, right, bottom = to_stored((box.x1, box.y1, box.x2, box.y2), (1.0, 1.0), frame.orientation)
    edges = {"CropTop": top, "CropLeft": left, "CropBottom": bottom, "CropRight": right}
    size = (frame.width, frame.height)
    width, height = size[::-1] if frame.orientation in _SIDEWAYS else size
    return {
        **{(CRS, name): _number(value) for name, value in edges.items()},
        (CRS, "CropAngle"): "0",
        (CRS, "HasCrop"): "True",
        (TIFF, "ImageWidth"): str(width),
        (TIFF, "ImageLength"): str(height),
        (TIFF, "Orientation"): str(frame.orientation),
    }


def merge(packet: bytes | None, wanted: Properties) -> bytes:
    """A packet with these properties, and all others of the one given; None begins a new one.

    Raises:
        PacketError: it is no XMP in UTF-8, or could not be written back as it was.
    """
    if packet is None:
        packet = _NEW.encode()
    try:
        text = packet.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise PacketError("it is not in UTF-8") from None
    document = _parse(text)
    if properties(packet, wanted) == dict(wanted):
        return packet
    try:
        description = _strip(document, wanted)
        for (namespace, name), value in wanted.items():
            description.setAttributeNS(namespace, f"{_prefix(description, namespace)}:{name}", value)
        merged = _text(document, text)
    finally:
        document.unlink()
    if _others(merged, wanted) != _others(text, wanted) or properties(merged.encode(), wanted) != dict(wanted):
        raise PacketError("it holds something that would not be written back as it is")
    return merged.encode()


def properties(packet: bytes, wanted: Properties) -> dict[tuple[str, str], str]:
    """The values that a packet holds of these properties, attributes and plain elements alike; raises PacketError.

    Only of the picture itself: a saved snapshot of it has a description, and crops, of its own further in.
    """
    try:
        root = ElementTree.fromstring(packet)
    except ElementTree.ParseError as error:
        raise PacketError(f"it is no XML ({error})") from None
    found: dict[tuple[str, str], str] = {}
    if root.tag == f"{{{RDF}}}RDF":  # the wrapper x:xmpmeta is optional (part 1, 7.3.3)
        root = _wrapped(root)
    for description in root.iterfind(f".//{{{RDF}}}RDF/{{{RDF}}}Description"):
        for namespace, name in wanted:
            tag = f"{{{namespace}}}{name}"
            value = description.get(tag, description.findtext(tag))
            if value is not None:
                found[namespace, name] = value
    return found


def names_another(packet: bytes, filename: str, others: Collection[str]) -> bool:
    """Whether a sidecar of an image's stem says that it is of another file; raises PacketError.

    Args:
        others: the names of the files in its folder. A file of the image's own format that is not there is no other:
            Camera Raw's names stay when a file is renamed.
    """
    said = properties(packet, _NAMED)
    extension, name = (said.get(key, "") for key in _NAMED)
    own = extension_of(filename)
    if extension and extension.lower() != own:
        return True
    return bool(name) and name != filename and (name in others or extension_of(name) != own)


def _wrapped(root: ElementTree.Element) -> ElementTree.Element:
    outer = ElementTree.Element("xmpmeta")
    outer.append(root)
    return outer


def _parse(text: str) -> minidom.Document:
    # no document type belongs in XMP (part 1, 7.3.1), and entities are how a file can stand for endless text
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise PacketError("it has a document type")
    # XMP is Unicode (part 1, 7.1); bytes that are UTF-8 and say that they are something else would come back changed
    declared = _ENCODING.match(text)
    if declared and declared[1].lower() not in ("utf-8", "utf8"):
        raise PacketError("it says that it is not in UTF-8")
    try:
        bounds = ElementTree.XMLParser(target=_Bounds())
        bounds.feed(text)
        bounds.close()
        return minidom.parseString(text.encode())
    except (ExpatError, ElementTree.ParseError) as error:
        raise PacketError(f"it is no XML ({error})") from None


class _Bounds:
    """A parser's target that keeps nothing, and raises PacketError for a packet that would take too long to merge."""

    def __init__(self) -> None:
        self.depth = self.parts = 0

    def start(self, tag: str, attributes: Mapping[str, str]) -> None:
        self.depth += 1
        self.parts += 1 + len(attributes)
        if self.depth > _DEEPEST:
            raise PacketError("it is nested too deeply")
        if self.parts > _MOST_PARTS:
            raise PacketError(f"it holds more than {_MOST_PARTS:,} elements and attributes")

    def end(self, tag: str) -> None:
        self.depth -= 1

    def close(self) -> None:
        """Nothing was built."""


def _strip(document: minidom.Document, wanted: Properties) -> minidom.Element:
    """Take these properties out wherever they stand; the description to write them into."""
    blocks = document.getElementsByTagNameNS(RDF, "RDF")
    if len(blocks) != 1:
        raise PacketError("it holds no XMP")
    own = [
        node
        for node in blocks[0].childNodes
        if node.nodeType == Node.ELEMENT_NODE and (node.namespaceURI, node.localName) == (RDF, "Description")
    ]
    for description in own:
        for namespace, name in wanted:
            if description.hasAttributeNS(namespace, name):
                description.removeAttributeNS(namespace, name)
            for child in list(description.childNodes):
                if child.nodeType == Node.ELEMENT_NODE and (child.namespaceURI, child.localName) == (namespace, name):
                    description.removeChild(child).unlink()
    if own:
        return own[0]
    prefix = blocks[0].prefix or "rdf"
    made = document.createElementNS(RDF, f"{prefix}:Description")
    made.setAttributeNS(RDF, f"{prefix}:about", "")
    return blocks[0].appendChild(made)


def _prefix(description: minidom.Element, namespace: str) -> str:
    """A prefix that stands for the namespace here: one in scope, else declared on the description."""
    scope: dict[str, str] = {}
    node: minidom.Node | None = description
    while isinstance(node, minidom.Element):
        for attribute in node.attributes.values():
            if attribute.prefix == "xmlns":
                scope.setdefault(attribute.localName, attribute.value)
        node = node.parentNode
    for prefix, uri in scope.items():
        if uri == namespace:
            return prefix
    prefix = _PREFIXES[namespace]
    while prefix in scope:
        prefix += "_"
    description.setAttributeNS(XMLNS_NAMESPACE, f"xmlns:{prefix}", namespace)
    return prefix


def _text(document: minidom.Document, before: str) -> str:
    """The document as text; minidom forgets only the line breaks between its outermost parts.

    Before Python 3.13 it also writes breaks within attributes bare, which XML reads back as spaces: so they go out as
    characters of the private use area.
    """
    for element in document.getElementsByTagName("*"):
        for attribute in element.attributes.values():
            attribute.value = (attribute.value or "").translate(_BREAKS)  # None: xmlns=""
    declaration = "".join(before.partition("?>")[:2]) + "\n" if before.lstrip().startswith("<?xml ") else ""
    body = "\n".join(node.toxml() for node in document.childNodes) + "\n"
    for code, mark in _BREAKS.items():
        body = body.replace(mark, f"&#{code};")
    return declaration + body


def _others(text: str, wanted: Properties) -> str:
    """Everything but these properties, in one canonical form: two packets that agree differ in nothing else."""
    tags = {f"{{{namespace}}}{name}" for namespace, name in wanted}
    root = ElementTree.fromstring(text)
    empty = []
    for block in root.iter(f"{{{RDF}}}RDF"):
        for description in block.findall(f"{{{RDF}}}Description"):
            for child in [child for child in description if child.tag in tags]:
                description.remove(child)
            for name in tags & set(description.attrib):
                del description.attrib[name]
            if not len(description) and set(description.attrib) <= {f"{{{RDF}}}about"}:
                empty.append((block, description))
    for block, description in empty:  # one that was made for our properties, or held nothing else
        block.remove(description)
    return ElementTree.canonicalize(ElementTree.tostring(root, encoding="unicode"), strip_text=True)


def _number(value: float) -> str:
    """A fraction as Camera Raw writes it: six places, no exponent, no trailing zeros."""
    return f"{round_half_up(value * 1e6) / 1e6:.6f}".rstrip("0").rstrip(".")
