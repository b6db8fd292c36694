"""Pace: what a look counts, the same in the deck, in the automation's figures and in the analysis."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pickroom
from pickroom.records import Choice
from pickroom.review.pace import LookClock, pace_of
from pickroom.review.state import Card, ReviewState
from pickroom.store.choices import LONGEST_LOOK_S, Saved

SQL = Path(pickroom.__file__).parent / "analysis" / "sql"


@pytest.mark.parametrize(("seconds", "counted"), [(0, 0), (1.5, 1500), (300, 300_000), (4000, 300_000), (-1, 0)])
def test_a_look_lasts_until_the_key_and_a_pause_is_no_work(seconds: float, counted: int) -> None:
    times = iter([10.0, 10.0 + seconds, 10.0 + seconds + 2])
    clock = LookClock(lambda: next(times))
    assert clock.take() == counted
    assert clock.take() == 2000


def test_what_is_no_look_is_left_out() -> None:
    times = iter([0.0, 60.0, 61.0])
    clock = LookClock(lambda: next(times))
    clock.restart()
    assert clock.take() == 1000


def test_only_decided_groups_count_and_agreement_only_where_an_image_was_picked() -> None:
    cards = tuple(Card(name, 2, ai_index=0) for name in "abcd")
    state = ReviewState(cards, {"a": Choice("approve", 0), "b": Choice("crop", 1), "c": Choice("reject")})
    saved = {name: Saved(None, milliseconds=ms) for name, ms in (("a", 1000), ("b", 3000), ("c", 5000), ("d", 70_000))}
    pace = pace_of(state, saved)
    assert (pace.seconds_per_group, pace.agreement) == (3.0, 0.5)
    assert pace_of(ReviewState(cards), saved) == type(pace)(None, None)


def test_the_analysis_counts_looks_and_sessions_by_the_same_five_minutes() -> None:
    texts = [path.read_text(encoding="utf-8") for path in SQL.rglob("*.sql")]
    looks = [
        int(n) for text in texts for n in re.findall(r"least\([^;]*?milliseconds\b[^,;]*?(?:, 0\))?, (\d+)\)", text)
    ]
    gaps = [int(n) for text in texts for n in re.findall(r"INTERVAL (\d+) MINUTE", text)]
    assert looks and set(looks) == {1000 * LONGEST_LOOK_S}
    assert gaps and set(gaps) == {LONGEST_LOOK_S / 60}
