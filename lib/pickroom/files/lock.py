"""One process at a time moves a project's files: an exclusive `flock`, freed by the kernel when it dies."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pickroom.errors import LockedError
from pickroom.workspace import Project


@contextmanager
def project_lock(project: Project, doing: str) -> Iterator[None]:
    """Hold the project's lock, or raise LockedError at once when another process, or window, holds it.

    Args:
        doing: what for, in a gerund phrase; the other process is told.
    """
    project.lock_file.parent.mkdir(parents=True, exist_ok=True)
    # never removed: a lock on a file that someone unlinks guards nothing
    descriptor = os.open(project.lock_file, os.O_RDWR | os.O_CREAT, 0o666)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise LockedError(
                f"{holder} is at work on project {project.id}",
                doing=doing,
                subject=project.lock_file,
                hint="wait until it has finished, then try again",
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} ({doing})\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)  # frees the lock
