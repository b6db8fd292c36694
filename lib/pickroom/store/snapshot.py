"""Copies of a project's database as of one moment: for a backup, for DuckDB, and to be kept by the hour.

DuckDB may never attach the file that this process's own store has open: it carries its own SQLite, and DESIGN.md,
invariant 10, says what two of them on one file do to each other's locks.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pickroom.core.errors import NoDatabaseError, StoreError
from pickroom.core.quantities import format_bytes
from pickroom.storage import atomic
from pickroom.store import copies
from pickroom.store.connect import backup, open_unchecked, require_known
from pickroom.store.connections import release_file
from pickroom.store.copies import problem_with
from pickroom.store.rows import number, read_any_text


@contextmanager
def open_as_it_is(path: Path, timeout: float) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, for the analysis: plain rows, and nothing is migrated or checked.

    Args:
        timeout: seconds to wait where another program keeps the database locked.

    Raises:
        StoreError: the database does not exist, or is of a newer schema; or this process has it open already, so that
            DuckDB would free its locks.
        sqlite3.Error: SQLite cannot open it.
    """
    with release_file(path) as free:
        if not free:
            raise StoreError("this process has the database open", doing="reading the project", subject=path)
    with open_unchecked(path, timeout=timeout) as connection:
        require_known(number(connection, "PRAGMA user_version"), path)
        connection.row_factory = None
        read_any_text(connection)
        yield connection


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
