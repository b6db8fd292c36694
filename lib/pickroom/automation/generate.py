"""Generate: what is proposed for every undecided group, written to automation_decisions.jsonl. No image is touched.

Recommendations are read from the database, as `pickroom recommend` stored them; no model runs here.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any

from pickroom.automation import evidence, interrupted, refresh
from pickroom.automation.decisions_file import Approved, Proposal, read_approved, read_proposals, write_lines
from pickroom.automation.drift import Drift, drawn, watch
from pickroom.automation.guarantee import RISK_TARGET, Guarantee, RiskTarget, approval_confidence, calibrate
from pickroom.automation.sandbox import Place
from pickroom.core.errors import FileOperationError, UsageError
from pickroom.core.records import Choice, Group, Recommendation
from pickroom.files.lock import moving_files
from pickroom.storage import atomic
from pickroom.store import automation_review, groups, recommendations
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.workspace import Project, utc_now


@dataclass(frozen=True, slots=True)
class Approval:
    """What may be approved unseen, as `automation_guarantee.json` keeps it beside the decisions.

    Attributes:
        threshold: from this confidence on; None: nothing is.
        versions: of the models that this was calibrated for; no other recommendation is approved unseen.
        seed: what the random look is drawn by.
        words: why, a line each.
    """

    threshold: float | None
    versions: Mapping[str, str]
    seed: str
    words: tuple[str, ...]
    promise: RiskTarget = RISK_TARGET
    made_at: str = ""

    def approves(self, recommendation: Recommendation) -> bool:
        """Whether this recommendation may be carried out unseen (but for the random look)."""
        confidence = approval_confidence(recommendation)
        if self.threshold is None or confidence is None or recommendation.versions != dict(self.versions):
            return False
        return confidence >= self.threshold

    def drawn(self, group_id: str) -> bool:
        """Whether an approved group still goes to the person, blind."""
        return drawn(group_id, self.seed)

    def to_json(self) -> str:
        values = {**asdict(self), "versions": dict(self.versions)}
        return json.dumps(values, indent=1, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Approval:
        """Read what `to_json` wrote; raises ValueError on anything else."""
        values: Any = json.loads(text)
        try:
            threshold = values["threshold"]
            if threshold is not None and not (type(threshold) in (int, float) and 0 <= threshold <= 1):
                raise ValueError(f"threshold {threshold!r} is not from 0 to 1")
            promise, words = RiskTarget(**values["promise"]), tuple(map(str, values["words"]))
            return cls(threshold, dict(values["versions"]), str(values["seed"]), words, promise, str(values["made_at"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"a field is missing or of another kind ({error})") from None


@dataclass(frozen=True, slots=True)
class Generated:
    """What a generate wrote.

    Attributes:
        proposals: one a waiting group, in the queue's order.
        looked: how many of those approved unseen are drawn for a look all the same.
        kept: how many stand as they were, since the person has spoken of them already.
        notes: what else the person should know.
    """

    place: Place
    proposals: tuple[Proposal, ...]
    approval: Approval
    guarantee: Guarantee
    drift: Drift
    looked: int
    kept: int
    notes: tuple[str, ...]

    @property
    def approved(self) -> int:
        """How many groups will be carried out unseen."""
        return sum(p.auto_approve for p in self.proposals) - self.looked


def generate(place: Place, promise: RiskTarget = RISK_TARGET, *, trained_on: frozenset[str] = frozenset()) -> Generated:
    """Write the decisions of every undecided group, and what the guarantee rests on.

    Args:
        trained_on: group ids that calibrate nothing, besides those in the training set of the models in use.

    Raises:
        UsageError: approved_decisions.jsonl is damaged.
        LockedError: a review is writing that file, or an apply is at work.
        FileOperationError, StoreError: the disk or the database refuses; the files are as they were.
    """
    # a review that writes what was chosen, or an apply, would go on from what stood here before
    with moving_files(place.project, "generating decisions") as folder:
        with closing(connect(place.project.database)) as connection:
            note = interrupted.finish(place, connection, folder)
        made = _generate(place, promise, trained_on)
    return replace(made, notes=(note, *made.notes)) if note else made


def _generate(place: Place, promise: RiskTarget, trained_on: frozenset[str]) -> Generated:
    approved = read_approved(place.approved)
    notes: list[str] = []
    before = _before(place, notes)
    with closing(connect(place.project.database)) as connection:
        if place.is_copy:
            notes += _refresh(place, connection)
        waiting = groups.queue(connection, place.project.id)
        made = recommendations.of_groups(connection, [group.group_id for group in waiting])
        spoken = automation_review.load(connection, [group.group_id for group in waiting])
        versions = evidence.versions_in_use(made.values())
        drift = watch(evidence.audit_samples(connection, versions), promise)
    learned_from = refresh.trained_on(place.origin.workspace, versions) | trained_on
    with open_read_only(place.origin.database) as connection:
        guarantee = calibrate(evidence.blind_decisions(connection, versions, learned_from), promise)
    words = (*guarantee.words, *([drift.words] if drift.looked else []))
    approval = Approval(
        guarantee.threshold if drift.on else None, versions, seed_of(place.project), words, promise, utc_now()
    )
    proposals, kept = [], 0
    for group in waiting:
        old, choice, line = before.get(group.group_id), spoken.get(group.group_id), approved.get(group.group_id)
        said = choice is not None and choice.choice not in (None, Choice())
        if old is not None and (said or (line is not None and line.by == "person")):
            # what the person has spoken of stays what it was; only approval by itself is judged anew
            approves = old.auto_approve and approval.approves(old.recommendation(old.images))
            proposals.append(replace(old, auto_approve=approves))
            kept += 1
        else:
            proposals.append(propose(group, made.get(group.group_id), approval))
    _write(place, proposals, approval, approved)
    looked = sum(p.auto_approve and approval.drawn(p.group_id) for p in proposals)
    return Generated(place, tuple(proposals), approval, guarantee, drift, looked, kept, tuple(notes))


def propose(group: Group, made: Recommendation | None, approval: Approval) -> Proposal:
    """The line of one group; without a recommendation it only says that nobody knows."""
    line = Proposal(group.group_id, group.project_id, group.directory, group.filenames)
    if made is None:
        return replace(line, reason="no recommendation yet", crop_reason="no word on a crop")
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
        crop_reason=_crop_reason(made),
        auto_approve=approval.approves(made),
        models=made.versions,
    )


def read_approval(place: Place) -> Approval | None:
    """What the last generate may approve unseen; None without one: then nothing is.

    Raises:
        UsageError: the file is damaged.
    """
    try:
        return Approval.from_json(place.guarantee.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the file cannot be read ({error})",
            doing="reading what may be approved unseen",
            subject=place.guarantee,
            hint=f"write it anew: pickroom auto generate {place.project.id}",
        ) from None


def seed_of(project: Project) -> str:
    """What the random look is drawn by: the same at every run of a project, and in its copy."""
    return f"{project.id} {project.manifest.created_at}"


def _crop_reason(made: Recommendation) -> str:
    if made.crop_needed is None:
        return "no word on a crop" if made.crop is None else "a crop is possible"
    if not made.crop_needed:
        return "no crop needed"
    return "a crop is needed" if made.crop is not None else "a crop is needed, and no box is proposed"


def _before(place: Place, notes: list[str]) -> dict[str, Proposal]:
    """The lines of the last generate; a damaged file is what a new one mends."""
    if not place.decisions.exists():
        return {}
    try:
        return read_proposals(place.decisions)
    except UsageError as error:
        notes.append(f"the decisions were damaged and are written anew: {error.what}")
        return {}


def _refresh(place: Place, connection: sqlite3.Connection) -> list[str]:
    """Take over the recommendations of today for the groups that the copy has; say what it lacks."""
    with open_read_only(place.origin.database) as origin:
        theirs = {group.group_id: group for group in groups.queue(origin, place.origin.id)}
        made = recommendations.of_groups(origin, theirs)
    ours = {group.group_id: group for group in groups.queue(connection, place.project.id)}
    same = [r for g, r in made.items() if g in ours and ours[g].filenames == theirs[g].filenames]
    with transaction(connection):
        recommendations.upsert(connection, same)
    known = {group.group_id for group in groups.load(connection, place.project.id, list(theirs))}
    lacking, decided = len(set(theirs) - known), len(set(ours) - set(theirs))
    if not lacking and not decided:
        return []
    return [
        f"the copy is older than the project: it lacks {lacking} groups, and {decided} that wait in it wait there no "
        f"more; for a fresh copy remove {place.folder} and generate again"
    ]


def _write(place: Place, proposals: list[Proposal], approval: Approval, approved: Mapping[str, Approved]) -> None:
    """Both files and the guarantee; the machine's own lines about groups that wait go: each apply makes them."""
    waiting = {proposal.group_id for proposal in proposals}
    stand = [line for line in approved.values() if line.by == "person" or line.group_id not in waiting]
    if len(stand) < len(approved):
        write_lines(place.approved, stand)
    try:
        if not place.is_copy:  # a copy lies in it: where that is missing, nothing may be made in its place
            place.folder.mkdir(parents=True, exist_ok=True)
        # first nothing may be approved by what is about to go, then the decisions, then what they rest on
        place.guarantee.unlink(missing_ok=True)
        write_lines(place.decisions, proposals)
        atomic.write_text(place.guarantee, approval.to_json())
    except OSError as error:
        hint = "make room on the disk, then generate again"
        what = error.strerror or str(error)
        raise FileOperationError(what, "writing the automation's decisions", [place.folder], hint) from error
