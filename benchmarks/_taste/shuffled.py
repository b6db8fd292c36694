"""Picks without any taste behind them: how often a version is promoted at any time, over many consecutive finalises."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from _taste.portraits import Blocks, groups_of
from pickroom.features.candidates import Candidates
from pickroom.learn.examples import Pick
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.learner import ENOUGH, Learner
from pickroom.learn.picks.model import BASELINES

FINALISES, GROUPS, MOST = 100, 2, 0.05  # a run's finalises, groups in each, and the share of runs promoted at most
_CONFIG = ColumnsConfig(directions=16, deviating=2, curved=())  # a fit of milliseconds: there are many thousands


def promoted_share(blocks: Blocks, runs: int, seed: int, say: Callable[[str], None]) -> float:
    """The share of runs in which shuffled picks were promoted at any time."""
    promoted = 0
    for run in range(runs):
        rng = np.random.default_rng((seed, run))
        count = FINALISES * GROUPS
        places = np.array([rng.choice(len(blocks["vector"]), 3, replace=False) for _ in range(count)])
        features, chosen = groups_of(blocks, places), rng.integers(0, 3, count)
        picks = [_pick(run, row, int(index)) for row, index in enumerate(chosen)]
        learner, best = Learner(), 0.0
        for start in range(0, count, GROUPS):
            rows = np.arange(start, start + GROUPS)
            some, own = picks[start : start + GROUPS], features.take(rows)
            learner.score(some, own, {})
            learner.learn(some, own)
            if learner.refit_due:
                learner.refit(picks[: start + GROUPS], features.take(np.arange(start + GROUPS)), _CONFIG)
            best = max(best, min(learner.bets[name].value for name in BASELINES))
        promoted += best >= ENOUGH
        if (run + 1) % 50 == 0:
            say(f"  {run + 1} of {runs} runs, {promoted} promoted")
    return promoted / runs


def _pick(run: int, row: int, chosen: int) -> Pick:
    names = tuple(f"{run}_{row}_{place}.jpg" for place in range(3))
    group = Candidates("shuffled", f"shuffled_group_{run}_{row}", names, (None,) * 3, (None,) * 3)
    return Pick(group, chosen, None, False, f"{row:06d}")
