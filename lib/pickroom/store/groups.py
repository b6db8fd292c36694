"""Tables `groups`, `group_members` and `imported_groups`: the groups of images, and their queue."""

import sqlite3
from collections.abc import Iterable, Mapping, Sequence

from pickroom.core.naming import sampling_key
from pickroom.core.records import Group, Image
from pickroom.store import images
from pickroom.store.rows import column, number

Known = Mapping[tuple[str, str], Image]  # (directory, filename) -> the image as the table has it

# a group waits while no finalise has taken it, and no import decides it; decided ones stay in the tables for good
WAITING = """NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = g.group_id)
    AND NOT EXISTS (SELECT 1 FROM imported_groups AS p WHERE p.group_id = g.group_id)"""
_IMPORTED = """SELECT count(*) FROM imported_groups AS p
    WHERE NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = p.group_id)"""


def insert(connection: sqlite3.Connection, groups: Iterable[Group], kind: str) -> None:
    """Append new groups to the queue, in the order given.

    Args:
        kind: how they were made: "stage", "burst" or "similar".
    """
    method = "stage" if kind == "stage" else "similarity"
    last = number(connection, "SELECT coalesce(max(sequence), 0) FROM groups")
    for sequence, group in enumerate(groups, start=last + 1):
        lot = sampling_key(group.group_id, group.project_id)
        connection.execute(
            """INSERT INTO groups (group_id, sequence, directory, batch_number, method, kind, lot)
            VALUES (?, ?, ?, ?, ?, ?, ?)""",
            (group.group_id, sequence, group.directory, group.batch_number, method, kind, lot),
        )
        connection.executemany(
            "INSERT INTO group_members (group_id, position, directory, filename) VALUES (?, ?, ?, ?)",
            [(group.group_id, place, i.directory, i.filename) for place, i in enumerate(group.images)],
        )


def assign_sampling_keys(connection: sqlite3.Connection, project_id: str) -> None:
    """Fill in the sampling key (`lot`) of groups that an earlier schema wrote without one."""
    ids = column(connection, "SELECT group_id FROM groups WHERE lot IS NULL")
    lots = [(sampling_key(group_id, project_id), group_id) for group_id in ids]
    connection.executemany("UPDATE groups SET lot = ? WHERE group_id = ?", lots)


def remove(connection: sqlite3.Connection, group_ids: Iterable[str]) -> None:
    """Delete undecided groups with their choices and recommendations."""
    connection.executemany("DELETE FROM groups WHERE group_id = ?", [(group_id,) for group_id in group_ids])


def defer(connection: sqlite3.Connection, group_ids: Iterable[str]) -> None:
    """Send skipped groups behind all others of the queue."""
    sql = "UPDATE groups SET deferrals = deferrals + 1 WHERE group_id = ?"
    connection.executemany(sql, [(group_id,) for group_id in group_ids])


def queue(
    connection: sqlite3.Connection, project_id: str, limit: int | None = None, *, sound: bool = False
) -> list[Group]:
    """The groups that wait for a decision, next first; `limit` at the most. `sound` as in `load`."""
    return load(connection, project_id, queue_ids(connection, limit), sound=sound)


def queue_ids(connection: sqlite3.Connection, limit: int | None = None) -> list[str]:
    """The ids of `queue`."""
    query = f"SELECT group_id FROM groups AS g WHERE {WAITING} ORDER BY deferrals, sequence LIMIT ?"
    return column(connection, query, -1 if limit is None else limit)


def count_waiting(connection: sqlite3.Connection) -> int:
    """How many groups wait; each decision has its group in the table, so that counting both tells at once."""
    decided = f"(SELECT count(*) FROM decision_context) - ({_IMPORTED})"
    return number(connection, f"SELECT (SELECT count(*) FROM groups) - {decided}")


def count_imported(connection: sqlite3.Connection) -> int:
    """How many groups are not asked about, since their picks were imported."""
    return number(connection, _IMPORTED)


def replace_imported(connection: sqlite3.Connection, chosen: Mapping[str, str | None]) -> None:
    """Set the groups that imported rows decide: group id -> the picked image, None where all were rejected."""
    connection.execute("DELETE FROM imported_groups")
    connection.executemany("INSERT INTO imported_groups (group_id, chosen) VALUES (?, ?)", chosen.items())


def count(connection: sqlite3.Connection) -> int:
    """How many groups were ever made."""
    return number(connection, "SELECT count(*) FROM groups")


def load(
    connection: sqlite3.Connection,
    project_id: str,
    group_ids: Sequence[str],
    known: Known | None = None,
    *,
    sound: bool = False,
) -> list[Group]:
    """Groups by id, in the order given; unknown ids are left out.

    Args:
        sound: leave out the groups of which an image's row is damaged; else that is an error.
        known: images in memory already, taken instead of read again: of a million images a second copy is half a GB.
    """
    found, known = dict[str, Group](), known or {}
    for start in range(0, len(group_ids), 500):  # SQLite's default limit is 999 parameters on old builds
        some = group_ids[start : start + 500]
        rows = connection.execute(
            f"""SELECT g.group_id, g.batch_number, {images.COLUMNS}
            FROM groups AS g JOIN group_members AS m USING (group_id)
            JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
            WHERE g.group_id IN ({", ".join("?" * len(some))}) ORDER BY g.group_id, m.position""",
            some,
        ).fetchall()
        if sound:
            damaged = {row["group_id"] for row in rows if images.sound(row) is None}
            rows = [row for row in rows if row["group_id"] not in damaged]
        members: dict[str, list[sqlite3.Row]] = {}
        for row in rows:
            members.setdefault(row["group_id"], []).append(row)
        for group_id, own in members.items():
            read = tuple(known.get((row["directory"], row["filename"])) or images.from_row(row) for row in own)
            found[group_id] = Group(group_id, project_id, own[0]["directory"], own[0]["batch_number"], read)
    return [found[group_id] for group_id in group_ids if group_id in found]


def kinds(connection: sqlite3.Connection) -> dict[str, str]:
    """The kind of every group by its id: "stage", "burst" or "similar"."""
    return dict(connection.execute("SELECT group_id, kind FROM groups").fetchall())


def every(connection: sqlite3.Connection, project_id: str, *, sound: bool = False) -> list[Group]:
    """Every group ever made, decided ones too, in queue order; `sound` as in `load`."""
    ids = column(connection, "SELECT group_id FROM groups ORDER BY sequence")
    return load(connection, project_id, ids, sound=sound)


def content_of(connection: sqlite3.Connection, group_id: str, filename: str) -> str | None:
    """The sha256 of a group's image as the last scan met it; None where that is not known."""
    query = """SELECT i.sha256 FROM group_members AS m JOIN images AS i USING (directory, filename)
        WHERE m.group_id = ? AND m.filename = ?"""
    return next(iter(column(connection, query, group_id, filename)), None)


def decided_images(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    """(directory, filename) of every image in a decided group, as the scan before its decision met it."""
    found = connection.execute("SELECT directory, filename FROM group_members JOIN decision_context USING (group_id)")
    return {(row[0], row[1]) for row in found}


def last_second(connection: sqlite3.Connection, project_id: str) -> str | None:
    """The second in the latest id of the project, as ids write it (`20250803T065406Z`)."""
    head = f"{project_id}_group_"
    query = "SELECT max(substr(group_id, ?, 16)) FROM groups WHERE substr(group_id, 1, ?) = ?"
    (latest,) = column(connection, query, len(head) + 1, len(head), head)
    return None if latest is None else str(latest)


def waiting_among(connection: sqlite3.Connection, group_ids: Iterable[str]) -> set[str]:
    """Those of these groups that wait for a decision."""
    query = f"SELECT 1 FROM groups AS g WHERE g.group_id = ? AND {WAITING}"
    return {group_id for group_id in group_ids if connection.execute(query, (group_id,)).fetchone()}
