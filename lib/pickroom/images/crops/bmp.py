"""BMP: has no metadata but its resolution."""

import io
import struct
from pathlib import Path

from PIL import ImageFile

from pickroom.core.geometry import PixelBox

_PROFILE_KINDS = (0x4D424544, 0x4C494E4B)  # BITMAPV5HEADER: PROFILE_EMBEDDED, PROFILE_LINKED
_V5_SIZE, _KIND_AT = 124, 14 + 56  # bV5CSType, counted from the start of the file


def refusal(image: ImageFile.ImageFile) -> str:
    """Why a crop would lose something, "" when it would not."""
    if image.mode == "RGBA":
        return "BMP with transparency, which Pillow cannot write"
    with open(image.filename, "rb") as file:
        head = file.read(_KIND_AT + 4)
    if struct.unpack_from("<I", head, 14)[0] == _V5_SIZE and struct.unpack_from("<I", head, _KIND_AT)[0] in (
        _PROFILE_KINDS
    ):
        return "BMP with a colour profile, which Pillow cannot write"
    return ""


def encode(image: ImageFile.ImageFile, box: PixelBox, orientation: int, source: Path) -> bytes:
    """The crop with the source's resolution."""
    buffer = io.BytesIO()
    # (0, 0): unknown stays unknown, where Pillow would write 96 dpi
    image.crop(box).save(buffer, "BMP", dpi=image.info.get("dpi", (0, 0)))
    return buffer.getvalue()
