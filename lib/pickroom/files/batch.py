"""One batch of file operations: lock the project, finish what was interrupted, plan, commit, move the files.

Undo of a batch, whichever command made it, and recovery after a crash are here, too.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from pickroom.core.companions import renamed
from pickroom.core.errors import ConflictError, LockedError, StoreError, UsageError
from pickroom.core.naming import STAGING, join, marked_name, mirrored, split
from pickroom.core.records import FileOp
from pickroom.files import journal, moves
from pickroom.files.journal import AUTOMATION, HANDLERS, Outcome
from pickroom.files.preflight import DiskSnapshot, HeldError, ImageFolder, held_reason, moving_files
from pickroom.files.recovery import finish_interrupted, unfinished
from pickroom.storage import atomic
from pickroom.store import decisions, operations
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
            commit no file has moved. After it the rows are kept, and `pickroom recover` finishes; the hint says which
            case it is.
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


def recover(project: Project, connection: sqlite3.Connection) -> Outcome:
    """Finish every planned step, forward, also of the project's copies in sandboxes; what cannot be finished is put
    back with its reason.

    Raises:
        LockedError: the process that planned them is still running.
        ProjectError: the image folder is not there.
        StoreError: the database refused, or a step is of a kind that this program does not know.
    """
    with moving_files(project, "recovering") as folder:
        return finish_interrupted(project, connection, folder, sweep=True)


def recover_if_planned(project: Project, connection: sqlite3.Connection) -> str:
    """Finish interrupted steps when a tool opens, unless the process that planned them is still running.

    Returns one line for the user, "" when nothing was planned. Raises ProjectError and StoreError as `recover`.
    """
    if not unfinished(project):
        return ""
    try:
        outcome = recover(project, connection)
    except LockedError as error:
        return error.line
    parts = [f"{len(outcome.done)} done", *outcome.troubles(project.id)]
    return f"interrupted work {'is unfinished' if outcome.stuck else 'was completed'}: {'; '.join(parts)}"


def undo_batch(project: Project, connection: sqlite3.Connection, batch: int) -> Outcome:
    """Undo a batch: files go back to their names and folders, what was written with them goes, choices return.

    A crop goes to delete_staging. A finished project becomes active: its report and archive are of what is undone.

    Raises:
        UsageError: no such batch, or it was undone before.
        ConflictError: a crop of the batch was made, or a file was changed or stands in the way; nothing is moved.
        LockedError, ProjectError, StoreError: as `run_batch`.
    """
    with run_batch(project, connection, f"undoing batch {batch}") as undoing:
        undoing.plan(plan_undo(project, connection, batch))
        if project.manifest.status == "finished":
            project.with_manifest(status="active")
        return undoing.run()


def undo_in_words(project: Project, connection: sqlite3.Connection, batch: int) -> tuple[Outcome, str]:
    """`undo_batch` with its result in words, problems first. Raises as `undo_batch`."""
    kinds = {op.unit: op.kind for op in operations.of_batch(connection, batch) if op.undoes is None}
    groups = len(decisions.batch_group_ids(connection, batch))
    outcome = undo_batch(project, connection, batch)
    counts = Counter(kinds[unit] for unit in set(outcome.done) if unit in kinds)
    if AUTOMATION in counts:
        counts[AUTOMATION] = groups  # its one unit is the whole apply
    parts = [f"{len(outcome.failed)} could not be taken back"] if outcome.failed else []
    if outcome.stuck:
        parts.append(f"{len(outcome.stuck)} unfinished: run `pickroom recover {project.id}`")
    how = "is undone" if not parts else "is undone in part" if counts else "is not undone"
    of_kind = [(counts[kind], handler.taken_back) for kind, handler in HANDLERS.items() if kind in counts]
    parts += [f"{count} {words[count != 1]}" for count, words in of_kind]
    return outcome, f"Batch {batch} of {project.id} {how}: {'; '.join(parts)}"


def plan_undo(project: Project, connection: sqlite3.Connection, batch: int, *, unread: bool = False) -> list[FileOp]:
    """The inverse steps of a batch, unit by unit and last first; changes nothing.

    Args:
        unread: only look whether the files are there, not what they hold: to say what blocks an undo, not to do it.

    Raises:
        UsageError, ConflictError: as `undo_batch`.
    """
    steps = [op for op in operations.of_batch(connection, batch) if op.undoes is None]
    if not steps:
        known = ", ".join(str(b["batch"]) for b in operations.batches(connection)) or "none yet"
        raise UsageError(f"no batch has the number {batch}", doing=f"undoing in {project.id}", hint=f"batches: {known}")
    done = [op for op in steps if op.state == "done"]
    if not done:
        raise UsageError(f"batch {batch} is already undone", doing=f"undoing in {project.id}")
    cropped = decisions.cropped_since(connection, batch)
    if cropped:
        what = f"batch {batch} has {len(cropped)} crop{'s' * (len(cropped) != 1)} made or dropped since"
        first = ", ".join(cropped[:3]) + (", ..." if len(cropped) > 3 else "")
        hint = f"undo those crops first, a later batch; their numbers: pickroom status {project.id}"
        raise ConflictError(what, doing="undoing a batch", subject=first, items=cropped, hint=hint)
    # where every batch has put files: what lies there goes back with its own batch
    placed = {op.destination for op in (*done, *operations.standing_moves(connection))}
    disk = DiskSnapshot(project.root)
    back: list[FileOp] = []
    problems = []
    for op in reversed(done):
        try:
            back += _steps_back(disk, op, placed, unread)
        except (HeldError, OSError) as error:
            problems.append(held_reason(error))
    in_the_way = disk.reserve(back)
    problems += [in_the_way] if in_the_way else []
    if problems:
        what = problems[0] + (f", and {len(problems) - 1} more" if len(problems) > 1 else "")
        doing, hint = f"undoing batch {batch}", "nothing was moved; put the files right, then undo again"
        if any(op.op != "move" and str(op.destination).endswith(".xmp") for op in done):
            hint = "nothing was changed; move a changed sidecar elsewhere, then undo again: it restores what was before"
        raise ConflictError(what, doing=doing, subject=project.root, items=problems, hint=hint)
    return back


def _steps_back(disk: DiskSnapshot, op: FileOp, placed: Collection[str | None], unread: bool) -> list[FileOp]:
    """The inverse of a step, and of a move those of companions that came later; raises HeldError, OSError."""
    step, path = moves.inverse(op), disk.root / (op.destination or "")
    if op.op == "move" and not path.is_file():
        raise HeldError(f"{op.destination} is gone")
    if not unread and op.op in ("write", "replace") and path.is_file() and atomic.sha256_of(path) != op.sha256:
        raise HeldError(f"{op.destination} has been changed {'since' if path.suffix == '.xmp' else 'by hand'}")
    if unread or op.op != "move":
        return [step]
    assert op.destination is not None and op.source is not None
    # a caption edited meanwhile, or a sidecar of another program that came later, goes back too
    step = replace(step, sha256=atomic.sha256_of(path))
    directory, name = split(op.destination)
    is_image = name in disk.companions_in(directory).images
    if step.sha256 != op.sha256 and is_image:
        raise HeldError(f"{op.destination} has been changed since")
    found = disk.companions_of(directory, name) if is_image else []
    companions = [(extra, sha256) for extra, sha256 in found if join(directory, extra) not in placed]
    if op.source.endswith(atomic.PARTIAL_SUFFIX):  # a crop was made, not moved here, and nothing is deleted outright
        staging = mirrored(STAGING, directory)  # as its crop_cropped/ was: flat where that is
        limit = disk.name_limit(staging, name, companions)
        step = replace(step, destination=join(staging, marked_name(name, f"undone-{op.batch}", limit)))
    assert step.destination is not None
    folder, new_name = split(step.destination)
    back = []
    for extra, sha256 in companions:
        source, destination = join(directory, extra), join(folder, renamed(extra, name, new_name))
        back.append(replace(step, source=source, destination=destination, sha256=sha256))
    return [*back, step]
