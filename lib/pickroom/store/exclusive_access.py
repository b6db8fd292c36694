"""A database that nobody else has open: what may be moved away, or pointed at other images."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from pickroom.core.errors import LockedError
from pickroom.store.connections import release_file

# the bytes that SQLite's own locks are taken on: whoever has read a database in WAL mode holds some of them until it is
# closed (https://sqlite.org/fileformat2.html#the_lock_byte_page)
_LOCK_BYTE, _LOCK_BYTES = 0x40000000, 512


@contextmanager
def alone(path: Path, doing: str) -> Iterator[None]:
    """Have a database file to oneself: nobody has it open, and nobody can read or write it until the end of the block.

    Nothing of it is read, so that a damaged one will do; what is no file is nobody's. Within the block this process
    may rename it, and may not open it: closing it would free the lock.

    Raises:
        LockedError: another process has it open, or this one.
        OSError: it may not be opened.
    """
    with release_file(path) as free:
        if not free:
            raise _open_in("this process", doing, path)
        if not path.is_file():
            yield
            return
        with ExitStack() as held:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            held.callback(os.close, descriptor)
            try:
                if _lock_of(path).exists():
                    fcntl.flock(held.enter_context(_lock_of(path).open("ab")), fcntl.LOCK_EX | fcntl.LOCK_NB)
                fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, _LOCK_BYTES, _LOCK_BYTE)
            except (BlockingIOError, PermissionError):  # which of the two, POSIX leaves open
                raise _open_in("another process", doing, path) from None
            yield


def say_open(file: Path) -> BinaryIO | None:
    """Hold a lock that `alone` sees, until what is returned is closed: for a database that is open and not in WAL mode.

    SQLite's own locks say nothing of such a one between two transactions. None where the disk has no locks.
    """
    with suppress(OSError):
        held = _lock_of(file).open("ab")
        try:
            fcntl.flock(held, fcntl.LOCK_SH)  # who is alone with it is not so for long
            return held
        except OSError:
            held.close()
    return None


def _lock_of(path: Path) -> Path:
    file = path.resolve()
    return file.with_name(f"{file.name}.lock")


def _open_in(where: str, doing: str, path: Path) -> LockedError:
    return LockedError(
        f"{where} has this database open",
        doing=doing,
        subject=path,
        hint="close the windows and commands that use the project, notebooks with their kernels, then try again; "
        "nothing was changed",
    )
