"""What the issue asks to be measured: one model or one a project, how often to retrain, which doubt to show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from _taste.evaluate import folds
from pickroom.features.pick_features import PickFeatures
from pickroom.learn.examples import Pick
from pickroom.learn.metrics import Rate, calibration_error
from pickroom.learn.picks.ranker import RankerConfig, fit_ranker, pick_weights

_SIZES = (25, 50, 100, 200, 360)  # groups trained on


def answer(features: PickFeatures, picks: Sequence[Pick], config: RankerConfig, weight: float) -> None:
    """Print all three."""
    projects = np.array([pick.candidates.project_id for pick in picks])
    chosen = np.array([pick.chosen for pick in picks], dtype=np.int64)
    weights = pick_weights(picks, weight)

    def asked(train: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        ranker = fit_ranker(features.take(train), chosen[train], weights[train], config)
        some = features.take(rows)
        chances = ranker.probabilities(some)
        return chances.argmax(axis=1) == chosen[rows], chances.max(axis=1), ranker.spread(some)

    _one_or_many(asked, projects)
    _sizes(asked, projects)
    _doubt(asked, projects)


def _one_or_many(asked, projects: np.ndarray) -> None:
    right: dict[str, list[bool]] = {"its own first half": [], "the others": [], "the others and its own": []}
    for name in sorted(set(projects.tolist())):
        own = np.flatnonzero(projects == name)
        first, second, others = own[::2], own[1::2], np.flatnonzero(projects != name)
        for words, train in zip(right, (first, others, np.concatenate([others, first])), strict=True):
            right[words] += asked(train, second)[0].tolist()
    print("\none model or one a project: the second half of each, by a ranker trained on")
    for words, found in right.items():
        print(f"  {words.ljust(24)} {Rate(sum(found), len(found)).words}", flush=True)


def _sizes(asked, projects: np.ndarray) -> None:
    print("\nhow often to retrain: top-1 on projects not seen, by groups trained on")
    rng = np.random.default_rng(0)
    for size in _SIZES:
        found: list[bool] = []
        for train, rows in folds(projects, 4):
            found += asked(rng.permutation(train)[:size], rows)[0].tolist()
        print(f"  {str(size).ljust(24)} {Rate(sum(found), len(found)).words}", flush=True)


def _doubt(asked, projects: np.ndarray) -> None:
    found = [asked(train, rows) for train, rows in folds(projects, 4)]
    right, chance, spread = (np.concatenate(part) for part in zip(*found, strict=True))
    print("\nwhich doubt to show: how well it tells wrong picks from right ones (area under the curve)")
    print(f"  the chance of the pick   {roc_auc_score(right, chance):.3f}")
    print(f"  the members' agreement   {roc_auc_score(right, -spread):.3f}")
    print(f"  calibration error of the raw chance {calibration_error(chance, right.astype(float)):.3f}")
    for least in (0.6, 0.8, 0.9, 0.95):
        sure = chance >= least
        share = Rate(right[sure].sum(), sure.sum())
        print(f"  chance {least:g} or more: {sure.mean():.2f} of groups, right {share.words}")
