"""Pairs counted, and thresholds tuned on a person's own."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from pickroom.core.records import Image
from pickroom.groups.similar import LEAST_GROUPS, THRESHOLDS, Agreement, ImageFeatures, agreement, compare, tune


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


def image(name: str) -> Image:
    return Image(name, "", 48, 64, None, None, f"{name}-hash", 1, 1)


def described(
    within: float, between: float, count: int = 40
) -> tuple[list[Image], dict[str, ImageFeatures], list[list[str]]]:
    """Pairs of images at one cosine, each pair at another cosine to the next pair, no hash alike."""
    rng = np.random.default_rng(4)
    common = np.zeros(3 * count + 1)
    common[0] = np.sqrt(between)
    looks, wanted = {}, []
    for number in range(count):
        names = [f"{number:02d}{take}" for take in "ab"]
        for take, name in enumerate(names):
            vector = common.copy()
            vector[1 + 3 * number] = np.sqrt(within - between)
            vector[2 + 3 * number + take] = np.sqrt(1 - within)
            looks[name] = ImageFeatures(int(rng.integers(1 << 62)), vector.astype(np.float32))
        wanted.append(names)
    return [image(name) for name in looks], looks, wanted


@pytest.mark.parametrize(("within", "between"), [(0.97, 0.91), (0.78, 0.60)])
def test_tuned_threshold_lies_between_merged_and_split_images(within: float, between: float) -> None:
    images, looks, wanted = described(within, between)
    found = tune(images, looks, wanted)
    assert between < found.cosine <= within
    assert agreement(images, looks, wanted, found).f1 == 1.0
    assert agreement(images, looks, wanted, THRESHOLDS).f1 < 0.9


def test_hashes_are_tuned_too() -> None:
    looks = {
        f"{n:02d}{take}": ImageFeatures((n << 32) * 0x9E37 | bits, None, "x")
        for n in range(40)
        for take, bits in (("a", 0), ("b", 0x3FF))
    }
    images, wanted = [image(name) for name in looks], [[f"{n:02d}a", f"{n:02d}b"] for n in range(40)]
    assert tune(images, looks, wanted).bits == 12


def test_too_few_groups_tune_nothing() -> None:
    images, looks, wanted = described(0.5, 0.2, LEAST_GROUPS - 1)
    assert tune(images, looks, wanted) == THRESHOLDS


def test_groups_that_agree_with_the_thresholds_leave_them() -> None:
    assert tune(*described(0.95, 0.3)) == THRESHOLDS
