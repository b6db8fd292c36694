"""The journal: every step is planned before it is taken, and says how it ended."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

import pytest

from pickroom.core.records import FileOp
from pickroom.store import decisions, operations
from pickroom.store.decisions import Context

MOVE = FileOp(1, "review", "g", "move", "anna/a.png", "selected/a.png", "ab" * 32)
WRITE = FileOp(1, "review", "g", "write", None, "crop/a.decision", "cd" * 32, content='{"ä": 1}')
REMOVE = FileOp(1, "crop", "a.png", "remove", "crop/a.decision", None, "cd" * 32, content="{}")


def planned(connection: sqlite3.Connection, *ops: FileOp) -> list[FileOp]:
    operations.plan(connection, ops)
    return operations.planned(connection)[-len(ops) :]


@pytest.mark.parametrize("op", [MOVE, WRITE, REMOVE], ids=lambda op: op.op)
def test_step_comes_back_as_it_was_planned(connection: sqlite3.Connection, op: FileOp) -> None:
    (found,) = planned(connection, op)
    assert found.id is not None
    assert replace(found, id=None) == op


@pytest.mark.parametrize(
    "op",
    [
        pytest.param(replace(MOVE, source=None), id="a move from nowhere"),
        pytest.param(replace(MOVE, destination=None), id="a move to nowhere"),
        pytest.param(replace(MOVE, content="x"), id="a move with a content"),
        pytest.param(replace(WRITE, source="a"), id="a write from somewhere"),
        pytest.param(replace(WRITE, content=None), id="a write of nothing"),
        pytest.param(replace(REMOVE, destination="b"), id="a removal to somewhere"),
        pytest.param(replace(REMOVE, content=None), id="a removal that cannot be put back"),
        pytest.param(replace(MOVE, op="copy"), id="an unknown step"),  # type: ignore[arg-type]
        pytest.param(replace(MOVE, undoes=99), id="taking back a step that never was"),
    ],
)
def test_step_that_makes_no_sense_is_refused(connection: sqlite3.Connection, op: FileOp) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        operations.plan(connection, [op])


def test_steps_are_taken_in_the_order_they_were_planned(connection: sqlite3.Connection) -> None:
    operations.plan(connection, [replace(MOVE, destination=f"selected/{n}") for n in (3, 1)])
    operations.plan(connection, [replace(MOVE, destination="selected/2", batch=2)])
    assert [op.destination for op in operations.planned(connection)] == ["selected/3", "selected/1", "selected/2"]
    assert operations.count_planned(connection) == 3


def test_step_taken_is_no_longer_planned(connection: sqlite3.Connection) -> None:
    first, second = planned(connection, MOVE, WRITE)
    operations.mark_done(connection, [first])
    assert operations.planned(connection) == [second]
    assert [op.state for op in operations.of_batch(connection, 1)] == ["done", "planned"]
    row = connection.execute("SELECT * FROM file_operations WHERE id = ?", (first.id,)).fetchone()
    assert row["planned_at"] <= row["finished_at"]


def test_step_that_failed_says_why(connection: sqlite3.Connection) -> None:
    (op,) = planned(connection, MOVE)
    operations.mark_failed(connection, [op], "the destination exists")
    (found,) = operations.of_batch(connection, 1)
    assert (found.state, found.error) == ("failed", "the destination exists")
    assert operations.count_planned(connection) == 0


def test_step_taken_back_is_undone_and_its_inverse_done(connection: sqlite3.Connection) -> None:
    (op,) = planned(connection, MOVE)
    operations.mark_done(connection, [op])
    (back,) = planned(connection, replace(MOVE, source=MOVE.destination, destination=MOVE.source, undoes=op.id))
    assert operations.of_batch(connection, 1)[0].state == "done"
    operations.mark_done(connection, [back])
    assert [op.state for op in operations.of_batch(connection, 1)] == ["undone", "done"]


def test_batch_counts_leave_out_undo_steps(connection: sqlite3.Connection) -> None:
    done, undone, failed, _ = planned(connection, MOVE, MOVE, MOVE, WRITE)
    operations.mark_done(connection, [done, undone])
    operations.mark_failed(connection, [failed], "why")
    (back,) = planned(connection, replace(MOVE, undoes=undone.id))
    operations.mark_done(connection, [back])
    operations.plan(connection, [replace(MOVE, batch=2)])
    found = operations.batches(connection)
    assert [{k: v for k, v in batch.items() if k != "planned_at"} for batch in found] == [
        {"batch": 1, "operations": 4, "done": 1, "planned": 1, "undone": 1, "failed": 1},
        {"batch": 2, "operations": 1, "done": 0, "planned": 1, "undone": 0, "failed": 0},
    ]


def test_batch_numbers_are_never_used_twice(connection: sqlite3.Connection) -> None:
    assert operations.next_batch(connection) == 1
    operations.plan(connection, [replace(MOVE, batch=4)])
    assert operations.next_batch(connection) == 5


def test_batch_without_a_move_has_used_its_number_too(connection: sqlite3.Connection) -> None:
    connection.execute(
        "INSERT INTO groups (group_id, sequence, directory, batch_number, method) VALUES ('g', 1, '', 1, 'stage')"
    )
    decisions.insert_context(connection, Context("g", 7, "review", "keep", "2025-08-03T06:54:06Z"))
    assert operations.next_batch(connection) == 8


def test_recent_moves_say_where_files_are_now(connection: sqlite3.Connection) -> None:
    first, second, _, written = planned(connection, MOVE, replace(MOVE, destination="crop/b.png"), MOVE, WRITE)
    operations.mark_done(connection, [first, second, written])
    (back,) = planned(connection, replace(MOVE, source=MOVE.destination, destination=MOVE.source, undoes=first.id))
    operations.mark_done(connection, [back])
    assert [op.destination for op in operations.recent_moves(connection, 10)] == ["crop/b.png", "anna/a.png"]
    assert [op.destination for op in operations.recent_moves(connection, 1)] == ["anna/a.png"]
