"""Restore a backup: extract and verify it under a hidden name, then publish its files, manifests last.

Nothing is replaced: files in the way refuse the restore, or are set aside where the user asks for that. The same
command completes a restore that was killed, since files that are there already stay.
"""

import json
import os
from collections.abc import Set
from contextlib import ExitStack
from dataclasses import dataclass
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from pickroom.core.errors import ConflictError, FileOperationError
from pickroom.files.preflight import project_lock
from pickroom.maintenance.backup.contents import SET_ASIDE, SIDE_FILES, is_database, is_manifest, members
from pickroom.maintenance.backup.reading import Listed, Listing, Progress, check, read_member
from pickroom.storage import atomic, leftovers
from pickroom.storage.locking import exclusive
from pickroom.store.connections import exclusive_access, release_file
from pickroom.store.workspace import Manifest, Workspace

BUILDING, LOCK = ".restoring-", ".restore.lock"
GOES_ON = "what is there stays; then restore again, and it goes on"
_EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Returned:
    """One project of a backup, and the folder of its images; None where its manifest is damaged."""

    project_id: str
    root: str | None

    @property
    def has_images(self) -> bool:
        return self.root is not None and Path(self.root).is_dir()


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What a restore would do, of a backup that was read whole and is sound."""

    file: Path
    listing: Listing
    projects: tuple[Returned, ...]
    coming: tuple[Listed, ...]  # files that are not there yet as the backup has them
    in_the_way: tuple[str, ...]  # files that are there and are not the backup's: paths relative to the workspace
    aside: Path | None = None  # after a restore, the folder where those lie now; None when there were none


def plan(workspace: Workspace, file: Path, progress: Progress | None = None) -> RestorePlan:
    """Verify a backup and find what is in its way. Changes nothing; raises as `reading.check` does."""
    return _plan(workspace, file, check(file, progress=progress))


def restore(
    workspace: Workspace, file: Path, *, replace: bool = False, progress: Progress | None = None
) -> RestorePlan:
    """Restore every file of a backup; returns what was done. What is there stays as it is, or is set aside whole.

    Args:
        replace: set aside, into `data/before-restore-<time>/`, whatever a backup would hold and this one holds
            otherwise, projects that it does not know among it; else that is refused.

    Raises:
        UsageError, StoreError: the file is no sound backup; nothing was changed.
        ConflictError: something is in the way.
        LockedError: files of a project that is in the way are being moved, or somebody has its database open.
        FileOperationError: the disk is full or closed to writing.
    """
    data = workspace.root / "data"
    try:
        data.mkdir(parents=True, exist_ok=True)
        lock = exclusive(data / LOCK, "restoring a backup here", "restoring a backup")
        with lock, leftovers.Folder(BUILDING, data) as building:
            return _restore(workspace, file, building, replace, progress)
    except OSError as error:
        raise FileOperationError.of(error, "restoring a backup", data, GOES_ON) from error


def _restore(workspace: Workspace, file: Path, building: Path, replace: bool, progress: Progress | None) -> RestorePlan:
    listing = check(file, building, progress)
    for one in listing.files:
        atomic.drop_claim(workspace.root / one.name)  # of a restore that was killed
    found = _plan(workspace, file, listing)
    if found.in_the_way and not replace:
        raise ConflictError(
            f"{len(found.in_the_way)} files of projects or models are here that are not the backup's",
            items=found.in_the_way[:_EXAMPLES],
            doing="restoring a backup",
            subject=workspace.root,
            hint="restore into an empty folder with --home, or see what would be set aside: --replace",
        )
    aside = None
    if found.in_the_way:
        aside = workspace.root / "data" / f"{SET_ASIDE}{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}"
        with ExitStack() as locks:
            for project_id in _projects_of(found.in_the_way):
                held = workspace.planned(project_id, workspace.root)  # its manifest may be damaged
                locks.enter_context(project_lock(held, "restoring a backup"))
                # an open window would go on saving keys in the file that is set aside
                locks.enter_context(exclusive_access(held.database, "restoring a backup"))
            # somebody may have come and gone since the look; now nobody can any more
            late = _side_files(workspace, {one.name for one in found.coming} | set(found.in_the_way))
            found = replaced(found, in_the_way=tuple(sorted({*found.in_the_way, *late})))
            # manifests first: a project is gone before its decisions are
            for name in sorted(found.in_the_way, key=is_manifest, reverse=True):
                # where the backup has a file, a folder goes whole, with what lies in it
                if not {folder.as_posix() for folder in PurePosixPath(name).parents} & set(found.in_the_way):
                    move(workspace.root / name, aside / name)
    for one in found.coming:
        move(building / one.name, workspace.root / one.name)
    return replaced(found, aside=aside)


def _plan(workspace: Workspace, file: Path, listing: Listing) -> RestorePlan:
    wanted = {one.name: one for one in listing.files}
    here = {member.name for member in members(workspace)}
    same = {name for name in here & set(wanted) if _is(workspace.root / name, wanted[name])}
    coming = tuple(one for one in listing.files if one.name not in same)
    side = _side_files(workspace, {one.name for one in coming} | (here - same))
    # also what cannot be a member: a folder, or a link
    odd = {one.name for one in coming if os.path.lexists(workspace.root / one.name)}
    in_the_way = tuple(sorted((here - same) | side | odd))
    projects = tuple(_returned(file, name) for name in wanted if is_manifest(name))
    return RestorePlan(file, listing, projects, coming, in_the_way)


def _is(path: Path, one: Listed) -> bool:
    if path.stat().st_size != one.size:
        return False
    if not is_database(one.name):
        return atomic.sha256_of(path) == one.sha256
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return False  # it holds keys that the file itself does not
    with release_file(path) as free:
        return free and atomic.sha256_of(path) == one.sha256


def _side_files(workspace: Workspace, names: Set[str]) -> set[str]:
    """What SQLite keeps next to these databases; a log of another one next to a restored one would be read into it."""
    side = {f"{name}{end}" for name in names if is_database(name) for end in SIDE_FILES}
    return {name for name in side if os.path.lexists(workspace.root / name)}


def _returned(file: Path, name: str) -> Returned:
    project_id = Path(name).stem
    try:
        return Returned(project_id, Manifest.from_json(read_member(file, name).decode()).root)
    except (ValueError, TypeError, RecursionError, json.JSONDecodeError):
        return Returned(project_id, None)


def _projects_of(names: tuple[str, ...]) -> list[str]:
    """The projects whose manifest or database is among these files."""
    return sorted({Path(name).name.split(".")[0] for name in names if is_manifest(name) or is_database(name)})


def move(source: Path, target: Path) -> None:
    """Rename, durably, without ever replacing."""
    new = [folder for folder in (target.parent, *target.parents) if not folder.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    atomic.publish(source, target)
    atomic.sync_folders([source.parent, target.parent, *(folder.parent for folder in new)])
