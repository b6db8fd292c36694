"""One batch of file operations: lock the project, finish what was interrupted, plan, commit, move the files."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from pickroom.core.errors import StoreError
from pickroom.core.records import FileOp
from pickroom.files import journal
from pickroom.files.folder import ImageFolder
from pickroom.files.journal import Outcome
from pickroom.files.lock import moving_files
from pickroom.files.recovery import finish_interrupted
from pickroom.store import operations
from pickroom.store.connect import transaction
from pickroom.store.workspace import Project

Written = TypeVar("Written")


class Batch:
    """A batch while its project's lock is held; `commit` or `plan` it, then `run` it.

    Attributes:
        number: for `undo --batch`; the next free one.
        committed: whether anything of it was committed.
    """

    def __init__(self, connection: sqlite3.Connection, folder: ImageFolder) -> None:
        self.folder, self._connection = folder, connection
        self.number, self.committed = operations.next_batch(connection), False

    def commit(self, ops: Iterable[FileOp], write: Callable[[], Written]) -> Written:
        """Write rows and journal steps in one transaction, if every folder of the steps is as it was.

        Args:
            ops: the steps as they were planned.
            write: journals those that still hold, with their rows; its result is returned.

        Raises:
            FileOperationError: the image folder, or one in it, has gone or was replaced.
        """
        self.folder.require(ops)
        with transaction(self._connection):
            written = write()
        self.committed = True
        return written

    def plan(self, ops: Iterable[FileOp]) -> None:
        """Journal steps that no row goes with; raises as `commit`."""
        ops = tuple(ops)
        self.commit(ops, lambda: operations.plan(self._connection, ops))

    def run(self) -> Outcome:
        """Take every planned step."""
        return journal.run_planned(self.folder, self._connection)


@contextmanager
def run_batch(
    project: Project,
    connection: sqlite3.Connection,
    doing: str,
    *,
    finish: Callable[[Project, sqlite3.Connection, ImageFolder], object] = finish_interrupted,
    sweep: bool = False,
) -> Iterator[Batch]:
    """Hold the project's lock, finish what a crash interrupted, and give a batch to plan, commit and run.

    Args:
        doing: what for, in a gerund phrase.
        finish: how interrupted steps are finished.
        sweep: remove partial files at the end: the batch renders crops.

    Raises:
        LockedError: another window or process is moving this project's files.
        ProjectError, FileOperationError: the image folder is not there.
        StoreError: the database refused, or a planned step is of a kind that this program does not know. Before the
            commit no file has moved. After it the rows stand, and `pickroom recover` goes on; the hint says which.
    """
    batch = None
    with moving_files(project, doing) as folder:
        try:
            try:
                finish(project, connection, folder)
                batch = Batch(connection, folder)
                yield batch
            finally:
                if sweep and operations.count_planned(connection) == 0:
                    journal.sweep(project.root)
        except sqlite3.Error as error:
            hint = "no file was moved"
            if batch is not None and batch.committed:
                hint = f"what was decided stands, some files may have moved; finish it: pickroom recover {project.id}"
            raise StoreError(str(error), doing=doing, subject=project.database, hint=hint) from error
