"""Table `captures`: when and with what a picture was taken, by its content."""

import sqlite3
from collections.abc import Iterable, Mapping

from pickroom.core.records import Capture
from pickroom.store import rows


def every(connection: sqlite3.Connection) -> dict[str, Capture]:
    """SHA-256 of a content -> what its file said, of each content that was read."""
    return {row["sha256"]: rows.record_of(Capture, row) for row in connection.execute("SELECT * FROM captures")}


def unknown(connection: sqlite3.Connection, contents: Iterable[str]) -> set[str]:
    """Those of these contents that were not read yet."""
    return set(contents) - set(rows.column(connection, "SELECT sha256 FROM captures"))


def add(connection: sqlite3.Connection, found: Mapping[str, Capture]) -> None:
    """Write what was read of contents; one that is known already stays."""
    new = ({"sha256": sha256, **rows.row_of(capture)} for sha256, capture in found.items())
    rows.insert(connection, "INSERT INTO captures", new, "ON CONFLICT (sha256) DO NOTHING")
