"""Tables `review_state`, `review_log`, `review_cursor`: every key saved at once, undo included."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from pickroom.records import Choice, Recommendation
from pickroom.workspace import utc_now


@dataclass(frozen=True, slots=True)
class Saved:
    """What is stored of one undecided group.

    Attributes:
        choice: None while the group was only looked at.
        shown: the recommendation as it stood when the choice was made, None without one.
        input: "review" or "blind": whether the recommendation was hidden when the choice was made.
        milliseconds: time spent on the group so far.
        held_reason: why the last finalise had to leave it, None when it was not held back.
    """

    choice: Choice | None
    shown: Recommendation | None = None
    input: str = "review"
    milliseconds: int = 0
    held_reason: str | None = None


@dataclass(frozen=True, slots=True)
class LoggedStep:
    """One row of the undo log."""

    key: str
    from_group: str
    to_group: str
    before: Choice
    after: Choice


def load(connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, Saved]:
    """Group id -> what is saved of it, for those that have anything saved."""
    found = {}
    for group_id in group_ids:
        row = connection.execute("SELECT * FROM review_state WHERE group_id = ?", (group_id,)).fetchone()
        if row is not None:
            choice = None
            if row["overlay"] is not None:
                choice = Choice(row["action"], row["selected_index"], bool(row["overlay"]))
            shown = Recommendation.from_json(row["shown"]) if row["shown"] else None
            found[group_id] = Saved(choice, shown, row["input"], row["milliseconds"], row["held_reason"])
    return found


def save_choice(connection: sqlite3.Connection, group_id: str, saved: Saved) -> None:
    """Save one group's choice, adding the time just spent on it (`saved.milliseconds`)."""
    choice = saved.choice or Choice()
    connection.execute(
        """INSERT INTO review_state (group_id, action, selected_index, overlay, shown, input, milliseconds, updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?)
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


def clear_skip(connection: sqlite3.Connection, group_id: str) -> None:
    """A skipped group starts afresh in the next batch."""
    connection.execute("UPDATE review_state SET action = 'undecided' WHERE group_id = ?", (group_id,))


def touched_ids(connection: sqlite3.Connection) -> set[str]:
    """Groups for which the person has chosen anything."""
    rows = connection.execute("SELECT group_id FROM review_state WHERE action <> 'undecided'")
    return {row["group_id"] for row in rows}


def log_step(connection: sqlite3.Connection, step: LoggedStep) -> None:
    """Append a key to the undo log; what could be redone is over."""
    connection.execute("DELETE FROM review_log WHERE undone = 1")
    connection.execute(
        "INSERT INTO review_log (key, from_group, to_group, before, after) VALUES (?, ?, ?, ?, ?)",
        (step.key, step.from_group, step.to_group, json.dumps(asdict(step.before)), json.dumps(asdict(step.after))),
    )


def mark_undone(connection: sqlite3.Connection) -> None:
    """The latest key that stands is undone."""
    connection.execute(
        "UPDATE review_log SET undone = 1 WHERE seq = (SELECT max(seq) FROM review_log WHERE undone = 0)"
    )


def mark_redone(connection: sqlite3.Connection) -> None:
    """The earliest undone key stands again."""
    connection.execute(
        "UPDATE review_log SET undone = 0 WHERE seq = (SELECT min(seq) FROM review_log WHERE undone = 1)"
    )


def steps(connection: sqlite3.Connection) -> tuple[list[LoggedStep], list[LoggedStep]]:
    """(undo, redo), each with the step to take next last."""
    undo, redo = [], []
    for row in connection.execute("SELECT * FROM review_log ORDER BY seq"):
        before, after = Choice(**json.loads(row["before"])), Choice(**json.loads(row["after"]))
        step = LoggedStep(row["key"], row["from_group"], row["to_group"], before, after)
        (redo if row["undone"] else undo).append(step)
    return undo, redo[::-1]


def clear_log(connection: sqlite3.Connection) -> None:
    """A finalised batch is undone as a batch, no longer key by key."""
    connection.execute("DELETE FROM review_log")


def cursor(connection: sqlite3.Connection) -> str | None:
    """The id of the group last looked at."""
    row = connection.execute("SELECT group_id FROM review_cursor").fetchone()
    return row["group_id"] if row else None


def set_cursor(connection: sqlite3.Connection, group_id: str) -> None:
    connection.execute(
        """INSERT INTO review_cursor (only, group_id) VALUES (1, ?)
        ON CONFLICT (only) DO UPDATE SET group_id = excluded.group_id""",
        (group_id,),
    )
