"""The boxes of HEIC and AVIF files: what lies next to the picture's own, and the items of a file. Pure.

Source: ISO/IEC 14496-12 (boxes), ISO/IEC 23008-12 (items), Motion Photo format 1.0 (`mpvd`).
"""

import struct
from collections.abc import Iterator

from pickroom.images.crops import metadata

_PICTURE = (b"ftyp", b"meta", b"mdat", b"free", b"skip")
# the id of the uuid box that holds signatures (C2PA 2.1, A.4.1)
_SIGNATURES = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
_XMP = b"application/rdf+xml"


def refusal(data: bytes) -> str:
    """Why an encoder that writes one picture with EXIF and XMP would lose something, "" when it would not."""
    if any(kind == b"moov" for kind, _, _ in _own(data)):
        return "holds an image sequence or a video, which would be lost"
    for kind, content in _items(data):
        if kind == b"tmap":
            return "holds an HDR gain map, which would be lost"
        if kind == b"mime" and content != _XMP:
            return f"holds an item of another program ({content.decode('latin-1')}), which would be lost"
    return ""


def trailer(_image: object, data: bytes) -> bytes:
    """Boxes of other programs, such as the video of a Motion Photo, and what lies behind the last box."""
    kept, at = b"", 0
    for kind, start, end in _own(data):
        if kind not in _PICTURE and not _is_signature(data, kind, start):
            kept += data[start:end]
        at = end
    return kept + data[at:]


def left_out(data: bytes) -> str:
    """What only the uncropped picture can have, for the user to be told; "" when there is nothing of the kind."""
    return metadata.SIGNATURE if any(_is_signature(data, kind, start) for kind, start, _ in _own(data)) else ""


def boxes(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[bytes, int, int]]:
    """(kind, start, end) of each box from one place to another, up to what is none."""
    end = len(data) if end is None else end
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            size = int.from_bytes(data[at + 8 : at + 16])
        elif size == 0 and kind == b"mdat":
            size = end - at
        if size < 8 or at + size > end:
            return
        yield kind, at, at + size
        at += size


def _is_signature(data: bytes, kind: bytes, start: int) -> bool:
    return kind == b"uuid" and data.startswith(_SIGNATURES, start + 8)


def _own(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The boxes of the picture's file; a video may follow as a file of its own."""
    for kind, start, end in boxes(data):
        if kind == b"ftyp" and start:
            return
        yield kind, start, end


def _items(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """(kind, content type of a "mime" item) of every item of the file (ISO/IEC 14496-12, 8.11.6)."""
    for kind, start, end in _own(data):
        for kind_in_meta, at, until in boxes(data, start + 12, end) if kind == b"meta" else ():
            if kind_in_meta != b"iinf":
                continue
            for _, entry, entry_end in boxes(data, at + (14 if data[at + 8] == 0 else 16), until):
                place = entry + (16 if data[entry + 8] < 3 else 18)  # behind the ids of the item and its protection
                _, content, *_ = (*data[place + 4 : entry_end].split(b"\0"), b"", b"")
                yield data[place : place + 4], content
