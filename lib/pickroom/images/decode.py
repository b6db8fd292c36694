"""Read one image file, EXIF-upright and as RGB, or say in a few words why it cannot be read."""

import io
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pillow_heif
from PIL import Image as PillowImage
from PIL import ImageFile, PngImagePlugin, UnidentifiedImageError

from pickroom.core import quiet
from pickroom.core.errors import ImageError
from pickroom.core.geometry import SIDEWAYS
from pickroom.core.naming import RAW_EXTENSIONS, extension_of
from pickroom.images import raw
from pickroom.storage import atomic

# Pillow's own limit for refusing an image as a decompression bomb (2 x MAX_IMAGE_PIXELS)
MAX_PIXELS = 178_956_970
pillow_heif.register_heif_opener()
quiet.codecs()
PngImagePlugin.MAX_TEXT_CHUNK = 1 << 24  # bytes of a compressed text; a generator's graph may have more than 1 MiB

_JPEG = ("jpg", "jpeg", "jfif", "jpe")
# Pillow format -> the extensions that say so. MPO is a JPEG with more pictures behind it (phones write it).
_EXTENSIONS = {
    "PNG": ("png",),
    "JPEG": _JPEG,
    "MPO": _JPEG,
    "WEBP": ("webp",),
    "TIFF": ("tif", "tiff"),
    "BMP": ("bmp",),
    "AVIF": ("avif",),
    "HEIF": ("heic", "heif", "hif"),
    raw.FORMAT: RAW_EXTENSIONS,
}
_FORMATS = tuple(name for name in _EXTENSIONS if name not in ("MPO", raw.FORMAT))  # as Pillow is asked; MPO as JPEG
# what lies behind transparent pixels: white, as everywhere, unless too much of the drawing is white itself
_GROUNDS = (255, 0, 128)
_DIFFERS = 48  # of 255, in the colour that differs most: seen at a glance
_ENOUGH_DIFFERS = 0.75  # of what is drawn, for white to be the ground
_LEAST_CLEAR = 0.02  # of a picture: with less there is hardly a ground
_SAMPLE = 256  # pixels a side that the ground is chosen by
_HUGE_PIXELS = 1 << 25  # a picture of more takes a quarter of a gigabyte, and twice that while it is flattened
_STRIP_PIXELS = 1 << 21  # flattened at a time: numbers are eight bytes each meanwhile
_huge = threading.RLock()
_READ_WHOLE = (b"WEBP", b"ftyp")  # Pillow reads such a file into memory when it is opened, whatever its size
_LARGEST_WHOLE = 1 << 30  # bytes of it; MAX_PIXELS take less, uncompressed
_ENOUGH = 1 << 22  # bytes that tell another format, or that a JPEG has ended in something else
_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 1 << 20  # looked at for EXIF; encoders write pixels by 8 kB and more
_PNG_EXIF = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks that Pillow reads an orientation from
_JPEG_QUALITY = 95  # as published sets of photographs have it
_ORIENTATION = 0x0112  # Exif 2.32, table 4
_PLAIN = ("JPEG", "PNG", "BMP")  # of one frame, whose pixels stay when the file is closed
# Pillow, libheif and `RawFile` say the upright size, and hand out upright pixels
TURNED_WHEN_OPENED = ("TIFF", "HEIF", raw.FORMAT)


def open_image(path: Path, *, max_pixels: int = MAX_PIXELS) -> ImageFile.ImageFile:
    """Open a file and check what its header says; pixels are not read yet. The caller closes it.

    Of the formats that are read the content decides, whatever the file's extension; but only where the extension is a
    RAW file's is it read as one, since most are TIFF files, too. Raises ImageError where it has zero bytes, is
    not an image, mislabelled (another format), huge, or not readable at all.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise ImageError(path, "zero bytes")
        with path.open("rb") as file:
            head = file.read(12)
            if size > _LARGEST_WHOLE and (head[8:12] in _READ_WHOLE or head[4:8] in _READ_WHOLE):
                raise ImageError(path, f"huge: {size:,} bytes, which would have to be in memory at once")
            if head.startswith(b"\xff\xd8") and _is_jpeg_in_name(file):
                raise ImageError(path, "unreadable: not an image")
        negative = raw.open_raw(path) if extension_of(path.name) in RAW_EXTENSIONS else None
        image = negative or PillowImage.open(path, formats=_FORMATS)
        if image.format == "TIFF":
            # Pillow maps plain TIFF files into memory by their upright size, though they lie there turned; a file
            # without a name is read instead (Pillow 13, ImageFile.load)
            image.filename = ""
    except UnidentifiedImageError:
        raise ImageError(path, _other_format(path)) from None
    except PillowImage.DecompressionBombError:
        raise ImageError(path, f"huge: more than {max_pixels:,} pixels") from None
    except ImageError:
        raise
    except Exception as error:  # Pillow's parsers raise almost anything on hostile headers
        raise _unreadable(path, error) from error
    if image.width * image.height > max_pixels:
        image.close()
        raise ImageError(path, f"huge: {image.width} x {image.height} is more than {max_pixels:,} pixels")
    return image


def says_otherwise(path: Path, image: PillowImage.Image) -> bool:
    """Whether a file's extension is another format's; the content counts."""
    return extension_of(path.name) not in _EXTENSIONS.get(image.format or "", ())


def content_hash(path: Path) -> str:
    """The SHA-256 of an image file, hex; what is not an image shows in its header, and is not read to its end.

    Raises ImageError as `open_image`; OSError where the file cannot be read.
    """
    open_image(path).close()
    return atomic.sha256_of(path)


def upright_size(image: PillowImage.Image) -> tuple[int, int]:
    """(width, height) in pixels after EXIF orientation, without decoding."""
    sideways = image.format not in TURNED_WHEN_OPENED and orientation(image) in SIDEWAYS
    return (image.height, image.width) if sideways else (image.width, image.height)


def orientation(image: PillowImage.Image) -> int:
    """The EXIF orientation, 1 (upright) where there is none or it is damaged: the pixels are still good."""
    try:
        return int(exif_of(image).get(_ORIENTATION, 1))
    except Exception:  # noqa: BLE001 (Pillow's parser raises almost anything; damaged EXIF says nothing)
        return 1


def exif_of(image: PillowImage.Image) -> PillowImage.Exif:
    """The EXIF of an opened image, without decoding its pixels; raises almost anything where it is damaged."""
    if image.format != "PNG" or "exif" in image.info:
        return image.getexif()
    with _small_png(image) as small:
        return small.getexif()


def texts_of(image: PillowImage.Image) -> dict[str, str]:
    """Key -> text of an opened image, without decoding its pixels: of a PNG also those behind the pixels.

    The key `xmp` is the packet of a JPEG, WebP, TIFF or HEIC; a PNG has it under a key of its own.
    """
    if image.format != "PNG":
        xmp = image.info.get("xmp")
        packet = {"xmp": xmp.decode(errors="replace")} if isinstance(xmp, bytes) else {}
        return packet | {k: text for k, text in image.info.items() if isinstance(k, str) and isinstance(text, str)}
    with _small_png(image) as small:
        with suppress(Exception):  # Pillow's parser raises almost anything; the texts before a damaged one are read
            small.load()
        found = {k: text for k, text in small.info.items() if isinstance(k, str) and isinstance(text, str)}
    # tEXt and zTXt are Latin-1 (third edition, 11.3.3.2), and hold UTF-8 all the same
    return {k: text if isinstance(text, PngImagePlugin.iTXt) else _as_utf8(text) for k, text in found.items()}


def _as_utf8(text: str) -> str:
    try:
        return text.encode("latin-1").decode()
    except UnicodeError:
        return text


@contextmanager
def _small_png(image: PillowImage.Image) -> Iterator[PillowImage.Image]:
    """An opened PNG with one pixel in place of its own: Pillow decodes these to get to what lies behind them."""
    file = getattr(image, "fp", None)
    if file is None:
        yield image
        return
    place = file.tell()
    try:
        with PillowImage.open(io.BytesIO(_one_pixel(file))) as small:
            yield small
    finally:
        file.seek(place)


def _one_pixel(file: IO[bytes]) -> bytes:
    """A PNG file (third edition, section 5) with one pixel in place of its own, and nothing that depends on them."""
    before, after = [png_chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))], [png_chunk(b"IEND", b"")]
    at, chunks = len(_PNG), before
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        length, kind = struct.unpack(">I4s", head.ljust(8, b"\0"))
        if not kind.isalpha():  # the end, or nothing that a PNG holds
            break
        if kind == b"IDAT" and chunks is before:
            before.append(png_chunk(kind, zlib.compress(b"\0\0")))
            chunks = after
        elif kind in _PNG_EXIF:
            chunks.append(head + file.read(length + 4))
        at += length + 12
    return b"".join((_PNG, *before, *after[1:], after[0]))


def png_chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk as it stands in a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def read_rgb(path: Path, *, draft: int | None = None, max_pixels: int = MAX_PIXELS) -> PillowImage.Image:
    """The whole image as upright 8-bit RGB; alpha lies on a ground, 16-bit is scaled, the first frame of several.

    The ground is white, or what a drawing in white differs from: black, or grey where it has black parts, too.

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


def load_rgb(image: PillowImage.Image, path: Path, *, long_side: int | None = None) -> PillowImage.Image:
    """Decode an opened image to upright RGB; raises ImageError as `read_rgb` does.

    With `long_side` it is made small before it is turned, to at most so many pixels a side.
    """
    try:
        with room_for(image):
            turn = 1 if image.format in TURNED_WHEN_OPENED else orientation(image)  # first: it is no part of the pixels
            image.load()
            # a picture without anything to flatten is not copied: that took a tenth of a scan
            rgb = image if image.format in _PLAIN and _is_flat(image) else flatten(image)
            rgb.info = {}  # what the file said of itself: a comment would be written into every copy
            if long_side:
                rgb.thumbnail((long_side, long_side), PillowImage.Resampling.LANCZOS, reducing_gap=2.0)
            return raw.turned(rgb, turn)
    except Exception as error:  # decoders raise OSError, SyntaxError, struct.error, ... on damaged data
        if "truncated" in str(error).lower():
            raise ImageError(path, "truncated") from error
        raise _unreadable(path, error) from error


@contextmanager
def room_for(image: PillowImage.Image) -> Iterator[None]:
    """Hold this while a picture is decoded and worked on: of those that fill memory there is one at a time."""
    with _huge if image.width * image.height > _HUGE_PIXELS else nullcontext():
        yield


def flatten(image: PillowImage.Image) -> PillowImage.Image:
    """Any mode to 8-bit RGB, as a picture of its own; at most the two of them are in memory, and a strip."""
    flat, top, ground = PillowImage.new("RGB", image.size), _top(image), _ground(image)
    for y, strip in _strips(image):
        flat.paste(_flat_strip(strip, top, ground), (0, y))
    return flat


def _is_flat(image: PillowImage.Image) -> bool:
    return image.mode == "RGB" and "transparency" not in image.info


def is_clear(image: PillowImage.Image) -> bool:
    """Whether an image may have transparent pixels, by its mode."""
    return image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info


def _ground(image: PillowImage.Image) -> int:
    """The grey, 0 to 255, behind the transparent pixels of an image."""
    if not is_clear(image) or image.mode[0] in "IF":
        return _GROUNDS[0]
    size = min(image.width, _SAMPLE), min(image.height, _SAMPLE)
    small = np.asarray(image.resize(size, PillowImage.Resampling.NEAREST).convert("RGBA"), np.float32)
    colours, drawn = small[:, :, :3], small[:, :, 3] / 255
    if drawn.mean() > 1 - _LEAST_CLEAR or not drawn.any():
        return _GROUNDS[0]
    # a drop of transparent colour differs from its ground by as much less
    share = {
        ground: float((drawn * (np.abs(colours - ground).max(axis=2) * drawn >= _DIFFERS)).sum() / drawn.sum())
        for ground in _GROUNDS
    }
    return _GROUNDS[0] if share[_GROUNDS[0]] >= _ENOUGH_DIFFERS else max(_GROUNDS, key=lambda ground: share[ground])


def _strips(image: PillowImage.Image) -> Iterator[tuple[int, PillowImage.Image]]:
    """(first row, the strip): the whole of a picture that is small."""
    rows = max(1, _STRIP_PIXELS // image.width)
    if image.height <= rows:
        yield 0, image
        return
    for y in range(0, image.height, rows):
        yield y, image.crop((0, y, image.width, min(y + rows, image.height)))


def _top(image: PillowImage.Image) -> float:
    """What is white in a picture of numbers.

    16-bit grey is what files really hold as integers, and 0 to 1 as fractions; anything wider has its own maximum.
    """
    top = 1.0 if image.mode == "F" else 65535.0
    if image.mode in ("I", "F"):
        for _, strip in _strips(image):
            top = max(top, float(np.nan_to_num(np.asarray(strip)).max(initial=0)))
    return top


def _flat_strip(image: PillowImage.Image, top: float, ground: int) -> PillowImage.Image:
    if _is_flat(image):
        return image
    if image.mode.startswith("I") or image.mode == "F":
        values = np.nan_to_num(np.asarray(image, dtype=np.float64))
        return PillowImage.fromarray((np.clip(values, 0, top) / top * 255).astype(np.uint8)).convert("RGB")
    if is_clear(image):
        layer = image.convert("RGBA")
        behind = PillowImage.new("RGBA", layer.size, (ground, ground, ground, 255))
        return PillowImage.alpha_composite(behind, layer).convert("RGB")
    return image.convert("RGB")


def _other_format(path: Path) -> str:
    """Why a file is none of the formats that are read: which one its beginning shows, if any."""
    try:
        with path.open("rb") as file, PillowImage.open(io.BytesIO(file.read(_ENOUGH))) as other:
            return f"mislabelled: .{extension_of(path.name)} holds {other.format}"
    except Exception:  # noqa: BLE001 (Pillow's parsers raise almost anything on what they do not read)
        return "unreadable: not an image"


def _is_jpeg_in_name(file: IO[bytes]) -> bool:
    """Whether a file that begins as a JPEG goes on without any: Pillow looks for its next part byte by byte.

    Parts are told as in ITU-T T.81, B.1.1: a byte FF, their kind, and mostly their length.
    """
    at = 2
    for _ in range(_MOST_CHUNKS):
        file.seek(at)
        head = file.read(4)
        if head[:1] != b"\xff":
            gap = (head + file.read(_ENOUGH)).find(b"\xff")
            if gap < 0:
                return len(head) == 4
            at += gap
        elif head[1:2] in (b"\xda", b"\xd9", b""):  # the pixels, or the end
            return False
        else:
            at += 1 if head[1:2] == b"\xff" else 2 + int.from_bytes(head[2:])
    return False


def _unreadable(path: Path, error: Exception) -> ImageError:
    # the system's errors carry a number, a decoder's do not
    if isinstance(error, OSError) and error.errno is not None:
        return ImageError(path, f"unreadable: {error.strerror}", by_content=False)
    return ImageError(path, f"unreadable: {short(error)}", by_content=not isinstance(error, MemoryError))


def short(error: Exception) -> str:
    """What an error says, in at most one line of 120 characters."""
    return (str(error) or type(error).__name__).splitlines()[0][:120]


def encode(image: PillowImage.Image, kind: str, **options: Any) -> bytes:
    """The image as the bytes of a file; `kind` is Pillow's name of the format, which takes the options."""
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def encode_jpeg(image: PillowImage.Image) -> bytes:
    """The image as JPEG bytes of high quality: for showing, and for sets that hold their pictures."""
    return encode(image, "JPEG", quality=_JPEG_QUALITY)


def encode_png(image: PillowImage.Image) -> bytes:
    """The image as PNG bytes, lightly compressed: for showing, not for keeping."""
    return encode(image, "PNG", compress_level=1)
