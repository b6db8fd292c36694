"""Decisions, crops and images with their vectors as Parquet, one partition a project, for any engine on any store.

`DIR/<table>/project_id=<project>/data.parquet` is what engines call hive partitioning. A run writes only the projects
that have changed since the last one. A file that no run wrote, or that was changed since, is never replaced.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet

from pickroom import __version__
from pickroom.analysis.connection import Analysis, connect
from pickroom.analysis.queries import identifier
from pickroom.core.errors import ConflictError, FileOperationError, StoreError
from pickroom.core.naming import filename_of
from pickroom.exports.folder import check_outside
from pickroom.exports.formats import Exported, ExportRequest
from pickroom.storage import atomic
from pickroom.storage.leftovers import Folder
from pickroom.store import legacy, written_files
from pickroom.store.workspace import Workspace

TABLES = ("decisions", "comparisons", "crops", "images")
BUILDING = ".pickroom-export-"
_STAMPED = "written:"  # how a stamp begins whose files are in the record of `written`
STATE_FILE = "_pickroom_export.json"  # names that begin with _ are no data to any engine


@dataclass(frozen=True, slots=True)
class WrittenPartitions:
    """What a run did: project id -> table -> rows, for those written; and the ids of those that had not changed."""

    written: dict[str, dict[str, int]]
    unchanged: tuple[str, ...]


def export(request: ExportRequest) -> Exported:
    """Write everything, imported history too; raises as `write_partitions` and `check_outside` do."""
    check_outside(request.folder, request.projects)
    done = write_partitions(request.workspace, request.folder, request.named)
    lines = [
        f"{project_id}: " + ", ".join(f"{count} {table}" for table, count in rows.items())
        for project_id, rows in done.written.items()
    ]
    if done.unchanged:
        lines.append(f"unchanged: {', '.join(done.unchanged)}")
    return Exported(
        {"folder": str(request.folder), "written": done.written, "unchanged": list(done.unchanged)},
        lines,
        databases={project: legacy.databases(request.workspace, project.id) for project in request.projects},
    )


def write_partitions(workspace: Workspace, folder: Path, project_ids: Sequence[str] = ()) -> WrittenPartitions:
    """Write the partitions of some projects, or of all.

    Raises:
        ProjectError: no project has that name.
        StoreError: a project's database cannot be read; the others are written first.
        FileOperationError: the folder cannot be written to.
        ConflictError: a file is in the way that no run wrote, or that was changed since; nothing is written.
    """
    for project_id in project_ids:
        workspace.project(project_id)
    made: dict[str, dict[str, int]] = {}
    unchanged, state = [], _read_state(folder)
    with connect(workspace) as analysis:
        stamps: dict[str, str] = {}
        for project_id in project_ids or analysis.stamps:
            if project_id not in analysis.stamps:
                continue
            stamp = _stamp(analysis.stamps[project_id], analysis.vector_files(project_id))
            if state.get(project_id) == stamp and all(path.is_file() for path in _paths(folder, project_id).values()):
                unchanged.append(project_id)
            else:
                stamps[project_id] = stamp
        _require_ours(workspace, folder, stamps, state)
        for project_id, stamp in stamps.items():
            made[project_id] = {
                table: _write(workspace, _rows(analysis, table, project_id), path)
                for table, path in _paths(folder, project_id).items()
            }
            state[project_id] = stamp
            atomic.write_text(folder / STATE_FILE, json.dumps(state, indent=1) + "\n")
        left_out = [p for p in analysis.problems if p.left_out and (not project_ids or p.project_id in project_ids)]
    if left_out:
        raise StoreError(left_out[0].line, doing="exporting", subject=folder, hint="the other projects are written")
    return WrittenPartitions(made, tuple(unchanged))


def _paths(folder: Path, project_id: str) -> dict[str, Path]:
    return {table: folder / table / f"project_id={project_id}" / "data.parquet" for table in TABLES}


def _require_ours(workspace: Workspace, folder: Path, project_ids: Iterable[str], state: dict[str, str]) -> None:
    """Raise ConflictError where a file would be replaced that no run wrote.

    Runs of version 0.1 kept no hashes: what they wrote is known by their stamp.
    """
    checked = [name for name in project_ids if state.get(name, _STAMPED).startswith(_STAMPED)]
    paths = [path for name in checked for path in _paths(folder, name).values()]
    strange = [path for path in paths if not written_files.may_replace(workspace, path)]
    if strange:
        raise ConflictError(
            f"{len(strange)} files there were not made by an export, or changed since",
            items=[str(path) for path in strange],
            doing="exporting",
            subject=strange[0],
            hint="move them away, or give an empty folder",
        )


def _rows(analysis: Analysis, table: str, project_id: str) -> pyarrow.Table:
    """A project's rows, without the column that the folder's name holds."""
    changes = "EXCLUDE (project_id)"
    if table == "images":
        # as lists: an array that is NULL is written as one of nothing, and other readers refuse the file
        columns = ["vector", *(f"vector_{encoder.encoder_id}" for encoder in analysis.encoders)]
        changes += f" REPLACE ({', '.join(f'{identifier(n)}::FLOAT[] AS {identifier(n)}' for n in columns)})"
    else:
        boxes = {"decisions": ("ai_crop_coords", "final_crop_coords"), "crops": ("box", "ai_box")}.get(table, ())
        changes += f" REPLACE ({', '.join(f'{name}::DOUBLE[] AS {name}' for name in boxes)})" if boxes else ""
    order = "directory, filename" if table == "images" else "ALL"
    query = f"SELECT * {changes} FROM {table} WHERE project_id = ? ORDER BY {order}"
    return analysis.execute(query, [project_id]).table


def _write(workspace: Workspace, rows: pyarrow.Table, path: Path) -> int:
    """Write rows, all of them or none; how many they were."""
    if path.parent.is_symlink() or path.parent.parent.is_symlink():
        raise FileOperationError("a folder on the way is a link", "exporting", [path], "give an empty folder")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Folder(BUILDING, path.parent) as building:
            temporary = building / "rows"  # not *.parquet: who reads the folder meanwhile must not take it for data
            pyarrow.parquet.write_table(rows, temporary, compression="zstd")
            written_files.record(workspace, path, atomic.sha256_of(temporary))
            os.replace(temporary, path)
    except OSError as error:
        what, hint = error.strerror or str(error), "make room, or give another folder"
        raise FileOperationError(what, "exporting", [path], hint) from error
    return int(rows.num_rows)


def _stamp(rows: str, vectors: Sequence[str]) -> str:
    """Changes with the project's rows and with its vectors."""
    files: list[Any] = [__version__, rows]
    for path in vectors:
        status = Path(path).stat()
        files.append((filename_of(path), status.st_size, status.st_mtime_ns))
    return _STAMPED + hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _read_state(folder: Path) -> dict[str, str]:
    path = folder / STATE_FILE
    try:
        # a pipe of that name would never end
        state = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):  # a first run, or a folder that was cleared: everything is written
        return {}
    return {name: str(stamp) for name, stamp in state.items()} if isinstance(state, dict) else {}
