"""TIFF: the source's own tags around newly written strips."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFile, TiffImagePlugin
from PIL.Image import Transpose

from pickroom.core.geometry import PixelBox
from pickroom.images.crops import directory, metadata
from pickroom.images.crops.directory import Directory, Layout
from pickroom.images.crops.regions import Cut

# TIFF 6.0, sections 8, 14, 18 and 19
_BITS, _PHOTOMETRIC, _PREDICTOR, _COLOUR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 317, 320, 338, 339
# How the source's pixels are laid out; the encoder says how the crop's are.
_LAYOUT = frozenset(
    (*range(256, 260), 262, 266, 273, 277, 278, 279, 284, 288, 289, 292, 293, 317, 320, *range(322, 326), 338, 339, 347)
).union(range(512, 522), range(529, 533))
_UNTRUE = {37724: "layers (Photoshop), which are not cropped", 52545: metadata.SIGNATURE}
_SUB_IFDS, _SUBFILE_TYPE, _REDUCED = 330, 254, 1  # Adobe PageMaker 6.0 TIFF Technical Notes, TIFF Trees
# 400: GlobalParametersIFD of fax files (RFC 2301)
_SUB_DIRECTORIES = frozenset((metadata.EXIF_POINTER, metadata.GPS_POINTER, metadata.INTEROP_POINTER, 400))
_POINTERS = (directory.IFD, directory.IFD8)
_MAKER_NOTE = 0x927C  # of EXIF: its offsets count from the beginning of the file, or of itself
_OFFSETS, _LENGTHS = 273, 279  # of strips
_PICTURES = {_OFFSETS: _LENGTHS, 324: 325, 513: 514}  # strips, tiles, JPEG previews
_OLD_JPEG = frozenset((519, 520, 521))  # JPEGQTables, JPEGDCTables, JPEGACTables of TIFF 6.0

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
    """One tag to write: its value's bytes, or the directory that it points to; `at` is the only place it is true at."""

    type: int
    count: int
    content: bytes | _Tags
    at: int | None = None


_Tags = dict[int, _Value]


def refusal(image: ImageFile.ImageFile, data: bytes) -> str:
    """Why a crop would lose something, "" when it would not."""
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    layout, pages = _pages(data)
    if not all(_is_preview(data, page, layout) for page in pages[1:]):
        return f"TIFF of {len(pages)} pages, of which only one would be cropped"
    bits = tuple(image.tag_v2.get(_BITS, (1,)))
    formats = set(image.tag_v2.get(_SAMPLE_FORMAT, (1,)))
    depths, sample_format = _EXACT.get(image.mode, (set(), 0))
    if bits not in depths or formats != {sample_format}:
        depth = " + ".join(map(str, bits[:6]))
        return f"TIFF of {depth} bits a pixel ({image.mode}), which Pillow cannot keep as they are"
    if _PREMULTIPLIED in image.tag_v2.get(_EXTRA_SAMPLES, ()):
        return "TIFF with premultiplied transparency, which would lose colour"
    if image.mode in ("I", "F") and layout.order == ">" and image.info.get("compression") != "raw":
        return "compressed TIFF of 32 bits in big-endian order, which Pillow misreads"
    for entry in pages[0].entries.values():
        if entry.tag == _SUB_IFDS:
            places = directory.integers(data, entry, layout)
            if not all(_is_preview(data, directory.read(data, at, layout), layout) for at in places):
                return "TIFF with further pictures (SubIFDs), of which only one would be cropped"
        elif entry.type in _POINTERS and entry.count != 1:
            return f"TIFF with directories of another program (tag {entry.tag}), which would be lost"
    return ""


def trailer(image: ImageFile.ImageFile, data: bytes) -> bytes:
    """What lies behind everything that the directories account for; nothing where they do not tell all lengths."""
    layout, pages = _pages(data)
    if any(page.entries.keys() & _OLD_JPEG for page in pages):
        return b""  # whose tables have no length
    told = [pages[0].entries[tag] for tag in _PICTURES.values() if tag in pages[0].entries]
    length = sum(sum(directory.integers(data, entry, layout)) for entry in told)
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    bits = image.width * image.height * sum(image.tag_v2.get(_BITS, (1,)))
    if not length or (image.info.get("compression") == "raw" and length * 8 < bits):
        return b""  # else the picture's own pixels might pass for it
    behind = data[max(_end(data, page.start, layout) for page in pages) :]
    return behind if behind.strip(b"\0") else b""


def left_out(data: bytes) -> str:
    """What only the uncropped picture can have, for the user to be told; "" when there is nothing of the kind."""
    layout, offset = directory.read_header(data)
    tags = directory.read(data, offset, layout).entries
    return ", ".join(said for tag, said in _UNTRUE.items() if tag in tags)


def encode(image: ImageFile.ImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop with the source's tags, byte order and compression, turned as the source is; its pixels exactly.

    A compression that Pillow cannot write, or that would lose something once more, becomes Deflate. Maker notes, whose
    offsets count from the beginning of the file, keep their place in it.
    """
    assert isinstance(image, TiffImagePlugin.TiffImageFile)
    layout, offset = directory.read_header(data)
    compression = str(image.info.get("compression", "raw"))
    kept = _KEPT_COMPRESSIONS | (_BILEVEL_COMPRESSIONS if image.mode == "1" else frozenset())
    compression = compression if compression in kept else _LOSSLESS
    swapped = image.mode in _UNTOUCHED and layout.order == ">"
    # Pillow's predictor knows samples of its own byte order alone
    predicted = image.tag_v2.get(_PREDICTOR) == _HORIZONTAL and compression not in ("raw", "packbits") and not swapped
    palette_bits = image.tag_v2.get(_BITS, (1,))
    crop = image.crop(box)  # decodes, and with that turns the image upright
    if cut.after in _TURN_BACK:
        crop = crop.transpose(_TURN_BACK[cut.after])
    crop.info.clear()
    if swapped:
        samples = np.asarray(crop)
        native = samples.astype(samples.dtype.newbyteorder(">")).tobytes()
        crop = PillowImage.frombytes(image.mode[:4], crop.size, native)  # of "I;16B", the 16 bits as they come
    buffer = io.BytesIO()
    crop.save(buffer, "TIFF", compression=compression, tiffinfo={_PREDICTOR: _HORIZONTAL} if predicted else {})

    base = buffer.getvalue()
    base_layout, base_offset = directory.read_header(base)
    new = directory.read(base, base_offset, base_layout).entries
    numbers = {tag: directory.integers(base, new[tag], base_layout) for tag in _LAYOUT & new.keys()}
    strips = memoryview(base)  # not copied: a picture may fill memory
    pixels = [strips[at : at + length] for at, length in zip(numbers[_OFFSETS], numbers[_LENGTHS], strict=True)]
    found = _tags(data, offset, layout)
    tags = {tag: value for tag, value in found.items() if tag not in _LAYOUT and tag not in _UNTRUE}
    tags |= {tag: _numbers(new[tag].type, values, layout) for tag, values in numbers.items()}
    if image.mode in _UNTOUCHED:
        tags |= {tag: found[tag] for tag in (_PHOTOMETRIC, _SAMPLE_FORMAT) if tag in found}
    elif image.mode == "P" and palette_bits == (8,):
        tags[_COLOUR_MAP] = found[_COLOUR_MAP]  # 16 bits a colour, of which Pillow keeps 8
    return metadata.exif_after_crop(_file(tags, pixels, layout), cut)


def _pages(data: bytes) -> tuple[Layout, list[Directory]]:
    """The directories of the file's pictures, the first of which is the one that is cropped."""
    layout, offset = directory.read_header(data)
    pages: list[Directory] = []
    while offset and all(offset != page.start for page in pages):
        pages.append(directory.read(data, offset, layout))
        (offset,) = struct.unpack_from(layout.offset, data, pages[-1].next_at)
    return layout, pages


def _is_preview(data: bytes, page: Directory, layout: Layout) -> bool:
    kind = page.entries.get(_SUBFILE_TYPE)
    return kind is not None and bool(directory.integers(data, kind, layout)[0] & _REDUCED)


def _numbers(kind: int, values: Iterable[int], layout: Layout) -> _Value:
    values = tuple(values)
    return _Value(kind, len(values), struct.pack(f"{layout.order}{len(values)}{directory.code(kind)}", *values))


def _tags(data: bytes, offset: int, layout: Layout) -> _Tags:
    """Every tag of a directory, and of those that it points to; SubIFDs, which hold pictures, are left out."""
    tags: _Tags = {}
    for entry in directory.read(data, offset, layout).entries.values():
        if entry.tag == _SUB_IFDS:
            continue
        if entry.tag in _SUB_DIRECTORIES or entry.type in _POINTERS:
            (at,) = directory.integers(data, entry, layout)
            tags[entry.tag] = _Value(entry.type, 1, _tags(data, at, layout))
        else:
            value = data[entry.start : entry.start + entry.size]
            fixed = entry.tag == _MAKER_NOTE and entry.size > (8 if layout.big else 4)
            tags[entry.tag] = _Value(entry.type, entry.count, value, entry.start if fixed else None)
    return tags


def _end(data: bytes, offset: int, layout: Layout) -> int:
    """Where what a directory and those that it points to account for ends."""
    found = directory.read(data, offset, layout)
    ends = [found.end, *(entry.start + entry.size for entry in found.entries.values())]
    for tag, entry in found.entries.items():
        if tag == _SUB_IFDS or tag in _SUB_DIRECTORIES or entry.type in _POINTERS:
            ends += [_end(data, at, layout) for at in directory.integers(data, entry, layout)]
        if tag in _PICTURES and (lengths := found.entries.get(_PICTURES[tag])):
            places = directory.integers(data, entry, layout)
            ends += map(sum, zip(places, directory.integers(data, lengths, layout), strict=False))
    return max(ends)


def _file(tags: _Tags, pixels: list[memoryview], layout: Layout) -> bytes:
    """A TIFF file of one directory and these strips; what is true at one place only lies there."""
    data = bytearray(16 if layout.big else 8)
    offsets: list[int] = []
    for at, note in sorted(_fixed(tags)):
        if not offsets and len(data) + sum(map(len, pixels)) + len(pixels) <= at:
            offsets = _append_strips(data, pixels)
        if len(data) > at:
            raise ValueError("maker notes over each other or the header")
        data += bytes(at - len(data)) + note
    tags[_OFFSETS] = _numbers(directory.LONG, offsets or _append_strips(data, pixels), layout)
    at = _append(data, tags, layout)
    head = struct.pack(layout.order + "HHHQ", 43, 8, 0, at) if layout.big else struct.pack(layout.order + "HI", 42, at)
    data[: 2 + len(head)] = (b"II" if layout.order == "<" else b"MM") + head
    return bytes(data)


def _fixed(tags: _Tags) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of the values that are true at one place only."""
    for value in tags.values():
        if not isinstance(value.content, bytes):
            yield from _fixed(value.content)
        elif value.at is not None:
            yield value.at, value.content


def _append_strips(data: bytearray, pixels: list[memoryview]) -> list[int]:
    offsets = []
    for strip in pixels:
        offsets.append(len(data))
        data += strip
        data += bytes(len(strip) % 2)  # offsets are even
    return offsets


def _append(data: bytearray, tags: _Tags, layout: Layout) -> int:
    """Write a directory and what it points to at the end; returns its offset."""
    rows, room = [], 8 if layout.big else 4
    for tag in sorted(tags):  # TIFF 6.0, section 2: entries in ascending order
        value = tags[tag]
        if isinstance(value.content, bytes):
            content = value.content
        else:
            content = struct.pack(layout.order + directory.code(value.type), _append(data, value.content, layout))
        if len(content) > room:
            at = value.at
            if at is None:
                data += bytes(len(data) % 2)
                at = len(data)
                data += content
            content = struct.pack(layout.offset, at)
        head = struct.pack(layout.order + "HH" + layout.offset[1], tag, value.type, value.count)
        rows.append(head + content.ljust(room, b"\0"))
    data += bytes(len(data) % 2)
    offset = len(data)
    data += struct.pack(layout.order + ("Q" if layout.big else "H"), len(rows)) + b"".join(rows) + bytes(room)
    return offset
