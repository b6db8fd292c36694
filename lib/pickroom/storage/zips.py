"""Pack files into a zip and verify them: block by block and hashed on the way, so that memory stays bounded."""

import hashlib
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

_BLOCK = 1 << 20
# the first and the last second that a zip can hold (APPNOTE 4.4.6: seven bits of years since 1980, seconds in twos)
_EARLIEST = datetime(1980, 1, 1, tzinfo=UTC).timestamp()
_LATEST = datetime(2107, 12, 31, 23, 59, 58, tzinfo=UTC).timestamp()


def entry(name: str, mtime: float, compression: int = zipfile.ZIP_STORED) -> zipfile.ZipInfo:
    """A zip entry with this name and the nearest time in UTC that a zip can hold.

    Args:
        mtime: seconds since the epoch; file systems hold times long before and after what a zip can.
    """
    when = datetime.fromtimestamp(min(max(mtime, _EARLIEST), _LATEST), UTC)
    info = zipfile.ZipInfo(name, when.timetuple()[:6])
    info.compress_type = compression
    return info


def put(archive: zipfile.ZipFile, name: str, path: Path, compression: int = zipfile.ZIP_STORED) -> tuple[int, str]:
    """Put a file into a zip under this name; its size in bytes and hex SHA-256 as they went in."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as source:
        info = entry(name, os.fstat(source.fileno()).st_mtime, compression)
        with archive.open(info, "w", force_zip64=True) as target:
            while block := source.read(_BLOCK):
                digest.update(block)
                size += len(block)
                target.write(block)
    return size, digest.hexdigest()


def sha256_in(archive: zipfile.ZipFile, name: str) -> str:
    """Hex SHA-256 of a file in a zip, as its bytes are now."""
    with archive.open(name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]  # it has readinto
