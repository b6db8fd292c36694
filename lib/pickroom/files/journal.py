"""Run what the journal has planned: forward, unit by unit, each unit wholly or not at all.

Every caller holds the project's lock. What else must change with a unit's files (a decision taken back, a reason
noted) is the business of the part that planned it: its `OperationHandler`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from pickroom.core.errors import FileOperationError, StoreError
from pickroom.core.naming import OWNED_FOLDERS, filename_of, folder_of, stays_inside
from pickroom.core.records import FileOp
from pickroom.files import moves
from pickroom.files.folder import ImageFolder
from pickroom.storage import atomic
from pickroom.store import copies, operations
from pickroom.store.connect import transaction
from pickroom.store.connections import require_in_place

# units whose steps are marked done in one transaction, after one sync of their folders: a crash in between costs
# nothing, since every step can be taken twice
_CHUNK = 25


class OperationHandler(Protocol):
    """What else changes, in the transaction that marks a unit's steps."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        """The steps of this step's unit were put back: nothing of it has happened."""

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        """The steps of this step's unit have been taken back later."""


@dataclass(slots=True)
class Outcome:
    """What a run did.

    Attributes:
        done: units whose every step is taken.
        failed: unit -> reason, for those put back.
        stuck: unit -> reason, for those that could be neither finished nor put back: they stay planned.
    """

    done: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    stuck: dict[str, str] = field(default_factory=dict)

    def troubles(self, project_id: str) -> list[str]:
        """What the person must know of units that are not done, the first of each kind with its reason."""
        ways = ((self.failed, "put back"), (self.stuck, f"unfinished: run `pickroom recover {project_id}`"))
        return [
            f"{len(units)} {words} (the first: {unit}: {reason})"
            for units, words in ways
            for unit, reason in list(units.items())[:1]
        ]


def run_planned(
    root: Path | ImageFolder,
    connection: sqlite3.Connection,
    handlers: Mapping[str, OperationHandler],
    *,
    verify: bool = False,
    trusting: bool = False,
) -> Outcome:
    """Take every planned step. Expected failures end up in the Outcome, never in an exception.

    Args:
        root: the image folder as it was when the plan was checked; its path, where nobody has held it open.
        verify: what is planned was planned by an earlier run, which may have taken some of it.
        trusting: use a folder that is empty, though that run moved files there: the user has said that no disk is away.

    Raises:
        FileOperationError: the image folder is not there.
        StoreError: a step is of a kind that nobody here answers for, or the journal is that of a database that is no
            longer the project's; none is taken.
    """
    if isinstance(root, Path):
        with ImageFolder(root) as folder:
            return run_planned(folder, connection, handlers, verify=verify, trusting=trusting)
    require_in_place(connection, "moving files")
    folder, root = root, root.root
    outcome, planned = Outcome(), operations.planned(connection)
    strange = next((op for op in planned if op.kind not in handlers), None)
    if strange is not None:
        what = f"step {strange.id} of the journal is of an unknown kind, {strange.kind!r}"
        raise StoreError(what, doing="moving files", subject=root, hint="update pickroom; nothing was moved")
    units = _units(planned)
    if verify and planned:
        folder.earlier |= {op.id for op in planned}
        for op in planned:
            moves.drop_claims(root, op)
        for emptied in () if trusting else _emptied(folder, connection, units):
            folder.distrust(emptied)
    for chunk in _chunks(units):
        done: list[FileOp] = []
        for ops in chunk:
            problem = _take_unit(folder, ops, verify)
            if problem is None:
                done += ops
            else:
                _give_up(folder, connection, handlers, ops, problem.line, outcome)
        _settle(folder, connection, handlers, done, outcome)
    if outcome.done:
        copies.ask(connection)
    if verify and not outcome.stuck:  # a step that stays planned may need its partial file
        for place in _folders(root, planned):
            moves.sweep_partials(place)
    return outcome


def close_lost(
    folder: ImageFolder, connection: sqlite3.Connection, handlers: Mapping[str, OperationHandler], *, execute: bool
) -> tuple[dict[str, list[str]], Outcome]:
    """Close the units of which a file is in neither of its places: the files that are there are put back.

    Args:
        execute: False changes nothing.

    Returns:
        Unit -> where its missing files were, and what became of these units: failed, or still stuck.
    """
    outcome, missing = Outcome(), {}
    for ops in _units(operations.planned(connection)):
        lost = moves.lost(folder.root, ops)
        if lost:
            missing[ops[0].unit] = [op.source for op in lost if op.source is not None]
            if execute:
                reason = f"given up: {', '.join(missing[ops[0].unit])} is nowhere"
                _give_up(folder, connection, handlers, ops, reason, outcome, closing=True)
    return missing, outcome


def _emptied(folder: ImageFolder, connection: sqlite3.Connection, units: Sequence[Sequence[FileOp]]) -> set[str]:
    """Pickroom's folders that hold nothing, though files were moved there and not on: their disk may be away.

    Whoever empties such a folder by hand, or lets `reclaim` do it, hears of it only where a batch is interrupted before
    its first file has come there.
    """
    moved = set[str]()
    for op in operations.standing_moves(connection):
        moved.discard(op.source or "")
        moved |= {op.destination} if op.destination is not None else set()
    moved -= {op.source for ops in units for op in ops if op.source is not None}  # it may have gone on
    for ops in units:
        lost = [op for op in moves.lost(folder.root, ops) if not _never_came_to(folder.root, op, ops)]
        moved |= {path for op in lost for path in (op.source, op.destination) if path is not None}
    folders = {folder_of(path) for path in moved if stays_inside(path)}
    return {name for name in folders if name in OWNED_FOLDERS and not moves.holds_anything(folder.root / name)}


def sweep(root: Path, folders: Iterable[str] = OWNED_FOLDERS) -> None:
    """Remove the partial files that a crash left in folders relative to the root. Only while no step is planned."""
    for name in folders:
        if not name or stays_inside(name):
            moves.sweep_partials(root / name)


def _chunks(units: Sequence[list[FileOp]]) -> Iterator[Sequence[list[FileOp]]]:
    return (units[start : start + _CHUNK] for start in range(0, len(units), _CHUNK))


def _units(planned: Sequence[FileOp]) -> list[list[FileOp]]:
    return [list(ops) for _, ops in groupby(planned, key=lambda o: (o.batch, o.unit))]


def _take_unit(folder: ImageFolder, ops: Sequence[FileOp], verify: bool) -> FileOperationError | None:
    try:
        for op in _vanished(folder, ops):  # nothing is moved that would have to be put back
            raise FileOperationError(moves.VANISHED, "moving a file", _paths(folder, op))
        for op in ops:
            folder.require([op])
            if op.destination is not None and stays_inside(op.destination) and moves.is_pending(folder.root, op):
                with contextlib.suppress(OSError):  # the step itself says why not
                    folder.make(folder_of(op.destination))
                folder.require([op])
            moves.execute(folder.root, op, verify=verify)
            folder.taken.add(op.id)
    except FileOperationError as error:
        return error
    return None


def _vanished(folder: ImageFolder, ops: Sequence[FileOp]) -> list[FileOp]:
    """The steps of a unit whose files are gone: in neither place, and for certain never moved.

    Raises:
        FileOperationError: a folder has gone, or a file in neither place may have been moved. It may lie on a disk that
            is away: nothing of the unit is touched until that is back.
    """
    folder.require(ops)
    lost = moves.lost(folder.root, ops)
    for op in lost:
        if folder.may_have_moved(op) and not _never_came_to(folder.root, op, ops):
            raise FileOperationError(moves.IN_NEITHER_PLACE, "moving a file", _paths(folder, op), folder.way_out)
        folder.earlier.discard(op.id)
    return lost


def _never_came_to(root: Path, op: FileOp, ops: Sequence[FileOp]) -> bool:
    """Whether a step before this one, from the same folder, was not taken either.

    Steps are taken in order and put back last first, and a file in that folder shows that it is not out of reach.
    """
    home = folder_of(op.source or "")
    before = [one for one in ops[: ops.index(op)] if one.source is not None and folder_of(one.source) == home]
    return any(moves.is_untaken(root, one) for one in before)


def _paths(folder: ImageFolder, op: FileOp) -> list[Path]:
    return [folder.root / path for path in (op.source, op.destination) if path is not None]


def _settle(
    folder: ImageFolder,
    connection: sqlite3.Connection,
    handlers: Mapping[str, OperationHandler],
    done: Sequence[FileOp],
    outcome: Outcome,
) -> None:
    if not done:
        return
    problem = _sync(folder, done)
    if problem is not None:
        outcome.stuck |= {op.unit: problem.line for op in done}
        return
    with transaction(connection):
        operations.mark_done(connection, done)
        for step in {(op.batch, op.unit): op for op in done}.values():  # one step a unit
            if step.undoes is not None:
                handlers[step.kind].undone(connection, step)
            outcome.done.append(step.unit)


def _give_up(
    folder: ImageFolder,
    connection: sqlite3.Connection,
    handlers: Mapping[str, OperationHandler],
    ops: Sequence[FileOp],
    reason: str,
    outcome: Outcome,
    *,
    closing: bool = False,
) -> None:
    """Put a unit back and close it; leave it planned where that cannot be done for certain.

    Args:
        closing: the user has said that files which are in neither place are gone.
    """
    unit = ops[0].unit
    try:
        gone = moves.lost(folder.root, ops) if closing else _vanished(folder, ops)
        for op in reversed(ops):
            folder.require([op])
            if op not in gone and not (closing and _is_crop_of(op, gone)):
                moves.rollback(folder.root, op, vanished=not folder.may_have_moved(op))
    except FileOperationError as error:
        same = error.line == reason
        outcome.stuck[unit] = reason if same else f"{reason}; and it could not be put back: {error.line}"
        return
    unsafe = _sync(folder, ops)
    if unsafe is not None:
        outcome.stuck[unit] = f"{reason}; and then: {unsafe.line}"
        return
    with transaction(connection):
        operations.mark_failed(connection, ops, reason)
        # a failed undo changes nothing: the decision stands, its files where they were
        if ops[0].undoes is None:
            handlers[ops[0].kind].failed(connection, ops[0], reason)
    outcome.failed[unit] = reason


def _is_crop_of(op: FileOp, gone: Sequence[FileOp]) -> bool:
    """Whether a step placed the crop of an image that is gone: all that is left of it, so it stays where it is."""
    made = op.source is not None and op.source.endswith(atomic.PARTIAL_SUFFIX)
    return made and any(filename_of(op.destination or "") == filename_of(lost.source or "") for lost in gone)


def _sync(folder: ImageFolder, ops: Sequence[FileOp]) -> FileOperationError | None:
    """Make the steps durable; why not, when the system refuses: then they stay planned, to be taken again."""
    folders = sorted(path for path in _folders(folder.root, ops) if os.path.isdir(path))
    try:
        atomic.sync_folders(folders)
        folder.require(ops)  # after it: what was synced is what was moved
    except FileOperationError as error:
        return error
    except OSError as error:
        path = [Path(error.filename)] if error.filename else folders
        return FileOperationError(error.strerror or str(error), "making moves durable", path)
    return None


def _folders(root: Path, ops: Sequence[FileOp]) -> set[Path]:
    """The folders that steps change, and those above them: one may be new."""
    paths = {path for op in ops for path in (op.source, op.destination) if path is not None}
    return {root / above for path in paths if stays_inside(path) for above in PurePosixPath(path).parents} | {root}
