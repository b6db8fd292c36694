"""JPEG: its segments (ITU-T T.81, annex B), and crops with the source's own ones around newly coded pixels."""

import re
import struct
from typing import Any

from PIL import JpegImagePlugin, MpoImagePlugin

from pickroom.core.geometry import PixelBox
from pickroom.images import decode
from pickroom.images.crops import exif, xmp
from pickroom.images.crops.rdf import PacketError
from pickroom.images.crops.regions import CropError, Cut

Segment = tuple[int, bytes]  # marker, what follows its length

# ITU-T T.81, table B.1
EOI, SOS, COM, APP0, APP14, APP15 = 0xD9, 0xDA, 0xFE, 0xE0, 0xEE, 0xEF
_APP1, _APP2, _APP5, _APP11, _APP13 = 0xE1, 0xE2, 0xE5, 0xEB, 0xED
# A marker behind coded data, where a zero is stuffed behind FF and RSTn belong to the scan (T.81, B.1.1.2 and B.1.1.5);
# between segments, FF may be filled up and anything else is skipped
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_STANDALONE = (0x01, 0xD8)  # TEM, SOI: no length follows
_LONGEST = 65533  # bytes in a segment besides its length
_PHOTOSHOP = b"Photoshop 3.0\0"
_EXTENDED = b"http://ns.adobe.com/xmp/extension/\0"
_EXTENDED_HEAD = len(_EXTENDED) + 40  # a GUID of 32 digits, the length of the whole and the place in it
_EXTENDED_ROOM = 65400  # bytes of extended XMP in a segment (XMP specification, part 3, 1.1.3.1)
# previews in segments that nothing else tells apart (exiftool, JPEG.pm)
_PREVIEW = re.compile(rb"(QVGA\0|BGTH)?\xff\xd8\xff[\xdb\xe0\xe1]")
_NAMED = re.compile(rb"[A-Za-z_]{3}[\w ]*\0")  # how all other segments begin
_PICTURE_INDEX = re.compile(rb"\xff\xe2..MPF\0(?=II|MM)", re.DOTALL)  # offsets count from behind it
_EXIF = re.compile(rb"\xff\xe1(..)Exif\0\0(II|MM)", re.DOTALL)
_MOST_PADDING = 1 << 16  # zeros between the picture and a preview
_JUMBF = b"jumb"  # boxes of APP11 that hold signatures (C2PA), which are true of the uncropped picture alone
_RGB_IDS = [ord(letter) for letter in "RGB"]
_NO_CHROMA_LOST = 0  # 4:4:4
_LEFT = {  # marker -> how segments begin that a crop does not have
    APP0: b"JFXX\0",  # a thumbnail
    _APP2: b"MPF\0",  # offsets of pictures that are not carried
    _APP11: b"JP",  # boxes bound to the coded picture: signatures (C2PA), JPEG XT layers
}


def segments(data: bytes) -> tuple[list[Segment], int, int]:
    """Segments, where the first scan begins, and where the picture ends: of the tables between scans, none.

    Raises struct.error where the file ends within a segment's length.
    """
    found: list[Segment] = []
    at, scans_at = 0, 0
    while place := _MARKER.search(data, at):
        marker, at = place[0][1], place.end()
        if marker == EOI:
            return found, scans_at, at
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker == SOS:
            scans_at = scans_at or place.start()
        elif not scans_at or marker >= APP0:
            found.append((marker, data[at + 2 : at + length]))
        at += length
    return found, scans_at, len(data)


def written(segment: Segment) -> bytes:
    """A segment as it stands in a file."""
    marker, data = segment
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data


def check(image: JpegImagePlugin.JpegImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse further pictures, gain maps and layers, and lossless JPEG (see `crops.Check`)."""
    pictures = []  # behind the first one of an MPO file
    if isinstance(image, MpoImagePlugin.MpoImageFile):
        assert image.mpinfo is not None  # else Pillow would have taken it for a plain JPEG
        pictures = image.mpinfo[0xB002][1:]
    # CIPA DC-007, 5.2.3.3: cameras store larger previews as further pictures; those a crop makes untrue
    if not all(str(entry["Attribute"]["MPType"]).startswith("Large Thumbnail") for entry in pictures):
        raise CropError(f"holds {len(pictures) + 1} pictures (MPO), of which only one would be cropped")
    if any(name == "APP1" and b"hdrgm:Version" in content for name, content in image.applist):
        raise CropError("holds an HDR gain map, which would be lost")
    if not image.quantization:
        raise CropError("lossless JPEG, which would become lossy")
    layers = [content for name, content in image.applist if name == "APP11" and content[:2] == b"JP"]
    if any(content[12:16] != _JUMBF for content in layers):
        raise CropError("holds layers of JPEG XT, which would be lost")
    if image.mode not in ("L", "RGB", "CMYK"):
        raise CropError(f"JPEG of mode {image.mode}")
    head, _, end = segments(data)
    signed = any(marker == _APP11 and content[12:16] == _JUMBF for marker, content in head)
    # what lies behind the end of the picture, but for the larger previews of a camera
    previews = {start: stop for start, stop, _ in _previews(data, end)}
    index = _PICTURE_INDEX.search(data, 0, end)
    places = [(index.end() + entry["DataOffset"], entry["Size"]) for entry in pictures] if index else []
    previews |= {start: max(start + length, previews.get(start, 0)) for start, length in places if start >= end}
    behind = bytearray(data[end:])
    for start in sorted(previews, reverse=True):
        del behind[start - end : previews[start] - end]
    trailer = bytes(behind) if not previews or behind.strip(b"\0") else b""
    return exif.SIGNATURE if signed else "", trailer


def _previews(data: bytes, end: int) -> list[tuple[int, int, list[bytes]]]:
    """(start, end, numbers of EXIF that tell them) of JPEG previews behind the picture, which ends at `end`.

    Cameras of before CIPA DC-007 tell in their maker notes a preview's place, counted from EXIF's header, or its
    length, each in a way of its own: a preview is a JPEG of which one of these numbers is in the EXIF block.
    """
    exif = _EXIF.search(data, 0, end)
    found: list[tuple[int, int, list[bytes]]] = []
    while exif:
        start = end + len(data[end : end + _MOST_PADDING]) - len(data[end : end + _MOST_PADDING].lstrip(b"\0"))
        if not data.startswith(b"\xff\xd8\xff", start):
            break
        stop = start + segments(data[start:])[2]
        code = "<I" if exif[2] == b"II" else ">I"
        block = data[exif.start(2) : exif.start(1) + int.from_bytes(exif[1])]
        numbers = [struct.pack(code, number) for number in (start - exif.start(2), stop - start)]
        told = [number for number in numbers if number in block]
        if not told:
            break
        found.append((start, stop, told))
        end = stop
    return found


def encode(image: JpegImagePlugin.JpegImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop at the source's quality: same tables, subsampling and progression; metadata verbatim.

    Where the subsampling is one that Pillow cannot write (4:4:0, 4:1:1, a CMYK file's), chroma is not subsampled at
    all, which loses nothing.
    """
    head, _, end = segments(data)
    # the colour transform of Adobe's APP14 (Adobe TN #5116, section 18)
    adobe = (content for marker, content in head if marker == APP14 and content.startswith(b"Adobe"))
    transform = next((content[11] for content in adobe if len(content) >= 12), None)
    ycck = image.layers == 4 and transform == 2
    # three components are RGB, not YCbCr, by the rules of libjpeg (jdapimin.c, default_decompress_parms)
    rgb = transform == 0 if transform is not None else [layer[0] for layer in image.layer] == _RGB_IDS
    rgb = rgb and image.layers == 3
    rgb = rgb and not any(marker == APP0 and content.startswith(b"JFIF\0") for marker, content in head)
    tables = [layer[3] for layer in image.layer]  # one for each component, in their order
    if ycck:
        # libjpeg turns YCCK into CMYK: the inks each get the table of luma, the finer one
        tables[1:3] = tables[:1] * 2
    while len(tables) > 1 and tables[-1] == tables[-2]:
        tables.pop()  # Pillow gives the last table to all further components
    sampling = JpegImagePlugin.get_sampling(image)
    options = {
        "qtables": [image.quantization[table] for table in tables],
        "subsampling": _NO_CHROMA_LOST if sampling < 0 else sampling,
        "keep_rgb": rgb,
    }
    crop = image.crop(box)
    crop.info.clear()
    progressive = "progressive" in image.info
    try:
        new = decode.encode(crop, "JPEG", progressive=progressive, **options)
    except OSError:
        if not progressive:
            raise
        # Pillow gives a progressive file two bytes a pixel, too few for noise at full quality; sequential ones
        # have no such limit, and the same pixels
        new = decode.encode(crop, "JPEG", **options)
    coded, scans_at, _ = segments(new)
    gone = [number for _, _, numbers in _previews(data, end) for number in numbers]
    kept = _kept(head, cut, gone, ycck=ycck)
    # APP0 and APP14 say how to read the components: the source's own are true of the crop too
    kept += [segment for segment in coded if not APP0 <= segment[0] <= APP15]
    return b"\xff\xd8" + b"".join(map(written, kept)) + new[scans_at:]


def _kept(head: list[Segment], cut: Cut, gone: list[bytes], *, ycck: bool) -> list[Segment]:
    """The source's metadata as it is true of the crop; numbers of EXIF that tell of what is gone become 0."""

    def exif_after_crop(block: bytes) -> bytes:
        for number in gone:
            block = block.replace(number, bytes(len(number)), 1)
        return exif.after_crop(block, cut)

    head = _changed(head, _APP1, exif.PREFIX, exif_after_crop)
    head = _changed(head, _APP13, _PHOTOSHOP, lambda resources: xmp.resources_after_crop(resources, cut))
    kept, preview = [], False
    for marker, data in _with_xmp(head, cut):
        if _APP2 <= marker <= _APP5 and (_PREVIEW.match(data) or (preview and not _NAMED.match(data))):
            preview = b"\xff\xd9" not in data[-16:]  # else it goes on in the segments behind
            continue
        preview = False
        if marker == APP0 and data.startswith(b"JFIF\0"):
            data = data[:12] + b"\0\0"  # JFIF 1.02: version and density, without its thumbnail
        elif marker == APP14 and ycck:
            data = data[:11] + b"\0" + data[12:]  # written as CMYK
        left = marker in _LEFT and data.startswith(_LEFT[marker])
        if (APP0 <= marker <= APP15 or marker == COM) and not left:
            kept.append((marker, data))
    return kept


def _changed(head: list[Segment], marker: int, prefix: bytes, change: Any) -> list[Segment]:
    """Join what several segments of one kind hold, change it, and put it where the first of them was."""
    places = [i for i, (m, data) in enumerate(head) if m == marker and data.startswith(prefix)]
    if not places:
        return head
    body = change(b"".join(head[i][1][len(prefix) :] for i in places))
    room = _LONGEST - len(prefix)
    parts = [(marker, prefix + body[at : at + room]) for at in range(0, len(body), room)]
    others = [segment for i, segment in enumerate(head) if i not in places]
    return others[: places[0]] + parts + others[places[0] :]


def _with_xmp(head: list[Segment], cut: Cut) -> list[Segment]:
    """XMP as it is true of the crop: each packet, and behind it the extended one that it names."""
    found: list[Segment] = []
    old: list[Segment] = []
    for segment in head:
        marker, data = segment
        if marker != _APP1 or not data.startswith(xmp.PREFIX):
            found.append(segment)
            continue
        packet = data[len(xmp.PREFIX) :]
        prefix = _EXTENDED + xmp.named_extension(packet).encode("ascii", "replace")
        extension = _extension(head, prefix)
        packet, changed = xmp.jpeg_after_crop(packet, extension, cut)
        if len(xmp.PREFIX) + len(packet) > _LONGEST:
            raise PacketError("its XMP has no room for what changes")
        found.append((marker, xmp.PREFIX + packet))
        if changed != extension:
            old += [one for one in head if one[0] == _APP1 and one[1].startswith(prefix)]
            for at in range(0, len(changed), _EXTENDED_ROOM):
                place = xmp.guid(changed).encode() + struct.pack(">II", len(changed), at)
                found.append((marker, _EXTENDED + place + changed[at : at + _EXTENDED_ROOM]))
    return [segment for segment in found if segment not in old]


def _extension(head: list[Segment], prefix: bytes) -> bytes:
    """The extended XMP in the segments that begin like this, "" where a part is missing."""
    parts = {
        struct.unpack_from(">II", data, _EXTENDED_HEAD - 8): data[_EXTENDED_HEAD:]
        for marker, data in head
        if marker == _APP1 and data.startswith(prefix) and len(prefix) == _EXTENDED_HEAD - 8 < len(data) - 8
    }
    whole = b"".join(parts[place] for place in sorted(parts, key=lambda place: place[1]))
    return whole if {length for length, _ in parts} == {len(whole)} else b""
