"""EXIF as it is true of a crop: sizes and the subject's place are set, previews of the uncropped picture go. Pure.

EXIF blocks are changed in place, byte for byte: maker notes hold offsets of their own, and a block written anew
would break them.
"""

import contextlib
import struct

from pickroom.images.crops import directory, photoshop, xmp
from pickroom.images.crops.directory import Directory, Entry, Layout
from pickroom.images.crops.regions import Cut

EXIF_PREFIX = b"Exif\0\0"
SIGNATURE = "content credentials (C2PA), which vouch for the uncropped file alone"
# Exif 2.32, tables 4 and 7
IMAGE_WIDTH, IMAGE_LENGTH = 0x0100, 0x0101
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
RELATED_WIDTH, RELATED_LENGTH = 0x1001, 0x1002
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
_PREVIEW_OFFSETS = {0x0201: 0x0202, 0x0111: 0x0117}  # JPEGInterchangeFormat, StripOffsets -> their lengths
_SUBJECTS = (0x9214, 0xA214)  # SubjectArea, SubjectLocation
# tags of a TIFF structure that hold metadata of another kind (XMP specification, part 3, 1.1.6 and 2.3)
_XMP, _PHOTOSHOP = 700, 34377
_WHOLES = frozenset((_XMP, _PHOTOSHOP))


def exif_after_crop(block: bytes, cut: Cut) -> bytes:
    """An EXIF block ("Exif" prefix or not) or a TIFF file, as it is true of a crop.

    Sizes, the subject's place, XMP and Photoshop's resources change, and the thumbnail goes. A block that cannot be
    followed is given back as it is.

    Raises:
        PacketError: as `xmp.after_crop`.
    """
    size = cut.stored_size
    prefix = EXIF_PREFIX if block.startswith(EXIF_PREFIX) else b""
    data = bytearray(block[len(prefix) :])
    try:
        layout, offset = directory.read_header(data)
        main = directory.read(data, offset, layout)
    except ValueError:
        return block
    directories = [main]
    for tags in (
        (IMAGE_WIDTH, IMAGE_LENGTH),
        (PIXEL_X, PIXEL_Y),
    ):  # some writers put EXIF's own into the first directory
        _set_sizes(data, main, layout, tags, size)
    with contextlib.suppress(ValueError, KeyError):  # none, or a damaged one
        for pointer, tags in ((EXIF_POINTER, (PIXEL_X, PIXEL_Y)), (INTEROP_POINTER, (RELATED_WIDTH, RELATED_LENGTH))):
            (at,) = directory.integers(data, directories[-1].entries[pointer], layout)
            directories.append(directory.read(data, at, layout))
            _set_sizes(data, directories[-1], layout, tags, size)
    for tag in _WHOLES & main.entries.keys():
        _change_whole(data, main, main.entries[tag], layout, cut)
    for found in directories[:2]:
        for tag in _SUBJECTS:
            if tag in found.entries:
                _move_subject(data, found, tag, layout, cut)
    (following,) = struct.unpack_from(layout.offset, data, main.next_at)
    if following:
        _drop_preview(data, following, layout, directories)
        struct.pack_into(layout.offset, data, main.next_at, 0)
    return prefix + bytes(data)


def _set_sizes(data: bytearray, found: Directory, layout: Layout, tags: tuple[int, int], size: tuple[int, int]) -> None:
    for tag, value in zip(tags, size, strict=True):
        entry = found.entries.get(tag)
        # some writers give sizes signed types
        if entry and entry.count == 1 and (code := directory.code(entry.type)) in "HIhi":
            struct.pack_into(layout.order + code, data, entry.start, value)


def _change_whole(data: bytearray, found: Directory, entry: Entry, layout: Layout, cut: Cut) -> None:
    """Set a value of `_WHOLES` where it is, or behind everything else where it has become longer."""
    before = bytes(data[entry.start : entry.start + entry.size])
    change = xmp.after_crop if entry.tag == _XMP else photoshop.after_crop
    if entry.size != entry.count or (after := change(before, cut)) == before:
        return
    row = _row(data, found, entry.tag, layout)
    if len(after) <= entry.size:
        data[entry.start : entry.start + entry.size] = after.ljust(entry.size, b"\0")
    else:
        data += bytes(len(data) % 2)
        struct.pack_into(layout.offset, data, row + (12 if layout.big else 8), len(data))
        data += after
    struct.pack_into(layout.offset, data, row + 4, len(after))


def _move_subject(data: bytearray, found: Directory, tag: int, layout: Layout, cut: Cut) -> None:
    """Set the subject's place, or take its entry out of the directory, where the others stay as they are."""
    entry = directory.read(data, found.start, layout).entries[tag]
    code = directory.code(entry.type)
    values = directory.integers(data, entry, layout) if code in "HI" else ()
    moved = cut.subject(values)
    if moved is not None and all(0 <= value < 1 << 16 for value in moved):
        struct.pack_into(f"{layout.order}{len(moved)}{code}", data, entry.start, *moved)
    elif values:
        row, end = _row(data, found, tag, layout), directory.read(data, found.start, layout).end
        width = 20 if layout.big else 12
        data[row:end] = data[row + width : end] + bytes(width)
        head = "Q" if layout.big else "H"
        (count,) = struct.unpack_from(layout.order + head, data, found.start)
        struct.pack_into(layout.order + head, data, found.start, count - 1)


def _row(data: bytearray, found: Directory, tag: int, layout: Layout) -> int:
    """Where the row of a tag lies in its directory."""
    first, width = (found.start + 8, 20) if layout.big else (found.start + 2, 12)
    rows = range(first, found.next_at, width)
    return next(at for at in rows if struct.unpack_from(layout.order + "H", data, at)[0] == tag)


def _drop_preview(data: bytearray, offset: int, layout: Layout, others: list[Directory]) -> None:
    """Blank the thumbnail of the second directory; cut it off where nothing follows it."""
    with contextlib.suppress(ValueError, struct.error):
        second = directory.read(data, offset, layout)
        for offsets_tag, lengths_tag in _PREVIEW_OFFSETS.items():
            if offsets_tag not in second.entries or lengths_tag not in second.entries:
                continue
            starts = directory.integers(data, second.entries[offsets_tag], layout)
            lengths = directory.integers(data, second.entries[lengths_tag], layout)
            for start, length in zip(starts, lengths, strict=False):
                end = min(start + length, len(data))
                # a thumbnail said to lie over a directory is damage, or a trap to make us blank that
                if any(start < other.end and end > other.start for other in (*others, second)):
                    continue
                data[start:end] = bytes(max(end - start, 0))
                if end == len(data):
                    del data[start:]
