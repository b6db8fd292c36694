"""Compare the images in Pickroom's folders with the journal: unexplained, misplaced, missing. Read-only.

A journal that was lost (SQLite's write-ahead log, after a power cut or a copy without it) leaves files moved and no row
that records it; a database restored from another moment than the files leaves rows whose files are elsewhere.
"""

import os
import sqlite3
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from pickroom.core.companions import negatives_of_images
from pickroom.core.errors import FileOperationError
from pickroom.core.naming import CROP_ORIGINALS, OWNED_FOLDERS, STAGING, filename_of, folder_of, is_text, source_folder
from pickroom.store import images, legacy, operations
from pickroom.store.connect import open_read_only, transaction
from pickroom.store.workspace import Project


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """The result of a comparison; paths relative to the project's root, sorted."""

    unexplained: tuple[str, ...] = ()  # images in places that no step of the journal and no row explains
    # (where the journal has an image, where a file of its name lies instead)
    misplaced: tuple[tuple[str, str], ...] = ()
    # images that the journal has in a folder, and that are neither there nor found by name. Those in delete_staging/
    # and crop_originals/ are left out: `reclaim`, or the user, deletes them
    missing: tuple[str, ...] = ()
    here: Set[str] = frozenset()  # every image in Pickroom's folders
    # where the journal has images in these folders, path -> id of the step that leads there
    placed: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_sound(self) -> bool:
        """Whether every image that is there is explained; a missing one may have been taken away."""
        return not (self.unexplained or self.misplaced)

    def to_dict(self) -> dict[str, Any]:
        """As `status`, `check` and `doctor` print it with --json."""
        return {
            "unexplained": list(self.unexplained),
            "misplaced": [{"expected": expected, "found": found} for expected, found in self.misplaced],
            "missing": list(self.missing),
        }


def in_words(found: Mapping[str, Any], project_id: str, shown: int = 5) -> list[str]:
    """`Whereabouts.to_dict` as lines, with what to do; of each kind `shown` images are named."""

    def some(paths: Sequence[str]) -> str:
        return ", ".join(paths[:shown]) + (", ..." if len(paths) > shown else "")

    strange, missing = found["unexplained"], found["missing"]
    elsewhere = [f"{one['expected']} (found: {one['found']})" for one in found["misplaced"]]
    lines = []
    if strange:
        what = f"{len(strange)} images lie in Pickroom's folders without a journal step or a row: {some(strange)}"
        lines.append(f"{what} (see where they belong: pickroom recover {project_id} --unexplained)")
    if elsewhere:
        what = f"{len(elsewhere)} images are not where the journal has them: {some(elsewhere)}"
        lines.append(f"{what} (move them there, or restore the backup that belongs to these files)")
    if missing:
        lines.append(f"{len(missing)} images are gone from where the journal has them: {some(missing)}")
    return lines


Move = tuple[int, str, str]  # id of the step, source, destination


def replay(moves: Iterable[Move]) -> dict[str, int]:
    """Path -> the step that put a file there, after all moves in order."""
    placed: dict[str, int] = {}
    for step, source, destination in moves:
        placed.pop(source, None)
        placed[destination] = step
    return placed


def origins(moves: Iterable[Move]) -> dict[str, str]:
    """Path of `replay` -> the place of its file before all these moves."""
    found: dict[str, str] = {}
    for _, source, destination in moves:
        found[destination] = found.pop(source, source)
    return found


def compare(
    here: Set[str],
    placed: Mapping[str, int],
    planned: Set[str],
    named: Callable[[], Set[str]],
    lies_at_origin: Callable[[str], str | None],
) -> Whereabouts:
    """Compare the images that lie in Pickroom's folders with the journal and the rows.

    Args:
        here: their paths; placed: where the journal has images in these folders, path -> step (see `replay`).
        planned: both ends of steps that are not yet taken: a file may lie at either.
        named: file names that rows without a journal explain, wherever they lie; only asked for when needed.
        lies_at_origin: a path of `placed` -> its file's first place, if a file is there now, else None.
    """
    strange = here - placed.keys() - planned
    if strange:
        explained = named()
        # a name that is not UTF-8 is in no table, and Pickroom moves no such file
        strange = {path for path in strange if filename_of(path) not in explained and is_text(path)}
    by_name: dict[str, list[str]] = defaultdict(list)
    for path in sorted(strange):
        by_name[filename_of(path)].append(path)
    misplaced, missing, gone = [], [], sorted(placed.keys() - here - planned)
    below: dict[str, set[str]] = defaultdict(set)  # name -> the sources' folders of the images that are gone
    for path in gone:
        below[filename_of(path)].add(_source_of(path))
    for path in gone:
        may_go, name = path.partition("/")[0] in (STAGING, CROP_ORIGINALS), filename_of(path)
        # of equal names the folder says which it is; where it does not, a file may be that of only one
        likely = [one for one in by_name.get(name, ()) if len(below[name]) == 1 or _source_of(one) == _source_of(path)]
        likely.sort(key=lambda one: _source_of(one) != _source_of(path))
        found = next(iter(likely), None) or (None if may_go else lies_at_origin(path))
        if found is not None:
            misplaced.append((path, found))
        elif not may_go:
            missing.append(path)
    return Whereabouts(tuple(sorted(strange)), tuple(misplaced), tuple(missing), here, placed)


def _source_of(path: str) -> str:
    return source_folder(folder_of(path))


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
    # files first: a step is committed before its file moves, so that the journal knows every listed file
    here = set(_images_in_owned_folders(project.root, frozenset(extensions)))
    with open_read_only(project.database) as connection, transaction(connection, writing=False):
        moves = operations.moves_taken(connection, extensions)
        placed = replay(moves)
        tops = tuple(f"{name}/" for name in OWNED_FOLDERS)
        ours = {path: step for path, step in placed.items() if path.startswith(tops)}
        for path in negatives_of_images(here | ours.keys()):  # they go with their images
            here.discard(path)
            ours.pop(path, None)
        first = cache(lambda: origins(moves))  # only for a path where nothing lies

        def lies_at_origin(path: str) -> str | None:
            origin = first()[path]
            return origin if origin not in placed and (project.root / origin).is_file() else None

        planned = operations.planned_paths(connection)
        found = compare(here, ours, planned, lambda: _named(project, connection), lies_at_origin)
    # a running undo may have moved some since the listing
    there = tuple(path for path in found.unexplained if (project.root / path).is_file())
    return replace(found, unexplained=there, missing=found.missing if project.manifest.status == "active" else ())


def _images_in_owned_folders(root: Path, extensions: frozenset[str]) -> Iterator[str]:
    """Their paths, without a system call per file: there may be hundreds of thousands."""
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
    """File names in rows of images that no scan has found among the sources: an earlier system moved them."""
    databases = legacy.databases(project.workspace, project.id)
    found = (legacy.file_names(database, scanned=False) for database in databases)
    return set[str]().union(*found) - images.names(connection)
