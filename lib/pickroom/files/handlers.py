"""Handlers for each kind of journal operation: what else changes when its steps fail or are undone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pickroom.core.records import FileOp
from pickroom.files.routing import REVIEW
from pickroom.store import crops, decisions, marks, review_state
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


def _delete_decision(connection: sqlite3.Connection, step: FileOp) -> None:
    """The unit is the id of a finalised group: its decision exists as long as its files lie where it says."""
    decisions.delete(connection, [step.unit])


def _hold_group(connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
    review_state.hold(connection, step.unit, reason)


def _delete_crop(connection: sqlite3.Connection, step: FileOp) -> None:
    """The unit is the file name of a crop: the crop before it counts again, or none."""
    gone = crops.delete(connection, step.batch, step.unit)
    if gone is not None and gone.group_id is not None:
        decisions.set_crop(connection, gone.group_id, crops.latest(connection, gone.group_id))


def _clear_dropped(connection: sqlite3.Connection, step: FileOp) -> None:
    """The unit is the file name of a picked image that the crop desk sent to delete_staging."""
    group_id = decisions.group_of_pick(connection, step.unit)
    if group_id is not None:
        decisions.set_dropped(connection, group_id, None)


def _delete_automation_batch(connection: sqlite3.Connection, step: FileOp) -> None:
    """A whole apply of the automation is one unit: any step that fails takes every decision of it back."""
    for crop in crops.of_batch(connection, step.batch):
        crops.delete(connection, crop.batch, crop.filename)
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
    REVIEW: OperationHandler(_GROUPS, _delete_decision, _hold_group),
    RENAME: OperationHandler(("image has its old name again", "images have their old names again")),
    SIDECAR: OperationHandler(("sidecar is taken back", "sidecars are taken back")),
    RETURN: OperationHandler(("image is where nothing explained it", "images are where nothing explained them")),
    CROP: OperationHandler(("crop is taken back", "crops are taken back"), _delete_crop),
    DROP: OperationHandler(("image waits for its crop again", "images wait for their crops again"), _clear_dropped),
    AUTOMATION: OperationHandler(_GROUPS, _delete_automation_batch),
    **{board: _of_marks(board) for board in (SORT, BROWSE, DUPLICATES)},
}
