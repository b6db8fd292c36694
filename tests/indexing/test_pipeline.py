"""One run and the next ones: real photographs, both encoders, damaged, changed, moved and renamed files."""

from __future__ import annotations

import builtins
import errno
import io
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from PIL import Image as PillowImage

from pickroom.core.errors import ConflictError, LockedError, ProjectError, StoreError, UsageError
from pickroom.features.choice import EncoderConfig, bind_spec
from pickroom.features.store import cosines, load_vectors, open_store, save_spec
from pickroom.indexing import plan, projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.indexing.report import EmbedReport
from pickroom.store.workspace import Project, Workspace
from support.encoding import photograph

MakeProject = Callable[..., Project]
MakeConfig = Callable[..., EmbedConfig]


def reopened(project: Project) -> Project:
    return project.workspace.project(project.id)


def rows(project: Project) -> dict[tuple[str, str | None], str | None]:
    """(file name, content hash) -> error, as plain DuckDB reads the part files."""
    parts = open_store(reopened(project)).folder / "vectors-*.parquet"
    found = duckdb.sql(f"SELECT filename, content_hash, error FROM read_parquet('{parts}')").fetchall()
    assert len({row[:2] for row in found}) == len(found), "a row is an image"
    return {(name, digest): error for name, digest, error in found}


def counts(report: EmbedReport) -> tuple[int, int, int, int]:
    """(embedded, recognised, unchanged, errors); the report's own equation holds."""
    found = (report.embedded, report.recognised, report.unchanged, len(report.errors))
    assert report.images == sum(found) + report.waiting
    return found


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The name of every image that goes through a forward pass."""
    names: list[str] = []
    real = plan.index_images

    def watched(encoder: object, source: object, tasks: list) -> plan.IndexedRows:
        names.extend(task.item.filename for task in tasks if task.vector)
        return real(encoder, source, tasks)  # type: ignore[arg-type]

    monkeypatch.setattr("pickroom.indexing.engines.index_images", watched)
    return names


@pytest.mark.parametrize("kind", ["openclip", "bundled"])
def test_every_image_gets_one_row_of_the_formats_columns(
    kind: str, photo_project: MakeProject, config: MakeConfig, embedded: list[str]
) -> None:
    project = photo_project(3)
    made = config()
    if kind == "bundled":
        made = replace(made, encoder=EncoderConfig("bundled"))
    report = embed(project, made)
    assert counts(report) == (6, 0, 0, 0)
    assert sorted(embedded) == sorted(path.name for path in project.root.iterdir())

    project = reopened(project)
    assert project.manifest.encoder == report.encoder_id
    spec = open_store(project).spec
    folder = project.workspace.embeddings / report.encoder_id
    assert json.loads((folder / "encoder.json").read_text())["spec"]["kind"] == kind
    parts = folder / "p" / "vectors-*.parquet"
    described = duckdb.sql(f"DESCRIBE SELECT * FROM read_parquet('{parts}')").fetchall()
    assert [(name, kind) for name, kind, *_ in described] == [
        ("filename", "VARCHAR"),
        ("content_hash", "VARCHAR"),
        ("width", "INTEGER"),
        ("height", "INTEGER"),
        ("file_size", "BIGINT"),
        ("mtime_ns", "BIGINT"),
        ("vector", "FLOAT[]"),
        ("patches", "FLOAT[]"),
        ("patch_rows", "SMALLINT"),
        ("patch_cols", "SMALLINT"),
        ("patch_dim", "SMALLINT"),
        ("error", "VARCHAR"),
        ("directory", "VARCHAR"),
    ]
    sql = f"SELECT filename, width, height, file_size, vector::FLOAT[{spec.dim}], patches FROM read_parquet('{parts}')"
    vectors = load_vectors(project, patches=True)
    for name, width, height, size, vector, patches in duckdb.sql(sql).fetchall():
        place = vectors.filenames.tolist().index(name)
        assert (width, height, size) == (120, 160, (project.root / name).stat().st_size)
        np.testing.assert_allclose(vector, vectors.matrix[place])
        assert len(patches) == spec.patch_rows * spec.patch_cols * spec.patch_dim == spec.patch_size
        assert vectors.patches is not None
        np.testing.assert_allclose(patches, vectors.patches[place].reshape(-1))


def test_a_second_run_has_nothing_to_do(photo_project: MakeProject, config: MakeConfig, embedded: list[str]) -> None:
    project = photo_project(2)
    embed(project, config())

    def written() -> dict[Path, int]:  # the lock apart, which says who held it last
        there = open_store(reopened(project)).folder.iterdir()
        return {path: path.stat().st_mtime_ns for path in there if path.name != ".lock"}

    before = written()
    embedded.clear()
    report = embed(reopened(project), config())
    assert counts(report) == (0, 0, 4, 0) and embedded == []
    assert before and written() == before
    log = project.workspace.processed_log.read_text().splitlines()
    assert sorted(json.loads(line)["filename"] for line in log) == sorted(p.name for p in project.root.iterdir())


def test_bad_images_have_a_reason_and_the_rest_goes_on(
    photo_project: MakeProject, config: MakeConfig, embedded: list[str]
) -> None:
    project = photo_project(3)
    names = sorted(path.name for path in project.root.iterdir())
    whole = (project.root / names[0]).read_bytes()
    (project.root / names[0]).write_bytes(whole[: len(whole) // 2])
    (project.root / names[1]).write_bytes(b"")
    (project.root / "text.png").write_text("no image")
    (project.root / "link.jpg").symlink_to(names[2])
    report = embed(project, config())
    assert counts(report) == (4, 0, 0, 3)
    assert {error.filename: error.reason for error in report.errors} == {
        names[0]: "truncated",
        names[1]: "zero bytes",
        "text.png": "unreadable: not an image",
    }
    assert [(left.filename, left.reason) for left in report.left_out] == [("link.jpg", "symbolic link: not followed")]
    assert load_vectors(reopened(project)).errors.keys() == {names[0], names[1], "text.png"}

    # the same bad bytes are not tried again; a mended file is embedded, and its reason goes
    embedded.clear()
    (project.root / names[0]).write_bytes(whole)
    report = embed(reopened(project), config())
    assert embedded == [names[0]] and counts(report) == (1, 0, 4, 2)
    found = rows(project)
    assert len(found) == 7 and {name for (name, _), error in found.items() if error} == {names[1], "text.png"}


def test_a_file_that_cannot_be_opened_is_tried_again(
    photo_project: MakeProject, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(2)
    hidden, unread, *_ = sorted(project.root.iterdir())
    photograph(6, (40, 40)).save(unread)  # changed since the scan: its bytes are wanted for the hash
    real = builtins.open

    def refuse(path: object, *rest: object, **more: object) -> object:
        if str(path) in (str(hidden), str(unread)):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return real(path, *rest, **more)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "open", refuse)  # Pillow's
        patch.setattr(io, "open", refuse)  # pathlib's
        report = embed(project, replace(config(), previews=False))
        assert counts(report) == (2, 0, 0, 2)
        assert {error.reason for error in report.errors} == {"unreadable: Permission denied"}
        assert counts(embed(reopened(project), replace(config(), previews=False))) == (0, 0, 2, 2)
        assert len(rows(project)) == 4
    assert counts(embed(reopened(project), config())) == (2, 0, 2, 0)
    assert set(rows(project).values()) == {None}


def test_changed_files_are_noticed_by_content(
    photo_project: MakeProject, config: MakeConfig, embedded: list[str]
) -> None:
    project = photo_project(2)
    embed(project, config())
    changed, touched, *_ = sorted(project.root.iterdir())
    before = load_vectors(reopened(project))
    photograph(7, (120, 160)).save(changed)
    os.utime(touched)  # another time, the same bytes
    embedded.clear()
    report = embed(reopened(project), config())
    assert embedded == [changed.name] and counts(report) == (1, 0, 3, 0)
    after = load_vectors(reopened(project))
    assert len(after) == len(rows(project)) == 4
    places = [list(v.filenames).index(changed.name) for v in (before, after)]
    assert before.content_hashes[places[0]] != after.content_hashes[places[1]]
    assert cosines(before.matrix[places[:1]], after.matrix[places[1:]])[0] < 0.999

    # the log remembers what a touched file holds: it is read once
    lines = len(project.workspace.processed_log.read_text().splitlines())
    embed(reopened(project), config())
    assert len(project.workspace.processed_log.read_text().splitlines()) == lines


def test_moved_and_renamed_files_are_recognised(
    photo_project: MakeProject, config: MakeConfig, embedded: list[str]
) -> None:
    project = photo_project(3, folder="anna")
    embed(project, config())
    names = sorted(path.name for path in (project.root / "anna").iterdir())
    (project.root / "anna").rename(project.root / "bella")
    for folder, name in (("selected", names[0]), ("delete_staging", names[1]), ("crop_originals", names[2])):
        (project.root / folder).mkdir()
        (project.root / "bella" / name).rename(project.root / folder / name)
    (project.root / "bella" / names[3]).rename(project.root / "bella" / "renamed.jpg")
    embedded.clear()
    report = embed(reopened(project), config())
    assert embedded == [] and counts(report) == (0, 1, 5, 0)
    vectors = load_vectors(reopened(project))
    places = [list(vectors.filenames).index(name) for name in (names[3], "renamed.jpg")]
    assert np.array_equal(*vectors.matrix[places])  # the old name's row stays: a decision may have been made on it

    # the whole folder elsewhere
    moved = project.root.with_name("elsewhere")
    project.root.rename(moved)
    with pytest.raises(ProjectError, match="the image folder is not there"):
        embed(reopened(project), config())
    reopened(project).with_manifest(root=str(moved))  # as `pickroom relocate` does
    assert counts(embed(reopened(project), config())) == (0, 0, 6, 0) and embedded == []


def test_finished_crops_are_no_images_of_the_project(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(2)
    name = sorted(path.name for path in project.root.iterdir())[0]
    (project.root / "crop_cropped").mkdir()
    photograph(5, (50, 60)).save(project.root / "crop_cropped" / name)
    report = embed(project, config())
    assert report.images == 4 and len(rows(project)) == 4


def test_copies_are_embedded_once_and_equal_names_apart(
    photo_project: MakeProject, config: MakeConfig, images_folder: Path, embedded: list[str]
) -> None:
    folder = images_folder / "more"
    folder.mkdir()
    photograph(8, (90, 80)).save(folder / "same.png")
    photograph(9, (90, 80)).save(images_folder / "same.png")  # one name, two contents
    shutil.copy(folder / "same.png", folder / "copy.png")  # one content, two names
    project = photo_project(1)
    report = embed(project, config())
    assert sorted(embedded)[:2] != sorted(embedded)[1:3] and len(embedded) == 4
    assert counts(report) == (4, 1, 0, 0)
    assert len(rows(project)) == 5 and len({digest for _, digest in rows(project)}) == 4


def test_previews_serve_where_they_are_large_enough(
    workspace: Workspace, images_folder: Path, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    photograph(0, (1300, 1700)).save(images_folder / "large.png")
    photograph(1, (100, 90)).save(images_folder / "small.png")
    project = projects.start(workspace, "p", images_folder)[0]
    embed(project, replace(config(), previews=False))
    exact = load_vectors(reopened(project))
    shutil.rmtree(project.workspace.embeddings)

    read: list[str] = []
    real = PillowImage.open
    monkeypatch.setattr(PillowImage, "open", lambda path, **how: read.append(Path(path).name) or real(path, **how))
    embed(reopened(project), config())
    assert "large.png" not in read and "small.png" in read
    quick = load_vectors(reopened(project))
    assert cosines(exact.matrix[exact.filenames.argsort()], quick.matrix[quick.filenames.argsort()]).min() > 0.999
    parts = open_store(reopened(project)).folder / "vectors-*.parquet"
    sizes = duckdb.sql(f"SELECT width, height FROM read_parquet('{parts}') ORDER BY width").fetchall()
    assert sizes == [(100, 90), (1300, 1700)]


def test_a_project_never_mixes_encoders(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(1)
    first = embed(project, config())
    with pytest.raises(ConflictError, match="never mixes them") as caught:
        embed(reopened(project), EmbedConfig(encoder=EncoderConfig("bundled")))
    assert "--change-encoder" in caught.value.line
    assert os.listdir(project.workspace.embeddings) == [first.encoder_id]

    second = embed(reopened(project), EmbedConfig(encoder=EncoderConfig("bundled", change=True)))
    assert reopened(project).manifest.encoder == second.encoder_id != first.encoder_id
    assert load_vectors(reopened(project)).matrix.shape == (2, 1280)
    # back again: the vectors made before are still there
    back = embed(reopened(project), replace(config(), encoder=replace(config().encoder, change=True)))
    assert counts(back) == (0, 0, 2, 0) and back.encoder_id == first.encoder_id
    # without a choice, the project's own; a checkpoint's folder is stored nowhere
    assert embed(reopened(project), config(encoder=EncoderConfig(checkpoint=config().encoder.checkpoint))).embedded == 0


def as_of_version_0_1(project: Project) -> str:
    """The project bound to its encoder in bfloat16, as version 0.1 chose it on some machines; returns its id."""
    spec = replace(open_store(reopened(project)).spec, dtype="bfloat16")
    save_spec(project.workspace, spec, {"cosine_to_float32": 0.9995})
    bind_spec(reopened(project), spec)
    return spec.encoder_id


def test_bfloat16_projects_go_on_and_are_offered_float32(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(1)
    exact = embed(project, config())
    bound = as_of_version_0_1(project)
    again = embed(reopened(project), config())
    assert (again.encoder_id, again.embedded) == (bound, 2)
    assert "vectors in bfloat16" in again.words() and "pickroom embed p --change-encoder" in again.words()
    changed = embed(reopened(project), config(encoder=replace(config().encoder, change=True)))
    assert (changed.encoder_id, changed.embedded) == (exact.encoder_id, 0)
    assert "bfloat16" not in changed.words()


def test_bundled_bfloat16_vectors_are_made_again_on_demand(photo_project: MakeProject) -> None:
    project = photo_project(1)
    bundled = EmbedConfig(EncoderConfig("bundled"))
    embed(project, bundled)
    as_of_version_0_1(project)
    with pytest.raises(ConflictError, match="has vectors in bfloat16") as caught:
        embed(reopened(project), bundled)
    assert "pickroom embed p --encoder bundled --change-encoder" in caught.value.line
    assert embed(reopened(project), replace(bundled, encoder=EncoderConfig("bundled", change=True))).embedded == 0


def test_wrong_choices_are_refused_before_anything_is_written(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(1)
    for wrong, word in (
        (EmbedConfig(encoder=EncoderConfig("clip")), "not an encoder"),
        (EmbedConfig(encoder=EncoderConfig("bundled", device="cuda")), "cannot run on cuda"),
        (EmbedConfig(encoder=EncoderConfig("bundled", checkpoint=Path("x"))), "takes no model"),
        (replace(config(), engine="spark"), "not an engine"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError, match=word):
            embed(project, wrong)
    assert not project.workspace.embeddings.exists() and reopened(project).manifest.encoder is None
    with pytest.raises(StoreError, match="has no vectors"):
        load_vectors(reopened(project))


def test_one_process_at_a_time_embeds_a_project(photo_project: MakeProject, config: MakeConfig) -> None:
    project = photo_project(1)
    embed(project, config())
    held = rf"process {os.getpid()} \(holding it\) is at work on the vectors of project p"
    with open_store(reopened(project)).writing("holding it"), pytest.raises(LockedError, match=held):
        embed(reopened(project), config())


def test_images_moved_during_embedding_are_found_again(
    photo_project: MakeProject, config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(2)
    victim = sorted(project.root.iterdir())[-1]
    real = plan.index_images

    def moving(encoder: object, source: object, tasks: list) -> plan.IndexedRows:
        if victim.exists():
            (project.root / "selected").mkdir()
            victim.rename(project.root / "selected" / victim.name)
        return real(encoder, source, tasks)  # type: ignore[arg-type]

    monkeypatch.setattr("pickroom.indexing.engines.index_images", moving)
    report = embed(project, config(workers=1))
    assert counts(report) == (4, 0, 0, 0) and report.waiting == 0
