"""Which database files this process has open, and whether each is still the one at its path.

A file can be moved away under an open connection, which then goes on writing to it: what is saved so is lost to whoever
opens the path (docs/decisions/120).
"""

from __future__ import annotations

import os
import sqlite3
import threading
import weakref
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from pickroom.core.errors import StoreError

Identity = tuple[int, int]  # (device, inode)


class Opened(sqlite3.Connection):
    """A connection that is known for as long as it is open (see `release_file`).

    Attributes:
        path: by which it was opened; file: what that led to.
        identity: of the file that is open; None in memory, and as long as the file is empty.
        held: what is closed with it, None without.
    """

    path: Path
    file: Path
    identity: Identity | None = None
    held: BinaryIO | None = None

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


@contextmanager
def registering(path: Path) -> Iterator[list[Opened]]:
    """A list that the block puts its new connection to `path` in; refused while another library has the file.

    Raises:
        StoreError: the file is lent, or another one took its place in this moment.
    """
    file, made = path.resolve(), list[Opened]()
    with _register:
        if _lent[file]:
            raise StoreError(
                "an analysis in this process is reading the database itself",
                doing="opening the database",
                subject=path,
                hint="let its query end first",
            )
        before = _identity_of(path)
        yield made
        for connection in made:
            connection.path, connection.file = path.absolute(), file
            # the file that was there before and is there now is the one that SQLite has opened in between
            connection.identity = before or _identity_of(path)
            _open.add(connection)
    for connection in made:
        try:
            require_in_place(connection, "opening the database")
        except StoreError:
            connection.close()
            raise


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
    """Refuse a connection whose file is no longer the database at its path. Costs one look at the path.

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
    raise StoreError(
        "this database was replaced after it was opened here" if now else "this database is no longer there",
        doing=doing,
        subject=connection.path,
        hint="what is shown here may not be in it, and nothing more is saved: close this, and open the project again",
    )


def _identity_of(path: Path) -> Identity | None:
    """None where there is no file, or an empty one: FAT on macOS gives a file its inode with its first bytes."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_size else None
