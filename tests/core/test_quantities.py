"""Amounts as a user reads them: the examples of the docstrings, and counts of one, none and nearly all."""

from __future__ import annotations

import doctest

import pytest

from pickroom.core import quantities
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import Pace, header
from support.reviewing import card_of


def test_the_examples_of_the_docstrings_hold() -> None:
    found = doctest.testmod(quantities)
    assert found.attempted >= 3 and not found.failed


@pytest.mark.parametrize(
    ("agreement", "words"), [(0.0, "0 %"), (0.001, "under 1 %"), (0.999, "over 99 %"), (1.0, "100 %")]
)
def test_the_header_says_none_and_all_only_of_those(agreement: float, words: str) -> None:
    state = ReviewState((card_of("a", 2),))
    assert header(state, Pace(None, agreement), 0) == f"Group 1 of 1 - reviewed 0 (0 %) - agreement {words}"
