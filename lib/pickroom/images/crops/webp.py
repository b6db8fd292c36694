"""WebP: lossless stays lossless; lossy is coded again at a fixed high quality, since the file does not say its own.

Source of the container: RFC 9649, sections 2.3 to 2.7.
"""

import struct
from collections.abc import Iterator

from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images import decode
from pickroom.images.crops import exif, xmp
from pickroom.images.crops.regions import CropError, Cut

LOSSY_QUALITY = 96  # of 100: see the test that holds the second generation to a small error
_LOSSY_METHOD = 2  # of 6: half of libwebp's usual time, with the error of its 95 and 9 % more bytes
_LOSSLESS = {"lossless": True, "exact": True, "quality": 80}  # quality is effort here, libwebp's usual
_PIXELS = (b"VP8 ", b"VP8L", b"ALPH")
# What the crop has anew, or does not have: the header, an animation of one frame, signatures
_LEFT = (b"VP8X", b"ANIM", b"ANMF", b"C2PA")
_FLAGS = {b"ICCP": 0x20, b"EXIF": 0x08, b"XMP ": 0x04}  # of VP8X
_ALPHA = 0x10


def check(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    if getattr(image, "n_frames", 1) > 1:
        raise CropError("animated WebP")
    return exif.SIGNATURE if any(kind == b"C2PA" for kind, _ in _chunks(data)) else "", data[_end(data) :]


def encode(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop among the source's other chunks; the colours under transparent pixels too if lossless."""
    lossless = any(kind == b"VP8L" for kind, _ in _chunks(data))
    crop = image.crop(box)
    crop.info.clear()
    options = _LOSSLESS if lossless else {"quality": LOSSY_QUALITY, "method": _LOSSY_METHOD}
    encoded = list(_chunks(decode.encode(crop, "WEBP", **options)))
    pixels = [chunk for chunk in encoded if chunk[0] in _PIXELS]
    kept: list[tuple[bytes, bytes]] = []
    for kind, content in _chunks(data):
        if kind in _PIXELS:
            kept += pixels  # at the place of the first
            pixels = []
        elif kind == b"EXIF":
            kept.append((kind, exif.after_crop(content, cut)))
        elif kind == b"XMP ":
            kept.append((kind, xmp.after_crop(content, cut)))
        elif kind not in _LEFT:
            kept.append((kind, content))
    header = any(kind == b"VP8X" for kind, _ in encoded)
    if header or any(kind not in _PIXELS for kind, _ in kept):
        # the encoder's lossless pixels say by themselves whether there is alpha, in bit 28 behind their signature
        alpha = header or any(kind == b"VP8L" and content[4] & 0x10 for kind, content in kept)
        flags = sum({_FLAGS.get(kind, 0) for kind, _ in kept}) | (_ALPHA if alpha else 0)
        canvas = b"".join((side - 1).to_bytes(3, "little") for side in cut.stored_size)
        kept.insert(0, (b"VP8X", bytes((flags, 0, 0, 0)) + canvas))
    parts = (kind + struct.pack("<I", len(content)) + content + bytes(len(content) % 2) for kind, content in kept)
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _end(data: bytes) -> int:
    length = int.from_bytes(data[4:8], "little")
    return min(8 + length + (length & 1), len(data))


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content) of each chunk; of a frame's own chunks in an animation, those of its pixels."""
    at, end = 12, _end(data)
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : min(at + 8 + size, end)]
        # a frame begins with 16 bytes of its own, then its pixels' chunks
        at += 8 + (16 if kind == b"ANMF" else size + (size & 1))
