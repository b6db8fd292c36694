"""Every journal of a project: that of its own database, and those of its copies in sandboxes.

A copy lies in `<sandbox>/<project>/`: images under the same relative paths, and in `.pickroom/`, which no scan enters,
a workspace with manifest and database. Sandboxes elsewhere (`auto --sandbox DIR`) are listed in
`sandbox/<project>.sandboxes.json`, so that what a crash left in them is found without naming them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pickroom.core.errors import FileOperationError, ProjectError
from pickroom.storage import atomic, json_records
from pickroom.storage.locking import exclusive
from pickroom.store.manifest import INNER
from pickroom.store.workspace import Project, Workspace

_PATIENCE_S = 10.0


def copy_in(project: Project, base: Path) -> Project:
    """A project's copy in a folder of sandboxes, whether it has been made or not."""
    folder = base / project.id
    return Project(Workspace(folder / INNER), replace(project.manifest, root=str(folder)))


def copies(project: Project) -> Iterator[Project]:
    """The copies that are there, the one in the workspace's own sandbox first; one may have lost its database.

    Raises:
        ProjectError: the list of other sandboxes is damaged.
    """
    own = project.workspace.sandbox.resolve()
    for base in dict.fromkeys((own, *remembered(project))):
        copy = copy_in(project, base)
        # a link leads out of the sandbox: the automation refuses it, and nothing is moved through it
        linked = copy.root.is_symlink() or copy.workspace.root.is_symlink()
        if not linked and copy.manifest_file.is_file():
            yield copy


def every(project: Project) -> Iterator[Project]:
    """The project and its copies; each has a journal, a root and a lock of its own. Raises as `copies`."""
    yield project
    yield from copies(project)


def remembered(project: Project) -> tuple[Path, ...]:
    """The folders of sandboxes, other than the workspace's own, in which the project was copied.

    Raises:
        ProjectError: the list is damaged.
    """
    found = json_records.read(
        list[json_records.NonEmpty],
        _list_of(project),
        what="the list of sandboxes cannot be read",
        doing=f"looking for the copies of {project.id}",
        hint=f"remove it, then name each sandbox once: pickroom auto review {project.id} --sandbox FOLDER",
        error=ProjectError,
    )
    root = project.workspace.root.resolve()
    return tuple(root / name for name in found or ())


def remember(project: Project, base: Path) -> None:
    """Add a folder of sandboxes to the list, so that its journal is found from now on.

    Args:
        base: absolute; the workspace's own sandbox needs no entry.

    Raises:
        FileOperationError: the list cannot be written. ProjectError: it is damaged.
        LockedError: another process has been writing it for seconds.
    """
    if base == project.workspace.sandbox.resolve() or base in remembered(project):
        return
    path, doing = _list_of(project), f"adding a sandbox of {project.id} to the list"
    try:
        with exclusive(path.with_suffix(".lock"), f"the list of {project.id}'s sandboxes", doing, patience=_PATIENCE_S):
            # read again: another process may have added one meanwhile
            found = dict.fromkeys((*remembered(project), base))
            atomic.write_text(path, json.dumps([_written(project, known) for known in found], indent=1) + "\n")
    except OSError as error:
        raise FileOperationError(error.strerror or str(error), doing, [path]) from error


def _written(project: Project, base: Path) -> str:
    """As the list has it: relative to the workspace where it lies in there, so that both can be moved together."""
    root = project.workspace.root.resolve()
    return (base.relative_to(root) if base.is_relative_to(root) else base).as_posix()


def _list_of(project: Project) -> Path:
    return project.workspace.sandbox / f"{project.id}.sandboxes.json"
