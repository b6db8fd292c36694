"""Photoshop's image resources ("8BIM" blocks) as they are true of a crop. Pure.

Source: Adobe Photoshop File Formats Specification, "Image Resource Blocks", "Path resource format" and "Grid and guides
resource format".
"""

import struct

from pickroom.images.crops import xmp
from pickroom.images.crops.regions import Cut

_SIGNATURES = (b"8BIM", b"PHUT", b"DCSR", b"AgHg", b"MeSa")
# thumbnails of Photoshop 4 and 5, and slices, which tile the whole picture
_UNTRUE = (1033, 1036, 1050)
_GUIDES, _XMP = 1032, 1060
_PATHS = (1025, *range(2000, 2998))
_KNOTS = (1, 2, 4, 5)  # selectors of path records that hold points
_RECORD = 26  # bytes of a path record
_ONE = 1 << 24  # 1 in the fixed point numbers of paths: fractions of the picture
_PER_PIXEL = 32  # guides are in these parts of a pixel


def after_crop(resources: bytes, cut: Cut) -> bytes:
    """Resources without previews and slices, paths and guides moved with the picture. What cannot be followed stays.

    Raises:
        PacketError: as `xmp.after_crop`, for a packet among them.
    """
    kept, at = bytearray(), 0
    while resources[at : at + 4] in _SIGNATURES and at + 12 <= len(resources):
        (number,) = struct.unpack_from(">H", resources, at + 4)
        data_at = at + 6 + (resources[at + 6] + 2 & ~1)  # a Pascal string, padded to even
        if data_at + 4 > len(resources):
            break
        (length,) = struct.unpack_from(">I", resources, data_at)
        end = data_at + 4 + (length + 1 & ~1)
        content = resources[data_at + 4 : data_at + 4 + length]
        changed = _changed(number, content, cut) if len(content) == length else content
        if number in _UNTRUE:
            pass
        elif changed == content:
            kept += resources[at:end]
        else:
            kept += resources[at:data_at] + struct.pack(">I", len(changed)) + changed + bytes(len(changed) % 2)
        at = end
    return bytes(kept) + resources[at:]


def _changed(number: int, content: bytes, cut: Cut) -> bytes:
    if number in _PATHS:
        return b"".join(_moved_record(content[at : at + _RECORD], cut) for at in range(0, len(content), _RECORD))
    if number == _GUIDES:
        return _moved_guides(content, cut)
    return xmp.after_crop(content, cut) if number == _XMP else content


def _moved_record(record: bytes, cut: Cut) -> bytes:
    """A path's record: of a knot three points, each its vertical and its horizontal place."""
    if len(record) < _RECORD or struct.unpack_from(">H", record)[0] not in _KNOTS:
        return record
    numbers = struct.unpack_from(">6i", record, 2)
    moved: list[int] = []
    for down, across in zip(numbers[::2], numbers[1::2], strict=True):
        x, y = cut.point(across / _ONE, down / _ONE, clip=False)
        moved += (min(max(round(side * _ONE), -(1 << 31)), (1 << 31) - 1) for side in (y, x))
    return record[:2] + struct.pack(">6i", *moved)


def _moved_guides(content: bytes, cut: Cut) -> bytes:
    """Grid and guides: a head of 12 bytes, their number, and each guide's place and direction (0 vertical)."""
    count = int.from_bytes(content[12:16])
    if len(content) != 16 + 5 * count:
        return content
    guides = []
    for place, direction in struct.iter_unpack(">iB", content[16:]):
        axis = 0 if direction == 0 else 1
        fraction = place / _PER_PIXEL / cut.source_size[axis]
        moved = cut.point(fraction, fraction, clip=False)[axis]
        if 0 <= moved <= 1:
            guides.append(struct.pack(">iB", round(moved * cut.stored_size[axis] * _PER_PIXEL), direction))
    return content[:12] + struct.pack(">I", len(guides)) + b"".join(guides)
