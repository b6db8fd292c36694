"""Decisions, crops and images with their vectors as Parquet, one partition a project, for any engine on any store.

`DIR/<table>/project_id=<project>/data.parquet` is what engines call hive partitioning. A run writes only the projects
that have changed since the last one.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from pickroom.analysis.connection import Analysis, connect
from pickroom.analysis.engine import identifier, quoted
from pickroom.errors import FileOperationError, StoreError
from pickroom.leftovers import Folder
from pickroom.naming import filename_of
from pickroom.workspace import Workspace

TABLES = ("decisions", "crops", "images")
BUILDING = ".pickroom-export-"
STATE_FILE = "_pickroom_export.json"  # names that begin with _ are no data to any engine


@dataclass(frozen=True, slots=True)
class Exported:
    """What a run did: project id -> table -> rows, for those written; and the ids of those that had not changed."""

    written: dict[str, dict[str, int]]
    unchanged: tuple[str, ...]


def export(workspace: Workspace, folder: Path, project_ids: Sequence[str] = ()) -> Exported:
    """Write the partitions of some projects, or of all.

    Raises:
        ProjectError: there is no project of that name.
        StoreError: a project's database cannot be read; the others are written first.
        FileOperationError: the folder cannot be written to.
    """
    for project_id in project_ids:
        workspace.project(project_id)
    written: dict[str, dict[str, int]] = {}
    unchanged, state = [], _read_state(folder)
    with connect(workspace) as analysis:
        for project_id in project_ids or analysis.project_ids:
            if project_id not in analysis.project_ids:
                continue
            stamp = _stamp(analysis.copied_from(project_id), analysis.vector_files(project_id))
            paths = {table: folder / table / f"project_id={project_id}" / "data.parquet" for table in TABLES}
            if state.get(project_id) == stamp and all(path.is_file() for path in paths.values()):
                unchanged.append(project_id)
                continue
            written[project_id] = {
                table: _write(analysis.duckdb, _select(analysis, table, project_id), path)
                for table, path in paths.items()
            }
            state[project_id] = stamp
            _write_state(folder, state)
        left_out = [p for p in analysis.problems if p.left_out and (not project_ids or p.project_id in project_ids)]
    if left_out:
        raise StoreError(left_out[0].line, doing="exporting", subject=folder, hint="the other projects are written")
    return Exported(written, tuple(unchanged))


def _select(analysis: Analysis, table: str, project_id: str) -> str:
    """A project's rows, without the column that the folder's name holds."""
    if table != "images":
        copy = analysis.copied_from(project_id) / f"{table}.parquet"
        return f"SELECT * EXCLUDE (project_id) FROM read_parquet({quoted(copy)})"
    # as lists: DuckDB 1.5 writes an array that is NULL as one of nothing, and other readers refuse the file
    columns = ["vector", *(f"vector_{encoder.encoder_id}" for encoder in analysis.catalogue.encoders)]
    lists = ", ".join(f"{identifier(name)}::FLOAT[] AS {identifier(name)}" for name in columns)
    where = f"WHERE project_id = {quoted(project_id)} ORDER BY filename"
    return f"SELECT * EXCLUDE (project_id) REPLACE ({lists}) FROM images {where}"


def _write(engine: duckdb.DuckDBPyConnection, select: str, path: Path) -> int:
    """Write a query's rows, all of them or none; how many they were."""
    if path.parent.is_symlink() or path.parent.parent.is_symlink():
        raise FileOperationError("a folder on the way is a link", "exporting", [path], "give an empty DIR")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with Folder(BUILDING, path.parent) as building:
            written = building / "rows"  # not *.parquet: who reads the folder meanwhile must not take it for data
            row = engine.execute(f"COPY ({select}) TO {quoted(written)} (FORMAT parquet, COMPRESSION zstd)").fetchone()
            os.replace(written, path)
    except (OSError, duckdb.IOException) as error:
        what = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise FileOperationError(what, "exporting", [path], "make room, or give another DIR") from error
    return row[0] if row else 0


def _stamp(copy: Path, vectors: Sequence[str]) -> str:
    """Changes with the project's rows and with its vectors."""
    files: list[Any] = [copy.name]
    for path in vectors:
        status = Path(path).stat()
        files.append((filename_of(path), status.st_size, status.st_mtime_ns))
    return hashlib.sha256(json.dumps(files).encode()).hexdigest()[:16]


def _write_state(folder: Path, state: dict[str, str]) -> None:
    # not synced: what a power cut takes away is only written again
    with Folder(BUILDING, folder) as building:
        (building / STATE_FILE).write_text(json.dumps(state, indent=1) + "\n", encoding="utf-8")
        os.replace(building / STATE_FILE, folder / STATE_FILE)


def _read_state(folder: Path) -> dict[str, str]:
    path = folder / STATE_FILE
    try:
        # a pipe of that name would never end
        state = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    except (OSError, ValueError, RecursionError):  # a first run, or a folder that was cleared: everything is written
        return {}
    return state if isinstance(state, dict) else {}
