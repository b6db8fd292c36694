"""Legacy caches: paths of other machines, more lines than files, every line accounted for."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from conftest import write_image
from pickroom.core.errors import ConflictError, UsageError
from pickroom.features.choice import EncoderConfig
from pickroom.features.vectors import load_vectors
from pickroom.history.vectors import import_cache
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project, Workspace


@pytest.fixture
def project(workspace: Workspace, tmp_path: Path) -> Project:
    for project_id, alias in (("mojo1", "mojo1_final"), ("mojo2", "second")):
        folder = tmp_path / project_id
        write_image(folder / "a.png", seed=1)
        projects.start(workspace, project_id, folder)[0].with_manifest(aliases=(alias,))
    return workspace.project("mojo1")


def write_cache(folder: Path, lines: list[tuple[str, str]], broken: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    cache = folder / "processed_images.jsonl"
    text = "".join(json.dumps({"image_path": i, "embedding_file": e, "hash": "x"}) + "\n" for i, e in lines)
    cache.write_text(text + broken)
    return cache


def vector(number: int) -> np.ndarray:
    return np.random.default_rng(number).standard_normal(512).astype(np.float32)


def test_a_cache_is_imported_with_every_line_accounted_for(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    (folder / "embeddings").mkdir(parents=True)
    for number in range(4):
        np.save(folder / "embeddings" / f"{number}.npy", vector(number))
    np.save(folder / "short.npy", np.zeros(10, dtype=np.float32))
    np.save(folder / "nan.npy", np.full(512, np.nan, dtype=np.float32))
    (folder / "torn.npy").write_bytes(b"\x93NUMPY")
    cache = write_cache(
        folder,
        [
            ("/Volumes/disk/training data/mojo1_final/a.png", "embeddings/0.npy"),
            ("training data/mojo1/crops/b.png", "/home/someone/data/embeddings/1.npy"),
            ("c.png", "C:\\data\\embeddings\\2.npy"),
            ("mojo1/a.png", "embeddings/3.npy"),  # the same image again
            ("mojo2/x.png", "embeddings/3.npy"),
            ("data/second/y.png", "embeddings/3.npy"),
            ("mojo1/gone.png", "embeddings/9.npy"),
            ("mojo1/gone2.png", "embeddings/10.npy"),
            ("mojo1/short.png", "short.npy"),
            ("mojo1/nan.png", "nan.npy"),
            ("mojo1/torn.png", "torn.npy"),
        ],
        broken='{"image_path": "mojo1/z.png"}\n\n{"image_pa',
    )
    report = import_cache(project, cache)
    assert (report.lines, report.imported, report.matched, report.bound) == (13, 3, 1, True)
    assert dict(report.skipped) == {
        "repeats an earlier line of the same image": 1,
        "belongs to project mojo2": 2,
        "the vector's file is missing": 2,
        "the vector is not of 512 floats": 1,
        "the vector is not finite": 1,
        "the vector's file is damaged": 1,
        "the line is damaged": 2,
    }
    assert report.lines == report.imported + sum(report.skipped.values())

    vectors = load_vectors(project.workspace.project("mojo1"))
    assert sorted(vectors.filenames) == ["a.png", "b.png", "c.png"]
    place = vectors.place("a.png", vectors.content_hashes[list(vectors.filenames).index("a.png")])
    assert place is not None and np.array_equal(vectors.matrix[place], vector(0))  # as they came, to the bit
    other = vectors.place("b.png", "any hash: the cache knew none")
    assert other is not None and np.array_equal(vectors.matrix[other], vector(1))

    again = import_cache(project.workspace.project("mojo1"), cache)
    assert again.imported == 0 and again.skipped["imported before"] == 4
    assert len(load_vectors(project.workspace.project("mojo1"))) == 3


def test_imported_vectors_are_never_mixed_with_new_ones(project: Project, tmp_path: Path) -> None:
    np.save(tmp_path / "0.npy", vector(0))
    import_cache(project, write_cache(tmp_path, [("mojo1/a.png", "0.npy")]))
    project = project.workspace.project("mojo1")
    for kind in (None, "bundled"):
        with pytest.raises(ConflictError, match="never mixes them") as caught:
            embed(project, EmbedConfig(encoder=EncoderConfig(kind)))
        assert "--change-encoder" in caught.value.line
    embed(project, EmbedConfig(encoder=EncoderConfig("bundled", change=True)))
    assert load_vectors(project.workspace.project("mojo1")).matrix.shape == (1, 1280)


def test_a_project_with_an_encoder_keeps_it(project: Project, tmp_path: Path) -> None:
    bound = project.with_manifest(encoder="0123456789abcdef")
    np.save(tmp_path / "0.npy", vector(0))
    report = import_cache(bound, write_cache(tmp_path, [("mojo1/a.png", "0.npy")]))
    assert report.imported == 1 and not report.bound
    assert project.workspace.project("mojo1").manifest.encoder == "0123456789abcdef"


def test_a_missing_cache_is_one_line(project: Project, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the cache"):
        import_cache(project, tmp_path / "none.jsonl")
    assert not project.workspace.embeddings.exists()


@pytest.mark.parametrize(
    ("path", "skipped"),
    [
        ("training data\\mojo1_final\\a.png", None),
        ("/x/mojo1_old/a.png", None),
        ("/x/mojo2/mojo1/a.png", "its path names several projects: mojo1, mojo2"),
        ("/x/mojo2/a.png", "belongs to project mojo2"),
        ("/x/mojo1/", "the line is damaged"),
    ],
)
def test_the_project_of_a_path(project: Project, tmp_path: Path, path: str, skipped: str | None) -> None:
    np.save(tmp_path / "0.npy", vector(0))
    report = import_cache(project, write_cache(tmp_path, [(path, "0.npy")]))
    assert report.imported == (skipped is None)
    assert dict(report.skipped) == ({skipped: 1} if skipped else {})


def test_unknown_lines_leave_a_project_unbound(project: Project, tmp_path: Path) -> None:
    run: Callable[[], object] = lambda: import_cache(project, write_cache(tmp_path, [("mojo1/a.png", "9.npy")]))  # noqa: E731
    run()
    assert project.workspace.project("mojo1").manifest.encoder is None


def test_a_vector_whose_name_is_too_long_is_missing(project: Project, tmp_path: Path) -> None:
    cache = write_cache(tmp_path / "cache", [("mojo1/a.png", "n" * 300 + ".npy")])
    report = import_cache(project, cache)
    assert dict(report.skipped) == {"the vector's file is missing": 1}


def test_lines_of_other_projects_are_skipped_by_their_folders(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    np.save(folder / "0.npy", vector(0))
    paths = ["/disk/mojo1/a.png", "/disk/anna/b.png", "/disk/bella/c.png", "d.png"]
    report = import_cache(project, write_cache(folder, [(path, "0.npy") for path in paths]))
    elsewhere = "lies in the folder of another project: "
    assert (report.imported, dict(report.skipped)) == (2, {f"{elsewhere}anna": 1, f"{elsewhere}bella": 1})


def test_one_unknown_folder_belongs_to_the_given_project(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "cache"
    folder.mkdir()
    np.save(folder / "0.npy", vector(0))
    assert import_cache(project, write_cache(folder, [("/old disk/pictures/a.png", "0.npy")])).imported == 1
