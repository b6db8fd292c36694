"""Table `file_operations`: the journal of every move and of every small file written, removed or replaced."""

import sqlite3
from collections.abc import Iterable, Sequence

from pickroom.core.records import FileOp
from pickroom.store import rows
from pickroom.store.workspace import utc_now

RETURN = "return"  # the kind of steps that take files nothing explains back to where they belong
# op -> the columns that it leaves empty
_LACKS = {
    "move": {"content", "content_before"},
    "write": {"source", "content_before"},
    "remove": {"destination", "content_before"},
    "replace": {"source"},
}


def next_batch(connection: sqlite3.Connection) -> int:
    """The number of the next batch, whatever its kind: one more than any yet, undone ones included."""
    return rows.number(
        connection,
        """SELECT 1 + max((SELECT coalesce(max(batch), 0) FROM file_operations),
            (SELECT coalesce(max(batch), 0) FROM decision_context))""",
    )


def plan(connection: sqlite3.Connection, ops: Iterable[FileOp]) -> None:
    """Journal steps before any of them is taken."""
    new = {"id": None, "state": "planned", "error": None, "planned_at": utc_now()}
    rows.insert(connection, "INSERT INTO file_operations", ({**rows.row_of(op), **new} for op in ops))


def planned(connection: sqlite3.Connection) -> list[FileOp]:
    """Steps that are committed and not yet taken, in order."""
    return _read(connection, "state = 'planned'")


def of_batch(connection: sqlite3.Connection, batch: int) -> list[FileOp]:
    """Every step of a batch, whatever its state, in order."""
    return _read(connection, "batch = ?", batch)


def of_unit(connection: sqlite3.Connection, kinds: Sequence[str], unit: str) -> list[FileOp]:
    """The moves of one unit that stand, of these kinds, in order."""
    places = ", ".join("?" * len(kinds))
    return _read(connection, f"op = 'move' AND state = 'done' AND unit = ? AND kind IN ({places})", unit, *kinds)


def count_planned(connection: sqlite3.Connection) -> int:
    """How many steps are planned and not taken."""
    return rows.number(connection, "SELECT count(*) FROM file_operations WHERE state = 'planned'")


def latest_batch(connection: sqlite3.Connection, kinds: Sequence[str]) -> int | None:
    """The latest batch of these kinds that still stands, None when there is none."""
    standing = f"undoes IS NULL AND state = 'done' AND kind IN ({', '.join('?' * len(kinds))})"
    (latest,) = rows.column(connection, f"SELECT max(batch) FROM file_operations WHERE {standing}", *kinds)
    return None if latest is None else int(latest)


def moves_taken(connection: sqlite3.Connection, extensions: Sequence[str]) -> list[tuple[int, str, str]]:
    """(id, source, destination) of every move that was made, also of one that was undone and of its undoing, in order.

    Of kind `RETURN` only those that stand: undone, their files lie again where nothing explains them.

    Args:
        extensions: in lower case, without the dot; only files that end so.
    """
    cursor = connection.cursor()
    cursor.row_factory = None  # plain tuples: there may be a million
    found = cursor.execute(
        """SELECT id, source, destination FROM file_operations WHERE op = 'move' AND state IN ('done', 'undone')
        AND NOT (kind = ? AND (state = 'undone' OR undoes IS NOT NULL)) ORDER BY id""",
        (RETURN,),
    )
    wanted = frozenset(extensions)
    return [row for row in found if row[2].rpartition(".")[2].lower() in wanted]  # faster than dozens of LIKE


def planned_paths(connection: sqlite3.Connection) -> set[str]:
    """Both ends of every step that is planned."""
    found = connection.execute("SELECT source, destination FROM file_operations WHERE state = 'planned'")
    return {path for row in found for path in row if path is not None}


def placed_by(connection: sqlite3.Connection, kind: str, path: str) -> str | None:
    """The unit of this kind whose move has put a file at a path, the latest that stands."""
    query = "SELECT unit FROM file_operations WHERE op = 'move' AND state = 'done' AND kind = ? AND destination = ?"
    return next(iter(rows.column(connection, f"{query} ORDER BY id DESC", kind, path)), None)


def of_id(connection: sqlite3.Connection, step: int) -> FileOp:
    """The step of this id, which there must be."""
    return _read(connection, "id = ?", step)[0]


def standing_write(connection: sqlite3.Connection, path: str) -> FileOp | None:
    """The latest step that wrote a small file and was not undone."""
    found = _read(connection, "op = 'write' AND state = 'done' AND destination = ?", path)
    return found[-1] if found else None


def standing_moves(connection: sqlite3.Connection) -> list[FileOp]:
    """Every move that stands, in order: where files are now."""
    return _read(connection, "op = 'move' AND state = 'done'")


def recent_moves(connection: sqlite3.Connection, limit: int) -> list[FileOp]:
    """The latest moves that stand, and XMP sidecars that were written, in order."""
    placed = "(op = 'move' OR (op IN ('write', 'replace') AND destination LIKE '%.xmp'))"
    latest = f"SELECT id FROM file_operations WHERE {placed} AND state = 'done' ORDER BY id DESC LIMIT ?"
    return _read(connection, f"id IN ({latest})", limit)


def folders(connection: sqlite3.Connection) -> set[str]:
    """Every folder that a step has led from or to, relative to the root, which is ""."""
    paths = "SELECT source AS path FROM file_operations UNION ALL SELECT destination FROM file_operations"
    query = f"SELECT DISTINCT rtrim(path, replace(path, '/', '')) FROM ({paths}) WHERE path IS NOT NULL"
    return {folder.removesuffix("/") for folder in rows.column(connection, query)}


def mark_done(connection: sqlite3.Connection, ops: Iterable[FileOp]) -> None:
    """These steps are taken; the steps that they take back are thereby undone."""
    now, sql = utc_now(), "UPDATE file_operations SET state = ?, error = NULL, finished_at = ? WHERE id = ?"
    for op in ops:
        connection.execute(sql, ("done", now, op.id))
        if op.undoes is not None:
            connection.execute(sql, ("undone", now, op.undoes))


def mark_failed(connection: sqlite3.Connection, ops: Iterable[FileOp], error: str) -> None:
    """These steps were not taken, or were put back; `error` says why."""
    now = utc_now()
    connection.executemany(
        "UPDATE file_operations SET state = 'failed', error = ?, finished_at = ? WHERE id = ?",
        [(error, now, op.id) for op in ops],
    )


def batches(connection: sqlite3.Connection) -> list[dict[str, int | str]]:
    """One entry per batch: its number, its steps, how many of them are done, planned, undone and failed."""
    found = connection.execute(
        """SELECT batch, count(*) AS operations, sum(state = 'done') AS done, sum(state = 'planned') AS planned,
            sum(state = 'undone') AS undone, sum(state = 'failed') AS failed, min(planned_at) AS planned_at
        FROM file_operations WHERE undoes IS NULL GROUP BY batch ORDER BY batch"""
    )
    return [dict(row) for row in found]


def contents(connection: sqlite3.Connection) -> dict[int, tuple[dict[str, int], dict[str, int]]]:
    """Batch -> (kind -> its units, folder -> files that it has moved there), of the steps that stand."""
    found: dict[int, tuple[dict[str, int], dict[str, int]]] = {}
    standing = "FROM file_operations WHERE undoes IS NULL AND state = 'done'"
    for row in connection.execute(f"SELECT batch, kind, count(DISTINCT unit) {standing} GROUP BY 1, 2 ORDER BY 1, 2"):
        found.setdefault(row[0], ({}, {}))[0][row[1]] = row[2]
    folder = "rtrim(rtrim(destination, replace(destination, '/', '')), '/')"
    moved = f"SELECT batch, {folder}, count(*) {standing} AND op = 'move' GROUP BY 1, 2 ORDER BY 1, 2"
    for row in connection.execute(moved):
        found[row[0]][1][row[1]] = row[2]
    return found


def _read(connection: sqlite3.Connection, where: str, *values: object) -> list[FileOp]:
    found = connection.execute(f"SELECT * FROM file_operations WHERE {where} ORDER BY id", values)
    return [_from_row(row) for row in found]


@rows.wrap_row_errors("file_operations")
def _from_row(row: sqlite3.Row) -> FileOp:
    # as the table's checks have it
    columns = ("source", "destination", "content", "content_before")
    if {name for name in columns if row[name] is None} != _LACKS[row["op"]]:
        raise ValueError(f"step {row['id']} is not a whole {row['op']}")
    return rows.record_of(FileOp, row)
