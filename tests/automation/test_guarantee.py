"""The guarantee: its bounds against scipy's own, the fixed sequence, and what it says when there is too little."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, binom

from pickroom.automation.guarantee import (
    CANDIDATES,
    BlindDecision,
    Guarantee,
    RiskTarget,
    approval_confidence,
    calibrate,
    least_number,
    upper_bound,
)
from pickroom.core.records import Recommendation

FIRST = RiskTarget(anomaly=None)


def blind(count: int, confidence: float | None = 0.99, *, overridden: int = 0, anomaly: bool | None = False) -> list:
    """`count` decisions of one confidence, the first `overridden` of them bad."""
    return [BlindDecision(confidence, place < overridden, anomaly) for place in range(count)]


# ------------------------------------------------------------------------------------------------ bounds


@given(st.integers(1, 3000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), st.floats(0.5, 0.999))
def test_bound_is_the_one_of_clopper_and_pearson(counts: tuple[int, int], confidence: float) -> None:
    bad, of = counts
    expected = 1.0 if bad == of else beta.ppf(confidence, bad + 1, of - bad)
    assert upper_bound(bad, of, confidence) == pytest.approx(expected, abs=1e-9)


def test_bound_of_nothing_counted_is_one() -> None:
    assert upper_bound(0, 0, 0.95) == 1.0


def approves(found: Guarantee, decision: BlindDecision) -> bool:
    return found.threshold is not None and decision.confidence is not None and decision.confidence >= found.threshold


def test_least_numbers_are_those_of_the_plan() -> None:
    assert least_number(0.05, 0.95) == 59
    assert least_number(0.10, 0.95) == 29


@given(st.integers(0, 20), st.floats(0.02, 0.4), st.floats(0.6, 0.99))
def test_least_number_is_the_first_that_is_enough(bad: int, limit: float, confidence: float) -> None:
    found = least_number(limit, confidence, bad)
    assert binom.cdf(bad, found, limit) <= 1 - confidence + 1e-9
    assert binom.cdf(bad, found - 1, limit) >= 1 - confidence - 1e-9


# ------------------------------------------------------------------------------------------------ thresholds


def test_no_decision_approves_nothing_and_says_how_many_it_takes() -> None:
    found = calibrate([])
    assert (found.threshold, found.overrides_ok, found.anomalies_ok, found.n) == (None, False, False, 0)
    assert 1150 <= found.needed <= 1250  # binomial: about 1,200 at a true rate of 2.4 %
    assert "nothing is approved unseen" in found.explanation[0] and f"{found.needed:,}" in found.explanation[0]


@pytest.mark.parametrize(("count", "approves"), [(58, False), (59, True)])
def test_first_promise_alone_needs_59_clean_decisions(count: int, approves: bool) -> None:
    found = calibrate(blind(count), FIRST)
    assert found.overrides_ok is approves
    assert found.threshold is None or found.threshold <= 0.99
    assert (found.threshold is not None) is approves
    assert found.needed == (0 if approves else 1)
    assert "switched off" in found.explanation[2]


@pytest.mark.parametrize(("anomalies", "approves"), [(28, False), (29, True)])
def test_second_promise_needs_29_clean_anomalies(anomalies: int, approves: bool) -> None:
    found = calibrate(blind(1000) + blind(anomalies, anomaly=True))
    assert (found.overrides_ok, found.anomalies_ok) == (True, approves)
    assert (found.threshold is not None) is approves
    assert found.first_alone is not None
    assert ("can be switched on without" in " ".join(found.explanation)) is not approves


def test_decisions_needed_for_second_promise_follow_anomaly_rate() -> None:
    found = calibrate(blind(980) + blind(20, anomaly=True))
    assert found.needed == 450  # nine more anomalies at 20 in 1,000


def test_unknown_anomalies_count_for_the_first_promise_only() -> None:
    found = calibrate(blind(2000, anomaly=None))
    assert (found.overrides_ok, found.anomalies_ok, found.anomalies) == (True, False, 0)


def test_threshold_lies_between_the_good_and_the_bad() -> None:
    found = calibrate(blind(500, 0.97) + blind(500, 0.70, overridden=150), FIRST)
    assert 0.70 < found.threshold <= 0.97
    assert (found.approved, found.overridden, found.coverage) == (500, 0, 0.5)
    assert found.threshold is not None and 0.70 < found.threshold <= 0.97


def test_first_threshold_that_fails_ends_the_sequence() -> None:
    # the surest are bad, the rest so good that the whole would keep the promise: never reached from the top
    decisions = blind(300, 0.99, overridden=30) + blind(3000, 0.80)
    assert upper_bound(30, 3300, 0.95) < 0.05
    found = calibrate(decisions, replace(FIRST, start=0.05))
    assert (found.threshold, found.overrides_ok) == (None, False)


def test_more_decisions_cannot_fix_overrides_at_top_confidence() -> None:
    found = calibrate(blind(400, overridden=60), FIRST)
    assert (found.threshold, found.needed) == (None, None)
    assert "more decisions alone do not help" in found.explanation[0]


def test_promise_that_more_decisions_can_show_says_how_many() -> None:
    found = calibrate(blind(100, overridden=3), FIRST)
    assert found.threshold is None
    assert upper_bound(0.03 * (100 + found.needed), 100 + found.needed, 0.95) <= 0.05
    assert upper_bound(0.03 * (90 + found.needed), 90 + found.needed, 0.95) > 0.05


def test_anomalies_approved_wrongly_raise_the_threshold() -> None:
    decisions = blind(900, 0.97) + blind(60, 0.97, anomaly=True)
    wrongly = blind(6, 0.80, overridden=6, anomaly=True) + blind(600, 0.80)
    assert calibrate(decisions + wrongly, FIRST).threshold <= 0.80
    both = calibrate(decisions + wrongly)
    assert 0.80 < both.threshold <= 0.97
    assert both.approved_wrongly == 0


def test_decisions_never_approved_still_count_as_seen_anomalies() -> None:
    found = calibrate(blind(1000) + blind(29, None, overridden=29, anomaly=True))
    assert found.anomalies_ok and found.threshold is not None
    assert found.approved == 1000


@pytest.mark.parametrize("confidence", [-0.1, 1.1, float("nan")])
def test_confidence_outside_its_range_is_refused(confidence: float) -> None:
    with pytest.raises(ValueError, match="outside"):
        calibrate(blind(3, confidence))


@pytest.mark.parametrize(
    "values", [{"override": 0.0}, {"anomaly": 1.0}, {"confidence": 1.5}, {"start": -0.1}, {"override": float("nan")}]
)
def test_promise_out_of_range_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="risk target"):
        RiskTarget(**values)


decisions_lists = st.lists(
    st.builds(
        BlindDecision,
        st.one_of(st.none(), st.floats(0, 1)),
        st.sampled_from([False] * 30 + [True]),
        st.sampled_from([None, False, False, True]),
    ),
    max_size=400,
)


@settings(max_examples=60, deadline=None)
@given(decisions_lists, st.sampled_from([FIRST, RiskTarget(), RiskTarget(override=0.15, anomaly=0.3, confidence=0.8)]))
def test_approved_decisions_meet_every_risk_target(made: list, risk: RiskTarget) -> None:
    found = calibrate(made, risk)
    assert found == calibrate(made[::-1], risk)
    assert all(word.isprintable() and word for word in found.explanation)
    if found.threshold is None:
        assert found.needed != 0
        return
    assert found.threshold in CANDIDATES
    approved = [b for b in made if approves(found, b)]
    anomalies = [b for b in made if b.anomaly]
    assert len(approved) == found.approved >= least_number(risk.override, risk.confidence)
    bad = sum(b.overridden for b in approved)
    assert binom.cdf(bad, len(approved), risk.override) <= 1 - risk.confidence + 1e-9
    if risk.anomaly is not None:
        wrongly = sum(b.overridden for b in anomalies if approves(found, b))
        assert binom.cdf(wrongly, len(anomalies), risk.anomaly) <= 1 - risk.confidence + 1e-9


def test_risk_at_the_limit_is_approved_in_at_most_1_of_20_draws() -> None:
    # every threshold has a risk just above the promise: any approval is a broken one
    rng = np.random.default_rng(3)
    broken = 0
    for _ in range(400):
        made = [
            BlindDecision(float(c), bool(w), None)
            for c, w in zip(rng.random(400), rng.random(400) < 0.0501, strict=True)
        ]
        broken += calibrate(made, FIRST).threshold is not None
    assert broken / 400 <= 0.05 + 3 * (0.05 * 0.95 / 400) ** 0.5


# ------------------------------------------------------------------------------------------------ confidence


def test_approval_confidence_without_flags_is_model_confidence() -> None:
    spoken = Recommendation("g", "model", 1, confidence=0.9)
    assert approval_confidence(spoken) == 0.9
    assert approval_confidence(replace(spoken, source="simulated")) == 0.9


@pytest.mark.parametrize(
    "changes", [{"source": "baseline"}, {"selected_index": None}, {"confidence": None}, {"anomaly_flags": ("a hand",)}]
)
def test_group_without_pick_or_with_a_flag_is_always_looked_at(changes: dict) -> None:
    assert approval_confidence(replace(Recommendation("g", "model", 1, confidence=0.9), **changes)) is None
