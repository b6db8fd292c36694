"""Finish an interrupted apply or undo: take its steps, and complete the log of approved groups."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

from pickroom.automation import sandbox_decisions
from pickroom.automation.decisions_file import ApprovedDecision, read_approved, read_decisions, write_lines
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, PickroomError
from pickroom.core.records import Decision
from pickroom.files import recovery
from pickroom.files.folder import ImageFolder
from pickroom.files.handlers import AUTOMATION
from pickroom.files.lock import moving_files, project_lock
from pickroom.store import decisions, operations
from pickroom.store.connect import connect
from pickroom.store.workspace import Project


def finish(target: AutomationTarget, connection: sqlite3.Connection, folder: ImageFolder) -> str:
    """Finish the target's journal and log; returns one line for the user, "" when nothing was interrupted.

    The caller holds the lock of the target's project.

    Raises:
        ConflictError: a step can be neither taken nor put back.
        StoreError: the database refused, or a step is of a kind that this program does not know.
    """
    outcome = recovery.finish_interrupted(target.project, connection, folder, sweep=True)
    note = complete_log(target, connection)
    if outcome.done or outcome.failed:
        sandbox_decisions.publish(target, connection)
    if operations.count_planned(connection):
        hint = f"put that right, then: pickroom recover {target.origin.id}"
        raise ConflictError(next(iter(outcome.stuck.values())), doing="finishing what was interrupted", hint=hint)
    if not outcome.done and not outcome.failed:
        return note
    reasons = [f"put back: {reason}" for reason in outcome.failed.values()]
    return "; ".join(["What was interrupted is finished", *reasons, *([note] if note else [])])


def finish_first(target: AutomationTarget) -> str:
    """`finish`, under the lock of the target's project. Also raises LockedError: another process moves its files."""
    with closing(connect(target.project.database)) as connection, moving_files(target.project, "recovering") as folder:
        unfinished = recovery.unfinished(target.project)
        return finish(target, connection, folder) if unfinished else complete_log(target, connection)


def unfinished_note(target: AutomationTarget) -> str:
    """One line about steps that `finish` would take first, "" when there are none. Changes nothing."""
    count = sum(one.count for one in recovery.unfinished(target.project))
    return f"{count} file operations were interrupted: --execute finishes them first" if count else ""


def complete_logs(project: Project) -> None:
    """Complete the log of each copy of a project, after its journal was finished.

    A copy that is in use, or cannot be read, is skipped: its next command completes the log.
    """
    with suppress(PickroomError):  # the list of sandboxes
        for copy in recovery.copies(project):
            doing = "completing the log"
            with suppress(PickroomError), closing(connect(copy.database)) as connection, project_lock(copy, doing):
                complete_log(AutomationTarget(copy, project, copy.root), connection)


def undone_by(connection: sqlite3.Connection) -> int | None:
    """The batch that an interrupted undo of the automation is taking back, None when there is none."""
    return next((op.batch for op in operations.planned(connection) if op.undoes and op.kind == AUTOMATION), None)


def complete_log(target: AutomationTarget, connection: sqlite3.Connection) -> str:
    """Add what was approved unseen to approved_decisions.jsonl, from the rows; returns why that failed, or ""."""
    try:
        lines = read_approved(target.approved)
        unseen = [row for row in decisions.unseen(connection) if _lacks(lines.get(row.group_id), row)]
        # older decisions have their lines in the files that they were applied from
        proposed = read_decisions(target.decisions) if unseen else {}
        lacking = {row.group_id: _line(row) for row in unseen if row.group_id in proposed}
        if lacking:
            write_lines(target.approved, (lines | lacking).values())
    except PickroomError as error:
        return f"{target.approved.name} lacks the groups approved unseen: {error.what}"
    return ""


def _lacks(line: ApprovedDecision | None, row: Decision) -> bool:
    """Whether the log has no line of this decision; a line of an apply that was undone does not count."""
    return line is None or (line.by == "auto" and line.timestamp != row.timestamp)


def _line(row: Decision) -> ApprovedDecision:
    name = row.images[row.user_selected_index]
    crop = row.final_crop_coords if row.user_action == "approve" else None
    needs_crop = row.user_action == "crop" or crop is not None
    return ApprovedDecision(row.group_id, "approved", name, needs_crop, crop, "auto", row.timestamp)
