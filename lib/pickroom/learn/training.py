"""A training from end to end: check, freeze, features, fit, evaluate, save, promote; it can be watched and stopped."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np

from pickroom.core.errors import ConflictError, MissingExtraError, NotYetError, StoreError, UsageError
from pickroom.features import device as devices
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, describing, progress, splits, training_sets
from pickroom.learn.examples import TrainingStep
from pickroom.learn.models import default_task, model_of
from pickroom.learn.picks.task import PickTask
from pickroom.learn.picks.training import train_picks
from pickroom.learn.progress import ProgressReporter, Status, TrainingStopped
from pickroom.learn.promotion import LEAST_ROWS, Rival, Verdict, evaluate_crop_gate, judge
from pickroom.learn.splits import HELD_OUT, TRAIN, Split, SplitConfig
from pickroom.learn.tasks import Evidence, Task, TrainingTask
from pickroom.learn.training_sets import Kind, TrainingSet
from pickroom.store import written_files
from pickroom.store.workspace import Workspace, utc_now

LEAST_TRAIN = 20  # rows; fewer would be learned by heart
_FOLDS = 3  # of the rows that are not held out, to fit confidence on


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What the person may choose of a training."""

    # which rows are held out; a project of its own with `holdout`
    split: SplitConfig = field(default_factory=SplitConfig)
    # "cuda", "mps" or "cpu", which these small networks are fastest on; None is the best there is
    device: str | None = "cpu"


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made."""

    name: str
    version: int
    promoted: bool
    metadata: dict[str, Any]  # what the version's JSON file holds
    report: Path  # where the short report lies
    lines: tuple[str, ...]  # the same in words


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a set that have features, side by side with them."""

    task: TrainingTask
    examples: list[Any]
    features: Any
    split: Split

    def of(self, *sides: int) -> tuple[list[Any], Any]:
        rows = np.flatnonzero(np.isin(self.split.sides, sides))
        return [self.examples[row] for row in rows], self.features.take(rows)


def train(
    workspace: Workspace,
    kind: Kind,
    project_ids: Sequence[str],
    config: TrainConfig | None = None,
    task: Task | None = None,
    show: Callable[[Status], None] | None = None,
    recorder: Callable[[ProgressReporter], None] | None = None,
) -> Trained:
    """Train one model on the decisions of some projects, and let it recommend if it has earned that.

    Args:
        show: called with each change of the progress.
        recorder: called once with what the training tells its progress to (it can be asked to stop).

    Raises:
        ProjectError: a project cannot be opened.
        ConflictError: a check of integrity failed, or the projects do not go together.
        StoreError: vectors or decisions are missing or cannot be read.
        NotYetError: there is too little to learn from. UsageError: a name is unknown.
        LockedError: another process trains this model.
        TrainingStopped: somebody asked it to stop.
    """
    config, task = config or TrainConfig(), task or default_task(kind)
    holdout = config.split.holdout
    wanted = sorted({*project_ids, *([holdout] if holdout else [])})
    if holdout and wanted == [holdout]:
        raise UsageError("nothing is left to train on", doing="training", hint="name a project besides --holdout")
    for project_id in wanted:
        workspace.project(project_id)  # an unknown name is an error before anything begins
    with progress.training_lock(workspace, kind):
        reporter = ProgressReporter(workspace, kind, wanted, show)
        if recorder:
            recorder(reporter)
        with reporter.ending():
            made = _train(workspace, kind, wanted, config, task, reporter)
        reporter.end("done", "\n".join(made.lines))
        return made


def _train(
    workspace: Workspace,
    kind: Kind,
    project_ids: Sequence[str],
    config: TrainConfig,
    task: Task,
    reporter: ProgressReporter,
) -> Trained:
    started = time.monotonic()
    device = "cpu" if kind == "ranker" else devices.pick_device(devices.present(), config.device)
    reporter.phase("checking the decisions")
    frozen = training_sets.collect(workspace, kind, project_ids)
    if isinstance(task, PickTask):
        version, promoted, metadata = train_picks(workspace, frozen, task, config.split.holdout, reporter)
        return _report(workspace, task, version, promoted, metadata)
    path = training_sets.freeze(workspace, frozen)
    return _train_on(workspace, frozen, path, config, cast(TrainingTask, task), device, reporter, started)


def _train_on(
    workspace: Workspace,
    frozen: TrainingSet,
    path: Path,
    config: TrainConfig,
    task: TrainingTask,
    device: str,
    reporter: ProgressReporter,
    started: float,
) -> Trained:
    reporter.phase("making features")
    rows, missing = _features(workspace, frozen, task, config, reporter)
    model, how = _fit(task, rows, reporter)
    reporter.phase("evaluating")
    held_out, features = rows.of(HELD_OUT)
    learned = rows.of(TRAIN)
    baselines = task.baselines(*learned, held_out, features)
    verdict, previous = _verdict(workspace, task, frozen, model, held_out, features, baselines.judged)
    metrics = task.score(model, held_out, features)
    need = evaluate_crop_gate(metrics)
    metadata = {
        "made_at": utc_now(),
        "projects": list(frozen.projects),
        "data": {
            "hash": frozen.hash,
            "file": path.relative_to(workspace.root).as_posix(),
            "examples": len(frozen.examples),
            "used": rows.split.counts,
            "without_features": dict(missing),
            "projects": frozen.manifest()["projects"],
        },
        "features": {"hash": task.feature_hash, "encoder": frozen.encoder},
        **model.describe(),
        "settings": task.to_dict(),
        "tried": [],
        "fitted": how,
        "split": rows.split.to_dict(),
        "seeds": {"split": config.split.seed, "model": task.seed},
        "device": {"name": device, "words": devices.device_words(device)},
        "seconds": round(time.monotonic() - started, 1),
        "metrics": metrics,
        "baselines": baselines.scored,
        "previous": previous,
        "verdict": {
            "current": verdict.promoted,
            "reason": verdict.reason,
            **verdict.compared,
            **({} if need is None else {"crop_or_none": need}),
        },
    }
    return _publish(workspace, task, frozen, rows, model, metadata, verdict)


def _fit(task: TrainingTask, rows: _Rows, reporter: ProgressReporter) -> tuple[Any, str]:
    """A model of the rows that are not held out, and how its confidence was fitted, in words.

    Few rows are too dear to be set apart for that: confidence is fitted on what models of the other folds say of each
    fold (cross-fitting).
    """

    def progress(step: TrainingStep) -> None:
        reporter.step(step)
        if reporter.stopping:
            raise TrainingStopped("stopped", doing=f"training the {task.name}", hint="train again: it begins anew")

    examples, features = rows.of(TRAIN)
    reporter.phase("training")
    model = task.fit(examples, features, progress)
    folds, pieces = splits.folds(examples, _FOLDS, rows.split.config.seed), []
    for fold in range(_FOLDS):
        asked, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(asked) and len(others):
            reporter.phase(f"measuring its confidence, {fold + 1} of {_FOLDS}")
            part = task.fit([examples[row] for row in others], features.take(others), progress)
            pieces.append(task.evidence(part, [examples[row] for row in asked], features.take(asked)))
    evidence = Evidence.joined(pieces)
    return task.calibrated(model, evidence), f"confidence cross-fitted on {len(evidence.raw)} rows"


def _features(
    workspace: Workspace, frozen: TrainingSet, task: TrainingTask, config: TrainConfig, reporter: ProgressReporter
) -> tuple[_Rows, Counter[str]]:
    """The rows that have features, and why the others have none."""
    examples = list(frozen.examples)
    if not examples:
        raise _too_little(frozen, f"none of the decisions is an example for the {frozen.kind}")
    split = splits.split(examples, config.split)
    _require_enough(frozen, task, split, Counter())  # before the images are read, which takes long
    sources = FeatureSources(workspace.project(project_id) for project_id in frozen.projects)
    features = task.features(examples, sources, reporter.count)
    missing = Counter(_kind_of(reason) for reason in features.missing.values())
    kept = np.array([row for row in range(len(examples)) if row not in features.missing], dtype=np.int64)
    rows = _Rows(task, [examples[row] for row in kept], features.take(kept), Split(split.sides[kept], split.config))
    splits.require_apart(rows.examples, rows.split.sides)
    _require_enough(frozen, task, rows.split, missing)
    return rows, missing


def _require_enough(frozen: TrainingSet, task: TrainingTask, split: Split, missing: Counter[str]) -> None:
    """Raise NotYetError where a version could not be learned, or not be judged."""
    counts = split.counts
    learned = counts["train"]
    if learned >= LEAST_TRAIN and counts["held_out"] >= LEAST_ROWS:
        return
    what = f"{learned} {task.unit} to train on and {counts['held_out']} held out"
    if missing:
        what += f"; {missing.total()} have no features, most often: {missing.most_common(1)[0][0]}"
    raise _too_little(frozen, what)


def _verdict(
    workspace: Workspace,
    task: TrainingTask,
    frozen: TrainingSet,
    model: Any,
    held_out: list[Any],
    features: Any,
    baselines: dict[str, np.ndarray],
) -> tuple[Verdict, dict[str, Any] | None]:
    """Whether the new version may recommend, and how the current one does on the same rows."""
    figures = task.evidence(model, held_out, features).figures
    rival, previous, note, tie = None, None, "", 0.0
    try:
        checkpoint = checkpoints.load_current(workspace, task.name)
        if checkpoint is not None:
            checkpoint.require_features(task.feature_hash, frozen.encoder)
            old = model_of(checkpoint)
            unseen = ~splits.seen(held_out, checkpoint.seen)
            rows = np.flatnonzero(unseen)
            both, both_features = [held_out[row] for row in rows], features.take(rows)
            tie = task.evidence(model, both, both_features).tie_break
            old_tie = task.evidence(old, both, both_features).tie_break
            its = task.evidence(old, held_out, features).figures
            rival = Rival(checkpoint.label, its, old_tie, unseen[task.judged(held_out)])
            previous = {
                "version": checkpoint.version,
                "rows": len(both),
                "metrics": task.score(old, both, both_features) if both else None,
                "new": task.score(model, both, both_features) if both else None,
            }
    except (ConflictError, MissingExtraError, StoreError) as error:
        note = f"the current version can recommend no longer ({error.what})"
    return judge(figures, tie, baselines, rival, note), previous


def _publish(
    workspace: Workspace,
    task: TrainingTask,
    frozen: TrainingSet,
    rows: _Rows,
    model: Any,
    metadata: dict[str, Any],
    verdict: Verdict,
) -> Trained:
    keys = frozenset().union(*(splits.file_keys(example) for example in rows.of(TRAIN)[0]))
    version = checkpoints.save(workspace, task.name, model.state(), metadata, splits.prints(keys))
    if verdict.promoted:
        checkpoints.make_current(workspace, task.name, version, verdict.reason)
    return _report(workspace, task, version, verdict.promoted, metadata)


def _report(workspace: Workspace, task: Task, version: int, promoted: bool, metadata: dict[str, Any]) -> Trained:
    """Write the short report of a version."""
    lines = describing.lines_of(task, version, metadata)
    name = f"training_{task.name}_v{version}_{metadata['made_at'][:10]}.md"
    report = written_files.free_path(workspace, workspace.summaries / name)
    text = [f"# {task.name} v{version}", "", *(f"- {line}" for line in lines), ""]
    written_files.write_text(workspace, report, "\n".join(text))
    return Trained(task.name, version, promoted, metadata, report, tuple(lines))


def _kind_of(reason: str) -> str:
    """A reason without the file it is about, so that many of them can be counted."""
    if "without a patch grid" in reason:
        return "its vector was imported without a patch grid"
    return "no vector" if "vector" in reason else reason


def _too_little(frozen: TrainingSet, what: str) -> NotYetError:
    names = " ".join(frozen.projects)
    return NotYetError(
        f"there is too little to learn from: {what}",
        doing=f"training the {frozen.kind}",
        hint=f"{LEAST_TRAIN} and {LEAST_ROWS} are needed: decide more, embed what is new; see: pickroom check {names}",
    )
