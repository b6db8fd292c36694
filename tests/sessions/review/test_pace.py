"""Pace: what a look counts, the same in the deck, in the automation's figures and in the analysis."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import pickroom
from pickroom.core.records import Choice
from pickroom.sessions.review.session import pace_of
from pickroom.sessions.review.state import ReviewState
from pickroom.store.review_state import MAX_DWELL_S, SavedChoice, look_ms
from support.reviewing import card_of

SQL = Path(pickroom.__file__).parent / "analysis" / "sql"


@pytest.mark.parametrize(("seconds", "counted"), [(0, 0), (1.5, 1500), (119, 119_000), (120, 0), (4000, 0), (-1, 0)])
def test_a_look_lasts_until_the_key_and_a_pause_is_no_work(seconds: float, counted: int) -> None:
    assert look_ms(seconds) == counted


def test_pace_counts_decided_groups_and_agreement_counts_picks() -> None:
    cards = tuple(card_of(name, 2, ai_index=0) for name in "abcd")
    state = ReviewState(cards, {"a": Choice("approve", 0), "b": Choice("crop", 1), "c": Choice("reject")})
    saved = {
        name: SavedChoice(None, milliseconds=ms) for name, ms in (("a", 1000), ("b", 3000), ("c", 5000), ("d", 70_000))
    }
    pace = pace_of(state, saved)
    assert (pace.seconds_per_group, pace.agreement) == (3.0, 0.5)
    assert pace_of(ReviewState(cards), saved) == type(pace)(None, None)


def test_a_pause_does_not_count_in_the_pace() -> None:
    cards = tuple(card_of(name, 2) for name in "abcde")
    state = ReviewState(cards, {name: Choice("approve", 0) for name in "abcde"})
    times = (4000, 6000, 300_000, 180_000, 0)  # earlier versions stored 300 s for a pause
    saved = {name: SavedChoice(None, milliseconds=ms) for name, ms in zip("abcde", times, strict=True)}
    assert pace_of(state, saved).seconds_per_group == 5.0
    only_pauses = {name: SavedChoice(None, milliseconds=ms) for name, ms in zip("abcde", (300_000,) * 5, strict=True)}
    assert pace_of(state, only_pauses).seconds_per_group is None


def test_the_analysis_leaves_out_the_same_pauses() -> None:
    texts = {path.stem: path.read_text(encoding="utf-8") for path in SQL.rglob("*.sql")}
    assert f"BETWEEN 1 AND {1000 * MAX_DWELL_S - 1:.0f} THEN" in texts["macros"]
    assert f"gap < INTERVAL {MAX_DWELL_S / 60:.0f} MINUTE" in texts["sessions"]
    for name, text in texts.items():
        used = re.findall(r"\S*\(?[\w.]*milliseconds\)?", text) if name in ("sessions", "time_saved", "pace") else []
        assert all("look_s(" in use or use.strip(",") == "milliseconds" for use in used), (name, used)
