"""Pairs counted, and thresholds tuned on a person's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from pickroom.groups.agreement import Agreement, JudgedPair, compare, judged, tune
from pickroom.groups.similar import THRESHOLDS


def test_pairs_are_counted() -> None:
    found = compare([("a", "b", "c"), ("d", "e")], [("a", "b"), ("c", "d"), ("f", "g", "h", "i")])
    assert (found.both, found.grouping_only, found.person_only) == (1, 3, 7)
    assert (found.precision, found.recall) == (0.25, 0.125)
    assert found.f1 == pytest.approx(2 * 0.25 * 0.125 / 0.375)
    assert found.words == "pairs: precision 0.250, recall 0.125, F1 0.167 (1 of 8 found)"


def test_nothing_to_divide_by_is_unknown() -> None:
    assert (Agreement(0, 0, 3).precision, Agreement(0, 3, 0).recall, Agreement(0, 0, 0).f1) == (None, None, None)
    assert "precision unknown" in Agreement(0, 0, 3).words


@given(st.lists(st.integers(0, 4), min_size=3, max_size=12), st.lists(st.integers(0, 4), min_size=12, max_size=12))
def test_scores_are_those_of_a_classifier_of_pairs(ours: list[int], theirs: list[int]) -> None:
    names = range(len(ours))
    pairs = [(a, b) for a in names for b in names if a < b]
    made = [ours[a] == ours[b] for a, b in pairs]
    wanted = [theirs[a] == theirs[b] for a, b in pairs]
    found = compare(groups_of(ours), groups_of(theirs[: len(ours)]))
    if any(made) and any(wanted):
        precision, recall, f1, _ = precision_recall_fscore_support(wanted, made, average="binary", zero_division=0)
        assert (found.precision, found.recall, found.f1) == pytest.approx((precision, recall, f1))


def groups_of(labels: list[int]) -> list[list[str]]:
    return [[str(n) for n, own in enumerate(labels) if own == label] for label in set(labels)]


def pairs_of(together: float, apart: float, count: int = 60, bits: int | None = 30) -> list[JudgedPair]:
    rng = np.random.default_rng(4)
    made = [JudgedPair(float(rng.normal(together, 0.02)), bits, True) for _ in range(count)]
    return made + [JudgedPair(float(rng.normal(apart, 0.02)), bits, False) for _ in range(count)]


@pytest.mark.parametrize(("together", "apart"), [(0.97, 0.90), (0.80, 0.60)])
def test_threshold_moves_between_what_was_merged_and_what_was_split(together: float, apart: float) -> None:
    pairs = pairs_of(together, apart)
    found = tune(pairs)
    assert apart < found.cosine < together
    assert judged(pairs, found).f1 > max(judged(pairs, THRESHOLDS).f1 or 0, 0.9)


def test_hashes_are_tuned_too() -> None:
    pairs = [JudgedPair(None, 9, True)] * 40 + [JudgedPair(None, 11, False)] * 40
    assert tune(pairs).bits in (9, 10)
    assert judged(pairs, tune(pairs)).f1 == 1.0


@pytest.mark.parametrize(("together", "apart"), [(29, 100), (100, 29), (0, 0)])
def test_too_few_pairs_tune_nothing(together: int, apart: int) -> None:
    pairs = [JudgedPair(0.7, None, True)] * together + [JudgedPair(0.2, None, False)] * apart
    assert tune(pairs) == THRESHOLDS


def test_pairs_that_agree_with_the_thresholds_leave_them() -> None:
    pairs = [JudgedPair(0.99, 30, True)] * 40 + [JudgedPair(0.2, 30, False)] * 40
    assert tune(pairs) == THRESHOLDS


@given(
    st.lists(
        st.builds(
            JudgedPair, st.one_of(st.none(), st.floats(-1, 1)), st.one_of(st.none(), st.integers(0, 64)), st.booleans()
        ),
        max_size=120,
    )
)
def test_tuning_never_makes_agreement_worse(pairs: list[JudgedPair]) -> None:
    before, after = judged(pairs, THRESHOLDS).f1, judged(pairs, tune(pairs)).f1
    assert (after or 0) >= (before or 0)
