"""Table `recommendations`: the present recommendation for each group."""

import heapq
import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass

from pickroom.core.naming import sampling_key
from pickroom.core.records import Recommendation
from pickroom.store import groups
from pickroom.store.rows import column, insert, record_of, row_of, wrap_row_errors
from pickroom.store.workspace import utc_now

# each of these walks an index and ends with the last group that is wanted: (deferrals, how many) -> ids
_SURE = f"""SELECT g.group_id FROM recommendations AS r CROSS JOIN groups AS g USING (group_id)
    WHERE g.deferrals = ? AND r.confidence IS NOT NULL AND {{}} AND {groups.WAITING}
    ORDER BY r.confidence, coalesce(r.crop_confidence, 1.0), g.sequence LIMIT ?"""
_BY_WORTH, _IN_CONFLICT = _SURE.format("1"), _SURE.format("r.conflict = 1")
_UNKNOWN = f"""SELECT g.group_id FROM groups AS g LEFT JOIN recommendations AS r USING (group_id)
    WHERE g.deferrals = ? AND r.confidence IS NULL AND {groups.WAITING} ORDER BY g.sequence LIMIT ?"""
_UNKNOWN_IN_CONFLICT = f"""SELECT g.group_id FROM recommendations AS r CROSS JOIN groups AS g USING (group_id)
    WHERE g.deferrals = ? AND r.conflict = 1 AND r.confidence IS NULL AND {groups.WAITING}
    ORDER BY g.sequence LIMIT ?"""
_BY_LOT = f"""SELECT g.lot, g.group_id FROM groups AS g
    WHERE g.deferrals = ? AND g.lot IS NOT NULL AND {groups.WAITING} ORDER BY g.lot LIMIT ?"""
_NO_LOT = f"SELECT g.group_id FROM groups AS g WHERE g.deferrals = ? AND g.lot IS NULL AND {groups.WAITING} LIMIT ?"
_FEW = 2_000
_ANY_SURE = f"""SELECT g.group_id FROM recommendations AS r CROSS JOIN groups AS g USING (group_id)
    WHERE r.confidence IS NOT NULL AND {groups.WAITING} LIMIT 1"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """What the order of review goes by, of one group that waits for a decision."""

    group_id: str
    deferrals: int  # how often a batch ended with it skipped
    # confidence, crop_confidence: of the recommendation, in [0, 1]; None when not known
    confidence: float | None
    crop_confidence: float | None
    conflict: bool  # stage and defect disagree: a pick below the highest stage, or an anomaly flag


def upsert(connection: sqlite3.Connection, recommendations: Iterable[Recommendation]) -> None:
    """Store the current recommendation of each group, in place of an earlier one."""
    now, values = utc_now(), [row_of(recommendation) for recommendation in recommendations]
    rows = [{"crop_coords": row.pop("crop"), **row, "made_at": now} for row in values]
    insert(connection, "INSERT INTO recommendations", rows, "ON CONFLICT (group_id) DO UPDATE SET {updates}")
    connection.executemany(
        """UPDATE recommendations SET conflict = anomaly_flags <> '[]' OR coalesce((
            SELECT max(i.stage) > max(CASE WHEN m.position = selected_index THEN i.stage END)
            FROM group_members AS m JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
            WHERE m.group_id = recommendations.group_id), 0) WHERE group_id = ?""",
        [(row["group_id"],) for row in rows],
    )


def of_groups(connection: sqlite3.Connection, group_ids: Iterable[str]) -> dict[str, Recommendation]:
    """Group id -> its recommendation, for those that have one."""
    query = "SELECT * FROM recommendations WHERE group_id = ?"
    return {i: _from_row(row) for i in group_ids for row in connection.execute(query, (i,))}


def waiting(connection: sqlite3.Connection) -> list[Waiting]:
    """Every group that waits for a decision, in folder order."""
    return _read_waiting(connection, "")


def next_waiting(
    connection: sqlite3.Connection, project_id: str, count: int, touched: Iterable[str] = (), *, few: int = _FEW
) -> list[Waiting]:
    """Those of `waiting` from which the next `count` groups of any order come, in folder order; found by index.

    Of the groups skipped least often: the first `count` by worth, of those in conflict, and of those drawn at random;
    and whatever the user has touched. `automation.order.next_groups` makes the same of them as of all.

    Args:
        few: where no more than this wait, near a project's end, the indexes lead past decided groups for the most
            part: then all that wait are read instead.
    """
    if groups.count_waiting(connection) <= few:
        return waiting(connection)
    ids: dict[str, None] = {}
    found, tier, ranked = 0, -1, False
    while found < count:
        (tier,) = connection.execute("SELECT min(deferrals) FROM groups WHERE deferrals > ?", (tier,)).fetchone()
        if tier is None:
            break
        sure = column(connection, _BY_WORTH, tier, count)
        unsure = column(connection, _UNKNOWN, tier, count - len(sure)) if len(sure) < count else []
        at_odds = column(connection, _IN_CONFLICT, tier, count)
        if len(at_odds) < count:
            at_odds += column(connection, _UNKNOWN_IN_CONFLICT, tier, count - len(at_odds))
        ids |= dict.fromkeys((*sure, *unsure, *at_odds, *_drawn(connection, project_id, tier, count)))
        found, ranked = found + len(sure) + len(unsure), ranked or bool(sure)
    if not ranked:  # whether any confidence is known, also of a group skipped more often, decides on the order
        ids |= dict.fromkeys(column(connection, _ANY_SURE))
    ids |= dict.fromkeys(touched)
    return _read_waiting(connection, "AND g.group_id IN (SELECT value FROM json_each(?))", json.dumps(list(ids)))


def _drawn(connection: sqlite3.Connection, project_id: str, tier: int, count: int) -> list[str]:
    """The first groups of those drawn at random; rows of an earlier schema have no lot yet."""
    unmarked = [(sampling_key(group_id, project_id), group_id) for group_id in column(connection, _NO_LOT, tier, -1)]
    marked = [(row[0], row[1]) for row in connection.execute(_BY_LOT, (tier, count))]
    return [group_id for _, group_id in heapq.nsmallest(count, [*marked, *unmarked])]


def _read_waiting(connection: sqlite3.Connection, which: str, *values: object) -> list[Waiting]:
    query = f"""SELECT g.group_id, g.deferrals, r.confidence, r.crop_confidence, coalesce(r.conflict, 0) AS conflict
        FROM groups AS g LEFT JOIN recommendations AS r USING (group_id)
        WHERE {groups.WAITING} {which} ORDER BY g.sequence"""
    return [record_of(Waiting, row) for row in connection.execute(query, values)]


@wrap_row_errors("recommendations")
def _from_row(row: sqlite3.Row) -> Recommendation:
    for text in (row["reasons"], row["anomaly_flags"]):
        values = json.loads(text)
        if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
            raise ValueError(f"{text[:40]!r} is not a list of texts")
    if sorted(ranking := json.loads(row["ranking"])) != list(range(len(ranking))):
        raise ValueError(f"{row['ranking'][:40]!r} is not an order of images")
    return record_of(Recommendation, row, crop="crop_coords")
