"""Learn new decisions, then recommend again: runs in the background after a finalise."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pickroom.core.errors import PickroomError
from pickroom.learn import checkpoints, progress, training_sets
from pickroom.learn.evaluation import Task
from pickroom.learn.picks import current
from pickroom.learn.progress import Background, ProgressReporter, Status, TrainingStopped, start_command
from pickroom.learn.reading import inspect_all
from pickroom.learn.recommending import recommend
from pickroom.learn.training import train
from pickroom.learn.training_sets import KINDS, Kind
from pickroom.store.workspace import Project, Workspace

NAME = "retraining"
COMMAND = "retrain"
_LEAST_CROPS, _MORE_CROPS = 40, 1.25  # crops for a first model, and the growth factor for the next one


def retrain(
    workspace: Workspace,
    project_id: str,
    show: Callable[[Status], None] | None = None,
    tasks: Mapping[Kind, Task] | None = None,
    *,
    versions: bool = False,
) -> tuple[str, ...]:
    """Learn the decisions of all projects with this one's encoder, then renew this one's recommendations.

    The crop model is trained again when there are many more crops. A model that cannot learn stays as it is, and the
    reason is reported.

    Args:
        tasks: how each kind is made, where not by default.
        versions: make a new version of each model from all decisions, as `pickroom train` does.

    Returns:
        the result in words, a line each.

    Raises:
        LockedError: another process is doing this.
        PickroomError: the project cannot be opened, or its recommendations cannot be stored.
    """
    project, tasks = workspace.project(project_id), tasks or {}
    with progress.reported(workspace, NAME, [project_id], show) as reporter:
        project_ids, lines = together(workspace, project)
        inner: list[ProgressReporter] = []  # of the trainings within this one

        def mirror(status: Status) -> None:
            reporter.mirror(f"{status.name}: {status.phase}", status)
            for one in inner if reporter.stopping else ():
                one.ask_to_stop()

        def begin(words: str) -> None:
            reporter.phase(f"ranker: {words}")

        for kind in KINDS:
            try:
                if versions or (kind == "crop_proposer" and _crops_are_due(workspace, project_ids)):
                    made = train(workspace, kind, project_ids, task=tasks.get(kind), show=mirror, recorder=inner.append)
                    lines.append(f"{kind} v{made.version}: {made.lines[-1]}")
                elif kind == "ranker":
                    ranker: Any = tasks.get(kind)
                    lines += current.update(workspace, project_ids, ranker, begin)[1]
            except TrainingStopped:
                raise
            except PickroomError as error:
                lines.append(error.what + (f" ({error.hint})" if error.hint else ""))
        reporter.phase("recommending")
        report = recommend(project, reporter.count)
        lines += report.words.splitlines()
        news = "New recommendations show with the deck's next key."
        lines.append(news if report.changed else "No recommendation has changed.")
        reporter.result = "\n".join(lines)
    return tuple(lines)


def start_retraining(project: Project, *, versions: bool = False) -> Background:
    """Start `retrain` in a process of its own; `progress` has its status under `NAME`."""
    return start_command(project.workspace, NAME, [COMMAND, project.id, *(["--versions"] if versions else [])])


def together(workspace: Workspace, project: Project) -> tuple[list[str], list[str]]:
    """Projects to learn from together with this one: sound, and of the same encoder; and why others are left out."""
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


def _crops_are_due(workspace: Workspace, project_ids: Sequence[str]) -> bool:
    """Whether there are many more crops than the last crop model was trained on; its training takes a minute."""
    known = checkpoints.versions(workspace, "crop_proposer")
    count = len(training_sets.collect(workspace, "crop_proposer", project_ids).examples)
    try:
        before = checkpoints.read_metadata(workspace, "crop_proposer", known[-1])["data"]["examples"] if known else 0
    except (OSError, ValueError, KeyError, TypeError):
        before = 0
    return count >= max(_LEAST_CROPS, _MORE_CROPS * before)
