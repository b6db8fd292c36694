"""A training of the ranker: all decisions replayed, scored before they are learned, and a version written."""

import time
from collections import Counter

import numpy as np

from pickroom.core.errors import NotYetError
from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints, training_sets
from pickroom.learn.examples import Pick
from pickroom.learn.picks import current
from pickroom.learn.picks.learner import replay
from pickroom.learn.picks.model import baseline_scores, scores
from pickroom.learn.picks.task import PickTask, compared_weights, split_scores
from pickroom.learn.progress import ProgressReporter, TrainingStopped
from pickroom.learn.training_sets import TrainingSet
from pickroom.store.workspace import Workspace

LEAST = 20  # groups; fewer would be learned by heart


def train_picks(
    workspace: Workspace, frozen: TrainingSet, task: PickTask, holdout: str | None, reporter: ProgressReporter
) -> tuple[int, bool, dict[str, object]]:
    """Learn from every decision of a frozen set but those of a project held out; returns version, promoted, metadata.

    Raises:
        NotYetError: there is too little to learn from.
        TrainingStopped: somebody asked it to stop.
    """
    began = time.monotonic()
    path = training_sets.freeze(workspace, frozen)
    picks = current.in_time([example for example in frozen.examples if isinstance(example, Pick)])
    _require(frozen, len(picks), Counter())
    reporter.phase("making features")
    sources = FeatureSources(workspace.project(project_id) for project_id in frozen.projects)
    features = task.features(picks, sources, reporter.count)
    missing = Counter("no vector" if "vector" in why else why for why in features.missing.values())
    kept = np.array([row for row in range(len(picks)) if row not in features.missing], dtype=np.int64)
    own = kept[features.projects[kept] != holdout] if holdout else kept
    _require(frozen, len(own), missing)
    learned, inputs = [picks[row] for row in own], features.take(own)

    def count(done: int, of: int) -> None:
        reporter.count(done, of)
        if reporter.stopping:
            raise TrainingStopped("stopped", doing="training the ranker", hint="train again: it begins anew")

    reporter.phase("training")
    rivals = current.rival_of_current(workspace, task, frozen.encoder, learned, inputs)
    learner = replay(learned, inputs, task.config, rivals, count)
    assert learner.model is not None
    reporter.phase("evaluating")
    reports = split_scores(learned, inputs, task, learner.model, count)
    headline = min(reports, key=lambda name: reports[name]["overall"]["value"] or 0)
    reports["in time"] = scores(learned, learner.chances.astype(np.float64))
    if holdout:
        rest = kept[features.projects[kept] == holdout]
        others = [picks[row] for row in rest]
        headline = "project held out"
        reports[headline] = scores(others, learner.model.chances(features.take(rest)))
    verdict = current.judge(workspace, learner, task, frozen.encoder)
    metadata = current.metadata_of(workspace, frozen, path, task, learner, learned, verdict) | {
        "tried": compared_weights(learned, inputs, task, learner.model),
        "metrics": reports[headline],
        "headline": headline,
        "splits": reports,
    }
    if holdout:
        metadata["baselines"] = baseline_scores(others)
    metadata["data"] |= {"without_features": dict(missing)}
    metadata["seconds"] = round(time.monotonic() - began, 1)
    usable = current.usable_version(workspace, task, frozen.encoder)
    version = current.save_version(workspace, learner, learned, metadata)
    state = current.State(learner, 0, task.feature_hash, frozen.encoder)
    if verdict.promoted:
        checkpoints.make_current(workspace, "ranker", version, verdict.reason)
        current.write_state(workspace, current.adopted(state, version))
    elif not usable:  # no other version learns on
        current.write_state(workspace, state)
    return version, verdict.promoted, metadata


def _require(frozen: TrainingSet, count: int, missing: Counter[str]) -> None:
    if count >= LEAST:
        return
    what = f"{count} groups"
    if missing:
        what += f"; {missing.total()} have no features, most often: {missing.most_common(1)[0][0]}"
    names = " ".join(frozen.projects)
    raise NotYetError(
        f"there is too little to learn from: {what}",
        doing="training the ranker",
        hint=f"{LEAST} are needed: decide more, embed what is new; see: pickroom check {names}",
    )
