"""What lies in the projects' image folders now, as a table beside the views: names only, no file is opened."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import duckdb

from pickroom.core.errors import PickroomError
from pickroom.core.naming import as_text, is_image_name
from pickroom.store.workspace import Workspace


def list_files(engine: duckdb.DuckDBPyConnection, workspace: Workspace, project_id: str | None = None) -> None:
    """Make the tables `files` (project_id, directory, filename, is_image) and `listed` (project_id) anew.

    A project whose folder is not there, or whose manifest is damaged, is in neither.
    """
    import pyarrow

    columns: dict[str, list[str | bool]] = {"project_id": [], "directory": [], "filename": [], "is_image": []}
    listed = []
    for own_id in [project_id] if project_id else workspace.project_ids():
        try:
            project = workspace.project(own_id)
        except PickroomError:  # named among the problems already
            continue
        if not project.root.is_dir():
            continue
        listed.append(own_id)
        for directory, name in _walk(project.root, workspace.own_folders):
            columns["project_id"].append(own_id)
            columns["directory"].append(as_text(directory))
            columns["filename"].append(as_text(name))
            columns["is_image"].append(is_image_name(name))
    types = [pyarrow.string()] * 3 + [pyarrow.bool_()]
    arrays = [pyarrow.array(values, kind) for values, kind in zip(columns.values(), types, strict=True)]
    for table, found in (
        ("files", pyarrow.table(arrays, names=list(columns))),
        ("listed", pyarrow.table({"project_id": pyarrow.array(listed, pyarrow.string())})),
    ):
        engine.register("found", found)
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {table} AS SELECT * FROM found")
        engine.unregister("found")


def _walk(root: Path, avoid: Iterable[Path]) -> Iterator[tuple[str, str]]:
    """(folder relative to the root, name) of every file that is not hidden, the folders to avoid left out."""
    own = {str(folder) for folder in avoid}
    for folder, inner, names in os.walk(root):
        inner[:] = [name for name in inner if not name.startswith(".") and os.path.join(folder, name) not in own]
        directory = Path(folder).relative_to(root).as_posix().removeprefix(".")
        for name in names:
            if not name.startswith("."):
                yield directory, name
