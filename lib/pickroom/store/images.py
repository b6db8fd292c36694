"""Tables `images`, what the last scan met, and `unreadable_files`, what it could not read."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime

from pickroom.core.errors import StoreError
from pickroom.core.naming import join, stays_inside
from pickroom.core.records import Image, Ungrouped
from pickroom.store.row_errors import wrap_row_errors

# the columns that make an Image, for any query that joins this table as `i`
COLUMNS = "i.filename, i.directory, i.width, i.height, i.stage, i.taken_at, i.sha256, i.file_size, i.mtime_ns"

# the row is that of an image in a decided group
_DECIDED = """EXISTS (SELECT 1 FROM group_members AS m JOIN decision_context USING (group_id)
    WHERE m.directory = images.directory AND m.filename = images.filename)"""


@wrap_row_errors("images")
def from_row(row: sqlite3.Row) -> Image:
    """An Image from a row of COLUMNS."""
    path = join(row["directory"], row["filename"])
    if not stays_inside(path):  # no scan writes such a row, and nobody may be led to read what lies there
        raise ValueError(f"{path!r} leads out of the project")
    taken_at = datetime.fromisoformat(row["taken_at"]) if row["taken_at"] else None
    return Image(
        filename=row["filename"],
        directory=row["directory"],
        width=row["width"],
        height=row["height"],
        stage=row["stage"],
        taken_at=taken_at,
        sha256=row["sha256"],
        file_size=row["file_size"],
        mtime_ns=row["mtime_ns"],
    )


def sound(row: sqlite3.Row) -> Image | None:
    """As `from_row`, None for a damaged row: for readers that leave it out, and name it (`integrity.unsound`)."""
    try:
        return from_row(row)
    except StoreError:
        return None


def readable(connection: sqlite3.Connection) -> list[Image]:
    """Every image that could be read, by folder and name; damaged rows are left out."""
    rows = connection.execute(f"SELECT {COLUMNS} FROM images AS i WHERE sha256 IS NOT NULL ORDER BY 2, 1")
    return [image for row in rows if (image := sound(row)) is not None]


def left_out(connection: sqlite3.Connection) -> list[Ungrouped]:
    """Every image that is in no group, with its reason, by folder and name."""
    rows = connection.execute("SELECT directory, filename, reason FROM images WHERE reason IS NOT NULL ORDER BY 1, 2")
    return [Ungrouped(*row) for row in rows]


def names(connection: sqlite3.Connection) -> set[str]:
    """The file name of every image that is known."""
    return {name for (name,) in connection.execute("SELECT filename FROM images")}


def count(connection: sqlite3.Connection) -> int:
    """How many images are known: those of the last scan, and those of decided groups wherever they went."""
    return connection.execute("SELECT count(*) FROM images").fetchone()[0]


def replace_scan(
    connection: sqlite3.Connection,
    images: Iterable[Image],
    left_out: Iterable[Ungrouped],
    stats: Mapping[tuple[str, str], tuple[int, int]],
) -> None:
    """Make the table what one scan met; rows of images in groups stay, since decided ones have moved away.

    A decided image's row says for good what was decided on, whatever file lies where it was.

    Args:
        stats: (directory, filename) -> (file size in bytes, mtime in ns) for those left out unread.
    """
    connection.execute(
        "DELETE FROM images WHERE (directory, filename) NOT IN (SELECT directory, filename FROM group_members)"
    )
    connection.execute("UPDATE images SET reason = NULL WHERE reason IS NOT NULL")  # an earlier scan's
    connection.executemany(
        f"""INSERT INTO images (directory, filename, width, height, stage, taken_at, sha256, file_size, mtime_ns)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (directory, filename) DO UPDATE SET width = excluded.width, height = excluded.height,
        stage = excluded.stage, taken_at = excluded.taken_at, sha256 = excluded.sha256,
        file_size = excluded.file_size, mtime_ns = excluded.mtime_ns WHERE NOT {_DECIDED}""",
        (
            (
                image.directory,
                image.filename,
                image.width,
                image.height,
                image.stage,
                image.taken_at.isoformat() if image.taken_at else None,
                image.sha256,
                image.file_size,
                image.mtime_ns,
            )
            for image in images
        ),
    )
    connection.executemany(
        """INSERT INTO images (directory, filename, file_size, mtime_ns, reason) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (directory, filename) DO UPDATE SET reason = excluded.reason""",
        (
            (
                _storable(item.directory),
                _storable(item.filename),
                *stats.get((item.directory, item.filename), (0, 0)),
                item.reason,
            )
            for item in left_out
        ),
    )


def unreadable(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int, str]]:
    """(directory, filename) -> (file size in bytes, mtime in ns, why the last scan could not read the file)."""
    rows = connection.execute("SELECT directory, filename, file_size, mtime_ns, reason FROM unreadable_files")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in rows}


def replace_unreadable(connection: sqlite3.Connection, files: Mapping[tuple[str, str], tuple[int, int, str]]) -> None:
    """Remember these files, as `unreadable` returns them, and no others."""
    connection.execute("DELETE FROM unreadable_files")
    connection.executemany(
        "INSERT INTO unreadable_files (directory, filename, file_size, mtime_ns, reason) VALUES (?, ?, ?, ?, ?)",
        ((*path, *seen) for path, seen in files.items()),
    )


def _storable(name: str) -> str:
    # a name that is not valid UTF-8 cannot be a SQLite text: show its odd bytes instead
    return name.encode(errors="surrogateescape").decode(errors="backslashreplace")
