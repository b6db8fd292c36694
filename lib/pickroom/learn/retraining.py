"""Learn again from everything that was decided, then recommend anew: what the deck offers after a finalise."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pickroom.core.errors import PickroomError
from pickroom.learn import progress
from pickroom.learn.background import Background, start
from pickroom.learn.progress import ProgressReporter, Status, TrainingStopped
from pickroom.learn.reading import inspect_all
from pickroom.learn.recommending import recommend
from pickroom.learn.tasks import TrainingTask
from pickroom.learn.training import train
from pickroom.learn.training_sets import KINDS, Kind
from pickroom.store.workspace import Project, Workspace

NAME = "retraining"
COMMAND = "retrain"


def retrain(
    workspace: Workspace,
    project_id: str,
    show: Callable[[Status], None] | None = None,
    tasks: Mapping[Kind, TrainingTask] | None = None,
) -> tuple[str, ...]:
    """Train both models on every project that goes together with this one, then renew its recommendations.

    A model that cannot be trained, for want of crops for example, stays as it is, and the reason is reporter.

    Args:
        tasks: how each kind is made, where not by default.

    Returns:
        the result in words, a line each.

    Raises:
        LockedError: another process is at it.
        PickroomError: the project cannot be opened, or its recommendations not be stored.
    """
    project = workspace.project(project_id)
    with progress.training_lock(workspace, NAME):
        reporter = ProgressReporter(workspace, NAME, [project_id], show)
        with reporter.ending():
            lines = _retrain(workspace, project, reporter, tasks or {})
        reporter.end("done", "\n".join(lines))
        return lines


def start_retraining(project: Project) -> Background:
    """The same in a process of its own; `watching` tells how far it is, under `NAME`."""
    return start(project.workspace, NAME, [COMMAND, project.id])


def together(workspace: Workspace, project: Project) -> tuple[list[str], list[str]]:
    """Projects to learn from beside this one: sound, and of the same encoder; and why others are left out."""
    found, left_out = [project.id], []
    for other_id in workspace.project_ids():
        if other_id == project.id:
            continue
        try:
            other = workspace.project(other_id)
            if project.manifest.encoder is None or other.manifest.encoder != project.manifest.encoder:
                continue
            for inspection in inspect_all(other):
                inspection.require_sound("learning")
            found.append(other_id)
        except PickroomError as error:
            left_out.append(f"not learned from {other_id}: {error.what}")
    return found, left_out


def _retrain(
    workspace: Workspace, project: Project, reporter: ProgressReporter, tasks: Mapping[Kind, TrainingTask]
) -> tuple[str, ...]:
    project_ids, lines = together(workspace, project)

    def mirror(status: Status) -> None:
        reporter.mirror(f"{status.name}: {status.phase}", status)

    for kind in KINDS:
        try:
            made = train(workspace, kind, project_ids, task=tasks.get(kind), show=mirror)
            lines.append(f"{kind} v{made.version}: {made.lines[-1]}")
        except TrainingStopped:
            raise
        except PickroomError as error:
            lines.append(f"{kind}: {error.what}" + (f" ({error.hint})" if error.hint else ""))
    reporter.phase("recommending")
    report = recommend(project, reporter.count)
    news = "New recommendations show with the deck's next key." if report.changed else "No recommendation has changed."
    return (*lines, *report.words.splitlines(), news)
