"""TIFF: the source's own tags around newly written strips."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path

from PIL import ImageFile, TiffImagePlugin
from PIL.Image import Transpose

from pickroom.core.geometry import PixelBox
from pickroom.images.crops import directory, metadata
from pickroom.images.crops.directory import Layout

# TIFF 6.0, sections 8, 14, 18 and 19
_BITS, _PHOTOMETRIC, _PREDICTOR, _COLOUR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 317, 320, 338, 339
_PHOTOSHOP = 34377  # Adobe Photoshop TIFF Technical Notes: image resources
# How the source's pixels are laid out; the encoder says how the crop's are.
_LAYOUT = frozenset(
    (*range(256, 260), 262, 266, 273, 277, 278, 279, 284, 288, 289, 292, 293, 317, 320, *range(322, 326), 338, 339, 347)
).union(range(512, 522), range(529, 533))
# 330: SubIFDs, previews of the uncropped picture. 37724: Photoshop's layers, uncropped as well.
_UNTRUE = frozenset((330, 37724))
_SUB_DIRECTORIES = frozenset((metadata.EXIF_POINTER, metadata.GPS_POINTER, metadata.INTEROP_POINTER))

# mode as Pillow opens it -> the depths, and the sample format (1 unsigned, 2 signed, 3 float), that survive it
_EXACT: dict[str, tuple[set[tuple[int, ...]], int]] = {
    "1": ({(1,)}, 1),
    "L": ({(2,), (4,), (8,)}, 1),
    "P": ({(1,), (2,), (4,), (8,)}, 1),
    "LA": ({(8, 8)}, 1),
    "RGB": ({(8, 8, 8)}, 1),
    "RGBA": ({(8, 8, 8, 8)}, 1),
    "CMYK": ({(8, 8, 8, 8)}, 1),
    "I;16": ({(16,)}, 1),
    "I;16B": ({(16,)}, 1),
    "I": ({(32,)}, 2),
    "F": ({(32,)}, 3),
}
_UNTOUCHED = ("I;16", "I;16B", "I", "F")  # Pillow hands out their samples as they are, inverted or not
_PREMULTIPLIED = 1  # ExtraSamples: associated alpha, which Pillow divides out
_KEPT_COMPRESSIONS = frozenset(("raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate"))
_BILEVEL_COMPRESSIONS = frozenset(("tiff_ccitt", "group3", "group4"))
_LOSSLESS = "tiff_adobe_deflate"  # for what Pillow cannot write, or only with a loss (JPEG, WebP)
_HORIZONTAL = 2  # Predictor

# what turns upright pixels back into the stored frame: the inverse of each of Pillow's exif_transpose
_TURN_BACK = {
    2: Transpose.FLIP_LEFT_RIGHT,
    3: Transpose.ROTATE_180,
    4: Transpose.FLIP_TOP_BOTTOM,
    5: Transpose.TRANSPOSE,
    6: Transpose.ROTATE_90,
    7: Transpose.TRANSVERSE,
    8: Transpose.ROTATE_270,
}


@dataclass(frozen=True, slots=True)
class _Value:
    """One tag to write: its value's bytes, or the directory that it points to."""

    type: int
    count: int
    content: bytes | dict[int, _Value]


_Tags = dict[int, _Value]


def refusal(image: ImageFile.ImageFile) -> str:
    """Why a crop would lose something, "" when it would not."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    if getattr(image, "n_frames", 1) > 1:
        return f"TIFF of {image.n_frames} pages, of which only one would be cropped"
    bits = tuple(image.tag_v2.get(_BITS, (1,)))
    formats = set(image.tag_v2.get(_SAMPLE_FORMAT, (1,)))
    depths, sample_format = _EXACT.get(image.mode, (set(), 0))
    if bits not in depths or formats != {sample_format}:
        depth = " + ".join(map(str, bits[:6]))
        return f"TIFF of {depth} bits a pixel ({image.mode}), which Pillow cannot keep as they are"
    if _PREMULTIPLIED in image.tag_v2.get(_EXTRA_SAMPLES, ()):
        return "TIFF with premultiplied transparency, which would lose colour"
    return ""


def encode(image: ImageFile.ImageFile, box: PixelBox, orientation: int, source: Path) -> bytes:
    """The crop with the source's tags and compression, turned as the source is; pixels exactly the source's.

    A compression that Pillow cannot write, or that would lose something once more, becomes Deflate.
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    compression = str(image.info.get("compression", "raw"))
    kept = _KEPT_COMPRESSIONS | (_BILEVEL_COMPRESSIONS if image.mode == "1" else frozenset())
    compression = compression if compression in kept else _LOSSLESS
    predicted = image.tag_v2.get(_PREDICTOR) == _HORIZONTAL and compression not in ("raw", "packbits")
    palette_bits = image.tag_v2.get(_BITS, (1,))
    crop = image.crop(box)  # decodes, and with that turns the image upright
    if orientation in _TURN_BACK:
        crop = crop.transpose(_TURN_BACK[orientation])
    crop.info.clear()
    buffer = io.BytesIO()
    crop.save(buffer, "TIFF", compression=compression, tiffinfo={_PREDICTOR: _HORIZONTAL} if predicted else {})

    base = buffer.getvalue()
    target, offset = directory.read_header(base)
    written = _tags(base, offset, target, target)
    data = source.read_bytes()
    layout, offset = directory.read_header(data)
    found = _tags(data, offset, layout, target)
    tags = {tag: value for tag, value in found.items() if tag not in _LAYOUT | _UNTRUE} | written
    if image.mode in _UNTOUCHED:
        tags |= {tag: found[tag] for tag in (_PHOTOMETRIC, _SAMPLE_FORMAT) if tag in found}
    elif image.mode == "P" and palette_bits == (8,):
        tags[_COLOUR_MAP] = found[_COLOUR_MAP]  # 16 bits a colour, of which Pillow keeps 8
    _set_sizes(tags, crop.size, target)
    if _PHOTOSHOP in tags and isinstance(resources := tags[_PHOTOSHOP].content, bytes):
        resources = metadata.without_thumbnails(resources)
        tags[_PHOTOSHOP] = _Value(tags[_PHOTOSHOP].type, len(resources), resources)
    return _with_directory(base, tags, target)


def _tags(data: bytes, offset: int, layout: Layout, target: Layout) -> _Tags:
    """Every tag of a directory, values in the target's byte order, EXIF, GPS and interoperability followed."""
    tags: _Tags = {}
    for entry in directory.read(data, offset, layout).entries.values():
        if entry.tag in _SUB_DIRECTORIES:
            (at,) = directory.integers(data, entry, layout)
            tags[entry.tag] = _Value(directory.LONG, 1, _tags(data, at, layout, target))
        elif entry.type not in (directory.IFD, directory.IFD8):  # other directories: their offsets mean nothing here
            value = data[entry.start : entry.start + entry.size]
            tags[entry.tag] = _Value(entry.type, entry.count, directory.reordered(value, entry.type, layout, target))
    return tags


def _set_sizes(tags: _Tags, size: tuple[int, int], target: Layout) -> None:
    photo = tags.get(metadata.EXIF_POINTER)
    if photo is None or isinstance(photo.content, bytes):
        return
    for tag, value in zip((metadata.PIXEL_X, metadata.PIXEL_Y), size, strict=True):
        if tag in photo.content:
            photo.content[tag] = _Value(directory.LONG, 1, struct.pack(target.order + "I", value))


def _with_directory(base: bytes, tags: _Tags, layout: Layout) -> bytes:
    """A TIFF file whose only directory becomes `tags`, put behind its pixels."""
    data = bytearray(base)
    at = _append(data, tags, layout)
    struct.pack_into(layout.offset, data, 4, at)
    return bytes(data)


def _append(data: bytearray, tags: _Tags, layout: Layout) -> int:
    """Write a directory and what it points to at the end; returns its offset."""
    rows = []
    for tag in sorted(tags):  # TIFF 6.0, section 2: entries in ascending order
        value = tags[tag]
        if isinstance(value.content, bytes):
            content = value.content
        else:
            content = struct.pack(layout.order + "I", _append(data, value.content, layout))
        if len(content) > 4:
            data += bytes(len(data) % 2)  # offsets are even
            content, at = struct.pack(layout.order + "I", len(data)), content
            data += at
        rows.append(struct.pack(layout.order + "HHI", tag, value.type, value.count) + content.ljust(4, b"\0"))
    data += bytes(len(data) % 2)
    offset = len(data)
    data += struct.pack(layout.order + "H", len(rows)) + b"".join(rows) + struct.pack(layout.order + "I", 0)
    return offset
