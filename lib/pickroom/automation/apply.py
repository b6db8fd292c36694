"""Apply and undo: the plan is journalled and executed as one unit, completely or not at all.

Crops are rendered next to their places first. Then one transaction writes every decision, crop and step; then the files
move. After an error everything is rolled back and the rows are removed. After a crash the next command on the project
finishes the plan (`finish`); `undo_last` undoes it later. New training decisions and the log are written afterwards.
"""

import errno
import os
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from dataclasses import dataclass, replace

from pickroom.automation import planning
from pickroom.automation.decisions_file import ApprovedDecision, read_approved, read_decisions, write_lines
from pickroom.automation.planning import ApplyPlan, PlannedGroup
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, FileOperationError, PickroomError, UsageError
from pickroom.core.naming import CROPPED, join, source_folder, split
from pickroom.core.quantities import plural
from pickroom.core.records import BoxSource, Decision, InputKind
from pickroom.files import cropping, recovery
from pickroom.files.batch import run_batch, undo_batch
from pickroom.files.finalise import record_decision
from pickroom.files.journal import AUTOMATION
from pickroom.files.preflight import ImageFolder, moving_files, project_lock
from pickroom.store import crops, decisions, operations
from pickroom.store.connect import connect, transaction
from pickroom.store.crops import Crop
from pickroom.store.workspace import Project, utc_now


def finish(target: AutomationTarget, connection: sqlite3.Connection, folder: ImageFolder) -> str:
    """Finish the target's journal and log; returns one line for the user, "" when nothing was interrupted.

    The caller holds the lock of the target's project.

    Raises:
        ConflictError: a step can be neither done nor undone.
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
    """One line about steps that `finish` would do first, "" when there are none. Changes nothing."""
    count = sum(one.count for one in recovery.unfinished(target.project))
    return f"{count} file operations were interrupted: applying finishes them first" if count else ""


def complete_logs(project: Project) -> None:
    """Complete the log of each copy of a project, after its journal was finished.

    A copy that is in use, or cannot be read, is skipped: its next command completes the log.
    """
    with suppress(PickroomError):  # the list of sandboxes
        for copy in recovery.copies(project):
            doing = "completing the log"
            with suppress(PickroomError), closing(connect(copy.database)) as connection, project_lock(copy, doing):
                complete_log(AutomationTarget(copy, project, copy.root), connection)


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
    """Whether the log lacks a line of this decision; lines of an undone apply do not count."""
    return line is None or (line.by == "auto" and line.timestamp != row.timestamp)


def _line(row: Decision) -> ApprovedDecision:
    name = row.images[row.user_selected_index]
    crop = row.final_crop_coords if row.user_action == "approve" else None
    needs_crop = row.user_action == "crop" or crop is not None
    return ApprovedDecision(row.group_id, "approved", name, needs_crop, crop, "auto", row.timestamp)


def teach(target: AutomationTarget, copy: sqlite3.Connection) -> None:
    """Make what the user decided in the copy decisions of the project, after an apply or an undo (docs/decisions/151).

    They train and count, without moving files of the project. Machine decisions stay in the copy (DESIGN.md, invariant
    11), and a group whose crop is still to be drawn follows once it is. Does nothing in production.

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
    """The decision in the form stored in the project; None while its crop waits.

    An apply crops all AI boxes at once, but a box that the user accepted was accepted alone, before the apply.
    """
    if row.final_crop_coords is not None and not own_box and not row.ai_crop_accepted:
        return replace(row, final_crop_coords=None, crop_timestamp=None, crop_match=None, ai_crop_accepted=None)
    waits = row.final_crop_coords is None and (row.user_action == "crop" or row.ai_crop_accepted)
    return None if waits else row


_DOING = "applying the automation's decisions"


@dataclass(frozen=True, slots=True)
class Applied:
    """The result of an apply."""

    plan: ApplyPlan  # the executed plan, with the hashes of its crops
    stuck: str = ""  # why some steps are still planned, "" when all are done; `pickroom recover` finishes them
    note: str = ""  # what went wrong after everything was done, "" when nothing did

    @property
    def line(self) -> str:
        """One line for the user."""
        if self.stuck:
            return f"Batch {self.plan.batch} is unfinished: {self.stuck}; put that right, then apply again: it goes on"
        done = f"Batch {self.plan.batch}: {plural(len(self.plan.items), 'group')} done"
        return f"{done}; {self.note}" if self.note else done


def dry_run(target: AutomationTarget) -> ApplyPlan:
    """The plan of an `apply` now; changes nothing. Raises as `planning.plan`."""
    with closing(connect(target.project.database)) as connection:
        return planning.plan(target, connection)


def apply(target: AutomationTarget, shown: ApplyPlan | None = None) -> Applied:
    """Execute what was approved.

    Args:
        shown: the plan that the user confirmed; refused when the plan has changed since.

    Raises:
        UsageError, ConflictError: as `planning.plan`; nothing was touched.
        FileOperationError, ImageError: a crop could not be made; nothing was moved.
        ConflictError: a file could not be moved; everything was put back.
        LockedError, StoreError: as `run_batch`; the next `apply` can finish it, too.
    """
    project = target.project
    project.require_root()
    with (
        closing(connect(project.database)) as connection,
        run_batch(project, connection, _DOING, finish=lambda _, *opened: finish(target, *opened), sweep=True) as batch,
    ):
        plan = planning.plan(target, connection, utc_now())
        if shown is not None and (plan.batch, plan.ops) != (shown.batch, shown.ops):
            look = "nothing was touched; look at the new plan, then apply again"
            raise ConflictError("something changed since the plan was shown", doing=_DOING, hint=look)
        if not plan.items:
            return Applied(plan)
        plan = _render(target, batch.folder, plan)
        batch.commit(plan.ops, lambda: _write(connection, plan))
        outcome = batch.run()
        unit = planning.unit_of(plan.batch)
        if unit in outcome.failed:
            # the line of the step that failed, which names its paths
            raise ConflictError(outcome.failed[unit], hint="everything was put back")
        note = complete_log(target, connection)  # under the lock: a review may be writing that file
        teach(target, connection)
    return Applied(plan, outcome.stuck.get(unit, ""), note)


def undo_last(target: AutomationTarget) -> tuple[int, int]:
    """Undo the latest apply; returns (its batch, how many groups wait again).

    Raises:
        UsageError: there is none to undo.
        ConflictError: a file has changed since, or a crop was made of one; nothing was moved.
    """
    with closing(connect(target.project.database)) as connection:
        # after an interrupted undo, this finishes that one, and undoes no other batch
        begun = next((op.batch for op in operations.planned(connection) if op.undoes and op.kind == AUTOMATION), None)
        waiting = [] if begun is None else decisions.batch_group_ids(connection, begun)
        with moving_files(target.project, "recovering") as folder:
            finish(target, connection, folder)
        if begun is not None and not decisions.batch_group_ids(connection, begun):
            return begun, len(waiting)
        batch = operations.latest_batch(connection, (AUTOMATION,))
        if batch is None:
            what = "no apply of the automation stands"
            raise UsageError(what, doing="undoing", subject=target.project.root, hint="there is nothing to put back")
        target.require_inside(op for op in operations.of_batch(connection, batch) if op.undoes is None)
        count = len(decisions.batch_group_ids(connection, batch))
        outcome = undo_batch(target.project, connection, batch)
        teach(target, connection)
    for reason in (*outcome.failed.values(), *outcome.stuck.values()):
        raise ConflictError(reason, hint="put that right, then undo again")
    return batch, count


def _render(target: AutomationTarget, folder: ImageFolder, plan: ApplyPlan) -> ApplyPlan:
    """Render every crop next to its target and add its hash to the plan. After a failure `run_batch` removes them."""
    root, wanted = target.project.root, [item for item in plan.items if item.is_rendered]
    if not wanted:
        return plan
    try:
        folder.make(CROPPED)
        with ThreadPoolExecutor(os.cpu_count() or 2) as pool:  # Pillow frees the interpreter lock while it encodes
            rendering = {item.group.group_id: pool.submit(_render_one, target, item) for item in wanted}
            try:
                hashes = {group_id: future.result() for group_id, future in rendering.items()}
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        hint = "make room on the disk, then apply again" if full else "nothing was moved"
        raise FileOperationError.of(error, "rendering a crop", root / CROPPED, hint) from error
    items = {item.group.group_id: item for item in plan.items}
    for group_id, sha256 in hashes.items():
        first, *others = items[group_id].ops
        items[group_id] = replace(items[group_id], ops=(replace(first, sha256=sha256), *others))
    return replace(plan, items=tuple(items.values()))


def _render_one(target: AutomationTarget, item: PlannedGroup) -> str:
    assert item.box is not None and item.route.picked is not None
    image, partial = item.group.images[item.route.picked], item.ops[0].source
    assert partial is not None
    source = target.project.path(image.directory, image.filename)
    return cropping.render_to(target.project.root, source, item.box, partial)


def _write(connection: sqlite3.Connection, plan: ApplyPlan) -> None:
    now = utc_now()
    for item in plan.items:
        group_id = item.group.group_id
        planned = (group_id, item.route, item.row, item.ops)
        by: InputKind = "auto" if item.by == "auto" else "automation_review"
        record_decision(connection, *planned, item.saved, item.shown, by, plan.batch, now)
        if item.box is not None and item.route.picked is not None:
            source: BoxSource = "drawn" if item.own_box else "ai_all"
            name = item.group.images[item.route.picked].filename
            places = [(*split(op.destination or ""), op.sha256) for op in item.ops]
            folder, sha256 = next((f, h) for f, n, h in places if n == name and join(f, "").startswith(f"{CROPPED}/"))
            crop = Crop(plan.batch, name, group_id, item.box, source, sha256, now, source_folder(folder))
            crops.insert(connection, crop)
            decisions.set_crop(connection, group_id, crop)
