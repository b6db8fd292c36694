"""Bursts by keys: rounds, going back, images kept in addition, stars; each key is saved at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pickroom.core.records import Choice, Recommendation
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.review.state import Card, ReviewState, press
from pickroom.store.workspace import Project, Workspace
from support.photographs import shoot, take
from support.reviewing import FINALISE, card_of, queue, recommend, review, rows

Shoot = Callable[..., Project]
KEYS = ["1", "2", "3", "4", "5", "8", "Shift+6", "q", "a", "b", "c", "x", "k", "s", "u", "Shift+u", "ArrowDown", "g"]


@pytest.fixture
def start(tmp_path: Path) -> Shoot:
    def make(*, bursts: int = 1, shots: int = 10) -> Project:
        shoot(tmp_path / "card", bursts=bursts, shots=shots)
        return projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card")[0]

    return make


def names(session: ReviewSession) -> list[str]:
    """The numbers in the file names on screen."""
    shown = session.group_at(session.state.position)
    assert shown is not None
    return [image.filename[6:8] for image in shown.images]


@pytest.fixture
def burst(start: Shoot) -> Iterator[ReviewSession]:
    session = ReviewSession(start())
    yield session
    session.close()


def test_the_winner_meets_the_next_three(burst: ReviewSession) -> None:
    assert names(burst) == ["00", "01", "02", "03"]
    burst.press("3")
    assert names(burst) == ["02", "04", "05", "06"]
    burst.press("1")
    assert names(burst) == ["02", "07", "08", "09"]
    shown = burst.group_at(0)
    assert shown is not None and shown.round_words == "Round 3 of 3"
    assert [word for _, word in shown.strip] == ["out", "out", "on"] + 4 * ["out"] + 3 * ["on"]
    burst.press("2")
    assert burst.state.choice(burst.state.cards[0]) == Choice("approve", 7, rounds=((2, 0, 1, 3), (2, 4, 5, 6)))


def test_undo_and_the_round_before_go_back(burst: ReviewSession) -> None:
    burst.press("3")
    burst.press("2")
    burst.press("u")
    assert names(burst) == ["02", "04", "05", "06"]
    burst.press("Shift+u")
    assert names(burst) == ["04", "07", "08", "09"]
    burst.press("b")
    burst.press("b")
    assert names(burst) == ["00", "01", "02", "03"]
    assert burst.press("b").message == "no round comes before this"
    assert rows(burst.project, "SELECT count(*) AS n FROM comparisons") == [{"n": 0}]


def test_a_crop_waits_for_the_last_round(burst: ReviewSession) -> None:
    assert "last round" in burst.press("q").message and names(burst)[0] == "00"
    for key in ("1", "1", "q"):
        burst.press(key)
    assert burst.state.choice(burst.state.cards[0]).action == "crop"


def test_reject_keep_and_skip_take_the_whole_burst(burst: ReviewSession) -> None:
    burst.press("1")
    for key, folder in (("x", "10 to delete_staging/"), ("k", "10 to selected/")):
        burst.press(key)
        burst.press("Shift+Enter")
        assert folder in burst.view().summary[-1]
        burst.press("Escape")
    burst.press("s")
    assert burst.state.choice(burst.state.cards[0]) == Choice("skip", rounds=((0, 1, 2, 3),))


def test_a_second_session_goes_on_in_the_same_round(start: Shoot) -> None:
    project = start()
    review(project, "3", "6", "Shift+7", "Shift+7")
    again = ReviewSession(project)
    assert names(again) == ["02", "04", "05", "06"]
    assert again.state.choice(again.state.cards[0]) == Choice(rounds=((2, 0, 1, 3),), kept=(4,), stars=((5, 2),))
    again.close()


def test_a_scan_leaves_a_burst_with_a_round_as_it_is(start: Shoot) -> None:
    project = start(shots=6)
    (before,) = queue(project)
    review(project, "1")
    take(project.root / "IMG_0006.jpg", 0, 3)
    projects.rescan(project)
    assert [group.group_id for group in queue(project)] == [before.group_id]
    review(project, "u")
    projects.rescan(project)
    assert [len(group.images) for group in queue(project)] == [7]


def test_six_stars_are_none_and_a_reject_keeps_nothing() -> None:
    state = ReviewState((card_of("a", 3),))
    for _ in range(5):
        state = press(state, "Shift+5")
    assert state.choice(state.cards[0]).stars == ((0, 5),)
    assert press(state, "Shift+5").choice(state.cards[0]).stars == ()
    kept = press(state, "7")
    assert kept.choice(kept.cards[0]) == Choice(kept=(2,), stars=((0, 5),))
    rejected = press(kept, "x")
    assert rejected.choice(kept.cards[0]) == Choice("reject", stars=((0, 5),))
    assert press(rejected, "5").choice(kept.cards[0]).action == "undecided"
    assert press(kept, "8").message == "this group has 3 images"


def test_images_meet_by_the_models_order(start: Shoot) -> None:
    project = start(shots=6)
    (group,) = queue(project)
    recommend(project, group, 1, ranking=(5, 4, 3, 2, 0, 1))
    session = ReviewSession(project)
    assert names(session) == ["03", "04", "05"]
    shown = session.group_at(0)
    assert shown is not None and [image.ai_pick for image in shown.images] == [True, False, False]
    assert [image.badge for image in shown.images if image.ai_pick] == ["AI pick"]
    session.press("a")
    assert names(session) == ["03", "00", "01", "02"]
    session.press("2")
    for key in FINALISE:
        session.press(key)
    session.close()
    (row,) = rows(project, "SELECT images, ai_selected_index, user_selected_index, selection_match FROM ai_decisions")
    assert row["images"] == '["IMG_0003.jpg", "IMG_0000.jpg", "IMG_0001.jpg", "IMG_0002.jpg"]'
    assert (row["ai_selected_index"], row["user_selected_index"], row["selection_match"]) == (2, 1, 0)


def test_a_blind_review_does_not_meet_by_the_model(start: Shoot) -> None:
    project = start(shots=6)
    recommend(project, queue(project)[0], 1, ranking=(5, 4, 3, 2, 0, 1))
    session = ReviewSession(project, blind=True)
    assert names(session) == ["00", "01", "02"]
    session.close()


def test_a_bracket_is_kept_whole_by_accepting() -> None:
    said = Recommendation(
        "g", "baseline", None, reasons=("exposure bracket (1/60 s, 1/15 s): keep all",), keep_all=True
    )
    state = ReviewState((Card("g", 5, said),))
    assert press(state, "a").choice(state.cards[0]) == Choice("keep")


@given(st.lists(st.sampled_from(KEYS), max_size=25))
@settings(max_examples=150, deadline=None)
def test_undoing_every_key_restores_the_beginning(keys: list[str]) -> None:
    cards = (card_of("a", 11, ai_index=2, order=(10, 9, 8, 7, 6, 5, 4, 3, 1, 0, 2)), card_of("b", 3), card_of("c", 5))
    state = ReviewState(cards)
    seen = [state]
    for key in keys:
        state = press(state, key)
        places = [card.places(state.choice(card)) for card in cards]
        assert all(2 <= len(own) <= 4 for own in places)
        index = state.choice(cards[0]).index
        assert index is None or index in places[0], "the pick is on screen"
        seen.append(state)
    while state.undo:
        state = press(state, "u")
    assert not any(state.choice(card) != seen[0].choice(card) for card in cards)


@pytest.fixture(scope="module")
def two_bursts(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("bursts")
    shoot(folder / "card", bursts=2, shots=8)
    return projects.start(Workspace(folder / "home"), "p", folder / "card")[0]


@given(st.lists(st.sampled_from([key for key in KEYS if key != "g"]), max_size=12))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_kill_between_keys_loses_nothing(two_bursts: Project, keys: list[str]) -> None:
    """A session that is left without being closed, as a killed kernel leaves it; another one reads the same."""
    session = ReviewSession(two_bursts)
    while session.state.undo:
        session.press("u")
    for key in keys:
        before = session.press(key)
        other = ReviewSession(two_bursts)
        assert (other.state.choices, other.state.position) == (before.choices, before.position)
        assert (other.state.undo, other.state.redo) == (before.undo, before.redo)
        other.close()
    session.close()
