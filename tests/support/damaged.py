"""Files that are not what they seem, for every test that must see them refused."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

from conftest import write_image


def png_of_no_pixels(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds not one pixel."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def write_truncated(path: Path) -> Path:
    """The first half of a real image."""
    write_image(path, size=(96, 128))
    os.truncate(path, path.stat().st_size // 2)
    return path
