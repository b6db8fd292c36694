"""A project's image folder, held open while its files are moved.

A disk can be unplugged and a folder renamed in the middle of a batch. Then there is nothing at the path, an empty mount
point or another folder: files that are missing there are not lost, and nothing may be created there.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Self

from pickroom.core.errors import FileOperationError
from pickroom.core.naming import OWNED_FOLDERS, folder_of, stays_inside
from pickroom.core.records import FileOp
from pickroom.files.moves import holds_anything, make_folder

Identity = tuple[int, int]  # (device, inode)
_NONE: Identity = (-1, -1)
# Linux opens a folder that may not be read, too (O_PATH)
_LOOKING: int = getattr(os, "O_PATH", os.O_RDONLY)


class ImageFolder:
    """The image folder as it was when a command began, and which steps of its journal may have been taken.

    Attributes:
        root: its path.
        earlier: ids of steps that an earlier run planned, and may have taken.
        taken: ids of the steps that this run has taken.

    Raises:
        FileOperationError: there is no such folder, or it cannot be opened.
    """

    def __init__(self, root: Path, project_id: str = "") -> None:
        self.root, self._project_id = root, project_id
        self.earlier: set[int | None] = set()
        self.taken: set[int | None] = set()
        try:
            # held open, since the number of a folder that is removed can be given to another
            self._descriptor = os.open(root, _LOOKING | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise FileOperationError(error.strerror or str(error), "opening the image folder", [root]) from error
        found = os.fstat(self._descriptor)
        self._known: dict[str, Identity] = {"": (found.st_dev, found.st_ino)}
        self._look_at(OWNED_FOLDERS)

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

        Args:
            folders: others, relative to the root.

        Raises:
            FileOperationError: it has gone, or another folder is in its place.
        """
        paths = [path for op in ops for path in (op.source, op.destination) if path is not None and stays_inside(path)]
        changed = self._look_at({"", *folders, *map(folder_of, paths)})
        if changed is None:
            return
        path = self.root / changed
        if not os.path.isdir(path):
            what = "the folder is no longer there"
        else:
            what = f"{'another' if holds_anything(path) else 'an empty'} folder is in its place now"
        raise FileOperationError(what, "moving files", [path], self.way_out)

    def make(self, folder: str) -> None:
        """Make a folder given relative to the root, in the folder that is held open, wherever that is now; OSError."""
        make_folder(self.root, folder, self._descriptor)
        self._look_at([folder])

    def distrust(self, folder: str) -> None:
        """Let `require` refuse a folder given relative to the root: its disk seems to be away."""
        self._known[folder] = _NONE

    def _look_at(self, folders: Iterable[str]) -> str | None:
        """Remember folders that are seen for the first time; the first that is not as remembered, None without one."""
        for folder in folders:
            now = _identity_of(self.root / folder)
            if folder not in self._known:
                if now is not None:
                    self._known[folder] = now
            elif now != self._known[folder]:
                return folder
        return None


def _identity_of(folder: Path) -> Identity | None:
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino
