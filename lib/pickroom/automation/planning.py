"""Plan an apply, for the dry run and the real run: routes, rows and steps from approved decisions. Changes nothing.

Everything is compared with the disk and the database first; any difference refuses the whole plan.
"""

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pickroom.automation import decisions_file as files
from pickroom.automation import evidence
from pickroom.automation.guarantee import watch
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, ImageError
from pickroom.core.naming import CROP_ORIGINALS, CROPPED, join, mirrored
from pickroom.core.quantities import plural
from pickroom.core.records import Choice, CropBox, Decision, FileOp, Group, Recommendation
from pickroom.files import cropping, routing
from pickroom.files.journal import AUTOMATION
from pickroom.files.preflight import DiskSnapshot, HeldError, held_reason
from pickroom.files.routing import Route
from pickroom.images import crops as rendering
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store import groups, operations, review_state
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import utc_now

_DOING = "planning what the automation does"


@dataclass(frozen=True, slots=True)
class PlannedGroup:
    """One group that will be applied."""

    group: Group
    by: files.By  # whether the user or the guarantee approved it
    shown: Recommendation | None  # the proposal, None when the user has overridden a group without one
    route: Route
    row: Decision | None  # its decision, None for a group that is kept whole
    ops: tuple[FileOp, ...]
    # the crop rendered at apply, None without one; `own_box`: it is the user's, not the proposed one
    box: CropBox | None = None
    own_box: bool = False
    saved: SavedChoice | None = None  # its saved review, None when the user has not looked at it
    left_out: str = ""  # what its crop cannot keep of its source, with the image's name; "" for nothing

    @property
    def is_rendered(self) -> bool:
        """Whether its first step places a crop that is rendered at apply: the crop of a RAW file is in its sidecar."""
        return self.box is not None and (self.ops[0].source or "").endswith(PARTIAL_SUFFIX)


@dataclass(frozen=True, slots=True)
class ApplyPlan:
    """What an apply does, as data: a dry run prints it, a real run journals it."""

    batch: int  # its number, for `undo --batch`
    items: tuple[PlannedGroup, ...]
    left: Mapping[str, int] = field(default_factory=dict)  # reason -> how many groups are left out for it
    notes: tuple[str, ...] = ()  # notes for the user on the approval of unseen groups

    @property
    def ops(self) -> tuple[FileOp, ...]:
        return tuple(op for item in self.items for op in item.ops)

    def lines(self) -> list[str]:
        """One line per step, in the order of the journal."""
        return [line_of(op) for op in self.ops]

    def summary(self) -> list[str]:
        """Groups, folders and crops, counted, a line each."""
        folders = Counter(folder for item in self.items for folder in item.route.folders)
        by = Counter(item.by for item in self.items)
        crops = sum(item.box is not None for item in self.items)
        lines = [f"{plural(len(self.items), 'group')}: {by['person']} by your word, {by['auto']} approved unseen"]
        if folders:
            lines.append("images: " + ", ".join(f"{count} to {name}/" for name, count in sorted(folders.items())))
        if crops:
            lines.append(f"{plural(crops, 'crop')} into {CROPPED}/")
        lines += [item.left_out for item in self.items if item.left_out]
        lines += [f"{plural(count, 'group')} left as before: {reason}" for reason, count in self.left.items()]
        return [*lines, *self.notes]


def line_of(op: FileOp) -> str:
    """One step of the plan, or of the journal, as a line."""
    return f"{op.op} {' -> '.join(op.paths)}"


def plan(target: AutomationTarget, connection: sqlite3.Connection, now: str | None = None) -> ApplyPlan:
    """Plan what applying the files of decisions would do now.

    Args:
        now: the time of its rows; not used in a dry run.

    Raises:
        UsageError: a line is damaged, contradicts the project, or leads out of the sandbox.
        ConflictError: an image has vanished or changed, or a destination is taken; `items` lists each.
    """
    proposals, approved = files.read_decisions(target.decisions), files.read_approved(target.approved)
    project_id, ids = target.project.id, list({**proposals, **approved})
    known = {group.group_id: group for group in groups.load(connection, project_id, ids)}
    waiting = groups.waiting_among(connection, known)
    files.require_matching(target.decisions, proposals.values(), known, project_id)
    # lines about groups that have been decided since are not checked
    for line in (line for line in approved.values() if line.group_id in waiting or line.group_id not in known):
        reason = _contradiction(line, known.get(line.group_id), proposals.get(line.group_id))
        if reason is not None:
            files.refuse_line(target.approved, line.line, reason)
    saved = review_state.AUTOMATION.load(connection, waiting)
    lines, left, notes = _wanted(target, connection, proposals, approved, waiting, saved)
    batch, disk = operations.next_batch(connection), DiskSnapshot(target.project.root)
    origin = DiskSnapshot(target.origin.root) if target.is_copy else None
    items, problems = [], []
    for line in lines:
        group_id = line.group_id
        one, proposal, choice = known[group_id], proposals.get(group_id), saved.get(group_id)
        try:
            items.append(_planned(target, one, line, proposal, choice, batch, now or utc_now(), disk, origin))
        except (HeldError, OSError) as error:
            problems.append(held_reason(error))
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        hint = f"nothing was touched; put it right, or leave it out: pickroom auto review {project_id}"
        raise ConflictError(problems[0] + more, items=problems, doing=_DOING, subject=target.project.root, hint=hint)
    return ApplyPlan(batch, tuple(items), left, notes)


def _contradiction(
    line: files.ApprovedDecision, group: Group | None, proposal: files.AutomationDecision | None
) -> str | None:
    """Why a line of approved_decisions.jsonl is contradictory, None when it is not."""
    if group is None:
        return f"it names an unknown group: {line.group_id!r}"
    if line.final_choice is not None and line.final_choice not in group.filenames:
        return f"final_choice {line.final_choice!r} is none of the images of {line.group_id}"
    if line.action != "approved":
        return None
    if proposal is None:
        return f"approved, but nothing is proposed for {line.group_id} in the decisions"
    if line.final_choice != proposal.chosen:
        return f"approved, but final_choice {line.final_choice!r} is not what was proposed for {line.group_id}"
    if line.crop is not None and line.crop != proposal.crop:
        return f"approved, but its crop is not what was proposed for {line.group_id}"
    if line.by == "auto" and not proposal.auto_approve:
        return f"approved by itself, but {line.group_id} is not to be approved unseen"
    return None


def _wanted(
    target: AutomationTarget,
    connection: sqlite3.Connection,
    proposals: Mapping[str, files.AutomationDecision],
    approved: Mapping[str, files.ApprovedDecision],
    waiting: set[str],
    saved: Mapping[str, SavedChoice],
) -> tuple[list[files.ApprovedDecision], dict[str, int], tuple[str, ...]]:
    """The lines to apply, why the others are left out, and notes on the approval of unseen groups."""
    notes: tuple[str, ...] = ()
    approval = files.read_approval(target.guarantee)
    on = approval is not None and approval.threshold is not None
    if approval is not None and on:
        drift = watch(evidence.audit_samples(connection, approval.versions), approval.risk)
        on, notes = drift.on, () if drift.on else (f"approval unseen is {drift.explanation}",)
    lines: list[files.ApprovedDecision] = []
    left: Counter[str] = Counter()
    # groups that are only in the approved file come last
    for group_id in [*proposals, *(g for g in approved if g not in proposals)]:
        proposal, line = proposals.get(group_id), approved.get(group_id)
        if group_id not in waiting:
            left["decided already"] += 1
            continue
        unseen = proposal if line is None or line.by == "auto" else None
        proposed = unseen.recommendation(unseen.images) if unseen is not None and unseen.auto_approve else None
        if proposed is not None and (approval is None or not approval.approves(proposed)):  # another program wrote it
            above = "none is set" if approval is None or approval.threshold is None else f"{approval.threshold:.3f}"
            reason = f"its confidence {proposed.confidence} is not covered by the threshold ({above})"
            files.refuse_line(target.decisions, proposals[group_id].line, f"auto_approve, but {reason}")
        if line is not None and line.by == "person" and line.action == "rejected":
            left["rejected: every image is kept where it is"] += 1
        elif line is not None and line.by == "person":
            lines.append(line)
        elif unseen is None or not unseen.auto_approve:
            left["not reviewed yet"] += 1
        elif group_id in saved and saved[group_id].choice not in (None, Choice()):
            left["chosen in the review, not written yet (Shift+Enter)"] += 1
        elif not on:
            left["approval unseen is switched off"] += 1
        elif approval is not None and approval.drawn(group_id):
            left["drawn for a blind look"] += 1
        else:
            # without a look: exactly the proposal
            needs_crop = unseen.needs_crop is True
            said = (unseen.chosen, needs_crop, unseen.crop if needs_crop else None)
            lines.append(files.ApprovedDecision(group_id, "approved", *said, "auto", utc_now()))
    return lines, dict(left), notes


def _planned(
    target: AutomationTarget,
    group: Group,
    line: files.ApprovedDecision,
    proposal: files.AutomationDecision | None,
    saved: SavedChoice | None,
    batch: int,
    now: str,
    disk: DiskSnapshot,
    origin: DiskSnapshot | None,
) -> PlannedGroup:
    shown = proposal.recommendation(group.filenames) if proposal is not None else None
    proposed = proposal is not None and (line.final_choice, line.crop) == (proposal.chosen, proposal.crop)
    own_box = line.crop is not None and not proposed
    choice = _choice(line, group, own_box)
    crop_seen = saved is None or saved.input != "blind"
    way = routing.route(choice, len(group.images), shown, crop_seen=crop_seen)
    assert way is not None
    cropped = group.images[way.picked] if line.crop is not None and way.picked is not None else None
    if (changed := disk.problem_with(group.images)) is not None:
        raise HeldError(changed)
    less, frame = "", None
    try:
        companions = disk.companions(group)
        _require_companions(group, companions, origin)
        if cropped is not None:
            path = join(cropped.directory, cropped.filename)
            frame = cropping.raw_frame(disk.root / path)
            less = "" if frame else rendering.check_croppable(disk.root / path)
            original = CROPPED if frame else CROP_ORIGINALS
            folders = tuple(original if i == way.picked else f for i, f in enumerate(way.folders))
            way = replace(way, folders=folders, sidecar=None)
        mirror = target.project.is_mirrored
        ops = routing.plan(group, way, companions, shown, batch, mirror=mirror)
        if cropped is not None and frame is not None and line.crop is not None:
            ops = cropping.crop_in_sidecar(disk, path, line.crop, frame, ops)
    except ImageError as error:
        raise HeldError(f"{error.path.name}: {error.reason}") from None
    if cropped is not None and frame is None:
        below = mirrored(CROPPED, cropped.directory) if mirror else CROPPED
        partial = cropping.partial_path(batch, join(cropped.directory, cropped.filename))
        ops = [FileOp(batch, AUTOMATION, "", "move", partial, join(below, cropped.filename), sha256=""), *ops]
    ops = [replace(op, kind=AUTOMATION, unit=unit_of(batch)) for op in ops]
    target.require_inside(ops)
    disk.require_free(ops)
    row = routing.decision(group, choice, shown, now, crop_seen=crop_seen)
    told = f"{cropped.filename}: the crop is without its {less}" if cropped is not None and less else ""
    return PlannedGroup(group, line.by, shown, way, row, tuple(ops), line.crop, own_box, saved, told)


def _require_companions(
    group: Group, companions: Mapping[str, list[tuple[str, str]]], origin: DiskSnapshot | None
) -> None:
    """Raise HeldError for a companion that an image has in the project and not in its copy: it would be left behind."""
    here = {name for found in companions.values() for name, _ in found}
    if origin is not None:
        for one in group.images:
            for name, _ in origin.companions_of(one.directory, one.filename):
                if name not in here:
                    raise HeldError(f"{name}, a companion of {one.filename}, is missing in the sandbox")


def unit_of(batch: int) -> str:
    """The unit of an apply: its steps happen together or not at all."""
    return f"automation-{batch}"


def _choice(line: files.ApprovedDecision, group: Group, own_box: bool) -> Choice:
    """The line as a choice of the review, so that both use the same routing."""
    if line.final_choice is None:
        return Choice("keep")
    index = group.filenames.index(line.final_choice)
    if line.needs_crop and (line.crop is None or own_box):
        return Choice("crop", index)
    return Choice("approve", index, overlay=line.crop is not None)
