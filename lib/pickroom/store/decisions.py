"""Tables `ai_decisions` and `decision_context`: what was decided, and how it came about.

They are written together, in the transaction that also plans the file operations.
"""

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from pickroom.core.geometry import corners_match
from pickroom.core.naming import join
from pickroom.core.records import CropBox, Decision, InputKind, RecommendationSource
from pickroom.store import rows
from pickroom.store.crops import Crop

# the picked image's name; NULL where an unsound row names none, which must not end a query over all rows
_PICK = """CASE WHEN json_valid(images) AND typeof(user_selected_index) = 'integer' AND user_selected_index >= 0
    THEN json_extract(images, '$[' || user_selected_index || ']') END"""


@dataclass(frozen=True, slots=True)
class Context:
    """One row of `decision_context`; `outcome` is the route's, "keep" for a group without a decision row."""

    group_id: str
    batch: int
    input: InputKind
    outcome: str
    decided_at: str
    source: RecommendationSource | None = None
    versions: dict[str, str] = field(default_factory=dict)
    milliseconds: int | None = None


def insert(connection: sqlite3.Connection, decision: Decision) -> None:
    """Add one decision, in place of one from the sandbox; raises sqlite3.IntegrityError when a check refuses it."""
    _remove_sandbox(connection, decision.group_id)
    rows.insert(connection, "INSERT INTO ai_decisions", [rows.row_of(decision)])


def insert_context(connection: sqlite3.Connection, context: Context) -> None:
    """Add how a decision came about; raises as `insert`."""
    _remove_sandbox(connection, context.group_id)
    rows.insert(connection, "INSERT INTO decision_context", [rows.row_of(context)])


def delete(connection: sqlite3.Connection, group_ids: Iterable[str]) -> None:
    """Take decisions back, with their context: the groups wait again."""
    ids = [(group_id,) for group_id in group_ids]
    connection.executemany("DELETE FROM ai_decisions WHERE group_id = ?", ids)
    connection.executemany("DELETE FROM decision_context WHERE group_id = ?", ids)


def _remove_sandbox(connection: sqlite3.Connection, group_id: str) -> None:
    listed = "group_id = ? AND group_id IN (SELECT group_id FROM sandbox_decisions)"
    connection.execute(f"DELETE FROM ai_decisions WHERE {listed}", (group_id,))
    connection.execute("DELETE FROM sandbox_decisions WHERE group_id = ?", (group_id,))


def applied_by_person(connection: sqlite3.Connection, kind: str) -> list[tuple[Decision, Context, bool]]:
    """The user's decisions that journal steps of a kind carried out: each with its context, and whether its box is
    the user's own.
    """
    query = """SELECT d.*, c.batch, c.input, c.outcome, c.decided_at, c.source, c.versions, c.milliseconds,
            coalesce(k.box_source, 'drawn') IN ('drawn', 'ai') AS own_box
        FROM ai_decisions AS d JOIN decision_context AS c USING (group_id) LEFT JOIN final_crops AS k USING (group_id)
        WHERE c.input IN ('automation_review', 'blind')
            AND c.batch IN (SELECT batch FROM file_operations WHERE kind = ?)"""
    found = connection.execute(query, (kind,)).fetchall()
    return [(_from_row(row), rows.record_of(Context, row), bool(row["own_box"])) for row in found]


def replace_sandbox(connection: sqlite3.Connection, applied: Iterable[tuple[Decision, Context]]) -> None:
    """Make the decisions taken over from the sandbox these; groups that the project decided itself are left out."""
    own = set(rows.column(connection, "SELECT group_id FROM decision_context"))
    for group_id in rows.column(connection, "SELECT group_id FROM sandbox_decisions"):
        _remove_sandbox(connection, group_id)
    there = own | set(rows.column(connection, "SELECT group_id FROM ai_decisions"))
    for decision, context in applied:
        if decision.group_id not in there:
            insert(connection, decision)
            names = ("group_id", "batch", "source", "versions", "milliseconds", "decided_at")
            values = {name: value for name, value in rows.row_of(context).items() if name in names}
            rows.insert(connection, "INSERT INTO sandbox_decisions", [values])


def set_crop(connection: sqlite3.Connection, group_id: str, crop: Crop | None) -> None:
    """Write the final crop of a decision, or remove it with None; `crop_match` follows from the row.

    `crop_match` (FORMATS.md): every corner within 0.05 of the AI's box, whichever image that was proposed for.
    """
    row = get(connection, group_id)
    if row is None:
        return
    box, made_at, made_by = (crop.box.to_json(), crop.made_at, crop.input) if crop else (None, None, None)
    match = corners_match(row.ai_crop_coords, crop.box) if crop and row.ai_crop_coords else None
    connection.execute(
        "UPDATE ai_decisions SET final_crop_coords = ?, crop_timestamp = ?, crop_match = ? WHERE group_id = ?",
        (box, made_at, match, group_id),
    )
    connection.execute("UPDATE decision_context SET crop_input = ? WHERE group_id = ?", (made_by, group_id))


def compare_boxes(connection: sqlite3.Connection) -> None:
    """Fill in `crop_match` where it is NULL though both boxes are there: it once stood for the AI's image alone."""
    found = []
    for rowid, ai_box, box in connection.execute(
        """SELECT rowid, CAST(ai_crop_coords AS BLOB), CAST(final_crop_coords AS BLOB) FROM ai_decisions
        WHERE crop_match IS NULL AND ai_crop_coords IS NOT NULL AND final_crop_coords IS NOT NULL"""
    ):
        try:
            boxes = CropBox.of(json.loads(ai_box)), CropBox.of(json.loads(box))
        except (ValueError, TypeError, RecursionError):
            continue  # a damaged row: `check` reports it
        found.append((corners_match(*boxes), rowid))
    connection.executemany("UPDATE ai_decisions SET crop_match = ? WHERE rowid = ?", found)


def set_dropped(connection: sqlite3.Connection, group_id: str, dropped_at: str | None) -> None:
    """The picked image was sent to delete_staging at the crop desk, or came back (None)."""
    connection.execute("UPDATE decision_context SET dropped_at = ? WHERE group_id = ?", (dropped_at, group_id))


def set_crop_accepted(connection: sqlite3.Connection, group_id: str, accepted: bool) -> bool:
    """Record of an older row whether its AI crop was accepted, unless it is recorded; whether it was written."""
    done = connection.execute(
        "UPDATE ai_decisions SET ai_crop_accepted = ? WHERE group_id = ? AND ai_crop_accepted IS NULL",
        (accepted, group_id),
    )
    return done.rowcount == 1


def get(connection: sqlite3.Connection, group_id: str) -> Decision | None:
    row = connection.execute("SELECT * FROM ai_decisions WHERE group_id = ?", (group_id,)).fetchone()
    return None if row is None else _from_row(row)


def any_made(connection: sqlite3.Connection) -> bool:
    """Whether the project has decided any group, rows of earlier systems too; what is taken from a sandbox is none."""
    rows_made = "SELECT 1 FROM ai_decisions WHERE group_id NOT IN (SELECT group_id FROM sandbox_decisions)"
    return bool(rows.number(connection, f"SELECT EXISTS (SELECT 1 FROM decision_context) OR EXISTS ({rows_made})"))


def unseen(connection: sqlite3.Connection) -> list[Decision]:
    """The decisions that the automation made unseen, in the order they were made."""
    query = "SELECT d.* FROM ai_decisions AS d JOIN decision_context AS c USING (group_id) WHERE c.input = 'auto'"
    return [_from_row(row) for row in connection.execute(f"{query} ORDER BY c.rowid")]


def groups_of_pick(connection: sqlite3.Connection, directory: str, filename: str) -> list[str]:
    """The groups whose picked image has this name, those of the folder first."""
    query = f"SELECT group_id FROM ai_decisions WHERE {_PICK} = ? ORDER BY directory IS ? DESC"
    return rows.column(connection, query, filename, directory)


def batch_group_ids(connection: sqlite3.Connection, batch: int) -> list[str]:
    """The groups that one finalise decided."""
    return rows.column(connection, "SELECT group_id FROM decision_context WHERE batch = ? ORDER BY rowid", batch)


def cropped_since(connection: sqlite3.Connection, batch: int) -> list[str]:
    """The groups of a batch whose crop has been made since, or dropped at the crop desk.

    A crop that the batch itself made (the automation's) is undone with it, unless it was cropped again.
    """
    query = """SELECT c.group_id FROM decision_context AS c LEFT JOIN ai_decisions AS d USING (group_id)
        WHERE c.batch = ? AND (c.dropped_at IS NOT NULL
            OR EXISTS (SELECT 1 FROM crops AS k WHERE k.group_id = c.group_id AND k.batch > c.batch)
            OR ((d.final_crop_coords IS NOT NULL OR d.crop_timestamp IS NOT NULL)
                AND NOT EXISTS (SELECT 1 FROM crops AS k WHERE k.group_id = c.group_id AND k.batch = c.batch)))"""
    return rows.column(connection, query, batch)


def outcome_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Outcome -> number of groups, kept ones included."""
    found = connection.execute("SELECT outcome, count(*) FROM decision_context GROUP BY outcome ORDER BY outcome")
    return dict(tuple(row) for row in found)


def outcomes_by_person(connection: sqlite3.Connection) -> dict[str, str]:
    """Group id -> outcome of every group that the user decided, kept ones included, without automatic decisions."""
    found = connection.execute("SELECT group_id, outcome FROM decision_context WHERE input <> 'auto'")
    return dict(tuple(row) for row in found)


def looks(connection: sqlite3.Connection) -> list[int]:
    """Milliseconds spent on each group of the user's own review, automation apart; unknown ones left out."""
    query = "SELECT milliseconds FROM decision_context WHERE input IN ('review', 'blind') AND milliseconds > 0"
    return rows.column(connection, query)


def incomplete_crops(connection: sqlite3.Connection) -> list[str]:
    """The picked images that wait for their crop, by file name; an unsound row names none."""
    named = f"SELECT {_PICK} AS name FROM incomplete_crops"
    return rows.column(connection, f"SELECT name FROM ({named}) WHERE typeof(name) = 'text' ORDER BY 1")


def waiting_crops(connection: sqlite3.Connection, filename: str | None = None) -> list[Decision]:
    """The decisions whose crop is asked for and not made, in the order they were taken; of one picked image, or all."""
    # a row that names no image is unsound, and waits for nothing
    found = connection.execute(
        f"SELECT * FROM incomplete_crops WHERE typeof({_PICK}) = 'text' AND coalesce({_PICK} = ?1, ?1 IS NULL)"
        " ORDER BY timestamp, group_id",
        (filename,),
    )
    return [_from_row(row) for row in found]


# of a group kept whole every image; else the pick, unless it was dropped, and what is kept in addition
_KEPT = f"""SELECT m.directory, m.filename
    FROM group_members AS m JOIN decision_context AS c USING (group_id) LEFT JOIN ai_decisions AS d USING (group_id)
        LEFT JOIN kept_images AS k USING (group_id, filename)
    WHERE c.outcome = 'keep' OR (c.outcome IN ('approve', 'crop')
        AND (k.kept = 1 OR (c.dropped_at IS NULL AND m.filename = {_PICK})))
    UNION
    SELECT directory, filename FROM image_marks WHERE room = 'browse' AND folder = 'selected' AND batch IS NOT NULL
    ORDER BY 1, 2"""


def kept_paths(connection: sqlite3.Connection) -> list[str]:
    """Where the images that were kept lie if none has moved: picks, those kept in addition, kept singles."""
    return [join(row[0], row[1]) for row in connection.execute(_KEPT)]


def performance(connection: sqlite3.Connection) -> dict[str, float | int | None]:
    """The project's row of view `ai_performance`, without its id; empty before the first decision."""
    row = connection.execute("SELECT * FROM ai_performance").fetchone()
    return {} if row is None else {key: value for key, value in dict(row).items() if key != "project_id"}


@rows.wrap_row_errors("ai_decisions")
def _from_row(row: sqlite3.Row) -> Decision:
    picked = row["user_selected_index"]
    if type(picked) is not int or picked < 0:  # the table's own checks can be switched off
        raise ValueError(f"its pick is {picked!r}")
    return rows.record_of(Decision, row)
