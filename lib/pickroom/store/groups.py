"""Tables `groups` and `group_members`: which images are picked from together, and the queue they wait in."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence

from pickroom.records import Group
from pickroom.store import images

# a group waits while no finalise has taken it; decided ones stay in the tables for good
_WAITING = "NOT EXISTS (SELECT 1 FROM decision_context AS c WHERE c.group_id = g.group_id)"


def insert(connection: sqlite3.Connection, groups: Iterable[Group], method: str) -> None:
    """Append new groups to the queue, in the order given."""
    last = connection.execute("SELECT coalesce(max(sequence), 0) FROM groups").fetchone()[0]
    for sequence, group in enumerate(groups, start=last + 1):
        connection.execute(
            "INSERT INTO groups (group_id, sequence, directory, batch_number, method) VALUES (?, ?, ?, ?, ?)",
            (group.group_id, sequence, group.directory, group.batch_number, method),
        )
        connection.executemany(
            "INSERT INTO group_members (group_id, position, directory, filename) VALUES (?, ?, ?, ?)",
            [(group.group_id, place, i.directory, i.filename) for place, i in enumerate(group.images)],
        )


def remove(connection: sqlite3.Connection, group_ids: Iterable[str]) -> None:
    """Dissolve groups that nobody has decided; their choices and recommendations go with them."""
    connection.executemany("DELETE FROM groups WHERE group_id = ?", [(group_id,) for group_id in group_ids])


def defer(connection: sqlite3.Connection, group_ids: Iterable[str]) -> None:
    """Send skipped groups behind all others of the queue."""
    connection.executemany(
        "UPDATE groups SET deferrals = deferrals + 1 WHERE group_id = ?", [(group_id,) for group_id in group_ids]
    )


def queue(connection: sqlite3.Connection, project_id: str, limit: int | None = None) -> list[Group]:
    """The groups that wait for a decision, next first; `limit` at the most."""
    rows = connection.execute(
        f"""SELECT group_id FROM groups AS g WHERE {_WAITING}
        ORDER BY deferrals, sequence LIMIT ?""",
        (-1 if limit is None else limit,),
    )
    return load(connection, project_id, [row["group_id"] for row in rows])


def count_waiting(connection: sqlite3.Connection) -> int:
    return connection.execute(f"SELECT count(*) FROM groups AS g WHERE {_WAITING}").fetchone()[0]


def count(connection: sqlite3.Connection) -> int:
    return connection.execute("SELECT count(*) FROM groups").fetchone()[0]


def load(connection: sqlite3.Connection, project_id: str, group_ids: Sequence[str]) -> list[Group]:
    """Groups by id, in the order given; unknown ids are left out."""
    found: dict[str, Group] = {}
    for start in range(0, len(group_ids), 500):  # SQLite's default limit is 999 parameters on old builds
        some = group_ids[start : start + 500]
        rows = connection.execute(
            f"""SELECT g.group_id, g.batch_number, {images.COLUMNS}
            FROM groups AS g JOIN group_members AS m USING (group_id)
            JOIN images AS i ON i.directory = m.directory AND i.filename = m.filename
            WHERE g.group_id IN ({", ".join("?" * len(some))}) ORDER BY g.group_id, m.position""",
            some,
        ).fetchall()
        found |= _assemble(rows, project_id)
    return [found[group_id] for group_id in group_ids if group_id in found]


def not_made_by(connection: sqlite3.Connection, method: str) -> set[str]:
    """The ids of all groups that were made by another method than this one (`stage` or `similarity`)."""
    return {row["group_id"] for row in connection.execute("SELECT group_id FROM groups WHERE method <> ?", (method,))}


def every(connection: sqlite3.Connection, project_id: str) -> list[Group]:
    """Every group ever made, decided ones too, in queue order."""
    ids = [row["group_id"] for row in connection.execute("SELECT group_id FROM groups ORDER BY sequence")]
    return load(connection, project_id, ids)


def decided_names(connection: sqlite3.Connection) -> set[str]:
    """File names of every image in a decided group."""
    rows = connection.execute("SELECT filename FROM group_members JOIN decision_context USING (group_id)")
    return {row["filename"] for row in rows}


def last_second(connection: sqlite3.Connection, project_id: str) -> str | None:
    """The second in the latest id of the project, as ids write it (`20250803T065406Z`)."""
    head = f"{project_id}_group_"
    return connection.execute(
        "SELECT max(substr(group_id, ?, 16)) FROM groups WHERE substr(group_id, 1, ?) = ?",
        (len(head) + 1, len(head), head),
    ).fetchone()[0]


def waiting_among(connection: sqlite3.Connection, group_ids: Iterable[str]) -> set[str]:
    """Those of these groups that wait for a decision."""
    query = f"SELECT 1 FROM groups AS g WHERE g.group_id = ? AND {_WAITING}"
    return {group_id for group_id in group_ids if connection.execute(query, (group_id,)).fetchone()}


def _assemble(rows: Iterable[sqlite3.Row], project_id: str) -> dict[str, Group]:
    members: dict[str, list[sqlite3.Row]] = {}
    for row in rows:
        members.setdefault(row["group_id"], []).append(row)
    return {
        group_id: Group(
            group_id,
            project_id,
            own[0]["directory"],
            own[0]["batch_number"],
            tuple(images.from_row(row) for row in own),
        )
        for group_id, own in members.items()
    }
