"""Tables `automation_review`, `automation_log`, `automation_cursor`: the automation's review, every key saved at once.

The same words as `review_state`, so that one session can speak to either; the tables are apart so that a choice made
about the automation is never finalised by the ordinary deck.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict

from pickroom.records import Choice, Recommendation
from pickroom.store.review_state import LoggedStep, Saved
from pickroom.workspace import utc_now


def load(connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, Saved]:
    """Group id -> what is saved of it, for those that have anything saved."""
    found = {}
    for group_id in group_ids:
        row = connection.execute("SELECT * FROM automation_review WHERE group_id = ?", (group_id,)).fetchone()
        if row is not None:
            choice = None
            if row["overlay"] is not None:
                choice = Choice(row["action"], row["selected_index"], bool(row["overlay"]))
            shown = Recommendation.from_json(row["shown"]) if row["shown"] else None
            found[group_id] = Saved(choice, shown, row["input"], row["milliseconds"])
    return found


def save_choice(connection: sqlite3.Connection, group_id: str, saved: Saved) -> None:
    """Save one group's choice, adding the time just spent on it (`saved.milliseconds`)."""
    choice = saved.choice or Choice()
    connection.execute(
        """INSERT INTO automation_review (group_id, action, selected_index, overlay, shown, input, milliseconds,
            updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (group_id) DO UPDATE SET action = excluded.action, selected_index = excluded.selected_index,
            overlay = excluded.overlay, shown = excluded.shown, input = excluded.input,
            milliseconds = milliseconds + excluded.milliseconds, updated_at = excluded.updated_at""",
        (
            group_id,
            choice.action,
            choice.index,
            choice.overlay if saved.choice else None,
            saved.shown.to_json() if saved.shown else None,
            saved.input,
            saved.milliseconds,
            utc_now(),
        ),
    )


def blind_looks(connection: sqlite3.Connection) -> list[tuple[str, Saved]]:
    """(group id, what was chosen) of every group decided here without sight of the recommendation, oldest first."""
    rows = connection.execute(
        """SELECT group_id FROM automation_review
        WHERE input = 'blind' AND action IN ('approve', 'crop', 'reject', 'keep') ORDER BY updated_at, group_id"""
    )
    ids = [row["group_id"] for row in rows]
    found = load(connection, ids)
    return [(group_id, found[group_id]) for group_id in ids]


def log_step(connection: sqlite3.Connection, step: LoggedStep) -> None:
    """Append a key to the undo log; what could be redone is over."""
    connection.execute("DELETE FROM automation_log WHERE undone = 1")
    connection.execute(
        "INSERT INTO automation_log (key, from_group, to_group, before, after) VALUES (?, ?, ?, ?, ?)",
        (step.key, step.from_group, step.to_group, json.dumps(asdict(step.before)), json.dumps(asdict(step.after))),
    )


def mark_undone(connection: sqlite3.Connection) -> None:
    """The latest key that stands is undone."""
    connection.execute(
        "UPDATE automation_log SET undone = 1 WHERE seq = (SELECT max(seq) FROM automation_log WHERE undone = 0)"
    )


def mark_redone(connection: sqlite3.Connection) -> None:
    """The earliest undone key stands again."""
    connection.execute(
        "UPDATE automation_log SET undone = 0 WHERE seq = (SELECT min(seq) FROM automation_log WHERE undone = 1)"
    )


def steps(connection: sqlite3.Connection) -> tuple[list[LoggedStep], list[LoggedStep]]:
    """(undo, redo), each with the step to take next last."""
    undo, redo = [], []
    for row in connection.execute("SELECT * FROM automation_log ORDER BY seq"):
        before, after = Choice(**json.loads(row["before"])), Choice(**json.loads(row["after"]))
        step = LoggedStep(row["key"], row["from_group"], row["to_group"], before, after)
        (redo if row["undone"] else undo).append(step)
    return undo, redo[::-1]


def clear_log(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM automation_log")


def cursor(connection: sqlite3.Connection) -> str | None:
    """The id of the group last looked at."""
    row = connection.execute("SELECT group_id FROM automation_cursor").fetchone()
    return row["group_id"] if row else None


def set_cursor(connection: sqlite3.Connection, group_id: str) -> None:
    connection.execute(
        """INSERT INTO automation_cursor (only, group_id) VALUES (1, ?)
        ON CONFLICT (only) DO UPDATE SET group_id = excluded.group_id""",
        (group_id,),
    )
