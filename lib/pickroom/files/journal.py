"""Execute the planned steps of the journal, unit by unit, each unit completely or not at all.

Every caller holds the project's lock. Other changes that belong to a unit's files (a deleted decision, a stored reason)
are in `HANDLERS`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path, PurePosixPath

from pickroom.core.errors import FileOperationError, StoreError
from pickroom.core.naming import OWNED_FOLDERS, filename_of, folder_of, split, stays_inside
from pickroom.core.records import FileOp
from pickroom.files import moves
from pickroom.files.preflight import ImageFolder
from pickroom.files.routing import REVIEW
from pickroom.storage import atomic
from pickroom.store import copies, crops, decisions, marks, operations, review_state
from pickroom.store.connect import transaction
from pickroom.store.connections import require_in_place
from pickroom.store.marks import BoardKind
from pickroom.store.operations import RETURN

RENAME, CROP, DROP, AUTOMATION, SIDECAR = "rename", "crop", "drop", "automation", "sidecar"
SORT: BoardKind = "sort"
BROWSE: BoardKind = "browse"
DUPLICATES: BoardKind = "duplicates"


@dataclass(frozen=True, slots=True)
class OperationHandler:
    """What else changes, in the transaction that marks a unit's steps."""

    # the words for one unit that was undone, and of several; for the automation, of its groups
    taken_back: tuple[str, str]
    # called with the unit's first step when its steps were undone, or failed and were rolled back
    undone: Callable[[sqlite3.Connection, FileOp], None] = lambda connection, step: None
    # called after `undone` when they failed, with the reason
    hold: Callable[[sqlite3.Connection, FileOp, str], None] = lambda connection, step, reason: None


def _delete_crop(connection: sqlite3.Connection, step: FileOp) -> None:
    """The unit is the path of a crop below its folder: the crop before it counts again, or none."""
    gone = crops.delete(connection, step.batch, *split(step.unit))
    if gone is not None and gone.group_id is not None:
        decisions.set_crop(connection, gone.group_id, crops.latest(connection, gone.group_id))


def _clear_dropped(connection: sqlite3.Connection, step: FileOp) -> None:
    """The step moves a picked image that the crop desk sent to delete_staging, or takes that move back."""
    waited = step.source if step.undoes is None else step.destination
    placed = operations.placed_by(connection, REVIEW, waited or "")
    found = [placed] if placed is not None else decisions.groups_of_pick(connection, *split(step.unit))
    for group_id in found[:1]:
        decisions.set_dropped(connection, group_id, None)


def _delete_automation_batch(connection: sqlite3.Connection, step: FileOp) -> None:
    """A whole apply of the automation is one unit: any step that fails takes every decision of it back."""
    for crop in crops.of_batch(connection, step.batch):
        crops.delete(connection, crop.batch, crop.directory, crop.filename)
    decisions.delete(connection, decisions.batch_group_ids(connection, step.batch))


def _of_marks(board: BoardKind) -> OperationHandler:
    """The unit is the path that a marked image had: its mark waits again."""
    return OperationHandler(
        ("image is back, and its mark waits again", "images are back, and their marks wait again"),
        lambda connection, step: marks.give_back(connection, board, step.unit, step.batch),
        lambda connection, step, reason: marks.hold(connection, board, step.unit, reason),
    )


_GROUPS = ("group waits again", "groups wait again")
HANDLERS: Mapping[str, OperationHandler] = {
    REVIEW: OperationHandler(  # the decision of a finalised group exists as long as its files lie where it says
        _GROUPS,
        lambda connection, step: decisions.delete(connection, [step.unit]),
        lambda connection, step, reason: review_state.hold(connection, step.unit, reason),
    ),
    RENAME: OperationHandler(("image has its old name again", "images have their old names again")),
    SIDECAR: OperationHandler(("sidecar is taken back", "sidecars are taken back")),
    RETURN: OperationHandler(("image is where nothing explained it", "images are where nothing explained them")),
    CROP: OperationHandler(("crop is taken back", "crops are taken back"), _delete_crop),
    DROP: OperationHandler(("image waits for its crop again", "images wait for their crops again"), _clear_dropped),
    AUTOMATION: OperationHandler(_GROUPS, _delete_automation_batch),
    **{board: _of_marks(board) for board in (SORT, BROWSE, DUPLICATES)},
}


# units whose steps are marked done in one transaction, after one sync of their folders: a crash in between costs
# nothing, since every step can be taken twice
_CHUNK = 25


@dataclass(slots=True)
class Outcome:
    """What a run did."""

    done: list[str] = field(default_factory=list)  # units whose every step is taken
    failed: dict[str, str] = field(default_factory=dict)  # unit -> reason, for those rolled back
    # unit -> reason, for those that could be neither finished nor rolled back: they stay planned
    stuck: dict[str, str] = field(default_factory=dict)

    def add(self, other: Outcome) -> None:
        """Add what another run did."""
        self.done += other.done
        self.failed |= other.failed
        self.stuck |= other.stuck

    def troubles(self, project_id: str) -> list[str]:
        """What the user must know of units that are not done, the first of each kind with its reason."""
        ways = ((self.failed, "put back"), (self.stuck, f"unfinished: run `pickroom recover {project_id}`"))
        return [
            f"{len(units)} {words} (the first: {unit}: {reason})"
            for units, words in ways
            for unit, reason in list(units.items())[:1]
        ]


def run_planned(
    folder: ImageFolder, connection: sqlite3.Connection, *, verify: bool = False, trusting: bool = False
) -> Outcome:
    """Take every planned step. Expected failures end up in the Outcome, never in an exception.

    Args:
        folder: the image folder as it was when the plan was checked.
        verify: what is planned was planned by an earlier run, which may have taken some of it.
        trusting: use a folder that is empty, though that run moved files there: the user has said that no disk is away.

    Raises:
        StoreError: a step is of an unknown kind, or the journal is that of a database that is not the project's now;
            none is taken.
    """
    require_in_place(connection, "moving files")
    outcome, planned = Outcome(), operations.planned(connection)
    strange = next((op for op in planned if op.kind not in HANDLERS), None)
    if strange is not None:
        what = f"step {strange.id} of the journal is of an unknown kind, {strange.kind!r}"
        raise StoreError(what, doing="moving files", subject=folder.root, hint="update pickroom; nothing was moved")
    units = _units(planned)
    if verify and planned:
        folder.earlier |= {op.id for op in planned}
        for op in planned:
            moves.drop_claims(folder.root, op)
        for emptied in () if trusting else _emptied(folder, connection, units):
            folder.distrust(emptied)
    for start in range(0, len(units), _CHUNK):
        done: list[FileOp] = []
        for ops in units[start : start + _CHUNK]:
            problem = _take_unit(folder, ops, verify)
            if problem is None:
                done += ops
            else:
                _give_up(folder, connection, ops, problem.line, outcome)
        _settle(folder, connection, done, outcome)
    if outcome.done:
        copies.ask(connection)
    if verify and not outcome.stuck:  # a step that stays planned may need its partial file
        for place in _folders(folder.root, planned):
            moves.sweep_partials(place)
    return outcome


def close_lost(
    folder: ImageFolder, connection: sqlite3.Connection, *, execute: bool
) -> tuple[dict[str, list[str]], Outcome]:
    """Close the units of which a file is in neither of its places: the files that are there are rolled back.

    Returns unit -> where its missing files were, and what became of these units: failed, or still stuck. Changes
    nothing unless it is to `execute`.
    """
    outcome, missing = Outcome(), {}
    for ops in _units(operations.planned(connection)):
        lost = moves.lost(folder.root, ops)
        if lost:
            missing[ops[0].unit] = [op.source for op in lost if op.source is not None]
            if execute:
                reason = f"given up: {', '.join(missing[ops[0].unit])} is nowhere"
                _give_up(folder, connection, ops, reason, outcome, closing=True)
    return missing, outcome


def sweep(root: Path, folders: Iterable[str] = OWNED_FOLDERS) -> None:
    """Remove the partial files that a crash left in folders relative to the root. Only while no step is planned."""
    for name in folders:
        if not name or stays_inside(name):
            moves.sweep_partials(root / name)


def _emptied(folder: ImageFolder, connection: sqlite3.Connection, units: Sequence[Sequence[FileOp]]) -> set[str]:
    """Pickroom's folders that hold nothing, though files were moved there and not on: their disk may be away.

    After such a folder was emptied by hand, or by `reclaim`, this matters only where a batch is interrupted before its
    first file has come there.
    """
    moved = set[str]()
    for op in operations.standing_moves(connection):
        moved.discard(op.source or "")
        moved |= {op.destination} if op.destination is not None else set()
    moved -= {op.source for ops in units for op in ops if op.source is not None}  # it may have gone on
    for ops in units:
        lost = [op for op in moves.lost(folder.root, ops) if not _never_came_to(folder.root, op, ops)]
        moved |= {path for op in lost for path in op.paths}
    tops = {path.partition("/")[0] for path in moved if stays_inside(path)}
    return {name for name in tops if name in OWNED_FOLDERS and not moves.holds_anything(folder.root / name)}


def _units(planned: Sequence[FileOp]) -> list[list[FileOp]]:
    return [list(ops) for _, ops in groupby(planned, key=lambda o: (o.batch, o.unit))]


def _take_unit(folder: ImageFolder, ops: Sequence[FileOp], verify: bool) -> FileOperationError | None:
    try:
        for op in _vanished(folder, ops):  # nothing is moved that would have to be rolled back
            raise FileOperationError(moves.VANISHED, "moving a file", [folder.root / path for path in op.paths])
        for op in ops:
            folder.require([op])
            needed = op.op == "write" or moves.is_untaken(folder.root, op)  # the folder that it leads to
            if needed and op.destination is not None and stays_inside(op.destination):
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

    Raises FileOperationError where a folder has gone, or a file in neither place may have been moved. It may lie on a
    disk that is away: nothing of the unit is touched until that is back.
    """
    folder.require(ops)
    lost = moves.lost(folder.root, ops)
    for op in lost:
        if folder.may_have_moved(op) and not _never_came_to(folder.root, op, ops):
            paths = [folder.root / path for path in op.paths]
            raise FileOperationError(moves.IN_NEITHER_PLACE, "moving a file", paths, folder.way_out)
        folder.earlier.discard(op.id)
    return lost


def _never_came_to(root: Path, op: FileOp, ops: Sequence[FileOp]) -> bool:
    """Whether a step before this one, from the same folder, was not taken either.

    Steps are taken in order and rolled back last first, and a file in that folder shows that it is not out of reach.
    """
    home = folder_of(op.source or "")
    before = [one for one in ops[: ops.index(op)] if one.source is not None and folder_of(one.source) == home]
    return any(moves.is_untaken(root, one) for one in before)


def _settle(folder: ImageFolder, connection: sqlite3.Connection, done: Sequence[FileOp], outcome: Outcome) -> None:
    """Mark steps that were taken as done, once they are durable."""
    problem = _sync(folder, done) if done else None
    if problem is not None:
        outcome.stuck |= {op.unit: problem.line for op in done}
    elif done:
        with transaction(connection):
            operations.mark_done(connection, done)
            for step in {(op.batch, op.unit): op for op in done}.values():  # one step per unit
                if step.undoes is not None:
                    HANDLERS[step.kind].undone(connection, step)
                outcome.done.append(step.unit)
        for emptied in {folder_of(op.source) for op in done if op.undoes is not None and op.source}:
            folder.remove_empty(emptied)


def _give_up(
    folder: ImageFolder,
    connection: sqlite3.Connection,
    ops: Sequence[FileOp],
    reason: str,
    outcome: Outcome,
    *,
    closing: bool = False,
) -> None:
    """Roll a unit back and close it; leave it planned where that cannot be done for certain.

    Args:
        closing: the user has said that files which are in neither place are gone.
    """
    first = ops[0]
    try:
        gone = moves.lost(folder.root, ops) if closing else _vanished(folder, ops)
        names = {filename_of(lost.source or "") for lost in gone}
        for op in reversed(ops):
            folder.require([op])
            # the crop of an image that is gone is all that is left of it, so it stays where it is
            made = closing and op.source is not None and op.source.endswith(atomic.PARTIAL_SUFFIX)
            if op not in gone and not (made and filename_of(op.destination or "") in names):
                moves.rollback(folder.root, op, vanished=not folder.may_have_moved(op))
    except FileOperationError as error:
        same = error.line == reason
        outcome.stuck[first.unit] = reason if same else f"{reason}; and it could not be put back: {error.line}"
        return
    unsafe = _sync(folder, ops)
    if unsafe is not None:
        outcome.stuck[first.unit] = f"{reason}; and then: {unsafe.line}"
        return
    with transaction(connection):
        operations.mark_failed(connection, ops, reason)
        # a failed undo changes nothing: the decision stands, its files where they were
        if first.undoes is None:
            HANDLERS[first.kind].undone(connection, first)
            HANDLERS[first.kind].hold(connection, first, reason)
    outcome.failed[first.unit] = reason


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
    paths = {path for op in ops for path in op.paths if stays_inside(path)}
    return {root / above for path in paths for above in PurePosixPath(path).parents} | {root}
