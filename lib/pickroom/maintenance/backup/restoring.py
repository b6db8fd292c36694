"""Restore a backup, or an automatic copy of a project's database (`store/copies.py`).

A backup is extracted and verified under a hidden name; then its files are published, manifests last. Nothing is
replaced: files in the way refuse the restore, or are set aside where the user asks for that. After a kill the same
command completes the restore, since files that are already there stay.
"""

import os
import shutil
from collections.abc import Iterator, Set
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pickroom.core.errors import ConflictError, FileOperationError, ProjectError, StoreError, UsageError
from pickroom.core.naming import is_project_id
from pickroom.files.preflight import project_lock
from pickroom.maintenance.backup import reading
from pickroom.storage import atomic, leftovers
from pickroom.storage.locking import exclusive
from pickroom.store import copies
from pickroom.store.connections import exclusive_access, release_file
from pickroom.store.copies import Copy
from pickroom.store.workspace import Manifest, Project, Workspace, bad_project_id

BUILDING, LOCK = ".restoring-", ".restore.lock"
GOES_ON = "what is there stays; then restore again, and it goes on"
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What restoring a backup would do, after it was read and verified completely."""

    file: Path
    listing: reading.Listing
    projects: dict[str, str | None]  # id -> the folder of its images; None where its manifest is damaged
    coming: tuple[reading.Listed, ...]  # files of the backup that are missing here
    in_the_way: tuple[str, ...]  # files here that differ from the backup's: paths relative to the workspace
    aside: Path | None = None  # after a restore, the folder with these files; None when there were none


def plan(workspace: Workspace, file: Path, progress: reading.Progress | None = None) -> RestorePlan:
    """Verify a backup and find files in its way. Changes nothing; raises as `reading.check` does."""
    return _plan(workspace, file, reading.check(file, progress=progress))


def _new_aside(workspace: Workspace) -> Path:
    return workspace.root / "data" / f"{reading.SET_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"


def restore(
    workspace: Workspace, file: Path, *, replace: bool = False, progress: reading.Progress | None = None
) -> RestorePlan:
    """Restore every file of a backup; returns what was done. Existing files stay, or are all set aside.

    Args:
        replace: move existing files that differ from the backup, and other projects, to `data/before-restore-<time>/`;
            without it they refuse the restore.

    Raises:
        UsageError, StoreError: the file is not a sound backup; nothing was changed.
        ConflictError: something is in the way.
        LockedError: files of a project in the way are being moved, or its database is open.
        FileOperationError: the disk is full or closed to writing.
    """
    with _building(workspace, "restoring a backup") as building:
        listing = reading.check(file, building, progress)
        for one in listing.files:
            atomic.drop_claim(workspace.root / one.name)  # of a restore that was killed
        found = _plan(workspace, file, listing)
        if found.in_the_way and not replace:
            what = f"{len(found.in_the_way)} files of projects or models are here that are not the backup's"
            hint = "restore into an empty folder with --home, or see what would be set aside: --replace"
            items = found.in_the_way[:_EXAMPLES]
            raise ConflictError(what, items=items, doing="restoring a backup", subject=workspace.root, hint=hint)
        aside = None
        if found.in_the_way:
            aside = _new_aside(workspace)
            concerned = (name for name in found.in_the_way if reading.is_manifest(name) or reading.is_database(name))
            with ExitStack() as locks:
                for project_id in sorted({Path(name).name.split(".")[0] for name in concerned}):
                    held = workspace.planned(project_id, workspace.root)  # its manifest may be damaged
                    locks.enter_context(project_lock(held, "restoring a backup"))
                    # an open window would go on saving keys in the file that is set aside
                    locks.enter_context(exclusive_access(held.database, "restoring a backup"))
                # another process may have been here since the check; now the locks prevent it
                late = _side_files(workspace, {one.name for one in found.coming} | set(found.in_the_way))
                found = replaced(found, in_the_way=tuple(sorted({*found.in_the_way, *late})))
                # manifests first: a project is gone before its decisions are
                for name in sorted(found.in_the_way, key=reading.is_manifest, reverse=True):
                    # a folder in the place of a file of the backup is moved with its contents
                    if not {folder.as_posix() for folder in PurePosixPath(name).parents} & set(found.in_the_way):
                        move(workspace.root / name, aside / name)
        for one in found.coming:
            move(building / one.name, workspace.root / one.name)
        return replaced(found, aside=aside)


@contextmanager
def _building(workspace: Workspace, doing: str) -> Iterator[Path]:
    """A hidden folder to build in, while nobody else restores here."""
    data = workspace.root / "data"
    try:
        data.mkdir(parents=True, exist_ok=True)
        with exclusive(data / LOCK, "restoring a backup here", doing), leftovers.Folder(BUILDING, data) as building:
            yield building
    except OSError as error:
        raise FileOperationError.of(error, doing, data, GOES_ON) from error


def _plan(workspace: Workspace, file: Path, listing: reading.Listing) -> RestorePlan:
    wanted = {one.name: one for one in listing.files}
    here = set(reading.members(workspace))
    same = {name for name in here & set(wanted) if _is(workspace.root / name, wanted[name])}
    coming = tuple(one for one in listing.files if one.name not in same)
    side = _side_files(workspace, {one.name for one in coming} | (here - same))
    # also what cannot be a member: a folder, or a link
    odd = {one.name for one in coming if os.path.lexists(workspace.root / one.name)}
    in_the_way = tuple(sorted((here - same) | side | odd))
    projects = {Path(name).stem: _root_in(file, name) for name in wanted if reading.is_manifest(name)}
    return RestorePlan(file, listing, projects, coming, in_the_way)


def _is(path: Path, one: reading.Listed) -> bool:
    if path.stat().st_size != one.size:
        return False
    if not reading.is_database(one.name):
        return atomic.sha256_of(path) == one.sha256
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return False  # it holds keys that are not in the database file
    with release_file(path) as free:
        return free and atomic.sha256_of(path) == one.sha256


def _side_files(workspace: Workspace, names: Set[str]) -> set[str]:
    """SQLite's own files next to these databases; it would read another database's log into a restored one."""
    side = {f"{name}{end}" for name in names if reading.is_database(name) for end in reading.SIDE_FILES}
    return {name for name in side if os.path.lexists(workspace.root / name)}


def _root_in(file: Path, name: str) -> str | None:
    """The folder of images that a manifest of a backup names; None where it is damaged."""
    try:
        return Manifest.from_json(reading.read_member(file, name).decode()).root
    except (ValueError, TypeError, RecursionError):
        return None


def move(source: Path, target: Path) -> None:
    """Rename, durably, without ever replacing."""
    new = [folder for folder in (target.parent, *target.parents) if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.publish(source, target)
    atomic.sync_folders([source.parent, target.parent, *(folder.parent for folder in new)])


_DOING = "restoring a copy of a database"


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """What restoring a copy would do."""

    project_id: str
    copy: Copy
    database: Path  # the file that the copy would become
    in_the_way: tuple[Path, ...]  # the present files, SQLite's own included; set aside, never deleted


def listed(workspace: Workspace, project_id: str) -> list[Copy]:
    """The copies of a project's databases, the newest first; each is read and checked.

    Raises:
        ProjectError: no such project, and no copy of one.
    """
    project = _project(workspace, project_id)
    return [copies.look_at(path) for path in copies.of_project(project.database)]


def plan_copy(workspace: Workspace, project_id: str, name: str) -> CopyPlan:
    """What restoring the copy of this name would do. Changes nothing.

    Raises:
        ProjectError: no such project.
        UsageError: it has no copy of this name.
        StoreError: the copy is not sound.
    """
    project = _project(workspace, project_id)
    path = next((path for path in copies.of_project(project.database) if path.name == name), None)
    if path is None:
        hint = f"see their names: pickroom restore --project {project_id}"
        raise UsageError(f"no copy is named {name!r} of {project_id}", doing=_DOING, hint=hint)
    copy = copies.look_at(path)
    if copy.problem is not None:
        hint = f"nothing was changed; choose another: pickroom restore --project {project_id}"
        raise StoreError(f"the copy is not sound ({copy.problem})", doing=_DOING, subject=path, hint=hint)
    database = workspace.decisions / f"{copy.stem}.db"
    return CopyPlan(project_id, copy, database, _in_the_way(database))


def restore_copy(workspace: Workspace, project_id: str, name: str) -> tuple[CopyPlan, Path | None]:
    """Restore a copy; returns the folder with the files set aside, None without any.

    The copy itself stays. After a kill at any step the same command continues: at worst the database is missing.

    Raises:
        ProjectError, UsageError, StoreError: as `plan`; nothing was changed.
        LockedError: files of the project are being moved, or its database is open.
        FileOperationError: the disk is full or closed to writing.
    """
    with _building(workspace, _DOING) as building:
        found = plan_copy(workspace, project_id, name)
        ready = building / found.database.name
        shutil.copyfile(found.copy.path, ready)
        with ready.open("rb") as file:
            atomic.sync(file.fileno())
        if atomic.sha256_of(ready) != atomic.sha256_of(found.copy.path):
            raise StoreError("what was copied reads differently", doing=_DOING, subject=found.copy.path)
        aside = _new_aside(workspace)
        # an open window would go on saving keys in the file that is set aside
        with project_lock(_project(workspace, project_id), _DOING), exclusive_access(found.database, _DOING):
            in_the_way = _in_the_way(found.database)
            # the database before its log: SQLite does not read a log without its database
            for path in in_the_way:
                move(path, aside / path.relative_to(workspace.root))
            move(ready, found.database)
        return found, aside if in_the_way else None


def _in_the_way(database: Path) -> tuple[Path, ...]:
    paths = (Path(f"{database}{end}") for end in ("", *reading.SIDE_FILES))
    return tuple(path for path in paths if os.path.lexists(path))


def _project(workspace: Workspace, project_id: str) -> Project:
    """A project by its id alone: its manifest may be lost too."""
    if not is_project_id(project_id):
        raise bad_project_id(project_id)
    planned = workspace.planned(project_id, workspace.root)
    if not planned.manifest_file.exists() and not copies.of_project(planned.database):
        known = ", ".join(workspace.project_ids()) or "none yet"
        what, hint = f"no project is named {project_id!r}, and no copy of one", f"projects here: {known}"
        raise ProjectError(what, doing="looking for copies", subject=planned.manifest_file, hint=hint)
    return planned
