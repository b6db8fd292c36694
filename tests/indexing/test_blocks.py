"""Blocks in the pass that embeds: one decode, only what is missing, and nothing dropped with its images."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from pickroom.cli import main
from pickroom.features.blocks import BlockStore, available, load_blocks
from pickroom.features.choice import EncoderConfig
from pickroom.features.store import load_vectors
from pickroom.features.technical import COLUMNS, measure
from pickroom.images import decode
from pickroom.indexing import pipeline
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project
from support.encoding import photograph

MakeProject = Callable[..., Project]
MakeConfig = Callable[..., EmbedConfig]
BUNDLED = EmbedConfig(EncoderConfig("bundled"))


def reopened(project: Project) -> Project:
    return project.workspace.project(project.id)


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every image whose pixels are read."""
    names: list[str] = []
    real = decode.load_rgb

    def watched(image: PillowImage.Image, path: Path, **options: int | None) -> PillowImage.Image:
        names.append(path.name)
        return real(image, path, **options)

    monkeypatch.setattr(decode, "load_rgb", watched)
    return names


def test_an_image_is_decoded_once_for_vector_and_blocks(photo_project: MakeProject, decoded: list[str]) -> None:
    project = photo_project(3)
    decoded.clear()
    report = embed(project, BUNDLED)
    names = sorted(path.name for path in project.root.iterdir())
    assert sorted(decoded) == names
    assert (
        report.measured["technical"] == report.blocks["technical"] == 6 and "technical of 6 (6 now)" in report.words()
    )
    block, vectors = load_blocks(project)["technical"], load_vectors(reopened(project))
    assert len(block) == 6 and block.present.all() and np.isfinite(block.values).all()
    for name, digest in zip(vectors.filenames, vectors.content_hashes, strict=True):
        expected = measure(decode.read_rgb(project.root / name))
        assert block.values[block.place(name, digest) or 0].tolist() == expected.tolist()


def test_an_embedded_project_is_only_measured(photo_project: MakeProject, decoded: list[str]) -> None:
    project = photo_project(2)
    embed(project, BUNDLED)
    (part,) = BlockStore(project).folder.glob("technical-*.parquet")
    part.unlink()  # as a project that an earlier version embedded
    report = embed(reopened(project), BUNDLED)
    assert (report.embedded, report.unchanged, report.measured["technical"]) == (0, 4, 4)
    decoded.clear()
    report = embed(reopened(project), BUNDLED)
    assert decoded == [] and report.measured == {} and report.blocks["technical"] == 4


def test_another_encoder_does_not_measure_again(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(1)
    embed(project, BUNDLED)
    report = embed(reopened(project), config(encoder=replace(config().encoder, change=True)))
    assert report.embedded == 2 and report.measured == {}


def test_rows_stay_when_their_images_are_gone(photo_project: MakeProject) -> None:
    project = photo_project(3)
    embed(project, BUNDLED)
    before = load_blocks(project)["technical"], load_vectors(reopened(project))
    gone, renamed, *_ = sorted(project.root.iterdir())
    gone.unlink()
    renamed.rename(renamed.with_name("other name.jpg"))
    photograph(9, (100, 90)).save(project.root / "new.png")
    report = embed(reopened(project), BUNDLED)
    assert report.measured["technical"] == 1
    block, vectors = load_blocks(project)["technical"], load_vectors(reopened(project))
    for name, digest in zip(before[1].filenames, before[1].content_hashes, strict=True):
        old, new = before[0].place(name, digest), block.place(name, digest)
        assert old is not None and new is not None and block.values[new].tolist() == before[0].values[old].tolist()
        assert vectors.place(name, digest) is not None
    shutil.rmtree(project.root)
    assert len(load_blocks(project)["technical"]) == 7 and len(load_vectors(reopened(project))) == 8


def test_a_copy_of_an_image_is_measured_once(photo_project: MakeProject, decoded: list[str]) -> None:
    project = photo_project(1)
    first = sorted(project.root.iterdir())[0]
    shutil.copy(first, project.root / "copy.jpg")
    report = embed(project, BUNDLED)
    assert report.images == 3 and report.measured["technical"] == 2
    block = load_blocks(project)["technical"]
    assert block.place("copy.jpg", decode.content_hash(first)) is not None


def test_a_bad_image_is_not_measured_twice(photo_project: MakeProject, decoded: list[str]) -> None:
    project = photo_project(1)
    bad = sorted(project.root.iterdir())[0]
    bad.write_bytes(bad.read_bytes()[:900])
    embed(project, BUNDLED)
    decoded.clear()
    embed(reopened(project), BUNDLED)
    block = load_blocks(project)["technical"]
    assert decoded == [] and len(block) == 2 and block.present.sum() == 1


def test_a_stop_keeps_what_was_measured(photo_project: MakeProject, monkeypatch: pytest.MonkeyPatch) -> None:
    project = photo_project(4)
    real, left = pipeline.VectorStore.append, [3]

    def full(store: pipeline.VectorStore, rows: list) -> None:
        left[0] -= 1
        if not left[0]:
            raise OSError(28, "No space left on device", "part")
        real(store, rows)

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.VectorStore, "append", full)
        with pytest.raises(OSError, match="No space left"):
            embed(project, replace(BUNDLED, batch=2, workers=1))
    assert len(load_blocks(project)["technical"]) == 2
    report = embed(reopened(project), replace(BUNDLED, batch=2, workers=1))
    assert (report.unchanged, report.embedded, report.measured["technical"]) == (2, 6, 6)


def test_a_damaged_part_is_made_again(photo_project: MakeProject) -> None:
    project = photo_project(1)
    embed(project, BUNDLED)
    (part,) = BlockStore(project).folder.glob("technical-*")
    part.write_bytes(part.read_bytes()[:-30])
    report = embed(reopened(project), BUNDLED, verify=True)
    assert report.damaged == (f"{part.name}.damaged",) and report.measured["technical"] == 2
    assert report.verification is not None and report.verification.problems == ()
    assert load_blocks(project)["technical"].values.shape == (2, len(COLUMNS))


def test_check_counts_what_is_stored_also_of_gone_images(
    photo_project: MakeProject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(2)
    embed(project, BUNDLED)
    sorted(project.root.iterdir())[0].unlink()
    for extra in ([], ["--json"]):
        monkeypatch.setattr("sys.argv", ["pickroom", "check", "p", "--home", str(project.workspace.root), *extra])
        with suppress(SystemExit):
            main()
    words, found = capsys.readouterr().out.split("{", 1)
    faces = 4 if "faces" in available() else 0
    assert f"stored for learning: vectors of 4, technical of 4, faces of {faces} images" in words
    assert json.loads("{" + found)["stored"] == {"vectors": 4, "technical": 4, "faces": faces}
