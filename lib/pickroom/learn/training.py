"""Train a model: check, freeze, compute features, fit, evaluate, save, promote. It can be watched and stopped.

Picks are replayed in their order (`picks/current.py`). The crop model is fitted on one part of the crops and evaluated
on the rest. It may recommend only if it beats the current version and the baselines on the same held-out rows.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.core.errors import ConflictError, NotYetError, StoreError, UsageError
from pickroom.core.quantities import plural
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, evaluation, progress, splits, training_sets
from pickroom.learn.checkpoints import default_task, model_of
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.crops.model import CropModel, CropTask, Evidence, fit_calibration
from pickroom.learn.evaluation import Task
from pickroom.learn.examples import CropExample
from pickroom.learn.picks.current import Verdict, train_picks
from pickroom.learn.picks.task import PickTask
from pickroom.learn.progress import ProgressReporter, Status, TrainingStopped
from pickroom.learn.splits import HELD_OUT, TRAIN, Split, SplitConfig
from pickroom.learn.training_sets import Kind, TrainingSet
from pickroom.store import written_files
from pickroom.store.workspace import Workspace, utc_now

LEAST_TRAIN = 20  # rows; fewer would be learned by heart
LEAST_ROWS = 8  # rows of a comparison; with fewer there is no decision
_FOLDS = 3  # of the rows that are not held out, to fit confidence on


@dataclass(frozen=True, slots=True)
class Trained:
    """The result of a training."""

    name: str
    version: int
    promoted: bool
    metadata: dict[str, Any]  # what the version's JSON file holds
    report: Path  # path of the short report
    lines: tuple[str, ...]  # the same in words


@dataclass(frozen=True, slots=True)
class Rival:
    """The current version on the new one's held-out rows, in the order of the new one's evidence."""

    label: str
    evidence: Evidence
    unseen: np.ndarray  # (N,) bool: rows of which it was trained on no file; only these are compared


def train(
    workspace: Workspace,
    kind: Kind,
    project_ids: Sequence[str],
    config: SplitConfig | None = None,
    task: Task | None = None,
    show: Callable[[Status], None] | None = None,
    recorder: Callable[[ProgressReporter], None] | None = None,
) -> Trained:
    """Train one model on the decisions of some projects, and promote it if it is better.

    Args:
        config: which rows are held out; for picks only a whole project can be.
        show: called with each change of the progress.
        recorder: called once with the reporter of the progress, which can be asked to stop.

    Raises:
        ProjectError: a project cannot be opened.
        ConflictError: a check of integrity failed, or the projects do not go together.
        StoreError: vectors or decisions are missing or cannot be read.
        NotYetError: there is too little to learn from. UsageError: a name is unknown.
        LockedError: another process trains this model.
        TrainingStopped: it was asked to stop.
    """
    config, task = config or SplitConfig(), task or default_task(kind)
    holdout = config.holdout
    wanted = sorted({*project_ids, *([holdout] if holdout else [])})
    if holdout and wanted == [holdout]:
        raise UsageError("nothing is left to train on", doing="training", hint="name a project besides --holdout")
    for project_id in wanted:
        workspace.project(project_id)  # an unknown name is an error before anything begins
    with progress.reported(workspace, kind, wanted, show) as reporter:
        if recorder:
            recorder(reporter)
        reporter.phase("checking the decisions")
        frozen = training_sets.collect(workspace, kind, wanted)
        if isinstance(task, PickTask):
            version, promoted, metadata = train_picks(workspace, frozen, task, holdout, reporter)
        else:
            version, promoted, metadata = _train_crops(workspace, frozen, task, config, reporter)
        lines = evaluation.lines_of(task, version, metadata)
        name = f"training_{kind}_v{version}_{metadata['made_at'][:10]}.md"
        report = written_files.free_path(workspace, workspace.summaries / name)
        text = [f"# {kind} v{version}", "", *(f"- {line}" for line in lines), ""]
        written_files.write_text(workspace, report, "\n".join(text))
        reporter.result = "\n".join(lines)
    return Trained(kind, version, promoted, metadata, report, tuple(lines))


def _train_crops(
    workspace: Workspace, frozen: TrainingSet, task: CropTask, config: SplitConfig, reporter: ProgressReporter
) -> tuple[int, bool, dict[str, Any]]:
    """A crop model's version, whether it recommends, and its metadata."""
    started = time.monotonic()
    training_sets.freeze(workspace, frozen)
    reporter.phase("making features")
    examples = [example for example in frozen.examples if isinstance(example, CropExample)]
    split = splits.split(examples, config)
    _require_enough(frozen, task, split, Counter())  # before the images are read, which takes long
    sources = FeatureSources(workspace.project(project_id) for project_id in frozen.projects)
    features = task.features(examples, sources, reporter.count)
    missing = Counter(_kind_of(reason) for reason in features.missing.values())
    kept = np.array([row for row in range(len(examples)) if row not in features.missing], dtype=np.int64)
    examples, split = [examples[row] for row in kept], Split(split.sides[kept], config)
    splits.require_apart(examples, split.sides)
    _require_enough(frozen, task, split, missing)
    train, held_out = ([examples[row] for row in split.rows(side)] for side in (TRAIN, HELD_OUT))
    train_features, held_out_features = (features.take(kept[split.rows(side)]) for side in (TRAIN, HELD_OUT))
    model, how = _fit(task, train, train_features, config.seed, reporter)
    reporter.phase("evaluating")
    judged, baselines = task.baselines(train, train_features, held_out, held_out_features)
    verdict, previous = _verdict(workspace, task, frozen, model, held_out, held_out_features, judged)
    metrics = task.score(model, held_out, held_out_features)
    metadata = {
        "made_at": utc_now(),
        "projects": list(frozen.projects),
        "data": frozen.origin(workspace) | {"used": split.counts, "without_features": dict(missing)},
        "features": {"hash": task.feature_hash, "encoder": frozen.encoder},
        "model": model.proposer.description,
        "calibration": asdict(model.calibration),
        "settings": {"cropper": asdict(task.config)},
        "tried": [],
        "fitted": how,
        "split": split.to_dict(),
        "seeds": {"split": config.seed, "model": task.config.seed},
        "seconds": round(time.monotonic() - started, 1),
        "metrics": metrics,
        "baselines": baselines,
        "previous": previous,
        "verdict": {
            "current": verdict.promoted,
            "reason": verdict.reason,
            **verdict.compared,
            "crop_or_none": evaluate_crop_gate(metrics),
        },
    }
    keys = frozenset().union(*(splits.file_keys(example) for example in train))
    version = checkpoints.save(workspace, task.name, model.proposer.arrays, metadata, splits.prints(keys))
    if verdict.promoted:
        checkpoints.make_current(workspace, task.name, version, verdict.reason)
    return version, verdict.promoted, metadata


def _fit(
    task: CropTask, examples: list[CropExample], features: CropFeatures, seed: int, reporter: ProgressReporter
) -> tuple[CropModel, str]:
    """A model of the rows that are not held out, and how its confidence was fitted, in words.

    There are too few rows to set some apart for this: confidence is fitted on predictions for each fold by models of
    the other folds (cross-fitting).
    """

    def progress(done: int, of: int, loss: float) -> None:
        reporter.count(done, of, loss)
        if reporter.stopping:
            raise TrainingStopped("stopped", doing=f"training the {task.name}", hint="train again: it begins anew")

    reporter.phase("training")
    model = task.fit(examples, features, progress)
    folds, raw, right = splits.folds(examples, _FOLDS, seed), [np.zeros(0)], [np.zeros(0)]
    for fold in range(_FOLDS):
        asked, others = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        if len(asked) and len(others):
            reporter.phase(f"measuring its confidence, {fold + 1} of {_FOLDS}")
            part = task.fit([examples[row] for row in others], features.take(others), progress)
            found = task.evidence(part, [examples[row] for row in asked], features.take(asked))
            raw.append(found.raw)
            right.append(found.right)
    calibration = fit_calibration(np.concatenate(raw), np.concatenate(right))
    return CropModel(model.proposer, calibration), f"confidence cross-fitted on {calibration.rows} rows"


def _require_enough(frozen: TrainingSet, task: CropTask, split: Split, missing: Counter[str]) -> None:
    """Raise NotYetError where a version could not be learned, or not be judged."""
    counts = split.counts
    if counts["train"] >= LEAST_TRAIN and counts["held_out"] >= LEAST_ROWS:
        return
    what = f"{counts['train']} {task.unit} to train on and {counts['held_out']} held out"
    if not frozen.examples:
        what = f"none of the decisions is an example for the {frozen.kind}"
    if missing:
        what += f"; {missing.total()} have no features, most often: {missing.most_common(1)[0][0]}"
    names = " ".join(frozen.projects)
    raise NotYetError(
        f"there is too little to learn from: {what}",
        doing=f"training the {frozen.kind}",
        hint=f"{LEAST_TRAIN} and {LEAST_ROWS} are needed: decide more, embed what is new; see: pickroom check {names}",
    )


def _verdict(
    workspace: Workspace,
    task: CropTask,
    frozen: TrainingSet,
    model: CropModel,
    held_out: list[CropExample],
    features: CropFeatures,
    baselines: dict[str, np.ndarray],
) -> tuple[Verdict, dict[str, Any] | None]:
    """Whether the new version may recommend, and how the current one does on the same rows."""
    rival, previous, note = None, None, ""
    try:
        checkpoint = checkpoints.load_current(workspace, task.name)
        if checkpoint is not None:
            checkpoint.require_features(task.feature_hash, frozen.encoder)
            old = model_of(checkpoint)
            unseen = ~splits.seen(held_out, checkpoint.seen)
            rows = np.flatnonzero(unseen)
            both = [held_out[row] for row in rows], features.take(rows)
            its = task.evidence(old, held_out, features)
            rival = Rival(checkpoint.label, its, unseen[task.judged(held_out)])
            scored = {
                name: task.score(one, *both) if len(rows) else None for name, one in (("metrics", old), ("new", model))
            }
            previous = {"version": checkpoint.version, "rows": len(rows), **scored}
    except (ConflictError, StoreError) as error:
        note = f"the current version can recommend no longer ({error.what})"
    return judge(task.evidence(model, held_out, features), baselines, rival, note), previous


def evaluate_crop_gate(scored: Mapping[str, Any]) -> dict[str, Any]:
    """Whether what a crop proposer predicts of "a crop or none" counts: only if the same answer for all is not better.

    Never wrong counts too, where every held-out image was cropped, or none.

    Args:
        scored: the version's metrics on its held-out rows.

    Returns:
        {"counts": bool, "new": its share of right answers, "majority": that of the same answer for all}.
    """
    new, majority = scored["need"]["right"], scored["need_without_asking"]["right"]
    counts = new > majority or new == scored["need"]["of"] > 0
    return {"counts": counts, "new": scored["need"]["value"], "majority": scored["need_without_asking"]["value"]}


def judge(
    own: Evidence,
    baselines: Mapping[str, np.ndarray],
    rival: Rival | None,
    note: str = "",
) -> Verdict:
    """Hold a new version's figures of (N,) held-out rows against the baselines' and the current version's.

    Args:
        note: why the current version takes no part, "" where there is none or it does.
    """
    count = len(own.figures)
    if count < LEAST_ROWS:
        return Verdict(False, f"only {plural(count, 'held-out row')}: too few to tell", {"rows": count})
    figure = float(own.figures.mean())
    compared: dict[str, Any] = {"rows": count, "new": figure}
    compared["baselines"] = {name: float(values.mean()) for name, values in baselines.items()}
    name, best = max(compared["baselines"].items(), key=lambda pair: pair[1])
    beaten = f'the baseline "{name}" ({figure:.3f} to {best:.3f} on {count} rows)'
    if figure <= best:
        return Verdict(False, f"it does not beat {beaten}", compared)
    if rival is None:
        return Verdict(True, "; ".join(part for part in (f"it beats {beaten}", note) if part), compared)
    rows = int(rival.unseen.sum())
    compared["previous"] = {"version": rival.label, "rows": rows}
    if rows < LEAST_ROWS:
        those = f"all but {rows} of" if rows else "all of"
        what = f"{rival.label} was trained on {those} the held-out rows: it cannot be compared fairly"
        return Verdict(False, f"it beats {beaten}, but {what}", compared)
    new, old = (float(one.figures[rival.unseen].mean()) for one in (own, rival.evidence))
    loss, old_loss = (float(one.losses[rival.unseen].mean()) for one in (own, rival.evidence))
    compared["previous"] |= {"new": new, "previous": old}
    words = f"{rival.label} ({new:.3f} to {old:.3f} on {rows} rows that neither was trained on)"
    if new > old or (new == old and loss < old_loss):
        how = "" if new > old else ", by the smaller loss"
        return Verdict(True, f"it beats {words}{how}, and {beaten}", compared)
    return Verdict(False, f"it does not beat {words}", compared)


def _kind_of(reason: str) -> str:
    """A reason without the file it is about, so that many of them can be counted."""
    if "without a patch grid" in reason:
        return "its vector was imported without a patch grid"
    return "no vector" if "vector" in reason else reason
