"""Models that version 0.1 trained are listed, and named as made by an older version."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from pickroom.core.errors import ConflictError
from pickroom.learn import checkpoints
from pickroom.store.workspace import Workspace

MODELS = Path(__file__).parent / "version-0.1"  # written by version 0.1, with what its models said of some features


@pytest.fixture
def old(workspace: Workspace) -> Workspace:
    workspace.models.mkdir(parents=True)
    for path in MODELS.glob("*_v1*"):
        shutil.copy(path, workspace.models)
    return workspace


@pytest.mark.parametrize("name", ["ranker", "crop_proposer"])
def test_an_old_model_is_listed_and_says_to_train_again(old: Workspace, name: str) -> None:
    assert checkpoints.versions(old, name) == [1]
    with pytest.raises(ConflictError, match=r"made by version 0\.1") as raised:
        checkpoints.load(old, name, 1)
    assert raised.value.hint == f"train again: pickroom train {name}"


def test_new_versions_are_numbered_after_old_ones(old: Workspace) -> None:
    assert checkpoints.save(old, "ranker", {"w": np.zeros(3)}, {}) == 2
    assert checkpoints.versions(old, "ranker") == [1, 2]
    assert (old.models / "ranker_v2.npz").is_file()
