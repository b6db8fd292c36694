"""Atomic writes: write a temporary file, fsync it, then give it its name without replacing another file.

A rename is atomic within one file system, a file's bytes are safe after its fsync, a new name is safe after its
folder's fsync (POSIX; LWN 457667).
"""

import contextlib
import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from functools import cache
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pickroom.storage import leftovers
from pickroom.storage.leftovers import PARTIAL_SUFFIX as PARTIAL_SUFFIX

_AT_FDCWD = -100
_LINUX_RENAME_NOREPLACE = 1  # <linux/fs.h>
_MACOS_RENAME_EXCL = 4  # <sys/stdio.h>
# what a kernel or file system answers when it cannot rename without replacing
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
# ... when it has no hard links (link(2): EPERM; exFAT and SMB on macOS: ENOTSUP)
_NO_LINKS = (*_UNSUPPORTED, errno.EPERM, errno.EMLINK)
# ... when it keeps no permissions, or not the times that it is given
_NO_STAT = (*_UNSUPPORTED, errno.EPERM, errno.EACCES)
# ... when it cannot sync a folder, where no names could be lost that way (as PostgreSQL's fsync_fname_ext)
_NO_FOLDER_SYNC = (*_UNSUPPORTED, errno.EPERM, errno.EBADF)
# ... when a name holds a character that it does not take: exFAT through FUSE says ENOENT
_NO_SUCH_NAME = (errno.EINVAL, errno.ENOENT, errno.EILSEQ)


def write_bytes(path: Path, data: bytes) -> None:
    """Replace `path` by `data` atomically and durably; the old content survives any failure."""
    _write_and(replace, path, data)
    sync_folders([path.parent])


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for UTF-8 text."""
    write_bytes(path, text.encode())


def create_bytes(path: Path, data: bytes, *, durable: bool = True) -> None:
    """Like `write_bytes`, but raises FileExistsError when `path` exists. The folder is not yet synced.

    Args:
        durable: False for files that can be made again and whose reader detects an incomplete one: waiting for the disk
            takes most of the time of a small file.
    """
    _write_and(publish, path, data, durable=durable)


def _write_and(name: Callable[[Path, Path], None], path: Path, data: bytes, *, durable: bool = True) -> None:
    temporary, file = _write_beside(path, data, durable)
    try:
        with file:  # while it is open, no other process removes it as a leftover
            name(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _write_beside(path: Path, data: bytes, durable: bool) -> tuple[Path, BinaryIO]:
    temporary, file = leftovers.open_partial(path.parent)
    try:
        file.write(data)
        file.flush()
        if durable:
            sync(file.fileno())
    except BaseException:
        with contextlib.suppress(OSError):  # it tries to write again
            file.close()
        temporary.unlink(missing_ok=True)
        raise
    return temporary, file


def rename_noreplace(source: Path, destination: Path) -> None:
    """Rename within one file system; raises FileExistsError rather than replace the destination.

    One kernel call where the system has it (Linux renameat2, macOS renamex_np), else link and unlink.

    Raises:
        OSError: as the system says; EXDEV, as between two file systems, also where this one can do neither.
    """
    code = _kernel_rename(os.fsencode(source), os.fsencode(destination))
    if code == 0:
        return
    if code not in _UNSUPPORTED:
        raise OSError(code, os.strerror(code), str(source), None, str(destination))
    try:
        os.link(source, destination, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        what = "the disk can neither rename without replacing nor link"
        raise OSError(errno.EXDEV, what, str(source), None, str(destination)) from error
    try:
        if source.parent != destination.parent:  # a power cut must not take the old name before the new one is kept
            sync_folders([destination.parent])
        source.unlink()
    except OSError:
        destination.unlink()
        raise


def publish(source: Path, destination: Path) -> None:
    """Give a file or folder that Pickroom made its final name; raises FileExistsError rather than replace anything.

    Where the disk cannot do that in one call (exFAT, SMB), an empty file claims the name first, and the rename replaces
    that. A kill in between leaves the empty file: see `drop_claim`.
    """
    try:
        rename_noreplace(source, destination)
        return
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
    if source.is_dir() and not source.is_symlink():
        if os.path.lexists(destination):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(destination))
        os.rename(source, destination)  # if something appears in between, this can replace at most an empty folder
        return
    try:
        os.close(os.open(destination, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
    except OSError as error:
        _require_possible_name(error, source, destination)
        raise
    try:
        os.rename(source, destination)
    except OSError:
        destination.unlink(missing_ok=True)
        raise


def drop_claim(path: Path) -> None:
    """Remove the empty file that a killed `publish` has left at a path, so that it can be published again.

    On disks where `publish` makes no such files, an empty file belongs to the user and stays. The caller must know that
    no other process is publishing there.
    """
    with contextlib.suppress(OSError):
        info = path.lstat()
        if stat.S_ISREG(info.st_mode) and not info.st_size and not renames_without_replacing(path.parent):
            path.unlink()


def renames_without_replacing(folder: Path) -> bool:
    """Whether `rename_noreplace` works in a folder; tries it with a file of its own. Raises OSError if it may not."""
    source, destination = leftovers.partial_in(folder), leftovers.partial_in(folder)
    source.touch(exist_ok=False)
    try:
        rename_noreplace(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    finally:
        source.unlink(missing_ok=True)
        destination.unlink(missing_ok=True)
    return True


def replace(source: Path, destination: Path) -> None:
    """`os.replace` within one folder; the OSError names the reason where the disk does not take the name."""
    try:
        os.replace(source, destination)
    except OSError as error:
        _require_possible_name(error, source, destination)
        raise


def _require_possible_name(error: OSError, source: Path, destination: Path) -> None:
    """Raise an OSError with this reason where the disk does not accept a name."""
    if error.errno in _NO_SUCH_NAME and os.path.lexists(source) and destination.parent.is_dir():
        what = 'the disk takes no such name; exFAT and SMB take none with : ? * " < > | or \\'
        raise OSError(errno.EINVAL, what, str(destination)) from error


@cache
def _libc() -> ctypes.CDLL:
    """Opened once: each opening makes a class of its own, which took longer than the renames."""
    return ctypes.CDLL(None, use_errno=True)


def _kernel_rename(source: bytes, destination: bytes) -> int:
    libc = _libc()
    ctypes.set_errno(0)
    if sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        failed = libc.renameat2(_AT_FDCWD, source, _AT_FDCWD, destination, _LINUX_RENAME_NOREPLACE)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(source, destination, _MACOS_RENAME_EXCL)
    else:
        return errno.ENOSYS
    return ctypes.get_errno() if failed else 0


def copy_stat(source: Path, destination: Path) -> None:
    """Give a file the times and permissions of another, as far as its disk keeps them (exFAT and SMB keep few)."""
    for copy in (shutil.copystat, shutil.copymode):  # copystat stops where it is refused, before the permissions
        try:
            copy(source, destination)
            return
        except OSError as error:
            if error.errno not in _NO_STAT:
                raise


def sync(descriptor: int) -> None:
    """Wait until what was written to a file is on the disk.

    macOS's own fsync leaves it in the drive's cache, which a power cut empties (its manual, fsync(2)): there the drive
    is asked too, where it can be asked.
    """
    full = getattr(fcntl, "F_FULLFSYNC", None)
    if full is not None:
        with contextlib.suppress(OSError):  # a network disk knows no such thing
            fcntl.fcntl(descriptor, full)
            return
    os.fsync(descriptor)


def sync_folders(folders: Iterable[Path]) -> None:
    """Make new, renamed and removed names in these folders durable."""
    for folder in set(folders):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            sync(descriptor)
        except OSError as error:
            if error.errno not in _NO_FOLDER_SYNC:
                raise
        finally:
            os.close(descriptor)


def free_bytes(folder: Path) -> int:
    """Free bytes on the disk of a folder, also of one that does not exist yet."""
    return shutil.disk_usage(next(path for path in (folder, *folder.parents) if path.exists())).free


def sha256_of(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in blocks so that memory stays bounded; OSError as `open_plain`."""
    with open_plain(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading, or a link to one.

    Raises:
        OSError: as `open` does; also for a pipe, a socket or a device, which would keep its reader waiting for ever or
            never end.
    """
    # without O_NONBLOCK opening a pipe would wait; for a plain file it has no effect
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "not a plain file", str(path))
        return open(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_small(path: Path, most: int) -> bytes:
    """All bytes of a file that should be small; OSError as `open_plain`, and when it holds more than `most`."""
    with open_plain(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"larger than {most:,} bytes", str(path))
    return data
