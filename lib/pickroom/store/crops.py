"""Table `crops`: every crop file written, its box in the original's frame, and its hash."""

import sqlite3
from dataclasses import dataclass
from typing import Literal

from pickroom.core.geometry import compose, default_box, to_pixels
from pickroom.core.records import BoxSource, CropBox
from pickroom.store import rows

CropInput = Literal["desk", "apply_ai"]


@dataclass(frozen=True, slots=True)
class Crop:
    """One crop made: `box` is in the frame of the uncropped original, `sha256` is that of the file that holds it: the
    crop itself, or the sidecar where the project is rated in place.
    """

    batch: int
    filename: str
    group_id: str | None  # None for an image that no decision waits for
    box: CropBox
    box_source: BoxSource  # where the box comes from (FORMATS.md, Crops): only `drawn` and `ai` are the user's
    sha256: str
    made_at: str
    directory: str = ""  # below Pickroom's folders; "" in a flat project

    @property
    def input(self) -> CropInput:
        """At the crop desk, or for every proposed box at once."""
        return "apply_ai" if self.box_source == "ai_all" else "desk"


def insert(connection: sqlite3.Connection, crop: Crop) -> None:
    rows.insert(connection, "INSERT INTO crops", [{**rows.row_of(crop), "input": crop.input}])


def set_group(connection: sqlite3.Connection, crop: Crop, group_id: str) -> None:
    """Say whose crop it is, of one that was made before that was known."""
    connection.execute(
        "UPDATE crops SET group_id = ? WHERE batch = ? AND directory = ? AND filename = ?",
        (group_id, crop.batch, crop.directory, crop.filename),
    )


def delete(connection: sqlite3.Connection, batch: int, directory: str, filename: str) -> Crop | None:
    """Forget a crop that was taken back; returns what it was."""
    query = "DELETE FROM crops WHERE batch = ? AND directory = ? AND filename = ? RETURNING *"
    return next((_from_row(row) for row in connection.execute(query, (batch, directory, filename)).fetchall()), None)


def by_content(connection: sqlite3.Connection, directory: str, filename: str, sha256: str) -> Crop | None:
    """The crop that a file of this name and content is; None for any other file.

    Of several the latest of its folder (below Pickroom's), else the latest.
    """
    wanted = "filename = ? AND sha256 = ? ORDER BY directory = ? DESC, batch DESC LIMIT 1"
    return next(iter(_read(connection, wanted, filename, sha256, directory)), None)


def without_group(connection: sqlite3.Connection, filename: str) -> list[Crop]:
    """The crops of images of this name that belong to no decision, in the order they were made."""
    return _read(connection, "filename = ? AND group_id IS NULL ORDER BY batch", filename)


def of_batch(connection: sqlite3.Connection, batch: int) -> list[Crop]:
    return _read(connection, "batch = ? ORDER BY directory, filename", batch)


def latest(connection: sqlite3.Connection, group_id: str) -> Crop | None:
    """The crop of a group that counts."""
    return next(iter(_read(connection, "group_id = ? ORDER BY batch DESC LIMIT 1", group_id)), None)


def _read(connection: sqlite3.Connection, where: str, *values: object) -> list[Crop]:
    return [_from_row(row) for row in connection.execute(f"SELECT * FROM crops WHERE {where}", values)]


@rows.wrap_row_errors("crops")
def _from_row(row: sqlite3.Row) -> Crop:
    if row["box"] is None:  # the table's own checks can be switched off
        raise ValueError("it has no box")
    return rows.record_of(Crop, row)


# of an image without a decision the size is the scan's; of a name met twice, that of the image in a group
_MADE_BEFORE = """SELECT k.rowid, k.input, CAST(k.box AS BLOB) AS box,
    CASE WHEN d.ai_selected_index = d.user_selected_index THEN CAST(d.ai_crop_coords AS BLOB) END AS ai_box,
    coalesce(d.image_width, i.width) AS width, coalesce(d.image_height, i.height) AS height,
    lag(CAST(k.box AS BLOB)) OVER (PARTITION BY k.filename ORDER BY k.batch) AS outer_box
FROM crops AS k
LEFT JOIN ai_decisions AS d USING (group_id)
LEFT JOIN (
    SELECT filename, width, height, max(m.group_id IS NOT NULL)
    FROM images LEFT JOIN group_members AS m USING (directory, filename)
    WHERE width IS NOT NULL AND filename IN (SELECT filename FROM crops WHERE group_id IS NULL)
    GROUP BY filename
) AS i USING (filename)"""
_DAMAGED = (ValueError, TypeError, RecursionError, OverflowError, ZeroDivisionError)


def name_sources(connection: sqlite3.Connection) -> None:
    """Set `box_source` of crops that were made before it was kept, from their boxes.

    The crop desk has always opened with the same default box for an image of a given size (`geometry.default_box`): a
    stored box that cuts the same pixels counts as one that nobody drew.
    """
    found: list[tuple[BoxSource, int]] = []
    for row in connection.execute(_MADE_BEFORE):
        try:
            found.append((_source_of(row), row["rowid"]))
        except _DAMAGED:
            continue  # nothing is known of a damaged row: it keeps the column's default
    connection.executemany("UPDATE crops SET box_source = ? WHERE rowid = ?", found)


def _source_of(row: sqlite3.Row) -> BoxSource:
    if row["input"] == "apply_ai":
        return "ai_all"
    if row["width"] is None or row["height"] is None:
        return "drawn"
    size = (row["width"], row["height"])
    box, ai_box, outer = (CropBox.from_json(row[name]) for name in ("box", "ai_box", "outer_box"))
    assert box is not None
    if ai_box is not None and to_pixels(ai_box, *size) == to_pixels(box, *size):
        return "ai"
    opened_with = [default_box(size)]
    if outer is not None:  # a crop opened again began with the default box of the crop's own size
        x1, y1, x2, y2 = to_pixels(outer, *size)
        opened_with.append(compose(outer, default_box((x2 - x1, y2 - y1))))
    return "default" if to_pixels(box, *size) in [to_pixels(one, *size) for one in opened_with] else "drawn"
