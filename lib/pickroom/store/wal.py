"""Where SQLite's write-ahead log cannot be used: disks that do not let processes share memory (SMB, some FUSE disks).

There a database has a rollback journal instead, and `synchronous=EXTRA`, which makes the journal's removal durable as
well: a committed decision survives a power cut either way (https://sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

from pickroom.storage import leftovers

# what SQLite says where the file of shared memory cannot be made, mapped or locked (https://sqlite.org/rescode.html)
_NO_MEMORY = (
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_IOERR_SHMOPEN,
    sqlite3.SQLITE_IOERR_SHMSIZE,
    sqlite3.SQLITE_IOERR_SHMMAP,
    sqlite3.SQLITE_IOERR_SHMLOCK,
)


def begin(connection: sqlite3.Connection, file: Path) -> bool:
    """Put a database that was just opened into WAL mode; False where that cannot be used.

    Args:
        file: the database, no link to it.

    Raises:
        sqlite3.Error: it cannot be read.
    """
    memory = f"{file}-shm"
    try:
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        if mode == "memory":
            return True  # there is no file
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if mode != "wal" and version and (os.path.lexists(memory) or not shares_memory(file.parent)):
            return False  # it left WAL on this disk before: trying it on the file itself would disturb others
        if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
            return False
        connection.execute("PRAGMA user_version")  # the first read opens the log
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
