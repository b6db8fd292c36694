"""The review's state machine: every row of REVIEW.md's table of keys, and what holds for any keys at all."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.core.records import Choice
from pickroom.sessions.keys import AUTOMATION, REVIEW
from pickroom.sessions.review.state import Card, ReviewState, destinations, first_choice, press
from support.reviewing import card_of

UNDECIDED = Choice()
# three groups: with an AI pick and its crop shown, with an AI pick and no crop, with no recommendation at all
CARDS = (
    card_of("a", 3, ai_index=1, has_crop=True, crop_needed=True),
    card_of("b", 2, ai_index=0),
    card_of("c", 4),
)


def start(*cards: Card, position: int = 0) -> ReviewState:
    return ReviewState(cards=cards or CARDS, position=position)


def after(state: ReviewState, *keys: str) -> ReviewState:
    for key in keys:
        state = press(state, key)
    return state


def choices(state: ReviewState) -> list[Choice]:
    return [state.choice(card) for card in state.cards]


# ------------------------------------------------------------------------------------------------ choosing


@pytest.mark.parametrize(
    ("key", "choice"),
    [
        ("1", Choice("approve", 0)),
        ("2", Choice("approve", 1)),
        ("3", Choice("approve", 2)),
        ("4", Choice("approve", 3)),
        ("q", Choice("crop", 0)),
        ("w", Choice("crop", 1)),
        ("e", Choice("crop", 2)),
        ("r", Choice("crop", 3)),
        ("a", Choice("approve", 2)),
        ("x", Choice("reject")),
        ("s", Choice("skip")),
        ("k", Choice("keep")),
    ],
)
def test_key_sets_choice_and_moves_on_and_second_press_clears_it(key: str, choice: Choice) -> None:
    cards = (card_of("a", 4, ai_index=2), card_of("b", 2))
    chosen = press(start(*cards), key)
    assert (choices(chosen), chosen.position) == ([choice, UNDECIDED], 1)
    cleared = after(chosen, "ArrowUp", key)
    assert (choices(cleared), cleared.position) == ([UNDECIDED, UNDECIDED], 0)


@pytest.mark.parametrize("key", ["1", "q", "a", "x", "s", "k"])
def test_key_stays_at_the_last_group(key: str) -> None:
    chosen = press(start(card_of("a", 2), card_of("b", 2, ai_index=0), position=1), key)
    assert chosen.position == 1
    assert chosen.choice(chosen.cards[1]).action != "undecided"


@pytest.mark.parametrize(
    ("first", "second", "choice"),
    [
        ("1", "2", Choice("approve", 1)),
        ("1", "q", Choice("crop", 0)),
        ("q", "1", Choice("approve", 0)),
        ("q", "w", Choice("crop", 1)),
        ("1", "x", Choice("reject")),
        ("x", "1", Choice("approve", 0)),
        ("k", "s", Choice("skip")),
        ("2", "a", Choice("approve", 0)),
    ],
)
def test_another_key_takes_the_place_of_the_first(first: str, second: str, choice: Choice) -> None:
    cards = (card_of("a", 2, ai_index=0), card_of("b", 2))
    assert choices(after(start(*cards), first, "ArrowUp", second))[0] == choice


def test_accept_after_the_same_pick_clears_the_choice() -> None:
    cards = (card_of("a", 2, ai_index=0), card_of("b", 2))
    assert choices(after(start(*cards), "1", "ArrowUp", "a"))[0] == UNDECIDED


@pytest.mark.parametrize("key", ["3", "e", "4", "r"])
def test_number_beyond_the_group_changes_nothing_and_says_so(key: str) -> None:
    state = start(card_of("a", 2), card_of("b", 4))
    pressed = press(state, key)
    assert pressed == replace(state, message="this group has 2 images")


def test_accept_without_recommendation_only_shows_a_message() -> None:
    pressed = press(start(card_of("c", 4)), "a")
    assert (choices(pressed), pressed.message) == ([UNDECIDED], "nothing is recommended for this group")


def test_overlay_starts_on_only_if_model_says_crop_is_needed() -> None:
    shapes = [card_of("a", 2, 0, crop, first) for crop in (True, False) for first in (True, False)]
    assert [first_choice(card).overlay for card in shapes] == [True, False, False, False]


@pytest.mark.parametrize(("keys", "overlay"), [(("2",), True), (("c", "2"), False), (("c", "c", "2"), True)])
def test_pick_records_the_overlay_as_it_is_seen(keys: tuple[str, ...], overlay: bool) -> None:
    assert choices(after(start(), *keys))[0] == Choice("approve", 1, overlay)


def test_a_pick_takes_no_overlay_along_that_is_not_on_the_screen() -> None:
    blind = card_of("a", 3)
    left_on = ReviewState(cards=(blind,), choices={"a": Choice(overlay=True)})
    assert choices(after(left_on, "2"))[0] == Choice("approve", 1)
    assert choices(after(left_on, "2", "u"))[0] == Choice(overlay=True)


def test_overlay_key_never_moves_on_and_keeps_the_pick() -> None:
    state = after(start(), "2", "ArrowUp", "c")
    assert (choices(state)[0], state.position) == (Choice("approve", 1, False), 0)


def test_overlay_key_without_proposed_crop_only_shows_a_message() -> None:
    state = start(position=1)
    assert press(state, "c") == replace(state, message="no crop was proposed for this group")


def test_cleared_choice_keeps_the_overlay_as_it_is_seen() -> None:
    assert choices(after(start(), "c", "2", "ArrowUp", "2"))[0] == Choice("undecided", None, False)


# ------------------------------------------------------------------------------------------------ going about


@pytest.mark.parametrize(
    ("key", "positions"),
    [
        ("Enter", (1, 2, 2)),
        ("ArrowDown", (1, 2, 2)),
        ("ArrowRight", (1, 2, 2)),
        ("ArrowUp", (0, 0, 1)),
        ("ArrowLeft", (0, 0, 1)),
        ("Home", (0, 0, 0)),
        ("End", (2, 2, 2)),
        ("g", (1, 2, 0)),
    ],
)
def test_key_goes_to_its_group_and_stops_at_the_ends(key: str, positions: tuple[int, ...]) -> None:
    states = [press(start(position=position), key) for position in range(3)]
    assert tuple(state.position for state in states) == positions
    assert all(choices(state) == choices(start()) for state in states)


@pytest.mark.parametrize(
    ("keys", "position"),
    [
        (("1", "g"), 2),  # b is undecided, so is c: from b on to c
        (("1", "1", "g"), 2),  # a and b are decided
        (("ArrowDown", "1", "1", "g"), 0),  # around the end
        (("1", "1", "s", "g"), 2),  # the skipped one, once nothing else is left
        (("s", "1", "1", "g"), 0),
        (("s", "ArrowDown", "1", "g"), 1),  # an undecided one before a skipped one
    ],
)
def test_next_undecided_wraps_around_and_leaves_skipped_for_last(keys: tuple[str, ...], position: int) -> None:
    assert after(start(), *keys).position == position


def test_next_undecided_says_when_there_is_none() -> None:
    state = after(start(), "1", "1", "1", "g")
    assert (state.position, state.message) == (2, "every group is decided; Shift+Enter to finalise")


def test_choice_at_last_group_counts_open_groups_and_names_key() -> None:
    last = after(start(position=2), "1")
    assert (last.position, last.message) == (2, "2 groups before this are open: G goes to the next")
    assert after(start(), "1", "End", "k").message == "1 group before this is open: G goes to the next"
    assert after(start(), "1", "s", "x").message == ""  # skipping was a choice
    assert after(start(position=2), "1", "1").message == ""  # cleared
    assert after(last, "g").position == 0


# ------------------------------------------------------------------------------------------------ views


@pytest.mark.parametrize(("key", "view"), [("z", "zoom"), ("f", "zoom"), ("i", "info"), ("?", "help")])
def test_view_opens_and_closes_with_its_key_or_escape(key: str, view: str) -> None:
    opened = press(start(), key)
    assert getattr(opened, view)
    assert not getattr(press(opened, key), view)
    assert not getattr(press(opened, "Escape"), view)
    assert choices(opened) == choices(start())


def test_escape_closes_one_view_at_a_time() -> None:
    state = after(start(), "i", "?", "z")
    closed = []
    for _ in range(4):
        state = press(state, "Escape")
        closed.append((state.zoom, state.help, state.info))
    assert closed == [("", True, True), ("", False, True), ("", False, False), ("", False, False)]


@pytest.mark.parametrize(("key", "zoom"), [("1", ""), ("Enter", ""), ("c", "full")])
def test_zoom_ends_with_the_group_it_was_on(key: str, zoom: str) -> None:
    assert after(start(), "z", key).zoom == zoom


def test_faces_and_100_percent_follow_each_other() -> None:
    assert [after(start(), *keys).zoom for keys in ("f", "fz", "fzf", "fzff")] == ["faces", "full", "faces", ""]


def test_legend_closes_when_a_key_is_used() -> None:
    assert not after(start(), "?", "1").help


def test_summary_is_shown_alone() -> None:
    state = after(start(), "1", "i", "?", "z", "Shift+Enter")
    assert (state.summary, state.info, state.help, state.zoom) == (True, False, False, "")


def test_info_stays_open_from_group_to_group() -> None:
    assert after(start(), "i", "1", "Enter").info


def test_next_key_takes_the_message_away() -> None:
    state = press(start(position=1), "c")
    assert state.message
    assert press(state, "1").message == ""


@pytest.mark.parametrize("key", ["t", "Tab", "Shift+1", "0", "Shift+a", "["])
def test_key_that_means_nothing_here_only_leaves_a_message(key: str) -> None:
    assert press(start(), key) == replace(start(), message=f"{key} does nothing here; ? shows the keys")


def test_text_that_is_no_key_is_refused() -> None:
    with pytest.raises(UsageError):
        press(start(), "Return")


def test_capital_letters_are_the_same_keys() -> None:
    assert press(start(), "Q") == press(start(), "q")


# ------------------------------------------------------------------------------------------------ undo


def test_undo_takes_back_the_choice_and_the_place() -> None:
    state = after(start(), "1", "u")
    assert (choices(state), state.position, state.message) == (choices(start()), 0, "undone: pick 1")


def test_undo_reaches_back_any_number_of_keys() -> None:
    keys = ("1", "2", "q", "ArrowUp", "x", "Home", "c", "k")
    state = after(start(), *keys, *("u" for _ in keys))
    assert (choices(state), state.position, state.undo) == (choices(start()), 0, ())
    assert press(state, "u").message == "nothing to undo"


def test_redo_brings_back_what_was_undone() -> None:
    done = after(start(), "1", "q", "ArrowUp")
    again = after(done, "u", "u", "Shift+u", "Shift+u")
    assert (choices(again), again.position, again.undo) == (choices(done), done.position, done.undo)
    assert again.message == "redone: previous"
    assert press(again, "Shift+u").message == "nothing to redo"


def test_new_key_ends_what_could_be_redone() -> None:
    state = after(start(), "1", "u", "2", "Shift+u")
    assert (choices(state)[0].index, state.message) == (1, "nothing to redo")


@pytest.mark.parametrize("key", ["Home", "z", "i", "?", "Escape", "t", "4"])
def test_key_that_changes_nothing_is_not_undone(key: str) -> None:
    state = after(start(), "1", "ArrowUp", key, "u")
    assert (state.position, state.undo[-1].key) == (1, "1")


# ------------------------------------------------------------------------------------------------ finalising


def test_finalise_shows_summary_first_and_then_confirms() -> None:
    shown = after(start(), "1", "Shift+Enter")
    assert (shown.summary, shown.confirmed) == (True, False)
    done = press(shown, "Shift+Enter")
    assert (done.summary, done.confirmed) == (False, True)


def test_finalise_is_confirmed_for_one_key_only() -> None:
    state = after(start(), "1", "Shift+Enter", "Shift+Enter", "Enter")
    assert not state.confirmed


def test_escape_returns_from_the_summary_with_every_choice() -> None:
    chosen = after(start(), "1")
    state = after(chosen, "Shift+Enter", "Escape")
    assert (state.summary, state.confirmed, choices(state)) == (False, False, choices(chosen))


@pytest.mark.parametrize("key", sorted(set(REVIEW.commands) - {"Shift+Enter", "Escape"}))
def test_no_other_key_does_anything_while_the_summary_is_open(key: str) -> None:
    shown = after(start(), "1", "Shift+Enter")
    assert press(shown, key) == replace(shown, message="Shift+Enter again finalises, Esc returns")


@pytest.mark.parametrize("keys", [(), ("s", "u"), ("1", "u"), ("c",)])
def test_finalise_with_nothing_decided_says_so(keys: tuple[str, ...]) -> None:
    state = after(start(), *keys, "Shift+Enter")
    assert (state.summary, state.message) == (False, "nothing is decided yet")


def test_only_decisions_are_counted() -> None:
    cards = tuple(card_of(str(n), 2, ai_index=0) for n in range(7))
    assert after(start(*cards), "1", "q", "x", "k", "s", "a").decided == 5


# ------------------------------------------------------------------------------------------------ an empty batch


@pytest.mark.parametrize("key", sorted(REVIEW.commands))
def test_every_key_is_harmless_when_no_group_waits(key: str) -> None:
    state = press(ReviewState(cards=()), key)
    assert (state.card, state.position, state.undo, state.confirmed, state.summary) == (None, 0, (), False, False)
    assert not state.zoom


# ------------------------------------------------------------------------------------------------ any keys at all


KEYS = st.lists(st.sampled_from([*REVIEW.commands, "t", "Shift+1"]), max_size=40)
BATCHES = st.lists(
    st.builds(
        card_of,
        group_id=st.uuids().map(str),
        count=st.integers(2, 4),
        ai_index=st.none() | st.integers(0, 1),
        has_crop=st.booleans(),
        crop_needed=st.booleans(),
    ),
    max_size=5,
    unique_by=lambda card: card.group_id,
).map(tuple)


def run(state: ReviewState, key: str, log: str) -> ReviewState:
    """Press a key until nothing is left in a log."""
    state = replace(state, summary=False)
    while getattr(state, log):
        state = press(state, key)
    return state


@settings(deadline=None)
@given(BATCHES, KEYS)
def test_undo_all_returns_to_start_and_redo_all_to_end(cards: tuple[Card, ...], keys: list[str]) -> None:
    first = ReviewState(cards=cards)
    end = run(after(first, *keys), "Shift+u", "redo")
    beginning = run(end, "u", "undo")
    assert (choices(beginning), beginning.position) == (choices(first), 0)
    again = run(beginning, "Shift+u", "redo")
    assert (choices(again), again.position, again.undo) == (choices(end), end.position, end.undo)


@settings(deadline=None)
@given(BATCHES, KEYS)
def test_one_undo_takes_back_exactly_one_key(cards: tuple[Card, ...], keys: list[str]) -> None:
    state = ReviewState(cards=cards)
    for key in keys:
        pressed = press(state, key)
        if len(pressed.undo) > len(state.undo) and key != "Shift+u":
            back = press(pressed, "u")
            assert (choices(back), back.position, back.undo) == (choices(state), state.position, state.undo)
        state = pressed


@settings(deadline=None)
@given(BATCHES, KEYS)
def test_destinations_are_where_the_keys_lead(cards: tuple[Card, ...], keys: list[str]) -> None:
    state = after(ReviewState(cards=cards), *keys)
    told = destinations(state)
    for key in REVIEW.commands:
        assert press(state, key).position == told.get(key, state.position)
    assert state.position not in told.values()


def test_session_key_makes_no_choice_and_has_no_destination() -> None:
    # F filters the automation's review: told as a way to the next group, the browser would show that group at once
    assert press(start(), "f", AUTOMATION) == start()
    assert "f" not in destinations(start(), AUTOMATION)
    assert destinations(start(), AUTOMATION)["a"] == 1


@settings(deadline=None)
@given(BATCHES, KEYS)
def test_state_always_makes_sense(cards: tuple[Card, ...], keys: list[str]) -> None:
    state = ReviewState(cards=cards)
    for key in keys:
        before, state = state, press(state, key)
        changed = [c for c in cards if state.choice(c) != before.choice(c)]
        assert 0 <= state.position < max(len(cards), 1)
        assert len(changed) <= 1
        for card in cards:
            choice = state.choice(card)
            assert (choice.index is not None) == (choice.action in ("approve", "crop"))
            assert choice.index is None or choice.index < card.count
            assert card.recommended.offered_crop or not choice.overlay
        touched = [card for card in cards if before.choice(card).action != "undecided"]
        assert not state.confirmed or (before.summary and key == "Shift+Enter" and touched)


@settings(deadline=None)
@given(BATCHES, st.sampled_from(sorted(REVIEW.commands)), KEYS)
def test_pressing_a_key_leaves_the_state_before_it_alone(cards: tuple[Card, ...], key: str, keys: list[str]) -> None:
    state = after(ReviewState(cards=cards), *keys)
    before = repr(state)  # all of it, the choices of its mapping too
    press(state, key)
    assert repr(state) == before
