"""Open a project's database: pragmas, migrations, transactions. No other module calls `sqlite3.connect` on it."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from pickroom.core.errors import NoDatabaseError, StoreError
from pickroom.store import copies, crops, decisions
from pickroom.store.connections import begin_wal, lacks_memory, open_known, require_in_place, say_open
from pickroom.store.rows import find_foreign_object, has_tables, migrations, number
from pickroom.store.workspace import INNER

BUSY_TIMEOUT_S = 10.0
# migration -> what it does to rows that SQL alone cannot, with its statements
_WITH: Mapping[int, Callable[[sqlite3.Connection], None]] = {15: crops.name_sources, 16: decisions.compare_boxes}


def connect(path: Path, *, make: bool = False) -> sqlite3.Connection:
    """Open a database for writing, brought up to date first; `make` makes a missing or empty one, with its folder.

    WAL with `synchronous=FULL`, or what `store.connections` has for disks without shared memory: a committed decision
    survives a power cut. The connection is in autocommit mode; use `transaction`.

    Raises:
        StoreError: the file is no database or newer than this program, or cannot be opened or migrated; without `make`
            also where it is missing or empty.
    """
    if not make:
        require_database(path, "opening the database")
    try:
        if make:
            path.parent.mkdir(parents=True, exist_ok=True)
        connection = _journalled(path, make=make)
        try:
            connection.execute("PRAGMA fullfsync = ON")  # of macOS alone: see `atomic.sync`
            connection.execute("PRAGMA foreign_keys = ON")
            _migrate(connection, path)
            _require_own(connection, path)
            require_in_place(connection, "opening the database")  # SQLite may have waited for who moved it away
        except BaseException:
            connection.close()
            raise
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # a damaged name in the schema is not UTF-8
        raise _cannot(error, "opening the database", path) from error
    return connection


def create(path: Path) -> sqlite3.Connection:
    """As `connect`, but makes a missing or empty database, with its folder."""
    return connect(path, make=True)


def require_database(path: Path, doing: str) -> None:
    """Refuse a path that holds no database, before SQLite opens it: SQLite makes one, and removes an empty one's log.

    Raises:
        NoDatabaseError: the file is missing or has 0 bytes, is a folder, or a link to nothing.
    """
    if not path.exists():
        what = "the database does not exist" + (" but a link to a missing file" if path.is_symlink() else "")
    elif not path.is_file():
        what = "the database is not a file but " + ("a folder" if path.is_dir() else "no plain file")
    elif path.stat().st_size == 0:
        what = "the database is empty (0 bytes)"
    else:
        return
    raise NoDatabaseError(what, doing=doing, subject=path, hint=restore_hint(path))


def restore_hint(path: Path) -> str:
    """What to do about a database that is lost."""
    project_id = copies.project_id_of(path)
    for workspace in path.absolute().parents[3:4]:
        if (workspace.parent.name, workspace.name) == (project_id, INNER):
            return f"move {workspace.parent} away, then make the copy anew: pickroom auto generate {project_id}"
    return f"restore it from a backup, or from a copy: pickroom restore --project {project_id}"


@contextmanager
def open_read_only(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, closed at the end. An older schema is brought up to date first.

    Raises:
        StoreError: the file is missing, empty, no database, or newer than this program.
    """
    require_database(path, "reading the project")
    try:
        connection = _read_only(path)
        try:
            if number(connection, "PRAGMA user_version") != len(migrations()):
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


def _journalled(path: Path, *, make: bool) -> sqlite3.Connection:
    """A connection that may write, its journal set so that what is committed survives a power cut."""
    # JupyterLab runs a widget's messages in another thread than the cell that made it (comms over subshells);
    # the desks take a lock, so that it is one thread at a time. Addresses also for what is attached to it read-only.
    address, options = str(path) if make else f"{path.absolute().as_uri()}?mode=rw", {"check_same_thread": False}

    def check() -> None:
        if not make:
            _require_tables(connection, path)

    connection = open_known(path, address, timeout=BUSY_TIMEOUT_S, uri=True, **options)
    try:
        if begin_wal(connection, check):
            connection.execute("PRAGMA synchronous = FULL")
            return connection
        connection.close()
        _leave_wal(path)
        connection = open_known(path, address, timeout=BUSY_TIMEOUT_S, uri=True, **options)
        check()
        connection.held = say_open(connection.file)
        connection.execute("PRAGMA synchronous = EXTRA")
        return connection
    except BaseException:
        connection.close()
        raise


def _leave_wal(path: Path) -> None:
    """Bring in a database's log, and give it a rollback journal; nobody else may have it open."""
    with closing(open_known(path, str(path), timeout=BUSY_TIMEOUT_S)) as connection:
        # in exclusive mode SQLite needs no shared memory (https://sqlite.org/wal.html#noshm)
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = DELETE")


def _read_only(path: Path, timeout: float | None = None) -> sqlite3.Connection:
    address, timeout = f"{path.absolute().as_uri()}?mode=ro", BUSY_TIMEOUT_S if timeout is None else timeout
    connection = open_known(path, address, timeout=timeout, uri=True)
    try:
        number(connection, "PRAGMA user_version")  # the first read opens the log
    except sqlite3.Error as error:
        connection.close()
        if not lacks_memory(error):
            raise
        _leave_wal(path)  # it comes from a disk where WAL works
        connection = open_known(path, address, timeout=BUSY_TIMEOUT_S, uri=True)
    return connection


@contextmanager
def transaction(connection: sqlite3.Connection, *, writing: bool = True) -> Iterator[None]:
    """All or nothing: commit, or roll back on any exception; a second writer waits at the start, not midway.

    Args:
        writing: False for one consistent look at several tables, which keeps no writer waiting.

    Raises:
        StoreError: another program keeps the database locked, its disk is full, or fails; nothing is changed. Or the
            file is not the database at its path any more: what was written is lost.
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
        StoreError: the file is not the database at its path any more: nothing that happens there is seen here.
    """
    require_in_place(connection, "looking for changes")
    return number(connection, "PRAGMA data_version")


@contextmanager
def open_unchecked(path: Path, *, timeout: float | None = None) -> Iterator[sqlite3.Connection]:
    """A connection that cannot write, whatever the schema: nothing is migrated, nothing is checked.

    Args:
        timeout: seconds to wait where another program keeps the database locked; None: as long as ever.

    Raises:
        NoDatabaseError: the file is missing or empty, or has none of Pickroom's tables.
        sqlite3.Error: SQLite cannot open it.
    """
    require_database(path, "reading the database")
    connection = _read_only(path, timeout)
    try:
        if not has_tables(connection, named="ai_decisions"):
            connection.close()
            connect(path).close()  # raises it, and removes what SQLite made next to the file to read it
        yield connection
    finally:
        connection.close()


def backup(connection: sqlite3.Connection, destination: Path) -> None:
    """A consistent copy by SQLite's own backup, safe while others write; never replaces a file."""
    if destination.exists():
        raise StoreError("the backup file exists already", doing="backing up", subject=destination)
    copy = sqlite3.connect(destination)
    try:
        # an unfinished copy is not used: a journal of its own would only be another file that a kill leaves
        copy.execute("PRAGMA journal_mode = OFF")
        connection.backup(copy)
    finally:
        copy.close()


def _require_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Refuse what is not a project's database yet: no tables at all, or those of another program."""
    if not has_tables(connection, named="ai_decisions"):
        others = "it has no ai_decisions, which every database of Pickroom's has"
        what = others if has_tables(connection) else "the database has no tables"
        raise NoDatabaseError(what, doing="opening the database", subject=path, hint=restore_hint(path))


def _require_own(connection: sqlite3.Connection, path: Path, version: int | None = None) -> None:
    foreign = find_foreign_object(connection, migrations()[:version])
    if foreign is not None:
        raise StoreError(foreign, doing="opening the database", subject=path, hint=restore_hint(path))


def require_known(version: int, path: Path) -> None:
    """Raise StoreError for a schema that is newer than this program."""
    if version > len(migrations()):
        what = f"the database has schema {version}, this program knows up to {len(migrations())}"
        raise StoreError(what, doing="opening the database", subject=path, hint="update pickroom")


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    scripts = migrations()
    version = number(connection, "PRAGMA user_version")
    if version == len(scripts):
        return
    require_known(version, path)
    if version > 0:
        _require_own(connection, path, version)  # before any trigger of the file's could run
    if has_tables(connection):
        copies.publish(path, lambda copy: backup(connection, copy))
    # a rebuilt table must keep rows that today's checks would refuse: history is reported, never rewritten
    connection.execute("PRAGMA ignore_check_constraints = ON")
    connection.execute("PRAGMA foreign_keys = OFF")
    try:
        with transaction(connection):
            # read again under the write lock: another process may have migrated while this one waited
            version = number(connection, "PRAGMA user_version")
            earlier = version == 0 and _set_earlier_schema_aside(connection)
            for made, script in enumerate(scripts[version:], start=version + 1):
                for statement in _statements(script):
                    connection.execute(statement)
                if made in _WITH:
                    _WITH[made](connection)
                connection.execute(f"PRAGMA user_version = {made}")
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


def _set_earlier_schema_aside(connection: sqlite3.Connection) -> bool:
    """Rename the earlier system's table (user_version 0, no ai_crop_accepted) and drop what hangs on it."""
    if not has_tables(connection, named="ai_decisions"):
        return False
    hanging = "type = 'view' OR (type IN ('index', 'trigger') AND sql IS NOT NULL)"
    for kind, name in connection.execute(f"SELECT type, name FROM sqlite_master WHERE {hanging}").fetchall():
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
        hint = restore_hint(path)
    elif "locked" in str(error):
        hint = "another program is writing to it: try again when it has finished"
    elif "full" in str(error):
        hint = "nothing was changed: make room on the disk, then try again"
    return StoreError(str(error), doing=doing, subject=path, hint=hint)
