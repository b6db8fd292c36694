"""TIFF directories (IFDs): the entries of a TIFF file or of an EXIF block, read one by one. Pure.

Source: TIFF 6.0, section 2; BigTIFF (magic 43, libtiff's design) for what has 8-byte offsets.
"""

import struct
from dataclasses import dataclass

Block = bytes | bytearray
BYTE, ASCII, SHORT, LONG, RATIONAL, UNDEFINED, IFD, LONG8, IFD8 = 1, 2, 3, 4, 5, 7, 13, 16, 18
# type -> (struct code of its smallest part, how many of these a value has)
_TYPES = {
    BYTE: ("B", 1),
    ASCII: ("B", 1),
    SHORT: ("H", 1),
    LONG: ("I", 1),
    RATIONAL: ("I", 2),
    6: ("b", 1),
    UNDEFINED: ("B", 1),
    8: ("h", 1),
    9: ("i", 1),
    10: ("i", 2),
    11: ("f", 1),
    12: ("d", 1),
    IFD: ("I", 1),
    LONG8: ("Q", 1),
    17: ("q", 1),
    IFD8: ("Q", 1),
}


@dataclass(frozen=True, slots=True)
class Layout:
    """How a block is written: `order` "<" or ">", and whether its offsets have 8 bytes."""

    order: str
    big: bool = False

    @property
    def offset(self) -> str:
        """struct code of an offset."""
        return self.order + ("Q" if self.big else "I")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: its value's bytes lie at [start, start + size), in the entry itself or elsewhere."""

    tag: int
    type: int
    count: int
    start: int
    size: int


@dataclass(frozen=True, slots=True)
class Directory:
    """The entries by tag; it lies at [start, end), and the offset of the next one is written at `next_at`."""

    entries: dict[int, Entry]
    start: int
    next_at: int
    end: int


def code(kind: int) -> str:
    """struct code of the smallest part of a value."""
    return _TYPES[kind][0]


def value_size(kind: int, count: int) -> int:
    """Bytes of a value; raises ValueError for a type that TIFF does not know."""
    if kind not in _TYPES:
        raise ValueError(f"unknown TIFF type {kind}")
    part, parts = _TYPES[kind]
    return struct.calcsize("=" + part) * parts * count


def read_header(data: Block) -> tuple[Layout, int]:
    """Layout and offset of the first directory; raises ValueError when this is not a TIFF structure."""
    orders = {b"II": "<", b"MM": ">"}
    order = orders.get(bytes(data[:2]))
    if order is None or len(data) < 8:
        raise ValueError("no TIFF header")
    magic = struct.unpack_from(order + "H", data, 2)[0]
    if magic == 42:
        return Layout(order), struct.unpack_from(order + "I", data, 4)[0]
    if magic == 43 and len(data) >= 16:
        return Layout(order, big=True), struct.unpack_from(order + "Q", data, 8)[0]
    raise ValueError("no TIFF header")


def read(data: Block, offset: int, layout: Layout) -> Directory:
    """The directory at an offset. Entries of unknown type, or whose value lies outside the data, are left out.

    Raises:
        ValueError: the directory itself lies outside the data.
    """
    head, width = ("Q", 20) if layout.big else ("H", 12)
    inline = 8 if layout.big else 4
    try:
        (count,) = struct.unpack_from(layout.order + head, data, offset)
        first = offset + struct.calcsize("=" + head)
        next_at = first + count * width
        struct.unpack_from(layout.offset, data, next_at)
    except struct.error as error:
        raise ValueError("TIFF directory outside the file") from error
    entries = {}
    for at in range(first, next_at, width):
        tag, kind, values = struct.unpack_from(layout.order + "HH" + ("Q" if layout.big else "I"), data, at)
        if kind not in _TYPES:
            continue
        size, start = value_size(kind, values), at + width - inline
        if size > inline:
            (start,) = struct.unpack_from(layout.offset, data, start)
        if start + size <= len(data):
            entries[tag] = Entry(tag, kind, values, start, size)
    return Directory(entries, offset, next_at, next_at + inline)


def integers(data: Block, entry: Entry, layout: Layout) -> tuple[int, ...]:
    """The values of an integer entry, each part of a rational by itself; raises ValueError for one of floats."""
    part, parts = _TYPES[entry.type]
    if part in "fd":  # of a damaged file: where integers belong, no float means one
        raise ValueError(f"TIFF type {entry.type} holds no integers")
    return struct.unpack_from(f"{layout.order}{entry.count * parts}{part}", data, entry.start)
