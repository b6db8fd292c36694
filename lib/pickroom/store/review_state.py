"""Tables `review_*` and `automation_*`: choices, undo log and place of the two reviews; every key is saved at once.

Both have the same three tables, so that one session can speak to either; they are apart so that a choice made about the
automation is never finalised by the ordinary deck. The ordinary review has two more, of what it alone can choose: table
`comparisons` holds the earlier rounds of bursts, `kept_images` images kept in addition to a pick, and stars.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from pickroom.core.records import Choice, InputKind, Origin, Recommendation, ReviewStep
from pickroom.store.rows import column, insert, wrap_row_errors
from pickroom.store.workspace import utc_now

Logged = TypeVar("Logged")  # a step as an undo log holds it
MAX_DWELL_S = 120.0  # as long without a key is a pause: how long the user looked before it is not known


def looks_s(milliseconds: Iterable[float]) -> list[float]:
    """Seconds of the groups whose time is known; 0, and what is as long as a pause, is left out.

    Rows of earlier versions hold 300 s for every pause. `look_s` in analysis/sql/macros.sql is the same rule.
    """
    return [spent / 1000 for spent in milliseconds if 0 < spent < 1000 * MAX_DWELL_S]


def look_ms(seconds: float) -> int:
    """Milliseconds of a look that lasted until a key; 0 after a pause."""
    return int(1000 * seconds) if 0 < seconds < MAX_DWELL_S else 0


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
    """One row for each key; undone ones stay until the next key. Only the module that owns the table makes one."""

    table: str
    room: str | None = None  # of the rows, where one table holds the logs of several tools

    def append(self, connection: sqlite3.Connection, **values: object) -> None:
        """Append a key; what could be redone is over."""
        connection.execute(f"DELETE FROM {self.table} WHERE undone = 1 AND {self._mine}", self._own)
        row = {**self._own, **values}
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(f"INSERT INTO {self.table} ({names}) VALUES ({marks})", row)

    def mark(self, connection: sqlite3.Connection, *, undone: bool) -> None:
        """Mark the latest key as undone, or the earliest undone key as done again."""
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
        """What was carried out as a batch is undone as a batch, no longer key by key."""
        connection.execute(f"DELETE FROM {self.table} WHERE {self._mine}", self._own)

    @property
    def _mine(self) -> str:
        return "TRUE" if self.room is None else "room = :room"

    @property
    def _own(self) -> dict[str, object]:
        return {} if self.room is None else {"room": self.room}


@dataclass(frozen=True, slots=True)
class ReviewTables:
    """A review's three tables; the third holds the id of the group last looked at."""

    choices: str
    log: UndoLog
    place: str

    def load(self, connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, SavedChoice]:
        """Group id -> what is saved of it, in the order given, for those that have anything saved."""
        wanted, read = list(group_ids), wrap_row_errors(self.choices)(_saved)
        rows = connection.execute(
            f"SELECT * FROM {self.choices} WHERE group_id IN (SELECT value FROM json_each(?))", (json.dumps(wanted),)
        )
        found = {row["group_id"]: read(row) for row in rows}
        found |= _with_rounds(connection, found) if self.choices == "review_state" else {}
        return {group_id: found[group_id] for group_id in wanted if group_id in found}

    def save_choice(self, connection: sqlite3.Connection, group_id: str, saved: SavedChoice) -> None:
        """Save one group's choice, adding the time just spent on it (`saved.milliseconds`)."""
        choice = saved.choice or Choice()
        row = {"group_id": group_id, "action": choice.action, "selected_index": choice.index}
        row |= {"overlay": choice.overlay if saved.choice else None}  # NULL: only looked at
        row |= {"shown": saved.shown.to_json() if saved.shown else None, "input": saved.input}
        row |= {"milliseconds": saved.milliseconds, "updated_at": utc_now()}
        kept = ", ".join(f"{name} = excluded.{name}" for name in row if name not in ("group_id", "milliseconds"))
        then = f"ON CONFLICT (group_id) DO UPDATE SET {kept}, milliseconds = milliseconds + excluded.milliseconds"
        insert(connection, f"INSERT INTO {self.choices}", [row], then)
        if self.choices == "review_state":
            _save_rounds(connection, group_id, choice)

    def log_step(self, connection: sqlite3.Connection, step: ReviewStep) -> None:
        """Append a key to the undo log; what could be redone is over."""
        before, after = _logged(step.before, step.before_origin), _logged(step.after, step.after_origin)
        groups = {"from_group": step.from_group, "to_group": step.to_group}
        self.log.append(connection, key=step.key, **groups, before=before, after=after)

    def steps(self, connection: sqlite3.Connection) -> tuple[list[ReviewStep], list[ReviewStep]]:
        """(undo, redo), each with the step to take next last."""
        return self.log.steps(connection, wrap_row_errors(self.log.table)(_step))

    def cursor(self, connection: sqlite3.Connection) -> str | None:
        """The id of the group last looked at."""
        return next(iter(column(connection, f"SELECT group_id FROM {self.place}")), None)

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


def _with_rounds(connection: sqlite3.Connection, saved: dict[str, SavedChoice]) -> dict[str, SavedChoice]:
    """Those of these groups that have rounds, images kept in addition or stars, with them."""
    ids, found = json.dumps(list(saved)), dict[str, SavedChoice]()
    listed = "group_id IN (SELECT value FROM json_each(?))"
    met = connection.execute(f"SELECT * FROM comparisons WHERE {listed} ORDER BY group_id, round", (ids,)).fetchall()
    marked = connection.execute(
        f"SELECT * FROM kept_images JOIN group_members USING (group_id, filename) WHERE {listed} ORDER BY position",
        (ids,),
    ).fetchall()
    for group_id in {row["group_id"] for row in (*met, *marked)}:
        choice = saved[group_id].choice or Choice()
        query = "SELECT filename, position FROM group_members WHERE group_id = ?"
        place_of = dict(connection.execute(query, (group_id,)).fetchall())
        own = [row for row in marked if row["group_id"] == group_id]
        read = wrap_row_errors("comparisons")(_met)
        rounds = tuple(read(row, place_of) for row in met if row["group_id"] == group_id)
        kept = tuple(row["position"] for row in own if row["kept"])
        stars = tuple((row["position"], row["stars"]) for row in own if row["stars"])
        found[group_id] = replace(saved[group_id], choice=replace(choice, rounds=rounds, kept=kept, stars=stars))
    return found


def _met(row: sqlite3.Row, place_of: dict[str, int]) -> tuple[int, ...]:
    names = json.loads(row["images"])
    return place_of[names[row["chosen"]]], *(place_of[name] for name in names if name != names[row["chosen"]])


def _save_rounds(connection: sqlite3.Connection, group_id: str, choice: Choice) -> None:
    """Write the rounds, the images kept in addition and the stars of a group, in place of what was there.

    Rounds that stand keep the time they were won at.
    """
    query = "SELECT filename FROM group_members WHERE group_id = ? ORDER BY position"
    names = column(connection, query, group_id) if choice.rounds or choice.kept or choice.stars else []
    met = []
    for number, (winner, *others) in enumerate(choice.rounds, start=1):
        shown = [names[place] for place in sorted((winner, *others))]
        row = {"group_id": group_id, "round": number, "images": json.dumps(shown, ensure_ascii=False)}
        met.append({**row, "chosen": shown.index(names[winner]), "made_at": utc_now()})
    connection.execute("DELETE FROM comparisons WHERE group_id = ? AND round > ?", (group_id, len(met)))
    then = """ON CONFLICT (group_id, round) DO UPDATE SET {updates}
        WHERE (images, chosen) <> (excluded.images, excluded.chosen)"""
    insert(connection, "INSERT INTO comparisons", met, then)
    connection.execute("DELETE FROM kept_images WHERE group_id = ?", (group_id,))
    stars = dict(choice.stars)
    marked = [
        {"group_id": group_id, "filename": names[place], "kept": place in choice.kept, "stars": stars.get(place)}
        for place in sorted({*choice.kept, *stars})
    ]
    insert(connection, "INSERT INTO kept_images", marked)


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
    return Choice.of(values), origin


# a group of which anything was chosen: of a burst a round, of any an image kept in addition, or stars
_TOUCHED = """action <> 'undecided' OR EXISTS (SELECT 1 FROM comparisons AS m WHERE m.group_id = s.group_id)
    OR EXISTS (SELECT 1 FROM kept_images AS k WHERE k.group_id = s.group_id)"""
REVIEW = ReviewTables("review_state", UndoLog("review_log"), "review_cursor")
AUTOMATION = ReviewTables("automation_review", UndoLog("automation_log"), "automation_cursor")


def hold(connection: sqlite3.Connection, group_id: str, reason: str | None) -> None:
    """Say why a group stays in the queue; its choice stays as it is. None: it has been finalised."""
    connection.execute("UPDATE review_state SET held_reason = ? WHERE group_id = ?", (reason, group_id))


def held(connection: sqlite3.Connection) -> dict[str, str]:
    """Group id -> why it was held back, for those that still are."""
    rows = connection.execute("SELECT group_id, held_reason FROM review_state WHERE held_reason IS NOT NULL")
    return {row["group_id"]: row["held_reason"] for row in rows}


def forget_cursor_of_undecided(connection: sqlite3.Connection) -> None:
    """The order has changed: a group without a choice is not a place to go back to."""
    touched = f"SELECT group_id FROM review_state AS s WHERE {_TOUCHED}"
    connection.execute(f"DELETE FROM review_cursor WHERE group_id NOT IN ({touched})")


def clear_skip(connection: sqlite3.Connection, group_id: str) -> None:
    """A skipped group starts afresh in the next batch."""
    connection.execute("UPDATE review_state SET action = 'undecided' WHERE group_id = ?", (group_id,))


def touched_ids(connection: sqlite3.Connection) -> set[str]:
    """Groups that wait for a decision, and for which the user has chosen anything."""
    undecided = "NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = s.group_id)"
    return set(column(connection, f"SELECT group_id FROM review_state AS s WHERE ({_TOUCHED}) AND {undecided}"))


def blind_looks(connection: sqlite3.Connection) -> list[tuple[str, SavedChoice]]:
    """(group id, choice) of each group decided in the automation's review without sight of the proposal, in order."""
    query = """SELECT group_id FROM automation_review
        WHERE input = 'blind' AND action IN ('approve', 'crop', 'reject', 'keep') ORDER BY updated_at, group_id"""
    return list(AUTOMATION.load(connection, column(connection, query)).items())
