"""A ranker that version 0.1 trained says the same as then; a crop model says to train again."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from learn.picks.test_ranker import made
from pickroom.core.errors import ConflictError, StoreError
from pickroom.learn import checkpoints
from pickroom.learn.crops.model import CropTask
from pickroom.learn.models import model_of
from pickroom.store.workspace import Workspace

MODELS = Path(__file__).parent / "version-0.1"  # written by version 0.1, with what its models said of some features


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    workspace.models.mkdir(parents=True)
    for path in MODELS.glob("*_v1*"):
        shutil.copy(path, workspace.models)
    return workspace


def test_an_old_ranker_gives_the_same_chances(old: Workspace) -> None:
    checkpoint = checkpoints.load(old, "ranker", 1)
    assert checkpoint.seen.tolist() == [1, 2, 3]
    ranker, (features, _) = model_of(checkpoint).ranker, made(12, 2, sizes=(2, 3, 4))
    with np.load(MODELS / "expected.npz") as expected:
        np.testing.assert_allclose(ranker.probabilities(features), expected["probabilities"], atol=1e-6)
        np.testing.assert_allclose(ranker.spread(features), expected["spread"], atol=1e-6)
        np.testing.assert_allclose(ranker.explain(features, 0).terms, expected["terms"], atol=1e-6)


def test_an_old_crop_model_says_to_train_again(old: Workspace) -> None:
    checkpoint = checkpoints.load(old, "crop_proposer", 1)
    with pytest.raises(StoreError, match="an earlier version") as raised:
        model_of(checkpoint)
    assert raised.value.hint == "train again: pickroom train crop_proposer PROJECT"
    with pytest.raises(ConflictError, match="does not fit"):  # what `recommend` says of it
        checkpoint.require_features(CropTask().feature_hash, None)


def test_new_versions_are_numbered_after_old_ones(old: Workspace) -> None:
    model = checkpoints.load(old, "ranker", 1).model
    assert checkpoints.save(old, "ranker", model, {}) == 2
    assert checkpoints.versions(old, "ranker") == [1, 2]
    assert (old.models / "ranker_v2.npz").is_file()
