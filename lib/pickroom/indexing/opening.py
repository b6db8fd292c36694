"""A folder opened with one command: a few images are read at once, the others and their vectors in the background.

Each step of the background is one that commands take by themselves (scan, embed, group): a kill anywhere costs at most
that step, and the next run goes on.
"""

import re
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

from pickroom.core.errors import LockedError, ProjectError
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import ConsistencyConfig
from pickroom.features.consistency_store import consistency_of
from pickroom.features.sources import FeatureSources
from pickroom.files.rating import Naming
from pickroom.groups import rounds
from pickroom.groups.strategies import Similarity
from pickroom.images.scan import Progress
from pickroom.indexing.pipeline import embed
from pickroom.indexing.projects import read_some, rescan, set_in_place, start
from pickroom.indexing.regrouping import ScanReport
from pickroom.learn.progress import ProgressReporter, TrainingStopped
from pickroom.store import groups
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

FIRST = 24  # images read before a deck opens: at most a second or two of work, and a few groups
_MOST = 2_000  # images read between two groupings
_PATIENCE_S = 600.0  # for who moves files meanwhile
_NAME = 40  # characters of a folder's name in a project's id

T = TypeVar("T")
P = ParamSpec("P")


def job_name(project_id: str) -> str:
    """The name under which the background tells how far it is with a project (`learn.progress`)."""
    return f"index_{project_id}"


def open_folder(
    workspace: Workspace, folder: Path, progress: Progress | None = None, in_place: Naming | None = None
) -> Project:
    """The project that has this folder as its root, or a new one named after it, with its first images read.

    Args:
        in_place: rate in place, see `projects.start`; None leaves a project that is there as it is.

    Raises:
        ProjectError, UsageError: as `projects.start`. ConflictError, LockedError: as `projects.set_in_place`.
    """
    root = folder.expanduser().resolve()
    taken = workspace.project_ids()
    for project_id in taken:
        with suppress(ProjectError):  # a damaged manifest is not a reason not to open another folder
            project = workspace.project(project_id)
            if project.manifest.root and project.root == root:
                return project if in_place is None else set_in_place(project, in_place)
    named = (workspace, new_id(root.name, taken), root)
    return start(*named, title=root.name, in_place=in_place, progress=progress, at_most=FIRST)[0]


def new_id(name: str, taken: list[str]) -> str:
    """A project's id of a folder's name, numbered where the id is taken.

    >>> new_id("Été 2024", []), new_id("Été 2024", ["ete-2024"]), new_id("写真", [])
    ('ete-2024', 'ete-2024-2', 'photos')
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().casefold()
    stem = re.sub(r"[^a-z0-9_]+", "-", plain)[:_NAME].strip("-_") or "photos"
    numbered = (f"{stem}-{number}" for number in range(2, len(taken) + 3))
    known = {one.casefold() for one in taken}
    return next(one for one in (stem, *numbered) if one not in known)


def index(project: Project, reporter: ProgressReporter) -> ScanReport:
    """Read what is new in a project's folder, make vectors and features, group the ungrouped, and compare siblings.

    So training finds all features ready, but those of a burst's later rounds, whose images depend on the picks.

    Raises:
        TrainingStopped: it was asked to stop; what was done stays.
        PickroomError: as the steps raise.
    """

    def tell(done: int, of: int) -> None:
        reporter.count(done, of)
        if reporter.stopping:
            raise TrainingStopped("paused", doing="reading the folder", hint="the same command goes on")

    reporter.phase("reading images")
    report = _patiently(rescan, project, at_most=0)
    chunk, before = FIRST, 0
    while report.pending not in (0, before):  # files that may not be read stay pending: the last scan names them
        before = report.pending
        found = read_some(project, chunk, partial(_count_on, tell, report.images - report.pending, report.images))
        report = _patiently(rescan, project, read=found, at_most=0)
        chunk = min(2 * chunk, _MOST)

    def embedding(doing: str, done: int, of: int) -> None:
        if reporter.status.phase != (phase := doing.casefold()):
            reporter.phase(phase)
        tell(done, of)

    embed(project, tell=embedding)
    project = project.workspace.project(project.id)  # it is bound to an encoder now
    reporter.phase("grouping")
    report = _patiently(rescan, project)
    if report.ungrouped:
        report = _patiently(rescan, project, by=Similarity())
    reporter.phase("comparing siblings")
    with open_read_only(project.database) as connection:
        waiting = groups.queue(connection, project.id, sound=True)
    firsts = ((group, rounds.shown(len(group.images), ())) for group in waiting)  # the images of the first round
    items = [Candidates.of(replace(group, images=tuple(group.images[at] for at in shown))) for group, shown in firsts]
    consistency_of(items, FeatureSources([project]), ConsistencyConfig(), tell)
    return report


def _count_on(tell: Progress, before: int, images: int, done: int, _: int) -> None:
    tell(before + done, images)


def _patiently(act: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Act when no other process moves files of the project; a finalise of thousands of files takes minutes."""
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            return act(*given, **named)
        except LockedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.5)
