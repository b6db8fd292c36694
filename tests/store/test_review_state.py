"""Every key is saved at once: choices, what was shown, the time spent, the undo log and the place."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import pytest

from pickroom.core.records import Choice, CropBox, Group, Origin, Recommendation, ReviewStep
from pickroom.store import review_state
from pickroom.store.review_state import SavedChoice

Make = Callable[..., list[Group]]
SHOWN = Recommendation("g", "model", 1, CropBox(0, 0, 0.5, 0.5), True, 0.87, None, ("sharp",), (), {"ranker": "v3"})
CHOICES = [
    Choice(),
    Choice(overlay=True),
    Choice("approve", 0),
    Choice("approve", 3, True),
    Choice("crop", 1),
    Choice("reject"),
    Choice("keep", None, True),
    Choice("skip"),
]


def only(connection: sqlite3.Connection, group: Group) -> SavedChoice:
    return review_state.REVIEW.load(connection, [group.group_id])[group.group_id]


def step(key: str, after: Choice) -> ReviewStep:
    return ReviewStep(key, "g1", "g2", Choice(), after)


@pytest.mark.parametrize("choice", CHOICES, ids=str)
def test_choice_comes_back_as_it_was_saved(connection: sqlite3.Connection, make_groups: Make, choice: Choice) -> None:
    (group,) = make_groups(1)
    saved = SavedChoice(choice, SHOWN, "blind", 1200)
    review_state.REVIEW.save_choice(connection, group.group_id, saved)
    assert only(connection, group) == saved


def test_group_that_was_only_looked_at_has_no_choice(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(None, milliseconds=800))
    assert only(connection, group) == SavedChoice(None, milliseconds=800)
    assert review_state.touched_ids(connection) == set()


def test_group_that_nobody_saw_has_nothing_saved(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    assert review_state.REVIEW.load(connection, [group.group_id, "nobody"]) == {}


def test_time_adds_up_and_everything_else_is_replaced(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 0), SHOWN, "blind", 1000))
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("reject"), None, "review", 500))
    assert only(connection, group) == SavedChoice(Choice("reject"), None, "review", 1500)


def test_held_group_keeps_its_choice_and_says_why(connection: sqlite3.Connection, make_groups: Make) -> None:
    held, other = make_groups(2)
    for group in (held, other):
        review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 0)))
    review_state.hold(connection, held.group_id, "a.png has vanished")
    assert only(connection, held) == SavedChoice(Choice("approve", 0), held_reason="a.png has vanished")
    assert review_state.held(connection) == {held.group_id: "a.png has vanished"}
    review_state.hold(connection, held.group_id, None)
    assert review_state.held(connection) == {}


def test_reason_stays_while_the_choice_changes(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 0)))
    review_state.hold(connection, group.group_id, "why")
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 1)))
    assert only(connection, group).held_reason == "why"


def test_touched_groups_are_those_with_an_action(connection: sqlite3.Connection, make_groups: Make) -> None:
    groups = make_groups(len(CHOICES))
    for group, choice in zip(groups, CHOICES, strict=True):
        review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(choice))
    expected = {g.group_id for g, c in zip(groups, CHOICES, strict=True) if c.action != "undecided"}
    assert review_state.touched_ids(connection) == expected


def test_skip_is_forgotten_for_the_next_batch(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("skip", None, True), milliseconds=5))
    review_state.clear_skip(connection, group.group_id)
    assert only(connection, group) == SavedChoice(Choice("undecided", None, True), milliseconds=5)


def test_undo_log_is_walked_back_and_forth(connection: sqlite3.Connection) -> None:
    a, b, c = step("1", Choice("approve", 0)), step("q", Choice("crop", 0)), step("x", Choice("reject"))
    for each in (a, b, c):
        review_state.REVIEW.log_step(connection, each)
    assert review_state.REVIEW.steps(connection) == ([a, b, c], [])
    review_state.REVIEW.log.mark(connection, undone=True)
    review_state.REVIEW.log.mark(connection, undone=True)
    assert review_state.REVIEW.steps(connection) == ([a], [c, b])
    review_state.REVIEW.log.mark(connection, undone=False)
    assert review_state.REVIEW.steps(connection) == ([a, b], [c])


def test_new_key_ends_what_could_be_redone(connection: sqlite3.Connection) -> None:
    a, b, c = (step(key, Choice("approve", 0)) for key in "123")
    for each in (a, b):
        review_state.REVIEW.log_step(connection, each)
    review_state.REVIEW.log.mark(connection, undone=True)
    review_state.REVIEW.log_step(connection, c)
    assert review_state.REVIEW.steps(connection) == ([a, c], [])


def test_undo_and_redo_of_nothing_change_nothing(connection: sqlite3.Connection) -> None:
    review_state.REVIEW.log.mark(connection, undone=True)
    review_state.REVIEW.log.mark(connection, undone=False)
    assert review_state.REVIEW.steps(connection) == ([], [])


def test_cleared_log_is_empty(connection: sqlite3.Connection) -> None:
    review_state.REVIEW.log_step(connection, step("1", Choice("approve", 0)))
    review_state.REVIEW.log.mark(connection, undone=True)
    review_state.REVIEW.log.clear(connection)
    assert review_state.REVIEW.steps(connection) == ([], [])


def test_cursor_is_the_group_last_looked_at(connection: sqlite3.Connection) -> None:
    assert review_state.REVIEW.cursor(connection) is None
    for group_id in ("g1", "g2"):
        review_state.REVIEW.set_cursor(connection, group_id)
    assert review_state.REVIEW.cursor(connection) == "g2"


@pytest.mark.parametrize(
    "saved",
    [
        SavedChoice(Choice("delete")),  # type: ignore[arg-type]
        SavedChoice(Choice("approve", -1)),
        SavedChoice(Choice(), input="machine"),
        SavedChoice(Choice(), milliseconds=-1),
    ],
    ids=["unknown action", "no place", "unknown input", "negative time"],
)
def test_untrue_state_is_refused(connection: sqlite3.Connection, make_groups: Make, saved: SavedChoice) -> None:
    (group,) = make_groups(1)
    with pytest.raises(sqlite3.IntegrityError):
        review_state.REVIEW.save_choice(connection, group.group_id, saved)


def test_choice_of_an_unknown_group_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        review_state.REVIEW.save_choice(connection, "nobody", replace(SavedChoice(Choice())))


def test_decided_group_is_not_touched_any_more(connection: sqlite3.Connection, make_groups: Make) -> None:
    decided, waiting = make_groups(2)
    for group in (decided, waiting):
        review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 0)))
    connection.execute(
        """INSERT INTO decision_context (group_id, batch, input, outcome, decided_at)
        VALUES (?, 1, 'review', 'approve', '')""",
        (decided.group_id,),
    )
    assert review_state.touched_ids(connection) == {waiting.group_id}


def test_step_keeps_origin_of_choices_and_old_rows_have_none(connection: sqlite3.Connection) -> None:
    made = replace(step("2", CHOICES[0]), before_origin=Origin("blind", None), after_origin=Origin("review", SHOWN))
    review_state.REVIEW.log_step(connection, made)
    assert review_state.REVIEW.steps(connection) == ([made], [])
    old = {"action": "approve", "index": 1, "overlay": False}
    connection.execute("UPDATE review_log SET before = ?, after = ?", (json.dumps(old), json.dumps(old)))
    (read,), _ = review_state.REVIEW.steps(connection)
    assert (read.before, read.before_origin, read.after_origin) == (Choice("approve", 1), None, None)
