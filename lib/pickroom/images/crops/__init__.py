"""Crop one image file into bytes of the same format, or say beforehand why that would lose something.

A crop is as its source is, only smaller: format, mode, depth, palette, compression, and every metadata byte that a
crop does not make untrue. It is also turned as its source is: the box is mapped into the stored frame, and the
Orientation tag stays as it was. Writing upright pixels with Orientation 1 would be the other way, but then XMP packets,
text chunks and maker notes could contradict the tag, and a turned JPEG would lose chroma (4:2:2 halves one axis only).
HEIC alone is written upright: there turning is a property of the container, which libheif has already applied.

What a crop does make untrue is set right: sizes in EXIF and XMP follow, regions move with the box or go, previews of
the uncropped picture go (FORMATS.md has the table). Lossless formats keep every pixel as it was. Lossy ones are encoded
once more: JPEG with its own tables, WebP, AVIF and HEIC, which do not say what quality they came with, at a fixed high
one. A box that is the whole image gives the file's own bytes. A file whose extension is another format's keeps both.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from PIL import ImageFile

from pickroom.core.errors import ImageError
from pickroom.core.geometry import PixelBox, to_pixels, to_stored
from pickroom.core.records import CropBox
from pickroom.images import decode, raw
from pickroom.images.crops import chunks, heif, jpeg, tiff, trailers, xmp
from pickroom.images.crops.rdf import PacketError
from pickroom.images.crops.regions import CropError, Cut

# `check(image, data)` is asked before any pixel is read, and raises CropError where a crop would lose something; it
# returns what no crop can have ("" for nothing), and what lies behind the picture
Check = Callable[[Any, bytes], tuple[str, bytes]]
# `encode(image, box, cut, data)` gives the crop's file; the box is in pixels of `image` as Pillow decodes it
Encode = Callable[[Any, PixelBox, Cut, bytes], bytes]
_FORMATS: dict[str | None, tuple[Check, Encode]] = {
    "PNG": (chunks.check_png, chunks.encode_png),
    "JPEG": (jpeg.check, jpeg.encode),
    "MPO": (jpeg.check, jpeg.encode),
    "WEBP": (chunks.check_webp, chunks.encode_webp),
    "TIFF": (tiff.check, tiff.encode),
    "BMP": (chunks.check_bmp, chunks.encode_bmp),
    "AVIF": (heif.check_avif, heif.encode_avif),
    "HEIF": (heif.check_heic, heif.encode_heic),
}


def check_croppable(source: Path) -> str:
    """Pass if `render` will lose nothing but what lies outside the box. Decodes no pixels.

    Returns what only the uncropped file can have, such as a signature; "" when there is nothing of the kind. Raises
    ImageError where the file cannot be read, or is of a kind that a crop would damage; `reason` says which.
    """
    with decode.open_image(source) as image:
        data = source.read_bytes()
        with _reasons(source):
            left_out, _ = _checked(image, data)
        return ", ".join(filter(None, (left_out, *xmp.left_out(data))))


def render(source: Path, box: CropBox) -> bytes:
    """The crop as the bytes of a file of the source's format. Writes nothing.

    Args:
        box: fractions of the EXIF-upright image. The crop's upright size is exactly this box in pixels, each edge
            rounded half up (FORMATS.md).

    Raises:
        ImageError: as `check_croppable`; also damaged pixels, and a box that rounds to no pixels.
    """
    with decode.open_image(source) as image, decode.room_for(image):
        data = source.read_bytes()
        with _reasons(source):
            _, trailer = _checked(image, data)
            orientation, size = decode.orientation(image), decode.upright_size(image)
            pixels = to_pixels(box, *size)
            wide, high = pixels[2] - pixels[0], pixels[3] - pixels[1]
            if wide < 1 or high < 1:
                raise ImageError(source, f"box of no pixels: {wide} x {high}")
            if (wide, high) == size:
                image.load()  # damage must not pass for a crop
                return data
            before = image.info.get("original_orientation") or 1 if image.format == "HEIF" else orientation
            cut = Cut(size, pixels, before, orientation, trailer=bool(trailer))
            if image.format not in decode.TURNED_WHEN_OPENED:
                pixels = to_stored(pixels, image.size, orientation)
            size = pixels[2] - pixels[0], pixels[3] - pixels[1]
            crop = _FORMATS[image.format][1](image, pixels, cut, data)
            if trailer:
                crop += trailers.after_crop(trailer, len(data) - len(trailer), len(crop), size)
            # an encoder's surprise must show before the original moves
            with PillowImage.open(io.BytesIO(crop)) as made:
                if (made.format, made.size) != ("JPEG" if image.format == "MPO" else image.format, size):
                    raise ImageError(source, f"crop came out as {made.format} of {made.width} x {made.height}")
    return crop


@contextmanager
def _reasons(source: Path) -> Iterator[None]:
    """Every failure as an ImageError that says why."""
    try:
        yield
    except ImageError:
        raise
    except (CropError, PacketError) as error:
        raise ImageError(source, f"cannot be cropped: {error}") from error
    except MemoryError as error:  # or a length that a damaged file claims
        raise ImageError(source, "there is not enough memory to crop it") from error
    except Exception as error:  # decoders and encoders raise almost anything on damaged data
        text = decode.short(error)
        raise ImageError(source, "truncated" if "truncated" in text.lower() else f"unreadable: {text}") from error


def _checked(image: ImageFile.ImageFile, data: bytes) -> tuple[str, bytes]:
    """As the format's `check`, which raises CropError; also where the bytes behind the picture would not be true."""
    if image.format == raw.FORMAT:
        raise CropError("a RAW file has its crop in its XMP sidecar")
    left_out, trailer = _FORMATS[image.format][0](image, data)
    if reason := trailers.refusal(trailer):
        raise CropError(reason)
    return left_out, trailer
