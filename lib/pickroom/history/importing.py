"""Import old CSV logs: read and report first, write only when told to, never touch the source."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment, Key, Survey, Surveyed
from pickroom.history.formats import CROP_TRAINING, format_of
from pickroom.history.formats.crop_training import LAYOUT, looks_like
from pickroom.history.formats.protocol import Convert
from pickroom.history.logged_paths import ProjectNames, given_project
from pickroom.history.parsed_rows import TRAINING_ROW, ParsedRows
from pickroom.history.publishing import publish
from pickroom.history.report import FileReport, ImportReport
from pickroom.history.skip_reasons import Skip
from pickroom.history.staging import EXAMPLES, Staging
from pickroom.history.tables import Batch, Table, read_header, split_all
from pickroom.store.workspace import Workspace

_SHOWN = 300  # characters of a row in the report

Progress = Callable[[int, None], None]  # rows read so far; how many there will be is not known


class CsvImport:
    """Logs that were read and compared with what there is; nothing is written before `write`. A context manager.

    Attributes:
        report: what would be, or was, imported, and why the rest is not.
    """

    def __init__(self, workspace: Workspace, staging: Staging, report: ImportReport, given: str | None) -> None:
        self._workspace, self._staging, self.report, self._given = workspace, staging, report, given

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Forget what was read; the temporary files go."""
        self._staging.close()

    def write(self) -> list[Path]:
        """Add the new rows to each project's `<project>_legacy.db`; returns the databases written.

        Raises:
            UsageError: see `require_agreement`.
            LockedError, ConflictError, StoreError: see `publishing.publish`.
        """
        self.require_agreement()
        return publish(self._workspace, self._staging, self.report.projects)

    def require_agreement(self) -> None:
        """Raises UsageError when a project was given and rows lie in folders of others."""
        self.report.assignment.require_agreement(self._given)


def read_logs(
    workspace: Workspace,
    files: Sequence[Path],
    project: str | None = None,
    progress: Progress | None = None,
    *,
    by_folder: bool = False,
    folders: Mapping[str, str] | None = None,
) -> CsvImport:
    """Read old logs of any known format, and find out what an import would do. Close what comes back.

    Args:
        project: serves rows that name no project; it need not be started. Rows that name another one are skipped,
            and `write` then refuses, unless `by_folder` or `folders` says that these are meant.
        by_folder: whether a row without a known project belongs to the one that its folder names.
        folders: folder, or text of the project column -> the project that it means.

    Raises:
        UsageError: a file cannot be read or has no known header, which is checked for all files before the first
            row; or no row lies in one of `folders`.
        ProjectError: `project` can name none, or a manifest is damaged.
        StoreError: a database of one of the projects, or the temporary folder, cannot be used.
    """
    given = None if project is None else given_project(workspace, project)
    mapped: dict[str, list[str]] = {}
    for folder, meant in (folders or {}).items():
        mapped.setdefault(given_project(workspace, meant), []).append(folder)
    names = ProjectNames.of(workspace, [*mapped, *([given] if given else [])])
    tables = [read_header(path, lambda header: format_of(header) is not None) for path in files]
    staging = Staging()
    try:
        with _collector_paused():
            assignment = Assignment(
                *(names, _survey(tables)),
                given=given,
                by_folder=by_folder,
                mapped=ProjectNames(mapped, ids=False),
            )
            assignment.require_used(folders or {})
            report = _read(workspace, staging, tables, assignment, progress)
    except BaseException:
        staging.close()
        raise
    return CsvImport(workspace, staging, report, given)


def _survey(tables: Sequence[Table]) -> Counter[Key]:
    """The folders and project columns of all rows, counted: a project is told by its place among all of them."""
    survey = Survey()
    for table in tables:
        reader = _Reader(table, ParsedRows(survey, 0))
        for batch in table.batches():
            reader.take(batch)
    return survey.rows


def _read(
    workspace: Workspace,
    staging: Staging,
    tables: Sequence[Table],
    assignment: Assignment,
    progress: Progress | None,
) -> ImportReport:
    reports, projects, rows = [], set(), 0
    # SQLite lets go of the interpreter while it inserts: meanwhile the next rows are read
    with ThreadPoolExecutor(1) as inserting:
        stored: Future[None] | None = None
        for table in tables:
            facts = ParsedRows(assignment, staging.add_file(table.path.name))
            reader = _Reader(table, facts)
            for batch in table.batches():
                reader.take(batch)
                if stored is not None:
                    stored.result()
                stored = inserting.submit(staging.store, *facts.drain())
                rows += len(batch.texts)
                if progress:
                    progress(rows, None)
            if stored is not None:
                stored.result()
            reports.append((facts.file, reader.report))
            projects |= facts.projects
    staging.resolve(workspace, projects)
    for file, report in reports:
        counts, examples = staging.left_out(file)
        report.skipped.update(counts)
        report.examples |= {
            reason: [f"line {line}: {what}" for line, what in shown] for reason, shown in examples.items()
        }
    return ImportReport(tuple(report for _, report in reports), staging.kept(), assignment.described())


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Millions of small tuples, none of them in a cycle: walking them over and over takes 5 % of an import."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


class _Reader:
    """Turns the records of one file into facts, and counts those that are none."""

    def __init__(self, table: Table, facts: ParsedRows) -> None:
        known = format_of(table.header)
        assert known is not None  # read_header asked
        self.report = FileReport(table.path.name, known.name, notes=facts.notes)
        self._table = table
        self._header = list(table.header)
        self._convert: Convert = known.converter(table.header, facts)
        self._convert_training = CROP_TRAINING.converter(LAYOUT, facts)
        self._training = known is not CROP_TRAINING
        self._facts = facts

    def take(self, batch: Batch) -> None:
        """Convert one batch; every record is counted, whatever is in it."""
        self.report.rows += len(batch.texts) + len(batch.broken)
        texts, lines = batch.texts, batch.lines
        width, convert = len(self._header), self._convert
        for fields, line, text in zip(split_all(texts, self._table.delimiter), lines, texts, strict=True):
            if fields is None:
                self._skip(skip_reasons.UNBALANCED, line, text)
                continue
            try:
                if len(fields) != width:
                    raise Skip(skip_reasons.SHIFTED)
                convert(fields, line)
            except Surveyed:
                continue
            except Skip as skip:
                self._second_look(fields, line, skip.reason)
        for broken in batch.broken:
            self._skip(broken.reason, broken.line, broken.text)

    def _second_look(self, fields: list[str], line: int, reason: str) -> None:
        """A row that did not convert: is it empty, too long by empty cells, or of another tool's layout?"""
        filled = list(fields)
        while filled and not filled[-1].strip():
            filled.pop()
        if not any(field.strip() for field in filled):
            reason = skip_reasons.EMPTY
        elif [field.strip().lower() for field in filled] == self._header:
            reason = skip_reasons.HEADER_AGAIN
        else:
            try:
                if self._training and looks_like(filled):
                    # another tool appended its 9 columns under this header (LESSONS.md: 5,431 rows)
                    self._convert_training(filled, line)
                    self._facts.notes[TRAINING_ROW] += 1
                    return
                if len(filled) <= len(self._header) < len(fields):
                    self._convert(fields[: len(self._header)], line)
                    return
            except Skip as skip:
                reason = skip.reason
        self._skip(reason, line, fields)

    def _skip(self, reason: str, line: int, row: list[str] | str) -> None:
        self.report.skipped[reason] += 1
        shown = self.report.examples.setdefault(reason, [])
        if len(shown) < EXAMPLES:
            shown.append(f"line {line}: {row!r}"[:_SHOWN])
