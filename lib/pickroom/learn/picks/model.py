"""The preference model in use: chances and reasons from features; and scores of its chances. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import betaln, softmax

from pickroom.core.errors import StoreError
from pickroom.features.pick_features import PickFeatures
from pickroom.learn import metrics
from pickroom.learn.blas import one_blas_thread
from pickroom.learn.examples import Pick
from pickroom.learn.picks.columns import Columns, ColumnsConfig, fit_columns
from pickroom.learn.picks.preference import Preference, fit_preference

_AS_BEFORE = 10.0  # groups: how much the share in all learned projects counts for, unless these tell another weight
_LEAST_LEARNED = 100  # groups: a model of fewer is unsure, and its doubt would look like another share
_ROUNDS = 100
_LEAST = 0.005  # of the share

Counts = Mapping[str, tuple[int, int]]  # project -> groups where a lower stage was picked, and groups


def lower_counts(
    stage: np.ndarray, chosen: np.ndarray, projects: np.ndarray, before: Counts | None = None
) -> dict[str, tuple[int, int]]:
    """By project, of groups with one single highest stage: how often another image was picked.

    Args:
        stage: as of `adapted`; chosen: (N,) int64; projects: (N,) ids; before: of other groups, counted too.
    """
    usable, place = _highest(stage)
    found = dict(before or {})
    for name in sorted(set(projects[usable].tolist())):
        rows, (lower, groups) = np.flatnonzero(usable & (projects == name)), found.get(name, (0, 0))
        found[name] = (lower + int((chosen[rows] != place[rows]).sum()), groups + len(rows))
    return found


def adapted(chances: np.ndarray, stage: np.ndarray, projects: Sequence[str], known: Counts) -> np.ndarray:
    """The chances of N groups, adapted to each project's own share of lower picks.

    A model may have learned on projects where a third of the highest stages is not picked, and predict for one where
    that happens once in fifty groups: there it would take anything unusual for a defect. The share is unknown, but
    follows from the scores of all groups of a project, decided or not (Saerens, Latinne and Decaestecker 2002:
    expectation and maximisation over the new share; only the prior odds change, never the order of the evidence).

    Args:
        chances: (N, 4) summing to 1 in each row, or all 0 where nothing is known.
        stage: (N, 4, S), see `pick_features.STAGE_NAMES`; the first says which is the highest.
        projects: (N,) ids.
        known: of the groups that were learned from. A project among them has weights of its own, which already contain
            its share.

    Returns:
        (N, 4); groups without one single highest stage as they were.
    """
    found = np.array(chances, dtype=np.float64)
    lower_picks, groups = (sum(count[place] for count in known.values()) for place in (0, 1))
    if not 0 < lower_picks < groups or groups < _LEAST_LEARNED:
        return found
    usable, place = _highest(stage)
    usable &= found.sum(axis=1) > 0
    names, weight = np.asarray(projects, dtype=object), _weight(known, lower_picks / groups)
    for name in sorted(set(projects)):
        own_lower, own = known.get(name, (0, 0))
        # what the chances contain already: weights of a project of its own go only part of the way to its share
        prior = (_AS_BEFORE * lower_picks / groups + own_lower) / (_AS_BEFORE + own)
        as_before = weight + own
        rows = np.flatnonzero(usable & (names == name))
        lower = 1 - found[rows, place[rows]]
        share = prior
        for _ in range(_ROUNDS):
            odds = _odds(share) / _odds(prior)
            expected = lower * odds / (lower * odds + 1 - lower)
            share = float((expected.sum() + as_before * prior) / (len(rows) + as_before))
            share = min(max(share, _LEAST), 1 - _LEAST)
        found[rows, place[rows]] /= _odds(share) / _odds(prior)
        found[rows] /= found[rows].sum(axis=1, keepdims=True)
    return found


def _weight(known: Counts, share: float) -> float:
    """How many groups the share in the learned projects counts for in another: few where these differ among themselves.

    The mode for a beta-binomial (Skellam 1948) of their counts, with a log-normal prior around `_AS_BEFORE`.
    """
    lower, groups = np.array(list(known.values()), dtype=np.float64).T
    weights = np.geomspace(1, 100, 41)
    a, b = weights[:, None] * share, weights[:, None] * (1 - share)
    likelihood = (betaln(a + lower, b + groups - lower) - betaln(a, b)).sum(axis=1)
    return float(weights[np.argmax(likelihood - np.log(weights / _AS_BEFORE) ** 2 / 2)])


def _highest(stage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether a group has one single highest stage and no unknown one, and its place: both (N,)."""
    values = np.nan_to_num(stage)
    highest = values[:, :, 0] > 0
    return (highest.sum(axis=1) == 1) & (values[:, :, 3].sum(axis=1) == 0), highest.argmax(axis=1)


def _odds(share: float) -> float:
    return share / (1 - share)


VERSION = 3  # of the model in a file; 1 and 2 were made by earlier versions of Pickroom, and cannot be used
BASELINES = ("highest stage", "chance")


@dataclass(frozen=True, slots=True)
class Explanation:
    """The contributions to the utility of each of a group's n candidates.

    Attributes:
        shares: block -> (n,) float64: its share of the utility, minus the mean over the candidates.
        numbers: column of the blocks asked for -> (n,) its own share, as in `shares`; values: (n,) the number itself;
            blocks: the block it is of.
        departure: (n,) in [0, 1]: the probability that a candidate is not picked because it differs from its siblings.
        peaks: (n, 4) float32: the box where each differs most, fractions.
    """

    shares: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    values: dict[str, np.ndarray]
    blocks: dict[str, str]
    departure: np.ndarray
    peaks: np.ndarray


@dataclass(frozen=True, slots=True)
class PickModel:
    """Columns and the posterior over their weights."""

    columns: Columns
    preference: Preference
    # project -> how often a lower stage was picked in it, and groups; see `adapted`
    lower: dict[str, tuple[int, int]]

    @one_blas_thread
    def chances(self, features: PickFeatures) -> np.ndarray:
        """(N, 4) float64: the chance of each candidate; rows sum to 1, or are 0 without features.

        A project's share of lower picks is estimated from all groups given here.
        """
        doubt = self.columns.doubt(features, self.preference.variances)
        said = self.preference.chances(self.columns.of(features), features.mask, doubt)
        return adapted(said, features.blocks["stage"], features.projects.tolist(), self.lower)

    def utilities(self, features: PickFeatures) -> np.ndarray:
        """(N, 4) float64: the utility of each candidate, to order more images than a decision has."""
        found: np.ndarray = self.columns.of(features).astype(np.float64) @ self.preference.mean
        return found

    @one_blas_thread
    def learn(self, features: PickFeatures, chosen: np.ndarray) -> PickModel:
        """The model after more picks; scales and directions stay as they are."""
        columns = self.columns.with_projects(features.projects.tolist())
        lower = lower_counts(features.blocks["stage"], chosen, features.projects, self.lower)
        return PickModel(columns, self.preference.learn(columns.of(features), features.mask, chosen), lower)

    def explain(self, features: PickFeatures, row: int, names: Mapping[str, Sequence[str]]) -> Explanation:
        """Why, for one group that has features.

        Args:
            names: block -> the names of its columns, of those whose numbers are asked for.
        """
        one = features.take([row])
        here = one.mask[0]
        columns = self.columns.of(one)[0, here].astype(np.float64)
        blocks = self.preference.blocks
        shares = {name: _centred(columns[:, a:b] @ self.preference.mean[a:b]) for name, (a, b) in blocks.items()}
        numbers, values, block_of = {}, {}, {}
        for block, titles in names.items():
            first, stop = blocks.get(block, (0, 0))
            for place, title in enumerate(titles[: stop - first]):
                numbers[title] = _centred(columns[:, first + place] * self.preference.mean[first + place])
                values[title], block_of[title] = one.blocks[block][0, here, place], block
        differs = sum((shares[name] for name in shares if name.startswith("consistency")), np.zeros(int(here.sum())))
        return Explanation(shares, numbers, values, block_of, softmax(-differs), one.peaks[0, here])

    def state(self) -> dict[str, np.ndarray]:
        """Arrays by name."""
        own = {"mean": self.preference.mean, "precision": self.preference.precision}
        return {**self.columns.arrays, **own}

    def describe(self) -> dict[str, Any]:
        """What `from_state` needs besides the arrays, as JSON."""
        own = {"variances": self.preference.variances, "lower": {name: list(n) for name, n in self.lower.items()}}
        return {"version": VERSION, **self.columns.describe(), **own}

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> PickModel:
        """A model as it was saved.

        Raises:
            StoreError: an older version of Pickroom made it, or a part is missing or has another shape.
        """
        try:
            if description.get("version") != VERSION:
                raise ValueError(f"made by an older version, model {description.get('version')}, not {VERSION}")
            arrays = {name: np.asarray(values, dtype=np.float64) for name, values in state.items()}
            mean, precision = arrays.pop("mean"), arrays.pop("precision")
            blocks = {name: (int(first), int(stop)) for name, (first, stop) in description["columns"].items()}
            variances = {name: float(description["variances"][name]) for name in blocks}
            projects, images = (tuple(description[name]) for name in ("projects", "images"))
            columns = Columns(arrays, blocks, projects, description["slots"], images)
            lower = {str(name): (int(few), int(of)) for name, (few, of) in description["lower"].items()}
            if mean.shape != (columns.size,) or precision.shape != (columns.size, columns.size):
                raise ValueError("its weights are not of its columns")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the ranker cannot be used ({error})",
                doing="loading a ranker",
                hint="train again: pickroom train ranker",
            ) from error
        return cls(columns, Preference(mean, precision, variances, blocks), lower)


@one_blas_thread
def fit_model(
    features: PickFeatures,
    chosen: np.ndarray,
    config: ColumnsConfig,
    start: PickModel | None = None,
    weights: np.ndarray | None = None,
) -> PickModel:
    """The model of N groups that all have features.

    Args:
        chosen: (N,) int64, the index picked.
        start: an earlier one, whose variances are begun from.
        weights: see `fit_preference`.
    """
    columns = fit_columns(features, config)
    variances = start.preference.variances if start else None
    found = fit_preference(columns.of(features), features.mask, chosen, columns.blocks, variances, weights)
    return PickModel(columns, found, lower_counts(features.blocks["stage"], chosen, features.projects))


def comparisons(picks: Sequence[Pick]) -> np.ndarray:
    """(N,) bool: which are earlier rounds of a burst."""
    return np.array([pick.comparison for pick in picks], dtype=bool)


def even_chances(mask: np.ndarray) -> np.ndarray:
    """(N, 4): equal chances for all candidates, where nothing has been learned yet."""
    count: np.ndarray = mask.sum(axis=1, keepdims=True)
    return mask / np.maximum(count, 1)


def chosen_of(picks: Sequence[Pick]) -> np.ndarray:
    """(N,) int64: the index picked of each."""
    return np.array([pick.chosen for pick in picks], dtype=np.int64)


def right_of(picks: Sequence[Pick], chances: np.ndarray) -> np.ndarray:
    """(N,) in [0, 1]: whether the likeliest candidate is the user's pick; of equal ones, the chance to guess it."""
    best = chances >= chances.max(axis=1, keepdims=True) - 1e-12
    found: np.ndarray = best[np.arange(len(picks)), chosen_of(picks)] / np.maximum(best.sum(axis=1), 1)
    return found


def baselines_right(picks: Sequence[Pick]) -> dict[str, np.ndarray]:
    """Baseline -> (N,) in [0, 1], as `right_of`; without stages "highest stage" is a guess, too."""
    return {"highest stage": metrics.highest_stage_right(picks), "chance": metrics.chance_right(picks)}


def scores(picks: Sequence[Pick], chances: np.ndarray) -> dict[str, Any]:
    """Every metric of (N, 4) chances of groups whose picks had not been learned, as JSON; comparisons do not count."""
    picks, chances = [pick for pick in picks if not pick.comparison], chances[~comparisons(picks)]
    right, losses = right_of(picks, chances), metrics.log_losses(picks, chances)
    confidence = chances.max(axis=1) if len(chances) else np.zeros(0)
    return {
        **metrics.score_picks(picks, right),
        "log_loss": float(losses.mean()) if len(losses) else None,
        "calibration_error": metrics.calibration_error(confidence, right),
        "calibration": metrics.calibration_rows(confidence, right),
        "rolling_100": metrics.rolling_in_time(picks, right)[-1] if len(right) else None,
    }


def baseline_scores(picks: Sequence[Pick]) -> dict[str, Any]:
    """Baseline -> its metrics, as JSON; "chance" has a log loss, too."""
    picks = [pick for pick in picks if not pick.comparison]
    found = {name: metrics.score_picks(picks, right) for name, right in baselines_right(picks).items()}
    even = -np.log(metrics.chance_right(picks))
    found["chance"]["log_loss"] = float(even.mean()) if len(even) else None
    return found


def _centred(values: np.ndarray) -> np.ndarray:
    found: np.ndarray = values - values.mean()
    return found
