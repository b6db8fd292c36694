"""Commands of learning: train, evaluate, recommend."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Annotated, Any

import typer

from pickroom.cli.console import (
    Home,
    Json,
    ProjectName,
    app,
    fail_if,
    listing_items,
    messages,
    name_unsound,
    printable,
    progress_bar,
    project_of,
    say,
    show,
)
from pickroom.core.errors import UsageError
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    from pickroom.learn.progress import ProgressReporter, Status
    from pickroom.learn.training_sets import Kind

_LINES = 10  # of progress a training, where a line cannot be rewritten

Projects = Annotated[list[str] | None, typer.Argument(metavar="PROJECT...", help="Whose decisions to learn from.")]


@app.command()
def train(
    model: Annotated[str, typer.Argument(metavar="ranker|crop_proposer", help="Which model.")],
    projects: Projects = None,
    holdout: Annotated[str | None, typer.Option(metavar="PROJECT", help="Hold out this whole project.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Follow it in another process: the one that runs, else one started now.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Ask the one that runs to stop.")] = False,
    anomaly_weight: Annotated[
        list[float] | None,
        typer.Option(help="Compare with groups of a lower pick weighed so; never used to recommend."),
    ] = None,
    override_weight: Annotated[
        float, typer.Option(help="Compare with groups of an override weighed so; never used to recommend.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="Of the model; the same one gives the same model.")] = 1,
    device: Annotated[str, typer.Option(hidden=True, help="No effect: both models are trained on the CPU.")] = "cpu",
    home: Home = None,
) -> None:
    """Train a model on decisions; it recommends once it has been shown to be better."""
    from pickroom.learn import progress
    from pickroom.learn.splits import SplitConfig
    from pickroom.learn.training import train
    from pickroom.learn.training_sets import require_kind

    workspace, kind = Workspace.find(home), require_kind(model)
    if stop:
        asked = progress.request_stop(workspace, kind)
        show({}, False, f"{kind}: {'asked to stop at the end of its epoch' if asked else 'none is being trained'}")
        return
    task = _task(kind, anomaly_weight, override_weight, seed)
    if watch:
        options = ["--seed", str(seed), *(["--holdout", holdout] if holdout else [])]
        for weight in anomaly_weight or ():
            options += ["--anomaly-weight", str(weight)]
        options += ["--override-weight", str(override_weight)] if override_weight != 1 else []
        _watch(workspace, kind, projects or [], options)
        return
    if not projects:
        raise UsageError("no project is named", doing=f"training the {kind}", hint=f"pickroom train {kind} PROJECT...")
    shown = _Shown()
    with listing_items(prefix=""), shown:
        made = train(workspace, kind, projects, SplitConfig(holdout=holdout), task, shown, _stops_by_signal)
    unsound = _unsound(workspace, [*projects, *([holdout] if holdout else [])])
    show({}, False, [*made.lines, f"report: {made.report}"])
    fail_if(unsound)


@app.command()
def evaluate(
    projects: Annotated[
        list[str], typer.Argument(metavar="PROJECT...", help="Whose decisions to hold models against.")
    ],
    sample: Annotated[int, typer.Option(min=0, help="Also so many random held-out groups, side by side.")] = 0,
    seed: Annotated[int | None, typer.Option(help="Of the sample; else another one each time.")] = None,
    home: Home = None,
    json_output: Json = False,
) -> None:
    """How every version of the models does on decisions that it was not trained on."""
    from pickroom.learn import evaluation
    from pickroom.learn.evaluation import evaluate

    with progress_bar("Reading groups") as progress:
        found = evaluate(workspace := Workspace.find(home), projects, sample, seed, progress)
    unsound = _unsound(workspace, projects)
    values = found.to_dict() | {"unsound_rows": unsound}
    show(values, json_output, evaluation.evaluation_lines(found))
    fail_if(unsound + sum(bool(score.damaged) for score in found.versions))


@app.command()
def recommend(project: ProjectName, home: Home = None, json_output: Json = False) -> None:
    """Recommend for every undecided group, by the current models, else by the baseline."""
    from pickroom.learn.recommending import recommend

    opened = project_of(home, project)
    with progress_bar("Reading groups") as progress:
        report = recommend(opened, progress)
    for fault in report.faults:
        say(f"pickroom: {fault}")
    unsound = name_unsound(opened)
    show(report.to_dict() | {"unsound_rows": unsound}, json_output, report.words.splitlines())
    fail_if(unsound + len(report.faults))


@app.command(hidden=True)
def retrain(project: ProjectName, home: Home = None) -> None:
    """Learn what was decided in all projects that go together with this one, then recommend: what the deck starts."""
    from pickroom.learn.retraining import retrain

    with _Shown() as shown:
        lines = retrain(Workspace.find(home), project, shown)
    show({}, False, list(lines))


def _unsound(workspace: Workspace, project_ids: list[str]) -> int:
    from pickroom.store import legacy

    opened = [workspace.project(project_id) for project_id in dict.fromkeys(project_ids)]
    return sum(name_unsound(project, legacy.databases(workspace, project.id)) for project in opened)


def _task(kind: Kind, anomaly_weights: list[float] | None, override_weight: float, seed: int) -> Any:
    from dataclasses import replace

    from pickroom.learn.models import default_task

    task: Any = default_task(kind)
    weights = tuple(dict.fromkeys(anomaly_weights or ()))
    if weights or override_weight != 1:
        if kind != "ranker" or min((override_weight, *weights)) < 1:
            words = (
                " ".join(f"--anomaly-weight {weight:g}" for weight in weights)
                or f"--override-weight {override_weight:g}"
            )
            hint = "it is a number of 1 or more, for the ranker"
            raise UsageError(f"{words} cannot be used", doing="training", hint=hint)
        task = replace(task, anomaly_weights=weights, override_weight=override_weight)
    return replace(task, config=replace(task.config, seed=seed))


def _watch(workspace: Workspace, kind: Kind, projects: list[str], options: list[str]) -> None:
    """Follow the training that runs; where none does, start one and follow that."""
    from pickroom.learn import progress

    started = None
    if not progress.is_running(workspace, kind):
        if not projects:
            raise UsageError(
                f"no {kind} is being trained",
                doing="looking for a training to follow",
                hint="name projects to start one",
            )
        started = progress.start_command(workspace, kind, ["train", kind, *projects, *options])
    try:
        with _Shown() as shown:
            last = progress.follow(workspace, kind, shown, (lambda: started.starting) if started else None)
    except KeyboardInterrupt:
        say(f"pickroom: the training goes on; stop it: pickroom train {kind} --stop")
        raise
    if started is not None and started.process.wait() != 0:
        say(printable(started.words.splitlines()[-1:]) or "pickroom: it ended without a word")
        raise typer.Exit(started.process.returncode if started.process.returncode > 0 else 1)
    if last is None or last.state != "done":
        raise typer.Exit(1)
    show({}, False, last.message.splitlines())


def _stops_by_signal(told: ProgressReporter) -> None:
    """Ctrl-C, or a polite kill, stops at the end of the epoch instead of in the middle."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, told.ask_to_stop)
        signal.signal(signal.SIGTERM, told.ask_to_stop)


class _Shown:
    """Progress on stderr: one line that is rewritten in a terminal, else a line a phase and ten of the training."""

    def __init__(self) -> None:
        self._console = messages
        self._status = self._console.status("") if self._console.is_terminal else None
        self._said, self._phase = 0, ""

    def __enter__(self) -> _Shown:
        if self._status is not None:
            self._status.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, status: Status) -> None:
        if self._status is not None:
            self._status.update(printable([status.line]))
            return
        tenth = status.done * _LINES // status.of if status.of else 0
        # the fits that only measure its confidence are a line each
        if status.phase != self._phase or (tenth > self._said and "measuring" not in status.phase):
            self._said, self._phase = tenth, status.phase
            say(status.line)
