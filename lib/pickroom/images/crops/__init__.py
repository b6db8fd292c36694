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
from pathlib import Path
from types import ModuleType

from PIL import Image as PillowImage
from PIL import ImageFile

from pickroom.core.errors import ImageError
from pickroom.core.geometry import to_pixels, to_stored
from pickroom.core.records import CropBox
from pickroom.images import decode, raw
from pickroom.images.crops import avif, bmp, heif, jpeg, png, tiff, trailers, webp, xmp
from pickroom.images.crops.rdf import PacketError
from pickroom.images.crops.regions import Cut

# Each has `refusal(image, data) -> str`, "" when a crop loses nothing, asked before any pixel is read;
# `left_out(data) -> str`, what no crop can have; `trailer(image, data) -> bytes`, what lies behind the picture; and
# `encode(image, box, cut, data) -> bytes`, the box in pixels of `image` as Pillow decodes it.
_FORMATS: dict[str, ModuleType] = {
    "PNG": png,
    "JPEG": jpeg,
    "MPO": jpeg,
    "WEBP": webp,
    "TIFF": tiff,
    "BMP": bmp,
    "AVIF": avif,
    "HEIF": heif,
}


def check_croppable(source: Path) -> str:
    """Pass if `render` will lose nothing but what lies outside the box. Decodes no pixels.

    Returns:
        What only the uncropped file can have, such as a signature; "" when there is nothing of the kind.

    Raises:
        ImageError: the file cannot be read, or is of a kind that a crop would damage; `reason` says which.
    """
    with decode.open_image(source) as image:
        data = source.read_bytes()
        _refuse(image, source, data)
        left_out: str = _FORMATS[image.format or ""].left_out(data)
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
        trailer = _refuse(image, source, data)
        try:
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
            crop: bytes = _FORMATS[image.format or ""].encode(image, pixels, cut, data)
            if trailer:
                crop += trailers.after_crop(trailer, len(data) - len(trailer), len(crop), size)
            _verify(crop, image, size, source)
        except ImageError:
            raise
        except (trailers.NoRoomError, PacketError) as error:
            raise ImageError(source, f"cannot be cropped: {error}") from error
        except MemoryError as error:  # or a length that a damaged file claims
            raise ImageError(source, "there is not enough memory to crop it") from error
        except Exception as error:  # decoders and encoders raise almost anything on damaged data
            raise ImageError(source, _reason(error)) from error
    return crop


def _refuse(image: ImageFile.ImageFile, source: Path, data: bytes) -> bytes:
    """What lies behind the picture; raises ImageError where a crop would lose something."""
    if image.format == raw.FORMAT:
        raise ImageError(source, "cannot be cropped: a RAW file has its crop in its XMP sidecar")
    try:
        module = _FORMATS[image.format or ""]
        trailer: bytes = module.trailer(image, data)
        reason = module.refusal(image, data) or trailers.refusal(trailer)
    except Exception as error:  # headers of hostile files
        raise ImageError(source, _reason(error)) from error
    if reason:
        raise ImageError(source, f"cannot be cropped: {reason}")
    return trailer


def _verify(data: bytes, image: ImageFile.ImageFile, size: tuple[int, int], source: Path) -> None:
    """Read the header of what was made: an encoder's surprise must show before the original moves."""
    with PillowImage.open(io.BytesIO(data)) as crop:
        written = "JPEG" if image.format == "MPO" else image.format
        if (crop.format, crop.size) != (written, size):
            raise ImageError(source, f"crop came out as {crop.format} of {crop.width} x {crop.height}")


def _reason(error: Exception) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0][:120]
    return "truncated" if "truncated" in text.lower() else f"unreadable: {text}"
