"""The random slice that a person still decides, and what it takes to switch approval off."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad

from pickroom.automation.guarantee import SHARE, RiskTarget, drawn, watch, wealth


def test_three_in_a_hundred_are_drawn() -> None:
    count = sum(drawn(f"p_group_{number:05d}", "p") for number in range(20_000))
    assert abs(count / 20_000 - SHARE) < 4 * (SHARE * (1 - SHARE) / 20_000) ** 0.5


def test_draw_is_the_same_again_and_another_with_another_seed() -> None:
    ids = [f"p_group_{number:05d}" for number in range(5000)]
    first = [group_id for group_id in ids if drawn(group_id, "p")]
    assert first == [group_id for group_id in ids if drawn(group_id, "p")]
    assert set(first) != {group_id for group_id in ids if drawn(group_id, "q")}


def test_nothing_looked_at_switches_nothing_off() -> None:
    found = watch([])
    assert (found.on, found.looked, found.evidence) == (True, 0, 1.0)


def test_many_overrides_switch_off_and_say_so() -> None:
    found = watch([False, True] * 10)
    assert not found.on
    assert found.explanation.startswith("switched off: 10 of 20") and "limit of 5 %" in found.explanation


def test_overrides_within_the_promise_switch_nothing_off() -> None:
    assert watch([place % 25 == 0 for place in range(500)]).on


def test_once_off_it_stays_off() -> None:
    bad = [True] * 6
    assert not watch(bad).on
    assert not watch(bad + [False] * 500).on


def test_looser_promise_bears_more() -> None:
    seen = [place % 6 == 0 for place in range(200)]
    assert not watch(seen).on
    assert watch(seen, RiskTarget(override=0.2)).on


def test_wealth_is_the_averaged_likelihood_ratio() -> None:
    seen = np.array([False, True, False, False, True, False, False])
    bad, good = seen.sum(), (~seen).sum()
    average, _ = quad(lambda p: (p / 0.05) ** bad * ((1 - p) / 0.95) ** good / 0.45, 0.05, 0.5)
    assert wealth(seen, 0.05)[-1] == pytest.approx(average, rel=1e-6)


@given(st.lists(st.booleans(), max_size=60), st.floats(0.01, 0.3))
def test_bet_is_fair_at_the_promise(seen: list[bool], promised: float) -> None:
    # whatever came before, the next decision neither adds to nor takes from its worth on average
    before = wealth(np.array(seen, bool), promised)[-1] if seen else 1.0
    good, bad = (wealth(np.array([*seen, last]), promised)[-1] for last in (False, True))
    assert promised * bad + (1 - promised) * good == pytest.approx(before, rel=1e-6)


def test_false_alarms_are_rare_however_often_one_looks() -> None:
    rng = np.random.default_rng(11)
    alarms = sum(not watch((rng.random(300) < 0.05).tolist()).on for _ in range(400))
    assert alarms / 400 <= 0.05
