"""Commands of learning: embed, train, evaluate, recommend."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from pickroom.cli import console
from pickroom.cli.project import next_line
from pickroom.core import quiet
from pickroom.core.errors import UsageError
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    from pickroom.features.choice import EncoderConfig
    from pickroom.store.workspace import Project


@console.command(has_json=True)
def embed(
    project: console.ProjectName,
    encoder: Annotated[
        str | None,
        typer.Option(help="bundled or openclip[:MODEL/TAG] (default: the project's; for a new project bundled)."),
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="OpenCLIP's architecture and weights, which are downloaded.", metavar="MODEL/TAG")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A local OpenCLIP folder: open_clip_config.json and weights.", metavar="FOLDER")
    ] = None,
    change_encoder: Annotated[bool, typer.Option("--change-encoder", help="Embed all with another encoder.")] = False,
    device: Annotated[str | None, typer.Option(help="cuda, mps or cpu (default: the best of this machine).")] = None,
    dtype: Annotated[str | None, typer.Option(hidden=True)] = None,  # of version 0.1
    engine: Annotated[Literal["local", "ray"], typer.Option(help="local, or ray for several machines.")] = "local",
    address: Annotated[str | None, typer.Option(help="The address of a Ray cluster (default: start Ray here).")] = None,
    regions: Annotated[bool, typer.Option(hidden=True)] = True,  # of version 0.1
    verify: Annotated[bool, typer.Option("--verify", help="Check the vectors, and make 20 of them again.")] = False,
    import_legacy: Annotated[
        Path | None,
        typer.Option(help="Only import vectors of an earlier system; --encoder names what made them.", metavar="JSONL"),
    ] = None,
) -> None:
    """Make a vector of every image, once. It can be interrupted: the next run goes on from there."""
    opened = console.project_of(project)
    if dtype not in (None, "float32"):
        raise UsageError(f"vectors are not computed in {dtype} any more", doing="embedding", hint="leave --dtype out")
    if address and engine != "ray":
        raise UsageError("--address names a Ray cluster", doing="embedding", hint="add --engine ray")
    from pickroom.features.choice import EncoderConfig

    asked = EncoderConfig(encoder, model, checkpoint, device, change_encoder)
    if import_legacy is not None:
        _import(opened, import_legacy, asked if encoder or model or checkpoint else None)
        return
    if engine == "local":  # Ray needs it
        quiet.arrow_without_pandas()
    from pickroom.indexing.engines import EmbedConfig
    from pickroom.indexing.pipeline import embed as run
    from pickroom.indexing.report import bars

    config = EmbedConfig(encoder=asked, engine=engine, address=address)
    with bars() as tell:
        report = run(opened, config, tell, verify=verify)
    problems = report.verification.problems if report.verification else ()
    console.show(f"{report.words()}\n{next_line(opened.id)}", report.to_dict())
    for problem in problems:
        console.say(f"pickroom: {problem}")
    console.fail_if(problems or report.errors or report.waiting)


@console.app.command()
def install(what: Annotated[Literal["faces"], typer.Argument(help="faces: eyes, mouth and pose of people.")]) -> None:
    """Install optional packages without the dependencies that they declare and do not need."""
    from pickroom.features import faces

    if not faces.installed():
        faces.install()
    console.say("pickroom: faces are measured when images are embedded")


def _import(project: Project, cache: Path, declared: EncoderConfig | None) -> None:
    from pickroom.history.vectors import import_cache

    report = import_cache(project, cache, declared)
    lines = [f"{report.lines} lines = {report.imported} imported + {sum(report.skipped.values())} skipped"]
    lines += [f"  {count} skipped: {reason}" for reason, count in report.skipped.most_common()]
    lines.append(f"  {report.matched} of the imported ones are of images that the last scan knows")
    if report.sampled:
        lines.append(
            f"  {report.verified} of {report.sampled} images embedded again give these vectors ({report.encoder})"
        )
    elif report.encoder:
        lines.append(f"  no image of them is on disk: that {report.encoder} made them could not be verified")
    if report.bound and report.encoder:
        lines.append(f"  project {project.id} now uses this encoder: old and new vectors train together")
    elif report.bound:
        lines.append(f"  project {project.id} now uses these vectors; new images need embed --change-encoder")
    console.show(lines, report.to_dict())
    console.fail_if(report.lines and not report.imported)


if TYPE_CHECKING:
    from pickroom.learn.progress import ProgressReporter, Status
    from pickroom.learn.training_sets import Kind

_LINES = 10  # lines of progress per training, without a terminal

Projects = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PROJECT]...", help="Projects to learn from (default: all that have vectors)."),
]


@console.command()
def train(
    model: Annotated[str, typer.Argument(metavar="ranker|crop_proposer", help="Which model.")],
    projects: Projects = None,
    holdout: Annotated[str | None, typer.Option(metavar="PROJECT", help="Hold out this whole project.")] = None,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show the progress of the running training; if none runs, start one.")
    ] = False,
    stop: Annotated[bool, typer.Option("--stop", help="Stop the running training.")] = False,
    anomaly_weight: Annotated[
        list[float] | None,
        typer.Option(help="Compare with a fit that weights picks of a lower stage; never used to recommend."),
    ] = None,
    override_weight: Annotated[
        float, typer.Option(help="Compare with a fit that weights overrides; never used to recommend.")
    ] = 1.0,
    seed: Annotated[int, typer.Option(help="The same seed gives the same model.")] = 1,
    device: Annotated[str, typer.Option(hidden=True, help="No effect: both models are trained on the CPU.")] = "cpu",
) -> None:
    """Train a model on decisions; it recommends once it has been shown to be better than the present one."""
    from pickroom.learn import progress
    from pickroom.learn.splits import SplitConfig
    from pickroom.learn.training import train
    from pickroom.learn.training_sets import require_kind

    workspace, kind = console.workspace_here(), require_kind(model)
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
    shown = _Shown()
    with console.listing_items(prefix=""), shown:
        made = train(workspace, kind, projects, SplitConfig(holdout=holdout), task, shown, _stops_by_signal)
    unsound = _unsound(workspace, [*projects, *([holdout] if holdout else [])])
    console.show([*made.lines, f"report: {made.report}"])
    console.fail_if(unsound)


@console.command(has_json=True)
def evaluate(
    projects: Annotated[
        list[str], typer.Argument(metavar="PROJECT...", help="Projects whose decisions to score the models on.")
    ],
    sample: Annotated[int, typer.Option(min=0, help="Also show this many random held-out groups.")] = 0,
    seed: Annotated[int | None, typer.Option(help="The seed of the sample (default: random).")] = None,
) -> None:
    """Score every version of the models on decisions that it was not trained on."""
    from pickroom.learn import evaluation
    from pickroom.learn.evaluation import evaluate

    with console.progress_bar("Reading groups") as progress:
        found = evaluate(workspace := console.workspace_here(), projects, sample, seed, progress)
    unsound = _unsound(workspace, projects)
    values = found.to_dict() | {"unsound_rows": unsound}
    console.show(evaluation.evaluation_lines(found), values)
    console.fail_if(unsound + sum(bool(score.damaged) for score in found.versions))


@console.command(has_json=True)
def recommend(project: console.ProjectName) -> None:
    """Recommend for every undecided group, with the current models or else the baseline."""
    from pickroom.learn.recommending import recommend

    opened = console.project_of(project)
    with console.progress_bar("Reading groups") as progress:
        report = recommend(opened, progress)
    for fault in report.faults:
        console.say(f"pickroom: {fault}")
    unsound = console.name_unsound(opened)
    console.show(report.words.splitlines(), report.to_dict() | {"unsound_rows": unsound})
    console.fail_if(unsound + len(report.faults))


@console.command(hidden=True)
def retrain(
    project: console.ProjectName,
    versions: Annotated[bool, typer.Option("--versions", help="Make a new version of each model.")] = False,
) -> None:
    """Learn the decisions of all projects with this one's encoder, then recommend; the deck starts this."""
    from pickroom.learn.retraining import retrain

    with _Shown() as shown:
        lines = retrain(console.workspace_here(), project, shown, versions=versions)
    console.show(list(lines))


def _unsound(workspace: Workspace, project_ids: list[str]) -> int:
    from pickroom.store import legacy

    opened = [workspace.project(project_id) for project_id in dict.fromkeys(project_ids)]
    return sum(console.name_unsound(project, legacy.databases(workspace, project.id)) for project in opened)


def _task(kind: Kind, anomaly_weights: list[float] | None, override_weight: float, seed: int) -> Any:
    from dataclasses import replace

    from pickroom.learn.checkpoints import default_task

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
    """Follow the running training, or start one and follow it."""
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
        console.say(f"pickroom: the training goes on; stop it: pickroom train {kind} --stop")
        raise
    if started is not None and started.process.wait() != 0:
        console.say(console.printable(started.words.splitlines()[-1:]) or "pickroom: it ended without a message")
        raise typer.Exit(started.process.returncode if started.process.returncode > 0 else 1)
    if last is None or last.state != "done":
        raise typer.Exit(1)
    console.show(last.message.splitlines())


def _stops_by_signal(told: ProgressReporter) -> None:
    """Let SIGINT and SIGTERM stop at the end of the epoch."""
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, told.ask_to_stop)
        signal.signal(signal.SIGTERM, told.ask_to_stop)


class _Shown:
    """Progress on stderr: one rewritten line in a terminal, else one line per phase and ten per training."""

    def __init__(self) -> None:
        self._console = console.messages
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
            self._status.update(console.printable([status.line]))
            return
        tenth = status.done * _LINES // status.of if status.of else 0
        # one line for each fit that only measures the confidence
        if status.phase != self._phase or (tenth > self._said and "measuring" not in status.phase):
            self._said, self._phase = tenth, status.phase
            console.say(status.line)
