"""What follows an apply or an undo, also an interrupted one: its steps, the log of approved groups, what it teaches."""

import sqlite3
from contextlib import closing, suppress
from dataclasses import replace

from pickroom.automation.decisions_file import ApprovedDecision, read_approved, read_decisions, write_lines
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, PickroomError
from pickroom.core.records import Decision
from pickroom.files import recovery
from pickroom.files.journal import AUTOMATION
from pickroom.files.preflight import ImageFolder, moving_files, project_lock
from pickroom.store import decisions, operations
from pickroom.store.connect import connect, transaction
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
        teach(target, connection)
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


def teach(target: AutomationTarget, copy: sqlite3.Connection) -> None:
    """Make what the user decided in the copy decisions of the project, after an apply or an undo (docs/decisions/151).

    They train and count, and no file of the project moves for them. Machine decisions stay in the copy (DESIGN.md,
    invariant 11), and a group whose crop still has to be drawn follows when it is. Does nothing in production.

    Raises:
        StoreError: the project's database cannot be written; the next command on the copy does it again.
    """
    if not target.is_copy:
        return
    applied = decisions.applied_by_person(copy, AUTOMATION)
    taught = [(row, context) for one, context, own_box in applied if (row := _taught(one, own_box)) is not None]
    with closing(connect(target.origin.database)) as connection, transaction(connection):
        decisions.replace_sandbox(connection, taught)


def _taught(row: Decision, own_box: bool) -> Decision | None:
    """The decision as the project takes it; None while its crop waits.

    An apply cuts every AI box at once, but one that the user accepted was accepted by itself, before the apply.
    """
    if row.final_crop_coords is not None and not own_box and not row.ai_crop_accepted:
        return replace(row, final_crop_coords=None, crop_timestamp=None, crop_match=None, ai_crop_accepted=None)
    waits = row.final_crop_coords is None and (row.user_action == "crop" or row.ai_crop_accepted)
    return None if waits else row
