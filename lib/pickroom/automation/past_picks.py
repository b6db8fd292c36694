"""What the model would have said of past picks, before it learned them: the only place that asks `learn` for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from pickroom.store.workspace import Project

BLOCKS = 5  # in time order; the first is only learned from
LEAST = 20  # picks that a model is fitted on


@dataclass(frozen=True, slots=True)
class PastPick:
    """One past pick, predicted by a model of the earlier ones: confidence in [0, 1], and whether it was this pick."""

    confidence: float
    right: bool
    anomaly: bool | None


def cross_fitted(project: Project, progress: Callable[[int, int], None] | None = None) -> list[PastPick]:
    """Predict a project's picks block by block in time order, imported ones too, each from all that came before it.

    Confidences are calibrated on the block before, which the model did not learn then. Empty with too few picks.

    Raises:
        ConflictError, UsageError: the project's rows cannot be trained on, or it has no vectors.
    """
    from pickroom.features.sources import FeatureSources
    from pickroom.learn import metrics, training_sets
    from pickroom.learn.examples import Pick
    from pickroom.learn.picks.model import PickTask

    frozen = training_sets.collect(project.workspace, "ranker", [project.id])
    picks = sorted((one for one in frozen.examples if isinstance(one, Pick)), key=lambda pick: pick.decided_at)
    task = PickTask()
    features = task.features(picks, FeatureSources([project]), progress)
    kept = np.array([row for row in range(len(picks)) if row not in features.missing], dtype=np.int64)
    found: list[PastPick] = []
    evidence = None
    for block in np.array_split(np.arange(len(kept)), BLOCKS)[1:]:
        if len(block) == 0 or block[0] < LEAST:
            continue
        earlier, asked = kept[: block[0]], kept[block]
        now, learned = [picks[i] for i in asked], [picks[i] for i in earlier]
        model = task.fit(learned, features.take(earlier), task.settings[0], lambda step: None, None, "cpu")
        sure = model if evidence is None else task.calibrated(model, evidence)
        said = sure.pick([one.candidates for one in now], features.take(asked))
        evidence = task.evidence(model, now, features.take(asked))
        right = metrics.chosen_right(now, said.probabilities)
        found += [
            PastPick(float(confidence), bool(was > 0.5), one.anomaly)
            for confidence, was, one in zip(said.confidence, right, now, strict=True)
        ]
    return found
