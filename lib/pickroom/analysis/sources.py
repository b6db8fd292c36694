"""The projects' SQLite databases as DuckDB has them: attached where they lie, read-only, each row as it is now.

A database that holds an unsound row, or a value that DuckDB refuses, is read through `sqlite3` instead, whenever it has
changed. Only the helper process may do either (DESIGN.md, invariant 10; docs/decisions/150).
"""

import contextlib
import hashlib
import json
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from pickroom.analysis import tables
from pickroom.analysis.catalogue import fill
from pickroom.analysis.engine import ERRORS, load_sqlite
from pickroom.analysis.queries import Problem, identifier, quoted, read_sql
from pickroom.core.errors import PickroomError, StoreError
from pickroom.store.snapshot import attachable
from pickroom.store.workspace import Workspace

_PATIENCE_S = 5  # before a database that could not be read is tried again, if it has not changed
_TICK_S = 0.05  # file times may stand still this long; a younger change could hide another
_COARSE_TICK_S = 2.0  # where times are whole seconds: exFAT
_FEW = 500  # rows
_sound: dict[Path, str] = {}  # files without an unsound row, as of a stamp: for later connections of this process
_UNSOUND = ("table_name", "failed_check", "row_of", "what")


@dataclass(slots=True)
class Source:
    """One database file: a project's own (origin `project`), or what was imported for it (`legacy`).

    Attributes:
        name: what the engine calls it: an attached database, or a schema of tables that were read through `sqlite3`.
        stamp: of the file, when it was last looked at; "" before.
        present: table -> its columns that the file has.
        live: attached; read: through `sqlite3`; neither where it is left out.
        few: its tables with so few rows that each was checked.
        problems: what is to be known of it. unsound: its rows that are left out, as `source.unsound_rows` has them.
        refused: why it cannot be read, with the time of that.
    """

    owner: str
    origin: str
    path: Path
    name: str
    stamp: str = ""
    present: dict[str, list[str]] = field(default_factory=dict)
    live: bool = False
    read: bool = False
    few: set[str] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)
    unsound: list[tuple[str, ...]] = field(default_factory=list)
    refused: tuple[float, StoreError] | None = None

    def now(self) -> list[tuple[int, int]]:
        """Sizes and times of the file and its log: opening it could drop the locks that this process holds on it."""
        found = []
        for file in (self.path, self.path.with_name(f"{self.path.name}-wal")):
            with contextlib.suppress(OSError):
                status = file.stat()
                if status.st_size:  # a reader may leave an empty log behind
                    found.append((status.st_size, status.st_mtime_ns))
        return found

    def new_stamp(self) -> str:
        """Changes whenever the file may have changed; waits while it is so young that a later change could hide."""
        while True:
            found = self.now()
            newest = max((mtime for _, mtime in found), default=0)
            age = time.time() - newest / 1e9
            tick = _TICK_S if newest % 1_000_000_000 else _COARSE_TICK_S
            if not 0 <= age < tick:
                return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
            time.sleep(tick - age)

    def note(self, what: str, *, unsound: int = 0, left_out: bool = False) -> None:
        imported = self.origin == "legacy" and not unsound and not left_out
        said = f"its imported history: {what}" if imported else what
        self.problems.append(Problem(self.owner, said, left_out, unsound))


class Sources:
    """Every database of a workspace in one engine, as the views `source.<table>` over all of them."""

    def __init__(self, engine: duckdb.DuckDBPyConnection, workspace: Workspace) -> None:
        self.engine, self.workspace = engine, workspace
        self.attach = load_sqlite(engine)
        self._files: dict[Path, Source] = {}
        self._count = 0
        engine.execute("CREATE SCHEMA source")

    @property
    def problems(self) -> list[Problem]:
        return [problem for source in self._files.values() for problem in source.problems]

    @property
    def stamps(self) -> dict[str, str]:
        """Project id -> text that changes with its rows; of the projects that can be read."""
        found: dict[str, str] = {}
        left_out = {problem.project_id for problem in self.problems if problem.left_out}
        for source in self._files.values():
            if source.owner not in left_out:
                found[source.owner] = found.get(source.owner, "") + source.stamp
        return found

    def state(self) -> list[list[tuple[int, int]]]:
        """Sizes and times of every file: unequal before and after a query, it may have read two moments."""
        return [source.now() for source in self._files.values()]

    def refresh(self) -> None:
        """Take in what has come, gone or changed; `define` then makes the views.

        A database that cannot be read is left out, and its problem says why.
        """
        listed = {path: (owner, origin) for owner, origin, path in _listed(self.workspace)}
        for path in [path for path in self._files if path not in listed]:
            self._forget(self._files.pop(path))
        for path, (owner, origin) in listed.items():
            if path not in self._files:
                self._files[path] = Source(owner, origin, path, f"file_{self._count}")
                self._count += 1
        changed = []
        for source in self._files.values():
            stamp = source.new_stamp()
            patient = source.refused is None or time.monotonic() - source.refused[0] < _PATIENCE_S
            if stamp != source.stamp or not patient:
                source.stamp = stamp
                if self._look(source):
                    changed.append(source)
        self._check(changed)

    def demote(self) -> bool:
        """Read through `sqlite3` what DuckDB cannot read to its end; whether there was anything."""
        found = []
        for source in [source for source in self._files.values() if source.live]:
            for table, columns in source.present.items():
                whole = ", ".join(f"max({identifier(name)}::{tables.TABLES[table][name]})" for name in columns)
                try:
                    self.engine.execute(f"SELECT {whole} FROM {source.name}.{table}").fetchall()
                except ERRORS:
                    found.append(source)
                    break
        for source in found:
            self._read(source)
        return bool(found)

    def touch(self) -> None:
        """Open every attached database in the transaction that is running."""
        for source in self._files.values():
            if source.live:
                self.engine.execute(f"SELECT 1 FROM {source.name}.ai_decisions LIMIT 0")

    def _look(self, source: Source) -> bool:
        """Open a file, learn its schema and attach it; whether its rows are to be checked."""
        source.problems, source.unsound, source.refused = [], [], None
        try:
            # released before DuckDB opens the file: no two libraries have it open at once
            with attachable(source.path) as path, contextlib.closing(tables.open_file(path)) as connection:
                source.present = tables.present_in(connection, source.origin)
                source.few = {table for table in tables.CHECKS if _is_short(connection, source, table)}
                unsound = any(True for table in source.few for _ in tables.faults_in(connection, source.present, table))
            if missing := tables.lacking(source.present, source.origin):
                source.note(f"an earlier schema, without {', '.join(missing)}: read as it is")
        except (sqlite3.Error, tables.NoProjectError, PickroomError) as error:
            self._refuse(source, error)
            return False
        if not self.attach or unsound:
            self._read(source)
            return False
        if not source.live:
            self._forget(source)
            try:
                options = f"TYPE sqlite, READ_ONLY, busy_timeout {tables.BUSY_MS}"
                self.engine.execute(f"ATTACH {quoted(source.path)} AS {source.name} ({options})")
            except ERRORS:
                self._read(source)  # sqlite3 says what is wrong, or copes with it
                return False
            source.live = True
        return True

    def _check(self, changed: list[Source]) -> None:
        """Find unsound rows: DuckDB sorts out those that are certainly sound, `integrity.checks` judges the others."""
        changed = [source for source in changed if _sound.get(source.path) != source.stamp]
        suspects: dict[str, dict[str, list[int]]] = {}
        for table in tables.CHECKS:
            having = [s for s in changed if s.live and table not in s.few and tables.are_checked(s.present, table)]
            try:
                self._suspects(table, having, suspects)
            except ERRORS:
                for source in having:
                    try:
                        self._suspects(table, [source], suspects)
                    except ERRORS:
                        self._read(source)
        for source in changed:
            if source.live and (numbers := suspects.get(source.name)):
                try:
                    with contextlib.closing(tables.open_file(source.path)) as connection:
                        unsound = any(
                            True
                            for table in numbers
                            for _ in tables.faults_in(connection, source.present, table, numbers[table])
                        )
                except sqlite3.Error as error:
                    self._refuse(source, error)
                    continue
                if unsound:
                    self._read(source)
        _sound.update({source.path: source.stamp for source in changed if source.live})

    def _suspects(self, table: str, having: list[Source], found: dict[str, dict[str, list[int]]]) -> None:
        if not having:
            return
        arms = [
            f"SELECT '{s.name}' AS file, rowid AS number, {tables.cells(s.present, table)} FROM {s.name}.{table}"
            for s in having
        ]
        text = read_sql(f"suspects/{table}")
        for file, number in self.engine.execute(f"WITH files AS ({' UNION ALL '.join(arms)}) {text}").fetchall():
            found.setdefault(file, {}).setdefault(table, []).append(number)

    def _read(self, source: Source) -> None:
        """Read a file through `sqlite3`, its unsound rows left out, into tables that stand in for it."""
        self._forget(source)
        source.read = True
        self.engine.execute(f"CREATE SCHEMA {source.name}")
        try:
            with attachable(source.path) as path, contextlib.closing(tables.open_file(path)) as connection:
                connection.execute("BEGIN")  # every table as of one moment
                source.unsound = []
                for table in source.present:
                    faults = (
                        dict(tables.faults_in(connection, source.present, table))
                        if tables.are_checked(source.present, table)
                        else {}
                    )
                    source.unsound += [(table, fault.check, fault.of, fault.what) for fault in faults.values()]
                    rows, notes = tables.read_table(connection, source.present, table, faults)
                    self.engine.register("rows_read", rows)
                    self.engine.execute(f"CREATE TABLE {source.name}.{table} AS SELECT * FROM rows_read")
                    self.engine.unregister("rows_read")
                    for note in notes:
                        source.note(note)
        except (sqlite3.Error, PickroomError) as error:
            self._refuse(source, error)
            return
        if count := len(source.unsound):
            source.note(f"{count} unsound row{'s' * (count != 1)} left out: see the view unsound_rows", unsound=count)

    def _refuse(self, source: Source, error: Exception) -> None:
        self._forget(source)
        refusal = error
        if not isinstance(error, StoreError):
            refusal = StoreError(str(error), doing="reading a project for analysis", subject=source.path)
        assert isinstance(refusal, StoreError)
        source.refused, source.present, source.unsound = (time.monotonic(), refusal), {}, []
        source.problems = [Problem(source.owner, refusal.line, left_out=True)]

    def _forget(self, source: Source) -> None:
        if source.live:
            self.engine.execute(f"DETACH {source.name}")
        if source.read:
            self.engine.execute(f"DROP SCHEMA {source.name} CASCADE")
        source.live = source.read = False

    def _readable(self) -> list[Source]:
        left_out = {problem.project_id for problem in self.problems if problem.left_out}
        return [source for source in self._files.values() if source.owner not in left_out]

    def shape(self) -> list[Any]:
        """What the views `source.*` are made of; as long as it stays, they stay."""
        return [(s.name, s.live, s.present, s.unsound) for s in self._readable()]

    def define(self, table: str) -> None:
        """Make the view `source.<table>` over all files; or `source.unsound_rows`, which is a table."""
        readable = self._readable()
        if table == "unsound_rows":
            names = ("owner", "origin", *_UNSOUND)
            rows = [dict(zip(names, (s.owner, s.origin, *row), strict=True)) for s in readable for row in s.unsound]
            printable = [{n: v.encode(errors="backslashreplace").decode() for n, v in row.items()} for row in rows]
            fill(self.engine, "source.unsound_rows", dict.fromkeys(names, "VARCHAR"), printable)
            return
        columns = tables.TABLES[table]
        # without a cast for each file: parsing them takes longer than reading 500 small ones
        arms = [
            f"SELECT {quoted(s.owner)}, '{s.origin}', {tables.cells(s.present, table)} FROM {s.name}.{table}"
            for s in readable
            if table in s.present
        ]
        nothing = f"SELECT NULL AS owner, NULL AS origin, {', '.join(f'NULL AS {identifier(c)}' for c in columns)}"
        typed = ", ".join(f"{identifier(name)}::{kind} AS {identifier(name)}" for name, kind in columns.items())
        self.engine.execute(
            f"CREATE OR REPLACE VIEW source.{table} AS SELECT owner::VARCHAR AS owner, origin::VARCHAR AS origin, "
            f"{typed} FROM ({' UNION ALL '.join([f'{nothing} WHERE false', *arms])})"
        )


def _is_short(connection: sqlite3.Connection, source: Source, table: str) -> bool:
    """Whether Python checks a table's rows sooner than DuckDB could sort them."""
    if not tables.are_checked(source.present, table):
        return False
    (count,) = connection.execute(f"SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {_FEW + 1})").fetchone()
    return bool(count <= _FEW)


def _listed(workspace: Workspace) -> Iterator[tuple[str, str, Path]]:
    """(project, origin, database) of every project that has a manifest or imports, by id."""
    started = set(workspace.project_ids())
    imported = {path.stem.removesuffix("_legacy") for path in workspace.decisions.glob("*_legacy.db")}
    for project_id in sorted(started | imported):
        if project_id in started:
            yield project_id, "project", workspace.decisions / f"{project_id}.db"
        if project_id in imported:
            yield project_id, "legacy", workspace.decisions / f"{project_id}_legacy.db"
