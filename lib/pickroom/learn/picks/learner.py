"""Learn picks one after the other: each group is predicted before its pick is learned.

A version is judged by these predictions, with bets against its rivals. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pickroom.core.records import MAX_GROUP
from pickroom.features.pick_features import PickFeatures
from pickroom.learn import splits
from pickroom.learn.examples import Pick
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.model import (
    BASELINES,
    PickModel,
    baselines_right,
    chosen_of,
    comparisons,
    even_chances,
    fit_model,
    right_of,
)

ENOUGH = 20.0
_SHARES = np.array([0.05, 0.1, 0.2, 0.35, 0.5, 0.7])


@dataclass(slots=True)
class Bet:
    """A test whether a model is better than a rival, valid at any time: a bet on each group before its pick is known.

    An e-process (Waudby-Smith and Ramdas 2023): if the model is right no more often than its rival, the wealth of a
    gambler who bets on it is expected not to grow, so it ever reaches 20 with a probability of at most 1/20 (Ville
    1939), however often the result is checked. The gambler splits the money between several shares of the wealth to
    bet.

    Attributes:
        logs: (6,) float64, the log wealth of each share; groups: bets made.
    """

    logs: np.ndarray = field(default_factory=lambda: np.zeros(len(_SHARES)))
    groups: int = 0

    def on(self, right: np.ndarray, rival: np.ndarray) -> None:
        """Bet that a model is right more often than its rival.

        Args:
            right, rival: (N,) in [0, 1], of the same groups; neither had learned their picks.
        """
        for ahead in (np.asarray(right, np.float64) - rival).tolist():
            self.logs = self.logs + np.log1p(_SHARES * ahead)
            self.groups += 1

    @property
    def value(self) -> float:
        """The e-value so far; 1 before the first bet."""
        return float(np.exp(min(self.logs.max(), 600.0)) * np.exp(self.logs - self.logs.max()).mean())


FIRST_FIT = 10  # groups; before, every candidate is as likely
_REFIT = 1.25  # scales, directions and variances are fitted again when the groups have grown by this factor
REFIT_BELOW = 2000  # groups; with more, only a training fits them again
_BATCH = 0.1  # of the groups learned: how many are scored at once when decisions are replayed
CURRENT = "current version"  # the rival besides the baselines


@dataclass(slots=True)
class Learner:
    """The current state of the model.

    Attributes:
        model: None until there are FIRST_FIT groups.
        learned: (n,) int64: a print of each decision learned, in order; see `decision_prints`.
        chances: (n, 4) float32: the chances predicted for each before it was learned.
        right: (n,) float32 whether the likeliest was picked; NaN for an earlier round of a burst, without a bet.
        bets: rival -> the bet against it; fitted: groups at the last fit.
    """

    model: PickModel | None = None
    learned: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    chances: np.ndarray = field(default_factory=lambda: np.zeros((0, MAX_GROUP), dtype=np.float32))
    right: np.ndarray = field(default_factory=lambda: np.zeros(0, dtype=np.float32))
    bets: dict[str, Bet] = field(default_factory=lambda: {name: Bet() for name in BASELINES})
    fitted: int = 0

    @property
    def refit_due(self) -> bool:
        """Whether the next fit needs the features of all groups."""
        count = len(self.learned)
        return count >= FIRST_FIT and (self.model is None or (count >= _REFIT * self.fitted and count <= REFIT_BELOW))

    def score(self, picks: Sequence[Pick], features: PickFeatures, rivals: Mapping[str, np.ndarray]) -> None:
        """Predict the pick of each group and bet on it; nothing is learned from them yet.

        Without a model there are no bets, and all candidates are equally likely.

        Args:
            rivals: name -> (N,) whether it was right, NaN where it cannot be compared.
        """
        said = self.model.chances(features) if self.model else even_chances(features.mask)
        right = np.where(comparisons(picks), np.nan, right_of(picks, said))
        for name, theirs in {**baselines_right(picks), **rivals}.items() if self.model else ():
            fair = ~np.isnan(theirs) & ~np.isnan(right)
            self.bets.setdefault(name, Bet()).on(right[fair], theirs[fair])
        self.chances = np.concatenate([self.chances, said.astype(np.float32)])
        self.right = np.concatenate([self.right, right.astype(np.float32)])

    def learn(self, picks: Sequence[Pick], features: PickFeatures) -> None:
        """Learn from groups that have been scored."""
        if self.model is not None:
            self.model = self.model.learn(features, chosen_of(picks))
        self.learned = np.concatenate([self.learned, decision_prints(picks)])

    def refit(self, picks: Sequence[Pick], features: PickFeatures, config: ColumnsConfig) -> None:
        """Fit scales, directions and variances again, to all groups learned."""
        self.model = fit_model(features, chosen_of(picks), config, self.model)
        self.fitted = len(picks)

    @property
    def counted(self) -> np.ndarray:
        """(m,) float32: `right` of the decisions alone."""
        return self.right[~np.isnan(self.right)]

    def arrays(self) -> dict[str, np.ndarray]:
        """What `from_arrays` needs, with `describe()`."""
        own = {"learned": self.learned, "chances": self.chances, "right": self.right}
        model = {} if self.model is None else {f"model.{n}": values for n, values in self.model.state().items()}
        return {**own, **model, **{f"bet.{name}": bet.logs for name, bet in self.bets.items()}}

    def describe(self) -> dict[str, Any]:
        """As JSON."""
        bets = {name: bet.groups for name, bet in self.bets.items()}
        return {"fitted": self.fitted, "bets": bets, "model": None if self.model is None else self.model.describe()}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray], about: Mapping[str, Any]) -> Learner:
        """A stored learner; raises KeyError, TypeError, ValueError or StoreError where it is damaged."""
        parts = {name.removeprefix("model."): values for name, values in arrays.items() if name.startswith("model.")}
        model = PickModel.from_state(parts, about["model"]) if about["model"] is not None else None
        bets = {name: Bet(np.asarray(arrays[f"bet.{name}"]), int(groups)) for name, groups in about["bets"].items()}
        learned, chances, right = (arrays[name] for name in ("learned", "chances", "right"))
        if not len(learned) == len(chances) == len(right) or not set(BASELINES) <= set(bets):
            raise ValueError("its parts do not fit together")
        return cls(model, learned, chances, right, bets, int(about["fitted"]))


def replay(
    picks: Sequence[Pick],
    features: PickFeatures,
    config: ColumnsConfig,
    rivals: Mapping[str, np.ndarray] | None = None,
    tell: Callable[[int, int], None] | None = None,
) -> Learner:
    """Score and learn decisions in their order, as if each had just been made.

    Args:
        rivals: as of `Learner.score`, of all picks.
        tell: called with (done, of).
    """
    learner, done = Learner(), 0
    while done < len(picks):
        stop = min(len(picks), done + max(FIRST_FIT, int(done * _BATCH)))
        rows = np.arange(done, stop)
        some, own = list(picks[done:stop]), features.take(rows)
        learner.score(some, own, {name: values[rows] for name, values in (rivals or {}).items()})
        learner.learn(some, own)
        done = stop
        if learner.refit_due or done == len(picks) >= FIRST_FIT:
            learner.refit(picks[:done], features.take(np.arange(done)), config)
        if tell:
            tell(done, len(picks))
    return learner


def decision_prints(picks: Sequence[Pick]) -> np.ndarray:
    """(N,) int64: 8 bytes of a hash of each decision: its group, its images and what was picked."""
    found = np.zeros(len(picks), dtype=np.int64)
    for row, pick in enumerate(picks):
        own = pick.candidates
        content = [digest or "" for digest in own.hashes]
        text = "\n".join((own.project_id, own.group_id, *own.filenames, *content, str(pick.chosen)))
        found[row] = splits.prints([text])[0]
    return found
