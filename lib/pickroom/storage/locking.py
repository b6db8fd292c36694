"""One process at a time: an exclusive `flock`, freed by the kernel when its holder dies."""

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

    Raises StoreError where the disk has no locks, as some network disks have none: nothing is guarded then.

    Args:
        at_work_on: what the lock guards, as in "process 7 is at work on project anna".
        doing: what for, in a gerund phrase; the other process is told.
        patience: seconds to try for; 0 refuses at once. Where others look with `is_held`, a little is needed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # never removed: a lock on a file that someone unlinks guards nothing
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
        with contextlib.suppress(OSError):  # only a note for others: a full disk must not keep anybody from undoing
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
    except BlockingIOError:
        return True
    except OSError:  # a disk without locks
        return False
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
        except BlockingIOError:
            return False
        except OSError:  # a disk without locks
            return True
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
