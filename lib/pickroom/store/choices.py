"""What a review keeps, key by key: choices, an undo log, a cursor; the same for each set of tables that has them.

Which tables there are, `review_state` and `automation_review` say: they own them, and nothing else writes to them.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import TypeVar

from pickroom.core.records import Choice, InputKind, Origin, Recommendation, ReviewStep
from pickroom.store.rows import wrap_row_errors
from pickroom.store.workspace import utc_now

Logged = TypeVar("Logged")  # a step as an undo log holds it
MAX_DWELL_S = 120.0  # as long without a key is a pause: how long the user looked before it is not known


def looks_s(milliseconds: Iterable[float]) -> list[float]:
    """Seconds of the groups whose time is known; 0, and what is as long as a pause, is left out.

    Rows of earlier versions hold 300 s for every pause. `look_s` in analysis/sql/macros.sql is the same rule.
    """
    return [spent / 1000 for spent in milliseconds if 0 < spent < 1000 * MAX_DWELL_S]


@dataclass(frozen=True, slots=True)
class SavedChoice:
    """What is stored of one undecided group.

    In the tables a group that was only looked at has `overlay` NULL, next to an `action` that may not be NULL and says
    'undecided'. A choice that was cleared has 'undecided' too, and its overlay's switch as 0 or 1.
    """

    choice: Choice | None  # None while the group was only looked at
    shown: Recommendation | None = None  # the recommendation as it stood when the choice was made, None without one
    # where the choice was made: "review" or "automation_review"; "blind" in either of them where the recommendation was
    # hidden
    input: InputKind = "review"
    milliseconds: int = 0  # time spent on the group so far, pauses left out (MAX_DWELL_S)
    held_reason: str | None = None  # why the last finalise had to leave it, None when it was not held back

    @property
    def crop_seen(self) -> bool:
        """Whether the crop overlay could be seen: a blind choice neither accepts a crop nor refuses it."""
        return self.input != "blind"


@dataclass(frozen=True, slots=True)
class UndoLog:
    """One row for each key; undone ones stay until the next key. Only the table's owner makes one of these."""

    table: str
    room: str | None = None  # of the rows, where one table holds the logs of several tools

    def append(self, connection: sqlite3.Connection, **values: object) -> None:
        """Append a key; what could be redone is over."""
        connection.execute(f"DELETE FROM {self.table} WHERE undone = 1 AND {self._mine}", self._own)
        row = {**self._own, **values}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO {self.table} ({names}) VALUES ({marks})", row)

    def mark(self, connection: sqlite3.Connection, *, undone: bool) -> None:
        """The latest key that stands is undone, or the earliest undone key stands again."""
        seq = "max(seq)" if undone else "min(seq)"
        connection.execute(
            f"""UPDATE {self.table} SET undone = :undone
            WHERE seq = (SELECT {seq} FROM {self.table} WHERE undone <> :undone AND {self._mine})""",
            {**self._own, "undone": int(undone)},
        )

    def steps(
        self, connection: sqlite3.Connection, read: Callable[[sqlite3.Row], Logged]
    ) -> tuple[list[Logged], list[Logged]]:
        """(undo, redo), each with the step to take next last."""
        undo: list[Logged] = []
        redo: list[Logged] = []
        for row in connection.execute(f"SELECT * FROM {self.table} WHERE {self._mine} ORDER BY seq", self._own):
            (redo if row["undone"] else undo).append(read(row))
        return undo, redo[::-1]

    def clear(self, connection: sqlite3.Connection) -> None:
        connection.execute(f"DELETE FROM {self.table} WHERE {self._mine}", self._own)

    @property
    def _mine(self) -> str:
        return "TRUE" if self.room is None else "room = :room"

    @property
    def _own(self) -> dict[str, object]:
        return {} if self.room is None else {"room": self.room}


@dataclass(frozen=True, slots=True)
class ReviewTables:
    """The names of a review's three tables; only their owner makes one of these."""

    choices: str
    log: str
    place: str

    def load(self, connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, SavedChoice]:
        """Group id -> what is saved of it, in the order given, for those that have anything saved."""
        wanted, read = list(group_ids), wrap_row_errors(self.choices)(_saved)
        rows = connection.execute(
            f"SELECT * FROM {self.choices} WHERE group_id IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)
        )
        found = {row["group_id"]: row for row in rows}
        return {group_id: read(found[group_id]) for group_id in wanted if group_id in found}

    def save_choice(self, connection: sqlite3.Connection, group_id: str, saved: SavedChoice) -> None:
        """Save one group's choice, adding the time just spent on it (`saved.milliseconds`)."""
        choice = saved.choice or Choice()
        connection.execute(
            f"""INSERT INTO {self.choices} (group_id, action, selected_index, overlay, shown, input, milliseconds,
                updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (group_id) DO UPDATE SET action = excluded.action, selected_index = excluded.selected_index,
                overlay = excluded.overlay, shown = excluded.shown, input = excluded.input,
                milliseconds = milliseconds + excluded.milliseconds, updated_at = excluded.updated_at""",
            (
                group_id,
                choice.action,
                choice.index,
                choice.overlay if saved.choice else None,  # NULL: only looked at
                saved.shown.to_json() if saved.shown else None,
                saved.input,
                saved.milliseconds,
                utc_now(),
            ),
        )

    def log_step(self, connection: sqlite3.Connection, step: ReviewStep) -> None:
        """Append a key to the undo log; what could be redone is over."""
        before, after = _logged(step.before, step.before_origin), _logged(step.after, step.after_origin)
        groups = {"from_group": step.from_group, "to_group": step.to_group}
        UndoLog(self.log).append(connection, key=step.key, **groups, before=before, after=after)

    def mark_undone(self, connection: sqlite3.Connection) -> None:
        """The latest key that stands is undone."""
        UndoLog(self.log).mark(connection, undone=True)

    def mark_redone(self, connection: sqlite3.Connection) -> None:
        """The earliest undone key stands again."""
        UndoLog(self.log).mark(connection, undone=False)

    def steps(self, connection: sqlite3.Connection) -> tuple[list[ReviewStep], list[ReviewStep]]:
        """(undo, redo), each with the step to take next last."""
        return UndoLog(self.log).steps(connection, wrap_row_errors(self.log)(_step))

    def clear_log(self, connection: sqlite3.Connection) -> None:
        """A finalised batch is undone as a batch, no longer key by key."""
        UndoLog(self.log).clear(connection)

    def cursor(self, connection: sqlite3.Connection) -> str | None:
        """The id of the group last looked at."""
        row = connection.execute(f"SELECT group_id FROM {self.place}").fetchone()
        return row["group_id"] if row else None

    def set_cursor(self, connection: sqlite3.Connection, group_id: str) -> None:
        connection.execute(
            f"""INSERT INTO {self.place} (only, group_id) VALUES (1, ?)
            ON CONFLICT (only) DO UPDATE SET group_id = excluded.group_id""",
            (group_id,),
        )

    def forget_cursor(self, connection: sqlite3.Connection) -> None:
        """The next session begins at the first open group of its order."""
        connection.execute(f"DELETE FROM {self.place}")


def _saved(row: sqlite3.Row) -> SavedChoice:
    choice = None
    if row["overlay"] is not None:  # else only looked at: see `SavedChoice`
        choice = Choice(row["action"], row["selected_index"], bool(row["overlay"]))
    shown = Recommendation.from_json(row["shown"]) if row["shown"] else None
    held = row["held_reason"] if "held_reason" in row.keys() else None  # noqa: SIM118 (a Row's `in` asks its values)
    return SavedChoice(choice, shown, row["input"], row["milliseconds"], held)


def _step(row: sqlite3.Row) -> ReviewStep:
    (before, before_origin), (after, after_origin) = _read_logged(row["before"]), _read_logged(row["after"])
    return ReviewStep(row["key"], row["from_group"], row["to_group"], before, after, before_origin, after_origin)


def _logged(choice: Choice, origin: Origin | None) -> str:
    made = {"input": origin.input, "shown": origin.shown.to_json() if origin.shown else None} if origin else None
    return json.dumps({**asdict(choice), "origin": made})


def _read_logged(text: str) -> tuple[Choice, Origin | None]:
    values = json.loads(text)
    made = values.pop("origin", None)  # rows of before 2026-11-29 have none
    origin = None
    if made is not None:
        origin = Origin(made["input"], Recommendation.from_json(made["shown"]) if made["shown"] else None)
    return Choice(**values), origin
