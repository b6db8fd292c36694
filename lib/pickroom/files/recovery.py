"""Finish what a crash interrupted, in every journal of a project: its own, and those of its copies in sandboxes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from pickroom.core.errors import PickroomError, ProjectError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.files import journal, journal_locations
from pickroom.files.folder import ImageFolder
from pickroom.files.handlers import LEDGERS
from pickroom.files.journal import Outcome
from pickroom.files.lock import moving_files
from pickroom.files.preflight import require_images
from pickroom.store import operations
from pickroom.store.connect import connect, open_read_only, open_unchecked
from pickroom.store.workspace import Project

_CLOSING = "closing units whose files are gone"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A journal with steps that are planned and not known to be taken.

    Attributes:
        project: whose journal it is: the project itself, or a copy of it.
        count: how many steps; problem: why they cannot be counted, "" when they can.
    """

    project: Project
    count: int
    problem: str = ""

    def to_dict(self) -> dict[str, str | int]:
        """As `pickroom status --json` lists it."""
        return {"root": str(self.project.root), "planned_operations": self.count, "problem": self.problem}


def unfinished(project: Project) -> list[Unfinished]:
    """The project's journals that hold planned steps, or cannot be read. Changes nothing.

    Raises:
        StoreError: the project's own database cannot be read.
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
        if not (one.count or one.problem or sweep):
            continue
        try:
            if one.problem:
                outcome.stuck[str(one.project.root)] = one.problem
                continue
            with closing(connect(one.project.database)) as own, moving_files(one.project, "recovering") as its:
                ran = _run(its, own, sweep)
        except PickroomError as error:
            outcome.stuck[str(one.project.root)] = error.line
        else:
            _add(outcome, ran)
    return outcome


def close_lost(project: Project, *, execute: bool) -> tuple[dict[str, list[str]], Outcome]:
    """Close the units of which a file is in neither of its places, which `recover` leaves planned: it is gone for good.

    Their other files are put back, their rows taken back; in the project's journal and in those of its copies.

    Args:
        execute: False changes nothing, and finishes nothing either.

    Returns:
        Unit -> the paths that its missing files had; and what was done.

    Raises:
        ConflictError: none of the project's images are in the image folder; otherwise as `undo.recover`.
    """
    found: dict[str, list[str]] = {}
    result = Outcome()
    for one in (project, *journal_locations.copies(project)):
        one.require_root()
        with closing(connect(one.database)) as connection, moving_files(one, _CLOSING) as folder:
            hint = f"plug its disk in, or: pickroom relocate {project.id} NEW_FOLDER"
            require_images(one, connection, _CLOSING, hint)
            if execute:
                _add(result, journal.run_planned(folder, connection, LEDGERS, verify=True, trusting=True))
            missing, closed = journal.close_lost(folder, connection, LEDGERS, execute=execute)
            found |= missing
            for unit in closed.failed:
                result.stuck.pop(unit, None)
            _add(result, closed)
    return found, result


def _add(outcome: Outcome, ran: Outcome) -> None:
    outcome.done += ran.done
    outcome.failed |= ran.failed
    outcome.stuck |= ran.stuck


def _run(folder: ImageFolder, connection: sqlite3.Connection, sweep: bool) -> Outcome:
    outcome = journal.run_planned(folder, connection, LEDGERS, verify=True)
    if sweep and operations.count_planned(connection) == 0:
        # an undo copies back among the images: a kill after its last commit leaves a partial file there
        journal.sweep(folder.root, {*OWNED_FOLDERS, *operations.folders(connection)})
    return outcome


def _of_copies(project: Project) -> Iterator[Unfinished]:
    try:
        for copy in journal_locations.copies(project):
            try:
                with open_unchecked(copy.database) as connection:
                    count, problem = operations.count_planned(connection), ""
            except (PickroomError, sqlite3.Error) as error:
                count, problem = 0, f"the database of this copy cannot be read: {error}"
            yield Unfinished(copy, count, problem)
    except ProjectError as error:  # the list of sandboxes
        yield Unfinished(project, 0, error.line)
