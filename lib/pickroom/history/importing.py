"""Import old CSV logs: read and report first, write only when told to, never touch the source."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment, Key, Survey, Surveyed
from pickroom.history.formats import CROP_TRAINING, TRAINING_COLUMNS, format_of, is_training_row
from pickroom.history.logged_paths import ProjectNames, given_project
from pickroom.history.parsed_rows import TRAINING_ROW, ParsedRows
from pickroom.history.publishing import publish
from pickroom.history.report import FileReport, ImportReport
from pickroom.history.skip_reasons import Skip
from pickroom.history.staging import Staging
from pickroom.history.tables import Record, Table, read_header
from pickroom.store.workspace import Workspace

_SHOWN = 300  # characters of a row in the report
_BATCH = 20_000  # rows held in memory

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
        mapping = ProjectNames(mapped, ids=False)
        assignment = Assignment(names, _survey(tables), given=given, by_folder=by_folder, mapped=mapping)
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
        for record in table.records():
            reader.take(record)
    return survey.rows


def _read(
    workspace: Workspace,
    staging: Staging,
    tables: Sequence[Table],
    assignment: Assignment,
    progress: Progress | None,
) -> ImportReport:
    readers, rows = [], 0
    for table in tables:
        parsed = ParsedRows(assignment, staging.add_file(table.path.name))
        reader = _Reader(table, parsed)
        for record in table.records():
            reader.take(record)
            rows += 1
            if rows % _BATCH == 0:
                staging.store(parsed.drain())
                if progress:
                    progress(rows, None)
        staging.store(parsed.drain())
        readers.append(reader)
    staging.resolve(workspace, {project for reader in readers for project in reader.parsed.projects})
    for reader in readers:
        staging.add_left_out(reader.parsed.file, reader.report)
    return ImportReport(tuple(reader.report for reader in readers), staging.kept(), assignment.described())


class _Reader:
    """Adds the records of one file to its parsed rows, and counts those that say nothing."""

    def __init__(self, table: Table, parsed: ParsedRows) -> None:
        known = format_of(table.header)
        assert known is not None  # read_header asked
        self.report = FileReport(table.path.name, known.name, notes=parsed.notes)
        self.parsed = parsed
        self._header, self._format = list(table.header), known

    def take(self, record: Record) -> None:
        """Read one record; every one is counted, whatever is in it."""
        self.report.rows += 1
        try:
            if record.problem:
                raise Skip(record.problem)
            try:
                self._add(record.fields, record.line)
            except Skip as skip:
                if isinstance(skip, Surveyed):
                    raise
                self._look_again(record, skip)
        except Surveyed:
            pass
        except Skip as skip:
            what = record.text if record.problem else record.fields
            self.report.skip(skip.reason, f"line {record.line}: {what!r}"[:_SHOWN])

    def _add(self, fields: list[str], line: int) -> None:
        if len(fields) != len(self._header):
            raise Skip(skip_reasons.SHIFTED)
        self._format.read(dict(zip(self._header, fields, strict=True)), line, self.parsed)

    def _look_again(self, record: Record, skip: Skip) -> None:
        """Read a row that is too long by empty cells, or of another tool's layout; raises Skip for any other."""
        filled = list(record.fields)
        while filled and not filled[-1].strip():
            filled.pop()
        if not any(field.strip() for field in filled):
            raise Skip(skip_reasons.EMPTY)
        if [field.strip().lower() for field in filled] == self._header:
            raise Skip(skip_reasons.HEADER_AGAIN)
        if self._format is not CROP_TRAINING and is_training_row(filled):
            # another tool appended its 9 columns under this header (LESSONS.md: 5,431 rows)
            CROP_TRAINING.read(dict(zip(TRAINING_COLUMNS, filled, strict=True)), record.line, self.parsed)
            self.parsed.notes[TRAINING_ROW] += 1
        elif len(filled) <= len(self._header) < len(record.fields):
            self._add(record.fields[: len(self._header)], record.line)
        else:
            raise skip
