"""Generate: write the proposal for every undecided group to automation_decisions.jsonl. No image is touched.

`generate` reads recommendations from the database; `recommend_first` runs the models, which are imported late.
"""

import sqlite3
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace

from pickroom.automation import apply, evidence
from pickroom.automation import decisions_file as files
from pickroom.automation.guarantee import RISK_TARGET, RiskTarget, calibrate, watch
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.quantities import plural
from pickroom.core.records import MAX_GROUP, Choice, Group, Recommendation
from pickroom.files.preflight import moving_files
from pickroom.storage import atomic
from pickroom.store import groups, recommendations, review_state
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project, utc_now


@dataclass(frozen=True, slots=True)
class Generated:
    """The result of a generate."""

    target: AutomationTarget
    proposals: tuple[files.AutomationDecision, ...]  # one for each waiting group, in the queue's order
    approval: files.Approval
    looked: int  # how many of those approved unseen are drawn for the audit
    notes: tuple[str, ...]  # what else the user should know

    @property
    def approved(self) -> int:
        """How many groups will be applied unseen."""
        return sum(p.auto_approve for p in self.proposals) - self.looked

    @property
    def line(self) -> str:
        """How many groups are approved, and how many are to be looked at."""
        waiting = len(self.proposals) - self.approved
        return f"{self.approved} approved unseen, {waiting} for you ({self.looked} of them drawn at random, blind)"


def generate(
    target: AutomationTarget,
    risk: RiskTarget = RISK_TARGET,
    *,
    trained_on: frozenset[str] = frozenset(),
    confidence: float | None = None,
    most_cut: float | None = None,
) -> Generated:
    """Write the proposals for every undecided group, and the guarantee with its evidence.

    Args:
        trained_on: group ids that must not calibrate, besides those in the training set of the models in use.
        confidence: the threshold in place of the guarantee's, in [0, 1]: nothing is guaranteed.
        most_cut: the largest share of an image that an unseen crop may remove, in [0, 1]; None: any.

    Raises:
        UsageError: approved_decisions.jsonl is damaged.
        LockedError: a review is writing that file, or an apply is at work.
        FileOperationError, StoreError: the disk or the database refuses; the files are as they were.
    """
    # a review that writes choices, or an apply, would continue from the earlier contents
    with moving_files(target.project, "generating decisions") as folder:
        with closing(connect(target.project.database)) as connection:
            note = apply.finish(target, connection, folder)
            notes = [note] if note else []
            approved, before = files.read_approved(target.approved), _before(target, notes)
            if target.is_copy:
                notes += _refresh(target, connection)
            every = groups.queue(connection, target.project.id)
            waiting = [group for group in every if len(group.images) <= MAX_GROUP]
            if left := len(every) - len(waiting):
                notes.append(f"{plural(left, 'burst')} of more than four images left to the review, round by round")
            ids = [group.group_id for group in waiting]
            made, chosen = recommendations.of_groups(connection, ids), review_state.AUTOMATION.load(connection, ids)
            versions = evidence.versions_in_use(made.values())
            drift = watch(evidence.audit_samples(connection, versions), risk)
        learned_from = evidence.trained_on(target.origin.workspace, versions) | trained_on
        with open_read_only(target.origin.database) as connection:
            guarantee = calibrate(evidence.blind_decisions(connection, versions, learned_from), risk)
        threshold, explanation = guarantee.threshold, guarantee.explanation
        if confidence is not None:
            set_by_hand = f"approved unseen from confidence {confidence:g} on: set by hand, not guaranteed"
            threshold, explanation = confidence, (set_by_hand, *explanation)
        if most_cut is not None:
            explanation = (f"no crop is made unseen that cuts away more than {most_cut:.0%}", *explanation)
        explanation = (*explanation, *([drift.explanation] if drift.looked else []))
        threshold, by_hand, seed = threshold if drift.on else None, confidence is not None, seed_of(target.project)
        approval = files.Approval(threshold, versions, seed, explanation, risk, utc_now(), by_hand, most_cut)
        proposals = []
        for group in waiting:
            old, choice, line = before.get(group.group_id), chosen.get(group.group_id), approved.get(group.group_id)
            said = choice is not None and choice.choice not in (None, Choice())
            if old is not None and (said or (line is not None and line.by == "person")):
                # proposals that the user has decided on stay as they were; only the approval is computed again
                approves = old.auto_approve and approval.approves(old.recommendation(old.images))
                proposals.append(replace(old, auto_approve=approves))
            else:
                proposals.append(propose(group, made.get(group.group_id), approval))
        _write(target, proposals, approval, approved)
        looked = sum(p.auto_approve and approval.drawn(p.group_id) for p in proposals)
        return Generated(target, tuple(proposals), approval, looked, tuple(notes))


def propose(group: Group, made: Recommendation | None, approval: files.Approval) -> files.AutomationDecision:
    """The line of one group; without a recommendation its fields are unknown."""
    line = files.AutomationDecision(group.group_id, group.project_id, group.directory, group.filenames)
    if made is None:
        return replace(line, reason="no recommendation yet", crop_reason="no prediction whether to crop")
    index = made.selected_index
    return replace(
        line,
        chosen=None if index is None else group.filenames[index],
        confidence=made.confidence,
        reason="; ".join(made.reasons),
        anomaly_flags=made.anomaly_flags,
        needs_crop=made.crop_needed,
        crop=made.offered_crop if index is not None else None,
        crop_confidence=made.crop_confidence,
        crop_reason=_CROP_REASONS[made.crop_needed][made.crop is not None],
        auto_approve=approval.approves(made),
        models=made.versions,
    )


# whether a crop is needed -> the reason in the line without a box, and with one
_CROP_REASONS = {
    None: ("no prediction whether to crop", "a crop is possible"),
    False: ("no crop needed", "no crop needed"),
    True: ("a crop is needed, and no box is proposed", "a crop is needed"),
}


def recommend_first(project: Project, progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Store the current models' recommendations, as `pickroom recommend` does; returns notes on unusable models.

    Without a model that recommends, what is stored stays: the baseline, or the demo's simulation.

    Raises:
        StoreError: the database cannot be read or written.
    """
    from pickroom.learn.checkpoints import load_model

    ranker = load_model(project, "ranker")
    if ranker.model is None:
        return (f"the ranker recommends nothing: {ranker.reason}",) if ranker.damaged else ()
    from pickroom.learn.recommending import recommend

    return recommend(project, progress).faults


def seed_of(project: Project) -> str:
    """The seed of the audit sample: the same at every run of a project, and in its copy."""
    return f"{project.id} {project.manifest.created_at}"


def _before(target: AutomationTarget, notes: list[str]) -> dict[str, files.AutomationDecision]:
    """The lines of the last generate; none, with a note, where the file is damaged."""
    if not target.decisions.exists():
        return {}
    try:
        return files.read_decisions(target.decisions)
    except UsageError as error:
        notes.append(f"the decisions were damaged and are written anew: {error.what}")
        return {}


def _refresh(target: AutomationTarget, connection: sqlite3.Connection) -> list[str]:
    """Copy the project's recommendations for the groups that the copy has; return notes on what it lacks."""
    with open_read_only(target.origin.database) as origin:
        theirs = {group.group_id: group for group in groups.queue(origin, target.origin.id)}
        made = recommendations.of_groups(origin, theirs)
    ours = {group.group_id: group for group in groups.queue(connection, target.project.id)}
    same = [r for g, r in made.items() if g in ours and ours[g].filenames == theirs[g].filenames]
    with transaction(connection):
        recommendations.upsert(connection, same)
    known = {group.group_id for group in groups.load(connection, target.project.id, list(theirs))}
    lacking, decided = len(set(theirs) - known), len(set(ours) - set(theirs))
    if not lacking and not decided:
        return []
    return [
        f"the copy is older than the project: it lacks {lacking} groups, and {decided} that wait in it wait there no "
        f"more; for a fresh copy remove {target.folder} and generate again"
    ]


def _write(
    target: AutomationTarget,
    proposals: Iterable[files.AutomationDecision],
    approval: files.Approval,
    approved: Mapping[str, files.ApprovedDecision],
) -> None:
    """Write the files; automatic approvals of waiting groups are removed, since each apply makes them again."""
    waiting = {proposal.group_id for proposal in proposals}
    stand = [line for line in approved.values() if line.by == "person" or line.group_id not in waiting]
    if len(stand) < len(approved):
        files.write_lines(target.approved, stand)
    try:
        if not target.is_copy:  # the copy's folder is not created here: it would hold no copy
            target.folder.mkdir(parents=True, exist_ok=True)
        # the old approval is removed first: it must never cover new decisions
        target.guarantee.unlink(missing_ok=True)
        files.write_lines(target.decisions, proposals)
        atomic.write_text(target.guarantee, approval.to_json())
    except OSError as error:
        hint = "make room on the disk, then generate again"
        what = error.strerror or str(error)
        raise FileOperationError(what, "writing the automation's decisions", [target.folder], hint) from error
