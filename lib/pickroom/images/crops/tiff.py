"""TIFF: the source's own tags around newly written strips."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image as PillowImage
from PIL import TiffImagePlugin

from pickroom.core.geometry import PixelBox
from pickroom.images import decode, raw
from pickroom.images.crops import exif
from pickroom.images.crops.exif import Directory, Layout
from pickroom.images.crops.regions import CropError, Cut

# TIFF 6.0, sections 8, 14, 18 and 19
_BITS, _PHOTOMETRIC, _PREDICTOR, _COLOUR_MAP, _EXTRA_SAMPLES, _SAMPLE_FORMAT = 258, 262, 317, 320, 338, 339
# How the source's pixels are laid out; the encoder says how the crop's are.
_LAYOUT = frozenset(
    (*range(256, 260), 262, 266, 273, 277, 278, 279, 284, 288, 289, 292, 293, 317, 320, *range(322, 326), 338, 339, 347)
).union(range(512, 522), range(529, 533))
_UNTRUE = {37724: "layers (Photoshop), which are not cropped", 52545: exif.SIGNATURE}
_SUB_IFDS, _SUBFILE_TYPE, _REDUCED = 330, 254, 1  # Adobe PageMaker 6.0 TIFF Technical Notes, TIFF Trees
# 400: GlobalParametersIFD of fax files (RFC 2301)
_SUB_DIRECTORIES = frozenset((exif.EXIF_POINTER, exif.GPS_POINTER, exif.INTEROP_POINTER, 400))
_POINTERS = (exif.IFD, exif.IFD8)
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

# what turns upright pixels back into the stored frame: a quarter turn's inverse is the other, all else its own
_TURN_BACK = {**raw.TURNS, 6: raw.TURNS[8], 8: raw.TURNS[6]}


@dataclass(frozen=True, slots=True)
class _Value:
    """One tag to write: its value's bytes, or the directory that it points to; `at` is the only place it is true at."""

    type: int
    count: int
    content: bytes | _Tags
    at: int | None = None


_Tags = dict[int, _Value]


def check(image: TiffImagePlugin.TiffImageFile, data: bytes) -> tuple[str, bytes]:
    """Refuse further pages, and samples that Pillow does not keep as they are (see `crops.Check`)."""
    pages = _pages(data)
    first = pages[0]
    if not all(map(_is_preview, pages[1:])):
        raise CropError(f"TIFF of {len(pages)} pages, of which only one would be cropped")
    bits = tuple(image.tag_v2.get(_BITS, (1,)))
    formats = set(image.tag_v2.get(_SAMPLE_FORMAT, (1,)))
    depths, sample_format = _EXACT.get(image.mode, (set(), 0))
    if bits not in depths or formats != {sample_format}:
        depth = " + ".join(map(str, bits[:6]))
        raise CropError(f"TIFF of {depth} bits a pixel ({image.mode}), which Pillow cannot keep as they are")
    if _PREMULTIPLIED in image.tag_v2.get(_EXTRA_SAMPLES, ()):
        raise CropError("TIFF with premultiplied transparency, which would lose colour")
    if image.mode in ("I", "F") and first.layout.order == ">" and image.info.get("compression") != "raw":
        raise CropError("compressed TIFF of 32 bits in big-endian order, which Pillow misreads")
    for entry in first.entries.values():
        if entry.tag == _SUB_IFDS:
            if not all(_is_preview(exif.read(data, at, first.layout)) for at in first.integers(_SUB_IFDS)):
                raise CropError("TIFF with further pictures (SubIFDs), of which only one would be cropped")
        elif entry.type in _POINTERS and entry.count != 1:
            raise CropError(f"TIFF with directories of another program (tag {entry.tag}), which would be lost")
    left_out = ", ".join(said for tag, said in _UNTRUE.items() if tag in first.entries)
    # what lies behind everything that the directories account for, where they tell all lengths; else the picture's own
    # pixels might pass for it
    length = sum(sum(first.integers(tag)) for tag in _PICTURES.values() if tag in first.entries)
    untold = image.info.get("compression") == "raw" and length * 8 < image.width * image.height * sum(bits)
    if not length or untold or any(page.entries.keys() & _OLD_JPEG for page in pages):
        return left_out, b""
    behind = data[max(map(_end, pages)) :]
    return left_out, behind if behind.strip(b"\0") else b""


def encode(image: TiffImagePlugin.TiffImageFile, box: PixelBox, cut: Cut, data: bytes) -> bytes:
    """The crop with the source's tags, byte order and compression, turned as the source is; its pixels exactly.

    A compression that Pillow cannot write, or that would lose something once more, becomes Deflate. Maker notes, whose
    offsets count from the beginning of the file, keep their place in it.
    """
    source = exif.read_first(data)
    layout = source.layout
    compression = str(image.info.get("compression", "raw"))
    if compression not in _KEPT_COMPRESSIONS and not (image.mode == "1" and compression in _BILEVEL_COMPRESSIONS):
        compression = _LOSSLESS
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
    predictor = {_PREDICTOR: _HORIZONTAL} if predicted else {}
    base = decode.encode(crop, "TIFF", compression=compression, tiffinfo=predictor)

    new = exif.read_first(base)
    numbers = {tag: new.integers(tag) for tag in _LAYOUT & new.entries.keys()}
    strips = memoryview(base)  # not copied: a picture may fill memory
    pixels = [strips[at : at + length] for at, length in zip(numbers[_OFFSETS], numbers[_LENGTHS], strict=True)]
    found = _tags(source)
    tags = {tag: value for tag, value in found.items() if tag not in _LAYOUT and tag not in _UNTRUE}
    tags |= {tag: _numbers(new.entries[tag].type, values, layout) for tag, values in numbers.items()}
    if image.mode in _UNTOUCHED:
        tags |= {tag: found[tag] for tag in (_PHOTOMETRIC, _SAMPLE_FORMAT) if tag in found}
    elif image.mode == "P" and palette_bits == (8,):
        tags[_COLOUR_MAP] = found[_COLOUR_MAP]  # 16 bits a colour, of which Pillow keeps 8
    return exif.after_crop(_file(tags, pixels, layout), cut)


def _pages(data: bytes) -> list[Directory]:
    """The directories of the file's pictures, the first of which is the one that is cropped."""
    pages = [exif.read_first(data)]
    while (offset := pages[-1].next) and all(offset != page.start for page in pages):
        pages.append(exif.read(data, offset, pages[0].layout))
    return pages


def _is_preview(page: Directory) -> bool:
    return _SUBFILE_TYPE in page.entries and bool(page.integers(_SUBFILE_TYPE)[0] & _REDUCED)


def _numbers(kind: int, values: Sequence[int], layout: Layout) -> _Value:
    return _Value(kind, len(values), layout.pack(f"{len(values)}{exif.code(kind)}", *values))


def _tags(found: Directory) -> _Tags:
    """Every tag of a directory, and of those that it points to; SubIFDs, which hold pictures, are left out."""
    tags: _Tags = {}
    for entry in found.entries.values():
        if entry.tag == _SUB_IFDS:
            continue
        if entry.tag in _SUB_DIRECTORIES or entry.type in _POINTERS:
            (at,) = found.integers(entry.tag)
            tags[entry.tag] = _Value(entry.type, 1, _tags(exif.read(found.data, at, found.layout)))
        else:
            value = bytes(found.data[entry.start : entry.start + entry.size])
            fixed = entry.tag == _MAKER_NOTE and entry.size > found.layout.room
            tags[entry.tag] = _Value(entry.type, entry.count, value, entry.start if fixed else None)
    return tags


def _end(found: Directory) -> int:
    """Where what a directory and those that it points to account for ends."""
    ends = [found.end, *(entry.start + entry.size for entry in found.entries.values())]
    for tag, entry in found.entries.items():
        if tag == _SUB_IFDS or tag in _SUB_DIRECTORIES or entry.type in _POINTERS:
            ends += [_end(exif.read(found.data, at, found.layout)) for at in found.integers(tag)]
        if _PICTURES.get(tag) in found.entries:
            ends += map(sum, zip(found.integers(tag), found.integers(_PICTURES[tag]), strict=False))
    return max(ends)


def _file(tags: _Tags, pixels: list[memoryview], layout: Layout) -> bytes:
    """A TIFF file of one directory and these strips; what is true at one place only lies there."""
    data = bytearray(2 * layout.room)
    offsets: list[int] = []
    for at, note in sorted(_fixed(tags)):
        if not offsets and len(data) + sum(map(len, pixels)) + len(pixels) <= at:
            offsets = [_append(data, strip) for strip in pixels]
        if len(data) > at:
            raise ValueError("maker notes over each other or the header")
        data += bytes(at - len(data)) + note
    tags[_OFFSETS] = _numbers(exif.LONG, offsets or [_append(data, strip) for strip in pixels], layout)
    at = _append_directory(data, tags, layout)
    head = layout.pack("HHHQ", 43, 8, 0, at) if layout.room == 8 else layout.pack("HI", 42, at)
    data[: 2 + len(head)] = (b"II" if layout.order == "<" else b"MM") + head
    return bytes(data)


def _fixed(tags: _Tags) -> Iterator[tuple[int, bytes]]:
    """(place, bytes) of the values that are true at one place only."""
    for value in tags.values():
        if not isinstance(value.content, bytes):
            yield from _fixed(value.content)
        elif value.at is not None:
            yield value.at, value.content


def _append(data: bytearray, content: bytes | memoryview) -> int:
    """Write something at the end, at an even offset, as all are; returns it."""
    data += bytes(len(data) % 2)
    at = len(data)
    data += content
    return at


def _append_directory(data: bytearray, tags: _Tags, layout: Layout) -> int:
    """Write a directory and what it points to at the end; returns its offset."""
    rows = []
    for tag in sorted(tags):  # TIFF 6.0, section 2: entries in ascending order
        value = tags[tag]
        if isinstance(value.content, bytes):
            content = value.content
        else:
            content = layout.pack(exif.code(value.type), _append_directory(data, value.content, layout))
        if len(content) > layout.room:
            at = value.at if value.at is not None else _append(data, content)
            content = layout.pack(layout.offset, at)
        rows.append(layout.pack("HH" + layout.offset, tag, value.type, value.count) + content.ljust(layout.room, b"\0"))
    return _append(data, layout.pack(layout.count, len(rows)) + b"".join(rows) + bytes(layout.room))
