"""Checks of files before a plan, and the image folder, which is held open while its files are moved."""

import errno
import os
import sqlite3
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from pickroom.core import naming
from pickroom.core.companions import Companions, negatives_of_images
from pickroom.core.errors import ConflictError, FileOperationError, UsageError
from pickroom.core.naming import as_text, extension_of, filename_of, folder_of, is_image_name, is_text, join, split
from pickroom.core.quantities import plural
from pickroom.core.records import FileOp, Group, Image
from pickroom.files.moves import holds_anything, make_folder
from pickroom.storage import atomic
from pickroom.storage.locking import exclusive
from pickroom.store import groups, operations
from pickroom.store.workspace import Project

_NAME_MAX, _PATH_MAX = 255, 4096  # bytes, as most disks of Linux have it
_NAMED = 5  # files left behind that are named in a line
_TEMPORARY = 64  # bytes: no name that a file has while it is written is longer


class HeldError(ValueError):
    """Why an image, or a group, is held back or left as it is; the message says it."""


def held_reason(error: HeldError | OSError) -> str:
    """What a HeldError says, or which file cannot be read."""
    return f"{error.filename} cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)


def left_in_words(paths: Sequence[str]) -> list[str]:
    """Files that stay when the images go whose names they begin with, in words; empty where there are none."""
    first = ", ".join(paths[:_NAMED]) + (", ..." if len(paths) > _NAMED else "")
    return [f"{plural(len(paths), 'file')} of similar names left behind, of no known kind: {first}"] if paths else []


def require_images(project: Project, connection: sqlite3.Connection, doing: str, hint: str) -> None:
    """Refuse a folder in which no image is where the database says: a wrong one, or a mount point without its disk.

    Raises ConflictError where images are expected there, and none of them is.
    """
    expected = [op.destination for op in operations.recent_moves(connection, 200) if op.destination]
    expected += [join(i.directory, i.filename) for g in groups.queue(connection, project.id, 100) for i in g.images]
    if expected and not any(os.path.isfile(project.root / path) for path in expected):
        what = "none of the project's images are in this folder"
        raise ConflictError(what, doing=doing, subject=project.root, hint=hint)


def require_moving(project: Project, tool: str) -> None:
    """Refuse a tool that moves images in a project that is rated in place; raises UsageError."""
    if project.manifest.in_place is not None:
        what = f"project {project.id} is rated in place, and {tool} moves images"
        hint = f"while nothing is finalised, you can let its images move: pickroom start {project.id} --no-in-place"
        raise UsageError(what, doing=f"opening {project.id}", hint=hint)


class DiskSnapshot:
    """One look at the folders of a project: each is listed once, however many groups ask.

    Keep it only as long as the project's lock: it does not see what others do meanwhile.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._names: dict[str, frozenset[str]] = {}
        self._files: dict[str, frozenset[str]] = {}
        self._companions: dict[str, Companions] = {}
        self._limits: dict[str, tuple[int, int]] = {}
        self._reserved: set[str] = set()
        self._stems: dict[str, set[str]] = defaultdict(set)  # of images that are there, or will be

    def names(self, directory: str) -> frozenset[str]:
        """Every name in a folder given relative to the root; empty when the folder does not exist.

        Raises OSError where it is not a folder, or cannot be listed.
        """
        if directory not in self._names:
            try:
                with os.scandir(self.root / directory) as listing:
                    entries = [(entry.name, entry.is_dir(follow_symlinks=False)) for entry in listing]
            except FileNotFoundError:
                entries = []
            self._names[directory] = frozenset(name for name, _ in entries)
            self._files[directory] = frozenset(name for name, is_folder in entries if not is_folder)
        return self._names[directory]

    def companions(self, group: Group) -> dict[str, list[tuple[str, str]]]:
        """Image -> (companion's name, sha256 now) for the group's images; raises as `companions_of`."""
        return {name: self.companions_of(group.directory, name) for name in group.filenames}

    def companions_of(self, directory: str, filename: str) -> list[tuple[str, str]]:
        """(name, sha256 now) of each companion of one image; raises OSError when one cannot be read."""
        names = self.companions_in(directory).of(filename)
        for name in names:
            if not is_text(name):
                what = "its name is not valid UTF-8: rename it"
                raise OSError(errno.EILSEQ, what, as_text(str(self.root / directory / name)))
            path = self.root / directory / name
            if not stat.S_ISREG(path.lstat().st_mode):  # a link would not be the same file elsewhere
                raise OSError(errno.EINVAL, "not a plain file", str(path))
        return [(name, atomic.sha256_of(self.root / directory / name)) for name in names]

    def left_beside(self, directory: str, filenames: Iterable[str]) -> tuple[str, ...]:
        """Paths of the files that stay when these images go, although their names begin alike; raises as `names`."""
        found = self.companions_in(directory)
        return tuple(
            dict.fromkeys(as_text(join(directory, name)) for image in filenames for name in found.left_beside(image))
        )

    def companions_in(self, directory: str) -> Companions:
        """The companions of every image of a folder, by name; raises as `names`."""
        if directory not in self._companions:
            self.names(directory)
            self._companions[directory] = Companions(self._files[directory])
        return self._companions[directory]

    def problem_with(self, images: Sequence[Image]) -> str | None:
        """Why these images are no longer the ones scanned, None when they are."""
        for image in images:
            path = self.root / image.directory / image.filename
            try:
                info = path.stat(follow_symlinks=False)
                negative = extension_of(image.filename) in naming.RAW_EXTENSIONS
                if negative and image.filename not in self.companions_in(image.directory).images:
                    return f"{image.filename} belongs to another image by now: run `pickroom groups` to read it anew"
                # like git's index: same size and time is taken as unchanged, else the bytes decide
                unchanged = (info.st_size, info.st_mtime_ns) == (image.file_size, image.mtime_ns)
                if not unchanged and atomic.sha256_of(path) != image.sha256:
                    return f"{image.filename} has changed since the scan: run `pickroom groups` to read it anew"
            except FileNotFoundError:
                return f"{image.filename} has vanished since the scan"
            except OSError as error:
                return f"{image.filename} cannot be read: {error.strerror}"
        return None

    def reserve(self, ops: Iterable[FileOp]) -> str | None:
        """Reserve the places these steps need; why not, when one is taken already or its name too long for the disk.

        Where it is not None, none is reserved. A step that replaces a file needs no free place, but no other's either.
        """
        ops = tuple(ops)
        wanted = [op.destination for op in ops if op.destination is not None]
        replaced = {op.destination for op in ops if op.op == "replace"}
        pictures = {path for path in wanted if is_image_name(filename_of(path), naming.ALL_EXTENSIONS)}
        pictures -= negatives_of_images(pictures)
        here: set[str] = set()  # a leftover sidecar would go where the new one is to be written
        # disks that hold a longer name, in bytes, than they say is the limit count UTF-16 units
        sources = [split(op.source) for op in ops if op.source]
        wide = {self._device_of(at) for at, name in sources if len(os.fsencode(name)) > self._limits_of(at)[0]}
        for destination in wanted:
            directory, name = split(destination)
            too_long = self._too_long(directory, name, wide)
            if too_long is not None:
                return too_long
            try:
                # a disk may take the name for that of another file: A.png for a.png
                taken = name in self.names(directory) or os.path.lexists(self.root / destination)
                taken = taken and destination not in replaced
            except OSError as error:
                return f"{directory or '.'}/ cannot be listed: {error.strerror}"
            if taken or destination in self._reserved or destination in here:
                return f"{destination} exists already"
            here.add(destination)
            if destination in pictures:
                # two images of one stem in a folder would share companions (FORMATS.md: ambiguous stem)
                stems = self._stems[directory]
                if not stems:
                    stems.update(map(naming.stem_of, self.companions_in(directory).images))
                if naming.stem_of(name) in stems:
                    return f"another image with the stem {naming.stem_of(name)} is in {directory}/ already"
        self._reserved |= here
        for directory, name in map(split, pictures):
            self._stems[directory].add(naming.stem_of(name))
        return None

    def require_free(self, ops: Iterable[FileOp]) -> None:
        """`reserve`; raises HeldError where that says why not."""
        reason = self.reserve(ops)
        if reason is not None:
            raise HeldError(reason)

    def name_limit(self, directory: str, name: str, companions: Iterable[tuple[str, str]]) -> int:
        """How many bytes an image's new name in a folder may have, given relative to the root; it need not exist yet.

        `name` is the image's so far; the names of its companions begin as it does, and may end in more.
        """
        names, paths = self._limits_of(directory)
        size = len(os.fsencode(name))
        longest = max([size, *(len(os.fsencode(file)) for file, _ in companions)])
        return min(names, paths - len(os.fsencode(self.root / directory)) - 2) - (longest - size)

    def _device_of(self, directory: str) -> int:
        return os.stat(self._nearest(directory)).st_dev

    def _too_long(self, directory: str, name: str, wide: Set[int]) -> str | None:
        names, paths = self._limits_of(directory)
        size = units = len(os.fsencode(name))
        if size > names and self._device_of(directory) in wide:  # exFAT, NTFS
            units = len(name.encode("utf-16-le", "surrogatepass")) // 2
        if units > names:
            unit = "bytes" if units == size else "letters"
            what = f"{name} would have {units} {unit}, and names in {directory or '.'}/ may have {names}"
        elif len(os.fsencode(self.root / directory)) + max(size, _TEMPORARY) + 1 >= paths:
            what = f"the path of {name} in {directory or '.'}/ would be too long for the system"
        else:
            return None
        return f"{what}: give the image and its companions a shorter name, then scan again"

    def _limits_of(self, directory: str) -> tuple[int, int]:
        """(bytes of a name, bytes of a path with the byte that ends it)."""
        if directory not in self._limits:
            folder = self._nearest(directory)
            try:
                self._limits[directory] = os.pathconf(folder, "PC_NAME_MAX"), os.pathconf(folder, "PC_PATH_MAX")
            except OSError:  # a disk that does not say
                self._limits[directory] = _NAME_MAX, _PATH_MAX
        return self._limits[directory]

    def _nearest(self, directory: str) -> Path:
        """The folder, or the nearest one above it that is there."""
        folder = self.root / directory
        while not os.path.isdir(folder) and folder != self.root:
            folder = folder.parent
        return folder


Identity = tuple[int, int]  # (device, inode)
_NONE: Identity = (-1, -1)
# Linux opens a folder that may not be read, too (O_PATH)
_LOOKING: int = getattr(os, "O_PATH", os.O_RDONLY)


class ImageFolder:
    """The image folder as it was when a command began, and which steps of its journal may have been taken.

    A disk can be unplugged and a folder renamed in the middle of a batch. Then there is nothing at the path, an empty
    mount point or another folder: files that are missing there are not lost, and nothing may be created there. Raises
    FileOperationError where there is no such folder, or it cannot be opened.
    """

    def __init__(self, root: Path, project_id: str = "") -> None:
        self.root, self._project_id = root, project_id
        self.earlier: set[int | None] = set()  # ids of steps that an earlier run planned, and may have taken
        self.taken: set[int | None] = set()  # ids of the steps that this run has taken
        try:
            # held open, since the number of a folder that is removed can be given to another
            self._descriptor = os.open(root, _LOOKING | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FileOperationError(error.strerror or str(error), "opening the image folder", [root]) from error
        found = os.fstat(self._descriptor)
        self._known: dict[str, Identity] = {"": (found.st_dev, found.st_ino)}
        self._look_at(naming.OWNED_FOLDERS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    @property
    def way_out(self) -> str:
        """What to do about files that are in neither of their places, "" where no project is named."""
        if not self._project_id:
            return ""
        recover = f"pickroom recover {self._project_id}"
        return f"bring its disk or folder back, then: {recover}; if it is gone for good: {recover} --give-up"

    def may_have_moved(self, op: FileOp) -> bool:
        """False where it is certain that a step was never taken: this run planned it, and did not come to it."""
        return op.id in self.earlier or op.id in self.taken

    def require(self, ops: Iterable[FileOp] = (), folders: Iterable[str] = ()) -> None:
        """Refuse to go on where the image folder, or a folder of these steps, is not the one that it was before.

        `folders` are others, relative to the root. Raises FileOperationError.
        """
        paths = [path for op in ops for path in op.paths if naming.stays_inside(path)]
        # a folder below one of Pickroom's, which may lie on another disk, says nothing where that is away
        above = {top for path in paths if (top := path.partition("/")[0]) in naming.OWNED_FOLDERS}
        changed = self._look_at({"", *folders, *above, *map(folder_of, paths)})
        if changed is None:
            return
        path = self.root / changed
        if not os.path.isdir(path):
            what = "the folder is gone"
        else:
            what = f"{'another' if holds_anything(path) else 'an empty'} folder is in its place now"
        raise FileOperationError(what, "moving files", [path], self.way_out)

    def make(self, folder: str) -> None:
        """Make a folder given relative to the root, in the folder that is held open, wherever that is now; OSError."""
        make_folder(self.root, folder, self._descriptor)
        self._look_at([folder])

    def remove_empty(self, folder: str) -> None:
        """Remove a folder below one of Pickroom's, and those above it, as far as an undo has left them empty."""
        while (above := folder_of(folder)) and folder.partition("/")[0] in naming.OWNED_FOLDERS:
            try:
                os.rmdir(self.root / folder)
            except OSError:  # it holds other files, or is gone already
                return
            self._known.pop(folder, None)
            folder = above

    def distrust(self, folder: str) -> None:
        """Let `require` refuse a folder given relative to the root: its disk seems to be away."""
        self._known[folder] = _NONE

    def _look_at(self, folders: Iterable[str]) -> str | None:
        """Remember folders that are seen for the first time; the first that is not as remembered, None without one."""
        for folder in folders:
            try:
                found = os.stat(self.root / folder)
                now: Identity | None = (found.st_dev, found.st_ino)
            except OSError:
                now = None
            if folder not in self._known:
                if now is not None:
                    self._known[folder] = now
            elif now != self._known[folder]:
                return folder
        return None


_PATIENCE = 0.2  # seconds: a doctor that looks whether somebody is at work takes the lock for a moment


@contextmanager
def project_lock(project: Project, doing: str) -> Iterator[None]:
    """Hold the project's lock, or raise LockedError when another process, or window, holds it and goes on to.

    `doing` says what for, in a gerund phrase; the other process is told. Raises ProjectError where the project is a
    copy in a sandbox, which is not there.
    """
    if project.root in project.workspace.root.parents:
        project.require_root()  # the lock lies in the copy, and nothing may be made where one was
    with exclusive(project.lock_file, f"project {project.id}", doing, patience=_PATIENCE):
        yield


@contextmanager
def moving_files(project: Project, doing: str) -> Iterator[ImageFolder]:
    """Hold the project's lock and its image folder.

    Raises LockedError as `project_lock`, ProjectError where the image folder is not there.
    """
    project.require_root()
    with project_lock(project, doing), ImageFolder(project.root, project.id) as folder:
        yield folder
