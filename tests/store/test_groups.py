"""The queue: groups wait in the order they were made, skipped ones last, decided ones no more."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import pytest

from pickroom.core.records import Choice, Group, Recommendation
from pickroom.store import decisions, groups, images, recommendations, review_state
from pickroom.store.decisions import Context
from pickroom.store.review_state import SavedChoice

Make = Callable[..., list[Group]]


def decide(connection: sqlite3.Connection, group: Group) -> None:
    decisions.insert_context(connection, Context(group.group_id, 1, "review", "keep", "2025-08-03T06:54:06Z"))


def test_groups_come_back_as_they_were_made(connection: sqlite3.Connection, make_groups: Make) -> None:
    made = make_groups(3, directory="anna", size=4)
    assert groups.queue(connection, "p") == made


def test_members_keep_their_order(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1, size=4)
    (found,) = groups.load(connection, "p", [group.group_id])
    assert [image.stage for image in found.images] == [1.0, 2.0, 3.0, 4.0]


def test_queue_puts_new_groups_after_old_and_skipped_last(connection: sqlite3.Connection, make_groups: Make) -> None:
    a, b = make_groups(2)
    groups.defer(connection, [a.group_id])
    (c,) = make_groups(1)
    assert groups.queue(connection, "p") == [b, c, a]
    groups.defer(connection, [b.group_id])
    groups.defer(connection, [a.group_id])
    assert groups.queue(connection, "p") == [c, b, a]


def test_queue_gives_at_most_its_limit(connection: sqlite3.Connection, make_groups: Make) -> None:
    made = make_groups(3)
    assert groups.queue(connection, "p", 2) == made[:2]
    assert groups.queue(connection, "p", 0) == []


def test_decided_group_waits_no_more_and_is_never_lost(connection: sqlite3.Connection, make_groups: Make) -> None:
    a, b = make_groups(2)
    decide(connection, a)
    assert groups.queue(connection, "p") == [b]
    assert groups.waiting_among(connection, [a.group_id, b.group_id]) == {b.group_id}
    assert (groups.count_waiting(connection), groups.count(connection)) == (1, 2)
    assert groups.decided_images(connection) == {(image.directory, image.filename) for image in a.images}
    assert groups.every(connection, "p") == [a, b]


def test_decision_taken_back_puts_the_group_in_its_old_place(connection: sqlite3.Connection, make_groups: Make) -> None:
    made = make_groups(3)
    decide(connection, made[1])
    decisions.delete(connection, [made[1].group_id])
    assert groups.queue(connection, "p") == made


def test_load_keeps_requested_order_and_skips_unknown_ids(connection: sqlite3.Connection, make_groups: Make) -> None:
    a, b, c = make_groups(3)
    asked = [c.group_id, "nobody", a.group_id, b.group_id]
    assert groups.load(connection, "p", asked) == [c, a, b]


def test_more_groups_are_loaded_than_sqlite_takes_parameters(connection: sqlite3.Connection, make_groups: Make) -> None:
    made = make_groups(1001)
    assert groups.queue(connection, "p") == made


def test_removed_group_loses_its_choice_and_recommendation(connection: sqlite3.Connection, make_groups: Make) -> None:
    a, b = make_groups(2)
    for group in (a, b):
        review_state.REVIEW.save_choice(connection, group.group_id, SavedChoice(Choice("approve", 0)))
        recommendations.upsert(connection, [Recommendation(group.group_id, "model", 0)])
    groups.remove(connection, [a.group_id])
    ids = [a.group_id, b.group_id]
    assert set(review_state.REVIEW.load(connection, ids)) == {b.group_id}
    assert set(recommendations.of_groups(connection, ids)) == {b.group_id}
    assert groups.every(connection, "p") == [b]
    assert len(images.readable(connection)) == 4


def test_decided_group_cannot_be_dissolved(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    decide(connection, group)
    with pytest.raises(sqlite3.IntegrityError):
        groups.remove(connection, [group.group_id])
    assert groups.every(connection, "p") == [group]


def test_image_is_in_one_group_at_most(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    again = Group("other", "p", "", 1, group.images)
    with pytest.raises(sqlite3.IntegrityError):
        groups.insert(connection, [again], "stage")


def test_group_of_an_image_that_no_scan_has_met_is_refused(connection: sqlite3.Connection, make_groups: Make) -> None:
    (group,) = make_groups(1)
    groups.remove(connection, [group.group_id])
    images.replace_scan(connection, [], [], {})
    with pytest.raises(sqlite3.IntegrityError, match="FOREIGN KEY"):
        groups.insert(connection, [group], "stage")


def test_batch_number_is_kept(connection: sqlite3.Connection, make_groups: Make) -> None:
    made = make_groups(101)
    assert [made[99].batch_number, made[100].batch_number] == [1, 2]
    assert groups.load(connection, "p", [made[100].group_id])[0].batch_number == 2
