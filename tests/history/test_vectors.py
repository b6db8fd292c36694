"""Legacy caches: paths of other machines, more lines than files, every line accounted for."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import write_image
from pickroom.core.errors import ConflictError, UsageError
from pickroom.features import openclip
from pickroom.features.choice import EncoderConfig
from pickroom.features.store import load_vectors, save_spec
from pickroom.history.vectors import SPEC, import_cache
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.indexing.pipeline import embed
from pickroom.store.workspace import Project, Workspace
from support.encoding import photograph


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


@pytest.fixture
def old_home(tmp_path: Path) -> Path:
    """The earlier system's tree: the JSONL in data/ai_data/cache/, arrays in two folders named embeddings."""
    home = tmp_path / "old"
    for folder in ("cache/embeddings", "embeddings/mojo1", "embeddings/mojo2"):
        (home / "data" / "ai_data" / folder).mkdir(parents=True)
    return home


def write_old_cache(home: Path, lines: list[tuple[str, str]], foreign: str = "") -> Path:
    return write_cache(home / "data" / "ai_data" / "cache", lines, broken=foreign)


def test_vectors_are_found_in_the_earlier_systems_folders(
    project: Project, old_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = old_home / "data" / "ai_data"
    places = [
        ("a", "embeddings/a.npy", "data/ai_data/embeddings/a.npy"),  # relative to the repository's root
        ("b", "embeddings/b.npy", "../embeddings/b.npy"),  # relative to the file's folder
        ("c", "cache/embeddings/c.npy", "embeddings/c.npy"),
        ("d", "cache/embeddings/same.npy", "/Users/x/repo/data/ai_data/cache/embeddings/same.npy"),  # another machine
        ("e", "embeddings/same.npy", "D:\\repo\\data\\ai_data\\embeddings\\same.npy"),
        ("f", "embeddings/mojo1/f.npy", "/somewhere/else/f.npy"),  # by its name
        ("g", "embeddings/mojo1/two.npy", "data/ai_data/embeddings/mojo1/two.npy"),
    ]
    for number, (_, where, _) in enumerate(places):
        np.save(data / where, vector(number))
    np.save(data / "embeddings/mojo2/two.npy", vector(99))
    np.save(data / "embeddings/mojo2/other.npy", vector(98))
    work = old_home / "elsewhere"
    work.mkdir()
    np.save(work / "h.npy", vector(7))  # relative to the current folder
    monkeypatch.chdir(work)
    lines = [(f"mojo1/{name}.png", logged) for name, _, logged in places] + [("mojo1/h.png", "./h.npy")]
    lines += [("mojo1/i.png", "/gone/other.npy")]  # another project's, by its folder
    own = json.dumps({"project_id": "mojo1", "encoder_id": "0" * 16, "filename": "a.png"}) + "\n"
    cache = write_old_cache(old_home, lines, own)
    before = cache.read_bytes()
    report = import_cache(project, cache)
    assert dict(report.skipped) == {"the vector's file is missing": 1, "a line of Pickroom's own log": 1}
    assert cache.read_bytes() == before  # the source is not written to
    vectors = load_vectors(project.workspace.project("mojo1"))
    for number, name in enumerate("abcdefgh"):
        place = next(row for row, filename in enumerate(vectors.filenames) if filename == f"{name}.png")
        assert np.array_equal(vectors.matrix[place], vector(number)), name


@pytest.fixture
def declared(project: Project, checkpoint: Path, old_home: Path) -> tuple[Path, EncoderConfig]:
    """A cache that the small OpenCLIP checkpoint made, normalised, of images on disk and of others that are gone."""
    tower = openclip.load(checkpoint=checkpoint)
    encoder, arrays = tower.encoder(tower.spec(), "cpu"), old_home / "data" / "ai_data" / "embeddings"
    for number in range(12):
        photograph(number, (90, 120)).save(project.root / f"{number}.png")
    projects.rescan(project)
    lines = []
    for number in range(20):
        pixels = tower.prepare(photograph(number, (90, 120)))
        made = encoder.encode([pixels]).vectors[0]
        np.save(arrays / f"{number}.npy", made / np.linalg.norm(made))
        lines.append((f"/old/mojo1/{number}.png", f"data/ai_data/embeddings/{number}.npy"))
    return write_old_cache(old_home, lines), EncoderConfig(checkpoint=checkpoint)


def test_declared_vectors_are_verified_and_train_with_new_ones(
    project: Project, declared: tuple[Path, EncoderConfig]
) -> None:
    cache, config = declared
    report = import_cache(project, cache, config)
    assert (report.imported, report.matched, report.sampled, report.verified) == (20, 12, 12, 12) and report.bound
    bound = project.workspace.project("mojo1")
    again = embed(bound, EmbedConfig(config), verify=True)
    # images on disk get a vector with its patch grid, and those that are gone keep the imported one
    assert (again.embedded, again.unchanged) == (13, 0) and again.verification and not again.verification.problems
    vectors = load_vectors(bound, patches=True)
    assert len(vectors) == 21 and vectors.patches is not None
    gone = vectors.place("15.png", None)
    assert gone is not None and np.isnan(vectors.patches[gone]).all() and np.isfinite(vectors.matrix[gone]).all()
    there = vectors.place("3.png", vectors.content_hashes[list(vectors.filenames).index("3.png")])
    assert there is not None and np.isfinite(vectors.patches[there]).all()


def test_a_wrong_declaration_is_refused_and_imports_nothing(
    project: Project, declared: tuple[Path, EncoderConfig], tmp_path: Path
) -> None:
    cache, config = declared
    other = shutil.copytree(Path(config.checkpoint or ""), tmp_path / "other")
    weights = torch.load(other / "open_clip_pytorch_model.bin")
    torch.manual_seed(9)
    weights = {name: torch.randn_like(v) * 0.1 if v.is_floating_point() else v for name, v in weights.items()}
    torch.save(weights, other / "open_clip_pytorch_model.bin")
    with pytest.raises(UsageError, match="12 of 12 images on disk do not give the cache's vectors") as caught:
        import_cache(project, cache, EncoderConfig(checkpoint=other))
    assert "leave --encoder out" in caught.value.line
    assert project.workspace.project("mojo1").manifest.encoder is None and not project.workspace.embeddings.exists()
    with pytest.raises(UsageError, match="only OpenCLIP's vectors can be declared"):
        import_cache(project, cache, EncoderConfig("bundled"))


def test_a_few_images_changed_since_do_not_refuse_a_declaration(
    project: Project, declared: tuple[Path, EncoderConfig]
) -> None:
    cache, config = declared
    photograph(40, (90, 120)).save(project.root / "3.png")  # cropped in place, as the earlier system did
    projects.rescan(project)
    report = import_cache(project, cache, config)
    assert (report.imported, report.sampled, report.verified) == (20, 12, 11)


def test_a_project_without_images_is_verified_by_another_one(
    project: Project, declared: tuple[Path, EncoderConfig], workspace: Workspace
) -> None:
    cache, config = declared
    lines = [json.loads(line) for line in cache.read_text().splitlines()]
    more = [(line["image_path"].replace("mojo1", "mojo2"), line["embedding_file"]) for line in lines[15:]]
    both = write_cache(cache.parent, [(line["image_path"], line["embedding_file"]) for line in lines] + more)
    past = workspace.project("mojo2")
    shutil.rmtree(past.root)
    report = import_cache(past, both, config)
    assert (report.imported, report.sampled, report.verified) == (5, 12, 12)
    shutil.rmtree(project.root)
    alone = import_cache(workspace.project("mojo1"), both, config)
    assert (alone.imported, alone.sampled) == (20, 0)  # nothing can be verified: said, and imported as declared


def test_undeclared_vectors_can_be_declared_later(project: Project, declared: tuple[Path, EncoderConfig]) -> None:
    cache, config = declared
    assert import_cache(project, cache).skipped == {"the vector is not of 512 floats": 20}
    project.with_manifest(encoder=SPEC.encoder_id)
    save_spec(project.workspace, SPEC, {"source": "a legacy cache"})
    report = import_cache(project.workspace.project("mojo1"), cache, config)
    assert report.bound and project.workspace.project("mojo1").manifest.encoder not in (None, SPEC.encoder_id)
