"""Restore one of the copies that are kept of a project's database (`store/copies.py`)."""

import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pickroom.core.errors import FileOperationError, ProjectError, StoreError, UsageError
from pickroom.core.naming import is_project_id
from pickroom.files.preflight import project_lock
from pickroom.maintenance.backup.contents import SET_ASIDE, SIDE_FILES
from pickroom.maintenance.backup.restoring import BUILDING, GOES_ON, LOCK, move
from pickroom.storage import atomic, leftovers
from pickroom.storage.locking import exclusive
from pickroom.store import copies
from pickroom.store.connections import exclusive_access
from pickroom.store.copies import Copy
from pickroom.store.workspace import Project, Workspace, bad_project_id

_DOING = "restoring a copy of a database"


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What restoring a copy would do."""

    project_id: str
    copy: Copy
    database: Path  # the file that the copy would become
    in_the_way: tuple[Path, ...]  # what lies there now, SQLite's own files with it; it is set aside, never deleted


def listed(workspace: Workspace, project_id: str) -> list[Copy]:
    """The copies of a project's databases, the newest first; each is read whole.

    Raises:
        ProjectError: there is no such project, and no copy of one.
    """
    project = _project(workspace, project_id)
    return [copies.look_at(path) for path in copies.of_project(project.database)]


def plan(workspace: Workspace, project_id: str, name: str) -> CopyPlan:
    """What restoring the copy of this name would do. Changes nothing.

    Raises:
        ProjectError: there is no such project.
        UsageError: it has no copy of this name.
        StoreError: the copy is not sound.
    """
    project = _project(workspace, project_id)
    path = next((path for path in copies.of_project(project.database) if path.name == name), None)
    if path is None:
        hint = f"see their names: pickroom restore --project {project_id}"
        raise UsageError(f"there is no copy {name!r} of {project_id}", doing=_DOING, hint=hint)
    copy = copies.look_at(path)
    if copy.problem is not None:
        hint = f"nothing was changed; choose another: pickroom restore --project {project_id}"
        raise StoreError(f"the copy is not sound ({copy.problem})", doing=_DOING, subject=path, hint=hint)
    database = workspace.decisions / f"{copy.stem}.db"
    return CopyPlan(project_id, copy, database, _in_the_way(database))


def restore(workspace: Workspace, project_id: str, name: str) -> tuple[CopyPlan, Path | None]:
    """Put a copy in place; the folder in which what was there lies now, None where nothing was.

    The copy itself stays. Killed at any step, the same command goes on: the database is missing at most.

    Raises:
        ProjectError, UsageError, StoreError: as `plan`; nothing was changed.
        LockedError: files of the project are being moved, or somebody has its database open.
        FileOperationError: the disk is full or closed to writing.
    """
    data = workspace.root / "data"
    try:
        with exclusive(data / LOCK, "restoring here", _DOING), leftovers.Folder(BUILDING, data) as building:
            return _restore(workspace, plan(workspace, project_id, name), building)
    except OSError as error:
        raise FileOperationError.of(error, _DOING, data, GOES_ON) from error


def _restore(workspace: Workspace, found: CopyPlan, building: Path) -> tuple[CopyPlan, Path | None]:
    ready = building / found.database.name
    shutil.copyfile(found.copy.path, ready)
    with ready.open("rb") as file:
        atomic.sync(file.fileno())
    if atomic.sha256_of(ready) != atomic.sha256_of(found.copy.path):
        raise StoreError("what was copied reads differently", doing=_DOING, subject=found.copy.path)
    aside = workspace.root / "data" / f"{SET_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
    project = _project(workspace, found.project_id)
    # an open window would go on saving keys in the file that is set aside
    with project_lock(project, _DOING), exclusive_access(found.database, _DOING):
        in_the_way = _in_the_way(found.database)
        # the database before its log: a log that is left alone is not read, since there is nothing to read it into
        for path in in_the_way:
            move(path, aside / path.relative_to(workspace.root))
        move(ready, found.database)
    return found, aside if in_the_way else None


def _in_the_way(database: Path) -> tuple[Path, ...]:
    names = (database.name, *(f"{database.name}{end}" for end in SIDE_FILES))
    return tuple(path for path in map(database.with_name, names) if os.path.lexists(path))


def _project(workspace: Workspace, project_id: str) -> Project:
    """A project by its id alone: its manifest may be lost too."""
    if not is_project_id(project_id):
        raise bad_project_id(project_id)
    planned = workspace.planned(project_id, workspace.root)
    if not planned.manifest_file.exists() and not copies.of_project(planned.database):
        known = ", ".join(workspace.project_ids()) or "none yet"
        what, hint = f"there is no project {project_id!r}, and no copy of one", f"projects here: {known}"
        raise ProjectError(what, doing="looking for copies", subject=planned.manifest_file, hint=hint)
    return planned
