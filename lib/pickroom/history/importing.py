"""Import old CSV logs: read and report first, write only when told to, never touch the source."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import date
from itertools import pairwise
from pathlib import Path
from typing import NoReturn

from pickroom.core.errors import UsageError
from pickroom.history import skip_reasons
from pickroom.history.assignment import Assignment, Clues, Key, Surveyed
from pickroom.history.formats import CROP_TRAINING, TRAINING_COLUMNS, Format, format_of, is_training_row
from pickroom.history.logged_paths import ProjectNames, given_project
from pickroom.history.parsed_rows import TRAINING_ROW, ParsedRows
from pickroom.history.report import FileReport
from pickroom.history.skip_reasons import Skip
from pickroom.history.staging import StagedImport
from pickroom.history.tables import Record, Table, read_header
from pickroom.integrity import vectors_on_disk
from pickroom.store import legacy
from pickroom.store.workspace import Workspace

_BATCH = 20_000  # rows held in memory

Progress = Callable[[int, None], None]  # rows read so far; how many there will be is not known


def read_logs(
    workspace: Workspace,
    files: Sequence[Path],
    project: str | None = None,
    progress: Progress | None = None,
    *,
    by_folder: bool = False,
    by_name: bool = False,
    folders: Mapping[str, str] | None = None,
    dates: Sequence[str] = (),
) -> StagedImport:
    """Read old logs of any known format, and find out what an import would do. The caller closes the result.

    Args:
        project: of rows that name none; it need not be registered. Rows that name another one are skipped, and `write`
            then refuses, unless `by_folder` or `folders` accepts those projects.
        by_folder: whether a row without a known project belongs to the one that its folder names.
        by_name: whether such a row belongs to the one project that knows its file names.
        folders: folder, or text of the project column -> the project that it means.
        dates: "PROJECT=FIRST..LAST", days of UTC, both included, either of them may be missing; "PROJECT" alone takes
            the days on which the project was begun and finished.

    Raises:
        UsageError: a file cannot be read or has no known header, which is checked for all files before the first
            row; no row has one of `folders`; or two ranges of dates overlap.
        ProjectError: a project's name is invalid, or a manifest is damaged.
        StoreError: a database of one of the projects, or the temporary folder, cannot be used.
    """
    given = None if project is None else given_project(workspace, project)
    mapped: dict[str, list[str]] = defaultdict(list)
    for folder, meant in (folders or {}).items():
        mapped[given_project(workspace, meant)].append(folder)
    names = ProjectNames.of(workspace, [*mapped, *([given] if given else [])])
    clues = Clues(_owners(workspace) if by_name else {}, _dates(workspace, dates))
    tables = [read_header(path, format_of) for path in files]
    survey: Counter[Key] = Counter()

    def count(key: Key) -> NoReturn:
        survey[key] += 1
        raise Surveyed

    for table in tables:  # a project is found by its place among the folders of all rows
        parsed = ParsedRows(count, 0, FileReport(table.path.name, table.kind.name), clues)
        for record in table.records():
            _take(record, table, parsed)
    assignment = Assignment(names, survey, given=given, by_folder=by_folder, mapped=ProjectNames(mapped, ids=False))
    assignment.require_used(folders or {})
    with ExitStack() as until_read:
        staged = until_read.enter_context(StagedImport(workspace))
        imported, rows = [], 0
        for table in tables:
            report = FileReport(table.path.name, table.kind.name)
            parsed = ParsedRows(assignment, staged.add_file(table.path.name), report, clues)
            for record in table.records():
                _take(record, table, parsed)
                rows += 1
                if rows % _BATCH == 0:
                    staged.store(parsed)
                    if progress:
                        progress(rows, None)
            staged.store(parsed)
            imported.append(parsed)
        staged.finish(imported, assignment)
        until_read.pop_all()
    return staged


def _owners(workspace: Workspace) -> dict[str, frozenset[str]]:
    """File name -> the projects that know it: from a scan, from rows, imported ones too, or from a vector."""
    owners: dict[str, frozenset[str]] = {}
    for project in workspace.projects():
        only = frozenset((project.id,))
        databases = legacy.databases(workspace, project.id)
        for name in set(vectors_on_disk(project)).union(*map(legacy.file_names, databases)):
            owners[name] = owners[name] | only if name in owners else only
    return owners


def _dates(workspace: Workspace, texts: Sequence[str]) -> list[tuple[str, date, date]]:
    found = []
    for text in texts:
        name, _, days = text.partition("=")
        project = given_project(workspace, name)
        first, range_sign, last = days.partition("..")
        try:
            if days and not range_sign:
                raise ValueError("this is not a range of days")
            if not days:
                first, last = _own_days(workspace, project)
            begin = date.fromisoformat(first) if first.strip() else date.min
            found.append((project, begin, date.fromisoformat(last) if last.strip() else date.max))
        except ValueError as error:
            hint = "as in: --dates mojo1=2025-10-01..2025-10-11"
            raise UsageError(str(error), doing="reading --dates", subject=text, hint=hint) from None
    found.sort(key=lambda dates: dates[1])
    for (one, _, end), (other, begin, _) in pairwise(found):
        if end >= begin:
            what = f"the days of {one} and {other} overlap on {begin}"
            raise UsageError(what, doing="reading --dates", hint="a day belongs to one project")
    for project, begin, end in found:
        if begin > end:
            raise UsageError("the range ends before it begins", doing="reading --dates", subject=project)
    return found


def _own_days(workspace: Workspace, project_id: str) -> tuple[str, str]:
    """The days on which a project was begun and finished; raises ValueError where they are not known."""
    earlier = workspace.earlier_projects().get(project_id)
    if earlier is not None:
        first, last = earlier.started_at or earlier.created_at, earlier.finished_at
    elif project_id in workspace.project_ids():
        manifest = workspace.project(project_id).manifest
        first, last = manifest.created_at, manifest.finished_at
    else:
        first = last = None
    if not first or not last:
        raise ValueError(f"the first and last day of {project_id} are not known")
    return first[:10], last[:10]


def _take(record: Record, table: Table[Format], parsed: ParsedRows) -> None:
    """Read and count one record, whatever is in it."""
    parsed.report.rows += 1
    try:
        if record.problem:
            raise Skip(record.problem)
        _read(record, table, parsed)
    except Surveyed:
        pass
    except Skip as skip:
        what = record.text if record.problem else record.fields
        parsed.report.skip(skip.reason, f"line {record.line}: {what!r}")


def _read(record: Record, table: Table[Format], parsed: ParsedRows) -> None:
    """Read a row of this layout, with more or fewer empty cells at its end, or of another tool's layout."""
    fields, missing, reason = record.fields, len(table.header) - len(record.fields), skip_reasons.SHIFTED

    def add(fields: Sequence[str], kind: Format = table.kind, header: Sequence[str] = table.header) -> None:
        kind.read(dict(zip(header, fields, strict=True)), record.line, parsed)

    if missing == 0:
        try:
            return add(fields)
        except Skip as skip:
            reason = skip.reason
    filled = list(fields)
    while filled and not filled[-1].strip():
        filled.pop()
    if not any(field.strip() for field in filled):
        raise Skip(skip_reasons.EMPTY)
    if tuple(field.strip().lower() for field in filled) == table.header:
        raise Skip(skip_reasons.HEADER_AGAIN)
    if table.kind is not CROP_TRAINING and is_training_row(filled):
        # another tool appended its 9 columns under this header (LESSONS.md: 5,431 rows)
        add(filled, CROP_TRAINING, TRAINING_COLUMNS)
        parsed.report.notes[TRAINING_ROW] += 1
    elif missing > 0:
        try:
            add(fields + [""] * missing)
        except Skip as skip:  # without its empty last cells it cannot be used: it counts as shifted
            own = skip.reason in (*skip_reasons.OF_THE_PROJECT, skip_reasons.PLACEHOLDER)
            raise skip if own else Skip(skip_reasons.SHIFTED) from None
    elif missing < 0 and len(filled) <= len(table.header):
        add(fields[:missing])
    else:
        raise Skip(reason)
