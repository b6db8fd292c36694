"""The fits of one training: each setting that is tried, and those that tell how far its confidence can be believed.

Few rows are too dear to be set apart for calibration: then the model is fitted on all that are not held out, and its
confidence on what fits without a third of them say of that third (cross-fitting). Many rows are enough to hold some
apart, at the cost of one fit. A stopped training goes on with the fit it was in.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickroom.learn import resume_state, splits
from pickroom.learn.examples import TrainingStep
from pickroom.learn.progress import ProgressReporter, TrainingStopped
from pickroom.learn.splits import CALIBRATE, HELD_OUT, TRAIN, Split
from pickroom.learn.tasks import Evidence, TrainingTask
from pickroom.store.workspace import Workspace

FOLDS = 3
CROSS_FIT_BELOW = 2000  # rows that are not held out


@dataclass(frozen=True, slots=True)
class Fitted:
    """What came of it.

    Attributes:
        models: one a setting, calibrated; `model` is the best of them on rows that it was not fitted on.
        tried: of each setting, its figure on those rows, and whether it was chosen.
        how: in words, how confidence was fitted.
    """

    model: Any
    models: tuple[Any, ...]
    tried: tuple[dict[str, Any], ...]
    how: str


@dataclass(frozen=True, slots=True)
class _Job:
    """One fit: a setting on some rows, and the rows that it is then asked about."""

    setting: float
    rows: np.ndarray
    asked: np.ndarray
    words: str


def fit(
    workspace: Workspace,
    task: TrainingTask,
    examples: Sequence[Any],
    features: Any,
    split: Split,
    device: str,
    reporter: ProgressReporter,
) -> Fitted:
    """Fit every setting on the rows that are not held out; raises TrainingStopped when somebody wants that."""
    jobs = _jobs(task, examples, split)
    key = _key(task, examples, split, device)
    done = resume_state.read(workspace, task.name, key)
    for job in jobs[len(done.finished) :]:
        reporter.phase(job.words)
        writer = resume_state.ResumeWriter(workspace, task.name, key, done.finished)

        def progress(step: TrainingStep, writer: resume_state.ResumeWriter = writer) -> None:
            reporter.step(step)
            stopping = reporter.stopping  # asked once: what stops it must have been saved
            writer.step(step, now=stopping)
            if stopping:
                hint = "the same command goes on where it was"
                raise TrainingStopped("stopped, and saved", doing=f"training the {task.name}", hint=hint)

        own = [examples[row] for row in job.rows]
        model = task.fit(own, features.take(job.rows), job.setting, progress, done.snapshot, device)
        done = resume_state.ResumeState([*done.finished, {"state": model.state(), "description": model.describe()}])
    made = [task.rebuild(one["state"], one["description"]) for one in done.finished]
    found = _chosen(task, examples, features, jobs, made)
    resume_state.forget(workspace, task.name)
    return found


def _jobs(task: TrainingTask, examples: Sequence[Any], split: Split) -> list[_Job]:
    """Setting by setting: first the fit that is kept, then those that only tell how good it is."""
    train, calibrate = split.rows(TRAIN), split.rows(CALIBRATE)
    both = np.sort(np.concatenate([train, calibrate]))
    nothing = np.zeros(0, dtype=np.int64)
    jobs = []
    for setting in task.settings:
        name = f" ({setting:g})" if len(task.settings) > 1 else ""
        if len(both) >= CROSS_FIT_BELOW:
            jobs.append(_Job(setting, train, calibrate, f"training{name}"))
            continue
        folds = splits.folds([examples[row] for row in both], FOLDS, split.config.seed)
        jobs.append(_Job(setting, both, nothing, f"training{name}"))
        jobs += [
            _Job(setting, both[folds != n], both[folds == n], f"measuring its confidence{name}, {n + 1} of {FOLDS}")
            for n in range(FOLDS)
            if (folds == n).any() and (folds != n).any()
        ]
    return jobs


def _chosen(
    task: TrainingTask, examples: Sequence[Any], features: Any, jobs: Sequence[_Job], made: Sequence[Any]
) -> Fitted:
    models, tried, ranks = [], [], []
    crossed = any(not len(job.asked) for job in jobs)
    for setting in task.settings:
        own = [(job, model) for job, model in zip(jobs, made, strict=True) if job.setting == setting]
        pieces = [
            task.evidence(model, [examples[row] for row in job.asked], features.take(job.asked))
            for job, model in own
            if len(job.asked)
        ]
        evidence = Evidence.joined(pieces)
        models.append(task.calibrated(own[0][1], evidence))
        ranks.append((evidence.figure, evidence.tie_break))
        tried.append({"setting": setting, "figure": evidence.figure, "rows": len(evidence.raw)})
    best = max(range(len(models)), key=lambda number: ranks[number])
    for number, one in enumerate(tried):
        one["chosen"] = number == best
    rows = tried[best]["rows"]
    how = f"confidence cross-fitted on {rows} rows" if crossed else f"confidence fitted on {rows} rows set apart"
    return Fitted(models[best], tuple(models), tuple(tried), how)


def _key(task: TrainingTask, examples: Sequence[Any], split: Split, device: str) -> str:
    """What a stopped training must have in common with the one that goes on with it."""
    kept = split.sides != HELD_OUT
    rows = [
        [side, repr(example)] for side, example, used in zip(split.sides.tolist(), examples, kept, strict=True) if used
    ]
    values = [rows, split.config.seed, task.to_dict(), task.feature_hash, device]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
