"""Scoring by whole projects: trained on the others, asked about the ones left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from pickroom.features.pick_features import PickFeatures
from pickroom.learn.examples import Pick
from pickroom.learn.metrics import PickScore, score_picks
from pickroom.learn.picks.prior_shift import adapted
from pickroom.learn.picks.ranker import RankerConfig, fit_ranker, pick_weights


def folds(projects: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to train on, rows to ask about), whole projects at a time; neighbours have few and many anomalies."""
    names = sorted(set(projects.tolist()))
    for held_out in np.array_split(np.array(names, dtype=object), count):
        asked = np.isin(projects, held_out.tolist())
        yield np.flatnonzero(~asked), np.flatnonzero(asked)


def ask(
    features: PickFeatures,
    picks: Sequence[Pick],
    rows: np.ndarray,
    config: RankerConfig,
    anomaly_weight: float,
    fold_count: int = 4,
) -> tuple[np.ndarray, np.ndarray]:
    """Every one of some rows asked about by a ranker that saw no group of its project.

    Returns:
        (N,) index picked, and (N, 4) chances; -1 and 0 outside `rows`.
    """
    projects = np.array([pick.candidates.project_id for pick in picks])
    chosen = np.array([pick.chosen for pick in picks], dtype=np.int64)
    weights = pick_weights(picks, anomaly_weight)
    taken = np.zeros(len(picks), dtype=bool)
    taken[rows] = True
    picked, chances = np.full(len(picks), -1), np.zeros((len(picks), 4), dtype=np.float32)
    for train, asked in folds(projects, fold_count):
        train, asked = train[taken[train]], asked[taken[asked]]
        assert not set(projects[train]) & set(projects[asked])
        ranker = fit_ranker(features.take(train), chosen[train], weights[train], config)
        some = features.take(asked)
        chances[asked] = adapted(ranker.probabilities(some), some.stage, projects[asked].tolist(), ranker.prior)
        picked[asked] = chances[asked].argmax(axis=1)
    return picked, chances


def score(picks: Sequence[Pick], picked: np.ndarray, rows: np.ndarray) -> PickScore:
    """Top-1 of some rows."""
    right = np.array([picked[row] == picks[row].chosen for row in rows], dtype=np.float64)
    return score_picks([picks[row] for row in rows], right)


def only(features: PickFeatures, names: Sequence[str]) -> PickFeatures:
    """The features with some blocks alone, "consistency" always among them (zeroed when not named)."""
    parts, blocks, at = [], {}, 0
    for name, (start, stop) in features.blocks.items():
        if name == "consistency" or name in names:
            values = features.values[:, :, start:stop]
            parts.append(values if name in names else np.zeros_like(values))
            blocks[name] = (at, at + stop - start)
            at += stop - start
    return replace(features, values=np.concatenate(parts, axis=2), blocks=blocks)


def paired_gain(ours: np.ndarray, theirs: np.ndarray, seed: int = 0, draws: int = 2000) -> tuple[float, float, float]:
    """The difference of two means over the same rows, with its 95 % bootstrap interval."""
    difference = ours.astype(np.float64) - theirs.astype(np.float64)
    rng = np.random.default_rng(seed)
    means = difference[rng.integers(0, len(difference), size=(draws, len(difference)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(difference.mean()), float(low), float(high)
