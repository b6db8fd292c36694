"""What goes into a zip comes out the same, whatever time its file bears."""

from __future__ import annotations

import hashlib
import os
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pickroom.storage import zips


@pytest.mark.parametrize(
    ("mtime", "held"),
    [
        (datetime(2025, 7, 28, 4, 6, 8, tzinfo=UTC).timestamp(), (2025, 7, 28, 4, 6, 8)),
        (0.0, (1980, 1, 1, 0, 0, 0)),
        (-1e11, (1980, 1, 1, 0, 0, 0)),
        (datetime(2107, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp(), (2107, 12, 31, 23, 59, 58)),
        (datetime(2108, 1, 1, tzinfo=UTC).timestamp(), (2107, 12, 31, 23, 59, 58)),
        (1e15, (2107, 12, 31, 23, 59, 58)),  # beyond the year 9999, which datetime cannot hold either
    ],
)
def test_any_time_becomes_the_nearest_that_a_zip_can_hold(mtime: float, held: tuple[int, ...], tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(zips.entry("a.png", mtime), b"a")
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.getinfo("a.png").date_time == held


@pytest.mark.parametrize("compression", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_file_is_hashed_as_it_goes_in_and_as_it_lies_there(compression: int, tmp_path: Path) -> None:
    data = os.urandom(1 << 16) * 40  # more than one block
    (tmp_path / "a").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        assert zips.put(archive, "b/a", tmp_path / "a", compression) == (len(data), hashlib.sha256(data).hexdigest())
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["b/a"] and archive.getinfo("b/a").compress_type == compression
        assert zips.sha256_in(archive, "b/a") == hashlib.sha256(data).hexdigest()
