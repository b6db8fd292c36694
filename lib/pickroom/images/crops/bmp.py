"""BMP: has no metadata but its resolution."""

import struct

from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images import decode
from pickroom.images.crops.regions import CropError, Cut

_PROFILE_KINDS = (b"DEBM", b"KNIL")  # BITMAPV5HEADER: PROFILE_EMBEDDED, PROFILE_LINKED
_V5_SIZE, _KIND_AT = b"\x7c\0\0\0", 14 + 56  # bV5CSType, counted from the start of the file


def check(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    if image.mode == "RGBA":
        raise CropError("BMP with transparency, which Pillow cannot write")
    if data[14:18] == _V5_SIZE and data[_KIND_AT : _KIND_AT + 4] in _PROFILE_KINDS:
        raise CropError("BMP with a colour profile, which Pillow cannot write")
    (start,) = struct.unpack_from("<I", data, 10)
    (header,) = struct.unpack_from("<I", data, 14)
    if header < 40:  # BITMAPCOREHEADER: uncompressed, its depth at another place
        compression, length, bits = 0, 0, struct.unpack_from("<H", data, 24)[0]
    else:
        bits, compression, length = struct.unpack_from("<HII", data, 28)
    if compression not in (1, 2):  # RLE8 and RLE4 say their length, or do not tell
        length = (image.width * bits + 31) // 32 * 4 * image.height
    return "", data[start + length :] if length else b""


def encode(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop with the source's resolution."""
    # (0, 0): unknown stays unknown, where Pillow would write 96 dpi
    return decode.encode(image.crop(box), "BMP", dpi=image.info.get("dpi", (0, 0)))
