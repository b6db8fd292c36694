"""Who answers for which kind of journalled step. A new kind of file plan adds its ledger here."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping

from pickroom.core.records import FileOp
from pickroom.files.journal import OperationHandler
from pickroom.files.routing import REVIEW
from pickroom.store import crops, decisions, marks, review_state
from pickroom.store.marks import BoardKind
from pickroom.store.operations import RETURN

RENAME, CROP, DROP, AUTOMATION, SIDECAR = "rename", "crop", "drop", "automation", "sidecar"
SORT: BoardKind = "sort"
BROWSE: BoardKind = "browse"
DUPLICATES: BoardKind = "duplicates"


class ReviewLedger:
    """A finalised group (the unit is its id): its decision exists as long as its files lie where it says."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        decisions.delete(connection, [step.unit])
        review_state.hold(connection, step.unit, reason)

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        decisions.delete(connection, [step.unit])


class FilesAlone:
    """No row changes: a file renamed or returned, which the next scan reads; a sidecar that was lost."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        pass

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        pass


class CropLedger:
    """A crop made (the unit is its file name): taken back, the crop before it counts again, or none."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        self.undone(connection, step)

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        gone = crops.delete(connection, step.batch, step.unit)
        if gone is None or gone.group_id is None:
            return
        before = crops.latest(connection, gone.group_id)
        if before is None:
            decisions.set_crop(connection, gone.group_id, None, None, None)
        else:
            decisions.set_crop(connection, gone.group_id, before.box, before.made_at, before.input)


class DropLedger:
    """A picked image sent to delete_staging at the crop desk (the unit is its file name)."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        self.undone(connection, step)

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        group_id = decisions.group_of_pick(connection, step.unit)
        if group_id is not None:
            decisions.set_dropped(connection, group_id, None)


class AutomationLedger:
    """A whole apply of the automation (one unit a batch): any step that fails takes every decision of it back."""

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        self.undone(connection, step)

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        for crop in crops.of_batch(connection, step.batch):
            crops.delete(connection, crop.batch, crop.filename)
        decisions.delete(connection, decisions.batch_group_ids(connection, step.batch))


class MarkLedger:
    """An image sent to its folder by a mark (the unit is the path it had): taken back, the mark waits again."""

    def __init__(self, room: BoardKind) -> None:
        self.room = room

    def failed(self, connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        self.undone(connection, step)
        marks.hold(connection, self.room, step.unit, reason)

    def undone(self, connection: sqlite3.Connection, step: FileOp) -> None:
        marks.give_back(connection, self.room, step.unit, step.batch)


_GROUPS = ("group waits again", "groups wait again")
_MARKED = ("image is back, and its mark waits again", "images are back, and their marks wait again")
# what is said of one unit that was taken back, and of several; of the automation's, of its groups
TAKEN_BACK: Mapping[str, tuple[str, str]] = {
    REVIEW: _GROUPS,
    RENAME: ("image has its old name again", "images have their old names again"),
    SIDECAR: ("sidecar is taken back", "sidecars are taken back"),
    RETURN: ("image is where nothing explained it", "images are where nothing explained them"),
    CROP: ("crop is taken back", "crops are taken back"),
    DROP: ("image waits for its crop again", "images wait for their crops again"),
    AUTOMATION: _GROUPS,
    SORT: _MARKED,
    BROWSE: _MARKED,
    DUPLICATES: _MARKED,
}

LEDGERS: Mapping[str, OperationHandler] = {
    REVIEW: ReviewLedger(),
    RENAME: FilesAlone(),
    RETURN: FilesAlone(),
    SIDECAR: FilesAlone(),
    CROP: CropLedger(),
    DROP: DropLedger(),
    AUTOMATION: AutomationLedger(),
    SORT: MarkLedger(SORT),
    BROWSE: MarkLedger(BROWSE),
    DUPLICATES: MarkLedger(DUPLICATES),
}
