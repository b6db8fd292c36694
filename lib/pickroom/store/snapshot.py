"""Copies of a project's database as of one moment: for a backup, for DuckDB, and to be kept by the hour.

DuckDB may never attach the file that this process's own store has open: it carries its own SQLite, and DESIGN.md,
invariant 10, says what two of them on one file do to each other's locks.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pickroom.core.errors import NoDatabaseError, StoreError
from pickroom.core.quantities import format_bytes
from pickroom.storage import atomic, leftovers
from pickroom.store import copies
from pickroom.store.connect import backup, open_read_only, open_unchecked, require_database, require_known
from pickroom.store.connections import release_file
from pickroom.store.copies import problem_with
from pickroom.store.rows import number


@contextmanager
def attachable(path: Path) -> Iterator[Path]:
    """A path to attach, read-only, until the end of the block: the database itself, or a copy of what is committed.

    While the file itself is given, this process cannot open it through the store: keep the block short, and
    detach within it.

    Raises:
        StoreError: the database does not exist, it is of a newer schema, or it cannot be read.
    """
    require_database(path, "reading the project")
    version = 0
    # another library does not cope with a log on a disk that shares no memory; what else is wrong it says itself
    with suppress(sqlite3.Error, StoreError), open_unchecked(path, patient=False) as connection:
        version = number(connection, "PRAGMA user_version")
    require_known(version, path)
    with release_file(path) as free:
        if free:
            yield path
            return
    with leftovers.Folder("pickroom-snapshot-") as folder:
        with open_read_only(path) as connection:
            backup(connection, folder / path.name)
        yield folder / path.name


def copy(path: Path, destination: Path) -> str | None:
    """Copy what is committed in a database, whatever its schema, while others write; why it is not sound, or None.

    Raises:
        StoreError: it is locked, or the disk is full; then there may be a part of the copy.
    """
    try:
        _copy(path, destination)
    except NoDatabaseError as error:
        return error.what
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes carry more above (sqlite.org/rescode.html)
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return str(error)
        hint = "make room, or try again when no other program writes to it"
        raise StoreError(str(error), doing="copying a database", subject=path, hint=hint) from error
    return problem_with(destination)


def keep(databases: Iterable[Path]) -> list[str]:
    """Keep a copy of each database whose newest one is an hour old; a line for every one that was not made.

    A batch stands whether it is copied or not: nothing is raised for a full disk.
    """
    said = []
    for path in databases:
        try:
            if _is_due(path):
                copies.publish(path, partial(_copy, path))
        except (StoreError, sqlite3.Error, OSError) as error:
            what = error.line if isinstance(error, StoreError) else f"{error} while copying it: {path}"
            said.append(f"no copy of the database was made (all decisions are saved): {what}")
    return said


def _copy(path: Path, destination: Path) -> None:
    with open_unchecked(path) as connection:
        backup(connection, destination)


def _is_due(path: Path) -> bool:
    newest = copies.newest(path)[:1]
    if any(abs(datetime.now(UTC) - copies.made_at(copy)) < copies.EVERY for copy in newest):
        return False
    needed, free = path.stat().st_size, atomic.free_bytes(copies.folder_of(path))
    if free < 2 * needed:  # the next decisions need room too
        what = f"a copy needs {format_bytes(needed)}, and {format_bytes(free)} are free"
        raise StoreError(what, doing="keeping a copy of the database", subject=path, hint="make room: pickroom reclaim")
    return True
