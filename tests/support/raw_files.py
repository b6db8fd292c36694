"""Small RAW files for tests: DNG files with a sensor's mosaic of a picture, and the same picture as embedded preview.

Covered: DNG 1.4 in little-endian TIFF, as Adobe's converter lays it out: the first directory has the JPEG preview
(compression 7), camera, serial number, orientation and EXIF with date and sub-seconds; a sub-directory the mosaic, one
uncompressed strip of 16 bits (RGGB) with margins around its default crop. Not covered: compressed mosaics, linear DNG,
and the containers of other makers; `canon_boxes` makes the metadata of a CR3 file alone.
"""

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PillowImage

from pickroom.images.raw import TURNS

MARGIN = 8  # pixels of the mosaic around the default crop
_TYPES = {"B": 1, "s": 2, "H": 3, "I": 4, "R": 5, "r": 10}
_BACK = {5: 5, 6: 8, 7: 7, 8: 6}  # EXIF orientation -> the one that turns it back
_MATRIX = (1, 0, 0, 0, 1, 0, 0, 0, 1)


def stored(picture: PillowImage.Image, orientation: int) -> PillowImage.Image:
    """The picture as a camera that was turned stores it: of this orientation, upright when turned by it."""
    turn = TURNS.get(_BACK.get(orientation, orientation))
    return picture if turn is None else picture.transpose(turn)


def write_dng(path: Path, picture: PillowImage.Image, **options: Any) -> Path:
    """Write a DNG file: see `dng`."""
    path.write_bytes(dng(picture, **options))
    return path


def dng(
    picture: PillowImage.Image,
    *,
    orientation: int = 1,
    preview: PillowImage.Image | bool = True,
    preview_exif: PillowImage.Exif | None = None,
    taken: str | None = "2024:05:06 07:08:09",
    subsec: str = "25",
    offset: str = "+02:00",
    camera: tuple[str, str] = ("Nikon", "NIKON Z 6"),
    serial: str = "6012345",
) -> bytes:
    """A DNG file of an upright RGB picture, whose sides are even.

    Args:
        preview: as it is stored; True is the picture as the camera stores it, False none.
        preview_exif: what the preview says of itself.
    """
    own = stored(picture.convert("RGB"), orientation)
    main: dict[int, tuple[str, Any]] = {
        254: ("I", 1),
        271: ("s", camera[0]),
        272: ("s", camera[1]),
        274: ("H", orientation),
        50706: ("B", (1, 4, 0, 0)),
        50708: ("s", camera[1]),
        50721: ("r", _MATRIX),
        50728: ("R", (1, 1, 1)),
        50778: ("H", 21),
    }
    if serial:
        main[50735] = ("s", serial)
    blobs: dict[str, bytes] = {}
    if preview is not False:
        small = own if isinstance(preview, bool) else preview
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=92, **({"exif": preview_exif} if preview_exif else {}))
        data = buffer.getvalue()
        # as cameras write it: EXIF comes first, no JFIF before it
        jfif = 2 + int.from_bytes(data[4:6]) if data[2:4] == b"\xff\xe0" else 0
        blobs["preview"] = data[:2] + data[2 + jfif :]
        main |= {
            256: ("I", small.width),
            257: ("I", small.height),
            258: ("H", (8, 8, 8)),
            259: ("H", 7),
            262: ("H", 6),
            273: ("I", "preview"),
            277: ("H", 3),
            278: ("I", small.height),
            279: ("I", len(blobs["preview"])),
        }
    mosaic = _mosaic(np.asarray(own))
    high, wide = mosaic.shape
    blobs["mosaic"] = mosaic.astype("<u2").tobytes()
    sensor: dict[int, tuple[str, Any]] = {
        254: ("I", 0),
        256: ("I", wide),
        257: ("I", high),
        258: ("H", 16),
        259: ("H", 1),
        262: ("H", 32803),
        273: ("I", "mosaic"),
        277: ("H", 1),
        278: ("I", high),
        279: ("I", len(blobs["mosaic"])),
        33421: ("H", (2, 2)),
        33422: ("B", (0, 1, 1, 2)),
        50717: ("I", 65535),
        50719: ("I", (MARGIN, MARGIN)),
        50720: ("I", (own.width, own.height)),
    }
    exif: dict[int, tuple[str, Any]] = {36864: ("s", "0232")}
    if taken:
        exif |= {36867: ("s", taken), 37521: ("s", subsec), 36881: ("s", offset)}
    main |= {330: ("I", "sensor"), 34665: ("I", "exif")}
    return _tiff({"main": main, "sensor": sensor, "exif": exif}, blobs)


def _mosaic(pixels: np.ndarray) -> np.ndarray:
    """(H + 2 margins, W + 2 margins) uint16, one colour a place, of (H, W, 3) uint8 in the sRGB curve."""
    around = np.pad(pixels, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="edge")
    linear = (around / 255.0) ** 2.2 * 60000
    colour = np.zeros(around.shape[:2], int)
    colour[0::2, 1::2] = colour[1::2, 0::2] = 1
    colour[1::2, 1::2] = 2
    return np.take_along_axis(linear, colour[:, :, None], axis=2)[:, :, 0].astype(np.uint16)


def _tiff(directories: dict[str, dict[int, tuple[str, Any]]], blobs: dict[str, bytes]) -> bytes:
    """A TIFF file; a text in place of a number is the name of a directory or of bytes, and stands for its offset."""
    places, at = {}, 8
    for name, tags in directories.items():
        places[name] = at
        at += 2 + 12 * len(tags) + 4 + sum(len(value) for value in map(_pack, tags.values()) if len(value) > 4)
        at += at % 2
    for name, data in blobs.items():
        places[name], at = at, at + len(data) + len(data) % 2
    out = bytearray(b"II*\0" + struct.pack("<I", 8))
    for name, tags in directories.items():
        out.extend(bytes(places[name] - len(out)))
        behind, more = places[name] + 2 + 12 * len(tags) + 4, b""
        out += struct.pack("<H", len(tags))
        for tag, (kind, value) in sorted(tags.items()):
            data = _pack((kind, places.get(value, value) if kind == "I" and isinstance(value, str) else value))
            count = len(data) // struct.calcsize({"s": "B", "R": "II", "r": "ii"}.get(kind, kind))
            out += struct.pack("<HHI", tag, _TYPES[kind], count)
            out += data.ljust(4, b"\0") if len(data) <= 4 else struct.pack("<I", behind + len(more))
            more += data if len(data) > 4 else b""
        out += struct.pack("<I", 0) + more
    for name, data in blobs.items():
        out.extend(bytes(places[name] - len(out)))
        out += data
    return bytes(out)


def _pack(value: tuple[str, Any]) -> bytes:
    kind, content = value
    if kind == "s":
        return content.encode() + b"\0"
    numbers = content if isinstance(content, tuple) else (0 if isinstance(content, str) else content,)
    if kind in "Rr":
        return b"".join(struct.pack("<II" if kind == "R" else "<ii", number, 1) for number in numbers)
    return struct.pack(f"<{len(numbers)}{kind}", *numbers)


def canon_boxes(main: dict[int, tuple[str, Any]], exif: dict[int, tuple[str, Any]]) -> bytes:
    """The boxes of a CR3 file that hold metadata, without a picture: CMT1 and CMT2 in Canon's box of `moov`."""

    def box(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I4s", 8 + len(content), kind) + content

    inner = b"".join(box(kind, _tiff({"main": tags}, {})) for kind, tags in ((b"CMT1", main), (b"CMT2", exif)))
    canon = box(b"uuid", bytes.fromhex("85c0b687820f11e08111f4ce462b6a48") + inner)
    return box(b"ftyp", b"crx \0\0\0\1crx isom") + box(b"moov", canon)
