"""What the guarantee stands on, read from a project's database: blind decisions, and the drawn groups looked at.

Only decisions made under the versions in use count: they were made after those versions were trained, so none of them
is in their training set; `trained_on` guards what metadata knows besides.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources

from pickroom.automation.guarantee import BlindDecision, approval_confidence
from pickroom.core.naming import stage_of
from pickroom.core.records import Choice, Recommendation
from pickroom.store import automation_review
from pickroom.store.rows import wrap_row_errors

Versions = Mapping[str, str]


def versions_in_use(recommendations: Iterable[Recommendation]) -> dict[str, str]:
    """The versions that made most of these recommendations; empty without any."""
    counts = Counter(json.dumps(r.versions, sort_keys=True) for r in recommendations if r.source != "baseline")
    return json.loads(counts.most_common(1)[0][0]) if counts else {}


def blind_decisions(
    connection: sqlite3.Connection, versions: Versions, trained_on: frozenset[str] = frozenset()
) -> list[BlindDecision]:
    """The person's blind decisions on recommendations of these versions, oldest first, but those whose crop waits.

    Args:
        trained_on: group ids in a training set of these versions; they are left out.
    """
    query = (resources.files("pickroom.automation") / "blind.sql").read_text(encoding="utf-8")
    found = []
    for row in connection.execute(query):
        shown = _shown(row)
        overridden = _overridden(row, shown)
        if overridden is not None and shown.versions == dict(versions) and row["group_id"] not in trained_on:
            found.append(BlindDecision(approval_confidence(shown), overridden, _anomaly(row)))
    return found


@wrap_row_errors("decision_context")
def _shown(row: sqlite3.Row) -> Recommendation:
    return Recommendation.from_json(row["shown"])


def audit_samples(connection: sqlite3.Connection, versions: Versions) -> list[bool]:
    """Whether the person decided otherwise, for each drawn group looked at under these versions, oldest first.

    No crop is drawn in the automation's review: whether one is needed counts, its box does not.
    """
    looks = automation_review.blind_looks(connection)
    return [
        overrides(saved.choice, saved.shown) is True
        for _, saved in looks
        if saved.choice is not None and saved.shown is not None and saved.shown.versions == dict(versions)
    ]


def overrides(choice: Choice, shown: Recommendation, box_matches: bool | None = None) -> bool | None:
    """Whether a choice made blind is another than what would have been done unseen; None where it is not known yet.

    What is done unseen is the pick, and the crop where one is said to be needed: so a crop refused, a crop asked for
    where none would have been made, and a crop drawn otherwise are overrides too.

    Args:
        box_matches: the crop that the person drew matches the one proposed (FORMATS.md, `crop_match`); None: not drawn.
    """
    if choice.action not in ("approve", "crop") or choice.index != shown.selected_index:
        return True
    needed = shown.crop_needed is True
    if (choice.action == "crop") is not needed:
        return True
    if needed and shown.crop is not None:  # without a box it would have gone to the crop desk, as it did
        return None if box_matches is None else not box_matches
    return False


def _overridden(row: sqlite3.Row, shown: Recommendation) -> bool | None:
    action = row["outcome"] if row["user_action"] is None else row["user_action"]
    # a box that the machine applied, or the default box, does not show what the user would have drawn
    drawn = row["crop_match"] is not None and row["own_box"]
    return overrides(Choice(action, row["user_selected_index"]), shown, bool(row["crop_match"]) if drawn else None)


def _anomaly(row: sqlite3.Row) -> bool | None:
    """A lower stage chosen though a higher one was there; None where a stage is unknown or nothing was picked."""
    if row["user_action"] not in ("approve", "crop"):
        return None
    names = json.loads(row["images"])
    stages = [stage for name in names if (stage := stage_of(name)) is not None]
    if len(stages) < len(names):
        return None
    return stages[row["user_selected_index"]] < max(stages)
