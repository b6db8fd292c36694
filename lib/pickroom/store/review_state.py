"""Tables `review_state`, `review_log`, `review_cursor`: every key saved at once, undo included."""

from __future__ import annotations

import sqlite3

from pickroom.store.choices import ReviewTables
from pickroom.store.rows import column

_TABLES = ReviewTables(choices="review_state", log="review_log", place="review_cursor")
load, save_choice = _TABLES.load, _TABLES.save_choice
log_step, mark_undone, mark_redone = _TABLES.log_step, _TABLES.mark_undone, _TABLES.mark_redone
steps, clear_log = _TABLES.steps, _TABLES.clear_log
cursor, set_cursor, forget_cursor = _TABLES.cursor, _TABLES.set_cursor, _TABLES.forget_cursor


def hold(connection: sqlite3.Connection, group_id: str, reason: str) -> None:
    """Say why a group stays in the queue; its choice stays as it is."""
    connection.execute("UPDATE review_state SET held_reason = ? WHERE group_id = ?", (reason, group_id))


def release(connection: sqlite3.Connection, group_id: str) -> None:
    """Forget why a group was held back: it has been finalised."""
    connection.execute("UPDATE review_state SET held_reason = NULL WHERE group_id = ?", (group_id,))


def held(connection: sqlite3.Connection) -> dict[str, str]:
    """Group id -> why it was held back, for those that still are."""
    rows = connection.execute("SELECT group_id, held_reason FROM review_state WHERE held_reason IS NOT NULL")
    return {row["group_id"]: row["held_reason"] for row in rows}


def forget_cursor_of_undecided(connection: sqlite3.Connection) -> None:
    """The order has changed: a group without a choice is no place to go back to."""
    connection.execute(
        """DELETE FROM review_cursor WHERE group_id NOT IN
        (SELECT group_id FROM review_state WHERE action <> 'undecided')"""
    )


def clear_skip(connection: sqlite3.Connection, group_id: str) -> None:
    """A skipped group starts afresh in the next batch."""
    connection.execute("UPDATE review_state SET action = 'undecided' WHERE group_id = ?", (group_id,))


def touched_ids(connection: sqlite3.Connection) -> set[str]:
    """Groups that wait for a decision, and for which the user has chosen anything."""
    undecided = "NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = s.group_id)"
    query = f"SELECT group_id FROM review_state AS s WHERE action <> 'undecided' AND {undecided}"
    return set(column(connection, query))
