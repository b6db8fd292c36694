"""Which project each row of an import belongs to, by which evidence; decided when the folders of all rows are known.

In this order: `--map`, the `project` column and known ids and aliases in the row's paths, the folder that names a
project (`project_folders`), `--project`. A row gets one project or a reason to be skipped, whatever the rows' order.
"""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, NoReturn

from pickroom.core.errors import UsageError
from pickroom.core.naming import is_project_id
from pickroom.history import skip_reasons, values
from pickroom.history.logged_paths import ProjectNames, parts_of
from pickroom.history.project_folders import project_folders
from pickroom.history.skip_reasons import Skip

# the evidence for the project of a row
COLUMN, MAPPED, KNOWN, FOLDER, GIVEN, NOTHING = (
    *("project column", "--map", "known project", "folder", "--project", "nothing"),
)
_NO_FOLDER = "(no folder)"
_SHOWN, _NAMED = 40, 3  # folders in a report of words, and in a message

# the folders of a row's paths as logged, each once; its project column; its directory column where that says more
Key = tuple[tuple[str, ...], str, str]


class Surveyed(Skip):
    """The row was counted, and is not yet converted."""


@dataclass(slots=True)
class Survey:
    """The first reading: how many rows have which folders and project column."""

    rows: Counter[Key] = field(default_factory=Counter)

    def __call__(self, folders: Iterable[str], column: str, directory: str) -> NoReturn:
        """Count a row; always raises Surveyed."""
        self.rows[key_of(folders, column, directory)] += 1
        raise Surveyed(skip_reasons.EMPTY)


@dataclass(frozen=True, slots=True)
class FolderRow:
    """One line of the report: how many rows, the project they would get, and the evidence for it.

    Attributes:
        folder: as `--map` takes it; the text of the project column where that is the evidence; "" without a folder.
        project: None where none can be proposed; `reason` says why these rows are skipped, None where they are not.
    """

    folder: str
    rows: int
    project: str | None
    evidence: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class _Verdict:
    folder: str
    project: str | None
    evidence: str
    reason: str | None = None


class Assignment:
    """The project of every row of an import."""

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
            mapped: what `--map` says of folders and of texts in the project column.
            only_siblings: see `project_folders`.
        """
        self._names, self._given, self._by_folder = names, given, by_folder
        self._mapped = mapped or ProjectNames({})
        counts: Counter[str] = Counter()
        for (folders, _, _), count in rows.items():
            counts.update(dict.fromkeys(folders, count))
        known = {
            folder: found[0].folder
            for folder in counts
            if (found := self._mapped.found_in(folder) or names.found_in(folder))
        }
        mentioned = {part for _, _, directory in rows for part in parts_of(directory)}
        self._folders = project_folders(counts, known, names.ids() | mentioned, only_siblings=only_siblings)
        self._verdicts = {key: self._decide(*key) for key in rows}
        self._rows = rows

    def __call__(self, folders: Iterable[str], column: str, directory: str) -> str:
        """The project of a row; raises Skip when it has none."""
        key = key_of(folders, column, directory)
        verdict = self._verdicts.get(key) or self._decide(*key)
        if verdict.reason is not None:
            raise Skip(verdict.reason)
        assert verdict.project is not None
        return verdict.project

    def require_used(self, folders: Iterable[str]) -> None:
        """Raises UsageError when `--map` names a folder that no row has."""
        met = {text for paths, *columns in self._rows for text in (*paths, *columns)}
        for folder in folders:
            alone = ProjectNames({folder: (folder,)}, ids=False)
            if not any(alone.found_in(one) for one in met):
                raise UsageError(
                    "no row lies in this folder",
                    doing="reading --map",
                    subject=folder,
                    hint="the report of a run without --map lists the folders",
                )

    def table(self) -> list[FolderRow]:
        """Every folder with its rows and its project, those with most rows first."""
        counts: Counter[_Verdict] = Counter()
        for key, verdict in self._verdicts.items():
            counts[verdict] += self._rows[key]
        table = [FolderRow(v.folder, count, v.project, v.evidence, v.reason) for v, count in counts.items()]
        return sorted(table, key=lambda row: (-row.rows, row.folder, row.project or "", row.evidence))

    def described(self) -> AssignmentReport:
        """What a report says of it."""
        found = self._folders
        return AssignmentReport(tuple(self.table()), tuple(found.common), tuple(found.outside), tuple(found.doubtful))

    def _decide(self, folders: Sequence[str], column: str, directory: str) -> _Verdict:
        projects: set[str] = set()
        place, evidence, mapped = folders[0] if folders else "", KNOWN, False
        for folder in (*folders, directory):
            owners = self._mapped.found_in(folder)[:1]
            found = owners or self._names.found_in(folder)
            if found and not projects:
                place = found[0].folder
            mapped = mapped or bool(owners)
            projects |= {owner for one in found for owner in one.projects}
        if not values.is_missing(column):
            meant = self._mapped.found_in(column)[:1]
            named = meant[0].projects if meant else self._names.named(column)
            mapped = mapped or bool(meant)
            place, evidence = column, COLUMN
            if not named:
                return _Verdict(place, None, evidence, skip_reasons.BAD_PROJECT)
            projects |= named
        if mapped:
            evidence = MAPPED
        if not projects:
            return self._of_folders(folders, place)
        if len(projects) > 1:
            return _Verdict(place, None, evidence, skip_reasons.CONFLICT)
        (project,) = projects
        return self._checked(_Verdict(place, project, evidence))

    def _of_folders(self, folders: Sequence[str], place: str) -> _Verdict:
        """The verdict where nothing names a known project."""
        named = self._folders.named
        found = {named[folder] for folder in folders if folder in named}
        if not found:
            return (
                _Verdict(place, self._given, GIVEN)
                if self._given
                else _Verdict(place, None, NOTHING, skip_reasons.NO_PROJECT)
            )
        folder, name = min((one.folder, one.name) for one in found)
        bad = (
            skip_reasons.CONFLICT
            if len({one.name for one in found}) > 1
            else None
            if is_project_id(name)
            else skip_reasons.BAD_FOLDER
        )
        verdict = self._checked(_Verdict(folder, None if bad else name, FOLDER))
        if verdict.reason is None and (bad or (not self._by_folder and self._given is None)):
            return replace(verdict, reason=bad or skip_reasons.FOLDER_ONLY)
        return verdict

    def _checked(self, verdict: _Verdict) -> _Verdict:
        """The verdict, unless it is another project's than `--project`, and nothing more was said."""
        if self._given in (None, verdict.project) or self._by_folder or verdict.evidence == MAPPED:
            return verdict
        return replace(verdict, reason=skip_reasons.NOT_GIVEN)


@dataclass(frozen=True, slots=True)
class AssignmentReport:
    """What an import says of projects before it writes.

    Attributes:
        common, outside, doubtful: see `ProjectFolders`.
    """

    folders: tuple[FolderRow, ...] = ()
    common: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    doubtful: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "folders": [asdict(row) for row in self.folders],
            "common": list(self.common),
            "outside": list(self.outside),
            "doubtful": list(self.doubtful),
        }

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
        lines += [f"  common folder of the paths: {folder}" for folder in self.common]
        lines += [f"  outside of the common folder: {folder}" for folder in self.outside[:_SHOWN]]
        lines += [
            f"  {folder} counts as one project; if the folders in it are projects, name each with --map"
            for folder in self.doubtful
        ]
        return lines

    def require_agreement(self, given: str | None, hint: str = "") -> None:
        """Raises UsageError when `--project` was given and rows name another project; `hint` says what to do then."""
        others = [row for row in self.folders if row.reason == skip_reasons.NOT_GIVEN]
        if not others or given is None:
            return
        count, folder = sum(row.rows for row in others), others[0].folder
        names = list(dict.fromkeys(row.project or row.folder for row in others))
        also = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
        to_map = shlex.quote(f"{folder}={given}")
        raise UsageError(
            f"{count:,} {'row names another project' if count == 1 else 'rows name other projects'}",
            doing=f"importing with --project {given}",
            subject=", ".join(names[:_NAMED]) + also,
            hint=hint or f"import each row by its folder: --by-folder; or say whose a folder is: --map {to_map}",
        )


def key_of(folders: Iterable[str], column: str = "", directory: str = "") -> Key:
    """What of a row decides on its project."""
    # a directory may be relative to anything: what it says counts where it names a known project, or stands alone
    found = tuple(dict.fromkeys(filter(None, folders))) or ((directory,) if directory else ())
    return found, column.strip(), "" if directory in found else directory
