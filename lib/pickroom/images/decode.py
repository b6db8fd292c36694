"""Read one image file, EXIF-upright and as RGB, or say in a few words why it cannot be read."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image as PillowImage
from PIL import ImageFile, ImageOps, UnidentifiedImageError

from pickroom.errors import ImageError
from pickroom.naming import extension_of

# Pillow's own limit for refusing an image as a decompression bomb (2 x MAX_IMAGE_PIXELS); its warning at half
# of that would only be noise here, since the limit is checked below.
MAX_PIXELS = 178_956_970
warnings.filterwarnings("ignore", category=PillowImage.DecompressionBombWarning)
pillow_heif.register_heif_opener()

# Pillow format -> the extensions it may carry. MPO is a JPEG with more pictures behind it (phones write it).
_EXTENSIONS = {
    "PNG": ("png",),
    "JPEG": ("jpg", "jpeg"),
    "MPO": ("jpg", "jpeg"),
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
    "BMP": ("bmp",),
    "HEIF": ("heic", "heif"),
}
_BACKGROUND = (255, 255, 255)  # behind transparent pixels
_ORIENTATION = 0x0112  # Exif 2.32, table 4
_TURNED_WHEN_OPENED = ("TIFF", "HEIF")  # Pillow and libheif say the upright size, and hand out upright pixels


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Open a file and check what its header says; pixels are not read yet. The caller closes it.

    Raises:
        ImageError: zero bytes, not an image, mislabelled, huge, or not readable at all.
    """
    try:
        if path.stat().st_size == 0:
            raise ImageError(path, "zero bytes")
        image = PillowImage.open(path)
        if image.format == "TIFF":
            # Pillow maps plain TIFF files into memory by their upright size, though they lie there turned; a file
            # without a name is read instead (Pillow 13, ImageFile.load)
            image.filename = ""
    except UnidentifiedImageError:
        raise ImageError(path, "unreadable: not an image") from None
    except PillowImage.DecompressionBombError:
        raise ImageError(path, f"huge: more than {max_pixels:,} pixels") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's parsers raise almost anything on hostile headers
        raise ImageError(path, f"unreadable: {_short(error)}") from error
    allowed = _EXTENSIONS.get(image.format or "")
    reason = ""
    if allowed is None or extension_of(path.name) not in allowed:
        reason = f"mislabelled: .{extension_of(path.name)} holds {image.format}"
    elif image.width * image.height > max_pixels:
        reason = f"huge: {image.width} x {image.height} is more than {max_pixels:,} pixels"
    if reason:
        image.close()
        raise ImageError(path, reason)
    return image


def upright_size(image: PillowImage.Image) -> tuple[int, int]:
    """(width, height) in pixels after EXIF orientation, without decoding."""
    sideways = image.format not in _TURNED_WHEN_OPENED and orientation(image) in (5, 6, 7, 8)
    return (image.height, image.width) if sideways else (image.width, image.height)


def orientation(image: PillowImage.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or it is damaged: the pixels are still good."""
    try:
        return image.getexif().get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 (Pillow's parser raises almost anything; damaged EXIF says nothing)
        return 1


def read_rgb(path: Path, *, draft: int | None = None, max_pixels: int = MAX_PIXELS) -> PillowImage.Image:
    """The whole image as upright 8-bit RGB; alpha lies on white, 16-bit is scaled, the first frame of several.

    Args:
        draft: for JPEG, decode at the smallest scale (1/2, 1/4, 1/8) whose sides are at least this long in
            pixels: several times faster. None decodes at full size.

    Raises:
        ImageError: see `open_image`; also "truncated" when the pixels end early.
    """
    with open_image(path, max_pixels=max_pixels) as image:
        if draft:
            image.draft("RGB", (draft, draft))
        return load_rgb(image, path)


def load_rgb(image: PillowImage.Image, path: Path) -> PillowImage.Image:
    """Decode an opened image to upright RGB; raises ImageError as `read_rgb` does."""
    try:
        image.load()
        return flatten(image.copy() if orientation(image) == 1 else ImageOps.exif_transpose(image))
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ... on damaged data
        reason = "truncated" if "truncated" in str(error).lower() else f"unreadable: {_short(error)}"
        raise ImageError(path, reason) from error


def flatten(image: PillowImage.Image) -> PillowImage.Image:
    """Any mode to 8-bit RGB."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        # 16-bit grey is what files really hold as integers, and 0 to 1 as fractions; anything wider is scaled to
        # its own maximum
        top = max(1.0 if image.mode == "F" else 65535.0, values.max(initial=0))
        return PillowImage.fromarray((np.clip(values, 0, top) / top * 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        layer = image.convert("RGBA")
        ground = PillowImage.new("RGBA", layer.size, (*_BACKGROUND, 255))
        return PillowImage.alpha_composite(ground, layer).convert("RGB")
    return image.convert("RGB")


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def encode_png(image: PillowImage.Image) -> bytes:
    """The image as PNG bytes, lightly compressed: for showing, not for keeping."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
