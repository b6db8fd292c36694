"""No weights, half a checkpoint, a bare file: one line that says how to go on, and never random weights."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from huggingface_hub import constants

from pickroom.core.errors import UsageError
from pickroom.features import openclip
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without a network, and with nothing in the cache: the library's own switch for it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(openclip.CHECKPOINT_VARIABLE, raising=False)


def test_weights_out_of_reach_say_how_to_go_on(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with pytest.raises(UsageError) as caught:
        embed(project)  # no encoder chosen: OpenCLIP's default
    assert "\n" not in caught.value.line
    for word in ("ViT-B-32/laion2b_s34b_b79k", "--checkpoint FOLDER", "--encoder bundled", "not in its cache"):
        assert word in caught.value.line
    assert not project.workspace.embeddings.exists() and project.workspace.project("p").manifest.encoder is None


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-32/nonsense", "no-such-model/openai"])
def test_unknown_names_are_refused(model: str) -> None:
    with pytest.raises(UsageError, match="--encoder bundled"):
        openclip.load(model)


def test_a_bare_weight_file_is_refused_since_it_says_no_preprocessing(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="bare weight file"):
        openclip.load(checkpoint=checkpoint / "open_clip_pytorch_model.bin")


def test_a_folder_without_weights_never_becomes_random_ones(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(checkpoint / "open_clip_config.json", tmp_path)
    with pytest.raises(UsageError, match="no usable OpenCLIP weights"):
        openclip.load(checkpoint=tmp_path)


def test_other_broken_folders(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no such folder"):
        openclip.load(checkpoint=tmp_path / "gone")
    with pytest.raises(UsageError, match=r"has no open_clip_config\.json"):
        openclip.load(checkpoint=tmp_path)
    (tmp_path / "open_clip_config.json").write_text("{")
    with pytest.raises(UsageError, match="no usable OpenCLIP weights"):
        openclip.load(checkpoint=tmp_path)
    shutil.copy(checkpoint / "open_clip_config.json", tmp_path)
    (tmp_path / "open_clip_pytorch_model.bin").write_bytes(b"not weights")
    with pytest.raises(UsageError, match="no usable OpenCLIP weights"):
        openclip.load(checkpoint=tmp_path)


def test_the_folder_may_come_from_the_environment(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(openclip.CHECKPOINT_VARIABLE, str(checkpoint))
    tower = openclip.load()
    assert tower.preprocessing.mean == (0.48, 0.46, 0.41)  # the checkpoint's own preprocessing
    assert tower.spec().weights == openclip.load(checkpoint=checkpoint).spec().weights


def test_the_id_does_not_hang_on_the_folders_name(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "other name")
    assert openclip.load(checkpoint=copy).spec().encoder_id == openclip.load(checkpoint=checkpoint).spec().encoder_id
