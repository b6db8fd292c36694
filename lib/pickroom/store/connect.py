"""Open a project's database: pragmas, migrations, transactions. Nobody else calls `sqlite3.connect` on it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path

from pickroom.errors import StoreError
from pickroom.store.opened import Opened, registering, require_in_place
from pickroom.store.schema import foreign_part

BUSY_TIMEOUT_S = 10.0
_NUMBERED = re.compile(r"(\d{3})-[\w-]+\.sql")


@cache
def migrations() -> list[str]:
    """The migrations' SQL texts in order; number N is the N-th. Raises StoreError when a number is missing."""
    folder = resources.files("pickroom.store") / "migrations"
    files = sorted((f for f in folder.iterdir() if _NUMBERED.fullmatch(f.name)), key=lambda f: f.name)
    numbers = [int(f.name[:3]) for f in files]
    if numbers != list(range(1, len(files) + 1)):
        raise StoreError("the migrations are not numbered 1, 2, 3, ...", doing="reading them", subject=folder)
    return [f.read_text(encoding="utf-8") for f in files]


def connect(path: Path) -> sqlite3.Connection:
    """Open a database for writing, making it or bringing it up to date first.

    WAL with `synchronous=FULL`: a committed decision survives a power cut. The connection is in autocommit
    mode; use `transaction`.

    Raises:
        StoreError: the file is no database, is newer than this program, or cannot be opened or migrated.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # JupyterLab runs a widget's messages in another thread than the cell that made it (comms over subshells);
        # the desks take a lock, so that it is one thread at a time.
        connection = _opened(path, str(path), check_same_thread=False, uri=True)  # for what is attached read-only
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA fullfsync = ON")  # of macOS alone: see `atomic.sync`
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path)
            _require_own(connection, path)
            require_in_place(connection, "opening the database")  # SQLite may have waited for who moved it away
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # a damaged name in the schema is no UTF-8
        raise _cannot(error, "opening the database", path) from error
    return connection


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, closed at the end. An older schema is brought up to date first.

    Raises:
        StoreError: the file is missing, no database, or newer than this program.
    """
    if not path.is_file():
        raise StoreError("there is no database", doing="reading the project", subject=path)
    try:
        connection = _read_only(path)
        try:
            if _version(connection) != len(migrations()):
                connection.close()
                connect(path).close()  # migrates an older schema, refuses a newer one
                connection = _read_only(path)
            _require_own(connection, path)
            require_in_place(connection, "reading the project")
            yield connection
        finally:
            connection.close()
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise _cannot(error, "reading the database", path) from error


def _read_only(path: Path) -> sqlite3.Connection:
    return _opened(path, f"{path.absolute().as_uri()}?mode=ro", uri=True)


def _opened(path: Path, address: str, **options: bool) -> sqlite3.Connection:
    """A connection in autocommit mode that `lend` knows of; refused while another library has the file."""
    with registering(path) as made:
        connection = sqlite3.connect(address, timeout=BUSY_TIMEOUT_S, isolation_level=None, factory=Opened, **options)
        connection.row_factory = sqlite3.Row
        made.append(connection)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, *, writing: bool = True) -> Iterator[None]:
    """All or nothing: commit, or roll back on any exception; a second writer waits at the start, not midway.

    Args:
        writing: False for one consistent look at several tables, which keeps no writer waiting.

    Raises:
        StoreError: another program keeps the database locked, its disk is full, or fails; nothing is changed. Or the
            file is no longer the database at its path: what was written is nobody's.
    """
    doing = "writing to the database" if writing else "reading the database"
    try:
        connection.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        try:
            require_in_place(connection, doing)
            yield
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        require_in_place(connection, doing)  # moved away by hand meanwhile: nobody may take it for saved
    except sqlite3.OperationalError as error:
        path = Path(connection.execute("PRAGMA database_list").fetchone()[2])
        raise _cannot(error, doing, path) from error


def data_version(connection: sqlite3.Connection) -> int:
    """A number that changes whenever another connection commits (https://sqlite.org/pragma.html#pragma_data_version).

    Raises:
        StoreError: the file is no longer the database at its path: nothing that happens there is seen here.
    """
    require_in_place(connection, "looking for changes")
    return connection.execute("PRAGMA data_version").fetchone()[0]


@contextmanager
def open_as_it_is(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, whatever the schema: nothing is migrated, nothing is checked.

    Raises:
        sqlite3.Error: SQLite cannot open it.
    """
    connection = _read_only(path)
    try:
        yield connection
    finally:
        connection.close()


def schema_of(path: Path) -> tuple[int, int]:
    """(a database's schema, the one this program knows), without bringing it up to date; raises sqlite3.Error."""
    with open_as_it_is(path) as connection:
        return _version(connection), len(migrations())


def backup(connection: sqlite3.Connection, destination: Path) -> None:
    """A consistent copy by SQLite's own backup, safe while others write; never replaces a file."""
    if destination.exists():
        raise StoreError("the backup file exists already", doing="backing up", subject=destination)
    copy = sqlite3.connect(destination)
    try:
        connection.backup(copy)
    finally:
        copy.close()


def _require_own(connection: sqlite3.Connection, path: Path, version: int | None = None) -> None:
    foreign = foreign_part(connection, migrations()[:version])
    if foreign is not None:
        hint = "restore it from a backup: pickroom restore FILE"
        raise StoreError(foreign, doing="opening the database", subject=path, hint=hint)


def _version(connection: sqlite3.Connection) -> int:
    return connection.execute("PRAGMA user_version").fetchone()[0]


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    scripts = migrations()
    version = _version(connection)
    if version == len(scripts):
        return
    if version > len(scripts):
        raise StoreError(
            f"the database has schema {version}, this program knows up to {len(scripts)}",
            doing="opening the database",
            subject=path,
            hint="update pickroom",
        )
    if version > 0:
        _require_own(connection, path, version)  # before any trigger of the file's could run
    if _has_tables(connection):
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
        backup(connection, path.with_name(f"{path.name}.schema{version}-{stamp}.backup"))
    # a rebuilt table must keep rows that today's checks would refuse: history is reported, never rewritten
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with transaction(connection):
            # read again under the write lock: another process may have migrated while this one waited
            version = _version(connection)
            earlier = version == 0 and _set_earlier_schema_aside(connection)
            for number, script in enumerate(scripts[version:], start=version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {number}")
            if earlier:
                _bring_rows_over(connection)
    finally:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA ignore_check_constraints = OFF")


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements; `executescript` would commit the open transaction."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_tables(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT count(*) FROM sqlite_master WHERE type = 'table'").fetchone()[0] > 0


def _set_earlier_schema_aside(connection: sqlite3.Connection) -> bool:
    """Rename the earlier system's table (user_version 0, no ai_crop_accepted) and drop what hangs on it."""
    names = connection.execute(
        "SELECT type, name FROM sqlite_master WHERE type = 'view' OR (type IN ('index', 'trigger') AND sql IS NOT NULL)"
    ).fetchall()
    if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'ai_decisions'").fetchone():
        return False
    for kind, name in names:
        connection.execute(f'DROP {kind} IF EXISTS "{name.replace(chr(34), chr(34) * 2)}"')
    connection.execute("ALTER TABLE ai_decisions RENAME TO ai_decisions_earlier")
    return True


def _bring_rows_over(connection: sqlite3.Connection) -> None:
    """Copy every row as it stands; columns we do not know stay behind in ai_decisions_earlier."""
    ours = [row["name"] for row in connection.execute("PRAGMA table_info(ai_decisions)")]
    theirs = [row["name"] for row in connection.execute("PRAGMA table_info(ai_decisions_earlier)")]
    shared = ", ".join(name for name in ours if name in theirs)
    connection.execute(f"INSERT INTO ai_decisions ({shared}) SELECT {shared} FROM ai_decisions_earlier")
    if set(theirs) <= set(ours):
        connection.execute("DROP TABLE ai_decisions_earlier")


def _cannot(error: Exception, doing: str, path: Path) -> StoreError:
    hint = ""
    if "not a database" in str(error) or "malformed" in str(error):
        hint = "restore it from a backup: pickroom restore FILE"
    elif "locked" in str(error):
        hint = "another program is writing to it: try again when it has finished"
    elif "full" in str(error):
        hint = "nothing was changed: make room on the disk, then try again"
    return StoreError(str(error), doing=doing, subject=path, hint=hint)
