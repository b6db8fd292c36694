"""The state of a project's models: how often they are right, against which baselines, and which features count."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pickroom.core.errors import PickroomError, StoreError
from pickroom.core.quantities import plural
from pickroom.learn import checkpoints, metrics, retraining, training_sets
from pickroom.learn.checkpoints import default_task
from pickroom.learn.examples import Pick
from pickroom.learn.picks import current
from pickroom.learn.picks.columns import OWN, source_of
from pickroom.learn.picks.learner import decision_prints
from pickroom.learn.picks.task import PickTask
from pickroom.learn.training_sets import KINDS
from pickroom.store import groups, recommendations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

# block of features -> what it is, in words
_BLOCKS = {
    "stage": "generation stage",
    "vector": "what the image shows",
    "technical": "light, sharpness and noise",
    "faces": "eyes, mouth and pose",
    "consistency": "agreement with the other images of the group",
    OWN: "images met in several groups",
}


@dataclass(slots=True)
class Standing:
    """The state of the models.

    Attributes:
        projects: learned from together; left_out: why others are not, a line each.
        right, baseline: (n,) in [0, 1], of each decision in the order learned: whether the model was right before it
            learned it, and whether "highest stage" was, or a guess where there are none; sure: (n,) in [0, 1], how sure
            the model was.
        bets: (rival, groups, e-value) of the current learner; verdict: what follows from them, in words.
        weights: block of features in words -> its share of what tells images of a group apart, falling; sum 1.
        versions: the latest first: name, "recommends" or "", day made, score on unseen rows next to a baseline, and why
            it is used or not. reasons: what recommendations give as reasons -> for how many waiting groups.
    """

    projects: tuple[str, ...]
    left_out: tuple[str, ...]
    versions: tuple[tuple[str, ...], ...]
    reasons: dict[str, int]
    right: np.ndarray = field(default_factory=lambda: np.zeros(0))
    baseline: np.ndarray = field(default_factory=lambda: np.zeros(0))
    sure: np.ndarray = field(default_factory=lambda: np.zeros(0))
    bets: tuple[tuple[str, int, float], ...] = ()
    verdict: str = ""
    weights: dict[str, float] = field(default_factory=dict)

    @property
    def headline(self) -> str:
        """How often the model and the baseline were right of the last decisions, with the intervals."""
        if not len(self.right):
            return "Nothing has been learned yet."
        last = min(len(self.right), metrics.WINDOW)
        staged = np.isin(self.baseline, (0, 1)).any()  # a guess is right in part
        said = [
            f"{name} in {_rate(values[-last:])}"
            for name, values in (
                ("The model was right", self.right),
                ('"highest stage"' if staged else "a guess", self.baseline),
            )
        ]
        learned = plural(len(self.right), "decision")
        return f"{'; '.join(said)} of the last {last}. {learned} seen, each judged before it was learned."

    @property
    def over_time(self) -> list[dict[str, Any]]:
        """Rows for `figures.rolling`."""
        pairs = zip(metrics.rolling(self.right), metrics.rolling(self.baseline), strict=True)
        return [
            {"project_id": "", "place": place, "selection_accuracy": float(own), "baseline": float(theirs)}
            for place, (own, theirs) in enumerate(pairs, start=1)
        ]

    @property
    def calibration(self) -> list[dict[str, float]]:
        """Rows for `figures.calibration`."""
        return metrics.calibration_rows(self.sure, self.right)


def standing(project: Project) -> Standing:
    """Read the state of the models.

    Raises:
        ConflictError, StoreError: decisions or models cannot be read.
    """
    workspace = project.workspace
    names, left_out = retraining.together(workspace, project)
    with open_read_only(project.database) as connection:
        ids = [group.group_id for group in groups.queue(connection, project.id)]
        said = [reason for one in recommendations.of_groups(connection, ids).values() for reason in one.reasons]
    found = Standing(tuple(names), tuple(left_out), _versions(workspace), dict(Counter(said).most_common()))
    state = current.read_state(workspace)
    if state is None or not len(state.learner.learned):
        return found
    learner = state.learner
    picks = [one for one in training_sets.collect(workspace, "ranker", names).examples if isinstance(one, Pick)]
    known = dict(zip(decision_prints(picks).tolist(), picks, strict=True))
    rows = [row for row, key in enumerate(learner.learned.tolist()) if key in known]
    found.right, found.sure = learner.right[rows].astype(np.float64), learner.chances[rows].max(axis=1, initial=0.0)
    found.baseline = metrics.highest_stage_right([known[int(learner.learned[row])] for row in rows])
    found.bets = tuple((name, bet.groups, bet.value) for name, bet in learner.bets.items() if bet.groups)
    found.verdict = current.judge(workspace, learner, PickTask(), state.encoder).reason
    found.weights = _shares(learner.model.preference.variances) if learner.model else {}
    return found


def _shares(variances: dict[str, float]) -> dict[str, float]:
    """The share of each block in the variance of utilities within a group, by the fitted prior (`fit_preference`)."""
    found: defaultdict[str, float] = defaultdict(float)
    for name, variance in variances.items():
        found[_BLOCKS.get(source_of(name), source_of(name))] += variance / sum(variances.values())
    return dict(sorted(found.items(), key=lambda one: -one[1]))


def _versions(workspace: Workspace) -> tuple[tuple[str, ...], ...]:
    found = []
    for kind in KINDS:
        try:
            chosen = checkpoints.current(workspace, kind)
        except StoreError:  # a damaged file: none recommends
            chosen = None
        for number in checkpoints.versions(workspace, kind):
            name, state = f"{kind} v{number}", "recommends" if number == chosen else ""
            try:
                about = checkpoints.read_metadata(workspace, kind, number)
                said = default_task(kind).plain(about["metrics"], about["baselines"])
                found.append((name, state, about["made_at"], said, about["verdict"]["reason"]))
            except (OSError, ValueError, KeyError, TypeError, PickroomError) as error:
                found.append((name, state, "", "", f"its metadata cannot be read ({error})"))
    latest = sorted(found, key=lambda line: line[2], reverse=True)
    return tuple((name, state, made_at[:10], *words) for name, state, made_at, *words in latest)


def _rate(right: np.ndarray) -> str:
    low, high = metrics.wilson(float(right.sum()), len(right))
    return f"{100 * right.mean():.0f} % ({100 * low:.0f}-{100 * high:.0f} %)"
