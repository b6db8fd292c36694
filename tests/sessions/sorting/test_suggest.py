"""Suggestions by nearest neighbours: right where characters differ, silent where they do not."""

from __future__ import annotations

import numpy as np
import pytest

from pickroom.sessions.sorting.suggest import LEAST_CONFIDENCE, Neighbours, by_similarity, chance

DIM = 16


def cloud(centre: int, count: int, seed: int, spread: float = 0.15) -> np.ndarray:
    """(count, DIM) vectors around one axis, of different lengths."""
    random = np.random.default_rng(seed)
    vectors = np.eye(DIM)[centre] + random.normal(0, spread, (count, DIM))
    return (vectors * random.uniform(0.5, 20, (count, 1))).astype(np.float32)


def test_characters_that_differ_are_told_apart_after_a_few() -> None:
    sorted_ones = np.concatenate([cloud(0, 2, 1), cloud(1, 2, 2)])
    found = Neighbours(sorted_ones, ["anna", "anna", "bo", "bo"], 0.0).ask(
        np.concatenate([cloud(0, 5, 3), cloud(1, 5, 4)])
    )
    assert [one.name for one in found if one] == ["anna"] * 5 + ["bo"] * 5
    assert all(LEAST_CONFIDENCE <= one.confidence <= 5 / 6 for one in found if one)  # four checks, one wrong added


def test_confidence_rises_with_what_is_sorted() -> None:
    def sure(count: int) -> float:
        known = np.concatenate([cloud(0, count, 1), cloud(1, count, 2)])
        found = Neighbours(known, ["a"] * count + ["b"] * count, 0.0).ask(cloud(0, 40, 9))
        return float(np.mean([one.confidence for one in found if one is not None]))

    assert sure(2) < sure(5) < sure(40) < 1


@pytest.mark.parametrize("names", [[], ["anna"], ["anna"] * 6, ["anna"] * 5 + ["bo"]])
def test_too_little_is_sorted_to_say_anything(names: list[str]) -> None:
    assert Neighbours(cloud(0, len(names), 1), names, 0.0).ask(cloud(0, 3, 2)) == [None] * 3


def test_names_that_vectors_cannot_separate_are_never_suggested() -> None:
    random = np.random.default_rng(5)
    names = [str(name) for name in random.choice(["anna", "bo", "cleo"], 120)]
    asked = Neighbours(cloud(0, 120, 6), names, 0.0)
    assert asked.reliability < LEAST_CONFIDENCE
    assert asked.ask(cloud(0, 20, 7)) == [None] * 20


def test_the_share_that_is_right_is_at_least_what_was_said() -> None:
    # two characters that overlap: what is said of them is checked on three hundred others
    centres = [(0, "anna"), (1, "bo")]
    known = np.concatenate([cloud(axis, 30, axis, spread=0.45) for axis, _ in centres])
    asked = Neighbours(known, [name for _, name in centres for _ in range(30)], 0.0)
    told = [(one, name) for axis, name in centres for one in asked.ask(cloud(axis, 150, 90 + axis, spread=0.45)) if one]
    right = sum(one.name == name for one, name in told) / len(told)
    assert len(told) > 150
    assert right >= sum(one.confidence for one, _ in told) / len(told) - 0.05


def test_the_most_similar_come_first_whatever_their_length() -> None:
    matrix = np.array([[0, 3], [1, 1], [9, 0.1], [0, 0]], np.float32)
    assert by_similarity(matrix, np.array([2, 0], np.float32)).tolist() == [2, 1, 0, 3]


def test_what_resembles_nothing_that_was_sorted_is_left_alone() -> None:
    known = np.concatenate([cloud(0, 5, 1), cloud(1, 5, 2)])
    strangers = np.concatenate([cloud(axis, 5, axis) for axis in range(2, 8)])
    usual = chance(np.concatenate([known, strangers]))
    asked = Neighbours(known, ["anna"] * 5 + ["bo"] * 5, usual)
    assert asked.ask(strangers) == [None] * len(strangers)
    assert None not in asked.ask(cloud(0, 5, 9))


def test_chance_is_what_two_images_have_in_common() -> None:
    assert abs(chance(np.random.default_rng(1).normal(size=(400, 64)).astype(np.float32))) < 0.02
    assert chance(np.ones((5, 4), np.float32)) == pytest.approx(1)
    assert chance(np.ones((1, 4), np.float32)) == 0
