"""The evidence of the guarantee: blind decisions and the audit sample; and the errors of each threshold.

Only decisions made under the versions in use count: they were made after those versions were trained. Past picks are
available long before enough blind decisions, but give no guarantee: they were made with the recommendation visible, or
without one, and without looking at a crop.
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

from pickroom.automation.guarantee import RISK_TARGET, BlindDecision, approval_confidence, upper_bound
from pickroom.core.errors import PickroomError, StoreError
from pickroom.core.naming import stage_of
from pickroom.core.records import Choice, Recommendation
from pickroom.store import groups, recommendations, review_state
from pickroom.store.connect import open_read_only
from pickroom.store.rows import wrap_row_errors
from pickroom.store.workspace import Project, Workspace

Versions = Mapping[str, str]
_VERSION = re.compile(r"v(\d+)")  # as recommendations name one (checkpoints.Checkpoint.label)


def versions_in_use(recommendations: Iterable[Recommendation]) -> dict[str, str]:
    """The versions that made most of these recommendations; empty without any."""
    counts = Counter(json.dumps(r.versions, sort_keys=True) for r in recommendations if r.source != "baseline")
    return json.loads(counts.most_common(1)[0][0]) if counts else {}


def blind_decisions(
    connection: sqlite3.Connection, versions: Versions, trained_on: frozenset[str] = frozenset()
) -> list[BlindDecision]:
    """The user's blind decisions on recommendations of these versions, oldest first, without those whose crop waits.

    Args:
        trained_on: group ids in a training set of these versions; they are left out.
    """
    query = (resources.files("pickroom.automation") / "blind.sql").read_text(encoding="utf-8")
    found = []
    for row in connection.execute(query):
        shown = wrap_row_errors("decision_context")(Recommendation.from_json)(row["shown"])
        action = row["outcome"] if row["user_action"] is None else row["user_action"]
        # a box applied by the machine, or the default box, does not show what the user would have drawn
        matches = bool(row["crop_match"]) if row["crop_match"] is not None and row["own_box"] else None
        overridden = overrides(Choice(action, row["user_selected_index"]), shown, matches)
        if overridden is not None and shown.versions == dict(versions) and row["group_id"] not in trained_on:
            found.append(BlindDecision(approval_confidence(shown), overridden, _anomaly(row)))
    return found


def blind_now(project: Project) -> tuple[list[BlindDecision], Versions]:
    """`blind_decisions` on the versions that recommend in a project now, and these; raises as `trained_on`."""
    with open_read_only(project.database) as connection:
        ids = [group.group_id for group in groups.queue(connection, project.id)]
        versions = versions_in_use(recommendations.of_groups(connection, ids).values())
        return blind_decisions(connection, versions, trained_on(project.workspace, versions)), versions


def trained_on(workspace: Workspace, versions: Versions) -> frozenset[str]:
    """The ids of the groups in the training set of these versions' ranker; empty for one that was not trained here.

    The guarantee uses the pick's confidence, so that groups of the ranker's training set must not calibrate it.

    Raises:
        StoreError: the version is there and its frozen training set is not, or was changed; or its metadata is damaged.
    """
    match = _VERSION.fullmatch(versions.get("ranker", ""))
    if match is None:
        return frozenset()
    from pickroom.learn import checkpoints, training_sets
    from pickroom.learn.examples import Pick

    try:
        metadata = checkpoints.read_metadata(workspace, "ranker", int(match[1]))
        set_hash = str(metadata["data"]["hash"])
    except FileNotFoundError:
        return frozenset()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        what, doing = f"its metadata cannot be read ({error})", "asking what the ranker was trained on"
        raise StoreError(what, doing=doing, subject=match[0], hint="train again: pickroom train ranker") from None
    frozen = training_sets.load(workspace, "ranker", set_hash)
    return frozenset(example.candidates.group_id for example in frozen.examples if isinstance(example, Pick))


def audit_samples(connection: sqlite3.Connection, versions: Versions) -> list[bool]:
    """For each drawn group reviewed under these versions, whether the user decided otherwise; oldest first.

    No crop is drawn in the automation's review: whether one is needed counts, its box does not.
    """
    return [
        overrides(saved.choice, saved.shown) is True
        for _, saved in review_state.blind_looks(connection)
        if saved.choice is not None and saved.shown is not None and saved.shown.versions == dict(versions)
    ]


def overrides(choice: Choice, shown: Recommendation, box_matches: bool | None = None) -> bool | None:
    """Whether a blind choice differs from what would have been done unseen; None where unknown yet.

    A refused crop, a requested crop where none would have been made, and another box are overrides, too.

    Args:
        box_matches: the crop that the user drew matches the one proposed (FORMATS.md, `crop_match`); None: not drawn.
    """
    if choice.action not in ("approve", "crop") or choice.index != shown.selected_index:
        return True
    needed = shown.crop_needed is True
    if (choice.action == "crop") is not needed:
        return True
    if needed and shown.crop is not None:  # without a box it would have gone to the crop desk, as it did
        return None if box_matches is None else not box_matches
    return False


def _anomaly(row: sqlite3.Row) -> bool | None:
    """A lower stage chosen though a higher one was there; None where a stage is unknown or nothing was picked."""
    if row["user_action"] not in ("approve", "crop"):
        return None
    names = json.loads(row["images"])
    stages = [stage for name in names if (stage := stage_of(name)) is not None]
    if len(stages) < len(names):
        return None
    return bool(stages[row["user_selected_index"]] < max(stages))


def predicted_in_time(project: Project, progress: Callable[[int, int], None] | None = None) -> list[tuple[float, bool]]:
    """(confidence in [0, 1], whether it was wrong) of a project's picks in time order, imported ones too, each
    predicted from all that came before it.

    Empty with no more picks than the model's first fit needs.

    Raises:
        ConflictError, UsageError: the project's rows cannot be trained on, or it has no vectors.
    """
    from pickroom.features.sources import FeatureSources
    from pickroom.learn import training_sets
    from pickroom.learn.examples import Pick
    from pickroom.learn.picks.current import in_time, usable_rows
    from pickroom.learn.picks.learner import FIRST_FIT, replay
    from pickroom.learn.picks.task import PickTask

    frozen = training_sets.collect(project.workspace, "ranker", [project.id])
    task, picks = PickTask(), in_time([one for one in frozen.examples if isinstance(one, Pick)])
    picks, features = usable_rows(picks, task, FeatureSources([project]), progress)
    learner = replay(picks, features, task.config)
    said = list(zip(picks, learner.chances.max(axis=1, initial=0.0), learner.right, strict=True))
    return [(float(sure), not right > 0.5) for pick, sure, right in said[FIRST_FIT:] if not pick.comparison]


THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


@dataclass(frozen=True, slots=True)
class Row:
    """One threshold on `of` decisions: how many would have been approved, and how many of these wrongly."""

    threshold: float
    of: int
    approved: int
    wrong: int
    most_wrong: float  # the 95 % upper bound on the share that is wrong, in [0, 1]; 1 where none was approved


@dataclass(frozen=True, slots=True)
class ThresholdReport:
    """Rows for blind decisions and for past picks; a note where one of them is missing."""

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
    blind, _ = blind_now(project)
    notes = []
    try:
        past = predicted_in_time(project, progress)
    except PickroomError as error:
        past = []
        notes.append(f"past picks cannot be predicted: {error.line}")
    else:
        if not past:
            notes.append("past picks cannot be predicted yet: there are too few with vectors")
    at = sorted({*THRESHOLDS, *more})
    known = [(one.confidence, one.overridden) for one in blind if one.confidence is not None]
    rows = _rows(known, len(blind), at), _rows(past, len(past), at)
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
