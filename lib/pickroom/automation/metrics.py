"""Metrics of the automation: approvals, overrides, crops accepted, time saved; by confidence, with the goals.

Rates are over the groups that the user looked at. Groups approved unseen count only in the time saved: the machine's
own decisions never count as its accuracy (DESIGN.md, invariant 11).
"""

import json
from collections import Counter, defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Self

from pickroom.automation.decisions_file import ApprovedDecision, Verdict, read_approved, read_decisions
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import FileOperationError
from pickroom.core.quantities import plural
from pickroom.core.records import Recommendation
from pickroom.storage import atomic
from pickroom.store import decisions, review_state
from pickroom.store.connect import connect, open_read_only
from pickroom.store.review_state import SavedChoice, looks_s
from pickroom.store.workspace import utc_now

METRICS = "automation_metrics.json"
GATES = (0.60, 0.80, 0.90)  # goals: share approved by the user
MOST_OVERRIDES, LEAST_TIME_SAVED = 0.05, 0.50
_BANDS = 10  # a tenth of confidence wide, as in the analysis


@dataclass(frozen=True, slots=True)
class Outcome:
    """One proposal with its outcome.

    Attributes:
        confidence: of the pick, in [0, 1]; None when not known.
        by_person: False: carried out unseen.
        crop_accepted: the shown crop was accepted unchanged; None: none was shown, or another image was picked.
        seconds: how long the user looked at it; None when unknown.
    """

    action: Verdict
    confidence: float | None
    by_person: bool = True
    crop_accepted: bool | None = None
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcomes counted; rates are None where there is nothing to divide by. `unseen`: carried out without a look."""

    approved: int
    overridden: int
    rejected: int
    unseen: int
    crops: int
    crops_accepted: int

    @classmethod
    def of(cls, outcomes: Sequence[Outcome]) -> Self:
        counts = Counter(one.action if one.by_person else "unseen" for one in outcomes)
        crops = [one.crop_accepted for one in outcomes if one.by_person and one.crop_accepted is not None]
        seen = counts["approved"], counts["overridden"], counts["rejected"]
        return cls(*seen, counts["unseen"], len(crops), sum(crops))

    @property
    def reviewed(self) -> int:
        return self.approved + self.overridden + self.rejected

    @property
    def approval_rate(self) -> float | None:
        return self.approved / self.reviewed if self.reviewed else None

    @property
    def override_rate(self) -> float | None:
        return self.overridden / self.reviewed if self.reviewed else None

    @property
    def crop_acceptance(self) -> float | None:
        return self.crops_accepted / self.crops if self.crops else None


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics report.

    Attributes:
        bands: (low, high) of confidence -> counts, rising; those without an outcome are left out, and (None, None)
            holds what had no confidence.
        own_seconds: median time per group of the user's own review without automation; None before the first.
        spent_seconds: total time spent on proposals, without pauses; timed: reviewed proposals with a known time.
        gates: goal -> whether it is reached; None: not measured yet.
    """

    total: Counts
    bands: dict[tuple[float, float] | tuple[None, None], Counts]
    own_seconds: float | None
    spent_seconds: float
    timed: int
    gates: dict[str, bool | None]

    @property
    def time_saved(self) -> float | None:
        """Share of the time that these groups would have taken at the user's own pace; negative: it took longer."""
        groups = self.timed + self.total.unseen
        return 1 - self.spent_seconds / (self.own_seconds * groups) if self.own_seconds and groups else None

    def to_dict(self) -> dict[str, Any]:
        """As `pickroom auto metrics --json` prints it, and automation_metrics.json holds it."""
        bands = [{"confidence": list(band), **asdict(counts)} for band, counts in self.bands.items()]
        rates = ("reviewed", "approval_rate", "override_rate", "crop_acceptance")
        total = {**asdict(self.total), **{name: getattr(self.total, name) for name in rates}}
        seconds = {"own_seconds": self.own_seconds, "spent_seconds": self.spent_seconds, "time_saved": self.time_saved}
        return {"total": total, "bands": bands, **seconds, "gates": self.gates}

    def lines(self) -> tuple[str, ...]:
        """The report for the user."""
        found = [
            f"{plural(self.total.reviewed, 'proposal')} looked at, {self.total.unseen} carried out unseen",
            f"  {'confidence':<14}{'looked at':>10}{'approved':>10}{'overridden':>12}{'crops taken':>13}{'unseen':>8}",
        ]
        rows = [("unknown" if low is None else f"{low:.1f} - {high:.1f}", c) for (low, high), c in self.bands.items()]
        for name, counts in [*rows, ("all", self.total)]:
            found.append(
                f"  {name:<14}{counts.reviewed:>10}{_percent(counts.approval_rate):>10}"
                f"{_percent(counts.override_rate):>12}{_percent(counts.crop_acceptance):>13}{counts.unseen:>8}"
            )
        if self.own_seconds is None:
            found.append("time saved: not known before you have reviewed groups without automation")
        elif self.time_saved is None:
            found.append("time saved: not known before a proposal is decided on")
        else:
            found.append(
                f"time saved: {_percent(self.time_saved)} against your own {self.own_seconds:.1f} s a group "
                f"({self.spent_seconds / 60:.1f} min spent)"
            )
        states = {True: "passed", False: "not passed", None: "not measured yet"}
        found.append("goals before it is trusted with more, of the proposals that were looked at:")
        return (*found, *(f"  {gate}: {states[passed]}" for gate, passed in self.gates.items()))


def measure(outcomes: Sequence[Outcome], own_seconds: float | None) -> Metrics:
    """Count outcomes, in total and by tenths of confidence.

    Args:
        own_seconds: that the user takes for a group without automation, > 0; None when not known.
    """
    by_band: dict[int, list[Outcome]] = defaultdict(list)
    for outcome in outcomes:
        # 1.0 belongs to the last band; outcomes without a confidence come last
        tenth = _BANDS if outcome.confidence is None else min(int(outcome.confidence * _BANDS + 1e-9), _BANDS - 1)
        by_band[tenth].append(outcome)
    bands: dict[tuple[float, float] | tuple[None, None], Counts] = {
        (None, None) if tenth == _BANDS else (tenth / _BANDS, (tenth + 1) / _BANDS): Counts.of(own)
        for tenth, own in sorted(by_band.items())
    }
    total = Counts.of(outcomes)
    looks = looks_s(1000 * outcome.seconds for outcome in outcomes if outcome.seconds is not None)
    gates = {f"{gate:.0%} approved": _reached(total.approval_rate, gate) for gate in GATES}
    overrides = None if total.override_rate is None else total.override_rate < MOST_OVERRIDES
    gates |= {f"less than {MOST_OVERRIDES:.0%} overridden": overrides}
    found = Metrics(total, bands, own_seconds, sum(looks), len(looks), gates)
    gates[f"{LEAST_TIME_SAVED:.0%} of the time saved"] = _reached(found.time_saved, LEAST_TIME_SAVED)
    return found


def write(target: AutomationTarget, found: Metrics) -> Path:
    """Write the metrics next to the decisions, in place of the last; raises FileOperationError if the disk refuses."""
    path = target.folder / METRICS
    try:
        atomic.write_text(path, json.dumps({**found.to_dict(), "made_at": utc_now()}, indent=1) + "\n")
    except OSError as error:
        raise FileOperationError.of(error, "writing the metrics", path, "make room on the disk") from error
    return path


def metrics_of(target: AutomationTarget) -> Metrics:
    """The metrics of one project's automation so far, from its files and databases.

    Raises:
        UsageError: a line of the files is damaged. StoreError: a database cannot be read.
    """
    lines = read_approved(target.approved)
    proposals = read_decisions(target.decisions) if target.decisions.exists() else {}
    with closing(connect(target.project.database)) as connection:
        looked = review_state.AUTOMATION.load(connection, lines)
    outcomes = []
    for group_id, line in lines.items():
        saved, proposal = looked.get(group_id), proposals.get(group_id)
        shown = saved.shown if saved is not None else None
        if shown is None and proposal is not None:
            shown = proposal.recommendation(proposal.images)
        outcomes.append(_outcome(line, saved, shown))
    with open_read_only(target.origin.database) as connection:
        looks = looks_s(decisions.looks(connection))
    return measure(outcomes, median(looks) if looks else None)


def _outcome(line: ApprovedDecision, saved: SavedChoice | None, shown: Recommendation | None) -> Outcome:
    by_person = line.by == "person"
    crop_seen = by_person and saved is not None and saved.input != "blind" and line.action == "approved"
    accepted = None
    if crop_seen and shown is not None and shown.offered_crop is not None:
        accepted = line.crop == shown.offered_crop
    seconds = saved.milliseconds / 1000 if by_person and saved is not None else None
    return Outcome(line.action, shown.confidence if shown is not None else None, by_person, accepted, seconds)


def _reached(value: float | None, gate: float) -> bool | None:
    return None if value is None else value >= gate


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.0%}"
