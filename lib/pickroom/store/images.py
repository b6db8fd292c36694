"""Tables `images`, what the last scan met, and `unreadable_files`, what it could not read."""

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Mapping

from pickroom.core.errors import StoreError
from pickroom.core.naming import as_text, join, stays_inside
from pickroom.core.records import Image, Ungrouped
from pickroom.store import rows

# the columns that make an Image, for any query that joins this table as `i`
COLUMNS = "i.filename, i.directory, i.width, i.height, i.stage, i.taken_at, i.sha256, i.file_size, i.mtime_ns"

Stat = tuple[str, int, int]  # (file name, bytes, ns): as long as they stay, so does the content

# the row is that of an image in a decided group
_DECIDED = """EXISTS (SELECT 1 FROM group_members AS m JOIN decision_context USING (group_id)
    WHERE m.directory = images.directory AND m.filename = images.filename)"""


@rows.wrap_row_errors("images")
def from_row(row: sqlite3.Row) -> Image:
    """An Image from a row of COLUMNS."""
    path = join(row["directory"], row["filename"])
    if not stays_inside(path):  # no scan writes such a row, and nobody may be led to read what lies there
        raise ValueError(f"{path!r} leads out of the project")
    return rows.record_of(Image, row)


def sound(row: sqlite3.Row) -> Image | None:
    """As `from_row`, None for a damaged row: for readers that leave it out, and name it (`integrity.find_unsound`)."""
    try:
        return from_row(row)
    except StoreError:
        return None


def readable(connection: sqlite3.Connection) -> list[Image]:
    """Every image that could be read, by folder and name; damaged rows are left out."""
    found = connection.execute(f"SELECT {COLUMNS} FROM images AS i WHERE sha256 IS NOT NULL ORDER BY 2, 1")
    return [image for row in found if (image := sound(row)) is not None]


def known_hashes(connection: sqlite3.Connection) -> dict[Stat, str]:
    """What the last scan knows of contents; a file that moved keeps its name, size and time."""
    found = connection.execute(
        """SELECT filename, file_size, mtime_ns, min(sha256) FROM images
        WHERE length(sha256) = 64 GROUP BY 1, 2, 3 HAVING count(*) = 1"""
    )
    return {(row[0], row[1], row[2]): row[3] for row in found}


def left_out(connection: sqlite3.Connection) -> list[Ungrouped]:
    """Every image that is in no group, with its reason, by folder and name."""
    query = "SELECT directory, filename, reason FROM images WHERE reason IS NOT NULL ORDER BY 1, 2"
    return [Ungrouped(*row) for row in connection.execute(query)]


# an image in no group that the user has not looked at: readable, and not moved by a board; as in input_output.sql
_UNSEEN = """reason IS NOT NULL
    AND (sha256 IS NOT NULL OR reason LIKE 'duplicate name%' OR reason LIKE 'ambiguous stem%')
    AND NOT EXISTS (SELECT 1 FROM image_marks AS m WHERE m.room IN ('browse', 'sort', 'duplicates')
        AND m.directory = i.directory AND m.filename = i.filename AND m.batch IS NOT NULL)"""


def unseen_singles(connection: sqlite3.Connection) -> dict[str, str]:
    """Path -> reason of every image that is in no group, and that nobody has kept, set aside or moved elsewhere."""
    found = connection.execute(f"SELECT directory, filename, reason FROM images AS i WHERE {_UNSEEN}")
    return {join(row["directory"], row["filename"]): row["reason"] for row in found}


def count_unseen_singles(connection: sqlite3.Connection) -> int:
    """How many images `unseen_singles` has."""
    return rows.number(connection, f"SELECT count(*) FROM images AS i WHERE {_UNSEEN}")


def shared_names(connection: sqlite3.Connection) -> dict[str, set[str]]:
    """File name -> its folders, of the names that several folders hold."""
    found: dict[str, set[str]] = defaultdict(set)
    again = "SELECT filename FROM images GROUP BY filename HAVING count(*) > 1"
    for directory, name in connection.execute(f"SELECT directory, filename FROM images WHERE filename IN ({again})"):
        found[name].add(directory)
    return found


def names(connection: sqlite3.Connection) -> set[str]:
    """The file name of every image that is known."""
    return set(rows.column(connection, "SELECT filename FROM images"))


def count(connection: sqlite3.Connection) -> int:
    """How many images are known: those of the last scan, and those of decided groups wherever they went."""
    return rows.number(connection, "SELECT count(*) FROM images")


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
    grouped = "SELECT directory, filename FROM group_members"
    connection.execute(f"DELETE FROM images WHERE (directory, filename) NOT IN ({grouped})")
    connection.execute("UPDATE images SET reason = NULL WHERE reason IS NOT NULL")  # an earlier scan's
    then = f"ON CONFLICT (directory, filename) DO UPDATE SET {{updates}} WHERE NOT {_DECIDED}"
    rows.insert(connection, "INSERT INTO images", map(rows.row_of, images), then)
    connection.executemany(
        """INSERT INTO images (directory, filename, file_size, mtime_ns, reason) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (directory, filename) DO UPDATE SET reason = excluded.reason""",
        [
            (as_text(i.directory), as_text(i.filename), *stats.get((i.directory, i.filename), (0, 0)), i.reason)
            for i in left_out
        ],
    )


def unreadable(connection: sqlite3.Connection) -> dict[tuple[str, str], tuple[int, int, str]]:
    """(directory, filename) -> (file size in bytes, mtime in ns, why the last scan could not read the file)."""
    found = connection.execute("SELECT directory, filename, file_size, mtime_ns, reason FROM unreadable_files")
    return {(row[0], row[1]): (row[2], row[3], row[4]) for row in found}


def replace_unreadable(connection: sqlite3.Connection, files: Mapping[tuple[str, str], tuple[int, int, str]]) -> None:
    """Remember these files, as `unreadable` returns them, and no others."""
    connection.execute("DELETE FROM unreadable_files")
    connection.executemany(
        "INSERT INTO unreadable_files (directory, filename, file_size, mtime_ns, reason) VALUES (?, ?, ?, ?, ?)",
        ((*path, *seen) for path, seen in files.items()),
    )
