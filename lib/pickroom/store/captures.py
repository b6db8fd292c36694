"""Table `captures`: when and with what a picture was taken, by its content."""

import json
import sqlite3
from collections.abc import Iterable, Mapping

from pickroom.core.records import Capture
from pickroom.store import rows


def of(connection: sqlite3.Connection, contents: Iterable[str] | None = None) -> dict[str, Capture]:
    """SHA-256 of a content -> what its file said, of those that were read; None is every content."""
    wanted = None if contents is None else json.dumps(list(contents))
    query = "SELECT * FROM captures WHERE :wanted IS NULL OR sha256 IN (SELECT value FROM json_each(:wanted))"
    return {row["sha256"]: _record(row) for row in connection.execute(query, {"wanted": wanted})}


def times(connection: sqlite3.Connection) -> dict[str, str]:
    """SHA-256 of a content -> when it was taken (ISO 8601, the camera's clock), of those that say so."""
    return dict(connection.execute("SELECT sha256, captured_at FROM captures WHERE captured_at IS NOT NULL"))


def _record(row: sqlite3.Row) -> Capture:
    try:
        return rows.record_of(Capture, row)
    except ValueError:  # a damaged row says nothing: nothing but the order of a queue depends on it
        return Capture()


def unknown(connection: sqlite3.Connection, contents: Iterable[str]) -> set[str]:
    """Those of these contents that were not read yet."""
    return set(contents) - set(rows.column(connection, "SELECT sha256 FROM captures"))


def add(connection: sqlite3.Connection, found: Mapping[str, Capture]) -> None:
    """Write what was read of contents; one that is known already stays."""
    new = ({"sha256": sha256, **rows.row_of(capture)} for sha256, capture in found.items())
    rows.insert(connection, "INSERT INTO captures", new, "ON CONFLICT (sha256) DO NOTHING")
