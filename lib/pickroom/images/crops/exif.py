"""TIFF directories (IFDs), of a TIFF file or of an EXIF block, and EXIF as it is true of a crop. Pure.

Sizes and the subject's place are set, previews of the uncropped picture go. EXIF blocks are changed in place, byte for
byte: maker notes hold offsets of their own, and a block written anew would break them.

Sources: TIFF 6.0, section 2; BigTIFF (magic 43, libtiff's design) for what has 8-byte offsets; Exif 2.32.
"""

import contextlib
import struct
from dataclasses import dataclass

from pickroom.images.crops import xmp
from pickroom.images.crops.regions import Cut

Block = bytes | bytearray
PREFIX = b"Exif\0\0"
SIGNATURE = "content credentials (C2PA), which vouch for the uncropped file alone"
LONG, IFD, IFD8 = 4, 13, 18
# type -> (struct code of its smallest part, how many of these a value has): BYTE, ASCII, SHORT, LONG, RATIONAL, ...
_TYPES = {number: (code, 1) for number, code in zip(range(1, 14), "BBHIIbBhiifdI", strict=True)}
_TYPES |= {5: ("I", 2), 10: ("i", 2), 16: ("Q", 1), 17: ("q", 1), IFD8: ("Q", 1)}
# Exif 2.32, tables 4 and 7
_SIZE, _PIXELS, _RELATED = (0x0100, 0x0101), (0xA002, 0xA003), (0x1001, 0x1002)
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
_PREVIEW_OFFSETS = {0x0201: 0x0202, 0x0111: 0x0117}  # JPEGInterchangeFormat, StripOffsets -> their lengths
_SUBJECTS = (0x9214, 0xA214)  # SubjectArea, SubjectLocation
# tags of a TIFF structure that hold metadata of another kind (XMP specification, part 3, 1.1.6 and 2.3)
_WHOLES = {700: xmp.after_crop, 34377: xmp.resources_after_crop}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a block is written.

    Attributes:
        order: "<" or ">".
        offset, count: struct codes of an offset, and of the number of a directory's entries.
        room: bytes of a value that lies in its entry.
    """

    order: str
    offset: str = "I"
    count: str = "H"
    room: int = 4

    def pack(self, codes: str, *values: int) -> bytes:
        return struct.pack(self.order + codes, *values)

    def number(self, code: str, data: Block, at: int) -> int:
        """The integer at a place; struct.error where it is outside."""
        number: int = struct.unpack_from(self.order + code, data, at)[0]
        return number


@dataclass(frozen=True, slots=True)
class Entry:
    """The entry at `row`: its value's bytes lie at [start, start + size), in the entry itself or elsewhere."""

    tag: int
    type: int
    count: int
    start: int
    size: int
    row: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries by tag; it lies at [start, end), and the offset of the next one is written at `next_at`."""

    data: Block
    layout: Layout
    entries: dict[int, Entry]
    start: int
    next_at: int
    end: int

    @property
    def next(self) -> int:
        """The offset of the next directory, 0 for none."""
        return self.layout.number(self.layout.offset, self.data, self.next_at)

    def integers(self, tag: int) -> tuple[int, ...]:
        """The values of an integer tag, each part of a rational by itself.

        Raises ValueError where it holds floats, in a damaged file, KeyError where it is not there.
        """
        entry = self.entries[tag]
        part, parts = _TYPES[entry.type]
        if part in "fd":
            raise ValueError(f"TIFF type {entry.type} holds no integers")
        return struct.unpack_from(f"{self.layout.order}{entry.count * parts}{part}", self.data, entry.start)


def code(kind: int) -> str:
    """struct code of the smallest part of a value."""
    return _TYPES[kind][0]


def read_first(data: Block) -> Directory:
    """The first directory; raises ValueError when this is not a TIFF structure, or as `read`."""
    order = {b"II": "<", b"MM": ">"}.get(bytes(data[:2]), "")
    magic = struct.unpack_from(order + "H", data, 2)[0] if order and len(data) >= 8 else 0
    if magic == 42:
        layout = Layout(order)
    elif magic == 43 and len(data) >= 16:
        layout = Layout(order, "Q", "Q", 8)
    else:
        raise ValueError("no TIFF header")
    # its offset is at byte 4, and in BigTIFF at byte 8
    return read(data, layout.number(layout.offset, data, layout.room), layout)


def read(data: Block, offset: int, layout: Layout) -> Directory:
    """The directory at an offset. Entries of unknown type, or whose value lies outside the data, are left out.

    Raises ValueError where the directory itself lies outside the data.
    """
    width = 4 + 2 * layout.room
    try:
        first = offset + struct.calcsize("=" + layout.count)
        next_at = first + layout.number(layout.count, data, offset) * width
        layout.number(layout.offset, data, next_at)
    except struct.error as error:
        raise ValueError("TIFF directory outside the file") from error
    entries = {}
    for at in range(first, next_at, width):
        tag, kind, values = struct.unpack_from(f"{layout.order}HH{layout.offset}", data, at)
        if kind not in _TYPES:
            continue
        part, parts = _TYPES[kind]
        size, start = struct.calcsize("=" + part) * parts * values, at + width - layout.room
        if size > layout.room:
            start = layout.number(layout.offset, data, start)
        if start + size <= len(data):
            entries[tag] = Entry(tag, kind, values, start, size, at)
    return Directory(data, layout, entries, offset, next_at, next_at + layout.room)


def after_crop(block: bytes, cut: Cut) -> bytes:
    """An EXIF block ("Exif" prefix or not) or a TIFF file, as it is true of a crop.

    Sizes, the subject's place, XMP and Photoshop's resources change, and the thumbnail goes. A block that cannot be
    followed is given back as it is. Raises PacketError as `xmp.after_crop`.
    """
    prefix = PREFIX if block.startswith(PREFIX) else b""
    data = bytearray(block[len(prefix) :])
    try:
        main = read_first(data)
    except ValueError:
        return block
    directories, layout = [main], main.layout
    for tags in (_SIZE, _PIXELS):  # some writers put EXIF's own into the first directory
        _set_sizes(main, data, tags, cut)
    with contextlib.suppress(ValueError, KeyError):  # none, or a damaged one
        for pointer, tags in ((EXIF_POINTER, _PIXELS), (INTEROP_POINTER, _RELATED)):
            (at,) = directories[-1].integers(pointer)
            directories.append(read(data, at, layout))
            _set_sizes(directories[-1], data, tags, cut)
    for tag in _WHOLES.keys() & main.entries.keys():
        _change_whole(main.entries[tag], data, layout, cut)
    for found in directories[:2]:
        for tag in _SUBJECTS:
            _move_subject(read(data, found.start, layout), data, tag, cut)
    main = read(data, main.start, layout)
    if main.next:
        _drop_preview(data, main.next, layout, directories)
        struct.pack_into(layout.order + layout.offset, data, main.next_at, 0)
    return prefix + bytes(data)


def _set_sizes(found: Directory, data: bytearray, tags: tuple[int, int], cut: Cut) -> None:
    for tag, value in zip(tags, cut.stored_size, strict=True):
        entry = found.entries.get(tag)
        # some writers give sizes signed types
        if entry and entry.count == 1 and code(entry.type) in "HIhi":
            struct.pack_into(found.layout.order + code(entry.type), data, entry.start, value)


def _change_whole(entry: Entry, data: bytearray, layout: Layout, cut: Cut) -> None:
    """Set a value of `_WHOLES` where it is, or behind everything else where it has become longer."""
    before = bytes(data[entry.start : entry.start + entry.size])
    if entry.size != entry.count or (after := _WHOLES[entry.tag](before, cut)) == before:
        return
    if len(after) <= entry.size:
        data[entry.start : entry.start + entry.size] = after.ljust(entry.size, b"\0")
    else:
        data += bytes(len(data) % 2)
        struct.pack_into(layout.order + layout.offset, data, entry.row + 4 + layout.room, len(data))
        data += after
    struct.pack_into(layout.order + layout.offset, data, entry.row + 4, len(after))


def _move_subject(found: Directory, data: bytearray, tag: int, cut: Cut) -> None:
    """Set the subject's place, or take its entry out of the directory, where the others stay as they are."""
    entry, layout = found.entries.get(tag), found.layout
    values = found.integers(tag) if entry and code(entry.type) in "HI" else ()
    if entry is None or not values:
        return
    moved = cut.subject(values)
    if moved is not None and all(0 <= value < 1 << 16 for value in moved):
        struct.pack_into(f"{layout.order}{len(moved)}{code(entry.type)}", data, entry.start, *moved)
        return
    width = 4 + 2 * layout.room
    data[entry.row : found.end] = data[entry.row + width : found.end] + bytes(width)
    count = layout.number(layout.count, data, found.start)
    struct.pack_into(layout.order + layout.count, data, found.start, count - 1)


def _drop_preview(data: bytearray, offset: int, layout: Layout, others: list[Directory]) -> None:
    """Blank the thumbnail of the second directory; cut it off where nothing follows it."""
    with contextlib.suppress(ValueError, struct.error):
        second = read(data, offset, layout)
        for tags in _PREVIEW_OFFSETS.items():
            if not all(tag in second.entries for tag in tags):
                continue
            starts, lengths = map(second.integers, tags)
            for start, length in zip(starts, lengths, strict=False):
                end = min(start + length, len(data))
                # a thumbnail said to lie over a directory is damage, or a trap to make us blank that
                if any(start < other.end and end > other.start for other in (*others, second)):
                    continue
                data[start:end] = bytes(max(end - start, 0))
                if end == len(data):
                    del data[start:]
