"""One process at a time moves a project's files."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pickroom.files.folder import ImageFolder
from pickroom.storage.locking import exclusive
from pickroom.store.workspace import Project

_PATIENCE = 0.2  # seconds: a doctor that looks whether somebody is at work takes the lock for a moment


@contextmanager
def project_lock(project: Project, doing: str) -> Iterator[None]:
    """Hold the project's lock, or raise LockedError when another process, or window, holds it and goes on to.

    Args:
        doing: what for, in a gerund phrase; the other process is told.

    Raises:
        ProjectError: the project is a copy in a sandbox, which is not there.
    """
    if project.root in project.workspace.root.parents:
        project.require_root()  # the lock lies in the copy, and nothing may be made where one was
    with exclusive(project.lock_file, f"project {project.id}", doing, patience=_PATIENCE):
        yield


@contextmanager
def moving_files(project: Project, doing: str) -> Iterator[ImageFolder]:
    """Hold the project's lock and its image folder.

    Raises:
        LockedError: as `project_lock`. ProjectError: the image folder is not there.
    """
    project.require_root()
    with project_lock(project, doing), ImageFolder(project.root, project.id) as folder:
        yield folder
