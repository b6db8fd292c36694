"""Stage the rows of an import in a temporary database until the new ones are known, so that memory stays bounded.

The kept rows are then added to each project's `<project>_legacy.db`: for all projects, or for none. New files are built
next to their place, and rows for older files wait in open transactions. Only when all of them are ready do the files
get their names and are the transactions committed.
"""

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib import resources
from pathlib import Path
from typing import Any, Self

from pickroom.core.errors import ConflictError, ProjectError, StoreError, UsageError
from pickroom.core.records import CropBox
from pickroom.files.preflight import project_lock
from pickroom.history import skip_reasons
from pickroom.history.parsed_rows import crop_rank, pick_key
from pickroom.history.report import EXAMPLES, FileReport, ImportReport
from pickroom.indexing import regrouping
from pickroom.indexing.projects import register
from pickroom.storage import atomic, leftovers
from pickroom.store import legacy
from pickroom.store.connect import open_read_only
from pickroom.store.legacy import Match, connect_legacy, databases, legacy_path
from pickroom.store.workspace import Workspace

MAX_PROJECTS = 1000  # in one import: a column with more names than that is not a project column

# verdicts of resolve.sql as texts of the report
VERDICTS = {
    "repeated": skip_reasons.REPEATED,
    "imported": skip_reasons.IMPORTED,
    "decided": skip_reasons.DECIDED,
    "same id": skip_reasons.SAME_ID,
    "reopened": skip_reasons.REOPENED,
    "full frame": skip_reasons.FULL_FRAME,
    "no coordinates": skip_reasons.NO_COORDINATES,
}
_IMPORTED, _DECIDED = 1, 2

# rows of one file that were staged and left out, except decisions whose pick is kept as a selection
_LEFT_OUT = """
SELECT verdict, line, chosen AS name, timestamp FROM decisions
WHERE file = :file AND verdict IS NOT NULL AND verdict <> 'pick only'
UNION ALL
SELECT verdict, line, chosen, timestamp FROM selections WHERE file = :file AND verdict IS NOT NULL
    AND (file, line) NOT IN (SELECT file, line FROM crops WHERE main = 0 AND file = :file AND verdict IS NULL)
UNION ALL
SELECT verdict, line, filename, timestamp FROM crops WHERE file = :file AND main = 1 AND verdict IS NOT NULL
"""

# decisions that became selections, because another row knows their crop better
_PICKS_ONLY = "SELECT project_id, count(*) FROM decisions WHERE verdict = 'pick only' GROUP BY project_id"


class Staging:
    """A temporary database of parsed rows; `close` removes it."""

    def __init__(self) -> None:
        self._folder = leftovers.Folder("pickroom-import-")
        self.path = self._folder.path / "staging.db"
        self.connection = sqlite3.connect(self.path, isolation_level=None)
        # not durable: after a loss the logs are read again
        self.connection.executescript(
            "PRAGMA page_size = 65536; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;" + _sql("staging.sql")
        )
        self._staged: dict[str, Counter[str]] = {"decisions": Counter(), "selections": Counter(), "crops": Counter()}
        self._compared: dict[Path, tuple[int, ...] | None] = {}

    def close(self) -> None:
        """Remove it; closing twice is fine."""
        self.connection.close()
        self._folder.close()

    def add_file(self, name: str, *, numbered: bool = True) -> int:
        """Add a source by name (paths are not stored); returns its number.

        Args:
            numbered: its rows have line numbers; else the numbers are only unique.
        """
        insert = "INSERT INTO files (name, numbered) VALUES (?, ?) RETURNING file"
        (number,) = self.connection.execute(insert, (name, numbered)).fetchone()
        return int(number)

    def store(self, rows: Mapping[str, Sequence[tuple[Any, ...]]]) -> None:
        """Store rows from `ParsedRows.drain`: table -> values of its first columns.

        Raises:
            StoreError: the temporary folder is full.
        """
        with self._naming_the_folder("gathering rows"):
            self.connection.execute("BEGIN")
            for table, found in rows.items():
                if found:
                    names = [row[1] for row in self.connection.execute(f"PRAGMA table_info({table})")][: len(found[0])]
                    self._insert(table, names, found)
                    project_at = names.index("project_id")
                    self._staged[table].update(row[project_at] for row in found)
            self.connection.execute("COMMIT")

    @contextmanager
    def _naming_the_folder(self, doing: str) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            hint = "make room there, or set TMPDIR to a larger folder"
            raise StoreError(str(error), doing=doing, subject=self.path, hint=hint) from error

    def _insert(self, table: str, columns: Sequence[str], rows: Iterable[tuple[Any, ...]]) -> None:
        marks = ", ".join("?" * len(columns))
        self.connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def resolve(self, workspace: Workspace, projects: Iterable[str]) -> None:
        """Find the new rows, compared with each other and with those that the projects have.

        Raises:
            StoreError: a project's database cannot be read.
            UsageError: there are too many projects.
        """
        projects = sorted(projects)
        if len(projects) > MAX_PROJECTS:
            raise UsageError(
                f"these files name {len(projects):,} projects",
                doing="importing",
                hint="is that column the project's? import such files one by one",
            )
        with self._naming_the_folder("comparing rows"):
            for project_id in projects:
                self._seed_project(workspace, project_id)
            self.connection.executescript(_sql("resolve.sql"))

    def _seed_project(self, workspace: Workspace, project_id: str) -> None:
        imported = legacy_path(workspace, project_id)
        self._compared[imported] = _watermark(imported)
        for database in reversed(databases(workspace, project_id)):
            self._seed(database, _IMPORTED if database == imported else _DECIDED)

    def _seed(self, database: Path, existing: int) -> None:
        """Read the rows of a project's database, so that nothing is imported twice."""
        with open_read_only(database) as source:
            picks = source.execute(
                """SELECT group_id, timestamp, project_id, images, user_selected_index, user_action, final_crop_coords
                FROM ai_decisions"""
            )
            columns = ("key", "rank", "chosen", "group_id", "timestamp", "project_id", "final_crop_coords", "existing")
            self._insert("decisions", columns, _known_decisions(picks, existing))
            if existing == _DECIDED:
                boxes = source.execute("SELECT ?, filename, box, made_at FROM crops", (database.stem,))
            else:
                chosen = source.execute("SELECT others, project_id, chosen, timestamp FROM legacy_selections")
                found = ((pick_key(json.loads(others)), *rest, existing) for others, *rest in chosen)
                self._insert("selections", ("key", "project_id", "chosen", "timestamp", "existing"), found)
                boxes = source.execute("SELECT project_id, filename, box, timestamp FROM legacy_crops")
            rows = ((crop_rank(CropBox.from_json(row[2])), 1, *row, existing) for row in boxes)
            self._insert("crops", ("rank", "main", "project_id", "filename", "box", "timestamp", "existing"), rows)

    def require_unchanged(self) -> None:
        """Raises ConflictError when another import has written since `resolve` compared."""
        for path, seen in self._compared.items():
            if _watermark(path) != seen:
                raise ConflictError(
                    "another import has written here meanwhile", doing="importing", subject=path, hint="import again"
                )

    def add_left_out(self, file: int, report: FileReport, *, numbered: bool = True) -> None:
        """Add the staged rows of a file that are not imported to its report. `numbered` as in `add_file`."""
        query = f"SELECT verdict, count(*) FROM ({_LEFT_OUT}) GROUP BY verdict ORDER BY 2 DESC, 1"
        for verdict, count in self.connection.execute(query, {"file": file}).fetchall():
            rows = self.connection.execute(
                f"SELECT line, name, timestamp FROM ({_LEFT_OUT}) WHERE verdict = :verdict ORDER BY line LIMIT :some",
                {"file": file, "verdict": verdict, "some": EXAMPLES},
            )
            report.skipped[VERDICTS[verdict]] += count
            report.examples[VERDICTS[verdict]] = [
                f"line {line}: {(name, time)!r}" if numbered else repr((name, time)) for line, name, time in rows
            ]

    def unregistered(self, workspace: Workspace, projects: Iterable[str]) -> tuple[str, ...]:
        """The projects without a manifest that have imported rows, or will have."""
        kept = self.kept()
        missing = sorted(set(projects) - set(workspace.project_ids()))
        return tuple(one for one in missing if one in kept or legacy_path(workspace, one).exists())

    def kept(self) -> dict[str, dict[str, int]]:
        """Project -> table -> rows that are new."""
        found: dict[str, dict[str, int]] = {}
        for table, staged in self._staged.items():
            counts = staged.copy()
            gone = self.connection.execute(
                f"""SELECT project_id, count(*) FROM {table} WHERE verdict IS NOT NULL AND existing = 0
                GROUP BY project_id"""
            )
            counts.subtract(dict(gone.fetchall()))
            if table == "selections":
                counts.update(dict(self.connection.execute(_PICKS_ONLY).fetchall()))
            for project_id, count in sorted(counts.items()):
                if count:
                    found.setdefault(project_id, {})[table] = count
        return dict(sorted(found.items()))


class StagedImport:
    """An import that was read and compared; nothing is written before `write`. A context manager.

    Attributes:
        report: what is or would be imported, and why the rest is not.
        unclear: project -> waiting groups that its rows may mean, known once they are written.
    """

    def __init__(
        self,
        workspace: Workspace,
        staging: Staging,
        report: ImportReport,
        given: str | None = None,
        matches: Sequence[Match] = (),
        contents: Mapping[str, str] | None = None,
    ) -> None:
        self._workspace, self._staging, self.report, self._given = workspace, staging, report, given
        self.matches, self._contents = list(matches), contents
        self.unclear: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the temporary files."""
        self._staging.close()

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom import-csv --json` (FORMATS.md), and what there is to know next to it."""
        return self.report.to_dict()

    def lines(self) -> list[str]:
        """The report in words, a line each."""
        return self.report.lines()

    def require_agreement(self) -> None:
        """Raises UsageError when a project was given and rows are in folders of others."""
        self.report.assignment.require_agreement(self._given)

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
        projects = {*self.report.projects, *(match.project_id for match in self.matches)}
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
        workspace, staging = self._workspace, self._staging
        paths = {project_id: legacy_path(workspace, project_id) for project_id in sorted(projects)}
        named: list[Path] = []
        path = workspace.decisions
        workspace.decisions.mkdir(
            parents=True, exist_ok=True
        )  # a project need not be started, nor the workspace be there
        with ExitStack() as locks:
            for project_id in paths:
                locks.enter_context(project_lock(workspace.planned(project_id, workspace.root), "importing history"))
            staging.require_unchanged()
            try:
                with ExitStack() as waiting:
                    finished: list[tuple[Path, Path]] = []
                    for project_id, path in paths.items():
                        own = [match for match in self.matches if match.project_id == project_id]
                        taken = (staging.path, project_id, own, self._contents)
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
                    raise ConflictError(
                        "another import has just written this file",
                        doing="importing",
                        subject=path,
                        hint="import again",
                    ) from None
                if isinstance(error, sqlite3.Error | OSError):
                    raise StoreError(
                        str(error), doing="writing imported rows", subject=path, hint="make room, then import again"
                    ) from error
                raise
        return list(paths.values())


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
