"""One planner for the dry run and for the real run: what was approved becomes routes, rows and steps. Changes nothing.

Everything is held against the disk and the database first; whatever is not as it should be refuses the whole plan, in
one line, before anything is touched.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pickroom.automation import evidence
from pickroom.automation.decisions_file import (
    Approved,
    By,
    Proposal,
    read_approved,
    read_proposals,
    refuse_line,
)
from pickroom.automation.drift import watch
from pickroom.automation.generate import Approval, read_approval
from pickroom.automation.sandbox import Place
from pickroom.core.errors import ConflictError, ImageError
from pickroom.core.naming import CROP_ORIGINALS, CROPPED, join
from pickroom.core.records import Choice, CropBox, Decision, FileOp, Group, Recommendation
from pickroom.files import cropping, routing
from pickroom.files.handlers import AUTOMATION
from pickroom.files.preflight import DiskSnapshot
from pickroom.files.routing import Route
from pickroom.images import crops as rendering
from pickroom.store import automation_review, groups, operations
from pickroom.store.choices import SavedChoice
from pickroom.store.workspace import utc_now

_DOING = "planning what the automation does"


@dataclass(frozen=True, slots=True)
class Item:
    """One group that will be carried out.

    Attributes:
        by: the person's word, or the guarantee's.
        shown: what was proposed, None when the person has overridden a group without a proposal.
        row: its decision, None for a group that is kept whole.
        box: the crop rendered at apply, None without one; `own_box`: the person's own, not the one proposed.
        saved: what the review saved of it, None when nobody looked.
    """

    group: Group
    by: By
    shown: Recommendation | None
    route: Route
    row: Decision | None
    ops: tuple[FileOp, ...]
    box: CropBox | None = None
    own_box: bool = False
    saved: SavedChoice | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What an apply does, as data: a dry run prints it, a real run journals it.

    Attributes:
        batch: the number it will carry, for `undo --batch`.
        left: reason -> how many groups stay as they are for it.
        words: what the person should know of the approval by itself.
    """

    batch: int
    items: tuple[Item, ...]
    left: Mapping[str, int] = field(default_factory=dict)
    words: tuple[str, ...] = ()

    @property
    def ops(self) -> tuple[FileOp, ...]:
        return tuple(op for item in self.items for op in item.ops)

    def lines(self) -> list[str]:
        """Every step, a line each, in the order it will be journalled."""
        return [line_of(op) for op in self.ops]

    def summary(self) -> list[str]:
        """What it comes to, in words."""
        folders = Counter(folder for item in self.items for folder in item.route.folders)
        by = Counter(item.by for item in self.items)
        crops = sum(item.box is not None for item in self.items)
        lines = [f"{_count(len(self.items), 'group')}: {by['person']} by your word, {by['auto']} approved unseen"]
        if folders:
            lines.append("images: " + ", ".join(f"{count} to {name}/" for name, count in sorted(folders.items())))
        if crops:
            lines.append(f"{_count(crops, 'crop')} rendered into {CROPPED}/")
        lines += [f"{_count(count, 'group')} left as before: {reason}" for reason, count in self.left.items()]
        return [*lines, *self.words]


def _count(count: int, noun: str) -> str:
    return f"{count} {noun}" + "s" * (count != 1)


def line_of(op: FileOp) -> str:
    """One step of the plan, or of the journal, as a line."""
    return f"{op.op} {' -> '.join(path for path in (op.source, op.destination) if path is not None)}"


def plan(place: Place, connection: sqlite3.Connection, now: str | None = None) -> Plan:
    """What applying the two files would do now.

    Args:
        now: the time its rows will carry; of no account in a dry run.

    Raises:
        UsageError: a line is damaged, contradicts the project, or leads out of the sandbox.
        ConflictError: an image has vanished or changed, or a place is taken; `items` lists each.
    """
    proposals, approved = read_proposals(place.decisions), read_approved(place.approved)
    approval = read_approval(place)
    project_id = place.project.id
    ids = list({**proposals, **approved})
    known = {group.group_id: group for group in groups.load(connection, project_id, ids)}
    waiting = groups.waiting_among(connection, known)
    for proposal in proposals.values():
        reason = proposal.mismatch(known.get(proposal.group_id), project_id)
        if reason is not None:
            refuse_line(place.decisions, proposal.line, reason)
    # what was said of a group that has been decided since is history
    for line in (line for line in approved.values() if line.group_id in waiting or line.group_id not in known):
        reason = _contradiction(line, known.get(line.group_id), proposals.get(line.group_id))
        if reason is not None:
            refuse_line(place.approved, line.line, reason)
    saved = automation_review.load(connection, waiting)
    lines, left, words = _wanted(place, connection, proposals, approved, approval, waiting, saved)
    batch, disk = operations.next_batch(connection), DiskSnapshot(place.project.root)
    items, problems = [], []
    for line in lines:
        try:
            one, group_id = known[line.group_id], line.group_id
            item = _item(one, line, proposals.get(group_id), saved.get(group_id), batch, now or utc_now(), disk)
            place.require_inside(item.ops)
            items.append(_promised(place, disk, item))
        except _Refused as refused:
            problems.append(str(refused))
    if problems:
        more = f", and {len(problems) - 1} more" if len(problems) > 1 else ""
        hint = f"nothing was touched; put it right, or leave it out: pickroom auto review {project_id}"
        raise ConflictError(problems[0] + more, items=problems, doing=_DOING, subject=place.project.root, hint=hint)
    return Plan(batch, tuple(items), left, words)


class _Refused(Exception):
    """Why one group cannot be carried out."""


def _contradiction(line: Approved, group: Group | None, proposal: Proposal | None) -> str | None:
    """Why a line of approved_decisions.jsonl cannot be believed, None when it can."""
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
    place: Place,
    connection: sqlite3.Connection,
    proposals: Mapping[str, Proposal],
    approved: Mapping[str, Approved],
    approval: Approval | None,
    waiting: set[str],
    saved: Mapping[str, SavedChoice],
) -> tuple[list[Approved], dict[str, int], tuple[str, ...]]:
    """The lines to carry out, why the others are not, and what is to be said of approval by itself."""
    words: tuple[str, ...] = ()
    on = approval is not None and approval.threshold is not None
    if approval is not None and on:
        drift = watch(evidence.audit_samples(connection, approval.versions), approval.promise)
        on, words = drift.on, () if drift.on else (f"approval unseen is {drift.words}",)
    lines: list[Approved] = []
    left: Counter[str] = Counter()
    # a group that only the person's file knows comes last
    for group_id in [*proposals, *(g for g in approved if g not in proposals)]:
        proposal, line = proposals.get(group_id), approved.get(group_id)
        if group_id not in waiting:
            left["decided already"] += 1
            continue
        by_itself = proposal is not None and proposal.auto_approve and (line is None or line.by == "auto")
        if by_itself:
            assert proposal is not None
            _require_covered(place, proposal, approval)
        if line is not None and line.by == "person" and line.action == "rejected":
            left["rejected: every image is kept where it is"] += 1
        elif line is not None and line.by == "person":
            lines.append(line)
        elif not by_itself:
            left["not reviewed yet"] += 1
        elif group_id in saved and saved[group_id].choice not in (None, Choice()):
            left["chosen in the review, not written yet (Shift+Enter)"] += 1
        elif not on:
            left["approval unseen is switched off"] += 1
        elif approval is not None and approval.drawn(group_id):
            left["drawn for a blind look"] += 1
        else:
            assert proposal is not None
            lines.append(approved_unseen(proposal))
    return lines, dict(left), words


def approved_unseen(proposal: Proposal) -> Approved:
    """The line of a group that nobody looks at: exactly what is proposed."""
    needs_crop = proposal.needs_crop is True
    crop = proposal.crop if needs_crop else None
    return Approved(proposal.group_id, "approved", proposal.chosen, needs_crop, crop, "auto", utc_now())


def _require_covered(place: Place, proposal: Proposal, approval: Approval | None) -> None:
    """auto_approve is nobody's to write by hand: what it rests on must say the same."""
    if approval is None or not approval.approves(proposal.recommendation(proposal.images)):
        threshold = "none is set" if approval is None or approval.threshold is None else f"{approval.threshold:.3f}"
        reason = f"auto_approve, but its confidence {proposal.confidence} is not covered by the threshold ({threshold})"
        refuse_line(place.decisions, proposal.line, reason)


def _item(
    group: Group,
    line: Approved,
    proposal: Proposal | None,
    saved: SavedChoice | None,
    batch: int,
    now: str,
    disk: DiskSnapshot,
) -> Item:
    shown = proposal.recommendation(group.filenames) if proposal is not None else None
    proposed = proposal is not None and (line.final_choice, line.crop) == (proposal.chosen, proposal.crop)
    own_box = line.crop is not None and not proposed
    choice = _choice(line, group, own_box)
    crop_seen = saved is None or saved.input != "blind"
    way = routing.route(choice, len(group.images), shown, crop_seen=crop_seen)
    assert way is not None
    if line.crop is not None and way.picked is not None:
        folders = tuple(CROP_ORIGINALS if i == way.picked else f for i, f in enumerate(way.folders))
        way = replace(way, folders=folders, sidecar=None)
    held = disk.problem_with(group.images)
    if held is not None:
        raise _Refused(held)
    try:
        companions = disk.companions(group)
    except OSError as error:
        raise _Refused(f"{error.filename} cannot be read: {error.strerror}") from None
    ops = routing.plan(group, way, companions, shown, batch)
    if line.crop is not None and way.picked is not None:
        name = group.images[way.picked].filename
        partial = cropping.partial_path(batch, name)
        ops = [FileOp(batch, AUTOMATION, "", "move", partial, join(CROPPED, name), sha256=""), *ops]
    ops = [replace(op, kind=AUTOMATION, unit=unit_of(batch)) for op in ops]
    row = routing.decision(group, choice, shown, now, crop_seen=crop_seen)
    return Item(group, line.by, shown, way, row, tuple(ops), line.crop, own_box, saved)


def unit_of(batch: int) -> str:
    """The one unit of an apply: its steps happen together or not at all, whatever happens."""
    return f"automation-{batch}"


def _choice(line: Approved, group: Group, own_box: bool) -> Choice:
    """The line in the review's own words, so that one routing serves both."""
    if line.final_choice is None:
        return Choice("keep")
    index = group.filenames.index(line.final_choice)
    if line.needs_crop and (line.crop is None or own_box):
        return Choice("crop", index)
    return Choice("approve", index, overlay=line.crop is not None)


def _promised(place: Place, disk: DiskSnapshot, item: Item) -> Item:
    held = disk.reserve(item.ops)
    if held is not None:
        raise _Refused(held)
    if item.box is not None and item.route.picked is not None:
        image = item.group.images[item.route.picked]
        try:
            rendering.check_croppable(place.project.path(image.directory, image.filename))
        except ImageError as error:
            raise _Refused(f"{image.filename}: {error.reason}") from None
    return item
