"""Table `crops`: every crop file written, its box in the original's frame, and its hash."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import Literal

from pickroom.records import CropBox
from pickroom.store.damage import told_of

CropInput = Literal["desk", "apply_ai"]


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop made: `box` is in the frame of the uncropped original, `sha256` is the crop file's.

    Attributes:
        group_id: None for an image that came to the desk without a sidecar.
        input: drawn or confirmed by the person at the desk, or applied as the AI proposed it.
    """

    batch: int
    filename: str
    group_id: str | None
    box: CropBox
    input: CropInput
    sha256: str
    made_at: str


def insert(connection: sqlite3.Connection, crop: Crop) -> None:
    connection.execute(
        "INSERT INTO crops (batch, filename, group_id, box, input, sha256, made_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (crop.batch, crop.filename, crop.group_id, crop.box.to_json(), crop.input, crop.sha256, crop.made_at),
    )


def delete(connection: sqlite3.Connection, batch: int, filename: str) -> Crop | None:
    """Forget a crop that was taken back; returns what it was."""
    row = connection.execute(
        "DELETE FROM crops WHERE batch = ? AND filename = ? RETURNING *", (batch, filename)
    ).fetchone()
    return None if row is None else _from_row(row)


def by_content(connection: sqlite3.Connection, filename: str, sha256: str) -> Crop | None:
    """The crop that a file of this name and content is, the latest if there are several; None for any other file."""
    return _one(connection, "filename = ? AND sha256 = ?", filename, sha256)


def of_batch(connection: sqlite3.Connection, batch: int) -> list[Crop]:
    rows = connection.execute("SELECT * FROM crops WHERE batch = ? ORDER BY filename", (batch,))
    return [_from_row(row) for row in rows]


def latest(connection: sqlite3.Connection, group_id: str) -> Crop | None:
    """The crop of a group that counts."""
    return _one(connection, "group_id = ?", group_id)


def _one(connection: sqlite3.Connection, where: str, *values: str) -> Crop | None:
    row = connection.execute(f"SELECT * FROM crops WHERE {where} ORDER BY batch DESC LIMIT 1", values).fetchone()
    return None if row is None else _from_row(row)


@told_of("crops")
def _from_row(row: sqlite3.Row) -> Crop:
    return Crop(**{**dict(row), "box": CropBox.of(json.loads(row["box"]))})
