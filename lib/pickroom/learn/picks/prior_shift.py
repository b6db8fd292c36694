"""How often a lower stage is picked differs by project: what is said of its groups is fitted to that. Pure.

A model learns on projects in which people pass over a third of the highest stages, and is asked about one where that
happens once in fifty groups: what is merely unusual there is then taken for a defect. The share is not known, but the
scores of all groups of a project tell it, decided or not (Saerens, Latinne and Decaestecker 2002: expectation and
maximisation over the new share; only the prior odds change, never the order of the evidence).
"""

from collections.abc import Mapping, Sequence

import numpy as np

AS_BEFORE = 10.0  # groups: the share of the projects learned from weighs so much, so that a few groups change little
_ROUNDS = 100
_LEAST = 0.005  # of the share

Counts = Mapping[str, tuple[int, int]]  # project -> groups where a lower stage was picked, and groups


def lower_counts(stage: np.ndarray, chosen: np.ndarray, projects: np.ndarray) -> dict[str, tuple[int, int]]:
    """Of groups that have one single highest stage: how often another image was picked, by project.

    Args:
        stage: as of `adapted`; chosen: (N,) int64; projects: (N,) ids.
    """
    usable, place = _highest(stage)
    found = {}
    for name in sorted(set(projects[usable].tolist())):
        rows = np.flatnonzero(usable & (projects == name))
        found[name] = (int((chosen[rows] != place[rows]).sum()), len(rows))
    return found


def adapted(chances: np.ndarray, stage: np.ndarray, projects: Sequence[str], known: Counts) -> np.ndarray:
    """The chances of N groups, each project's own share of lower picks taken into account.

    Args:
        chances: (N, 4) summing to 1 in each row, or all 0 where nothing is known.
        stage: (N, 4, S), see `pick_features.STAGE_NAMES`; the first says which is the highest.
        projects: (N,) ids.
        known: of the groups that were learned from. A project among them has weights of its own, which know its share
            as well as its groups tell it.

    Returns:
        (N, 4); groups without one single highest stage as they were.
    """
    found = np.array(chances, dtype=np.float64)
    lower_picks, groups = (sum(count[place] for count in known.values()) for place in (0, 1))
    if not 0 < lower_picks < groups:
        return found
    usable, place = _highest(stage)
    usable &= found.sum(axis=1) > 0
    names = np.asarray(projects, dtype=object)
    for name in sorted(set(projects)):
        own_lower, own = known.get(name, (0, 0))
        as_before = AS_BEFORE + own
        prior = (AS_BEFORE * lower_picks / groups + own_lower) / as_before
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


def _highest(stage: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which groups have one single highest stage and no unknown one, and its place: both (N,)."""
    values = np.nan_to_num(stage)
    highest = values[:, :, 0] > 0
    return (highest.sum(axis=1) == 1) & (values[:, :, 3].sum(axis=1) == 0), highest.argmax(axis=1)


def _odds(share: float) -> float:
    return share / (1 - share)
