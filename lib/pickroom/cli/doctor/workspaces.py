"""Checks of the workspace and its projects: disks, manifests, databases, image folders, unfinished work."""

import contextlib
import errno
import fcntl
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import psutil

from pickroom.core.errors import PickroomError
from pickroom.core.quantities import plural
from pickroom.files import recovery
from pickroom.images.scan import count_skipped
from pickroom.integrity import whereabouts
from pickroom.learn import checkpoints
from pickroom.storage import atomic
from pickroom.storage.locking import is_held
from pickroom.store import copies, decisions, groups
from pickroom.store.connect import open_read_only, open_unchecked, restore_hint
from pickroom.store.connections import shares_memory
from pickroom.store.rows import migrations, number
from pickroom.store.workspace import Project, Workspace

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str  # the check in a word or two; a project as "project NAME"
    state: State  # "warn" where something will not work as well as it could, "fail" where something will not work
    found: str  # what it means, in one sentence
    todo: str = ""  # what to do next; "" where nothing needs doing
    items: tuple[str, ...] = ()  # every file that the finding is about, where it is about files

    @property
    def line(self) -> str:
        """The finding for the user, the state first so that a glance down the column finds what is wrong."""
        return f"{self.state:<5} {self.check}: {self.found}" + (f" ({self.todo})" if self.todo else "")


def to_dict(findings: Sequence[Finding]) -> dict[str, Any]:
    """The JSON of `pickroom doctor --json`; "ok" as long as nothing failed, "items" only where there are any."""
    checks = [{k: v for k, v in asdict(finding).items() if k != "items" or v} for finding in findings]
    return {"ok": all(f.state != "fail" for f in findings), "checks": checks}


_BOOT_SECTORS = {b"EXFAT   ": "exfat", b"NTFS    ": "ntfs"}  # bytes 3 to 10: what FUSE does not tell
_LACKED = (errno.EINVAL, errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.ENOLCK)


@dataclass(frozen=True, slots=True)
class _Ability:
    """One function that a disk may have."""

    name: str  # what it lacks, in plain words
    # raises OSError with an errno of `_LACKED`, or returns False, where it cannot; given an empty folder
    try_it: Callable[[Path], bool | None]
    follows: str = ""  # what follows for the user; "" where nothing does
    state: State = "warn"  # of the finding
    workspace_only: bool = False  # the images need it not


def look_at_disk(check: str, folder: Path, *, workspace: bool = False) -> Finding:
    """The file system of a folder and the functions it lacks, tried in a hidden folder that is removed at once.

    Args:
        check: what the finding is called.
        workspace: whether databases lie there, too.
    """
    there = next(path for path in (folder, *folder.parents) if path.exists())
    kind = kind_of(there)
    if there != folder:
        return Finding(check, "ok", kind)
    try:
        lacking = [one for one in _ABILITIES if (workspace or not one.workspace_only) and not _is_able(one, folder)]
    except OSError as error:
        return Finding(check, "ok", f"{kind}; what it can do was not tried ({error.strerror})")
    if not lacking:
        return Finding(check, "ok", kind)
    following = [ability for ability in lacking if ability.follows]
    what = f"{kind} has no {', no '.join(ability.name for ability in lacking)}"
    what += ": " * bool(following) + "; ".join(ability.follows for ability in following)
    if any(ability.state == "fail" for ability in following):
        return Finding(check, "fail", what, "keep the workspace on a disk of this computer: --home")
    return Finding(check, "warn" if following else "ok", what)


def _is_able(ability: _Ability, folder: Path) -> bool:
    with tempfile.TemporaryDirectory(prefix=".pickroom-doctor-", dir=folder) as place:
        try:
            return ability.try_it(Path(place)) is not False
        except OSError as error:
            if error.errno not in _LACKED:
                raise
            return False


def kind_of(folder: Path) -> str:
    """The type of the file system that a folder lies on, as mount(8) calls it."""
    place, mounts = folder.resolve(), enumerate(psutil.disk_partitions(all=True))
    # the longest mount point; of several equal ones the last, which hides the others
    above = [(len(one.mountpoint), n, one) for n, one in mounts if place.is_relative_to(one.mountpoint)]
    if not above:
        return "unknown file system"
    mount = max(above)[2]
    if mount.fstype != "fuseblk":
        return str(mount.fstype)
    with contextlib.suppress(OSError), open(mount.device, "rb", buffering=0) as file:
        return _BOOT_SECTORS.get(file.read(512)[3:11], "fuseblk")
    return "fuseblk (exFAT or NTFS)"


def _link(folder: Path) -> None:
    (folder / "a").touch()
    os.link(folder / "a", folder / "b")


def _tells_case(folder: Path) -> bool:
    (folder / "a").touch()
    return not (folder / "A").exists()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _lock(folder: Path) -> None:
    with (folder / "a").open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


_ABILITIES = (
    _Ability(
        "renaming without replacing",
        atomic.renames_without_replacing,
        "files are copied, verified and then removed where they would be moved, which is slower; nothing else to do",
    ),
    _Ability("hard links", _link),
    _Ability("symbolic links", lambda folder: os.symlink("nowhere", folder / "a")),
    _Ability("difference between A.png and a.png", _tells_case),
    _Ability("syncing of folders", _sync, "after a power cut run pickroom recover, then pickroom check"),
    _Ability(
        "shared memory for SQLite",
        shares_memory,
        "databases have a rollback journal, which is slower; nothing else to do",
        workspace_only=True,
    ),
    _Ability("file locks", _lock, "two commands at once could move the same files", "fail", workspace_only=True),
)


TIGHT, FULL = 5 << 30, 1 << 29  # bytes: room for previews, vectors and crops; less, and commits start to fail


def look(workspace: Workspace) -> Iterator[Finding]:
    """Every check of a workspace, then two findings a project: itself, and the disk of its images."""
    yield folder(workspace.root)
    yield room(workspace.root)
    yield look_at_disk("file system", workspace.root, workspace=True)
    yield from other_files(workspace)
    for project_id in workspace.project_ids():
        yield project(workspace, project_id)
        with contextlib.suppress(PickroomError):  # already in the line before
            yield look_at_disk(f"images of {project_id}", workspace.project(project_id).require_root())


def folder(root: Path) -> Finding:
    """Whether the workspace is there, and can be written to."""
    if not root.is_dir():
        what = f"{root} is not there: it is made with the first project"
        return Finding("workspace", "warn", what, "to make one of this folder: pickroom open . (or give --home)")
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding("workspace", "fail", f"{root} cannot be written to", "check the folder's permissions")
    return Finding("workspace", "ok", str(root))


def room(root: Path) -> Finding:
    """Room on the workspace's disk."""
    free = atomic.free_bytes(root)
    words = f"{free / 1e9:.1f} GB free"
    if free < FULL:
        return Finding("disk", "fail", f"only {words}: the next decision may not fit", "make room: pickroom reclaim")
    if free < TIGHT:
        return Finding("disk", "warn", f"only {words}", "see what can go: pickroom reclaim")
    return Finding("disk", "ok", words)


def other_files(workspace: Workspace) -> Iterator[Finding]:
    """Files among manifests and models that are not Pickroom's; they are only named."""
    if others := workspace.other_files():
        found = f"{plural(len(others), 'JSON file')} of other programs in data/projects/, ignored: {_some(others)}"
        yield Finding("other files", "ok", found, items=tuple(others))
    if models := checkpoints.other_models(workspace):
        found = f"{plural(len(models), 'model')} of other programs, not used: {_some(models)}"
        yield Finding("other models", "ok", found, items=tuple(models))
    waiting = sorted(workspace.earlier_projects().keys() - set(workspace.project_ids()))
    if waiting:
        found = f"{plural(len(waiting), 'project')} of an earlier system, not registered: {_some(waiting)}"
        yield Finding("earlier projects", "warn", found, f"pickroom start {waiting[0]} --finished", tuple(waiting))


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def project(workspace: Workspace, project_id: str) -> Finding:
    """The worst problem of one project."""
    name = f"project {project_id}"
    try:
        opened = workspace.project(project_id)
    except PickroomError as error:
        return Finding(name, "fail", error.what, error.hint)
    try:
        return _schema(opened, name) or _database(opened, name)
    except PickroomError as error:
        return Finding(name, "fail", error.what, error.hint)
    except (sqlite3.Error, OSError) as error:
        return Finding(name, "fail", f"its database cannot be read: {error}", restore_hint(opened.database))


def _schema(opened: Project, name: str) -> Finding | None:
    """A finding on the database's schema; None if it is this program's, so that opening it changes nothing."""
    with open_unchecked(opened.database) as connection:
        own, known = number(connection, "PRAGMA user_version"), len(migrations())
    if own > known:
        return Finding(name, "fail", f"its database is of a newer Pickroom (schema {own})", "update pickroom")
    if own < known:
        what = f"its database is of an earlier Pickroom (schema {own})"
        return Finding(name, "warn", what, "the next command brings it up to date, after a backup copy")
    return None


def _database(opened: Project, name: str) -> Finding:
    with open_read_only(opened.database) as connection:
        damage = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
        decided = bool(decisions.outcome_counts(connection))
        emptied = not groups.count(connection) and opened.manifest.group_count
    if damage != "ok" and not damage.startswith("CHECK constraint failed"):  # rows that an earlier schema allowed
        return Finding(name, "fail", f"its database is damaged: {damage}", restore_hint(opened.database))
    if emptied:
        what = f"its database has no groups, and its manifest counts {opened.manifest.group_count}"
        return Finding(name, "fail", what, f"see its copies: pickroom restore --project {opened.id}")
    if opened.manifest.root and not opened.root.is_dir():
        what = f"its image folder is not there: {opened.root}"
        return Finding(name, "fail", what, opened.relocate_hint)
    if is_held(opened.lock_file):
        holder = opened.lock_file.read_text(encoding="utf-8", errors="replace").strip() or "another process"
        return Finding(name, "warn", f"{holder} is at work on its files", "wait until it has finished")
    lies = whereabouts(opened)
    if not lies.is_sound:
        counts = {"without a journal step or a row": len(lies.unexplained), "misplaced": len(lies.misplaced)}
        what = ", ".join(f"{count} {words}" for words, count in counts.items() if count)
        todo = f"pickroom recover {opened.id} --unexplained" if lies.unexplained else f"pickroom status {opened.id}"
        elsewhere = (f"{expected} (found: {found})" for expected, found in lies.misplaced)
        return Finding(name, "fail", f"images in Pickroom's folders: {what}", todo, (*lies.unexplained, *elsewhere))
    for one in recovery.unfinished(opened):
        where = "" if one.project is opened else f" in {one.project.root}"
        what = one.problem or f"{plural(one.count, 'file operation')} {'was' if one.count == 1 else 'were'} interrupted"
        return Finding(name, "warn", f"{what}{where}", f"pickroom recover {opened.id}")
    images = f"images in {opened.root}" if opened.manifest.root else "registered without images"
    found = f"{opened.manifest.status}, {images}"
    if opened.manifest.root:
        skipped = count_skipped(opened.root, opened.manifest.allowed_extensions, opened.workspace.own_folders)
        found += "".join(f", {item.files} {item.extension} skipped" for item in skipped)
    newest = copies.newest(opened.database)[:1]
    if newest:
        return Finding(name, "ok", f"{found}, copy of its database of {copies.made_at(newest[0]):%Y-%m-%d %H:%M}Z")
    if decided:
        todo = "the next finalise makes one; or: pickroom backup ~/pickroom-backup.zip"
        return Finding(name, "warn", f"{found}, no copy of its database", todo)
    return Finding(name, "ok", found)
