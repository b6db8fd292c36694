"""Finish a project: check for unfinished work, report, archive, and mark the manifest. Dry run first."""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pickroom import integrity
from pickroom.analysis.connection import connect
from pickroom.analysis.reports import archive, render
from pickroom.analysis.safe_sql import plain
from pickroom.core.companions import Companions
from pickroom.core.errors import ConflictError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.core.quantities import format_bytes, plural
from pickroom.files.preflight import moving_files
from pickroom.storage import atomic
from pickroom.store import decisions, groups, images, operations, review_state
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.workspace import Project, utc_now

# named queries whose rows make the summary
_SUMMARISED = ("input_output", "shares", "pace", "performance_by_project", "performance_by_model", "anomaly_rates")

_NAMED = 3  # of a list that may be long


@dataclass(frozen=True, slots=True)
class FinishPlan:
    """What finishing would do, or what blocks it.

    Attributes:
        blockers: what each is, and what to do about it on the command line; without any, finishing can start.
        unsound: reason -> rows left out of reports; the archive's copy of the database keeps them.
        decided: decided groups; undecided: groups that stay undecided; chosen: of these, those with a choice that was
            not finalised; unseen: images in no group that the user has not looked at.
        bundles: what the archive packs (`archive.BUNDLES`); pictures: their images; size: their bytes.
        companions: files next to them that belong to an image by name, which are not packed.
        left_behind: other files in their folders, which are not packed, either.
        reports: the names of the reports that will be made.
    """

    project: Project
    blockers: tuple[tuple[str, str], ...]
    unsound: dict[str, int]
    decided: int
    undecided: int
    chosen: int
    unseen: int
    bundles: tuple[str, ...]
    pictures: int
    size: int
    companions: int
    left_behind: tuple[str, ...]
    reports: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The plan in words, as the dry run prints it: what blocks it, then the rest."""
        lines = [f"stands in the way: {what}" + (f" - {way}" if way else "") for what, way in self.blockers]
        can = "can be finished" if not self.blockers else "cannot be finished yet"
        return [f"{self.project.id}: {can}", *(f"  {line}" for line in (*lines, *self.rest))]

    @property
    def rest(self) -> list[str]:
        """What stays as it is, and what would be written."""
        where = self.project.workspace.root
        lines = []
        if self.project.manifest.finished_at is not None:  # an undo makes it active again, and keeps this time
            lines.append(
                f"it was finished on {self.project.manifest.finished_at}; that archive is kept next to the new one"
            )
        lines += [f"left out of the report: {count} {reason}" for reason, count in self.unsound.items()]
        if not self.decided:
            lines.append("nothing has been decided in it: is this the project you mean?")
        if self.undecided:
            left = "is undecided and stays as it is" if self.undecided == 1 else "are undecided and stay as they are"
            chosen = f"; {self.chosen} of them chosen, and not finalised" if self.chosen else ""
            lines.append(f"{plural(self.undecided, 'group')} {left}{chosen}")
        if self.unseen:
            lines.append(f"{plural(self.unseen, 'image')} in no group: you have not looked at them; they stay")
        for name in self.reports:
            lines.append(f"report: {render.report_path(self.project, f'{name}.html').relative_to(where)}")
        target = archive.archive_folder(self.project).relative_to(where)
        lines.append(
            f"archive: {target}/ with the database and {plural(self.pictures, 'picture')}, {format_bytes(self.size)}"
        )
        if self.companions:
            stays = "that belong to pictures (captions and the like) stay next to them"
            if self.companions == 1:
                stays = "that belongs to a picture (a caption or the like) stays next to it"
            lines.append(f"{plural(self.companions, 'file')} {stays}")
        if self.left_behind:
            lines.append(f"not delivered, no pictures: {_some(self.left_behind)}")
        return lines


@dataclass(frozen=True, slots=True)
class Finished:
    """The result of finishing."""

    project: Project
    pages: tuple[Path, ...]
    archive: Path

    @property
    def lines(self) -> list[str]:
        """What was done, in words."""
        lines = [f"Report: {page}" for page in self.pages]
        return [*lines, f"Archive: {self.archive}", f"Project {self.project.id} is finished"]


def _some(names: Sequence[str], count: int | None = None) -> str:
    """How many, and the first few by name; `count` where `names` are only examples."""
    count = len(names) if count is None else count
    named = ", ".join(names[:_NAMED])
    return f"{count} ({named}, ...)" if count > len(names[:_NAMED]) else f"{count} ({named})"


def _companions(pictures: Iterable[str], others: Sequence[str]) -> set[str]:
    """Those of the other files that belong to a picture next to them; all relative to the project's root."""
    folders: dict[str, list[str]] = defaultdict(list)
    for name in (*pictures, *others):
        folder, _, filename = name.rpartition("/")
        folders[folder].append(filename)
    return {f"{folder}/{name}" for folder, names in folders.items() for name in Companions(names).all}


def plan(project: Project, *, originals: bool = False) -> FinishPlan:
    """Plan the finish of a project: what blocks it, and what it would do. Changes nothing.

    Args:
        originals: also archive the originals of crops.

    Raises:
        ProjectError: the image folder is not there. StoreError: the database cannot be read.
    """
    project.require_root()
    inspection = integrity.inspect(project, purpose="finishing")
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        waiting = decisions.incomplete_crops(connection)
        planned = operations.planned(connection)
        undecided, unseen = groups.count_waiting(connection), images.count_unseen_singles(connection)
        chosen = len(review_state.touched_ids(connection))
        decided = sum(decisions.outcome_counts(connection).values())
    paths = [str(op.source or op.destination) for op in planned]
    ways = f"pickroom crop {project.id}, and for those that it does not show: pickroom check {project.id}"
    blockers = [(f"crops wait to be made: {_some(waiting)}", ways)] if waiting else []
    if paths:
        blockers.append((f"file operations are unfinished: {_some(paths)}", f"pickroom recover {project.id}"))
    for finding in inspection.errors:
        if finding.refuses:
            blockers.append((f"integrity, {finding.check}: {_some(finding.examples, finding.count)}", ""))
    bundles = (archive.DELIVERABLES, archive.ORIGINALS) if originals else (archive.DELIVERABLES,)
    found = [archive.contents(project, bundle) for bundle in bundles]
    pictures = {name: size for images, _ in found for name, size in images.items()}
    left = [name for _, names in found for name in names]
    belonging = _companions(pictures, left)
    others = tuple(name for name in left if name not in belonging)
    size = sum(pictures.values())
    free = atomic.free_bytes(archive.archive_folder(project))
    if size + project.database.stat().st_size > free:
        blockers.append((f"the archive needs {format_bytes(size)}, the disk has {format_bytes(free)}", ""))
    reports = tuple(path.stem for path in render.templates(project.workspace))
    return FinishPlan(
        project,
        blockers=tuple(blockers),
        unsound=dict(inspection.unsound.by_reason),
        decided=decided,
        undecided=undecided,
        chosen=chosen,
        unseen=unseen,
        bundles=bundles,
        pictures=len(pictures),
        size=size,
        companions=len(belonging),
        left_behind=others,
        reports=reports,
    )


def execute(project: Project, progress: archive.Progress | None = None, *, originals: bool = False) -> Finished:
    """Report, archive, and mark as finished, while nothing can move the project's files. `originals` as in `plan`.

    Raises:
        ConflictError: something blocks it, or a report failed; `items` lists what, nothing is finished.
        LockedError: files of this project are being moved.
        FileOperationError, StoreError: the archive could not be written; nothing is finished.
    """
    with moving_files(project, "finishing") as folders:
        planned = plan(project, originals=originals)
        if planned.blockers:
            count = len(planned.blockers)
            raise ConflictError(
                f"{count} thing{'s' if count > 1 else ''} must be done first",
                items=[f"  {what}" + (f" - {way}" if way else "") for what, way in planned.blockers],
                doing=f"finishing {project.id}",
                hint=f"see: pickroom finish {project.id}",
            )
        pages = render.run(project)
        when = utc_now()
        folder = archive.write(
            project,
            {**summary(project), "unsound_rows": planned.unsound, "finished_at": when},
            progress,
            planned.bundles,
        )
        folders.require(folders=OWNED_FOLDERS)  # what had gone is not in the archive
        finished = project.with_manifest(status="finished", finished_at=when)
        # the archive's own copy has it, too
        shutil.copyfile(finished.manifest_file, folder / finished.manifest_file.name)
    return Finished(finished, tuple(pages), folder)


def summary(project: Project) -> dict[str, Any]:
    """The project in numbers: the rows of the named queries, and what is undecided."""
    with connect(project.workspace) as analysis:
        rows = {name: analysis.rows(name, project.id) for name in _SUMMARISED}
    numbers = {name: [plain(row) for row in found] for name, found in rows.items()}
    with open_read_only(project.database) as connection:
        left = {
            "undecided_groups": groups.count_waiting(connection),
            "unseen_singles": images.count_unseen_singles(connection),
        }
    return {"project_id": project.id, "title": project.manifest.title, **left, **numbers}
