"""`<project>_legacy.db`: what imports wrote, next to the project's own database and never mixed with it.

Its tables `ai_decisions`, `legacy_selections` and `legacy_crops` are all read for training.
"""

import os
import sqlite3
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from pickroom.core.records import CropBox
from pickroom.store import rows
from pickroom.store.connect import connect, create, open_read_only, transaction
from pickroom.store.workspace import Workspace

SUFFIX = "_legacy"
Record = TypeVar("Record")

_DECISION_COLUMNS = """group_id, timestamp, project_id, directory, batch_number, images, ai_selected_index,
    ai_crop_coords, ai_confidence, user_selected_index, user_action, ai_crop_accepted, final_crop_coords,
    crop_timestamp, image_width, image_height, selection_match, crop_match"""
_SOURCE = "name, iif(numbered, line, NULL)"

# A staged row that has no verdict is new; a stored crop that a better one replaces goes first.
_TAKE = (
    f"""INSERT INTO main.ai_decisions ({_DECISION_COLUMNS}) SELECT {_DECISION_COLUMNS} FROM staged.decisions
    WHERE project_id = ? AND existing = 0 AND verdict IS NULL ORDER BY rowid""",
    f"""INSERT INTO main.legacy_selections SELECT project_id, chosen, others, timestamp, {_SOURCE}
    FROM staged.selections JOIN staged.files USING (file)
    WHERE project_id = ? AND existing = 0 AND verdict IS NULL ORDER BY selections.rowid""",
    """DELETE FROM main.legacy_crops WHERE (project_id, filename) IN (SELECT project_id, filename FROM staged.crops
    WHERE project_id = ? AND verdict = 'replaced')""",
    f"""INSERT INTO main.legacy_crops
    SELECT project_id, filename, box, width, height, stage, timestamp, {_SOURCE}
    FROM staged.crops JOIN staged.files USING (file)
    WHERE project_id = ? AND existing = 0 AND verdict IS NULL ORDER BY crops.rowid""",
)


# file names in rows, also of rows that hold no JSON
_DECIDED = "SELECT value FROM ai_decisions, json_each(CASE WHEN json_valid(images) THEN images ELSE '[]' END)"
_IMPORTED = """SELECT chosen FROM legacy_selections UNION SELECT value FROM legacy_selections, json_each(others)
    UNION SELECT filename FROM legacy_crops"""


@dataclass(frozen=True, slots=True)
class Selection:
    """One row of `legacy_selections`: file names only; `timestamp` None when the log had none."""

    project_id: str
    chosen: str
    others: tuple[str, ...]
    timestamp: str | None
    source_file: str
    source_line: int | None


@dataclass(frozen=True, slots=True)
class LegacyCrop:
    """One row of `legacy_crops`; `box` is None where only the fact of a crop is known. Sizes are in pixels."""

    project_id: str
    filename: str
    box: CropBox | None
    width: int | None
    height: int | None
    stage: float | None
    timestamp: str | None
    source_file: str
    source_line: int | None


@dataclass(frozen=True, slots=True)
class Match:
    """One row of `legacy_matches`: a final image compared with its original."""

    project_id: str
    filename: str
    box: CropBox | None
    score: float | None  # normalised correlation in [-1, 1] at the best place, None when nothing could be compared
    runner_up: float | None  # the score of the best place elsewhere
    # mean absolute difference in 8-bit units between the final image and the original cropped anew
    difference: float | None
    reason: str | None  # why no box exists, None when there is one
    matched_at: str


def legacy_path(workspace: Workspace, project_id: str) -> Path:
    """Where a project's imports lie; the project need not be started."""
    return workspace.decisions / f"{project_id}{SUFFIX}.db"


def databases(workspace: Workspace, project_id: str) -> list[Path]:
    """The databases that a project has, or should have: its own where it was started, and that of its imports."""
    own, imported = workspace.decisions / f"{project_id}.db", legacy_path(workspace, project_id)
    started = (workspace.manifests / f"{project_id}.json").exists() or os.path.lexists(own)
    return [*([own] if started else []), *([imported] if os.path.lexists(imported) else [])]


def file_names(database: Path, *, scanned: bool = True) -> set[str]:
    """The file names in the rows of a project's database, or of its imports.

    Args:
        scanned: those too that the last scan met.
    """
    queries = [_DECIDED, *(["SELECT filename FROM images"] if scanned else [])]
    queries += [_IMPORTED] if database.stem.endswith(SUFFIX) else []
    with open_read_only(database) as connection:
        return {name for (name,) in connection.execute(" UNION ".join(queries)) if isinstance(name, str)}


def legacy_project_ids(workspace: Workspace) -> list[str]:
    """The projects that have imports, sorted."""
    return sorted(path.stem.removesuffix(SUFFIX) for path in workspace.decisions.glob(f"*{SUFFIX}.db"))


def connect_legacy(path: Path) -> sqlite3.Connection:
    """Open a legacy database for writing, making it first; raises StoreError as `connect` does."""
    connection = connect(path) if os.path.lexists(path) else create(path)
    try:
        connection.executescript((resources.files("pickroom.store") / "legacy.sql").read_text(encoding="utf-8"))
    except BaseException:
        connection.close()
        raise
    return connection


def selections(connection: sqlite3.Connection, without: Container[int] = ()) -> Iterator[Selection]:
    """Every imported pick that is not a full decision, in the order of import, but for the rowids of `without`."""
    return _read(connection, Selection, "legacy_selections", "rowid", without)


def crops(connection: sqlite3.Connection, without: Container[int] = ()) -> Iterator[LegacyCrop]:
    """Every imported crop, in the order of import, but for the rowids of `without`."""
    return _read(connection, LegacyCrop, "legacy_crops", "rowid", without)


def matches(connection: sqlite3.Connection) -> Iterator[Match]:
    """Every final image that was compared with its original, by name."""
    return _read(connection, Match, "legacy_matches", "filename")


def contents(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """(file name, SHA-256) of every original of a compared pair of folders that was in a group."""
    if not rows.has_tables(connection, "legacy_images"):  # written by version 0.1
        return []
    return [tuple(row) for row in connection.execute("SELECT filename, sha256 FROM legacy_images")]


def _read(
    connection: sqlite3.Connection, kind: type[Record], table: str, order: str, without: Container[int] = ()
) -> Iterator[Record]:
    read = rows.wrap_row_errors(table)(rows.record_of)
    found = connection.execute(f"SELECT rowid AS row_number, * FROM {table} ORDER BY {order}")
    return (read(kind, row) for row in found if row["row_number"] not in without)


@contextmanager
def take_staged(
    connection: sqlite3.Connection,
    staged: Path,
    project_id: str,
    matches: Iterable[Match] = (),
    images: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """Add one project's new rows from an import's staging database, in the order they were read.

    They are committed at the end of the context; a failure inside of it leaves everything as it was.

    Args:
        staged: the database of `history/staging.sql`.
        images: file name -> SHA-256, for `contents`.

    Raises:
        StoreError: another program keeps the database locked, or its disk is full; nothing is changed.
    """
    # read-only: a transaction that writes would lock it, and those of several projects are open at the same time
    connection.execute("ATTACH ? AS staged", (f"{staged.absolute().as_uri()}?mode=ro",))
    try:
        with transaction(connection):
            for statement in _TAKE:
                connection.execute(statement, (project_id,))
            unlike = "WHERE (box, score, reason) IS NOT (excluded.box, excluded.score, excluded.reason)"
            then = f"ON CONFLICT (project_id, filename) DO UPDATE SET {{updates}} {unlike}"
            rows.insert(connection, "INSERT INTO legacy_matches", map(rows.row_of, matches), then)
            connection.executemany(
                "INSERT INTO legacy_images VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET sha256 = excluded.sha256",
                [(project_id, filename, sha256) for filename, sha256 in (images or {}).items()],
            )
            yield
    finally:
        connection.execute("DETACH staged")
