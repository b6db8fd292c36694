"""Models that version 0.1 trained are listed, and named as made by an older version."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pickroom.core.errors import ConflictError, StoreError
from pickroom.learn import checkpoints
from pickroom.learn.crops.model import CropTask
from pickroom.store.workspace import Workspace

MODELS = Path(__file__).parent / "version-0.1"  # written by version 0.1, with what its models said of some features


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    workspace.models.mkdir(parents=True)
    for path in MODELS.glob("*_v1*"):
        shutil.copy(path, workspace.models)
    return workspace


def test_an_old_ranker_is_listed_and_named_as_older(old: Workspace) -> None:
    assert checkpoints.versions(old, "ranker") == [1]
    checkpoint = checkpoints.load(old, "ranker", 1)
    assert checkpoint.seen.tolist() == [1, 2, 3]
    with pytest.raises(StoreError, match=r"made by an older version.*train again: pickroom train ranker"):
        checkpoints.model_of(checkpoint)


def test_an_old_crop_model_says_to_train_again(old: Workspace) -> None:
    checkpoint = checkpoints.load(old, "crop_proposer", 1)
    with pytest.raises(StoreError, match="an earlier version") as raised:
        checkpoints.model_of(checkpoint)
    assert raised.value.hint == "train again: pickroom train crop_proposer"
    with pytest.raises(ConflictError, match="does not fit"):  # what `recommend` says of it
        checkpoint.require_features(CropTask().feature_hash, None)


def test_new_versions_are_numbered_after_old_ones(old: Workspace) -> None:
    model = checkpoints.load(old, "ranker", 1).model
    assert checkpoints.save(old, "ranker", model, {}) == 2
    assert checkpoints.versions(old, "ranker") == [1, 2]
    assert (old.models / "ranker_v2.npz").is_file()
