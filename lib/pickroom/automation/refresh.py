"""Fresh recommendations before a generate, and the groups that the models learned from.

The models are imported late, since most of the automation's commands need none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from pickroom.core.errors import StoreError
from pickroom.store.workspace import Project, Workspace

_VERSION = re.compile(r"v(\d+)")  # as recommendations name one (checkpoints.Checkpoint.label)


def recommend_first(project: Project, progress: Callable[[int, int], None] | None = None) -> tuple[str, ...]:
    """Store the current models' recommendations for every undecided group, as `pickroom recommend` does.

    Without a model that recommends, what is stored stays: the baseline, or the demo's simulation.

    Returns:
        What the person should know: models that are there and cannot be used.

    Raises:
        StoreError: the database cannot be read or written.
    """
    from pickroom.learn import models

    ranker = models.load(project, "ranker")
    if ranker.model is None:
        return (f"the ranker recommends nothing: {ranker.reason}",) if ranker.damaged else ()
    from pickroom.learn.recommending import recommend

    return recommend(project, progress).faults


def trained_on(workspace: Workspace, versions: Mapping[str, str]) -> frozenset[str]:
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
