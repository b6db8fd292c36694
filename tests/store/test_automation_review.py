"""Choices about the automation: saved key by key, apart from those of the review."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from pickroom.core.records import Choice, Recommendation, ReviewStep
from pickroom.store import review_state
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import Project
from support.reviewing import queue

SHOWN = Recommendation("g", "model", 1, confidence=0.9, versions={"ranker": "v1"})
Connect = Callable[[Project], sqlite3.Connection]


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    return make_project([(1, 2)] * 3)


def test_automation_choice_loads_as_saved_apart_from_review(project: Project, open_database: Connect) -> None:
    connection, group = open_database(project), queue(project)[0]
    assert review_state.AUTOMATION.load(connection, [group.group_id]) == {}
    saved = SavedChoice(Choice("approve", 1, True), SHOWN, "automation_review", 700)
    review_state.AUTOMATION.save_choice(connection, group.group_id, saved)
    assert review_state.AUTOMATION.load(connection, [group.group_id]) == {group.group_id: saved}
    review_state.AUTOMATION.save_choice(connection, group.group_id, SavedChoice(None, milliseconds=300, input="blind"))
    found = review_state.AUTOMATION.load(connection, [group.group_id])[group.group_id]
    assert (found.choice, found.milliseconds, found.input) == (None, 1000, "blind")
    assert (
        review_state.REVIEW.load(connection, [group.group_id]) == {} and review_state.touched_ids(connection) == set()
    )


def test_what_a_review_may_say_is_no_input_here(project: Project, open_database: Connect) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        saved = SavedChoice(Choice("keep"), input="review")
        review_state.AUTOMATION.save_choice(open_database(project), queue(project)[0].group_id, saved)


def test_blind_looks_come_in_the_order_they_were_decided(project: Project, open_database: Connect) -> None:
    connection, (one, two, three) = open_database(project), queue(project)
    review_state.AUTOMATION.save_choice(connection, two.group_id, SavedChoice(Choice("approve", 0), SHOWN, "blind"))
    review_state.AUTOMATION.save_choice(connection, one.group_id, SavedChoice(Choice("reject"), SHOWN, "blind"))
    review_state.AUTOMATION.save_choice(connection, three.group_id, SavedChoice(Choice("skip"), SHOWN, "blind"))
    found = review_state.blind_looks(connection)
    assert [(group_id, saved.choice) for group_id, saved in found] == [
        (two.group_id, Choice("approve", 0)),
        (one.group_id, Choice("reject")),
    ]


def test_keys_are_undone_and_redone_across_a_restart(project: Project, open_database: Connect) -> None:
    first, second = (ReviewStep(key, "g", "h", Choice(), Choice("keep")) for key in "ka")
    connection = open_database(project)
    review_state.AUTOMATION.log_step(connection, first)
    review_state.AUTOMATION.log_step(connection, second)
    review_state.AUTOMATION.log.mark(connection, undone=True)
    again = open_database(project)
    assert review_state.AUTOMATION.steps(again) == ([first], [second])
    review_state.AUTOMATION.log.mark(again, undone=False)
    assert review_state.AUTOMATION.steps(again) == ([first, second], [])
    review_state.AUTOMATION.log.mark(again, undone=True)
    review_state.AUTOMATION.log_step(again, first)
    assert review_state.AUTOMATION.steps(again) == ([first, first], [])
    review_state.AUTOMATION.log.clear(again)
    assert review_state.AUTOMATION.steps(connection) == ([], []) and review_state.REVIEW.steps(connection) == ([], [])


def test_the_cursor_is_its_own(project: Project, open_database: Connect) -> None:
    connection = open_database(project)
    assert review_state.AUTOMATION.cursor(connection) is None
    review_state.AUTOMATION.set_cursor(connection, "g")
    review_state.AUTOMATION.set_cursor(connection, "h")
    assert review_state.AUTOMATION.cursor(connection) == "h" and review_state.REVIEW.cursor(connection) is None
