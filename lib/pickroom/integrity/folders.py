"""Look where a project's images lie: one listing of each of Pickroom's folders, and the journal. Read-only."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

from pickroom.core.errors import FileOperationError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.integrity.whereabouts import Whereabouts, compare, origins, replay
from pickroom.store import images, legacy, operations
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.workspace import Project

# file names in rows; those of an earlier system moved files without a journal. A row may hold what is no JSON
_DECIDED = "SELECT value FROM ai_decisions, json_each(CASE WHEN json_valid(images) THEN images ELSE '[]' END)"
_IMPORTED = f"""{_DECIDED} UNION SELECT chosen FROM legacy_selections
    UNION SELECT value FROM legacy_selections, json_each(others) UNION SELECT filename FROM legacy_crops"""


def whereabouts(project: Project) -> Whereabouts:
    """Compare the images in Pickroom's folders, by name, with the journal and the rows.

    Other files are not looked at, nor are links, and images whose name begins with a dot. Without the image folder
    nothing is reported. Of a finished project nothing is missing: its results may have been taken away.

    Raises:
        StoreError: the database cannot be read.
        FileOperationError: a folder cannot be listed.
    """
    if not project.root.is_dir():
        return Whereabouts()
    extensions = project.manifest.allowed_extensions
    # files first: a step is committed before its file moves, so that the journal knows every file that is met
    here = frozenset(_images_in_owned_folders(project.root, frozenset(extensions)))
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        moves = operations.moves_taken(connection, extensions)
        placed = replay(moves)
        tops = tuple(f"{name}/" for name in OWNED_FOLDERS)
        ours = {path: step for path, step in placed.items() if path.startswith(tops)}
        first = cache(lambda: origins(moves))  # only for a path where nothing lies

        def lies_at_origin(path: str) -> str | None:
            origin = first()[path]
            return origin if origin not in placed and (project.root / origin).is_file() else None

        planned = operations.planned_paths(connection)
        found = compare(here, ours, planned, lambda: _named(project, connection), lies_at_origin)
    # an undo at work may have moved some on since the listing
    there = tuple(path for path in found.unexplained if (project.root / path).is_file())
    return replace(found, unexplained=there, missing=found.missing if project.manifest.status == "active" else ())


def _images_in_owned_folders(root: Path, extensions: frozenset[str]) -> Iterator[str]:
    """Their paths, without one question to the system per file: there may be hundreds of thousands."""
    folders = [name for name in OWNED_FOLDERS if (root / name).is_dir()]  # each may be a link to another disk
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as listing:
                for entry in listing:
                    name = entry.name
                    if name.startswith("."):
                        continue
                    if name.rpartition(".")[2].lower() in extensions and entry.is_file(follow_symlinks=False):
                        yield f"{folder}/{name}"
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(f"{folder}/{name}")
        except OSError as error:
            hint = "check the folder's permissions"
            raise FileOperationError.of(error, "looking where images lie", root / folder, hint) from error


def _named(project: Project, connection: sqlite3.Connection) -> set[str]:
    """File names in rows, of images that no scan has met among the sources: an earlier system moved those files."""
    found = {name for (name,) in connection.execute(_DECIDED)}
    imports = legacy.legacy_path(project.workspace, project.id)
    if imports.is_file():
        with open_read_only(imports) as imported:
            found |= {name for (name,) in imported.execute(_IMPORTED)}
    return found - images.names(connection)
