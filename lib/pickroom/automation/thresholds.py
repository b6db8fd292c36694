"""What each threshold would have approved and got wrong: on blind decisions, and on past picks.

Past picks say something long before enough blind decisions exist, but no guarantee: they were made with the
recommendation in sight, or without any, and no crop was looked at.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pickroom.automation import evidence, past_picks
from pickroom.automation.guarantee import RISK_TARGET, upper_bound
from pickroom.core.errors import PickroomError
from pickroom.store import groups, recommendations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold over `of` decisions: how many would have been approved, and how many of these wrongly."""

    threshold: float
    of: int
    approved: int
    wrong: int
    most_wrong: float  # the 95 % upper bound on the share that is wrong, in [0, 1]; 1 where none was approved


@dataclass(frozen=True, slots=True)
class ThresholdReport:
    """Rows for blind decisions and for past picks; a note where one of them cannot be had."""

    project_id: str
    blind: tuple[Row, ...]
    past: tuple[Row, ...]
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As `pickroom auto thresholds --json` prints it."""
        return asdict(self)

    def lines(self) -> list[str]:
        """The report for the user."""
        found = [f"{self.project_id}: what each threshold would have approved; `auto generate` says what is guaranteed"]
        past = "past picks, each predicted from earlier ones"
        for name, rows in (("blind decisions", self.blind), (past, self.past)):
            found.append(f"  {name}: {rows[0].of if rows else 0}")
            if rows:
                found.append(f"  {'confidence':>12}{'approved':>10}{'wrong':>8}{'share wrong':>13}{'95 % bound':>12}")
            for row in rows:
                share = f"{row.wrong / row.approved:.1%}" if row.approved else "-"
                bound = f"{row.most_wrong:.1%}" if row.approved else "-"
                found.append(f"  {row.threshold:>12g}{row.approved:>10}{row.wrong:>8}{share:>13}{bound:>12}")
        return [*found, *(f"  {note}" for note in self.notes)]


def report(
    project: Project, more: Sequence[float] = (), progress: Callable[[int, int], None] | None = None
) -> ThresholdReport:
    """Count both kinds of evidence at THRESHOLDS and at `more`.

    Raises:
        StoreError: a database cannot be read.
    """
    with open_read_only(project.database) as connection:
        ids = [group.group_id for group in groups.queue(connection, project.id)]
        versions = evidence.versions_in_use(recommendations.of_groups(connection, ids).values())
        blind = evidence.blind_decisions(connection, versions, evidence.trained_on(project.workspace, versions))
    notes = []
    try:
        past = past_picks.predicted_in_time(project, progress)
    except PickroomError as error:
        past = []
        notes.append(f"past picks cannot be predicted: {error.line}")
    else:
        if not past:
            notes.append("past picks cannot be predicted yet: there are too few with vectors")
    at = sorted({*THRESHOLDS, *more})
    known = [(one.confidence, one.overridden) for one in blind if one.confidence is not None]
    rows = _rows(known, len(blind), at), _rows([(one.confidence, not one.right) for one in past], len(past), at)
    return ThresholdReport(project.id, *rows, tuple(notes))


def _rows(decisions: Sequence[tuple[float, bool]], of: int, thresholds: Sequence[float]) -> tuple[Row, ...]:
    """A row for each threshold; none without decisions.

    Args:
        decisions: (confidence, whether it would have been wrong); of: with those that are never approved unseen.
    """
    found = []
    for threshold in thresholds if of else ():
        approved = [wrong for confidence, wrong in decisions if confidence >= threshold]
        most = float(upper_bound(sum(approved), len(approved), RISK_TARGET.confidence)) if approved else 1.0
        found.append(Row(threshold, of, len(approved), sum(approved), most))
    return tuple(found)
