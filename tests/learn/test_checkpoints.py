"""Versions on disk: published whole, never replaced, read as data only."""

from __future__ import annotations

import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from pickroom.core.errors import ConflictError, StoreError
from pickroom.learn import checkpoints
from pickroom.store.workspace import Workspace

MODEL, SEEN = {"weight": np.arange(3.0)}, np.array([1, 2])
METADATA = {"features": {"hash": "h", "encoder": "e"}}


def test_versions_count_up_and_come_back(workspace: Workspace) -> None:
    assert [checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN) for _ in range(3)] == [1, 2, 3]
    assert checkpoints.save(workspace, "crop_proposer", MODEL, METADATA, SEEN) == 1
    found = checkpoints.load(workspace, "ranker", 2)
    assert np.array_equal(found.model["weight"], MODEL["weight"]) and found.seen.tolist() == [1, 2]
    assert (found.metadata["name"], found.metadata["version"], found.label) == ("ranker", 2, "v2")
    assert checkpoints.versions(workspace, "ranker") == [1, 2, 3]


def test_version_without_metadata_is_hidden_but_keeps_its_number(workspace: Workspace) -> None:
    checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN)
    (workspace.models / "ranker_v1_metadata.json").unlink()  # as a crash between the two would leave it
    assert checkpoints.versions(workspace, "ranker") == []
    before = (workspace.models / "ranker_v1.npz").read_bytes()
    assert checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN) == 2
    assert (workspace.models / "ranker_v1.npz").read_bytes() == before


def test_a_number_that_only_a_metadata_file_has_is_taken(workspace: Workspace) -> None:
    workspace.models.mkdir(parents=True)
    theirs = workspace.models / "ranker_v3_metadata.json"
    theirs.write_text("of the earlier system")
    assert checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN) == 4
    assert theirs.read_text() == "of the earlier system"


def test_current_is_what_was_named_and_is_there(workspace: Workspace) -> None:
    assert checkpoints.current(workspace, "ranker") is None
    with pytest.raises(StoreError, match="has no version 1"):
        checkpoints.make_current(workspace, "ranker", 1, "")
    checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN)
    assert checkpoints.load_current(workspace, "ranker") is None, "a version is not current by being there"
    checkpoints.make_current(workspace, "ranker", 1, "it beats all")
    assert checkpoints.load_current(workspace, "ranker").version == 1  # type: ignore[union-attr]
    (workspace.models / "ranker_v1.npz").unlink()
    with pytest.raises(StoreError, match="named as current, and is not there"):
        checkpoints.current(workspace, "ranker")


class Trap:
    """What a file of code would do when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


def test_a_file_that_holds_code_is_refused_and_not_run(workspace: Workspace, tmp_path: Path) -> None:
    checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN)
    path, trap = workspace.models / "ranker_v1.npz", tmp_path / "trap"
    np.savez(path, **{"model.w": np.array([Trap(trap)], dtype=object)}, allow_pickle=True)
    with pytest.raises(StoreError, match="it cannot be read"):
        checkpoints.load(workspace, "ranker", 1)
    old = path.rename(path.with_suffix(".pt"))
    torch.save({"model": Trap(trap)}, old)
    with pytest.raises(StoreError, match="it cannot be read"):
        checkpoints.load(workspace, "ranker", 1)
    old.write_bytes(pickle.dumps(Trap(trap)))
    with pytest.raises(StoreError, match="it cannot be read"):
        checkpoints.load(workspace, "ranker", 1)
    assert not trap.exists()


@pytest.mark.parametrize("damage", [b"", b"nonsense", b"PK\x03\x04 half a zip"])
def test_a_damaged_file_is_one_clear_line(workspace: Workspace, damage: bytes) -> None:
    checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN)
    (workspace.models / "ranker_v1.npz").write_bytes(damage)
    with pytest.raises(StoreError, match=r"loading a model.*ranker_v1\.npz"):
        checkpoints.load(workspace, "ranker", 1)
    checkpoints.save(workspace, "ranker", {}, METADATA)
    with pytest.raises(StoreError, match="it holds no model"):
        checkpoints.load(workspace, "ranker", 2)


def test_other_features_or_another_encoder_are_an_error(workspace: Workspace) -> None:
    checkpoints.save(workspace, "ranker", MODEL, METADATA, SEEN)
    found = checkpoints.load(workspace, "ranker", 1)
    found.require_features("h", "e")
    with pytest.raises(ConflictError, match="features are made otherwise"):
        found.require_features("g", "e")
    with pytest.raises(ConflictError, match="vectors of e, not of f"):
        found.require_features("h", "f")
    assert json.loads((workspace.models / "ranker_v1_metadata.json").read_text())["version"] == 1
