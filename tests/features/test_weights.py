"""No weights, half a checkpoint, a bare file: one line that says how to go on, and never random weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import constants

from conftest import write_image
from pickroom.core.errors import UsageError
from pickroom.features import openclip
from pickroom.features.choice import CHECKPOINT_VARIABLE, EncoderConfig, bind_spec, choose
from pickroom.features.store import save_spec
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without a network, and with nothing in the cache: the library's own switch for it."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv(CHECKPOINT_VARIABLE, raising=False)


def test_weights_out_of_reach_say_how_to_go_on(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with pytest.raises(UsageError) as caught:
        embed(project, EmbedConfig(EncoderConfig("openclip:ViT-B-32/laion2b_s34b_b79k")))
    assert "\n" not in caught.value.line
    for word in ("ViT-B-32/laion2b_s34b_b79k", "--checkpoint FOLDER", "--encoder bundled", "not in its cache"):
        assert word in caught.value.line
    assert not project.workspace.embeddings.exists() and project.workspace.project("p").manifest.encoder is None


@pytest.mark.parametrize("model", ["ViT-B-32", "ViT-B-32/nonsense", "no-such-model/openai"])
def test_unknown_names_are_refused(model: str) -> None:
    with pytest.raises(UsageError, match="--encoder bundled"):
        openclip.load(model)


def test_bare_weight_file_without_preprocessing_is_refused(checkpoint: Path) -> None:
    with pytest.raises(UsageError, match="bare weight file"):
        openclip.load(checkpoint=checkpoint / "open_clip_pytorch_model.bin")


def test_a_folder_without_weights_never_becomes_random_ones(checkpoint: Path, tmp_path: Path) -> None:
    shutil.copy(checkpoint / "open_clip_config.json", tmp_path)
    with pytest.raises(UsageError, match="no usable OpenCLIP weights"):
        openclip.load(checkpoint=tmp_path)


def test_other_broken_folders(checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
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


def test_the_folder_may_come_from_the_environment(
    make_project: Callable[..., Project], checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project([(1, 2)])
    monkeypatch.setenv(CHECKPOINT_VARIABLE, str(checkpoint))
    chosen = choose(project, EncoderConfig("openclip"))
    assert chosen.tower.preprocessing.mean == (0.48, 0.46, 0.41)  # the checkpoint's own preprocessing
    assert chosen.spec == openclip.load(checkpoint=checkpoint).spec()


def test_nothing_is_downloaded_unasked(make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, local_files_only: bool = False, **__: object) -> None:
        if local_files_only:
            raise FileNotFoundError
        raise AssertionError("a download was begun")

    monkeypatch.setattr("open_clip.pretrained.hf_hub_download", refuse)
    monkeypatch.setattr("urllib.request.urlopen", refuse)
    project = make_project([(1, 2)])
    with pytest.raises(UsageError, match="not downloaded unasked") as caught:
        embed(project, EmbedConfig(EncoderConfig("openclip")))
    for word in ("--encoder openclip:ViT-B-32/laion2b_s34b_b79k", "--checkpoint FOLDER", "--encoder bundled"):
        assert word in caught.value.line
    assert embed(project).encoder.startswith("bundled")  # nobody asked: the encoder that needs no download


@pytest.fixture
def registered(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The checkpoint as a model and a tag of OpenCLIP's registry, as its downloads are."""
    import open_clip
    from open_clip import factory, pretrained

    config = json.loads((checkpoint / "open_clip_config.json").read_text())
    (tmp_path / "small-clip.json").write_text(json.dumps(config["model_cfg"]))
    monkeypatch.setattr(factory, "_MODEL_CONFIGS", dict(factory._MODEL_CONFIGS))
    monkeypatch.setattr(factory, "_MODEL_CONFIG_PATHS", list(factory._MODEL_CONFIG_PATHS))
    open_clip.add_model_config(tmp_path)
    preprocess = {name: tuple(v) if isinstance(v, list) else v for name, v in config["preprocess_cfg"].items()}
    entry = {"file": str(checkpoint / "open_clip_pytorch_model.bin"), **preprocess}
    monkeypatch.setitem(pretrained._PRETRAINED, "small-clip", {"seeded": entry})
    return "small-clip/seeded"


def test_weights_of_a_download_and_a_folder_are_one_encoder(checkpoint: Path, registered: str) -> None:
    from_folder, downloaded = openclip.load(checkpoint=checkpoint), openclip.load(registered)
    assert from_folder.spec() == downloaded.spec()
    assert downloaded.model.startswith("ViT-96x2-16-") and "small-clip" in downloaded.earlier_names


def test_an_architecture_is_named_by_its_own_configuration() -> None:
    import open_clip

    plain = open_clip.get_model_config("ViT-B-32")
    name = openclip.architecture(plain)
    assert name.startswith("ViT-768x12-32-")
    assert openclip.architecture(open_clip.get_model_config("mt5-base-ViT-B-32")) == name  # the same image tower
    assert openclip.architecture(plain, quick=True) != name
    quick = open_clip.get_model_config("ViT-B-32-quickgelu")
    assert openclip.architecture(quick) == openclip.architecture(plain, quick=True)
    spelt_out = {**plain, "vision_cfg": {**plain["vision_cfg"], "mlp_ratio": 4.0}}
    assert openclip.architecture(spelt_out) == name  # a default that is written out


def test_vectors_of_earlier_versions_go_on_under_their_id(
    make_project: Callable[..., Project], checkpoint: Path, registered: str, tmp_path: Path
) -> None:
    project = make_project([(1, 2)])
    config = EmbedConfig(EncoderConfig(checkpoint=checkpoint))
    first = embed(project, config)
    old = replace(openclip.load(checkpoint=checkpoint).spec(), model="small-clip")  # as version 0.1 named a download
    folder = project.workspace.embeddings
    (folder / first.encoder_id).rename(folder / old.encoder_id)
    (folder / old.encoder_id / "encoder.json").unlink()
    save_spec(project.workspace, old, {"source": registered, "model": registered})
    bind_spec(project.workspace.project("p"), old)
    again = embed(project.workspace.project("p"), config)
    assert (again.encoder_id, again.embedded) == (old.encoder_id, 0)
    write_image(tmp_path / "others" / "a.png", seed=4)
    other = projects.start(project.workspace, "q", tmp_path / "others")[0]
    assert embed(other, config).encoder_id == old.encoder_id


def test_the_checkpoint_folder_is_remembered_without_its_path(
    make_project: Callable[..., Project], checkpoint: Path, tmp_path: Path
) -> None:
    project = make_project([(1, 2)])
    copy = shutil.copytree(checkpoint, tmp_path / "weights")
    report = embed(project, EmbedConfig(EncoderConfig(checkpoint=copy)))
    again = embed(project.workspace.project("p"), verify=True)
    assert again.encoder_id == report.encoder_id and again.embedded == 0
    assert again.verification is not None and again.verification.problems == ()
    text = (project.workspace.embeddings / report.encoder_id / "encoder.json").read_text()
    assert str(tmp_path) not in text
    copy.rename(tmp_path / "moved")
    with pytest.raises(UsageError, match="no such folder"):
        embed(project.workspace.project("p"))
    assert embed(project.workspace.project("p"), EmbedConfig(EncoderConfig(checkpoint=tmp_path / "moved"))).unchanged
    assert embed(project.workspace.project("p")).unchanged  # and so is the new place


def test_the_id_does_not_hang_on_the_folders_name(checkpoint: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(checkpoint, tmp_path / "other name")
    assert openclip.load(checkpoint=copy).spec().encoder_id == openclip.load(checkpoint=checkpoint).spec().encoder_id
