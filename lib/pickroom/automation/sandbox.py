"""The target of the automation: the project's copy in `sandbox/`, or with `--production` the project itself.

The copy is a whole project: images and companions under the same relative paths, and in `.pickroom/` (which no scan
enters) a workspace with manifest and database. Review, files and crops use the same code on both.

Images and companions are copied and verified by hash, the database by SQLite's backup. The manifest is written last: a
copy without one was interrupted, and is completed.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from pickroom.automation.decisions_file import APPROVED, DECISIONS
from pickroom.core.companions import Companions
from pickroom.core.errors import ConflictError, FileOperationError, ProjectError, UsageError
from pickroom.core.naming import OWNED_FOLDERS, filename_of, folder_of
from pickroom.core.quantities import format_bytes
from pickroom.core.records import FileOp
from pickroom.files import recovery
from pickroom.files.moves import sweep_partials
from pickroom.files.preflight import project_lock, require_moving
from pickroom.storage import atomic, leftovers
from pickroom.store import operations
from pickroom.store.connect import backup, open_read_only, require_database
from pickroom.store.workspace import INNER, Project

Progress = Callable[[int, int], None]  # (files copied, of)

_BLOCK = 1 << 20  # bytes
_COPYING = "copying the project to the sandbox"
GUARANTEE = "automation_guarantee.json"
_DOING = "opening the sandbox"


@dataclass(frozen=True, slots=True)
class AutomationTarget:
    """The project that automation acts on, and where its files are."""

    project: Project  # the copy, or the user's own project if that is in the sandbox or `production` is set
    origin: Project  # the user's own project, which has the previews, the vectors and the decisions to calibrate on
    folder: Path  # `sandbox/<project>/`: the files of decisions
    production: bool = False  # the user's own files are moved; asked for explicitly
    # the project's name must be typed before files move: in production, and where the user named a folder of their own
    # images as the sandbox
    confirm: bool = False

    @property
    def decisions(self) -> Path:
        return self.folder / DECISIONS

    @property
    def approved(self) -> Path:
        return self.folder / APPROVED

    @property
    def guarantee(self) -> Path:
        """The approval of unseen groups in the decisions, with the reasons."""
        return self.folder / GUARANTEE

    @property
    def is_copy(self) -> bool:
        return self.project.workspace != self.origin.workspace

    def require_name(self, typed: str) -> None:
        """Raise UsageError where the project's name must be typed before files move, and `typed` is not that name."""
        if self.confirm and typed.strip() != self.project.id:
            doing, hint = "asking whether to move its files", "nothing was moved"
            raise UsageError(f"{typed!r} is not the project's name", doing=doing, hint=hint)

    def require_inside(self, ops: Iterable[FileOp]) -> None:
        """Raise UsageError for the first path that leads out of the project's folder: by `..`, a link, or absolute.

        In production a folder may be a link to another disk, as in a review by hand.
        """
        root = self.project.root.resolve()
        folders: dict[str, bool] = {}
        for op in ops:
            for path in op.paths:
                folder = folder_of(path)
                if folder not in folders:
                    folders[folder] = self._holds(root, folder)
                if not folders[folder] or Path(path).is_absolute() or filename_of(path) in ("", ".", ".."):
                    raise _outside(self.project.root / path)
            # the planner reports missing files
            if op.op == "move" and op.source is not None and os.path.islink(self.project.root / op.source):
                raise _outside(self.project.root / op.source, "this is a link, not a file of the sandbox")

    def _holds(self, root: Path, folder: str) -> bool:
        if ".." in folder.split("/") or Path(folder).is_absolute():
            return False
        return self.production or (root / folder).resolve().is_relative_to(root)


class NoCopyError(ProjectError):
    """No copy has been made yet."""


def locate(project: Project, sandbox: Path | None = None, *, production: bool = False) -> AutomationTarget:
    """The target for a project whose copy exists, or that needs none.

    Args:
        sandbox: the folder of all sandboxes, None for the workspace's own.

    Raises:
        NoDatabaseError: the copy has lost its database.
        NoCopyError: the copy does not exist yet. ProjectError: it or the list of sandboxes is damaged.
        FileOperationError: a sandbox elsewhere cannot be added to that list.
        UsageError: the sandbox is in an impossible place, or leads elsewhere by a link; or the project itself is to be
            acted on, and is rated in place.
    """
    target = _planned(project, sandbox, production)
    if not target.is_copy:
        require_moving(project, "the automation")
        return target
    if not target.project.manifest_file.is_file():
        what, hint = "the project has no copy", f"make it: pickroom auto generate {project.id}"
        raise NoCopyError(what, doing=_DOING, subject=target.folder, hint=hint)
    recovery.remember(project, target.folder.parent)
    # wherever the sandbox was moved with its workspace: the copy's root is this folder, whatever its manifest says
    copy = target.project.workspace.project(project.id)
    require_database(copy.database, _DOING)
    if copy.manifest.layout != project.manifest.layout:  # a scan of the project met a name twice since
        copy = copy.with_manifest(layout=project.manifest.layout)
    return replace(target, project=replace(copy, manifest=replace(copy.manifest, root=str(target.folder))))


def prepare(
    project: Project, sandbox: Path | None = None, *, production: bool = False, progress: Progress | None = None
) -> AutomationTarget:
    """As `locate`, but make the copy first where there is none, or complete an interrupted one.

    Raises:
        FileOperationError: the disk is full, or a file cannot be read or copied.
        ConflictError: the project has unfinished file operations, or the folder holds other files.
    """
    target = _planned(project, sandbox, production)
    if target.is_copy and not target.project.manifest_file.is_file():
        copy_project(project, target.project, target.folder, progress)
    return locate(project, sandbox, production=production)


def _planned(project: Project, sandbox: Path | None, production: bool) -> AutomationTarget:
    base = (sandbox.expanduser() if sandbox is not None else project.workspace.sandbox).resolve()
    folder = base / project.id
    root = project.require_root()
    if sandbox is not None and project.workspace.root.is_relative_to(base):
        raise _no_sandbox("a sandbox cannot hold the workspace itself", base)
    for path in (folder, folder / INNER, folder / DECISIONS, folder / APPROVED):
        if path.is_symlink():
            raise _outside(path)
    if production:
        return AutomationTarget(project, project, folder, production=True, confirm=True)
    if base in root.resolve().parents:
        return AutomationTarget(project, project, folder, confirm=base != project.workspace.sandbox.resolve())
    own = project.workspace.own_folders
    if base.is_relative_to(root.resolve()) and not any(base.is_relative_to(path.resolve()) for path in own):
        raise _no_sandbox("a sandbox cannot lie among the project's own images", base)
    return AutomationTarget(recovery.copy_in(project, base), project, folder)


def _no_sandbox(what: str, folder: Path) -> UsageError:
    return UsageError(what, doing=_DOING, subject=folder, hint="give a folder of its own")


def _outside(path: Path, what: str = "this leads out of the sandbox") -> UsageError:
    return UsageError(what, doing="checking the sandbox", subject=path, hint="nothing was touched")


def copy_project(project: Project, copy: Project, folder: Path, progress: Progress | None = None) -> None:
    """Copy a project's images, companions and database into `folder`.

    Raises:
        ConflictError: file operations of the project are unfinished, or the folder holds other files.
        FileOperationError: not enough room, or a file cannot be read, or changes while it is read.
        LockedError: the project's files are being moved.
    """
    inner = copy.workspace.root
    with project_lock(project, _COPYING), open_read_only(project.database) as connection:
        if operations.count_planned(connection):
            hint = f"finish them first: pickroom recover {project.id}"
            raise ConflictError("file operations are unfinished", doing=_COPYING, subject=project.root, hint=hint)
        if folder.exists() and not inner.is_dir() and any(folder.iterdir()):
            hint = "move what is in it elsewhere: a copy needs a folder of its own"
            raise ConflictError("the folder holds other files", doing=_COPYING, subject=folder, hint=hint)
        try:
            paths = sorted(files_of(project, avoid=folder.parent))
            needed = sum((project.root / path).stat().st_size for path in paths if not (folder / path).exists())
            free = atomic.free_bytes(folder)
            if needed > free:
                what = f"the copy needs {format_bytes(needed)}, and {format_bytes(free)} are free"
                raise FileOperationError(what, _COPYING, [folder], "make room, or use --sandbox FOLDER on another disk")
            inner.mkdir(parents=True, exist_ok=True)
            _copy_all(project.root, folder, paths, progress)
            copy.database.parent.mkdir(parents=True, exist_ok=True)
            for leftover in copy.database.parent.glob(f"{copy.database.name}*"):  # of an interrupted copy
                leftover.unlink()
            backup(connection, copy.database)
            os.sync()  # one sync for all: after a power cut the manifest must not exist without its files
            copy.workspace.save_new(copy)
        except OSError as error:
            hints = {
                errno.ENOSPC: "make room on the disk, then generate again",
                errno.ENAMETOOLONG: "use --sandbox FOLDER with a shorter path, on a disk that takes such names",
            }
            hint = hints.get(error.errno or 0, "nothing was changed")
            raise FileOperationError.of(error, _COPYING, folder, hint) from error


def files_of(project: Project, avoid: Path) -> Iterator[str]:
    """Every image and companion of a project, Pickroom's own folders too, as paths relative to its root.

    Args:
        avoid: the folder of the sandboxes, in case it lies under the root.
    """
    root = project.root
    skipped = {path.resolve() for path in (*project.workspace.own_folders, avoid)}
    tops = [root, *(root / name for name in OWNED_FOLDERS if (root / name).is_symlink())]  # a folder on another disk
    for top in tops:
        for here, folders, names in os.walk(top):
            folders[:] = [f for f in folders if not f.startswith(".") and Path(here, f).resolve() not in skipped]
            found = Companions(name for name in names if stat.S_ISREG(Path(here, name).lstat().st_mode))
            wanted = found.images | found.all
            relative = Path(here).relative_to(root).as_posix()
            yield from (name if relative == "." else f"{relative}/{name}" for name in wanted)


def _copy_all(root: Path, folder: Path, paths: list[str], progress: Progress | None) -> None:
    parents = {(folder / path).parent for path in paths}
    for parent in parents:
        if not parent.resolve().is_relative_to(folder.resolve()):
            what, hint = "this leads out of the sandbox", "remove that link"
            raise ConflictError(what, doing=_COPYING, subject=parent, hint=hint)
    for parent in parents:
        parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(parent)
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:  # hashing and copying free the interpreter lock
        try:
            done = pool.map(lambda path: copy_file(root / path, folder / path), paths)
            for count, _ in enumerate(done, start=1):
                if progress is not None:
                    progress(count, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def copy_file(source: Path, destination: Path) -> None:
    """Copy one file with its times, verified by reading the copy again.

    A destination with the same content stays, any other is replaced: it was left by an interrupted copy.

    Raises:
        FileOperationError: the copy differs from what was read.
        OSError: the system refused.
    """
    is_there = destination.is_file() and not destination.is_symlink()
    if is_there and atomic.sha256_of(source) == atomic.sha256_of(destination):
        return
    partial, writer = leftovers.open_partial(destination.parent)
    digest = hashlib.sha256()
    try:
        with writer, source.open("rb") as reader:
            while block := reader.read(_BLOCK):
                digest.update(block)
                writer.write(block)
            writer.flush()
            atomic.copy_stat(source, partial)
            if atomic.sha256_of(partial) != digest.hexdigest():
                raise FileOperationError("the copy differs from what was read", _COPYING, [source, destination])
            atomic.replace(partial, destination)
    finally:
        partial.unlink(missing_ok=True)
