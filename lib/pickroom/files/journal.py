"""Run what the journal has planned: forward, unit by unit, each unit wholly or not at all.

Every caller holds the project's lock. What else must change with a unit's files (a decision taken back, a reason
noted) is the business of the part that planned it: its `Ledger`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import Protocol

from pickroom import atomic
from pickroom.errors import FileOperationError, StoreError
from pickroom.files import moves
from pickroom.naming import OWNED_FOLDERS, stays_inside
from pickroom.records import FileOp
from pickroom.store import copies, operations
from pickroom.store.connect import transaction
from pickroom.store.opened import require_in_place

# units whose steps are marked done in one transaction, after one sync of their folders: a crash in between costs
# nothing, since every step can be taken twice
_CHUNK = 25


class Ledger(Protocol):
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
    root: Path, connection: sqlite3.Connection, ledgers: Mapping[str, Ledger], *, verify: bool = False
) -> Outcome:
    """Take every planned step. Expected failures end up in the Outcome, never in an exception.

    Raises:
        StoreError: a step is of a kind that nobody here answers for, or the journal is that of a database that is no
            longer the project's; none is taken.
    """
    require_in_place(connection, "moving files")
    outcome, planned = Outcome(), operations.planned(connection)
    strange = next((op for op in planned if op.kind not in ledgers), None)
    if strange is not None:
        what = f"step {strange.id} of the journal is of an unknown kind, {strange.kind!r}"
        raise StoreError(what, doing="moving files", subject=root, hint="update pickroom; nothing was moved")
    units = [list(ops) for _, ops in groupby(planned, key=lambda o: (o.batch, o.unit))]
    if verify:
        for op in planned:
            moves.drop_claims(root, op)
    for chunk in _chunks(units):
        done: list[FileOp] = []
        for ops in chunk:
            problem = _take_unit(root, ops, verify)
            if problem is None:
                done += ops
            else:
                _give_up(root, connection, ledgers, ops, problem, outcome)
        _settle(root, connection, ledgers, done, outcome)
    if outcome.done:
        copies.ask(connection)
    if verify and not outcome.stuck:  # a step that stays planned may need its partial file
        for folder in _folders(root, planned):
            moves.sweep_partials(folder)
    return outcome


def sweep(root: Path, folders: Iterable[str] = OWNED_FOLDERS) -> None:
    """Remove the partial files that a crash left in folders relative to the root. Only while no step is planned."""
    for name in folders:
        if not name or stays_inside(name):
            moves.sweep_partials(root / name)


def _chunks(units: Sequence[list[FileOp]]) -> Iterator[Sequence[list[FileOp]]]:
    return (units[start : start + _CHUNK] for start in range(0, len(units), _CHUNK))


def _take_unit(root: Path, ops: Sequence[FileOp], verify: bool) -> FileOperationError | None:
    for op in ops:
        try:
            moves.take(root, op, verify=verify)
        except FileOperationError as error:
            return error
    return None


def _settle(
    root: Path,
    connection: sqlite3.Connection,
    ledgers: Mapping[str, Ledger],
    done: Sequence[FileOp],
    outcome: Outcome,
) -> None:
    if not done:
        return
    problem = _sync(root, done)
    if problem is not None:
        outcome.stuck |= {op.unit: problem.line for op in done}
        return
    with transaction(connection):
        operations.mark_done(connection, done)
        for step in {(op.batch, op.unit): op for op in done}.values():  # one step a unit
            if step.undoes is not None:
                ledgers[step.kind].undone(connection, step)
            outcome.done.append(step.unit)


def _give_up(
    root: Path,
    connection: sqlite3.Connection,
    ledgers: Mapping[str, Ledger],
    ops: Sequence[FileOp],
    problem: FileOperationError,
    outcome: Outcome,
) -> None:
    unit, reason = ops[0].unit, problem.line
    for op in reversed(ops):
        try:
            moves.put_back(root, op)
        except FileOperationError as error:
            outcome.stuck[unit] = f"{reason}; and it could not be put back: {error.line}"
            return
    unsafe = _sync(root, ops)
    if unsafe is not None:
        outcome.stuck[unit] = f"{reason}; and then: {unsafe.line}"
        return
    with transaction(connection):
        operations.mark_failed(connection, ops, reason)
        # a failed undo changes nothing: the decision stands, its files where they were
        if ops[0].undoes is None:
            ledgers[ops[0].kind].failed(connection, ops[0], reason)
    outcome.failed[unit] = reason


def _sync(root: Path, ops: Sequence[FileOp]) -> FileOperationError | None:
    """Make the steps durable; why not, when the system refuses: then they stay planned, to be taken again."""
    folders = sorted(folder for folder in _folders(root, ops) if folder.is_dir())
    try:
        atomic.sync_folders(folders)
    except OSError as error:
        path = [Path(error.filename)] if error.filename else folders
        return FileOperationError(error.strerror or str(error), "making moves durable", path)
    return None


def _folders(root: Path, ops: Sequence[FileOp]) -> set[Path]:
    """The folders that steps change, and those above them: one may be new."""
    paths = {path for op in ops for path in (op.source, op.destination) if path is not None}
    return {root / above for path in paths if stays_inside(path) for above in PurePosixPath(path).parents} | {root}
