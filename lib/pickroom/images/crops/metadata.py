"""What a crop makes untrue in metadata: sizes in EXIF, and previews that show the uncropped picture. Pure.

EXIF blocks are changed in place, byte for byte: maker notes hold offsets of their own, and a block written anew
would break them.
"""

import contextlib
import struct

from pickroom.images.crops import directory
from pickroom.images.crops.directory import Directory, Layout

EXIF_PREFIX = b"Exif\0\0"
# Exif 2.32, tables 4 and 7
IMAGE_WIDTH, IMAGE_LENGTH = 0x0100, 0x0101
PIXEL_X, PIXEL_Y = 0xA002, 0xA003
RELATED_WIDTH, RELATED_LENGTH = 0x1001, 0x1002
EXIF_POINTER, GPS_POINTER, INTEROP_POINTER = 0x8769, 0x8825, 0xA005
_PREVIEW_OFFSETS = {0x0201: 0x0202, 0x0111: 0x0117}  # JPEGInterchangeFormat, StripOffsets -> their lengths
# Adobe Photoshop File Formats Specification, Image Resource IDs: thumbnails of Photoshop 4 and 5
_THUMBNAILS = (1033, 1036)


def exif_after_crop(block: bytes, size: tuple[int, int]) -> bytes:
    """An EXIF block ("Exif" prefix or not) for a crop of this stored (width, height).

    Only the sizes change and the thumbnail goes. A block that cannot be followed is given back as it is.
    """
    prefix = EXIF_PREFIX if block.startswith(EXIF_PREFIX) else b""
    data = bytearray(block[len(prefix) :])
    try:
        layout, offset = directory.read_header(data)
        main = directory.read(data, offset, layout)
    except ValueError:
        return block
    directories = [main]
    _set_sizes(data, main, layout, (IMAGE_WIDTH, IMAGE_LENGTH), size)
    with contextlib.suppress(ValueError, KeyError):  # none, or a damaged one
        for pointer, tags in ((EXIF_POINTER, (PIXEL_X, PIXEL_Y)), (INTEROP_POINTER, (RELATED_WIDTH, RELATED_LENGTH))):
            (at,) = directory.integers(data, directories[-1].entries[pointer], layout)
            directories.append(directory.read(data, at, layout))
            _set_sizes(data, directories[-1], layout, tags, size)
    (following,) = struct.unpack_from(layout.offset, data, main.next_at)
    if following:
        _drop_preview(data, following, layout, directories)
        struct.pack_into(layout.offset, data, main.next_at, 0)
    return prefix + bytes(data)


def _set_sizes(data: bytearray, found: Directory, layout: Layout, tags: tuple[int, int], size: tuple[int, int]) -> None:
    for tag, value in zip(tags, size, strict=True):
        entry = found.entries.get(tag)
        if entry and entry.count == 1 and entry.type in (directory.SHORT, directory.LONG):
            code = "H" if entry.type == directory.SHORT else "I"
            struct.pack_into(layout.order + code, data, entry.start, value)


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


def without_thumbnails(resources: bytes) -> bytes:
    """Photoshop image resources ("8BIM" blocks) but for those that preview the uncropped picture.

    Source: Adobe Photoshop File Formats Specification, Image Resource Blocks. What cannot be followed stays.
    """
    kept, at = bytearray(), 0
    while resources[at : at + 4] == b"8BIM" and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        data_at = at + 6 + (resources[at + 6] + 2 & ~1)  # a Pascal string, padded to even
        if data_at + 4 > len(resources):
            break
        (length,) = struct.unpack_from(">I", resources, data_at)
        end = data_at + 4 + (length + 1 & ~1)
        if number not in _THUMBNAILS:
            kept += resources[at:end]
        at = end
    return bytes(kept) + resources[at:]
