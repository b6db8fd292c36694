"""Locks: an exclusive `flock` that the kernel frees when its process ends."""

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pickroom.core.errors import LockedError, StoreError


@contextmanager
def exclusive(path: Path, at_work_on: str, doing: str, *, patience: float = 0.0) -> Iterator[None]:
    """Hold the lock on a file, made if need be, or raise LockedError when another process, or window, holds it.

    Raises StoreError where the disk has no locks, as on some network disks.

    Args:
        at_work_on: what the lock guards, as in "process 7 is at work on project anna".
        doing: the purpose (a gerund phrase); other processes are told it.
        patience: seconds to try for; 0 refuses at once. Where others call `is_held`, use a little more than 0.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # never removed: a lock on an unlinked file would not exclude anybody
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            taken = _taken(descriptor, patience)
        except OSError as error:
            hint = "keep the workspace on a disk of this computer: give its folder with --home"
            what = f"the disk of the workspace cannot lock files ({error.strerror})"
            raise StoreError(what, doing=doing, subject=path, hint=hint) from error
        if not taken:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            hint = "wait until it has finished, then try again"
            raise LockedError(f"{holder} is at work on {at_work_on}", doing=doing, subject=path, hint=hint)
        with contextlib.suppress(OSError):  # only a note for others: a full disk must not prevent an undo
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"process {os.getpid()} ({doing})\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # frees the lock


def is_held(path: Path) -> bool:
    """Whether a process holds the lock on a file now. Looking takes it for a moment."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:  # any other: a disk without locks
        return isinstance(error, BlockingIOError)
    finally:
        os.close(descriptor)
    return False


class SharedLock:
    """A lock that several hold at once, each of which can tell whether it is alone. The kernel frees it on death.

    On a disk without locks everyone is alone.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with contextlib.suppress(OSError):
            fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def is_alone(self) -> bool:
        """Whether nobody else holds it now. Looking takes the lock alone for a moment."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:  # any other: a disk without locks
            return not isinstance(error, BlockingIOError)
        finally:
            with contextlib.suppress(OSError):  # a refused change of the lock has freed it (flock(2))
                fcntl.flock(self._descriptor, fcntl.LOCK_SH)
        return True

    def close(self) -> None:
        """Free it."""
        os.close(self._descriptor)


def _taken(descriptor: int, patience: float) -> bool:
    until = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
        time.sleep(0.01)
