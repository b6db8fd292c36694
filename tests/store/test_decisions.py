"""Decisions come back as they were stored, and the views count what a person decided."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.core.errors import StoreError
from pickroom.core.records import BoxSource, CropBox, Decision, Group
from pickroom.store import decisions
from pickroom.store.connect import create
from pickroom.store.crops import Crop
from pickroom.store.decisions import Context

NOW = "2025-08-03T06:54:06.000000Z"
BOX = CropBox(0.1, 0.1, 0.9, 0.9)
FULL = Decision(
    group_id="g",
    timestamp=NOW,
    project_id="p",
    directory="anna/bob",
    batch_number=1,
    images=("ä.png", 'b"c.png', "d.png"),
    ai_selected_index=2,
    ai_crop_coords=BOX,
    ai_confidence=0.87,
    user_selected_index=1,
    user_action="approve",
    ai_crop_accepted=False,
    final_crop_coords=CropBox(0, 0, 0.5, 0.5),
    crop_timestamp=NOW,
    image_width=1024,
    image_height=2048,
    selection_match=False,
    crop_match=True,
)
UNKNOWN = replace(
    FULL,
    directory=None,
    batch_number=None,
    ai_selected_index=None,
    ai_crop_coords=None,
    ai_confidence=None,
    ai_crop_accepted=None,
    final_crop_coords=None,
    crop_timestamp=None,
    selection_match=None,
    crop_match=None,
)


def crop_of(box: CropBox, source: BoxSource = "drawn") -> Crop:
    return Crop(9, "a.png", None, box, source, "x", NOW)


def decided(connection: sqlite3.Connection, group: Group, *, context: dict[str, Any] | None = None, **row: Any) -> None:
    """One decided group: its row (unless it was kept), and its context."""
    own = {"batch": 1, "input": "review", "outcome": row.get("user_action", "approve"), "decided_at": NOW}
    own |= context or {}
    if own["outcome"] != "keep":
        shape = replace(UNKNOWN, group_id=group.group_id, images=group.filenames, user_selected_index=0)
        decisions.insert(connection, replace(shape, **row))
    decisions.insert_context(connection, Context(group.group_id, **own))


def names_in(connection: sqlite3.Connection, view: str) -> list[str]:
    return [row["group_id"] for row in connection.execute(f"SELECT group_id FROM {view} ORDER BY group_id")]


@pytest.mark.parametrize("row", [FULL, UNKNOWN], ids=["all known", "much unknown"])
def test_decision_comes_back_as_it_was_stored(connection: sqlite3.Connection, row: Decision) -> None:
    decisions.insert(connection, row)
    assert decisions.get(connection, "g") == row


@settings(max_examples=30, deadline=None)
@given(names=st.lists(st.text(st.characters(codec="utf-8")), min_size=2, max_size=4))
def test_any_file_names_are_stored_as_plain_names(names: list[str]) -> None:
    connection = create(Path(":memory:"))
    decisions.insert(connection, replace(UNKNOWN, images=tuple(names), user_selected_index=0))
    assert decisions.get(connection, "g").images == tuple(names)  # type: ignore[union-attr]
    assert json.loads(connection.execute("SELECT images FROM ai_decisions").fetchone()[0]) == names
    connection.close()


def test_unknown_is_null_in_the_table(connection: sqlite3.Connection) -> None:
    decisions.insert(connection, UNKNOWN)
    row = dict(connection.execute("SELECT * FROM ai_decisions").fetchone())
    unknown = {name for name, value in row.items() if value is None}
    assert unknown == {
        "directory",
        "batch_number",
        "ai_selected_index",
        "ai_crop_coords",
        "ai_confidence",
        "ai_crop_accepted",
        "final_crop_coords",
        "crop_timestamp",
        "selection_match",
        "crop_match",
    }


def test_decision_of_an_unknown_group_is_none(connection: sqlite3.Connection) -> None:
    assert decisions.get(connection, "nobody") is None


@pytest.mark.parametrize("picked", ["x", -1])
def test_a_pick_that_is_none_is_damage(connection: sqlite3.Connection, picked: object) -> None:
    decisions.insert(connection, FULL)
    connection.execute("PRAGMA ignore_check_constraints = ON")  # as an enemy's database has it
    connection.execute("UPDATE ai_decisions SET user_selected_index = ?", (picked,))
    with pytest.raises(StoreError, match="a row of ai_decisions is damaged"):
        decisions.get(connection, FULL.group_id)


def test_untrue_decision_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        decisions.insert(connection, replace(FULL, image_width=0))


def test_decision_taken_back_leaves_neither_row_nor_context(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    first, second = make_groups(2)
    decided(connection, first)
    decided(connection, second)
    decisions.delete(connection, [first.group_id])
    assert decisions.get(connection, first.group_id) is None
    assert names_in(connection, "decision_context") == [second.group_id]
    assert decisions.get(connection, second.group_id) is not None


def test_groups_of_a_batch_come_in_the_order_they_were_decided(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    groups = make_groups(4)
    for group, batch in zip(reversed(groups), (1, 2, 1, 1), strict=True):
        decided(connection, group, context={"batch": batch})
    expected = [groups[3].group_id, groups[1].group_id, groups[0].group_id]
    assert decisions.batch_group_ids(connection, 1) == expected


def test_outcomes_are_counted_kept_groups_too(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    actions = ("approve", "crop", "reject", "approve")
    *others, kept = make_groups(5)
    for group, action in zip(others, actions, strict=True):
        decided(connection, group, user_action=action)
    decided(connection, kept, context={"outcome": "keep"})
    assert decisions.outcome_counts(connection) == {"approve": 2, "crop": 1, "keep": 1, "reject": 1}
    assert decisions.get(connection, kept.group_id) is None


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        pytest.param({"user_action": "crop"}, True, id="sent to the crop desk"),
        pytest.param({"ai_crop_accepted": True}, True, id="AI crop accepted"),
        pytest.param({"ai_crop_accepted": False}, False, id="AI crop refused"),
        pytest.param({}, False, id="no crop"),
        pytest.param({"user_action": "reject"}, False, id="rejected"),
        pytest.param({"user_action": "crop", "final_crop_coords": BOX}, False, id="cropped already"),
        pytest.param({"ai_crop_accepted": True, "final_crop_coords": BOX}, False, id="AI crop made"),
    ],
)
def test_crop_waits_until_it_is_made(
    connection: sqlite3.Connection,
    make_groups: Callable[..., list[Group]],
    changes: dict[str, Any],
    waits: bool,
) -> None:
    (group,) = make_groups(1)
    decided(connection, group, **changes)
    assert names_in(connection, "incomplete_crops") == ([group.group_id] if waits else [])
    assert decisions.incomplete_crops(connection) == ([group.filenames[0]] if waits else [])


def test_dropped_crop_does_not_wait_until_it_is_restored(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    (group,) = make_groups(1)
    decided(connection, group, user_action="crop")
    decisions.set_dropped(connection, group.group_id, NOW)
    assert decisions.incomplete_crops(connection) == []
    decisions.set_dropped(connection, group.group_id, None)
    assert decisions.incomplete_crops(connection) == [group.filenames[0]]


@pytest.mark.parametrize(
    ("ai_index", "ai_box", "final", "match"),
    [
        pytest.param(0, BOX, (0.11, 0.09, 0.91, 0.88), True, id="within 5 %"),
        pytest.param(0, BOX, (0.3, 0.0, 0.7, 0.6), False, id="another box"),
        pytest.param(1, BOX, (0.1, 0.1, 0.9, 0.9), True, id="another image, the same box"),
        pytest.param(1, BOX, (0.3, 0.0, 0.7, 0.6), False, id="another image, another box"),
        pytest.param(0, None, (0.1, 0.1, 0.9, 0.9), None, id="no AI box"),
        pytest.param(None, None, (0.1, 0.1, 0.9, 0.9), None, id="no AI pick"),
    ],
)
def test_crop_match_compares_the_two_boxes(
    connection: sqlite3.Connection,
    make_groups: Callable[..., list[Group]],
    ai_index: int | None,
    ai_box: CropBox | None,
    final: tuple[float, ...],
    match: bool | None,
) -> None:
    (group,) = make_groups(1)
    decided(connection, group, user_action="crop", ai_selected_index=ai_index, ai_crop_coords=ai_box)
    decisions.set_crop(connection, group.group_id, crop_of(CropBox.of(final)))
    row = decisions.get(connection, group.group_id)
    assert row is not None
    assert (row.final_crop_coords, row.crop_timestamp, row.crop_match) == (CropBox.of(final), NOW, match)


def test_crop_taken_back_leaves_no_trace(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    (group,) = make_groups(1)
    decided(connection, group, user_action="crop", ai_selected_index=0, ai_crop_coords=BOX)
    before = decisions.get(connection, group.group_id)
    decisions.set_crop(connection, group.group_id, crop_of(BOX))
    decisions.set_crop(connection, group.group_id, None)
    assert decisions.get(connection, group.group_id) == before


def test_crops_made_or_dropped_since_are_known(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    cropped, dropped, waiting, other = make_groups(4)
    for group in (cropped, dropped, waiting):
        decided(connection, group, user_action="crop", context={"batch": 3})
    decided(connection, other, user_action="crop", context={"batch": 4})
    decisions.set_crop(connection, cropped.group_id, crop_of(BOX))
    decisions.set_crop(connection, other.group_id, crop_of(BOX))
    decisions.set_dropped(connection, dropped.group_id, NOW)
    assert sorted(decisions.cropped_since(connection, 3)) == [cropped.group_id, dropped.group_id]


def test_accuracies_are_fractions_of_rows_with_known_flags(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    groups = make_groups(5)
    flags = [(True, True), (True, None), (True, False), (False, None), (None, None)]
    for group, (picked, cropped) in zip(groups, flags, strict=True):
        decided(connection, group, selection_match=picked, crop_match=cropped)
    assert decisions.performance(connection) == {
        "total_decisions": 5,
        "correct_selections": 3,
        "correct_crops": 1,
        "selection_accuracy": 0.75,
        "crop_accuracy": 0.5,
    }


def test_accuracy_that_nothing_is_known_of_is_null_not_zero(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    decided(connection, make_groups(1)[0])
    found = decisions.performance(connection)
    assert (found["selection_accuracy"], found["crop_accuracy"]) == (None, None)
    assert found["total_decisions"] == 1


def test_nothing_decided_has_no_performance(connection: sqlite3.Connection) -> None:
    assert decisions.performance(connection) == {}


def test_automatic_decisions_never_count_as_accuracy(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    person, machine = make_groups(2)
    decided(connection, person, selection_match=False)
    decided(connection, machine, selection_match=True, crop_match=True, context={"input": "auto"})
    found = decisions.performance(connection)
    assert (found["total_decisions"], found["selection_accuracy"], found["crop_accuracy"]) == (1, 0.0, None)
    assert names_in(connection, "automatic_decisions") == [machine.group_id]


def test_crops_applied_by_machine_do_not_count_as_accuracy(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    drawn, applied = make_groups(2)
    for group in (drawn, applied):
        decided(connection, group, ai_selected_index=0, ai_crop_coords=BOX, ai_crop_accepted=True, selection_match=True)
    decisions.set_crop(connection, drawn.group_id, crop_of(CropBox(0.3, 0.0, 0.7, 0.6)))
    decisions.set_crop(connection, applied.group_id, crop_of(BOX, "ai_all"))
    found = decisions.performance(connection)
    assert (found["correct_crops"], found["crop_accuracy"]) == (0, 0.0)
    assert (found["total_decisions"], found["correct_selections"]) == (2, 2)
    assert names_in(connection, "automatic_decisions") == [applied.group_id]


def test_rows_without_a_context_count_as_a_persons(connection: sqlite3.Connection) -> None:
    # rows of an earlier installation have none
    decisions.insert(connection, replace(UNKNOWN, selection_match=True, user_action="crop"))
    assert decisions.performance(connection)["selection_accuracy"] == 1.0
    assert names_in(connection, "incomplete_crops") == ["g"]
    assert names_in(connection, "automatic_decisions") == []


def test_mistakes_are_the_picks_that_differ(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    right, wrong, unknown = make_groups(3)
    for group, match in ((right, True), (wrong, False), (unknown, None)):
        decided(connection, group, selection_match=match)
    assert names_in(connection, "ai_mistakes") == [wrong.group_id]


@pytest.mark.parametrize(
    "changes",
    [{"input": "machine"}, {"outcome": "skip"}, {"source": "guess"}, {"milliseconds": -1}],
    ids=lambda changes: next(iter(changes)),
)
def test_untrue_context_is_refused(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]], changes: dict[str, Any]
) -> None:
    (group,) = make_groups(1)
    values = {"batch": 1, "input": "review", "outcome": "keep", "decided_at": NOW} | changes
    with pytest.raises(sqlite3.IntegrityError):
        decisions.insert_context(connection, Context(group.group_id, **values))


@pytest.mark.parametrize("kind", ["review", "blind", "automation_review", "auto", "import", "history"])
def test_every_way_to_decide_has_its_word(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]], kind: str
) -> None:
    (group,) = make_groups(1)
    versions = {"ranker": "v3"}
    decided(
        connection,
        group,
        context={"input": kind, "source": "model", "versions": versions, "milliseconds": 4100},
    )
    row = connection.execute("SELECT * FROM decision_context").fetchone()
    assert (row["input"], row["source"], row["milliseconds"]) == (kind, "model", 4100)
    assert json.loads(row["versions"]) == versions
