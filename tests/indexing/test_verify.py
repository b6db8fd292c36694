"""`--verify` finds what is wrong with a store, and only that."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pickroom.core.errors import StoreError
from pickroom.features import openclip
from pickroom.features.reading import ImageSource
from pickroom.features.store import VectorRow, VectorStore, open_store, read_vectors
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed, embed_project
from pickroom.indexing.plan import make_plan
from pickroom.indexing.report import Verification, verify
from pickroom.store.workspace import Project
from support.encoding import photograph

MakeProject = Callable[..., Project]
MakeConfig = Callable[..., EmbedConfig]


def verified(project: Project, config: EmbedConfig) -> Verification:
    report = embed(project.workspace.project(project.id), config, verify=True)
    assert report.verification is not None
    return report.verification


def change(store: VectorStore, spoil: Callable[[VectorRow], VectorRow]) -> str:
    """Change the first row as no run of Pickroom would; its file name."""
    (path,) = store.vectors.files()
    rows = store.rows(path, range(store.vectors.count(path)))
    path.unlink()
    store.append([spoil(rows[0]), *rows[1:]])
    return rows[0].filename


def test_a_sound_store_has_no_problem(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(11)
    (project.root / "bad.png").write_text("no image")
    found = verified(project, config())
    assert found.problems == () and (found.images, found.vectors, found.errors, found.dim) == (23, 22, 1, 48)
    assert len(set(found.sampled)) == 20 and found.least_cosine is not None and found.least_cosine > 0.9999
    assert verified(project, config()).sampled == found.sampled


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda vector: vector * np.nan, "the vector is not finite"),
        (lambda vector: vector * 0, "the vector is all zeros"),
        (lambda vector: vector[::-1], "its vector cannot be made again: cosine"),
    ],
)
def test_a_wrong_vector_is_named(
    photo_project: MakeProject,
    config: MakeConfig,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[np.ndarray], np.ndarray],
    problem: str,
) -> None:
    project = photo_project(3)
    embed(project, config())
    store = open_store(project.workspace.project("p"))
    monkeypatch.setattr("pickroom.features.store._storable", lambda row, spec: row)
    name = change(store, lambda row: replace(row, vector=spoil(row.vector)))  # type: ignore[arg-type]
    found = verified(project, config())
    assert any(line.startswith(f"{name}: {problem}") for line in found.problems)
    assert {line.partition(":")[0] for line in found.problems} == {name}


def test_notebook_s_cell_fails_on_a_wrong_vector(
    photo_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = photo_project(2)
    embed_project("p", project.workspace.root, encoder="bundled", verify=True)
    store = open_store(project.workspace.project("p"))
    monkeypatch.setattr("pickroom.features.store._storable", lambda row, spec: row)
    name = change(store, lambda row: replace(row, vector=row.vector * 0))
    with pytest.raises(StoreError, match="2 problems of the vectors while verifying: p"):
        embed_project("p", project.workspace.root, verify=True)
    assert f"PROBLEM: {name}: the vector is all zeros" in capsys.readouterr().out


def test_images_without_a_row_are_counted(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(2)
    embed(project, config())
    project = project.workspace.project("p")
    store, made = open_store(project), config()
    (path,) = store.vectors.files()
    rows = store.rows(path, range(4))
    path.unlink()
    store.append([*rows[1:], rows[3]])
    plan = make_plan(project, store.known(), [], {})
    tower = openclip.load(checkpoint=made.encoder.checkpoint)
    found = verify(store, plan, tower.encoder(store.spec, "cpu"), ImageSource(project.root, None))
    assert (found.images, found.vectors) == (4, 3) and len(found.problems) == 2
    assert found.problems[0] == f"1 images have no row, the first is {rows[0].filename}"
    assert "1 rows are doubled" in found.problems[1]


def test_content_changed_behind_its_size_and_time_is_found(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(2)
    path = sorted(project.root.iterdir())[0]
    photograph(3, (120, 160)).save(path.with_suffix(".bmp"))
    path.unlink()
    path = path.with_suffix(".bmp")
    embed(project, config())
    before = path.stat()
    photograph(4, (120, 160)).save(path)  # a BMP of the same size in bytes
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert verified(project, config()).problems == (
        f"{path.name}: the file's content changed though its size and time did not",
    )


def test_a_damaged_part_is_set_aside_and_made_again(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(3)
    embed(project, config())
    store = open_store(project.workspace.project("p"))
    before = read_vectors(store)
    (path,) = store.vectors.files()
    path.write_bytes(path.read_bytes()[:-20])
    report = embed(project.workspace.project("p"), config())
    assert [name.partition("-")[0] for name in report.damaged] == ["vectors"]
    assert report.embedded == 6 and "was damaged" in report.words()
    after = read_vectors(store)
    assert np.array_equal(before.matrix[before.filenames.argsort()], after.matrix[after.filenames.argsort()])
    assert len(list(store.folder.glob("*.damaged"))) == 1  # nothing is deleted


def test_one_flipped_bit_is_found_by_its_checksum(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(2)
    embed(project, config())
    (path,) = open_store(project.workspace.project("p")).vectors.files()
    floats = read_vectors(open_store(project.workspace.project("p"))).matrix[1].astype(np.float16).tobytes()
    data = bytearray(path.read_bytes())
    data[data.index(floats) + 11] ^= 1  # a vector's sign or exponent: no reader would notice
    path.write_bytes(data)
    assert embed(project.workspace.project("p"), config()).damaged == ()
    report = embed(project.workspace.project("p"), config(), verify=True)
    assert len(report.damaged) == 1 and report.embedded == 4
    assert report.verification is not None and report.verification.problems == ()
