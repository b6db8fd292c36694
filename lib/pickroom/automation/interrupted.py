"""What an interrupted apply or undo left: its steps are taken, and the log of approved groups is completed."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from pickroom.automation.decisions_file import Approved, read_approved, read_proposals, write_lines
from pickroom.automation.sandbox import Place
from pickroom.core.errors import ConflictError, PickroomError
from pickroom.core.records import Decision
from pickroom.files import recovery
from pickroom.files.folder import ImageFolder
from pickroom.files.handlers import AUTOMATION
from pickroom.files.lock import moving_files, project_lock
from pickroom.store import decisions, operations
from pickroom.store.connect import connect
from pickroom.store.workspace import Project


def finish(place: Place, connection: sqlite3.Connection, folder: ImageFolder) -> str:
    """Finish the place's journal, and the log with it; one line for the user, "" when nothing was interrupted.

    The caller holds the lock of the place's project.

    Raises:
        ConflictError: a step can be neither taken nor put back.
        StoreError: the database refused, or a step is of a kind that this program does not know.
    """
    outcome = recovery.finish_interrupted(place.project, connection, folder, sweep=True)
    note = complete_log(place, connection)
    if operations.count_planned(connection):
        hint = f"put that right, then: pickroom recover {place.origin.id}"
        raise ConflictError(next(iter(outcome.stuck.values())), doing="finishing what was interrupted", hint=hint)
    parts = [note] if note else []
    if outcome.done or outcome.failed:
        reasons = "".join(f"; put back: {reason}" for reason in outcome.failed.values())
        parts.insert(0, f"What was interrupted is finished{reasons}")
    return "; ".join(parts)


def finish_first(place: Place) -> str:
    """`finish`, under the lock of the place's project. Raises LockedError too: another process moves its files."""
    with closing(connect(place.project.database)) as connection, moving_files(place.project, "recovering") as folder:
        unfinished = recovery.unfinished(place.project)
        return finish(place, connection, folder) if unfinished else complete_log(place, connection)


def waiting_words(place: Place) -> str:
    """What a dry run says of steps that `finish` would take first, "" when there are none. Changes nothing."""
    count = sum(one.count for one in recovery.unfinished(place.project))
    return f"{count} file operations were interrupted: --execute finishes them first" if count else ""


def complete_logs(project: Project) -> None:
    """Complete the log of each copy of a project, after its journal was finished.

    A copy that is at work, or cannot be read, is passed over: its next command completes the log.
    """
    with suppress(PickroomError):  # the list of sandboxes
        for copy in recovery.copies(project):
            doing = "completing the log"
            with suppress(PickroomError), closing(connect(copy.database)) as connection, project_lock(copy, doing):
                complete_log(Place(copy, project, copy.root), connection)


def undone_by(connection: sqlite3.Connection) -> int | None:
    """The batch that an interrupted undo of the automation is taking back, None when there is none."""
    return next((op.batch for op in operations.planned(connection) if op.undoes and op.kind == AUTOMATION), None)


def complete_log(place: Place, connection: sqlite3.Connection) -> str:
    """Add what was approved unseen to approved_decisions.jsonl, from the rows; why not, when that is refused.

    The rows say it too: a log that lacks a line is completed by the next command that gets to it.
    """
    try:
        lines = read_approved(place.approved)
        unseen = [row for row in decisions.unseen(connection) if _lacks(lines.get(row.group_id), row)]
        # a project may hold older ones, whose lines are in the files that they were applied from
        proposed = read_proposals(place.decisions) if unseen else {}
        lacking = {row.group_id: _line(row) for row in unseen if row.group_id in proposed}
        if lacking:
            write_lines(place.approved, (lines | lacking).values())
    except PickroomError as error:
        return f"{place.approved.name} lacks the groups approved unseen: {error.what}"
    return ""


def _lacks(line: Approved | None, row: Decision) -> bool:
    """Whether the log has no line of this decision; one of an earlier apply, which was undone, is replaced."""
    return line is None or (line.by == "auto" and line.timestamp != row.timestamp)


def _line(row: Decision) -> Approved:
    name = row.images[row.user_selected_index]
    crop = row.final_crop_coords if row.user_action == "approve" else None
    needs_crop = row.user_action == "crop" or crop is not None
    return Approved(row.group_id, "approved", name, needs_crop, crop, "auto", row.timestamp)
