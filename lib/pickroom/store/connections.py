"""Which database files this process has open, whether each is still the one at its path, and exclusive access.

A file can be moved away under an open connection, which then writes to the moved file: these changes are lost to
whoever opens the path (docs/decisions/120).

SQLite's write-ahead log cannot be used on disks that do not let processes share memory (SMB, some FUSE disks). There a
database has a rollback journal instead, and `synchronous=EXTRA`, which makes the journal's removal durable as well: a
committed decision survives a power cut either way (https://sqlite.org/pragma.html#pragma_synchronous).
"""

import fcntl
import os
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pickroom.core.errors import LockedError, StoreError
from pickroom.storage import leftovers

Identity = tuple[int, int]  # (device, inode)
# the bytes that SQLite's own locks are taken on: whoever has read a database in WAL mode holds some of them until it is
# closed (https://sqlite.org/fileformat2.html#the_lock_byte_page)
_LOCK_BYTE, _LOCK_BYTES = 0x40000000, 512


class Opened(sqlite3.Connection):
    """A connection that is known for as long as it is open (see `release_file`)."""

    path: Path  # by which it was opened; file: what that led to
    file: Path
    identity: Identity | None = None  # of the file that is open; None in memory, and as long as the file is empty
    held: BinaryIO | None = None  # what is closed with it, None without

    def close(self) -> None:
        super().close()
        if self.held is not None:
            self.held.close()
        with _register:
            _open.discard(self)


_register = threading.Lock()
_open: weakref.WeakSet[Opened] = weakref.WeakSet()
_lent: Counter[Path] = Counter()


def _forget() -> None:
    global _register
    _register = threading.Lock()
    _open.clear()
    _lent.clear()


# a forked process has its parent's objects but none of its locks: what was open there does not count here
os.register_at_fork(after_in_child=_forget)


def open_known(path: Path, address: str, *, timeout: float, **options: bool) -> Opened:
    """A connection in autocommit mode that `release_file` knows of.

    Args:
        address: what SQLite opens at `path`, and how; timeout: seconds that it waits for a lock.

    Raises:
        StoreError: the file is lent, or another one took its place in this moment. sqlite3.Error: as `sqlite3.connect`.
    """
    file = path.resolve()
    with _register:
        if _lent[file]:
            what, hint = "this process is at work on the database file itself", "let that end first"
            raise StoreError(what, doing="opening the database", subject=path, hint=hint)
        before = _identity_of(path)
        connection = sqlite3.connect(address, timeout=timeout, isolation_level=None, factory=Opened, **options)
        connection.row_factory = sqlite3.Row
        connection.path, connection.file = path.absolute(), file
        # the file that was there before and is there now is the one that SQLite has opened in between
        connection.identity = before or _identity_of(path)
        _open.add(connection)
    try:
        require_in_place(connection, "opening the database")
    except StoreError:
        connection.close()
        raise
    return connection


@contextmanager
def release_file(path: Path) -> Iterator[bool]:
    """Leave a database file to another library of this process; yields False, and lends nothing, while it is open here.

    When a library that carries its own SQLite closes the file, the kernel drops the POSIX locks that this process
    holds on it through `sqlite3` (DESIGN.md, invariant 10; https://sqlite.org/howtocorrupt.html, 2.2). So does any
    `open` and `close` of ours.
    """
    file = path.resolve()
    with _register:
        free = not any(connection.file == file for connection in _open)
        _lent[file] += free
    try:
        yield free
    finally:
        with _register:
            _lent[file] -= free


def require_in_place(connection: sqlite3.Connection, doing: str) -> None:
    """Refuse a connection whose file is not the database at its path any more. Costs one look at the path.

    Raises:
        StoreError: it was restored, replaced or removed meanwhile.
    """
    if not isinstance(connection, Opened):
        return
    now = _identity_of(connection.path)
    if connection.identity is None:
        connection.identity = now
    if connection.identity in (None, now):
        return
    what = "this database was replaced after it was opened here" if now else "this database is gone"
    hint = "what is shown here may not be in it, and nothing more is saved: close this, and open the project again"
    raise StoreError(what, doing=doing, subject=connection.path, hint=hint)


def _identity_of(path: Path) -> Identity | None:
    """None where no file exists, or an empty one: FAT on macOS gives a file its inode with its first bytes."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None


@contextmanager
def exclusive_access(path: Path, doing: str) -> Iterator[None]:
    """Hold a database file that nobody has open, so that nobody can read or write it until the end of the block.

    Nothing of it is read, so that it may be damaged; a missing file counts as unused. Within the block this process
    may rename it, and may not open it: closing it would free the lock.

    Raises:
        LockedError: another process has it open, or this one.
        OSError: it may not be opened.
    """
    with release_file(path) as free:
        if not free:
            raise _open_in("this process", doing, path)
        if not path.is_file():
            yield
            return
        with ExitStack() as held:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            held.callback(os.close, descriptor)
            try:
                if _lock_of(path).exists():
                    fcntl.flock(held.enter_context(_lock_of(path).open("ab")), fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_BYTE)
            except (BlockingIOError, PermissionError):  # which of the two, POSIX leaves open
                raise _open_in("another process", doing, path) from None
            yield


def say_open(file: Path) -> BinaryIO | None:
    """Hold a lock that `exclusive_access` sees until the result is closed, for an open database not in WAL mode.

    SQLite's own locks do not show it between two transactions. None where the disk has no locks.
    """
    with suppress(OSError):
        held = _lock_of(file).open("ab")
        try:
            fcntl.flock(held, fcntl.LOCK_SH)  # `exclusive_access` lasts a moment
            return held
        except OSError:
            held.close()
    return None


def _lock_of(path: Path) -> Path:
    file = path.resolve()
    return file.with_name(f"{file.name}.lock")


def _open_in(where: str, doing: str, path: Path) -> LockedError:
    close = "close the windows and commands that use the project, notebooks with their kernels"
    hint = f"{close}, then try again; nothing was changed"
    return LockedError(f"{where} has this database open", doing=doing, subject=path, hint=hint)


# what SQLite says where the file of shared memory cannot be made, mapped or locked (https://sqlite.org/rescode.html)
_NO_MEMORY = (
    *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_IOERR_SHMOPEN),
    *(sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMMAP, sqlite3.SQLITE_IOERR_SHMLOCK),
)


def begin_wal(connection: Opened, check: Callable[[], object]) -> bool:
    """Put a database that was just opened into WAL mode; False where that cannot be used.

    Args:
        check: reads the database first, and raises where its mode is not to be changed.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    memory = f"{connection.file}-shm"
    try:
        check()  # the first read opens the log
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode == "memory":
            return True  # no file exists
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if mode != "wal" and version and (os.path.lexists(memory) or not shares_memory(connection.file.parent)):
            return False  # it left WAL on this disk before: trying it on the file itself would disturb others
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            return False
        connection.execute("PRAGMA user_version")  # the first read in this mode opens the log
    except sqlite3.OperationalError as error:
        if not lacks_memory(error):
            raise
        return False
    return os.path.isfile(memory)


def lacks_memory(error: sqlite3.Error) -> bool:
    """Whether an error may come from a disk that does not let processes share memory."""
    code = getattr(error, "sqlite_errorcode", 0)
    return code in _NO_MEMORY or code & 0xFF == sqlite3.SQLITE_CANTOPEN  # extended codes carry more above


def shares_memory(folder: Path) -> bool:
    """Whether WAL works in a folder; tries it with a database of its own. False also where that may not be made."""
    try:
        with (
            leftovers.Folder(".pickroom-wal-", folder) as place,
            closing(sqlite3.connect(place / "tried.db")) as connection,
        ):
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            connection.execute("CREATE TABLE tried (a)")
            return str(mode) == "wal"
    except (OSError, sqlite3.OperationalError):
        return False
