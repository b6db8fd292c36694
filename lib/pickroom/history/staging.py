"""Stage the rows of an import in a temporary database until the new ones are known, so that memory stays bounded.

The kept rows are then added to each project's `<project>_legacy.db`: for all projects, or for none. New files are built
next to their place, and rows for older files wait in open transactions. Only when all of them are ready do the files
get their names and are the transactions committed.
"""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pickroom.core.errors import ConflictError, ProjectError, StoreError, UsageError
from pickroom.core.records import CropBox
from pickroom.files.preflight import project_lock
from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment
from pickroom.history.parsed_rows import ParsedRows, crop_rank, pick_key
from pickroom.history.report import EXAMPLES, ImportReport
from pickroom.indexing import regrouping
from pickroom.indexing.projects import register
from pickroom.storage import atomic, leftovers
from pickroom.store import legacy
from pickroom.store.connect import open_read_only
from pickroom.store.legacy import Match, connect_legacy, databases, legacy_path
from pickroom.store.workspace import Workspace

MAX_PROJECTS = 1000  # in one import: a column with more names than that is not a project column

_IMPORTED, _DECIDED = 1, 2

# the first rows of one file of each verdict, with how many there are; a decision whose pick is kept as a selection is
# not left out
_LEFT_OUT = """
WITH found AS (
    SELECT verdict, line, chosen AS name, timestamp FROM decisions
    WHERE file = :file AND verdict IS NOT NULL AND verdict <> 'pick only'
    UNION ALL
    SELECT verdict, line, chosen, timestamp FROM selections WHERE file = :file AND verdict IS NOT NULL
        AND (file, line) NOT IN (SELECT file, line FROM crops WHERE main = 0 AND file = :file AND verdict IS NULL)
    UNION ALL
    SELECT verdict, line, filename, timestamp FROM crops WHERE file = :file AND main = 1 AND verdict IS NOT NULL
), placed AS (
    SELECT *, count(*) OVER (PARTITION BY verdict) AS count,
        row_number() OVER (PARTITION BY verdict ORDER BY line) AS place
    FROM found
)
SELECT verdict, count, place, line, placed.name, timestamp, numbered FROM placed, files
WHERE place <= :some AND files.file = :file ORDER BY count DESC, verdict, place
"""
_PICKS = """SELECT group_id, timestamp, project_id, images, user_selected_index, user_action, final_crop_coords
    FROM ai_decisions"""
_MORE = 20  # unknown crops that are named


class StagedImport:
    """Rows that were read into a temporary database; nothing is written before `write`. A context manager.

    Attributes:
        report: what is or would be imported, and why the rest is not; set by `finish`.
        matches: final images that were searched in their original's pixels; None where no folders are compared.
        contents: file name -> SHA-256 of the originals in groups.
        unclear: project -> waiting groups that its rows may mean, known once they are written.
    """

    report: ImportReport

    def __init__(self, workspace: Workspace, matches: list[Match] | None = None) -> None:
        self._workspace, self.matches = workspace, matches
        self.contents: dict[str, str] = {}
        self.unclear: dict[str, int] = {}
        self._folder = leftovers.Folder("pickroom-import-")
        self._path = self._folder.path / "staging.db"
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        # not durable: after a loss the logs are read again
        self._connection.executescript(
            "PRAGMA page_size = 65536; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _sql("staging.sql")
        )
        self._compared: dict[Path, tuple[int, ...] | None] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary files; closing twice is fine."""
        self._connection.close()
        self._folder.close()

    def add_file(self, name: str, *, numbered: bool = True) -> int:
        """Add a source by name (paths are not stored); returns its number.

        Args:
            numbered: its rows have line numbers; else the numbers are only unique.
        """
        insert = "INSERT INTO files (name, numbered) VALUES (?, ?) RETURNING file"
        (number,) = self._connection.execute(insert, (name, numbered)).fetchone()
        return int(number)

    def store(self, parsed: ParsedRows) -> None:
        """Move the rows gathered so far into the tables.

        Raises:
            StoreError: the temporary folder is full.
        """
        with self._naming_the_folder("gathering rows"):
            self._connection.execute("BEGIN")
            for table, found in parsed.rows.items():
                names = [row[1] for row in self._connection.execute(f"PRAGMA table_info({table})")]
                self._insert(table, names[: len(found[0])], found)
            self._connection.execute("COMMIT")
        parsed.rows.clear()

    @contextmanager
    def _naming_the_folder(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = "make room there, or set TMPDIR to a larger folder"
            raise StoreError(str(error), doing=doing, subject=self._path, hint=hint) from error

    def _insert(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(columns))
        self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def known(self, project_id: str) -> tuple[dict[tuple[str, str], str], frozenset[str]]:
        """A project's known picks and crops, imported or its own, of any time; asked for before anything is stored.

        Returns:
            (chosen, `pick_key` of the others) -> where it is known from, as a reason to skip it; and the names of files
            whose crop has a box.
        """
        with self._naming_the_folder("comparing rows"):
            self._seed(project_id)
        picks = self._connection.execute(
            """SELECT chosen, key, existing FROM decisions UNION ALL SELECT chosen, key, existing FROM selections
            ORDER BY existing"""
        )
        reasons = {_IMPORTED: skip_reasons.IMPORTED, _DECIDED: skip_reasons.DECIDED}
        known = {(chosen, key): reasons[existing] for chosen, key, existing in picks}
        boxed = self._connection.execute(
            """SELECT chosen FROM decisions WHERE final_crop_coords IS NOT NULL
            UNION SELECT filename FROM crops WHERE box IS NOT NULL"""
        ).fetchall()
        self._connection.executescript("DELETE FROM decisions; DELETE FROM selections; DELETE FROM crops")
        return known, frozenset(name for (name,) in boxed)

    def finish(self, files: Sequence[ParsedRows], assignment: Assignment) -> None:
        """Find the new rows, compared with each other and with those that the projects have, and report on all.

        Raises:
            StoreError: a project's database cannot be read.
            UsageError: there are too many projects.
        """
        projects = sorted({project for parsed in files for project in parsed.projects})
        if len(projects) > MAX_PROJECTS:
            hint = "is that column the project's? import such files one by one"
            raise UsageError(f"these files name {len(projects):,} projects", doing="importing", hint=hint)
        with self._naming_the_folder("comparing rows"):
            for project_id in projects:
                self._seed(project_id)
            self._connection.executescript(_sql("resolve.sql"))
        for parsed in files:
            asked = {"file": parsed.file, "some": EXAMPLES}
            for verdict, count, place, line, *what, numbered in self._connection.execute(_LEFT_OUT, asked):
                # a verdict is the name of a reason
                reason, example = getattr(skip_reasons, verdict.upper().replace(" ", "_")), repr(tuple(what))
                if place == 1:
                    parsed.report.skipped[reason] += count
                    parsed.report.examples[reason] = []
                parsed.report.examples[reason].append(f"line {line}: {example}" if numbered else example)
        kept: dict[str, dict[str, int]] = {}
        for table in ("decisions", "selections", "crops"):
            new = f"SELECT project_id, count(*) FROM {table} WHERE verdict IS NULL AND existing = 0 GROUP BY project_id"
            for project_id, count in self._connection.execute(new):
                kept.setdefault(project_id, {})[table] = count
        missing = sorted(set(projects) - set(self._workspace.project_ids()))
        unregistered = [one for one in missing if one in kept or legacy_path(self._workspace, one).exists()]
        reports = tuple(parsed.report for parsed in files)
        self.report = ImportReport(reports, dict(sorted(kept.items())), assignment, tuple(unregistered))

    def _seed(self, project_id: str) -> None:
        """Read the rows of a project's databases, so that nothing is imported twice."""
        imported = legacy_path(self._workspace, project_id)
        self._compared[imported] = _watermark(imported)
        picked = ("key", "rank", "chosen", "group_id", "timestamp", "project_id", "final_crop_coords", "existing")
        cropped = ("rank", "main", "project_id", "filename", "box", "timestamp", "existing")
        for database in databases(self._workspace, project_id):
            existing = _IMPORTED if database == imported else _DECIDED
            with open_read_only(database) as source:
                self._insert("decisions", picked, _known_decisions(source.execute(_PICKS), existing))
                if existing == _DECIDED:
                    boxes = source.execute("SELECT ?, filename, box, made_at FROM crops", (project_id,))
                else:
                    chosen = source.execute("SELECT others, project_id, chosen, timestamp FROM legacy_selections")
                    found = ((pick_key(json.loads(others)), *rest, existing) for others, *rest in chosen)
                    self._insert("selections", ("key", "project_id", "chosen", "timestamp", "existing"), found)
                    boxes = source.execute("SELECT project_id, filename, box, timestamp FROM legacy_crops")
                rows = ((crop_rank(CropBox.from_json(row[2])), 1, *row, existing) for row in boxes)
                self._insert("crops", cropped, rows)

    def _unknown(self) -> list[Match]:
        return [match for match in self.matches or () if match.box is None]

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom import-csv --json` (FORMATS.md); of compared folders also crops of unknown place."""
        values, unknown = self.report.to_dict(), self._unknown()
        if self.matches is not None:
            values["boxes"] = {"found": len(self.matches) - len(unknown), "null": len(unknown)}
            values["listed"] = [{"filename": m.filename, "score": m.score, "reason": m.reason} for m in unknown]
        return values

    def lines(self) -> list[str]:
        """The report in words, a line each."""
        lines, unknown = self.report.lines(), self._unknown()
        if self.matches:
            lines.append(f"Crop boxes: {len(self.matches) - len(unknown):,} found, {len(unknown):,} unknown (NULL)")
            lines += [f"  {match.filename}: {match.reason}" for match in unknown[:_MORE]]
            if len(unknown) > _MORE:
                lines.append(f"  ... and {len(unknown) - _MORE:,} more (--json lists them all)")
        return lines

    def require_agreement(self) -> None:
        """Raises UsageError when a project was given and rows are in folders of others."""
        self.report.assignment.require_agreement()

    def write(self) -> list[Path]:
        """Add the new rows to each project's `<project>_legacy.db`; returns the databases written.

        Projects that are not registered are registered first, as finished and without images.

        Raises:
            UsageError: see `require_agreement`.
            LockedError: another process is at work on one of the projects.
            ConflictError: another import wrote since these rows were compared with what there is.
            StoreError: a database, or its disk, refuses.
        """
        self.require_agreement()
        projects = {*self.report.projects, *(match.project_id for match in self.matches or ())}
        written = self._publish(projects)
        for project_id in self.report.unregistered:
            with suppress(ProjectError):  # registered meanwhile
                register(self._workspace, project_id)
        for project_id in projects & set(self._workspace.project_ids()):
            if count := regrouping.refresh_imported(self._workspace.project(project_id)):
                self.unclear[project_id] = count
        return written

    def _publish(self, projects: Iterable[str]) -> list[Path]:
        """Write each project's new rows, or none if one of the databases refuses; returns the databases written.

        Killed while the last step takes place, some projects have all their rows and the others none; importing again
        adds the rest.
        """
        workspace = self._workspace
        paths = {project_id: legacy_path(workspace, project_id) for project_id in sorted(projects)}
        named: list[Path] = []
        path = workspace.decisions
        path.mkdir(parents=True, exist_ok=True)  # a project need not be started, nor the workspace be there
        with ExitStack() as locks:
            for project_id in paths:
                locks.enter_context(project_lock(workspace.planned(project_id, workspace.root), "importing history"))
            for path, seen in self._compared.items():
                if _watermark(path) != seen:
                    raise _conflict("another import has written here meanwhile", path)
            try:
                with ExitStack() as waiting:
                    finished: list[tuple[Path, Path]] = []
                    for project_id, path in paths.items():
                        own = [match for match in self.matches or () if match.project_id == project_id]
                        taken = (self._path, project_id, own, self.contents)
                        if path.exists():
                            connection = waiting.enter_context(closing(connect_legacy(path)))
                            waiting.enter_context(legacy.take_staged(connection, *taken))
                            continue
                        partial = path.with_name(f".{path.name}.partial")
                        partial.unlink(missing_ok=True)  # left by a killed import: the lock is held here
                        waiting.callback(partial.unlink, missing_ok=True)
                        with closing(connect_legacy(partial)) as connection, legacy.take_staged(connection, *taken):
                            pass
                        finished.append((partial, path))
                    for partial, path in finished:
                        atomic.publish(partial, path)
                        named.append(path)
                    atomic.sync_folders(path.parent for path in named)
            except BaseException as error:
                for made in named:
                    made.unlink(missing_ok=True)
                if isinstance(error, FileExistsError):
                    raise _conflict("another import has just written this file", path) from None
                if isinstance(error, sqlite3.Error | OSError):
                    hint = "make room, then import again"
                    raise StoreError(str(error), doing="writing imported rows", subject=path, hint=hint) from error
                raise
        return list(paths.values())


def _conflict(what: str, path: Path) -> ConflictError:
    return ConflictError(what, doing="importing", subject=path, hint="import again")


def _known_decisions(rows: Iterable[sqlite3.Row], existing: int) -> Iterator[tuple[Any, ...]]:
    """The keys of stored decisions, to find repeats; damaged rows are skipped."""
    for row in rows:
        try:
            names, index = json.loads(row["images"]), row["user_selected_index"]
            chosen = names.pop(index) if row["user_action"] != "reject" else None
            rank, key = crop_rank(CropBox.from_json(row["final_crop_coords"])), pick_key(names)
        except (ValueError, TypeError, IndexError, AttributeError):
            continue
        own = (row["group_id"], row["timestamp"], row["project_id"], row["final_crop_coords"])
        yield (key, rank, chosen, *own, existing)


def _watermark(database: Path) -> tuple[int, ...] | None:
    """A value that every import changes; None without a database."""
    if not os.path.lexists(database):
        return None
    with open_read_only(database) as connection:
        tables = ("ai_decisions", "legacy_selections", "legacy_crops")
        return tuple(connection.execute(f"SELECT coalesce(max(rowid), 0) FROM {t}").fetchone()[0] for t in tables)


def _sql(name: str) -> str:
    return (resources.files("pickroom.history") / name).read_text(encoding="utf-8")
