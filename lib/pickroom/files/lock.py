"""One process at a time moves a project's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pickroom.locking import exclusive
from pickroom.workspace import Project

_PATIENCE = 0.2  # seconds: a doctor that looks whether somebody is at work takes the lock for a moment


@contextmanager
def project_lock(project: Project, doing: str) -> Iterator[None]:
    """Hold the project's lock, or raise LockedError when another process, or window, holds it and goes on to.

    Args:
        doing: what for, in a gerund phrase; the other process is told.
    """
    with exclusive(project.lock_file, f"project {project.id}", doing, patience=_PATIENCE):
        yield
