"""A training from end to end: check, freeze, features, fit, calibrate, evaluate, save, promote; it can be watched."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pickroom import atomic
from pickroom.embeddings import device as devices
from pickroom.errors import ConflictError, PickroomError, StoreError, UsageError
from pickroom.learn import checkpoints, resuming, splits, training_sets, watching
from pickroom.learn.promotion import LEAST_ROWS, Rival, Verdict, judge
from pickroom.learn.recipes import Recipe, model_of, recipe_of
from pickroom.learn.sources import Sources
from pickroom.learn.splits import CALIBRATE, HELD_OUT, TRAIN, Split, SplitConfig
from pickroom.learn.training_sets import Kind, TrainingSet
from pickroom.learn.watching import Recorder, Status
from pickroom.workspace import Workspace, utc_now

LEAST_TRAIN = 20  # rows; fewer would be learned by heart


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """What the person may choose of a training.

    Attributes:
        split: which rows are held out; a project of its own with `holdout`.
        device: "cuda", "mps" or "cpu"; None is the CPU, which these small networks are fastest on.
    """

    split: SplitConfig = field(default_factory=SplitConfig)
    device: str | None = "cpu"


class TrainingStopped(PickroomError):
    """Somebody asked a training to stop; it is saved, and the same command goes on with it."""

    exit_code = 1


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training made.

    Attributes:
        metadata: what the version's JSON file holds.
        report: where the short report lies.
        lines: the same in words.
    """

    name: str
    version: int
    promoted: bool
    metadata: dict[str, Any]
    report: Path
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows of a set that have features, side by side with them."""

    recipe: Recipe
    examples: list[Any]
    features: Any
    split: Split

    def of(self, side: int) -> tuple[list[Any], Any]:
        rows = self.split.rows(side)
        return [self.examples[row] for row in rows], self.features.take(rows)


def train(
    workspace: Workspace,
    kind: Kind,
    project_ids: Sequence[str],
    config: TrainConfig | None = None,
    recipe: Recipe | None = None,
    show: Callable[[Status], None] | None = None,
    recorder: Callable[[Recorder], None] | None = None,
) -> Trained:
    """Train one model on the decisions of some projects, and let it recommend if it has earned that.

    Args:
        show: called with each change of the progress.
        recorder: called once with what the training tells its progress to (it can be asked to stop).

    Raises:
        ConflictError: a check of integrity failed, or the projects do not go together.
        StoreError: vectors or decisions are missing or cannot be read.
        UsageError: there is too little to learn from, or a name is unknown.
        LockedError: another process trains this model.
        TrainingStopped: somebody asked it to stop.
    """
    config, recipe = config or TrainConfig(), recipe or recipe_of(kind)
    holdout = config.split.holdout
    wanted = sorted({*project_ids, *([holdout] if holdout else [])})
    if holdout and wanted == [holdout]:
        raise UsageError("nothing is left to train on", doing="training", hint="name a project besides --holdout")
    with watching.only_one(workspace, kind):
        told = Recorder(workspace, kind, wanted, show)
        if recorder:
            recorder(told)
        try:
            made = _train(workspace, kind, wanted, config, recipe, told)
        except TrainingStopped as error:
            told.end("stopped", error.line)
            raise
        except BaseException as error:
            told.end("failed", error.line if isinstance(error, PickroomError) else f"{type(error).__name__}: {error}")
            raise
        told.end("done", "\n".join(made.lines))
        return made


def _train(
    workspace: Workspace, kind: Kind, project_ids: Sequence[str], config: TrainConfig, recipe: Recipe, told: Recorder
) -> Trained:
    started = time.monotonic()
    device = devices.pick_device(devices.present(), config.device)
    told.phase("checking the decisions")
    frozen = training_sets.collect(workspace, kind, project_ids)
    path = training_sets.freeze(workspace, frozen)
    told.phase("making features")
    rows, missing = _features(workspace, frozen, recipe, config, told)
    model, tried = _fit(workspace, rows, config, device, told)
    told.phase("evaluating")
    held_out, features = rows.of(HELD_OUT)
    train_rows = rows.of(TRAIN)[0]
    verdict, previous = _verdict(workspace, recipe, frozen, model, held_out, features, train_rows)
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
        "features": {"hash": recipe.feature_hash, "encoder": frozen.encoder},
        **model.describe(),
        "settings": recipe.to_dict(),
        "tried": tried,
        "split": rows.split.to_dict(),
        "seeds": {"split": config.split.seed, "model": recipe.seed},
        "device": {"name": device, "words": devices.device_words(device)},
        "seconds": round(time.monotonic() - started, 1),
        "metrics": recipe.score(model, held_out, features),
        "baselines": recipe.score_baselines(train_rows, held_out),
        "previous": previous,
        "verdict": {"current": verdict.promoted, "reason": verdict.reason, **verdict.compared},
    }
    return _publish(workspace, recipe, frozen, rows, model, metadata, verdict)


def _features(
    workspace: Workspace, frozen: TrainingSet, recipe: Recipe, config: TrainConfig, told: Recorder
) -> tuple[_Rows, Counter[str]]:
    """The rows that have features, and why the others have none."""
    examples = list(frozen.examples)
    if not examples:
        raise _too_little(frozen, f"none of the decisions is an example for the {frozen.kind}")
    split = splits.split(examples, config.split)
    sources = Sources(workspace.project(project_id) for project_id in frozen.projects)
    features = recipe.features(examples, sources, told.count)
    missing = Counter(_kind_of(reason) for reason in features.missing.values())
    kept = np.array([row for row in range(len(examples)) if row not in features.missing], dtype=np.int64)
    rows = _Rows(recipe, [examples[row] for row in kept], features.take(kept), Split(split.sides[kept], split.config))
    splits.require_apart(rows.examples, rows.split.sides)
    counts = rows.split.counts
    if counts["train"] < LEAST_TRAIN or counts["held_out"] < LEAST_ROWS:
        what = f"{counts['train']} {recipe.unit} to train on and {counts['held_out']} held out"
        if missing:
            what += f"; {sum(missing.values())} have no features, most often: {missing.most_common(1)[0][0]}"
        raise _too_little(frozen, what)
    return rows, missing


def _fit(
    workspace: Workspace, rows: _Rows, config: TrainConfig, device: str, told: Recorder
) -> tuple[Any, list[dict[str, Any]]]:
    """One fit a setting; the best on the rows that calibrate, calibrated, and how each of them did."""
    recipe = rows.recipe
    train, features = rows.of(TRAIN)
    calibrate, calibrate_features = rows.of(CALIBRATE)
    key = _key(rows, config, device)
    resume = resuming.read(workspace, recipe.name, key)
    models = [recipe.rebuild(one["state"], one["description"]) for one in resume.finished]
    for number, setting in enumerate(recipe.settings):
        if number < len(models):
            continue
        told.phase("training" + (f" ({setting:g})" if len(recipe.settings) > 1 else ""))
        saver = resuming.Saver(workspace, recipe.name, key, resume.finished)

        def progress(step: Any, saver: resuming.Saver = saver) -> None:
            saver.step(step, now=told.stopping)
            told.step(step)

        try:
            model = recipe.fit(train, features, setting, progress, resume.snapshot, device)
        except KeyboardInterrupt:
            hint = "the same command goes on where it was"
            raise TrainingStopped("stopped, and saved", doing=f"training the {recipe.name}", hint=hint) from None
        resume = resuming.Saved([*resume.finished, {"state": model.state(), "description": model.describe()}], None)
        models.append(model)
    models = [recipe.calibrate(model, calibrate, calibrate_features) for model in models]
    ranks = [
        (
            float(recipe.figure(model, calibrate, calibrate_features).mean()) if calibrate else 0.0,
            recipe.tie_break(model, calibrate, calibrate_features) if calibrate else 0.0,
        )
        for model in models
    ]
    best = max(range(len(models)), key=lambda number: ranks[number])
    held_out, held_out_features = rows.of(HELD_OUT)
    tried = [
        {
            "setting": setting,
            "chosen": number == best,
            "calibrate": ranks[number][0],
            "held_out": recipe.score(models[number], held_out, held_out_features),
        }
        for number, setting in enumerate(recipe.settings)
    ]
    resuming.forget(workspace, recipe.name)
    return models[best], tried if len(tried) > 1 else []


def _verdict(
    workspace: Workspace,
    recipe: Recipe,
    frozen: TrainingSet,
    model: Any,
    held_out: list[Any],
    features: Any,
    train_rows: list[Any],
) -> tuple[Verdict, dict[str, Any] | None]:
    """Whether the new version may recommend, and how the current one does on the same rows."""
    figures = recipe.figure(model, held_out, features)
    baselines = recipe.judged_baselines(train_rows, held_out)
    rival, previous, note, tie = None, None, "", 0.0
    try:
        checkpoint = checkpoints.load_current(workspace, recipe.name)
        if checkpoint is not None:
            checkpoint.require_features(recipe.feature_hash, frozen.encoder)
            old = model_of(checkpoint)
            unseen = ~splits.seen(held_out, np.asarray(checkpoint.state.get("seen", [])))
            both, both_features = (
                [held_out[row] for row in np.flatnonzero(unseen)],
                features.take(np.flatnonzero(unseen)),
            )
            old_tie = recipe.tie_break(old, both, both_features) if both else 0.0
            tie = recipe.tie_break(model, both, both_features) if both else 0.0
            rival = Rival(checkpoint.label, recipe.figure(old, held_out, features), old_tie, unseen)
            previous = {
                "version": checkpoint.version,
                "rows": len(both),
                "metrics": recipe.score(old, both, both_features) if both else None,
                "new": recipe.score(model, both, both_features) if both else None,
            }
    except (ConflictError, StoreError) as error:
        note = f"the current version can recommend no longer ({error.what})"
    return judge(figures, tie, baselines, rival, note), previous


def _publish(
    workspace: Workspace,
    recipe: Recipe,
    frozen: TrainingSet,
    rows: _Rows,
    model: Any,
    metadata: dict[str, Any],
    verdict: Verdict,
) -> Trained:
    import torch

    fitted = [frozen_example for side in (TRAIN, CALIBRATE) for frozen_example in rows.of(side)[0]]
    keys = frozenset().union(*(splits.file_keys(example) for example in fitted))
    state = {"model": model.state(), "seen": torch.from_numpy(splits.prints(keys).copy())}
    version = checkpoints.save(workspace, recipe.name, state, metadata)
    if verdict.promoted:
        checkpoints.make_current(workspace, recipe.name, version, verdict.reason)
    lines = _words(recipe, version, metadata, verdict)
    report = workspace.summaries / f"training_{recipe.name}_v{version}_{metadata['made_at'][:10]}.md"
    report.parent.mkdir(parents=True, exist_ok=True)
    text = [f"# {recipe.name} v{version}", "", *(f"- {line}" for line in lines), ""]
    atomic.write_text(report, "\n".join(text))
    return Trained(recipe.name, version, verdict.promoted, metadata, report, tuple(lines))


def _words(recipe: Recipe, version: int, metadata: dict[str, Any], verdict: Verdict) -> list[str]:
    data, counts = metadata["data"], metadata["data"]["used"]
    how = "the whole project held out" if metadata["split"]["by"] == "project" else "split by group"
    lines = [
        f"{recipe.name} v{version} of {', '.join(metadata['projects'])}: {counts['train']} {recipe.unit} trained on, "
        f"{counts['calibrate']} for confidence, {counts['held_out']} held out ({how}), {metadata['seconds']:.0f} s",
    ]
    left_out = Counter[str]()
    for project in data["projects"].values():
        left_out.update(project["left_out"])
    left_out.update(data["without_features"])
    if left_out:
        lines.append("left out: " + ", ".join(f"{count} {reason}" for reason, count in left_out.most_common()))
    lines.append(f"held out: {recipe.words(metadata['metrics'])}")
    lines += [f"  {name}: {recipe.words(scored)}" for name, scored in metadata["baselines"].items()]
    previous = metadata["previous"]
    if previous and previous["metrics"]:
        lines.append(
            f"  v{previous['version']} on the {previous['rows']} of them it was not trained on: "
            f"{recipe.words(previous['metrics'])}; v{version} there: {recipe.words(previous['new'])}"
        )
    for one in metadata["tried"]:
        kept = " (kept)" if one["chosen"] else ""
        lines.append(f"  anomaly weight {one['setting']:g}{kept}: {recipe.words(one['held_out'])}")
    state = "it recommends from now on" if verdict.promoted else "kept, and not used"
    return [*lines, f"{state}: {verdict.reason}"]


def _key(rows: _Rows, config: TrainConfig, device: str) -> str:
    """What a stopped training must have in common with the one that goes on with it."""
    files = sorted(key for example in rows.examples for key in splits.file_keys(example))
    split, settings = rows.split.to_dict(), rows.recipe.to_dict()
    values = [files, split, rows.split.sides.tolist(), settings, rows.recipe.feature_hash, device]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def _kind_of(reason: str) -> str:
    """A reason without the file it is about, so that many of them can be counted."""
    return "no vector" if "vector" in reason else reason


def _too_little(frozen: TrainingSet, what: str) -> UsageError:
    names = " ".join(frozen.projects)
    return UsageError(
        f"there is too little to learn from: {what}",
        doing=f"training the {frozen.kind}",
        hint=f"at least {LEAST_TRAIN} and {LEAST_ROWS} are needed: decide more, embed what is new, see: pickroom check {names}",
    )
