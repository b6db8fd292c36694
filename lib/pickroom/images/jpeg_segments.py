"""The segments of a JPEG file (ITU-T T.81, annex B). Pure."""

import re
import struct

Segment = tuple[int, bytes]  # marker, what follows its length

# T.81, table B.1
EOI, SOS, COM = 0xD9, 0xDA, 0xFE
APP0, APP14, APP15 = 0xE0, 0xEE, 0xEF
# A marker behind coded data, where a zero is stuffed behind FF and RSTn belong to the scan (T.81, B.1.1.2 and B.1.1.5);
# between segments, FF may be filled up and anything else is skipped
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_STANDALONE = (0x01, 0xD8)  # TEM, SOI: no length follows


def segments(data: bytes) -> tuple[list[Segment], int, int]:
    """Segments, where the first scan begins, and where the picture ends: of the tables between scans, none.

    Raises:
        struct.error: the file ends within a segment's length.
    """
    found: list[Segment] = []
    at, scans_at = 0, 0
    while place := _MARKER.search(data, at):
        marker, at = place[0][1], place.end()
        if marker == EOI:
            return found, scans_at, at
        if marker in _STANDALONE:
            continue
        (length,) = struct.unpack_from(">H", data, at)
        if marker == SOS:
            scans_at = scans_at or place.start()
        elif not scans_at or marker >= APP0:
            found.append((marker, data[at + 2 : at + length]))
        at += length
    return found, scans_at, len(data)


def written(segment: Segment) -> bytes:
    """A segment as it stands in a file."""
    marker, data = segment
    return struct.pack(">BBH", 0xFF, marker, len(data) + 2) + data
