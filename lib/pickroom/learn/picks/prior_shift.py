"""How often a lower stage is picked differs by project: what is said of its groups is fitted to that. Pure.

A ranker learns on projects in which people pass over a third of the highest stages, and is asked about one where that
happens once in fifty groups: what is merely unusual there is then taken for a defect. The share is not known, but the
scores of all groups of a project tell it, decided or not (Saerens, Latinne and Decaestecker 2002: expectation and
maximisation over the new share; only the prior odds change, never the order of the evidence).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_AS_BEFORE = 10.0  # groups: the share of the projects learned from weighs so much, so that a few groups change little
_ROUNDS = 100
_LEAST = 0.005  # of the share


def adapted(chances: np.ndarray, stage: np.ndarray, projects: Sequence[str], prior: float) -> np.ndarray:
    """The chances of N groups, each project's own share of lower picks taken into account.

    Args:
        chances: (N, 4) summing to 1 in each row, or all 0 where nothing is known.
        stage: (N, 4, S), see `pick_features.STAGE_NAMES`; the first says which is the highest.
        projects: (N,) ids.
        prior: share of lower picks among what was learned from, as it was weighed.

    Returns:
        (N, 4); groups without one single highest stage as they were.
    """
    found = np.array(chances, dtype=np.float64)
    highest = stage[:, :, 0] > 0
    usable = (highest.sum(axis=1) == 1) & (found.sum(axis=1) > 0) & (stage[:, :, 3].sum(axis=1) == 0)
    if not 0 < prior < 1:
        return found
    names = np.asarray(projects, dtype=object)
    place = highest.argmax(axis=1)
    for name in sorted(set(projects)):
        rows = np.flatnonzero(usable & (names == name))
        lower = 1 - found[rows, place[rows]]
        share = prior
        for _ in range(_ROUNDS):
            odds = _odds(share) / _odds(prior)
            expected = lower * odds / (lower * odds + 1 - lower)
            share = float((expected.sum() + _AS_BEFORE * prior) / (len(rows) + _AS_BEFORE))
            share = min(max(share, _LEAST), 1 - _LEAST)
        found[rows, place[rows]] /= _odds(share) / _odds(prior)
        found[rows] /= found[rows].sum(axis=1, keepdims=True)
    return found


def _odds(share: float) -> float:
    return share / (1 - share)
