"""Models of version 0.1: the ranker is named as older; the crop model says the same as then."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from learn.crops.crop_rows import spotted
from pickroom.core.errors import StoreError
from pickroom.core.extras import MissingExtraError
from pickroom.learn import checkpoints
from pickroom.learn.models import model_of
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
        model_of(checkpoint)


def test_an_old_crop_model_gives_the_same_boxes(old: Workspace) -> None:
    proposer = model_of(checkpoints.load(old, "crop_proposer", 1)).proposer
    with np.load(MODELS / "expected.npz") as expected:
        found = zip(proposer.predict(spotted(12, seed=2)[0]), ("boxes", "needed", "confidence"), strict=True)
        for values, name in found:
            np.testing.assert_allclose(values, expected[name], atol=1e-5)


def test_an_old_crop_model_without_pytorch_says_how(old: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as an environment without it: importing it fails
    with pytest.raises(MissingExtraError, match=r"pip install 'pickroom\[learn\]'; or train it again"):
        model_of(checkpoints.load(old, "crop_proposer", 1))


def test_new_versions_are_numbered_after_old_ones(old: Workspace) -> None:
    model = checkpoints.load(old, "ranker", 1).model
    assert checkpoints.save(old, "ranker", model, {}) == 2
    assert checkpoints.versions(old, "ranker") == [1, 2]
    assert (old.models / "ranker_v2.npz").is_file()
