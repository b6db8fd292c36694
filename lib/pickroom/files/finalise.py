"""Finalise: stored choices become decisions and a file plan in one transaction; then the files move."""

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pickroom.core.records import Decision, FileOp, Group, InputKind, Recommendation
from pickroom.files import rating, routing
from pickroom.files.batch import run_batch
from pickroom.files.preflight import DiskSnapshot, HeldError, held_reason, left_in_words
from pickroom.store import decisions, groups, operations, review_state
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import Project, utc_now

# outcome -> how the deck shows it
_DONE = {"approve": "picked", "crop": "to crop", "keep": "kept whole", "reject": "rejected"}


@dataclass(frozen=True, slots=True)
class FinaliseResult:
    """What a finalise did."""

    batch: int | None  # its number, for `undo --batch`; None when there was nothing to do
    counts: dict[str, int] = field(default_factory=dict)  # outcome (approve, crop, reject, keep) -> groups
    held: dict[str, str] = field(default_factory=dict)  # group id -> reason, for groups left in the queue
    # group id -> reason, for groups that `pickroom recover` must finish
    stuck: dict[str, str] = field(default_factory=dict)
    skipped: int = 0  # how many groups now wait behind all others
    to_crop: int = 0  # how many of its images wait on the crop desk, the AI's crops among them
    project_id: str = ""  # whose batch it is
    staying: tuple[str, ...] = ()  # files whose names begin as a moved image's, and that belong to none: they stayed

    @property
    def line(self) -> str:
        """One line for the user: what was done, how it is undone, what comes next."""
        said = [f"{self.counts[outcome]} {words}" for outcome, words in _DONE.items() if outcome in self.counts]
        parts = [", ".join(said) or "no group"]
        if self.skipped:
            parts.append(f"{self.skipped} skipped")
        if self.held:
            parts.append(f"{len(self.held)} held back")
        if self.stuck:
            parts.append(f"{len(self.stuck)} unfinished: run `pickroom recover {self.project_id}`")
        if not self.batch:
            return f"Nothing moved: {'; '.join(parts)}"
        parts += left_in_words(self.staying)
        crops = [f"{self.to_crop} wait{'s' * (self.to_crop == 1)} in 30_crop"] if self.to_crop else []
        undo = f"undo: pickroom undo {self.project_id} --batch {self.batch}"
        return " · ".join((f"Batch {self.batch}: {'; '.join(parts)}", *crops, undo))


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """One group about to be finalised: its route, its row (none for a kept group) and its steps, or why it is
    held back.
    """

    group: Group
    saved: SavedChoice
    route: routing.Route
    row: Decision | None = None
    ops: tuple[FileOp, ...] = ()
    held: str | None = None
    staying: tuple[str, ...] = ()  # see `FinaliseResult`


def finalise(project: Project, connection: sqlite3.Connection, group_ids: Sequence[str]) -> FinaliseResult:
    """Finalise those of the groups that are decided; the others stay. Choices are read from the store.

    Raises LockedError, ProjectError, FileOperationError and StoreError as `run_batch`.
    """
    with run_batch(project, connection, "finalising") as batch:
        now = utc_now()
        plans, deferred = plan(project, connection, group_ids, batch.number, now)
        ops = [op for item in plans for op in item.ops]
        plans, skipped = batch.commit(ops, lambda: _write(connection, plans, deferred, batch.number, now))
        outcome = batch.run()
    going, done = [p for p in plans if p.held is None], set(outcome.done)
    counts: Counter[str] = Counter(p.route.outcome for p in going if p.group.group_id in done)
    held = {p.group.group_id: p.held for p in plans if p.held is not None} | outcome.failed
    to_crop = sum(bool(p.route.sidecar) for p in going if p.group.group_id in done)
    number = batch.number if going else None
    staying = tuple(dict.fromkeys(path for p in going if p.group.group_id in done for path in p.staying))
    return FinaliseResult(number, dict(counts), held, outcome.stuck, skipped, to_crop, project.id, staying)


def plan(
    project: Project, connection: sqlite3.Connection, group_ids: Sequence[str], batch: int, now: str
) -> tuple[list[GroupPlan], list[str]]:
    """What finalising these groups would do, and which of them were skipped. Changes nothing.

    `batch` is the finalise number to plan for, `now` the time that its rows will carry.
    """
    waiting = groups.waiting_among(connection, group_ids)
    stored = review_state.REVIEW.load(connection, group_ids)
    disk = DiskSnapshot(project.root)
    plans, deferred = [], []
    # groups that another window has finalised meanwhile are not waiting any more
    for group in groups.load(connection, project.id, [g for g in group_ids if g in waiting]):
        saved = stored.get(group.group_id)
        if saved is None or saved.choice is None:
            continue
        if saved.choice.action == "skip":
            deferred.append(group.group_id)
        way = routing.route(saved.choice, len(group.images), saved.shown, crop_seen=saved.crop_seen)
        if way is not None:
            row = routing.decision(group, saved.choice, saved.shown, now, crop_seen=saved.crop_seen)
            plans.append(_plan_group(disk, GroupPlan(group, saved, way, row), batch, project))
    return plans, deferred


def _plan_group(disk: DiskSnapshot, item: GroupPlan, batch: int, project: Project) -> GroupPlan:
    """The plan with its steps, or with the reason why the group is held back."""
    group, choice, in_place = item.group, item.saved.choice, project.manifest.in_place
    ops, staying = list[FileOp](), tuple[str, ...]()
    try:
        if (changed := disk.problem_with(group.images)) is not None:
            raise HeldError(changed)
        if in_place is None:
            companions, mirror = disk.companions(group), project.is_mirrored
            ops = routing.plan(group, item.route, companions, item.saved.shown, batch, mirror=mirror)
            staying = disk.left_beside(group.directory, group.filenames)
        elif choice is not None:
            stars, begun = dict(choice.stars), FileOp(batch, routing.REVIEW, group.group_id, "write", None, None, "")
            for place, (image, verdict) in enumerate(zip(group.images, routing.verdicts(item.route), strict=True)):
                wanted = rating.rated(verdict, stars.get(place) if verdict in ("picked", "kept") else None)
                ops.append(rating.step(disk, image.directory, image.filename, wanted, in_place, begun))
        disk.require_free(ops)
    except (HeldError, OSError) as error:
        return replace(item, held=held_reason(error))
    return replace(item, ops=tuple(ops), staying=staying)


def _write(
    connection: sqlite3.Connection, plans: Sequence[GroupPlan], deferred: Sequence[str], batch: int, now: str
) -> tuple[list[GroupPlan], int]:
    """Write rows and steps; returns the plans as they went in, and how many groups were skipped."""
    stored = review_state.REVIEW.load(connection, [*(p.group.group_id for p in plans), *deferred])
    deferred = [g for g in deferred if (choice := stored[g].choice) is not None and choice.action == "skip"]
    settled = []
    for item in plans:
        found = stored[item.group.group_id]
        if item.held is None and (found.choice, found.shown) != (item.saved.choice, item.saved.shown):
            item = replace(item, held="another window chose anew while this was being finalised")
        settled.append(item)
        if item.held is not None:
            review_state.hold(connection, item.group.group_id, item.held)
            continue
        planned, saved = (item.group.group_id, item.route, item.row, item.ops), item.saved
        record_decision(connection, *planned, saved, saved.shown, saved.input, batch, now)
        review_state.hold(connection, item.group.group_id, None)
    groups.defer(connection, deferred)
    for group_id in deferred:
        review_state.clear_skip(connection, group_id)
    if any(item.held is None for item in settled):
        review_state.REVIEW.log.clear(connection)
    review_state.REVIEW.forget_cursor(connection)  # what waits next may lie before where this batch ended
    return settled, len(deferred)


def record_decision(
    connection: sqlite3.Connection,
    group_id: str,
    route: routing.Route,
    row: Decision | None,
    ops: Sequence[FileOp],
    saved: SavedChoice | None,
    shown: Recommendation | None,
    input: InputKind,
    batch: int,
    now: str,
) -> None:
    """Write one decision, how it came about, and its steps, within the caller's transaction.

    Args:
        row: None for a group that is kept whole.
        saved: what the review saved of the group; None where nobody looked at it.
        shown, input: the recommendation that was decided on, and by whom.
    """
    if row is not None:
        decisions.insert(connection, row)
    source, versions = (shown.source, shown.versions) if shown else (None, {})
    spent = saved.milliseconds if saved else None
    context = decisions.Context(group_id, batch, input, route.outcome, now, source, versions, spent)
    decisions.insert_context(connection, context)
    operations.plan(connection, ops)
