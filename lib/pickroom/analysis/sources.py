"""The projects' SQLite databases in DuckDB: large ones are attached, small ones are read into memory.

An attached database is read by every query, one in memory only after a change, since DuckDB takes longer to open a
small file than `sqlite3` to read it. A large one with an unsound row, or with a value that DuckDB refuses, is read into
memory, too. Only the helper process may do either (DESIGN.md, invariant 10; docs/decisions/150 and 172).
"""

import hashlib
import json
import sqlite3
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pickroom.analysis import tables
from pickroom.analysis.queries import Problem, identifier, quoted, read_sql
from pickroom.core.errors import PickroomError, StoreError
from pickroom.store import snapshot
from pickroom.store.workspace import Workspace

SMALL = 1 << 20  # bytes of a database with its log: a thousand decisions
_PATIENCE_S = 5  # before a database that could not be read is tried again, if it has not changed
_TICK_S = 0.05  # resolution of file times: a second change within it could be missed
_COARSE_TICK_S = 2.0  # where times are whole seconds: exFAT
_sound: dict[Path, str] = {}  # files without an unsound row, as of a stamp: for later connections of this process
_OWN = ("file", "owner", "origin")  # columns that name the source of rows in memory
_UNSOUND = dict.fromkeys(("table_name", "failed_check", "row_of", "what"), "VARCHAR")
_TABLES = {
    table: dict.fromkeys(_OWN, "VARCHAR") | columns
    for table, columns in (*tables.TABLES.items(), ("unsound_rows", _UNSOUND))
}


@dataclass(slots=True, eq=False)
class Source:
    """One database file: a project's own (origin `project`), or that of its imports (`legacy`).

    Attributes:
        name: in the engine, where it is attached.
        stamp: of the file, when it was last checked; "" before. young: whether it had just changed then.
        present: table -> its columns that the file has.
        live: attached; else its rows are in memory, or it is left out.
        problems: notes for the user.
        refused: why it cannot be read, with the time of that.
    """

    owner: str
    origin: str
    path: Path
    name: str
    stamp: str = ""
    young: bool = False
    present: dict[str, list[str]] = field(default_factory=dict)
    live: bool = False
    problems: list[Problem] = field(default_factory=list)
    refused: tuple[float, StoreError] | None = None

    def now(self) -> list[tuple[int, int]]:
        """Sizes and times of the file and its log: opening it could drop the locks that this process holds on it."""
        found = []
        for file in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with suppress(OSError):
                status = file.stat()
                if status.st_size:  # a reader may leave an empty log behind
                    found.append((status.st_size, status.st_mtime_ns))
        return found

    def has_changed(self) -> bool:
        """Whether the file may have changed since the last call; True if it had just changed then."""
        found = self.now()
        newest = max((mtime for _, mtime in found), default=0)
        stamp, before, young = hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16], self.stamp, self.young
        tick = _TICK_S if newest % 1_000_000_000 else _COARSE_TICK_S
        self.stamp, self.young = stamp, 0 <= time.time() - newest / 1e9 < tick
        return young or stamp != before

    def note(self, what: str, *, unsound: int = 0) -> None:
        said = f"its imported history: {what}" if self.origin == "legacy" and not unsound else what
        self.problems.append(Problem(self.owner, said, left_out=False, unsound=unsound))

    def look(self, connection: sqlite3.Connection) -> None:
        """Read the file's schema; raises sqlite3.Error where it is not a project's database."""
        self.present = tables.present_in(connection, self.origin)
        if missing := tables.lacking(self.present, self.origin):
            self.note(f"an earlier schema, without {', '.join(missing)}: read as it is")

    def refuse(self, error: Exception) -> None:
        """Leave it out, for the reason that an error says."""
        if not isinstance(error, StoreError):
            error = StoreError(str(error), doing="reading a project for analysis", subject=self.path)
        self.refused, self.present = (time.monotonic(), error), {}
        self.problems = [Problem(self.owner, error.line, left_out=True)]


class Sources:
    """Every database of a workspace in one engine, as the views `source.<table>` over all of them."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
        self.engine, self.workspace = engine, workspace
        self.attach = tables.load_sqlite(engine)
        self._files: dict[Path, Source] = {}
        self._count = 0
        engine.execute("CREATE SCHEMA source")
        engine.execute("CREATE SCHEMA memory_rows")
        for table, columns in _TABLES.items():
            tables.fill(engine, f"memory_rows.{table}", columns)

    @property
    def problems(self) -> list[Problem]:
        return [problem for source in self._files.values() for problem in source.problems]

    @property
    def stamps(self) -> dict[str, str]:
        """Project id -> text that changes with its rows; of the projects that can be read."""
        found: dict[str, str] = {}
        for source in self._readable():
            found[source.owner] = found.get(source.owner, "") + source.stamp
        return found

    def state(self) -> dict[Source, list[tuple[int, int]]]:
        """Sizes and times of the attached files: if they change during a query, it may have mixed two states."""
        return {source: source.now() for source in self._files.values() if source.live}

    def young(self) -> list[Source]:
        """The attached files that had changed just before they were checked."""
        return [source for source in self._files.values() if source.live and source.young]

    def refresh(self, pinned: Collection[Source] = ()) -> None:
        """Read databases that are new or have changed, and drop missing ones; `define` then creates the views.

        A database that cannot be read is left out, and its problem says why.

        Args:
            pinned: files to read into memory whatever their size, each in one transaction.
        """
        listed = {path: (owner, origin) for owner, origin, path in _listed(self.workspace)}
        gone = [self._files.pop(path) for path in [path for path in self._files if path not in listed]]
        for path, (owner, origin) in listed.items():
            if path not in self._files:
                self._files[path] = Source(owner, origin, path, f"file_{self._count}")
                self._count += 1
        now = time.monotonic()
        again = [s for s in self._files.values() if s.refused is not None and now - s.refused[0] >= _PATIENCE_S]
        again += [source for source in pinned if source.live]
        changed = [source for source in self._files.values() if source.has_changed() or source in again]
        for source in gone:
            self._detach(source)
        large = [source for source in changed if self._attach(source, pinned)]
        unsound = [source for source in large if self._has_unsound(source)]
        _sound.update({source.path: source.stamp for source in large if source not in unsound and not source.young})
        self._read([source for source in changed if not source.live or source in unsound], [*gone, *changed])

    def demote(self) -> bool:
        """Read files that DuckDB cannot read completely through `sqlite3`; returns whether there were any."""
        found = []
        for source in [source for source in self._files.values() if source.live]:
            for table, columns in source.present.items():
                whole = ", ".join(f"max({identifier(name)}::{tables.TABLES[table][name]})" for name in columns)
                try:
                    self.engine.execute(f"SELECT {whole} FROM {source.name}.{table}").fetchall()
                except tables.ERRORS:
                    found.append(source)
                    break
        self._read(found, found)
        return bool(found)

    def touch(self) -> None:
        """Open every attached database in the transaction that is running."""
        for source in self._files.values():
            if source.live:
                self.engine.execute(f"SELECT 1 FROM {source.name}.ai_decisions LIMIT 0")

    def _attach(self, source: Source, pinned: Collection[Source]) -> bool:
        """Attach a large file; False for one that is to be read."""
        source.problems, source.refused = [], None
        if not self.attach or source in pinned or sum(size for size, _ in source.now()) <= SMALL:
            self._detach(source)
            return False
        try:
            # closed before DuckDB opens the file: no two libraries have it open at once
            with self._open(source) as connection:
                source.look(connection)
            if not source.live:
                options = f"TYPE sqlite, READ_ONLY, busy_timeout {tables.BUSY_MS}"
                self.engine.execute(f"ATTACH {quoted(source.path)} AS {source.name} ({options})")
                source.live = True
        except (*tables.ERRORS, sqlite3.Error, PickroomError):
            self._detach(source)  # sqlite3 reports the problem, or can read it
        return source.live

    def _open(self, source: Source) -> AbstractContextManager[sqlite3.Connection]:
        return snapshot.open_as_it_is(source.path, tables.BUSY_MS / 1000)

    def _detach(self, source: Source) -> None:
        if source.live:
            self.engine.execute(f"DETACH {source.name}")
            source.live = False

    def _has_unsound(self, source: Source) -> bool:
        """Whether a file has unsound rows: DuckDB finds certainly sound rows, `integrity.checks` checks the others."""
        if _sound.get(source.path) == source.stamp:
            return False
        suspects = {}
        for table in (table for table in tables.CHECKS if tables.are_checked(source.present, table)):
            cells = f"SELECT rowid AS number, {tables.cells(source.present, table)} FROM {source.name}.{table}"
            try:
                found = self.engine.execute(f"WITH rows AS ({cells}) {read_sql(f'suspects/{table}')}").fetchall()
            except tables.ERRORS:
                return True
            suspects[table] = [number for (number,) in found]
        if not any(suspects.values()):
            return False
        with suppress(sqlite3.Error, PickroomError), self._open(source) as connection:
            return any(tables.read_rows(connection, source.present, t, numbers)[1] for t, numbers in suspects.items())
        return True

    def _read(self, sources: Sequence[Source], instead: Sequence[Source]) -> None:
        """Read files through `sqlite3` without their unsound rows, in place of the rows of `instead` in memory."""
        if not instead:
            return
        made: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _TABLES}
        for source in sources:
            self._detach(source)
            source.problems = []
            own = source.name, source.owner, source.origin
            try:
                with self._open(source) as connection:
                    connection.execute("BEGIN")  # all tables in one transaction
                    source.look(connection)
                    found = {table: tables.read_rows(connection, source.present, table) for table in source.present}
            except (sqlite3.Error, PickroomError) as error:
                source.refuse(error)
                continue
            for table, (rows, _) in found.items():
                made[table] += [(*own, *row) for row in rows]
            unsound = [(*own, t, one.check, one.of, one.what) for t, (_, faults) in found.items() for one in faults]
            made["unsound_rows"] += unsound
            if count := len(unsound):
                what = f"{count} unsound row{'s' * (count != 1)} left out: see the view unsound_rows"
                source.note(what, unsound=count)
        names, by_name = ", ".join(f"'{one.name}'" for one in instead), {one.name: one for one in sources}
        for table, held in made.items():
            self.engine.execute(f"DELETE FROM memory_rows.{table} WHERE file IN ({names})")
            for name, places in tables.insert(self.engine, f"memory_rows.{table}", _TABLES[table], held).items():
                for file, count in Counter(held[place][0] for place in places).items():
                    kind = tables.WORDS[_TABLES[table][name]]
                    by_name[file].note(f"{count} values of {table}.{name} are no {kind}: read as NULL")

    def _left_out(self) -> list[str]:
        return [problem.project_id for problem in self.problems if problem.left_out]

    def _readable(self) -> list[Source]:
        left_out = set(self._left_out())
        return [source for source in self._files.values() if source.owner not in left_out]

    def shape(self) -> list[Any]:
        """The definition of the views `source.*`; they stay as long as it does not change."""
        return [self._left_out(), *((s.name, s.present) for s in self._readable() if s.live)]

    def define(self, table: str) -> None:
        """Make the view `source.<table>` over all files."""
        columns = {name: kind for name, kind in _TABLES[table].items() if name not in _OWN}
        named = ", ".join(map(identifier, columns))
        # without a cast per file: parsing casts takes longer than reading small files
        arms = [
            f"SELECT {quoted(s.owner)}, '{s.origin}', {tables.cells(s.present, table)} FROM {s.name}.{table}"
            for s in self._readable()
            if s.live and table in s.present
        ]
        memory = f"SELECT owner, origin, {named} FROM memory_rows.{table}"
        if left_out := self._left_out():
            memory += f" WHERE owner NOT IN ({', '.join(map(quoted, left_out))})"
        typed = ", ".join(f"{identifier(name)}::{kind} AS {identifier(name)}" for name, kind in columns.items())
        self.engine.execute(
            f"CREATE OR REPLACE VIEW source.{table} AS SELECT owner::VARCHAR AS owner, origin::VARCHAR AS origin, "
            f"{typed} FROM ({' UNION ALL '.join([memory, *arms])})"
        )


def _listed(workspace: Workspace) -> Iterator[tuple[str, str, Path]]:
    """(project, origin, database) of every project that has a manifest or imports, by id."""
    started = set(workspace.project_ids())
    imported = {path.stem.removesuffix("_legacy") for path in workspace.decisions.glob("*_legacy.db")}
    for project_id in sorted(started | imported):
        if project_id in started:
            yield project_id, "project", workspace.decisions / f"{project_id}.db"
        if project_id in imported:
            yield project_id, "legacy", workspace.decisions / f"{project_id}_legacy.db"
