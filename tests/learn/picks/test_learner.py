"""Each group is scored before it is learned; a version is promoted by bets that no skill wins seldom."""

from __future__ import annotations

import numpy as np
import pytest

from learn.picks.test_model import CONFIG, made
from pickroom.features.candidates import Candidates
from pickroom.learn.examples import Pick
from pickroom.learn.picks.learner import CURRENT, ENOUGH, FIRST_FIT, Bet, Learner, decision_prints, replay
from pickroom.learn.picks.model import BASELINES


def evidence(learner: Learner) -> float:
    """The lowest e-value against the baselines."""
    return min(learner.bets[name].value for name in BASELINES)


def picks_of(chosen: np.ndarray, seed: int) -> list[Pick]:
    names = ("a", "b", "c")
    return [
        Pick(
            Candidates(
                "p0", f"p0_group_{seed}_{row}", tuple(f"{seed}{row}{name}.png" for name in names), names, (None,) * 3
            ),
            int(index),
            None,
            False,
            f"2026-01-01T00:00:{row:06d}Z",
        )
        for row, index in enumerate(chosen)
    ]


def test_the_first_groups_are_even_chances_and_skill_is_promoted() -> None:
    features, chosen = made(120, 21)
    learner = replay(picks_of(chosen, 21), features, CONFIG)
    np.testing.assert_allclose(learner.chances[:FIRST_FIT, :3], 1 / 3, atol=1e-6)
    assert learner.right[FIRST_FIT:].mean() > 0.5
    assert evidence(learner) > ENOUGH and len(learner.learned) == 120


def test_each_group_is_scored_before_its_pick_is_learned() -> None:
    features, chosen = made(60, 22)
    other = chosen.copy()
    other[40:] = (other[40:] + 1) % 3
    one, two = (replay(picks_of(some, 22), features, CONFIG) for some in (chosen, other))
    # the groups of the batch that begins at 40 were scored by models of the same 40 picks
    np.testing.assert_array_equal(one.chances[:44], two.chances[:44])


def test_without_skill_it_is_promoted_in_at_most_a_twentieth() -> None:
    promoted = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features, _ = made(60, 100 + seed)
        chosen = rng.integers(0, 3, 60)
        picks, learner, best = picks_of(chosen, seed), Learner(), 0.0
        for start in range(0, 60, 6):  # ten finalises
            rows = np.arange(start, start + 6)
            some, own = picks[start : start + 6], features.take(rows)
            learner.score(some, own, {})
            learner.learn(some, own)
            if learner.refit_due:
                learner.refit(picks[: start + 6], features.take(np.arange(start + 6)), CONFIG)
            best = max(best, evidence(learner))
        promoted += best >= ENOUGH
    assert promoted <= 2


@pytest.mark.parametrize(("share", "reached"), [(0.8, True), (1 / 3, False)])
def test_a_bet_is_won_by_skill_only(share: float, reached: bool) -> None:
    rng = np.random.default_rng(3)
    bet = Bet()
    bet.on((rng.random(150) < share).astype(float), np.full(150, 1 / 3))
    assert (bet.value >= ENOUGH) is reached and bet.groups == 150


def test_groups_that_a_rival_has_learned_are_no_bet() -> None:
    features, chosen = made(40, 23)
    theirs = np.where(np.arange(40) < 30, np.nan, 0.0)
    learner = replay(picks_of(chosen, 23), features, CONFIG, {CURRENT: theirs})
    assert learner.bets[CURRENT].groups == 10


def test_a_learner_that_is_kept_goes_on_as_it_was() -> None:
    features, chosen = made(40, 24)
    picks = picks_of(chosen, 24)
    learner = replay(picks[:30], features.take(np.arange(30)), CONFIG)
    again = Learner.from_arrays(learner.arrays(), learner.describe())
    for one in (learner, again):
        one.score(picks[30:], features.take(np.arange(30, 40)), {})
    np.testing.assert_array_equal(one.chances, again.chances)
    assert evidence(again) == evidence(learner)
    assert np.isin(again.learned, decision_prints(picks)).all()


def test_another_pick_of_the_same_group_is_another_decision() -> None:
    one, two = picks_of(np.array([0, 0]), 1)[0], picks_of(np.array([1, 0]), 1)[0]
    assert decision_prints([one])[0] != decision_prints([two])[0]
