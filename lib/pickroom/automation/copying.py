"""Copy a project into its sandbox: images and companions verified by hash, the database by SQLite's backup.

The manifest is written last: a copy without one was interrupted, is made again, and keeps what is there already.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pickroom.core.errors import ConflictError, FileOperationError
from pickroom.core.naming import OWNED_FOLDERS, companions_by_stem, is_image_name
from pickroom.core.quantities import format_bytes
from pickroom.files.moves import sweep_partials
from pickroom.files.preflight import project_lock
from pickroom.storage import atomic, leftovers
from pickroom.store import operations
from pickroom.store.connect import backup, open_read_only
from pickroom.store.workspace import Project

Progress = Callable[[int, int], None]  # (files copied, of)

_BLOCK = 1 << 20  # bytes
_DOING = "copying the project to the sandbox"


def copy_project(project: Project, copy: Project, folder: Path, progress: Progress | None = None) -> None:
    """Copy a project's images, companions and database into `folder`.

    Raises:
        ConflictError: file operations of the project are unfinished, or the folder holds what is no copy.
        FileOperationError: there is no room, or a file cannot be read, or reads differently the second time.
        LockedError: the project's files are being moved.
    """
    inner = copy.workspace.root
    with project_lock(project, _DOING), open_read_only(project.database) as connection:
        if operations.count_planned(connection):
            hint = f"finish them first: pickroom recover {project.id}"
            raise ConflictError("file operations are unfinished", doing=_DOING, subject=project.root, hint=hint)
        if folder.exists() and not inner.is_dir() and any(folder.iterdir()):
            hint = "move what is in it elsewhere: a copy needs a folder of its own"
            raise ConflictError("the folder holds other files", doing=_DOING, subject=folder, hint=hint)
        try:
            paths = sorted(files_of(project, avoid=folder.parent))
            _require_room(project.root, folder, paths)
            inner.mkdir(parents=True, exist_ok=True)
            _copy_all(project.root, folder, paths, progress)
            copy.database.parent.mkdir(parents=True, exist_ok=True)
            for leftover in copy.database.parent.glob(f"{copy.database.name}*"):  # of an interrupted copying
                leftover.unlink()
            backup(connection, copy.database)
            os.sync()  # one for all: the manifest must not outlive a power cut that its files did not
            copy.workspace.save_new(copy)
        except OSError as error:
            hints = {
                errno.ENOSPC: "make room on the disk, then generate again",
                errno.ENAMETOOLONG: "use --sandbox FOLDER with a shorter path, on a disk that takes such names",
            }
            hint = hints.get(error.errno or 0, "nothing was changed")
            paths_ = [Path(error.filename)] if error.filename else [folder]
            raise FileOperationError(error.strerror or str(error), _DOING, paths_, hint) from error


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
            plain = [n for n in names if not n.startswith(".") and stat.S_ISREG(Path(here, n).lstat().st_mode)]
            companions = companions_by_stem(plain)
            wanted = {name for name in plain if is_image_name(name)}.union(*companions.values())
            relative = Path(here).relative_to(root).as_posix()
            yield from (name if relative == "." else f"{relative}/{name}" for name in wanted)


def _require_room(root: Path, folder: Path, paths: list[str]) -> None:
    needed = sum((root / path).stat().st_size for path in paths if not (folder / path).exists())
    there = next(parent for parent in (folder, *folder.parents) if parent.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        what = f"the copy needs {format_bytes(needed)}, and {format_bytes(free)} are free"
        raise FileOperationError(what, _DOING, [folder], "make room, or use --sandbox FOLDER on another disk")


def _copy_all(root: Path, folder: Path, paths: list[str], progress: Progress | None) -> None:
    parents = {(folder / path).parent for path in paths}
    for parent in parents:
        if not parent.resolve().is_relative_to(folder.resolve()):
            raise ConflictError("this leads out of the sandbox", doing=_DOING, subject=parent, hint="remove that link")
    for parent in parents:
        parent.mkdir(parents=True, exist_ok=True)
        sweep_partials(parent)
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:  # hashing and copying let go of the interpreter
        try:
            done = pool.map(lambda path: copy_file(root / path, folder / path), paths)
            for count, _ in enumerate(done, start=1):
                if progress is not None:
                    progress(count, len(paths))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def copy_file(source: Path, destination: Path) -> str:
    """Copy one file with its times, verified by reading the copy again; returns its sha256.

    A destination with the same content stays, any other is replaced: only an interrupted copying has left one.

    Raises:
        FileOperationError: the copy differs from what was read.
        OSError: the system refused.
    """
    if destination.is_file() and not destination.is_symlink():
        sha256 = atomic.sha256_of(source)
        if atomic.sha256_of(destination) == sha256:
            return sha256
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
                raise FileOperationError("the copy differs from what was read", _DOING, [source, destination])
            atomic.replace(partial, destination)
    finally:
        partial.unlink(missing_ok=True)
    return digest.hexdigest()
