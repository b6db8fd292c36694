"""Finish a project: check for unfinished work, report, archive, and mark the manifest. Dry run first."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pickroom import integrity
from pickroom.analysis.connection import connect
from pickroom.analysis.reports import archive, render
from pickroom.analysis.safe_sql import plain
from pickroom.core.companions import Companions
from pickroom.core.errors import ConflictError
from pickroom.core.naming import OWNED_FOLDERS, join, split
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
        undecided: groups that stay undecided; unseen: images in no group that the user has not looked at.
        bundles: what the archive packs (`archive.BUNDLES`).
        rest: what stays as it is, and what would be written, in words.
    """

    project: Project
    blockers: tuple[tuple[str, str], ...]
    unsound: dict[str, int]
    undecided: int
    unseen: int
    bundles: tuple[str, ...]
    rest: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        """The plan in words, as the dry run prints it: what blocks it, then the rest."""
        lines = [f"stands in the way: {what}" + (f" - {way}" if way else "") for what, way in self.blockers]
        can = "can be finished" if not self.blockers else "cannot be finished yet"
        return [f"{self.project.id}: {can}", *(f"  {line}" for line in (*lines, *self.rest))]


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


def plan(project: Project, *, originals: bool = False) -> FinishPlan:
    """Plan the finish of a project: what blocks it, and what it would do. Changes nothing.

    Args:
        originals: also archive the originals of crops.

    Raises:
        ProjectError: the image folder is not there. StoreError: the database cannot be read.
    """
    project.require_root()
    manifest, inspection = project.manifest, integrity.inspect(project, purpose="finishing")
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        waiting = decisions.incomplete_crops(connection)
        planned = operations.planned(connection)
        undecided, unseen = groups.count_waiting(connection), images.count_unseen_singles(connection)
        chosen = len(review_state.touched_ids(connection))
        decided = bool(decisions.outcome_counts(connection))
    bundles = (archive.DELIVERABLES, archive.ORIGINALS) if originals else (archive.DELIVERABLES,)
    delivery, size = _delivery(project, bundles)
    ways = f"pickroom crop {project.id}, and for those that it does not show: pickroom check {project.id}"
    blockers = [(f"crops wait to be made: {_some(waiting)}", ways)] if waiting else []
    if planned:
        paths = _some([op.paths[0] for op in planned])
        blockers.append((f"file operations are unfinished: {paths}", f"pickroom recover {project.id}"))
    for finding in inspection.errors:
        if finding.refuses:
            blockers.append((f"integrity, {finding.check}: {_some(finding.examples, finding.count)}", ""))
    free = atomic.free_bytes(archive.archive_folder(project))
    if size + project.database.stat().st_size > free:
        blockers.append((f"the archive needs {format_bytes(size)}, the disk has {format_bytes(free)}", ""))
    unsound, rest = dict(inspection.unsound.by_reason), []
    if manifest.finished_at is not None:  # an undo makes it active again, and keeps this time
        rest.append(f"it was finished on {manifest.finished_at}; that archive is kept next to the new one")
    rest += [f"left out of the report: {count} {reason}" for reason, count in unsound.items()]
    if not decided:
        rest.append("nothing has been decided in it: is this the project you mean?")
    if undecided:
        left = "is undecided and stays as it is" if undecided == 1 else "are undecided and stay as they are"
        more = f"; {chosen} of them chosen, and not finalised" if chosen else ""
        rest.append(f"{plural(undecided, 'group')} {left}{more}")
    if unseen:
        rest.append(f"{plural(unseen, 'image')} in no group: you have not looked at them; they stay")
    rest += delivery
    return FinishPlan(project, tuple(blockers), unsound, undecided, unseen, bundles, tuple(rest))


def _delivery(project: Project, bundles: Sequence[str]) -> tuple[list[str], int]:
    """What would be written, and what stays next to it, in words; and the bytes of the pictures."""
    found = [archive.contents(project, bundle) for bundle in bundles]
    pictures = {name: size for images, _ in found for name, size in images.items()}
    others = [name for _, names in found for name in names]
    folders: dict[str, list[str]] = defaultdict(list)
    for folder, name in map(split, (*pictures, *others)):
        folders[folder].append(name)
    belonging = {join(folder, name) for folder, names in folders.items() for name in Companions(names).all}
    where, size = project.workspace.root, sum(pictures.values())
    reports = [render.report_path(project, f"{path.stem}.html") for path in render.templates(project.workspace)]
    lines = [f"report: {path.relative_to(where)}" for path in reports]
    target, packed = archive.archive_folder(project).relative_to(where), plural(len(pictures), "picture")
    lines.append(f"archive: {target}/ with the database and {packed}, {format_bytes(size)}")
    if beside := sum(name in belonging for name in others):
        stays = "that belong to pictures (captions and the like) stay next to them"
        if beside == 1:
            stays = "that belongs to a picture (a caption or the like) stays next to it"
        lines.append(f"{plural(beside, 'file')} {stays}")
    if left_behind := [name for name in others if name not in belonging]:
        lines.append(f"not delivered, no pictures: {_some(left_behind)}")
    return lines, size


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
        with connect(project.workspace) as analysis:
            rows = {name: [plain(row) for row in analysis.rows(name, project.id)] for name in _SUMMARISED}
        left = {"undecided_groups": planned.undecided, "unseen_singles": planned.unseen}
        summary = {"project_id": project.id, "title": project.manifest.title, **left, **rows}
        summary |= {"unsound_rows": planned.unsound, "finished_at": when}
        folder = archive.write(project, summary, progress, planned.bundles)
        folders.require(folders=OWNED_FOLDERS)  # what had gone is not in the archive
        finished = project.with_manifest(status="finished", finished_at=when)
        # the archive's own copy has it, too
        shutil.copyfile(finished.manifest_file, folder / finished.manifest_file.name)
    return Finished(finished, tuple(pages), folder)
