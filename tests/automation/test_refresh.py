"""What the models learned from, as their metadata says it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pickroom.automation.evidence import trained_on
from pickroom.automation.generate import recommend_first
from pickroom.core.errors import StoreError
from pickroom.features.candidates import Candidates
from pickroom.learn import checkpoints, training_sets
from pickroom.learn.examples import Pick
from pickroom.learn.training_sets import TrainingSet
from pickroom.store.workspace import Project, Workspace
from support.reviewing import queue, recommend, rows


def picks(*group_ids: str) -> TrainingSet:
    candidates = [Candidates("p", g, ("a.png", "b.png"), (None, None), (1.0, 2.0)) for g in group_ids]
    found = tuple(Pick(one, 1, 1, False, "2026-01-01T00:00:00Z") for one in candidates)
    return TrainingSet("ranker", ("p",), "bundled", found, {"p": 2}, {"p": {}}, "2026-01-01T00:00:00Z")


def test_the_groups_of_the_frozen_set_are_known(workspace: Workspace) -> None:
    frozen = picks("g1", "g2")
    path = training_sets.freeze(workspace, frozen)
    version = checkpoints.save(workspace, "ranker", {"model": {}}, {"data": {"hash": frozen.hash}})
    versions = {"ranker": f"v{version}", "crop_proposer": "v9"}
    assert trained_on(workspace, versions) == {"g1", "g2"}
    # a version that was not made here has no training set here, nor has the demo's simulation
    assert trained_on(workspace, {"ranker": "v77"}) == trained_on(workspace, {"ranker": "simulated"}) == frozenset()
    path.write_text(path.read_text() + "\n")
    with pytest.raises(StoreError, match="changed after it was frozen"):
        trained_on(workspace, versions)


def test_without_a_model_what_is_stored_stays(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 0)
    before = rows(project, "SELECT * FROM recommendations")
    assert recommend_first(project) == ()
    assert rows(project, "SELECT * FROM recommendations") == before
