"""Finish what a crash interrupted, in every journal of a project: its own, and those of its copies in sandboxes.

A copy lies in `<sandbox>/<project>/`: images under the same relative paths, and in `.pickroom/`, which no scan enters,
a workspace with manifest and database. Sandboxes elsewhere (`auto --sandbox DIR`) are listed in
`sandbox/<project>.sandboxes.json`, so that what a crash left in them is found without naming them again.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

from pickroom.core.errors import FileOperationError, PickroomError, ProjectError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.files import journal
from pickroom.files.journal import Outcome
from pickroom.files.preflight import ImageFolder, moving_files, require_images
from pickroom.storage import atomic, json_records
from pickroom.storage.locking import exclusive
from pickroom.store import operations
from pickroom.store.connect import connect, open_read_only, open_unchecked
from pickroom.store.workspace import INNER, Project, Workspace

_CLOSING = "closing units whose files are gone"
_PATIENCE_S = 10.0


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A journal with steps that are planned and not known to be taken."""

    project: Project  # whose journal it is: the project itself, or a copy of it
    count: int  # how many steps; problem: why they cannot be counted, "" when they can
    problem: str = ""

    def to_dict(self) -> dict[str, str | int]:
        """As `pickroom status --json` lists it."""
        return {"root": str(self.project.root), "planned_operations": self.count, "problem": self.problem}


def unfinished(project: Project) -> list[Unfinished]:
    """The project's journals that hold planned steps, or cannot be read. Changes nothing.

    Raises StoreError where the project's own database cannot be read.
    """
    with open_read_only(project.database) as connection:
        found = [Unfinished(project, operations.count_planned(connection)), *_of_copies(project)]
    return [one for one in found if one.count or one.problem]


def finish_interrupted(
    project: Project, connection: sqlite3.Connection, folder: ImageFolder, *, sweep: bool = False
) -> Outcome:
    """Take every planned step of the project, whose lock the caller holds, then of each of its copies.

    A copy that cannot be worked on is in `stuck` under its folder: it keeps nobody from the project's own work.

    Args:
        folder: the project's, held open.
        sweep: also remove the partial files of crops that were being rendered, where nothing is planned any more.

    Raises:
        StoreError: as `journal.run_planned`, of the project's own journal.
    """
    outcome = _run(folder, connection, sweep)
    for one in _of_copies(project):
        if one.problem:
            outcome.stuck[str(one.project.root)] = one.problem
        elif one.count or sweep:
            try:
                with closing(connect(one.project.database)) as own, moving_files(one.project, "recovering") as its:
                    outcome.add(_run(its, own, sweep))
            except PickroomError as error:
                outcome.stuck[str(one.project.root)] = error.line
    return outcome


def close_lost(project: Project, *, execute: bool) -> tuple[dict[str, list[str]], Outcome]:
    """Close the units of which a file is in neither of its places, which `recover` leaves planned: it is gone for good.

    Their other files are put back, their rows taken back; in the project's journal and in those of its copies.

    Args:
        execute: False changes nothing, and finishes nothing either.

    Returns:
        Unit -> the paths that its missing files had; and what was done.

    Raises:
        ConflictError: none of the project's images are in the image folder; otherwise as `batch.recover`.
    """
    found: dict[str, list[str]] = {}
    result = Outcome()
    for one in (project, *copies(project)):
        one.require_root()
        with closing(connect(one.database)) as connection, moving_files(one, _CLOSING) as folder:
            require_images(one, connection, _CLOSING, project.relocate_hint)
            if execute:
                result.add(journal.run_planned(folder, connection, verify=True, trusting=True))
            missing, closed = journal.close_lost(folder, connection, execute=execute)
            found |= missing
            for unit in closed.failed:
                result.stuck.pop(unit, None)
            result.add(closed)
    return found, result


def _run(folder: ImageFolder, connection: sqlite3.Connection, sweep: bool) -> Outcome:
    outcome = journal.run_planned(folder, connection, verify=True)
    if sweep and operations.count_planned(connection) == 0:
        # an undo copies back among the images: a kill after its last commit leaves a partial file there
        journal.sweep(folder.root, {*OWNED_FOLDERS, *operations.folders(connection)})
    return outcome


def _of_copies(project: Project) -> Iterator[Unfinished]:
    try:
        for copy in copies(project):
            try:
                with open_unchecked(copy.database) as connection:
                    count, problem = operations.count_planned(connection), ""
            except (PickroomError, sqlite3.Error) as error:
                count, problem = 0, f"the database of this copy cannot be read: {error}"
            yield Unfinished(copy, count, problem)
    except ProjectError as error:  # the list of sandboxes
        yield Unfinished(project, 0, error.line)


def copy_in(project: Project, base: Path) -> Project:
    """A project's copy in a folder of sandboxes, whether it has been made or not."""
    folder = base / project.id
    # files of a copy move, also where the project's own stay and are rated
    return Project(Workspace(folder / INNER), replace(project.manifest, root=str(folder), in_place=None))


def copies(project: Project) -> Iterator[Project]:
    """The copies that are there, the one in the workspace's own sandbox first; one may have lost its database.

    Raises ProjectError where the list of other sandboxes is damaged.
    """
    own = project.workspace.sandbox.resolve()
    for base in dict.fromkeys((own, *remembered(project))):
        copy = copy_in(project, base)
        # a link leads out of the sandbox: the automation refuses it, and nothing is moved through it
        linked = copy.root.is_symlink() or copy.workspace.root.is_symlink()
        if not linked and copy.manifest_file.is_file():
            yield copy


def remembered(project: Project) -> tuple[Path, ...]:
    """The folders of sandboxes, other than the workspace's own, in which the project was copied.

    Raises ProjectError where the list is damaged.
    """
    found = json_records.read(
        list[json_records.NonEmpty],
        _list_of(project),
        what="the list of sandboxes cannot be read",
        doing=f"looking for the copies of {project.id}",
        hint=f"remove it, then name each sandbox again in turn: pickroom auto review {project.id}",
        error=ProjectError,
    )
    root = project.workspace.root.resolve()
    return tuple(root / name for name in found or ())


def remember(project: Project, base: Path) -> None:
    """Add a folder of sandboxes, an absolute one, to the list, so that its journal is found from now on.

    Raises FileOperationError where the list cannot be written, ProjectError where it is damaged, LockedError where
    another process has been writing it for seconds.
    """
    if base == project.workspace.sandbox.resolve() or base in remembered(project):
        return
    path, doing = _list_of(project), f"adding a sandbox of {project.id} to the list"
    root = project.workspace.root.resolve()
    try:
        with exclusive(path.with_suffix(".lock"), f"the list of {project.id}'s sandboxes", doing, patience=_PATIENCE_S):
            # read again: another process may have added one meanwhile
            found = dict.fromkeys((*remembered(project), base))
            # relative to the workspace where it lies in there, so that both can be moved together
            names = [(one.relative_to(root) if one.is_relative_to(root) else one).as_posix() for one in found]
            atomic.write_text(path, json.dumps(names, indent=1) + "\n")
    except OSError as error:
        raise FileOperationError.of(error, doing, path) from error


def _list_of(project: Project) -> Path:
    return project.workspace.sandbox / f"{project.id}.sandboxes.json"
