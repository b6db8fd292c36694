"""What other programs put behind the end of a picture: videos, tags, archives. Pure.

A crop keeps these bytes as they are, the last in the file: most of their formats count from their own beginning or
from the file's end. Some count from the file's beginning: they stay where they were, behind zeros. What shows or
measures the uncropped picture is a reason to refuse the crop; FotoStation's sizes follow, and its previews go.

Sources: the trailers as ExifTool 12.57 reads them (AFCP.pm, FotoStation.pm, PhotoMechanic.pm, Samsung.pm, CanonVRD.pm);
PKWARE APPNOTE 6.3.10, section 4.3; Motion Photo format 1.0 (its lengths are counted from the end of the file).
"""

import re
import struct
from collections.abc import Iterator

from pickroom.images.crops.regions import CropError

_JPEG = b"\xff\xd8\xff"
# names of blocks of Samsung's trailer that hold depth maps and further pictures
_SAMSUNG_PICTURES = re.compile(rb"DepthMap_\d|DualShot_\d|FlipPhoto_\d")
_CANON, _CANON_RECIPES = b"CANON OPTIONAL DATA\0", (b"\xff\xff\x00\xf4", b"\xff\xff\x00\xf7")
_FOTOSTATION, _SOFT_EDIT, _PREVIEWS = 0xA1B2C3D4, 2, (3, 4)
_WHOLE_CROPS = ((0, 0, 0, 0), (0, 0, 100_000, 100_000))  # FotoStation's left, top, right, bottom, in 1/1000 %
# Photo Mechanic's soft crops, as IPTC data sets of record 2: left, top, right, bottom, fractions as parts of 65536
_MECHANIC_CROPS = (*range(209, 213), *range(217, 221), *range(236, 240))
_ZIP_END, _ZIP_END_SIZE, _ZIP64 = b"PK\x05\x06", 22, b"PK\x06\x07"


def refusal(trailer: bytes) -> str:
    """Why these bytes would not be true behind a crop, "" when they would."""
    if trailer.lstrip(b"\0").startswith(_JPEG):
        return "holds another picture behind its end, which may show or measure what is cut off"
    if trailer.endswith((b"SEFT", b"QDIOBS")) and _SAMSUNG_PICTURES.search(trailer):
        return "holds a depth map or second picture (Samsung), which would not fit the crop"
    if _CANON in trailer and any(recipe in trailer for recipe in _CANON_RECIPES):
        return "holds Canon's editing recipe (VRD), which states a crop of the uncropped picture"
    for kind, start, end in _known(trailer):
        block = trailer[start:end]
        if kind == "AFCP" and (b"Nail" in block or b"PrVw" in block):
            return "holds a preview of the uncropped picture (AFCP)"
        if kind == "FotoStation" and _record(block) == _SOFT_EDIT:
            crop = struct.unpack_from(">4i", block, 24) if len(block) >= 40 + 10 else _WHOLE_CROPS[0]
            if crop not in _WHOLE_CROPS:
                return "holds a soft crop (FotoStation), which would lie elsewhere"
        if kind == "Photo Mechanic" and any(
            tag in _MECHANIC_CROPS and int.from_bytes(value) not in (0, 1 << 16) for tag, value in _data_sets(block)
        ):
            return "holds a soft crop (Photo Mechanic), which would lie elsewhere"
    return ""


def after_crop(trailer: bytes, at: int, new_at: int, size: tuple[int, int]) -> bytes:
    """The bytes to put behind a crop's picture.

    Args:
        at: where the trailer lay in the source file.
        new_at: the length of the crop's file without it.
        size: stored (width, height) of the crop in pixels.

    Raises:
        CropError: it counts from the file's beginning, and the crop's picture reaches beyond its place.
    """
    kept, rest = b"", len(trailer)
    for kind, start, end in _known(trailer):
        block = trailer[start:end]
        if kind == "FotoStation" and _record(block) in _PREVIEWS:
            block = b""
        elif kind == "FotoStation" and _record(block) == _SOFT_EDIT and len(block) >= 8 + 10:
            block = struct.pack(">2i", *size) + block[8:]
        kept, rest = block + kept, start
    kept = trailer[:rest] + kept
    if not _counts_from_beginning(trailer, at):
        return kept
    if new_at > at or len(kept) < len(trailer):
        raise CropError("what lies behind the picture must keep its place, which the crop cannot leave free")
    return bytes(at - new_at) + kept


def _known(trailer: bytes) -> Iterator[tuple[str, int, int]]:
    """(kind, start, end) of the trailers that end in a mark of their own, the last first, as far as all are known."""
    end = len(trailer)
    while end >= 12:
        foot = trailer[end - 12 : end]
        size, mark = struct.unpack(">II", foot[4:])
        (mechanic,) = struct.unpack(">I", foot[:4])
        if mark == _FOTOSTATION and 10 <= size <= end:
            kind, start = "FotoStation", end - size
        elif foot.endswith(b"cbipcbbl") and mechanic + 12 <= end:
            kind, start = "Photo Mechanic", end - mechanic - 12
        elif foot.startswith((b"AXS!", b"AXS*")) and (start := trailer.rfind(foot[:4], 0, end - 12)) >= 0:
            kind = "AFCP"
        else:
            return
        yield kind, start, end
        end = start


def _record(block: bytes) -> int:
    return int.from_bytes(block[-10:-8])


def _data_sets(block: bytes) -> Iterator[tuple[int, bytes]]:
    """(number, value) of the data sets of IPTC's record 2 (IPTC-IIM 4.2, chapter 3)."""
    at = 0
    while block[at : at + 2] == b"\x1c\x02" and at + 5 <= len(block):
        number, length = struct.unpack_from(">BH", block, at + 2)
        yield number, block[at + 5 : at + 5 + length]
        at += 5 + length


def _counts_from_beginning(trailer: bytes, at: int) -> bool:
    """Whether offsets in it are counted from the beginning of the file."""
    if trailer.endswith(b"QDIOBS") or any(kind == "AFCP" for kind, _, _ in _known(trailer)):
        return True
    end = trailer.rfind(_ZIP_END, max(0, len(trailer) - (1 << 16) - _ZIP_END_SIZE))
    if end < 0 or end + _ZIP_END_SIZE > len(trailer):
        return False
    length, offset = struct.unpack_from("<II", trailer, end + 12)  # of the central directory
    return trailer[max(0, end - 20) : end].startswith(_ZIP64) or offset == at + end - length
