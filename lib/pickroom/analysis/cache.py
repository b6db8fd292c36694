"""Every project's views as Parquet files, made again when its database has changed: the materialised side of analysis.

A query over live SQLite files reads every row anew, and holds files open that the store may want to write. So each
database is attached for one short copy, and queries run on the copy: several times faster (benchmarks/analysis.py), and
a query may go on while a review is writing (DESIGN.md, invariant 10; docs/decisions/060).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import duckdb

from pickroom.analysis import tables
from pickroom.analysis.engine import load_sqlite, open_engine, quoted, read_sql
from pickroom.analysis.views import COPIED
from pickroom.core.errors import StoreError
from pickroom.storage.leftovers import Folder
from pickroom.store.workspace import Workspace

_EMPTY = "_empty"  # no project's id begins so: the views of no rows, which give every view its columns
_NOTES = "notes.json"
SPILL = ".duckdb-"
_TICK_S = 0.05  # file times may stand still this long; a younger change could hide another
_COARSE_TICK_S = 2.0  # where times are whole seconds: exFAT
_KEPT_S = 3600  # a replaced copy stays this long, for queries that have begun on it
_PATIENCE_S = 5  # before a database that could not be read is tried again, if it has not changed
_MOST_MEMORY = "1GiB"  # of the engine that copies; beyond it DuckDB works on the disk: a million images took 2.2
_TRIES = 3  # to copy a database that is being written to by another process


@dataclass(frozen=True, slots=True)
class Problem:
    """Something to know of one project: why it is left out, or how it had to be read."""

    project_id: str
    what: str
    left_out: bool
    unsound: int = 0  # rows that are left out of its views

    @property
    def line(self) -> str:
        return f"{self.project_id}: {'left out: ' if self.left_out else ''}{self.what}"


@dataclass(frozen=True, slots=True)
class ProjectDatabases:
    """The databases of one project: its own, and what was imported beside it; None where there is none."""

    project_id: str
    database: Path | None
    legacy: Path | None

    def stamp(self) -> str:
        """Changes whenever either database may have changed.

        From sizes and times alone: opening and closing the file would drop the locks this process holds on it.
        """
        while True:
            found = [_stat(path) for path in (self.database, self.legacy) if path is not None]
            newest = max((mtime for parts in found for _, mtime in parts), default=0)
            age = time.time() - newest / 1e9
            tick = _TICK_S if newest % 1_000_000_000 else _COARSE_TICK_S
            if not 0 <= age < tick:
                return hashlib.sha256(json.dumps(found).encode()).hexdigest()[:16]
            time.sleep(tick - age)


def _stat(path: Path) -> list[tuple[int, int]]:
    parts = []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            status = file.stat()
        except OSError:
            continue
        if status.st_size:  # a reader may leave an empty log behind
            parts.append((status.st_size, status.st_mtime_ns))
    return parts


def sources(workspace: Workspace) -> list[ProjectDatabases]:
    """Every project that has a manifest or imports, by id."""
    started = set(workspace.project_ids())
    imported = {path.stem.removesuffix("_legacy") for path in workspace.decisions.glob("*_legacy.db")}
    found = []
    for project_id in sorted(started | imported):
        own = workspace.decisions / f"{project_id}.db" if project_id in started else None
        legacy = workspace.decisions / f"{project_id}_legacy.db" if project_id in imported else None
        found.append(ProjectDatabases(project_id, own, legacy))
    return found


@dataclass(frozen=True, slots=True)
class Copies:
    """The Parquet files that hold every project's views now.

    Attributes:
        folders: project id -> the folder of its files, one `<view>.parquet` each; the empty one first.
        problems: what is left out, or had to be read in a special way.
    """

    folders: dict[str, Path]
    problems: tuple[Problem, ...]

    def files(self, view: str) -> list[str]:
        return [str(folder / f"{view}.parquet") for folder in self.folders.values()]


class Cache:
    """The folder of copies; shared by processes, each copy written once and never changed."""

    def __init__(self, folder: Path, owner: Folder | None = None) -> None:
        """`owner` removes the folder when this cache is gone; None leaves it."""
        self.folder = folder
        self._owner = owner
        self._engine: duckdb.DuckDBPyConnection | None = None
        self._attach = False
        self._refused: dict[tuple[str, str], tuple[float, StoreError]] = {}

    @classmethod
    def of(cls, workspace: Workspace) -> Cache:
        """The workspace's own; a temporary one where its disk is closed to writing, or there is no workspace yet."""
        folder = workspace.processed_log.parent / "analysis"
        try:
            if not (workspace.root / "data").is_dir():  # looking must not found one
                raise FileNotFoundError
            folder.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=folder).close()
        except OSError:
            temporary = Folder("pickroom-analysis-")
            return cls(temporary.path, temporary)
        return cls(folder)

    def spill(self) -> Folder:
        """A private folder for what an engine cannot keep in memory."""
        return Folder(SPILL, self.folder)

    def refresh(self, workspace: Workspace) -> Copies:
        """Copy what has changed; a project that cannot be read is left out, and named."""
        folders: dict[str, Path] = {}
        problems: list[Problem] = []
        try:
            for source in (ProjectDatabases(_EMPTY, None, None), *sources(workspace)):
                try:
                    folder = self._copy(source)
                except StoreError as error:
                    problems.append(Problem(source.project_id, error.line, left_out=True))
                    continue
                folders[source.project_id] = folder
                notes = json.loads((folder / _NOTES).read_text(encoding="utf-8"))
                problems += [Problem(source.project_id, left_out=False, **note) for note in notes]
        finally:
            self._close()
        self._sweep(folders)
        return Copies(folders, tuple(problems))

    def _copy(self, source: ProjectDatabases) -> Path:
        stamp = source.stamp()
        when, refusal = self._refused.get((source.project_id, stamp), (0.0, None))
        if refusal is not None and time.monotonic() - when < _PATIENCE_S:
            raise refusal
        try:
            return self._copied(source, stamp)
        except StoreError as error:
            self._refused[source.project_id, stamp] = time.monotonic(), error
            raise

    def _copied(self, source: ProjectDatabases, stamp: str) -> Path:
        for attempt in range(_TRIES):
            target = self.folder / source.project_id / f"{_recipe()}-{stamp}"
            if (target / _NOTES).is_file():
                return target
            # through sqlite3 at last: it sees all tables as of one moment, while others write
            self._extract(source, target, attach=attempt < _TRIES - 1)
            after = source.stamp()
            if after == stamp:
                break
            stamp = after
        return target

    def _extract(self, source: ProjectDatabases, target: Path, *, attach: bool) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        with Folder(".building-", target.parent) as folder:
            self._fill(source, folder / target.name, attach=attach)
            _publish(folder / target.name, target)

    def _fill(self, source: ProjectDatabases, building: Path, *, attach: bool) -> None:
        building.mkdir()
        try:
            engine = self._open()
            attach = attach and self._attach
            notes = tables.load(engine, source.database, "src_", tables.PROJECT_TABLES, attach=attach)
            legacy = tables.load(engine, source.legacy, "old_", tables.LEGACY_TABLES, attach=attach)
            tables.load_stages(engine)
            engine.execute(f"SET VARIABLE project_id = {quoted(source.project_id)}")
            for view in COPIED:
                file = building / f"{view}.parquet"
                engine.execute(f"COPY ({read_sql(f'views/{view}')}) TO {quoted(file)} (FORMAT parquet)")
            notes += [f"its imported history: {note}" for note in legacy]
            written: list[dict[str, str | int]] = [{"what": note} for note in notes]
            (unsound,) = engine.execute(f"SELECT count(*) FROM ({read_sql('views/unsound_rows')})").fetchone() or (0,)
            if unsound:
                what = f"{unsound} unsound row{'s' * (unsound != 1)} left out: see the view unsound_rows"
                written.append({"what": what, "unsound": unsound})
            (building / _NOTES).write_text(json.dumps(written), encoding="utf-8")
        except duckdb.Error as error:
            what = str(error).splitlines()[0]
            raise StoreError(what, doing="reading a project for analysis", subject=source.database) from error

    def _open(self) -> duckdb.DuckDBPyConnection:
        if self._engine is None:
            self._spill = self.spill()
            self._engine = open_engine(self._spill.path, memory_limit=_MOST_MEMORY)
            self._attach = load_sqlite(self._engine)
        return self._engine

    def _close(self) -> None:
        if self._engine is not None:
            self._engine.close()
            self._spill.close()
            self._engine = None

    def _sweep(self, current: dict[str, Path]) -> None:
        """Remove copies that were replaced a while ago, and those of projects that are gone."""
        for folder in self._old(set(current.values())):
            shutil.rmtree(folder, ignore_errors=True)
        for project in self.folder.iterdir():
            with contextlib.suppress(OSError):  # still in use
                project.rmdir()

    def _old(self, current: set[Path]) -> Iterator[Path]:
        for folder in self.folder.glob("*/*"):
            with contextlib.suppress(OSError):  # another process swept it
                if folder not in current and time.time() - folder.stat().st_mtime > _KEPT_S:
                    yield folder


def _publish(building: Path, target: Path) -> None:
    try:
        os.rename(building, target)
    except OSError:
        if not (target / _NOTES).is_file():  # another process may have been first
            raise


@cache
def _recipe() -> str:
    """Changes with the queries and the versions that make the copies."""
    texts = [duckdb.__version__, repr(tables.PROJECT_TABLES), repr(tables.LEGACY_TABLES), read_sql("macros")]
    texts += [read_sql(f"views/{view}") for view in COPIED]
    return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]
