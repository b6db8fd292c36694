"""Commands of learning: embed, train, evaluate, recommend."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from pickroom.cli import console
from pickroom.cli.console import option
from pickroom.cli.page import example_line
from pickroom.cli.project import next_line
from pickroom.core import quiet
from pickroom.core.errors import UsageError
from pickroom.store.workspace import Project, Workspace

with console.lazily():
    from pickroom.features import choice, faces
    from pickroom.history import vectors
    from pickroom.indexing import engines, pipeline
    from pickroom.indexing import report as reports
    from pickroom.learn import (
        checkpoints,
        evaluation,
        progress,
        recommending,
        retraining,
        splits,
        training,
        training_sets,
    )
    from pickroom.store import legacy


@console.command(has_json=True)
def embed(
    project: console.ProjectName,
    encoder: str | None = option(
        None, "bundled or openclip[:MODEL/TAG] (default: the project's; for a new project bundled)."
    ),
    model: str | None = option(None, "OpenCLIP's architecture and weights, which are downloaded.", metavar="MODEL/TAG"),
    checkpoint: Path | None = option(
        None, "A local OpenCLIP folder: open_clip_config.json and weights.", metavar="FOLDER"
    ),
    change_encoder: bool = option(False, "Embed all with another encoder.", "--change-encoder"),
    device: str | None = option(None, "cuda, mps or cpu (default: the best of this machine)."),
    dtype: Annotated[str | None, typer.Option(hidden=True)] = None,  # of version 0.1
    engine: Literal["local", "ray"] = option("local", "local, or ray for several machines."),
    address: str | None = option(None, "The address of a Ray cluster (default: start Ray here)."),
    regions: Annotated[bool, typer.Option(hidden=True)] = True,  # of version 0.1
    verify: bool = option(False, "Check the vectors, and make 20 of them again.", "--verify"),
    import_legacy: Path | None = option(
        None, "Only import vectors of an earlier system; --encoder names what made them.", metavar="JSONL"
    ),
) -> None:
    """Make a vector of every image, once. It can be interrupted: the next run goes on from there."""
    opened = console.project_of(project)
    if dtype not in (None, "float32"):
        raise UsageError(f"vectors are not computed in {dtype} any more", doing="embedding", hint="leave --dtype out")
    if address and engine != "ray":
        raise UsageError("--address names a Ray cluster", doing="embedding", hint="add --engine ray")
    asked = choice.EncoderConfig(encoder, model, checkpoint, device, change_encoder)
    if import_legacy is not None:
        _import(opened, import_legacy, asked if encoder or model or checkpoint else None)
        return
    if engine == "local":  # Ray needs it
        quiet.arrow_without_pandas()
    config = engines.EmbedConfig(encoder=asked, engine=engine, address=address)
    with reports.bars() as tell:
        report = pipeline.embed(opened, config, tell, verify=verify)
    problems = report.verification.problems if report.verification else ()
    console.show(f"{report.words()}\n{next_line(opened.id)}", report.to_dict())
    for problem in problems:
        console.say(f"pickroom: {problem}")
    console.fail_if(problems or report.errors or report.waiting)


@console.app.command(epilog=example_line("install"))
def install(what: Annotated[Literal["faces"], typer.Argument(help="faces: eyes, mouth and pose of people.")]) -> None:
    """Install optional packages without the dependencies that they declare and do not need."""
    if not faces.installed():
        faces.install()
    console.say("pickroom: faces are measured when images are embedded")


def _import(project: Project, cache: Path, declared: choice.EncoderConfig | None) -> None:
    report = vectors.import_cache(project, cache, declared)
    lines = [f"{report.lines} lines = {report.imported} imported + {sum(report.skipped.values())} skipped"]
    lines += [f"  {count} skipped: {reason}" for reason, count in report.skipped.most_common()]
    lines.append(f"  {report.matched} of the imported ones are of images that the last scan knows")
    if report.sampled:
        again = f"{report.verified} of {report.sampled} images embedded again"
        lines.append(f"  {again} give these vectors ({report.encoder})")
    elif report.encoder:
        lines.append(f"  no image of them is on disk: that {report.encoder} made them could not be verified")
    if report.bound and report.encoder:
        lines.append(f"  project {project.id} now uses this encoder: old and new vectors train together")
    elif report.bound:
        lines.append(f"  project {project.id} now uses these vectors; new images need embed --change-encoder")
    console.show(lines, report.to_dict())
    console.fail_if(report.lines and not report.imported)


_LINES = 10  # lines of progress per training, without a terminal

Projects = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PROJECT]...", help="Projects to learn from (default: all that have vectors)."),
]


@console.command()
def train(
    model: Annotated[str, typer.Argument(metavar="ranker|crop_proposer", help="Which model.")],
    projects: Projects = None,
    holdout: str | None = option(None, "Hold out this whole project.", metavar="PROJECT"),
    watch: bool = option(False, "Show the progress of the running training; if none runs, start one.", "--watch"),
    stop: bool = option(False, "Stop the running training.", "--stop"),
    anomaly_weight: list[float] | None = option(
        None, "Compare with a fit that weights picks of a lower stage; never used to recommend."
    ),
    override_weight: float = option(1.0, "Compare with a fit that weights overrides; never used to recommend."),
    seed: int = option(1, "The same seed gives the same model."),
    device: str = option("cpu", "No effect: both models are trained on the CPU.", hidden=True),
) -> None:
    """Train a model on decisions; it recommends once it has been shown to be better than the present one."""
    workspace, kind = console.workspace_here(), training_sets.require_kind(model)
    if stop:
        asked = progress.request_stop(workspace, kind)
        console.show(f"{kind}: {'asked to stop at the end of its epoch' if asked else 'none is being trained'}")
        return
    task = _task(kind, anomaly_weight, override_weight, seed)
    if watch:
        options = ["--seed", str(seed), *(["--holdout", holdout] if holdout else [])]
        for weight in anomaly_weight or ():
            options += ["--anomaly-weight", str(weight)]
        options += ["--override-weight", str(override_weight)] if override_weight != 1 else []
        _watch(workspace, kind, projects or [], options)
        return
    projects = projects or [one for one in workspace.project_ids() if workspace.project(one).manifest.encoder]
    if not projects:
        raise UsageError("no project has vectors", doing=f"training the {kind}", hint="to make them: pickroom open .")
    with console.listing_items(prefix=""), shown_progress() as shown:
        made = training.train(
            workspace, kind, projects, splits.SplitConfig(holdout=holdout), task, shown, _stops_by_signal
        )
    unsound = _unsound(workspace, [*projects, *([holdout] if holdout else [])])
    console.show([*made.lines, f"report: {made.report}"])
    console.fail_if(unsound)


@console.command(has_json=True)
def evaluate(
    projects: Annotated[
        list[str], typer.Argument(metavar="PROJECT...", help="Projects whose decisions to score the models on.")
    ],
    sample: int = option(0, "Also show this many random held-out groups.", min=0),
    seed: int | None = option(None, "The seed of the sample (default: random)."),
) -> None:
    """Score every version of the models on decisions that it was not trained on."""
    with console.progress_bar("Reading groups") as progress:
        workspace = console.workspace_here()
        found = evaluation.evaluate(workspace, projects, sample, seed, progress)
    unsound = _unsound(workspace, projects)
    values = found.to_dict() | {"unsound_rows": unsound}
    console.show(evaluation.evaluation_lines(found), values)
    console.fail_if(unsound + sum(bool(score.damaged) for score in found.versions))


@console.command(has_json=True)
def recommend(project: console.ProjectName) -> None:
    """Recommend for every undecided group, with the current models or else the baseline."""
    opened = console.project_of(project)
    with console.progress_bar("Reading groups") as progress:
        report = recommending.recommend(opened, progress)
    for fault in report.faults:
        console.say(f"pickroom: {fault}")
    unsound = console.name_unsound(opened)
    console.show(report.words.splitlines(), report.to_dict() | {"unsound_rows": unsound})
    console.fail_if(unsound + len(report.faults))


@console.command(hidden=True)
def retrain(
    project: console.ProjectName, versions: bool = option(False, "Make a new version of each model.", "--versions")
) -> None:
    """Learn the decisions of all projects with this one's encoder, then recommend; the deck starts this."""
    with shown_progress() as shown:
        lines = retraining.retrain(console.workspace_here(), project, shown, versions=versions)
    console.show(list(lines))


def _unsound(workspace: Workspace, project_ids: list[str]) -> int:
    opened = [workspace.project(project_id) for project_id in dict.fromkeys(project_ids)]
    return sum(console.name_unsound(project, legacy.databases(workspace, project.id)) for project in opened)


def _task(kind: training_sets.Kind, anomaly_weights: list[float] | None, override_weight: float, seed: int) -> Any:
    task: Any = checkpoints.default_task(kind)
    weights = tuple(dict.fromkeys(anomaly_weights or ()))
    if weights or override_weight != 1:
        if kind != "ranker" or min((override_weight, *weights)) < 1:
            words = " ".join(f"--anomaly-weight {weight:g}" for weight in weights)
            words = words or f"--override-weight {override_weight:g}"
            hint = "it is a number of 1 or more, for the ranker"
            raise UsageError(f"{words} cannot be used", doing="training", hint=hint)
        task = replace(task, anomaly_weights=weights, override_weight=override_weight)
    return replace(task, config=replace(task.config, seed=seed))


def _watch(workspace: Workspace, kind: training_sets.Kind, projects: list[str], options: list[str]) -> None:
    """Follow the running training, or start one and follow it."""
    started = None
    if not progress.is_running(workspace, kind):
        if not projects:
            what, doing = f"no {kind} is being trained", "looking for a training to follow"
            raise UsageError(what, doing=doing, hint="name projects to start one")
        started = progress.start_command(workspace, kind, ["train", kind, *projects, *options])
    try:
        with shown_progress() as shown:
            last = progress.follow(workspace, kind, shown, (lambda: started.starting) if started else None)
    except KeyboardInterrupt:
        console.say(f"pickroom: the training goes on; stop it: pickroom train {kind} --stop")
        raise
    if started is not None and started.process.wait() != 0:
        console.say(console.printable(started.words.splitlines()[-1:]) or "pickroom: it ended without a message")
        raise typer.Exit(started.process.returncode if started.process.returncode > 0 else 1)
    if last is None or last.state != "done":
        raise typer.Exit(1)
    console.show(last.message.splitlines())


def _stops_by_signal(told: progress.ProgressReporter) -> None:
    """Let SIGINT and SIGTERM stop at the end of the epoch."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, told.ask_to_stop)
        signal.signal(signal.SIGTERM, told.ask_to_stop)


@contextmanager
def shown_progress() -> Iterator[Callable[[progress.Status], None]]:
    """Progress on stderr: one rewritten line in a terminal, else one line per phase and ten per training."""
    said, phase = 0, ""

    def say(status: progress.Status) -> None:
        nonlocal said, phase
        tenth = status.done * _LINES // status.of if status.of else 0
        # one line for each fit that only measures the confidence
        if status.phase != phase or (tenth > said and "measuring" not in status.phase):
            said, phase = tenth, status.phase
            console.say(status.line)

    if not console.messages.is_terminal:
        yield say
        return
    with console.messages.status("") as line:
        yield lambda status: line.update(console.printable([status.line]))
