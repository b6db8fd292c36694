"""WebP: lossless stays lossless; lossy is coded again at a fixed high quality, since the file does not say its own."""

import io
import struct
from pathlib import Path

from PIL import ImageFile

from pickroom.core.geometry import PixelBox
from pickroom.images.crops import metadata

LOSSY_QUALITY = 95  # of 100: see the test that holds the second generation to a small error


def refusal(image: ImageFile.ImageFile) -> str:
    """Why a crop would lose something, "" when it would not."""
    return "animated WebP" if getattr(image, "n_frames", 1) > 1 else ""


def encode(image: ImageFile.ImageFile, box: PixelBox, orientation: int, source: Path) -> bytes:
    """The crop with the source's ICC profile, EXIF and XMP; the colours under transparent pixels too if lossless."""
    lossless = _is_lossless(source.read_bytes())
    crop = image.crop(box)
    buffer = io.BytesIO()
    crop.save(
        buffer,
        "WEBP",
        lossless=lossless,
        exact=lossless,
        quality=80 if lossless else LOSSY_QUALITY,  # for lossless: effort, libwebp's usual
        icc_profile=image.info.get("icc_profile"),
        exif=metadata.exif_after_crop(image.info.get("exif", b""), crop.size),
        xmp=image.info.get("xmp", b""),
    )
    return buffer.getvalue()


def _is_lossless(data: bytes) -> bool:
    """Whether the pixels are in a VP8L chunk (RFC 9649, sections 2.3 to 2.7)."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8L", b"VP8 "):
            return bool(kind == b"VP8L")
        at += 8 + size + (size & 1)
    return False
