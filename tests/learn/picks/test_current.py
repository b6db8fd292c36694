"""After a finalise what is new is learned and what was undone forgotten; a state that proves itself recommends."""

from __future__ import annotations

from contextlib import closing

import numpy as np
import pytest

from pickroom.files.batch import undo_batch
from pickroom.learn import checkpoints, progress
from pickroom.learn.picks import current
from pickroom.learn.picks.task import PickTask
from pickroom.learn.recommending import recommend
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.learning import decide
from support.reviewing import rows

pytestmark = pytest.mark.slow


@pytest.fixture
def updated(learned: Project, quick: PickTask) -> Project:
    current.update(learned.workspace, ["p"], quick)
    return learned


def test_decisions_that_show_skill_make_a_recommending_version(updated: Project) -> None:
    assert checkpoints.current(updated.workspace, "ranker") == 1
    metadata = checkpoints.read_metadata(updated.workspace, "ranker", 1)
    assert metadata["verdict"]["current"] and metadata["verdict"]["e_values"]["highest stage"] >= 20
    found = progress.read_summary(updated.workspace)
    assert found is not None and (found.decisions, found.version) == (60, 1)
    assert "% of the last 60 (" in found.words and found.words.endswith("60 decisions learned")
    assert recommend(updated).by_model == 4


def test_update_learns_only_new_decisions_and_uses_them_at_once(updated: Project, quick: PickTask) -> None:
    before = current.read_state(updated.workspace)
    decide(updated, (61, 62), crop=False)
    state, lines = current.update(updated.workspace, ["p"], quick)
    assert lines[0] == "ranker: 2 new decisions learned, 62 in all"
    assert before is not None
    np.testing.assert_array_equal(state.learner.chances[:60], before.learner.chances)
    loaded = checkpoints.load_model(updated, "ranker")
    assert loaded.version == "v1" and checkpoints.versions(updated.workspace, "ranker") == [1]
    written = checkpoints.model_of(checkpoints.load(updated.workspace, "ranker", 1))
    assert not np.array_equal(loaded.model.preference.mean, written.preference.mean), "it has learned on"
    assert current.update(updated.workspace, ["p"], quick)[1][0] == "ranker: 0 new decisions learned, 62 in all"


def test_what_was_undone_is_forgotten(updated: Project, quick: PickTask) -> None:
    decide(updated, (61, 62), crop=False)
    current.update(updated.workspace, ["p"], quick)
    batch = rows(updated, "SELECT max(batch) AS batch FROM file_operations")[0]["batch"]
    with closing(connect(updated.database)) as connection:
        undo_batch(updated, connection, batch)
    state, _ = current.update(updated.workspace, ["p"], quick)
    assert len(state.learner.learned) == 60


def test_a_state_that_is_damaged_or_gone_is_made_again(updated: Project, quick: PickTask) -> None:
    before = current.read_state(updated.workspace)
    (updated.workspace.models / "ranker_state.npz").write_bytes(b"PK torn")
    assert current.read_state(updated.workspace) is None
    assert checkpoints.load_model(updated, "ranker").version == "v1", "the version recommends meanwhile"
    state, _ = current.update(updated.workspace, ["p"], quick)
    assert before is not None
    np.testing.assert_array_equal(state.learner.chances, before.learner.chances)


def test_model_of_an_older_version_is_rebuilt_from_decisions(learned: Project, quick: PickTask) -> None:
    old = {"model": {"version": 2}, "features": {"hash": "older", "encoder": learned.manifest.encoder}}
    assert checkpoints.save(learned.workspace, "ranker", {"stage": np.zeros(3)}, old) == 1
    checkpoints.make_current(learned.workspace, "ranker", 1, "a test")
    loaded = checkpoints.load_model(learned, "ranker")
    assert loaded.model is None and loaded.damaged and "made by an older version" in loaded.reason
    current.update(learned.workspace, ["p"], quick)
    assert checkpoints.current(learned.workspace, "ranker") == 2
    assert recommend(learned).versions["ranker"] == "v2"
