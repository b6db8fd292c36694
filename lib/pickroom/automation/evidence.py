"""What the guarantee rests on, read from a project's database: blind decisions, and the audit sample.

Only decisions made under the versions in use count: they were made after those versions were trained.
"""

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterable, Mapping
from importlib import resources

from pickroom.automation.guarantee import BlindDecision, approval_confidence
from pickroom.core.errors import StoreError
from pickroom.core.naming import stage_of
from pickroom.core.records import Choice, Recommendation
from pickroom.store import review_state
from pickroom.store.rows import wrap_row_errors
from pickroom.store.workspace import Workspace

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
        # a box that the machine applied, or the default box, does not show what the user would have drawn
        matches = bool(row["crop_match"]) if row["crop_match"] is not None and row["own_box"] else None
        overridden = overrides(Choice(action, row["user_selected_index"]), shown, matches)
        if overridden is not None and shown.versions == dict(versions) and row["group_id"] not in trained_on:
            found.append(BlindDecision(approval_confidence(shown), overridden, _anomaly(row)))
    return found


def trained_on(workspace: Workspace, versions: Versions) -> frozenset[str]:
    """The ids of the groups in the training set of these versions' ranker; empty for one that was not trained here.

    The guarantee rests on the pick's confidence, so the ranker's set may not calibrate it.

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
    """Whether the user decided otherwise, for each drawn group looked at under these versions, oldest first.

    No crop is drawn in the automation's review: whether one is needed counts, its box does not.
    """
    return [
        overrides(saved.choice, saved.shown) is True
        for _, saved in review_state.blind_looks(connection)
        if saved.choice is not None and saved.shown is not None and saved.shown.versions == dict(versions)
    ]


def overrides(choice: Choice, shown: Recommendation, box_matches: bool | None = None) -> bool | None:
    """Whether a blind choice differs from what would have been done unseen; None where it is not known yet.

    A crop refused, a crop asked for where none would have been made, and another box are overrides too.

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
