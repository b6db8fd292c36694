"""Verify a backup: read its list, compare every file with its hash, and run SQLite's check on every database.

The file is not trusted: names, sizes and compression are checked before a byte of it is written anywhere.
"""

import hashlib
import json
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import msgspec

from pickroom.core.errors import FileOperationError, StoreError, UsageError
from pickroom.maintenance.backup.contents import belongs, is_database, turn
from pickroom.storage import atomic
from pickroom.storage.json_records import from_json
from pickroom.store import copies

T = TypeVar("T")
FORMAT = 1
LISTING = "backup.json"
NOTHING_WRITTEN = "nothing was written; take another backup"
_NO_ROOM = "nothing was restored; make room, then try again"
_CHUNK = 1 << 20
_LONGEST_LISTING = 64 << 20  # bytes: more than half a million files
_DOING = "reading a backup"

Progress = Callable[[int, int], None]  # (files, of)


@dataclass(frozen=True, slots=True)
class Listed:
    """One file of a backup as its list has it: path relative to the workspace, size in bytes, hex SHA-256."""

    name: str
    size: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]  # a larger one is beyond any disk
    sha256: str


@dataclass(frozen=True, slots=True)
class Listing:
    """The list of a backup. `version` is the Pickroom that made it, `made_at` the time it was begun."""

    made_at: str
    version: str
    files: tuple[Listed, ...]

    @property
    def size(self) -> int:
        return sum(one.size for one in self.files)

    def to_json(self) -> str:
        values = {"format": FORMAT, "made_at": self.made_at, "pickroom": self.version}
        return json.dumps({**values, "files": [asdict(one) for one in self.files]}, indent=1) + "\n"


class _Version(msgspec.Struct):
    format: int = 0
    made_at: Any = ""
    pickroom: Any = ""


class _Files(msgspec.Struct):
    files: tuple[Listed, ...]


class _Damaged(Exception):
    """The backup is not what it says; the message says why."""


def in_order(files: Iterable[Listed]) -> tuple[Listed, ...]:
    """As they are saved and brought back: databases first, manifests last."""
    return tuple(sorted(files, key=lambda one: (turn(one.name), one.name)))


def check(file: Path, into: Path | None = None, progress: Progress | None = None) -> Listing:
    """Read and verify a whole backup; with `into`, an empty folder, also write its files there.

    Raises:
        UsageError: there is no such file, or it is no backup.
        StoreError: it is damaged, or of a newer Pickroom.
        FileOperationError: there is no room in `into`, or it is closed to writing.
    """
    with _opened(file) as archive:
        listing = _listing(file, archive)
        free = shutil.disk_usage(into).free if into is not None else listing.size
        if into is not None and listing.size > free:
            what = f"it needs {listing.size / 1e6:,.0f} MB, and {free / 1e6:,.0f} MB are free"
            raise FileOperationError(what, "restoring a backup", [into], _NO_ROOM)
        for number, one in enumerate(listing.files, start=1):
            if into is None:
                _copy(archive, one, None)
            else:
                _write(archive, one, into / one.name)
            if progress is not None:
                progress(number, len(listing.files))
    for one in listing.files if into is not None else ():
        wrong = copies.problem_with(into / one.name) if into is not None and is_database(one.name) else None
        if wrong is not None:
            raise _damaged(file, f"{one.name}: {wrong}")
    return listing


def read_member(file: Path, name: str, limit: int = _CHUNK) -> bytes:
    """The first bytes of one file of a backup that was checked."""
    with _opened(file) as archive, archive.open(name) as source:
        return source.read(limit)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    if not file.is_file():
        raise UsageError("there is no such file", doing=_DOING, subject=file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    # what zipfile and zlib raise on bytes that anybody may have changed
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, _Damaged) as error:
        raise _damaged(file, str(error)) from None
    except OSError as error:  # a bad disk; or a place before the file's beginning, where the zip says that a file lies
        what = f"the backup cannot be read ({error.strerror or error})"
        raise StoreError(what, doing=_DOING, subject=file, hint=NOTHING_WRITTEN) from None


def _damaged(file: Path, why: str) -> StoreError:
    return StoreError(f"the backup is damaged ({why})", doing=_DOING, subject=file, hint=NOTHING_WRITTEN)


def _listing(file: Path, archive: zipfile.ZipFile) -> Listing:
    """The list, after it was held against the names in the file."""
    held = archive.infolist()
    found = [info for info in held if info.filename == LISTING]
    if not found:
        what = f"this is no backup of Pickroom's: it holds no {LISTING}"
        raise UsageError(what, doing=_DOING, subject=file, hint="a backup is made by: pickroom backup FILE")
    if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or i.flag_bits & 1 for i in held):
        raise _Damaged("a file in it is packed in another way than Pickroom packs")
    with archive.open(found[0]) as source:
        text = source.read(_LONGEST_LISTING + 1)
    if len(text) > _LONGEST_LISTING:
        raise _Damaged(f"its {LISTING} is endless")
    version = _read_listing(_Version, text)
    if version.format > FORMAT:
        what = f"the backup has format {version.format}, this program knows up to {FORMAT}"
        raise StoreError(what, doing=_DOING, subject=file, hint="update pickroom")
    files = _read_listing(_Files, text).files
    names = [one.name for one in files]
    if version.format != FORMAT or not files:
        raise _Damaged(f"its {LISTING} lists no files")
    if sorted([*names, LISTING]) != sorted(info.filename for info in held) or len(set(names)) < len(names):
        raise _Damaged("it holds other files than it lists")
    misplaced = next((name for name in names if not belongs(name)), None)
    if misplaced is not None:
        raise _Damaged(f"{misplaced!r} has no place in a backup")
    return Listing(str(version.made_at), str(version.pickroom), in_order(files))


def _read_listing(record: type[T], text: bytes) -> T:
    try:
        return from_json(record, text)
    except ValueError as error:
        raise _Damaged(f"its {LISTING} cannot be read: {error}") from None


def _write(archive: zipfile.ZipFile, one: Listed, target: Path) -> None:
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with target.open("xb") as file:
            _copy(archive, one, file)
            file.flush()
            atomic.sync(file.fileno())
    except OSError as error:
        raise FileOperationError.of(error, "restoring a backup", target, _NO_ROOM) from error


def _copy(archive: zipfile.ZipFile, one: Listed, target: BinaryIO | None) -> None:
    """Read one file to its end, or to the first byte more than it should have."""
    digest, size = hashlib.sha256(), 0
    with archive.open(one.name) as source:
        while block := source.read(_CHUNK):
            size += len(block)
            if size > one.size:
                break
            digest.update(block)
            if target is not None:
                target.write(block)
    if (size, digest.hexdigest()) != (one.size, one.sha256):
        raise _Damaged(f"{one.name} is not what it was when it was saved")
