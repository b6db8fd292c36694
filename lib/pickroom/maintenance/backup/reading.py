"""The contents of a backup, and its verification: every file against the list, SQLite's check on every database.

The contents are everything in `data/` except what can be made again (docs/decisions/117). The file is not trusted:
names, sizes and compression are checked before a byte of it is written anywhere.
"""

import hashlib
import os
import shutil
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, BinaryIO, TypeVar

import msgspec

from pickroom.core.errors import FileOperationError, StoreError, UsageError
from pickroom.core.naming import is_text
from pickroom.core.quantities import format_bytes
from pickroom.storage import atomic
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.storage.json_records import from_json
from pickroom.store import copies
from pickroom.store.workspace import Workspace

# where files in the way of a restore are kept, until the user removes them
SET_ASIDE = "before-restore-"
DATABASES = "data/training/ai_training_decisions/"
MANIFESTS = "data/projects/"
# computed from the images, and lost when these are gone: vectors and numbers
LEARNT_FROM = ("data/ai_data/embeddings/", "data/ai_data/blocks/", "data/ai_data/cache/consistency/")
_CACHE = "data/ai_data/cache/"  # made again when needed, except the above
_COPIES = "data/backups/"  # of the databases that a backup holds already
_NOT_OURS = ("data/README.md",)  # the checkout's
# SQLite's own files next to a database: the copy of a database holds what is in them
SIDE_FILES = ("-wal", "-shm", "-journal")
_PASSING = (*SIDE_FILES, ".lock", PARTIAL_SUFFIX)


def is_database(name: str) -> bool:
    """Whether a member is a project's database, or its imports."""
    return name.startswith(DATABASES) and name.endswith(".db")


def is_manifest(name: str) -> bool:
    return name.startswith(MANIFESTS) and name.endswith(".json") and name.count("/") == MANIFESTS.count("/")


def belongs(name: str) -> bool:
    """Whether a path relative to the workspace may be part of a backup; never one that leads out of `data/`."""
    parts = name.split("/")
    if len(parts) < 2 or parts[0] != "data" or parts[1].startswith(SET_ASIDE) or name in _NOT_OURS:
        return False
    # a part with a dot in front is hidden, empty, or leads upwards
    plain = all(part and not part.startswith(".") and "\\" not in part and "\0" not in part for part in parts)
    passing = name.endswith(_PASSING) or name.startswith(_COPIES)
    return plain and not passing and (not name.startswith(_CACHE) or name.startswith(LEARNT_FROM))


def members(workspace: Workspace, *, vectors: bool = True) -> list[str]:
    """The paths in a backup, relative to the workspace: databases first, manifests last, each by name.

    A manifest is saved after its database, so that no project is without its decisions.

    Args:
        vectors: False leaves out what is computed from the images.
    """
    names = [name for name in _walk(workspace) if belongs(name) and (vectors or not name.startswith(LEARNT_FROM))]
    return sorted((n for n in names if (path := workspace.root / n).is_file() and not path.is_symlink()), key=turn)


def turn(name: str) -> tuple[int, str]:
    """The sort key of a member: databases first, manifests after everything else."""
    return 0 if is_database(name) else 2 if is_manifest(name) else 1, name


def left_out(workspace: Workspace, *, vectors: bool = True) -> dict[str, str]:
    """Contents that a user may expect in a backup and that are left out -> why; `vectors` as in `members`.

    Files are not counted, since a cache may hold a million.
    """
    found = {_CACHE.rstrip("/"): "can be made again"}
    for name in () if vectors else LEARNT_FROM:
        size = sum(path.stat().st_size for path in (workspace.root / name).rglob("*") if path.is_file())
        reason = f"{format_bytes(size)}, left out by --no-vectors: cannot be made again without the images"
        found[name.rstrip("/")] = reason
    found[_COPIES.rstrip("/")] = "copies of the databases"
    # folders next to data/ that a user may expect in it
    for folder in (workspace.sandbox, workspace.archives, workspace.reports):
        found[folder.name] = "no part of data/: copy it yourself if it matters"
    there = [name for name in found if any(p.name != "README.md" for p in (workspace.root / name).glob("*"))]
    links = [name for name in _walk(workspace) if belongs(name) and (workspace.root / name).is_symlink()]
    return {name: found[name] for name in there} | dict.fromkeys(links, "symbolic link: not followed")


def _walk(workspace: Workspace) -> Iterator[str]:
    """The path of every file under data/, but in folders that are left out as a whole; hidden ones apart."""
    for folder, inner, files in os.walk(workspace.root / "data"):
        base = Path(folder).relative_to(workspace.root).as_posix()
        inner[:] = sorted(n for n in inner if not n.startswith(".") and f"{base}/{n}/" != _COPIES)
        if f"{base}/" == _CACHE:  # a million previews
            inner[:], files = [name for name in inner if f"{base}/{name}/" in LEARNT_FROM], []
        for name in sorted([*files, *(name for name in inner if os.path.islink(os.path.join(folder, name)))]):
            if is_text(name):
                yield f"{base}/{name}"


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
    """The list of a backup, in the order of its JSON.

    Attributes:
        made_at: the time it was begun; pickroom: the version that made it.
    """

    format: int = 0
    made_at: str = ""
    pickroom: str = ""
    files: tuple[Listed, ...] = ()

    @property
    def size(self) -> int:
        return sum(one.size for one in self.files)


class _Head(msgspec.Struct):
    format: int = 0


class _Damaged(Exception):
    """The backup is damaged; the message is the reason."""


def in_order(files: Iterable[Listed]) -> tuple[Listed, ...]:
    """In the order of saving and restoring: databases first, manifests last."""
    return tuple(sorted(files, key=lambda one: turn(one.name)))


def check(file: Path, into: Path | None = None, progress: Progress | None = None) -> Listing:
    """Read and verify a whole backup; with `into`, an empty folder, also write its files there.

    Raises:
        UsageError: no such file, or it is not a backup.
        StoreError: it is damaged, or of a newer Pickroom.
        FileOperationError: not enough room in `into`, or it is closed to writing.
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
        for name in (one.name for one in listing.files if is_database(one.name)):
            if into is not None and (wrong := copies.problem_with(into / name)) is not None:
                raise _Damaged(f"{name}: {wrong}")
    return listing


def read_member(file: Path, name: str) -> bytes:
    """The first bytes of one file of a backup that was checked."""
    with _opened(file) as archive, archive.open(name) as source:
        return source.read(_CHUNK)


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    if not file.is_file():
        raise UsageError("no such file", doing=_DOING, subject=file)
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    # errors of zipfile and zlib on damaged bytes
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError, _Damaged) as error:
        what = f"the backup is damaged ({error})"
        raise StoreError(what, doing=_DOING, subject=file, hint=NOTHING_WRITTEN) from None
    except OSError as error:  # a bad disk, or an offset before the beginning of the file
        what = f"the backup cannot be read ({error.strerror or error})"
        raise StoreError(what, doing=_DOING, subject=file, hint=NOTHING_WRITTEN) from None


def _listing(file: Path, archive: zipfile.ZipFile) -> Listing:
    """The list, checked against the names in the zip."""
    held = archive.infolist()
    found = [info for info in held if info.filename == LISTING]
    if not found:
        what = f"this is not a backup of Pickroom's: it holds no {LISTING}"
        raise UsageError(what, doing=_DOING, subject=file, hint="to make one: pickroom backup ~/pickroom-backup.zip")
    if any(i.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) or i.flag_bits & 1 for i in held):
        raise _Damaged("a file in it is packed in another way than Pickroom packs")
    with archive.open(found[0]) as source:
        text = source.read(_LONGEST_LISTING + 1)
    if len(text) > _LONGEST_LISTING:
        raise _Damaged(f"its {LISTING} is endless")
    head = _read_listing(_Head, text)
    if head.format > FORMAT:
        what = f"the backup has format {head.format}, this program knows up to {FORMAT}"
        raise StoreError(what, doing=_DOING, subject=file, hint="update pickroom")
    listing = _read_listing(Listing, text)
    names = [one.name for one in listing.files]
    if listing.format != FORMAT or not names:
        raise _Damaged(f"its {LISTING} lists no files")
    if sorted([*names, LISTING]) != sorted(info.filename for info in held) or len(set(names)) < len(names):
        raise _Damaged("it holds other files than it lists")
    misplaced = next((name for name in names if not belongs(name)), None)
    if misplaced is not None:
        raise _Damaged(f"{misplaced!r} has no place in a backup")
    return replace(listing, files=in_order(listing.files))


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
    """Read one file to its end, or up to one byte more than listed."""
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
