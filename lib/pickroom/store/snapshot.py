"""Copies of a project's database as of one moment: for a backup, and for DuckDB.

DuckDB may never attach the file that this process's own store has open: it carries its own SQLite, and DESIGN.md,
invariant 10, says what two of them on one file do to each other's locks.
"""

from __future__ import annotations

import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from pickroom.errors import StoreError
from pickroom.store.connect import backup, migrations, open_as_it_is, open_read_only
from pickroom.store.opened import lend
from pickroom.store.schema import foreign_part


@contextmanager
def attachable(path: Path) -> Iterator[Path]:
    """A path to attach, read-only, until the end of the block: the database itself, or a copy of what is committed.

    While the file itself is given, this process cannot open it through the store: keep the block short, and
    detach within it.

    Raises:
        StoreError: there is no database, or it cannot be read.
    """
    if not path.is_file():
        raise StoreError("there is no database", doing="reading the project", subject=path)
    # another library does not cope with a log on a disk that shares no memory; what else is wrong it says itself
    with suppress(sqlite3.Error, StoreError), open_as_it_is(path, patient=False):
        pass
    with lend(path) as free:
        if free:
            yield path
            return
    with tempfile.TemporaryDirectory(prefix="pickroom-snapshot-") as folder:
        copy = Path(folder, path.name)
        with open_read_only(path) as connection:
            backup(connection, copy)
        yield copy


def copy(path: Path, destination: Path) -> str | None:
    """Copy what is committed in a database, whatever its schema, while others write; why it is not sound, or None.

    Raises:
        StoreError: it is locked, or the disk is full; then there may be a part of the copy.
    """
    try:
        with open_as_it_is(path) as connection:
            backup(connection, destination)
    except sqlite3.Error as error:
        if _is_damage(error):
            return str(error)
        hint = "make room, or try again when no other program writes to it"
        raise StoreError(str(error), doing="copying a database", subject=path, hint=hint) from error
    return problem_with(destination)


def problem_with(path: Path) -> str | None:
    """Why a database that nobody has open is unsound, too new, or not Pickroom's; None when it is well."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            known = len(migrations())
            foreign = foreign_part(connection, migrations()[:version]) if 0 < version <= known else None
    except sqlite3.Error as error:
        return str(error)
    # rows that an earlier schema allowed are history: `pickroom check` reports them
    if found != "ok" and not found.startswith("CHECK constraint failed"):
        return found
    return f"it has schema {version}, this program knows up to {known}" if version > known else foreign


def _is_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # extended codes carry more above (sqlite.org/rescode.html)
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
