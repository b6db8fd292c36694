"""Small old logs written for a test, and what an import made of them read back."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pickroom.history.importing import read_logs
from pickroom.history.report import ImportReport
from pickroom.store.legacy import legacy_path
from pickroom.store.workspace import Workspace

SAMPLES = Path(__file__).parents[1] / "fixtures" / "history"

SELECTION = ("session_id", "set_id", "chosen_path", "neg_paths", "timestamp")
SELECT_CROP = (
    *("session_id", "set_id", "directory", "image_count", "chosen_index", "chosen_path"),
    *("crop_x1", "crop_y1", "crop_x2", "crop_y2", "timestamp", "image_0_path", "image_0_stage", "width_0", "height_0"),
    *("image_1_path", "image_1_stage", "width_1", "height_1"),
)
DECISIONS = (
    *("group_id", "timestamp", "project_id", "directory", "batch_number"),
    *("image_1_filename", "image_2_filename", "image_3_filename", "image_4_filename"),
    *("ai_selected_index", "ai_crop_x1", "ai_crop_y1", "ai_crop_x2", "ai_crop_y2", "ai_confidence"),
    *("user_selected_index", "user_action", "final_crop_x1", "final_crop_y1", "final_crop_x2", "final_crop_y2"),
    *("crop_timestamp", "image_width", "image_height", "selection_match", "crop_match"),
)
CROP_TRAINING = (
    *("timestamp", "project_id", "filename", "crop_x1", "crop_y1", "crop_x2", "crop_y2", "width", "height"),
)
CROP_LOG = ("session_id", "set_id", "directory", "chosen_path", "chosen_stage", "timestamp", "note", "mtime")
TIME = "2025-10-05T01:24:18.152546Z"


def write_log(
    path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], *, delimiter: str = ",", end: str = "\r\n"
) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerows([header, *rows])
    path.write_bytes(text.getvalue().encode())
    return path


def selection(chosen: str = "mojo1/a.png", others: Sequence[str] | str = ("mojo1/b.png",), time: str = TIME) -> tuple:
    listed = others if isinstance(others, str) else json.dumps(list(others))
    return ("s", "g", chosen, listed, time)


def single_crop(
    name: str = "a_stage2_x.png",
    box: Sequence[Any] = (10, 20, 110, 220),
    size: Sequence[Any] = (200, 400),
    time: str = TIME,
) -> tuple:
    path = f"crop/{name}"
    return ("s", "g", "crop", 1, 0, path, *box, time, path, "stage2_x", *size, "", "", "", "")


def crop_log(name: str, mtime: str = "2025-10-05T18:24:00+00:00", folder: str = "PROJECT_ROOT/mojo1") -> tuple:
    note = "Crop coordinates not available (image already cropped)"
    return ("s", "g", "mojo1", f"{folder}/{name}", "1.5", "20250728_040606", note, mtime)


def pair_crop(
    names: Sequence[str] = ("a.png", "b.png"),
    index: Any = 1,
    box: Sequence[Any] = (10, 20, 110, 220),
    sizes: Sequence[Any] = (100, 200, 200, 400),
    time: str = TIME,
) -> tuple:
    one, two = (f"mojo1/{name}" for name in names)
    chosen = (one, two)[index] if index in (0, 1) else two
    return ("s", "g", "mojo1", 2, index, chosen, *box, time, one, "", *sizes[:2], two, "", *sizes[2:])


def decision(**changes: Any) -> tuple:
    """A row of the 26 columns: the AI proposed image 2 with a crop, the user cropped image 2 nearly so."""
    row = dict.fromkeys(DECISIONS, "")
    row |= {
        "group_id": "mojo1_group_20250803T065406Z_batch001_img001",
        "timestamp": TIME,
        "project_id": "mojo1",
        "directory": "faces",
        "batch_number": 1,
        "image_1_filename": "a.png",
        "image_2_filename": "b.png",
        "ai_selected_index": 1,
        "ai_crop_x1": 0.1,
        "ai_crop_y1": 0.1,
        "ai_crop_x2": 0.9,
        "ai_crop_y2": 0.9,
        "ai_confidence": 0.8,
        "user_selected_index": 1,
        "user_action": "crop",
        "final_crop_x1": 0.11,
        "final_crop_y1": 0.09,
        "final_crop_x2": 0.91,
        "final_crop_y2": 0.88,
        "crop_timestamp": TIME,
        "image_width": 200,
        "image_height": 400,
        "selection_match": "True",
        "crop_match": "True",
    }
    assert set(changes) <= set(row)
    row |= changes
    return tuple(row.values())


def run_import(
    workspace: Workspace,
    *files: Path,
    project: str | None = "mojo1",
    by_folder: bool = False,
    folders: dict[str, str] | None = None,
    write: bool = True,
    **options: Any,
) -> ImportReport:
    """Import, check that the report adds up, and return it."""
    with read_logs(workspace, files, project, by_folder=by_folder, folders=folders, **options) as found:
        report = found.report
        if write:
            found.write()
    for file in report.files:
        assert file.rows == file.imported + file.skipped.total()
        assert file.imported >= 0
        assert set(file.examples) >= set(file.skipped)
    assert report.rows == report.imported + report.skipped.total()
    return report


def rows_of(workspace: Workspace, table: str, project: str = "mojo1") -> list[dict[str, Any]]:
    """Every row of a table in a legacy database, in the order of import; empty without a database."""
    path = legacy_path(workspace, project)
    if not path.exists():
        return []
    with closing(sqlite3.connect(path)) as connection:
        connection.row_factory = sqlite3.Row
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


def content(workspace: Workspace, project: str = "mojo1") -> str:
    """Everything in a legacy database, as one text."""
    with closing(sqlite3.connect(legacy_path(workspace, project))) as connection:
        return "\n".join(connection.iterdump())
