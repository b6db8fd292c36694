"""Scoring by whole projects: learned from the others, asked about the ones left out; and paired differences."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pickroom.features.pick_features import PickFeatures
from pickroom.learn.examples import Pick
from pickroom.learn.metrics import score_picks
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.model import chosen_of, fit_model


def folds(projects: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """(rows to train on, rows to ask about), whole projects at a time; neighbours have few and many anomalies."""
    names = sorted(set(projects.tolist()))
    for held_out in np.array_split(np.array(names, dtype=object), count):
        asked = np.isin(projects, held_out.tolist())
        yield np.flatnonzero(~asked), np.flatnonzero(asked)


def ask(features: PickFeatures, picks: Sequence[Pick], rows: np.ndarray, fold_count: int = 4) -> np.ndarray:
    """(N, 4) chances of some rows, each by a model that learned no group of its project; 0 outside `rows`."""
    taken = np.zeros(len(picks), dtype=bool)
    taken[rows] = True
    chosen, said = chosen_of(picks), np.zeros((len(picks), 4))
    for train, asked in folds(features.projects, fold_count):
        train, asked = train[taken[train]], asked[taken[asked]]
        said[asked] = fit_model(features.take(train), chosen[train], ColumnsConfig()).chances(features.take(asked))
    return said


def score(picks: Sequence[Pick], said: np.ndarray, rows: np.ndarray) -> dict[str, Any]:
    """Top-1 of some rows."""
    right = np.array([said[row].argmax() == picks[row].chosen for row in rows], dtype=np.float64)
    return score_picks([picks[row] for row in rows], right)


def version_0_1(path: Path, part: str, picks: Sequence[Pick], rows: np.ndarray) -> np.ndarray | None:
    """(N,) whether version 0.1 was right on each of some rows, as it was recorded; None without a record of them all.

    Args:
        part: "every", or "without_edits".
    """
    if not path.exists():
        return None
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    known = {
        (line["project"], *sorted(line["images"])): line["picked"] == line["chosen"]
        for line in lines
        if line["kind"] == "pick" and line["groups"] == part
    }
    found = [known.get((picks[row].candidates.project_id, *sorted(picks[row].candidates.filenames))) for row in rows]
    return None if None in found else np.array(found, dtype=np.float64)


def paired_gain(
    ours: np.ndarray, theirs: np.ndarray, seed: int = 0, draws: int = 2000, level: float = 0.95
) -> tuple[float, float, float]:
    """The difference of two means over the same rows, with its bootstrap interval of that level."""
    difference = ours.astype(np.float64) - theirs.astype(np.float64)
    rng = np.random.default_rng(seed)
    means = difference[rng.integers(0, len(difference), size=(draws, len(difference)))].mean(axis=1)
    low, high = np.quantile(means, ((1 - level) / 2, (1 + level) / 2))
    return float(difference.mean()), float(low), float(high)
