"""What the model would have said of past picks, before it learned them: the only place that asks `learn` for it."""

from collections.abc import Callable
from dataclasses import dataclass

from pickroom.store.workspace import Project


@dataclass(frozen=True, slots=True)
class PastPick:
    """One past pick, predicted by a model of the earlier ones: confidence in [0, 1], and whether it was this pick."""

    confidence: float
    right: bool
    anomaly: bool | None


def predicted_in_time(project: Project, progress: Callable[[int, int], None] | None = None) -> list[PastPick]:
    """A project's picks in time order, imported ones too, each predicted from all that came before it.

    Empty with no more picks than the model's first fit needs.

    Raises:
        ConflictError, UsageError: the project's rows cannot be trained on, or it has no vectors.
    """
    from pickroom.features.sources import FeatureSources
    from pickroom.learn import training_sets
    from pickroom.learn.examples import Pick
    from pickroom.learn.picks.current import in_time, usable_rows
    from pickroom.learn.picks.learner import FIRST_FIT, replay
    from pickroom.learn.picks.task import PickTask

    frozen = training_sets.collect(project.workspace, "ranker", [project.id])
    task, picks = PickTask(), in_time([one for one in frozen.examples if isinstance(one, Pick)])
    picks, features = usable_rows(picks, task, FeatureSources([project]), progress)
    learner = replay(picks, features, task.config)
    said = zip(picks, learner.chances.max(axis=1, initial=0.0), learner.right, strict=True)
    return [PastPick(float(sure), bool(right > 0.5), pick.anomaly) for pick, sure, right in said][FIRST_FIT:]
