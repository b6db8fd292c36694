"""Verified copies of a project's databases in `data/backups/<project>/`, the newest three of each (decisions/125).

One is kept before every migration, and after a batch that moved files when the newest is an hour old: `ask` notes that
one may be due, `snapshot.keep` makes it once the result of the batch is on screen.
"""

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pickroom.core.errors import StoreError
from pickroom.storage import atomic, leftovers
from pickroom.store.connections import Opened
from pickroom.store.rows import find_foreign_object, has_tables, migrations, number
from pickroom.store.workspace import DECISIONS

KEPT = 3
EVERY = timedelta(hours=1)
_STAMP = "%Y%m%dT%H%M%S%fZ"
# `p-<time>.db`; `p.db.schema3-<time>.backup` is how copies were named that lie in the folder of the databases
_NAME = re.compile(r"(?P<stem>[\w-]+?)(-|\.db\.(schema\d+|backfill)-)(?P<at>\d{8}T\d{12}Z)\.(db|backup)")

_asked: set[Path] = set()
os.register_at_fork(after_in_child=_asked.clear)


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy, as its file is now."""

    path: Path
    stem: str  # of the database it was made of: `p`, or `p_legacy`
    made_at: datetime  # in UTC
    # groups, decisions: rows; None where they cannot be counted, as in schemas without groups
    groups: int | None
    decisions: int | None
    size: int  # in bytes
    problem: str | None  # why it is not sound, None when it is


def ask(connection: sqlite3.Connection) -> None:
    """Note that a batch of this database has moved files."""
    if isinstance(connection, Opened) and connection.identity is not None:
        _asked.add(connection.path)


def asked() -> set[Path]:
    """The databases of which a copy may be due, each given out once; not those that are gone with their project."""
    found = set(_asked)
    _asked.difference_update(found)
    return {path for path in found if path.exists()}


def project_id_of(database: Path) -> str:
    """Whose database it is; that of a project's imports is the project's too."""
    return database.stem.removesuffix("_legacy")


def folder_of(database: Path) -> Path:
    """Where the copies of a database lie."""
    folder = database.absolute().parent
    data = folder.parents[1] if folder.as_posix().endswith(f"/{DECISIONS}") else folder
    return data / "backups" / project_id_of(database)


def publish(database: Path, write: Callable[[Path], None]) -> Path:
    """Keep a copy: written under a hidden name, checked, synced, and then named by the time; older ones go.

    Args:
        write: makes a consistent copy at a path that is free.

    Raises:
        StoreError: the copy is not sound, or the disk refuses it. What was there stays.
        sqlite3.Error: as `write`.
    """
    folder = folder_of(database)
    doing = "keeping a copy of the database"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with leftovers.Folder(".copying-", folder) as building:
            partial = building / database.name
            write(partial)
            problem = problem_with(partial)
            if problem is not None:
                hint = f"look at it: pickroom doctor; restore it: pickroom restore --project {project_id_of(database)}"
                raise StoreError(f"the copy is not sound ({problem})", doing=doing, subject=database, hint=hint)
            with partial.open("rb") as file:
                atomic.sync(file.fileno())
            target = folder / f"{database.stem}-{datetime.now(UTC):{_STAMP}}.db"
            atomic.publish(partial, target)
        atomic.sync_folders([folder, folder.parent])
    except OSError as error:
        hint = "make room, or open the folder to writing"
        raise StoreError(error.strerror or str(error), doing=doing, subject=folder, hint=hint) from error
    for path in newest(database)[KEPT:]:
        with contextlib.suppress(OSError):  # one more than was promised does no harm
            path.unlink()
    return target


def newest(database: Path) -> list[Path]:
    """The copies kept of a database, the newest first."""
    found = [(match["at"], path) for path, match in _named(folder_of(database)) if match["stem"] == database.stem]
    return [path for _, path in sorted(found, reverse=True)]


def made_at(copy: Path) -> datetime:
    """When a copy was made, in UTC, as its name says. Raises ValueError where it says nothing."""
    match = _NAME.fullmatch(copy.name)
    if match is None:
        raise ValueError(f"{copy.name} is not named as a copy")
    return datetime.strptime(match["at"], _STAMP).replace(tzinfo=UTC)


def of_project(database: Path) -> list[Path]:
    """Every copy of a project's database and of its imports, those of earlier versions too, the newest first."""
    found = [*_named(folder_of(database)), *_named(database.parent)]
    own = [(match["at"], path) for path, match in found if match["stem"].removesuffix("_legacy") == database.stem]
    return [path for _, path in sorted(own, reverse=True)]


def _named(folder: Path) -> Iterator[tuple[Path, re.Match[str]]]:
    for path in folder.iterdir() if folder.is_dir() else ():
        match = _NAME.fullmatch(path.name)
        # an empty file only claims a name, on a disk that cannot rename without replacing
        if match is not None and path.is_file() and not path.is_symlink() and path.stat().st_size:
            yield path, match


def look_at(copy: Path) -> Copy:
    """Open a copy, count its rows and check it."""
    match = _NAME.fullmatch(copy.name)
    problem, groups, decisions = problem_with(copy), None, None
    with contextlib.suppress(sqlite3.Error), closing(_as_it_is(copy)) as connection:
        decisions = number(connection, "SELECT count(*) FROM ai_decisions")
        groups = number(connection, "SELECT count(*) FROM groups")
    return Copy(copy, match["stem"] if match else "", made_at(copy), groups, decisions, copy.stat().st_size, problem)


def problem_with(path: Path) -> str | None:
    """Why a database that nobody has open is unsound, too new, or not Pickroom's; None when it is well."""
    try:
        with closing(_as_it_is(path)) as connection:
            found = connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
            version = number(connection, "PRAGMA user_version")
            known = len(migrations())
            foreign = find_foreign_object(connection, migrations()[:version]) if 0 < version <= known else None
            if not has_tables(connection, named="ai_decisions"):
                return "it has no ai_decisions, which every database of Pickroom's has"
    except sqlite3.Error as error:
        return str(error)
    # rows that an earlier schema allowed are history: `pickroom check` reports them
    if found != "ok" and not found.startswith("CHECK constraint failed"):
        return str(found)
    return f"it has schema {version}, this program knows up to {known}" if version > known else foreign


def _as_it_is(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro&immutable=1", uri=True)
