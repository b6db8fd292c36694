"""Temporary files and folders, and the removal of those that killed processes left.

The process that makes one holds a `flock` while it is in use: on the file itself, or on a file in the folder. The
kernel frees the lock when the process ends, for any reason and on any machine. A file without a lock is a leftover. On
a disk without locks nothing is removed.
"""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import tempfile
import weakref
from pathlib import Path
from typing import BinaryIO

# the end of the name of a file that is being written; it marks what a crash leaves
PARTIAL_SUFFIX = ".pickroom-partial"
_PARTIAL = re.compile(rf"\.[0-9a-f]{{16}}{re.escape(PARTIAL_SUFFIX)}")
_HELD = ".pickroom-held"  # the locked file in a temporary folder; other programs' folders do not have it
_RANDOM = "[a-z0-9_]{8}"  # what tempfile ends a name with
# folders pickroom-<use>-* in the system's temporary folder; others with such names are not removed
_USES = ("analysis", "doctor", "extension", "import", "snapshot", "zip")
_swept: set[Path] = set()
os.register_at_fork(after_in_child=_swept.clear)


def partial_in(folder: Path) -> Path:
    """A free hidden name for a new file; removes the folder's leftovers first, once per process.

    The name does not contain the file's own: long names leave no room for more characters.
    """
    if folder not in _swept:
        _swept.add(folder)
        sweep_partials(folder)
    return folder / f".{secrets.token_hex(8)}{PARTIAL_SUFFIX}"


def sweep_partials(folder: Path) -> None:
    """Remove the partial files that nobody is writing."""
    for path in _named(folder, _PARTIAL):
        with contextlib.suppress(OSError):  # locked; or a link, which cannot be locked
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            finally:
                os.close(descriptor)


def open_partial(folder: Path) -> tuple[Path, BinaryIO]:
    """A new hidden file in a folder, open for writing and locked: until it is closed, no sweep removes it."""
    while True:
        path = partial_in(folder)
        file = path.open("xb")
        if hold(file.fileno(), path):
            return path, file
        file.close()  # a sweep that had begun before removed it before it was locked


def hold(descriptor: int, path: Path) -> bool:
    """Lock a new file until the descriptor is closed; False where a sweep was faster and removed it."""
    with contextlib.suppress(OSError):  # a disk without locks: then nobody sweeps it either
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        return os.path.samestat(os.fstat(descriptor), os.lstat(path))
    except FileNotFoundError:
        return False


def sweep_temporary() -> None:
    """Remove the folders that killed processes have left in the system's temporary folder."""
    with contextlib.suppress(OSError):  # there may be none that can be used
        _sweep_folders(Path(tempfile.gettempdir()), re.compile(rf"pickroom-({'|'.join(_USES)})-{_RANDOM}"))


class Folder:
    """A folder of mode 0700 that is removed when it is closed; as a context manager it gives its path.

    Args:
        prefix: what its name begins with; folders of that name that killed processes left next to it are removed.
        parent: where it is made; None for the system's temporary folder.

    Raises:
        OSError: it cannot be made.
    """

    def __init__(self, prefix: str, parent: Path | None = None) -> None:
        parent = Path(tempfile.gettempdir()) if parent is None else parent
        _sweep_folders(parent, re.compile(re.escape(prefix) + _RANDOM))
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
            held = self.path / _HELD
            with contextlib.suppress(FileNotFoundError):  # swept between two steps: the next one is not
                descriptor = os.open(held, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
                if hold(descriptor, held):
                    break
                os.close(descriptor)
        self._end = weakref.finalize(self, _remove, self.path, descriptor, os.getpid())

    def close(self) -> None:
        """Remove it; closing twice is fine."""
        self._end()

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_: object) -> None:
        self.close()


def _remove(path: Path, descriptor: int, pid: int) -> None:
    os.close(descriptor)  # first: a FUSE disk keeps a removed file, and so its folder, as long as it is open
    if os.getpid() == pid:  # a forked process does not remove what its parent works in
        shutil.rmtree(path, ignore_errors=True)


def _sweep_folders(parent: Path, pattern: re.Pattern[str]) -> None:
    for path in _named(parent, pattern):
        with contextlib.suppress(OSError):  # killed before it locked it; a living process makes another one
            if stat.S_IMODE(path.lstat().st_mode) == stat.S_IRWXU:
                path.rmdir()
        with contextlib.suppress(OSError):  # locked, another user's, or not a folder of Pickroom
            descriptor = os.open(path / _HELD, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            finally:
                os.close(descriptor)  # as in `_remove`
            shutil.rmtree(path, ignore_errors=True)


def _named(folder: Path, pattern: re.Pattern[str]) -> list[Path]:
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        return [folder / entry.name for entry in entries if pattern.fullmatch(entry.name)]
    return []
