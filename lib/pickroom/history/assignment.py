"""Decide the project of each row of an import, with the evidence, once the folders of all rows are known.

In this order: `--map`, the `project` column and known ids and aliases in the row's paths, an accepted folder that names
a project (`project_folders`), the project that knows the row's file names, `--dates`, `--project`. A row gets one
project or a reason to be skipped, whatever the rows' order.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from itertools import pairwise
from typing import Any, NamedTuple

from pickroom.core.errors import UsageError
from pickroom.core.naming import is_project_id
from pickroom.history import skip_reasons, values
from pickroom.history.logged_paths import ProjectNames, parts_of
from pickroom.history.project_folders import is_tool_folder, project_folders
from pickroom.history.skip_reasons import Skip

# the evidence for the project of a row
COLUMN, MAPPED, KNOWN, FOLDER, FILE_NAMES, DATES, GIVEN, NOTHING = (
    *("project column", "--map", "known project", "folder", "file names", "--dates", "--project", "nothing"),
)
_NO_FOLDER = "(no folder)"
_SHOWN, _NAMED = 40, 3  # folders in a report of words, and in a message


class Key(NamedTuple):
    """The parts of a row that decide its project.

    Attributes:
        folders: of its paths as logged, each once.
        directory: its directory column, where that adds something.
        named: the projects that know all of its file names that any project knows.
        dated: the project whose dates include its time.
        day: of its time, for the report.
    """

    folders: tuple[str, ...]
    column: str = ""
    directory: str = ""
    named: frozenset[str] = frozenset()
    dated: str | None = None
    day: str = ""


class Surveyed(Exception):
    """The row was counted, and is not yet converted."""


@dataclass(frozen=True, slots=True)
class Clues:
    """Evidence for the project of rows that name none."""

    owners: Mapping[str, frozenset[str]] = field(default_factory=dict)  # file name -> the projects that know it
    # (project, first, last): days of UTC, both included, that do not overlap; rows of these without a project are its
    dates: Sequence[tuple[str, date, date]] = ()

    def key(
        self,
        folders: Iterable[str],
        column: str = "",
        directory: str = "",
        names: Iterable[str] = (),
        time: str | None = None,
    ) -> Key:
        """The key of a row; `names` are those of its images, `time` is as `values.timestamp` gives it."""
        # a directory may be relative to anything: it counts where it names a known project, or is the only folder
        found = tuple(dict.fromkeys(filter(None, folders))) or ((directory,) if directory else ())
        day = time[:10] if time else ""
        dated = next((who for who, *ends in self.dates if ends[0].isoformat() <= day <= ends[1].isoformat()), None)
        known = [owners for name in names if (owners := self.owners.get(name))]
        named = frozenset.intersection(*known) or frozenset.union(*known) if known else frozenset()
        if dated is not None and all(dated in owners for owners in known) and known:
            named = frozenset((dated,))  # of several that know these names
        return Key(found, column.strip(), "" if directory in found else directory, named, dated, day)


@dataclass(frozen=True, slots=True)
class FolderRow:
    """One line of the report: how many rows, the project they would get, and the evidence for it."""

    folder: str  # as `--map` takes it; the text of the project column where that is the evidence; "" without a folder
    rows: int
    # None where none can be proposed; `reason` says why these rows are skipped, None where they are not
    project: str | None
    evidence: str
    reason: str | None = None


class Assignment:
    """The project of every row of an import, and the report of it.

    Attributes:
        folders: every folder with its rows and its project, those with most rows first.
        days: first and last day, rows: of the rows that no evidence gives a project, a few days' pause between.
    """

    def __init__(
        self,
        names: ProjectNames,
        rows: Counter[Key],
        *,
        given: str | None = None,
        by_folder: bool = False,
        mapped: ProjectNames | None = None,
        only_siblings: bool = False,
    ) -> None:
        """Decide for every row that a survey counted.

        Args:
            names: the projects that are known, `given` among them.
            given: the project of rows that name none; rows that name another one are skipped, except by `by_folder`.
            by_folder: whether a folder that names a project is enough to import a row.
            mapped: the projects that `--map` gives to folders and to texts in the project column.
            only_siblings: see `project_folders`.
        """
        self._names, self._given, self._by_folder = names, given, by_folder
        self._mapped = mapped or ProjectNames({})
        counts: Counter[str] = Counter()
        for key, count in rows.items():
            counts.update(dict.fromkeys(key.folders, count))
        known = {
            folder: found[0].folder
            for folder in counts
            if (found := self._mapped.found_in(folder) or names.found_in(folder))
        }
        mentioned = {part for key in rows for part in parts_of(key.directory)}
        self._found = project_folders(counts, known, names.ids() | mentioned, only_siblings=only_siblings)
        self._verdicts = {key: self._decide(key) for key in rows}
        shares: Counter[FolderRow] = Counter()
        days: Counter[date] = Counter()
        for key, verdict in self._verdicts.items():
            shares[verdict] += rows[key]
            if verdict.reason == skip_reasons.NO_PROJECT and key.day:
                days[date.fromisoformat(key.day)] += rows[key]
        table = (replace(verdict, rows=count) for verdict, count in shares.items())
        self.folders = sorted(table, key=lambda row: (-row.rows, row.folder, row.project or "", row.evidence))
        self.days = list(_runs(days))

    def __call__(self, key: Key) -> str:
        """The project of a row; raises Skip when it has none."""
        verdict = self._verdicts.get(key) or self._decide(key)
        if verdict.reason is not None:
            raise Skip(verdict.reason)
        assert verdict.project is not None
        return verdict.project

    def require_used(self, folders: Iterable[str]) -> None:
        """Raises UsageError when `--map` names a folder that no row has."""
        met = {text for key in self._verdicts for text in (*key.folders, key.column, key.directory)}
        for folder in folders:
            alone = ProjectNames({folder: (folder,)}, ids=False)
            if not any(alone.found_in(one) for one in met):
                hint = "the report of a run without --map lists the folders"
                raise UsageError("no row has this folder", doing="reading --map", subject=folder, hint=hint)

    def to_dict(self) -> dict[str, Any]:
        """The keys of an import's JSON about projects (FORMATS.md)."""
        found = self._found
        values = {"common": found.common, "outside": found.outside, "doubtful": found.doubtful, "days": self.days}
        return {"folders": [asdict(row) for row in self.folders], **values}

    def lines(self) -> list[str]:
        """The folders in words, a line each."""
        if not self.folders:
            return []
        shown = [(r.folder or _NO_FOLDER, f"{r.rows:,}", r.project or "-", r.evidence) for r in self.folders[:_SHOWN]]
        table = [("Folder", "Rows", "Project", "Known by"), *shown]
        folder, rows, project = (max(len(row[place]) for row in table) for place in range(3))
        lines = ["The folders of the rows, and the project of each:"]
        lines += [f"  {a:<{folder}}  {b:>{rows}}  {c:<{project}}  {d}" for a, b, c, d in table]
        if len(self.folders) > _SHOWN:
            lines.append(f"  ... and {len(self.folders) - _SHOWN:,} more (--json lists them all)")
        lines += [f"  common folder of the paths: {folder}" for folder in self._found.common]
        lines += [f"  outside of the common folder: {folder}" for folder in self._found.outside[:_SHOWN]]
        lines += [
            f"  {folder} counts as one project; if the folders in it are projects, name each with --map"
            for folder in self._found.doubtful
        ]
        if self.days:
            lines.append("The days of the rows without a project (divide them with --dates PROJECT=FIRST..LAST):")
            lines += [f"  {one['first']}..{one['last']}  {one['rows']:,} rows" for one in self.days[:_SHOWN]]
        return lines

    def require_agreement(self, hint: str = "") -> None:
        """Raises UsageError when `--project` was given and rows name another project; `hint` says what to do then."""
        others = [row for row in self.folders if row.reason == skip_reasons.NOT_GIVEN]
        if not others or self._given is None:
            return
        count, folder = sum(row.rows for row in others), others[0].folder
        names = list(dict.fromkeys(row.project or row.folder for row in others))
        also = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        to_map = shlex.quote(f"{folder}={self._given}")
        hint = hint or f"import each row by its folder: --by-folder; or say whose a folder is: --map {to_map}"
        what = f"{count:,} {'row names another project' if count == 1 else 'rows name other projects'}"
        doing, named = f"importing with --project {self._given}", ", ".join(names[:_NAMED]) + also
        raise UsageError(what, doing=doing, subject=named, hint=hint)

    def _decide(self, key: Key) -> FolderRow:
        projects: set[str] = set()
        place, evidence, mapped = key.folders[0] if key.folders else "", KNOWN, False
        for folder in (*key.folders, key.directory):
            owners = self._mapped.found_in(folder)[:1]
            found = owners or self._names.found_in(folder)
            if found and not projects:
                place = found[0].folder
            mapped = mapped or bool(owners)
            projects |= {owner for one in found for owner in one.projects}
        if not values.is_missing(key.column):
            meant = self._mapped.found_in(key.column)[:1]
            named = meant[0].projects if meant else self._names.named(key.column)
            mapped = mapped or bool(meant)
            place, evidence = key.column, COLUMN
            if not named:
                return FolderRow(place, 0, None, evidence, skip_reasons.BAD_PROJECT)
            projects |= named
        if not projects:
            return self._without_name(key, place)
        return self._one_of(projects, place, MAPPED if mapped else evidence)

    def _one_of(self, projects: Iterable[str], place: str, evidence: str) -> FolderRow:
        """The verdict for the one project that is named, unless it is another than `--project`."""
        project, *others = projects
        if others:
            return FolderRow(place, 0, None, evidence, skip_reasons.CONFLICT)
        # evidence that the user accepted by its own option need not agree
        agreed = self._given in (None, project) or self._by_folder or evidence in (MAPPED, FILE_NAMES, DATES)
        return FolderRow(place, 0, project, evidence, None if agreed else skip_reasons.NOT_GIVEN)

    def _without_name(self, key: Key, place: str) -> FolderRow:
        """The verdict where nothing names a known project."""
        proposed = {self._found.named[folder] for folder in key.folders if folder in self._found.named}
        if proposed and self._by_folder:
            return self._of_folders(proposed, key)
        if key.named:
            return self._one_of(key.named | ({key.dated} if key.dated else set()), place, FILE_NAMES)
        # a tool's folder holds images of any project, and so may its sub-folders
        if key.dated and all(is_tool_folder((parts_of(one.folder) or [""])[0]) for one in proposed):
            return self._one_of([key.dated], place, DATES)
        if proposed:
            return self._of_folders(proposed, key)
        if self._given:
            return FolderRow(place, 0, self._given, GIVEN)
        return FolderRow(place, 0, None, NOTHING, skip_reasons.NO_PROJECT)

    def _of_folders(self, proposed: Iterable[Any], key: Key) -> FolderRow:
        folder, name = min((one.folder, one.name) for one in proposed)
        if len({one.name for one in proposed}) > 1 or not key.named <= {name}:
            return FolderRow(folder, 0, None, FOLDER, skip_reasons.CONFLICT)
        verdict, is_bad = self._one_of([name], folder, FOLDER), not is_project_id(name)
        accepted = self._by_folder or self._given is not None
        why = skip_reasons.BAD_FOLDER if is_bad else None if accepted else skip_reasons.FOLDER_ONLY
        return replace(verdict, project=None if is_bad else name, reason=verdict.reason or why)


def _runs(days: Mapping[date, int]) -> Iterator[dict[str, str | int]]:
    """Join consecutive days into ranges; a pause of two days or less does not end a range."""
    waiting = sorted(days)
    while waiting:
        ends = (n for n, (one, other) in enumerate(pairwise(waiting), 1) if other - one > timedelta(days=3))
        count = next(ends, len(waiting))
        run, waiting = waiting[:count], waiting[count:]
        yield {"first": run[0].isoformat(), "last": run[-1].isoformat(), "rows": sum(days[day] for day in run)}
