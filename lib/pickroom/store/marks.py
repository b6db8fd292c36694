"""Tables `image_marks`, `mark_log`, `sort_folders`, `kept_pairs`: what sorter, folder viewer and duplicates keep."""

import json
import sqlite3
from collections.abc import Container, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from pickroom.core.naming import as_text, join, split
from pickroom.store.review_state import UndoLog
from pickroom.store.rows import column, wrap_row_errors
from pickroom.store.workspace import utc_now

_THIS = "room = ? AND directory = ? AND filename = ?"  # the mark of one image on one board
BoardKind = Literal["sort", "browse", "duplicates"]
Side = tuple[str, str]  # an image: its file name and the SHA-256 of its content
KeptPair = tuple[Side, Side]  # in either order; `kept_pairs` gives the smaller side first
Changes = tuple[tuple[str, str | None, str | None], ...]  # (path, folder before, folder after); None is not a mark


@dataclass(frozen=True, slots=True)
class Mark:
    """One image that is to go to `folder`; both folders relative to the root."""

    directory: str
    filename: str
    folder: str
    # file_size, mtime_ns: bytes, and nanoseconds since the epoch, of the file that was on screen
    file_size: int
    mtime_ns: int
    held_reason: str | None = None  # why the last apply left it, None when it was not held back

    @property
    def path(self) -> str:
        return join(self.directory, self.filename)


@dataclass(frozen=True, slots=True)
class MarkStep:
    """One key that changed marks, as the undo log has it."""

    key: str
    changes: Changes


def waiting(connection: sqlite3.Connection, board: BoardKind) -> list[Mark]:
    """The marks that no apply has taken yet, by folder and name."""
    rows = connection.execute(
        """SELECT directory, filename, folder, file_size, mtime_ns, held_reason FROM image_marks
        WHERE room = ? AND batch IS NULL ORDER BY directory, filename""",
        (board,),
    )
    return [Mark(**dict(row)) for row in rows]


def save(connection: sqlite3.Connection, board: BoardKind, marks: Iterable[Mark], gone: Container[str] = ()) -> None:
    """Set marks, in place of those that the same images have; why an image was held back is forgotten.

    A mark that another window is carrying out, or has carried out, stays as it is.

    Args:
        gone: paths of images that are no longer where they were listed.
    """
    now = utc_now()
    connection.executemany(
        """INSERT INTO image_marks (room, directory, filename, folder, file_size, mtime_ns, updated_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        ON CONFLICT (room, directory, filename) DO UPDATE SET folder = excluded.folder, batch = NULL,
            file_size = excluded.file_size, mtime_ns = excluded.mtime_ns, held_reason = NULL,
            updated_at = excluded.updated_at
        WHERE batch IS NULL OR (? AND NOT EXISTS (SELECT 1 FROM file_operations AS step
            WHERE step.batch = image_marks.batch AND step.state = 'planned'))""",
        [(board, m.directory, m.filename, m.folder, m.file_size, m.mtime_ns, now, m.path not in gone) for m in marks],
    )


def clear(connection: sqlite3.Connection, board: BoardKind, paths: Iterable[str]) -> None:
    """Take waiting marks away."""
    sql = f"DELETE FROM image_marks WHERE {_THIS} AND batch IS NULL"
    connection.executemany(sql, [(board, *split(path)) for path in paths])


def take(connection: sqlite3.Connection, board: BoardKind, path: str, batch: int) -> None:
    """A batch is carrying this mark out."""
    sql = f"UPDATE image_marks SET batch = ?, held_reason = NULL WHERE {_THIS} AND batch IS NULL"
    connection.execute(sql, (batch, board, *split(path)))


def taken(connection: sqlite3.Connection, board: BoardKind) -> set[tuple[str, str]]:
    """(directory, filename) of the marks of a board that batches have carried out."""
    query = "SELECT directory, filename FROM image_marks WHERE room = ? AND batch IS NOT NULL"
    return set(map(tuple, connection.execute(query, (board,))))


def forget_taken(connection: sqlite3.Connection, met: Iterable[tuple[str, str]]) -> None:
    """Forget the marks that batches have carried out of these (directory, filename): a scan met other files there."""
    connection.executemany(
        """DELETE FROM image_marks WHERE room IN ('browse', 'sort', 'duplicates') AND directory = ? AND filename = ?
            AND batch IS NOT NULL AND NOT EXISTS (SELECT 1 FROM file_operations AS step
                WHERE step.batch = image_marks.batch AND step.state = 'planned')""",
        (tuple(map(as_text, path)) for path in met),
    )


def give_back(connection: sqlite3.Connection, board: BoardKind, path: str, batch: int) -> None:
    """The batch was undone, or failed here: the mark waits again, unless the image was marked anew meanwhile."""
    connection.execute(f"UPDATE image_marks SET batch = NULL WHERE {_THIS} AND batch = ?", (board, *split(path), batch))


def hold(connection: sqlite3.Connection, board: BoardKind, path: str, reason: str) -> None:
    """Say why an image stays where it is; its mark waits on."""
    sql = f"UPDATE image_marks SET held_reason = ? WHERE {_THIS} AND batch IS NULL"
    connection.execute(sql, (reason, board, *split(path)))


def log_of(board: BoardKind) -> UndoLog:
    """The undo log of a board; an applied batch is undone as a batch, no longer key by key."""
    return UndoLog("mark_log", board)


def log(connection: sqlite3.Connection, board: BoardKind, step: MarkStep) -> None:
    """Append a key to the undo log; what could be redone is over."""
    log_of(board).append(connection, key=step.key, changes=json.dumps(step.changes))


def steps(connection: sqlite3.Connection, board: BoardKind) -> tuple[list[MarkStep], list[MarkStep]]:
    """(undo, redo), each with the step to take next last."""
    return log_of(board).steps(connection, _logged)


@wrap_row_errors("mark_log")
def _logged(row: sqlite3.Row) -> MarkStep:
    return MarkStep(row["key"], tuple((path, before, after) for path, before, after in json.loads(row["changes"])))


def folders(connection: sqlite3.Connection) -> list[str]:
    """The names of the sorter's folders, in the order of their keys."""
    return column(connection, "SELECT name FROM sort_folders ORDER BY place")


def set_folders(connection: sqlite3.Connection, names: Sequence[str]) -> None:
    """Make these the sorter's folders, in this order."""
    connection.execute("DELETE FROM sort_folders")
    connection.executemany("INSERT INTO sort_folders (place, name) VALUES (?, ?)", enumerate(names))


def kept_pairs(connection: sqlite3.Connection) -> frozenset[KeptPair]:
    """The duplicates of which the user said that both stay."""
    rows = connection.execute("SELECT name_a, sha256_a, name_b, sha256_b FROM kept_pairs")
    return frozenset(((row["name_a"], row["sha256_a"]), (row["name_b"], row["sha256_b"])) for row in rows)


def keep_pair(connection: sqlite3.Connection, pair: KeptPair) -> None:
    """Both stay, from now on; the time of the first such word counts."""
    first, second = sorted(pair)
    connection.execute(
        """INSERT INTO kept_pairs (name_a, sha256_a, name_b, sha256_b, kept_at) VALUES (?, ?, ?, ?, ?)
        ON CONFLICT (name_a, sha256_a, name_b, sha256_b) DO NOTHING""",
        (*first, *second, utc_now()),
    )


def forget_pair(connection: sqlite3.Connection, pair: KeptPair) -> None:
    """The pair is open again."""
    first, second = sorted(pair)
    sql = "DELETE FROM kept_pairs WHERE (name_a, sha256_a, name_b, sha256_b) = (?, ?, ?, ?)"
    connection.execute(sql, (*first, *second))
