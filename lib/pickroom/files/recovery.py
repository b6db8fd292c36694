"""Finish what a crash interrupted, in every journal of a project: its own, and those of its copies in sandboxes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

from pickroom import journals
from pickroom.errors import PickroomError, ProjectError
from pickroom.files import journal
from pickroom.files.journal import Outcome
from pickroom.files.ledgers import LEDGERS
from pickroom.files.lock import project_lock
from pickroom.naming import OWNED_FOLDERS
from pickroom.store import operations
from pickroom.store.connect import connect, open_as_it_is, open_read_only
from pickroom.workspace import Project


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


def finish_interrupted(project: Project, connection: sqlite3.Connection, *, sweep: bool = False) -> Outcome:
    """Take every planned step of the project, whose lock the caller holds, then of each of its copies.

    A copy that cannot be worked on is in `stuck` under its folder: it keeps nobody from the project's own work.

    Args:
        sweep: also remove the partial files of crops that were being rendered, where nothing is planned any more.

    Raises:
        StoreError: as `journal.run_planned`, of the project's own journal.
    """
    outcome = _run(project, connection, sweep)
    for one in _of_copies(project):
        if not (one.count or one.problem or sweep):
            continue
        try:
            if one.problem:
                outcome.stuck[str(one.project.root)] = one.problem
                continue
            with closing(connect(one.project.database)) as own, project_lock(one.project, "recovering"):
                ran = _run(one.project, own, sweep)
        except PickroomError as error:
            outcome.stuck[str(one.project.root)] = error.line
        else:
            outcome.done += ran.done
            outcome.failed |= ran.failed
            outcome.stuck |= ran.stuck
    return outcome


def _run(project: Project, connection: sqlite3.Connection, sweep: bool) -> Outcome:
    outcome = journal.run_planned(project.root, connection, LEDGERS, verify=True)
    if sweep and operations.count_planned(connection) == 0:
        # an undo copies back among the images: a kill after its last commit leaves a partial file there
        journal.sweep(project.root, {*OWNED_FOLDERS, *operations.folders(connection)})
    return outcome


def _of_copies(project: Project) -> Iterator[Unfinished]:
    try:
        for copy in journals.copies(project):
            try:
                with open_as_it_is(copy.database) as connection:
                    count, problem = operations.count_planned(connection), ""
            except (PickroomError, sqlite3.Error) as error:
                count, problem = 0, f"the database of this copy cannot be read: {error}"
            yield Unfinished(copy, count, problem)
    except ProjectError as error:  # the list of sandboxes
        yield Unfinished(project, 0, error.line)
