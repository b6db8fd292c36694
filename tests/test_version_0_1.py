"""A workspace that version 0.1 made (tests/fixtures/v0.1): everything in it still works, and so do its commands."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.features import bundled, store
from pickroom.features.store import cosines
from pickroom.images.decode import read_rgb
from pickroom.learn import checkpoints
from pickroom.store.workspace import Workspace
from support.reviewing import FINALISE, decisions, queue, review, rows

PACKED = Path(__file__).parent / "fixtures" / "v0.1" / "workspace.tar.xz"
FLOAT32, BFLOAT16 = "c994c8182e83dba7", "5cfe3393de57c40b"  # what version 0.1 called the two encoders
Pickroom = Callable[..., str]


@pytest.fixture
def old(tmp_path: Path) -> Workspace:
    """The workspace, its images where the manifests say."""
    workspace = Workspace(tmp_path / "old")
    with tarfile.open(PACKED) as archive:
        archive.extractall(workspace.root, filter="data")
    for path in workspace.manifests.glob("*.json"):
        values = json.loads(path.read_text(encoding="utf-8"))
        path.write_text(json.dumps({**values, "root": str(workspace.root / f"{path.stem}_images")}), encoding="utf-8")
    return workspace


@pytest.fixture
def pickroom(old: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Pickroom:
    """Run a command in this process and give what it prints on stdout: `pickroom("status", "demo")`."""
    monkeypatch.setenv("PICKROOM_HOME", str(old.root))

    def run(*arguments: str, keys: str = "", code: int = 0) -> str:
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments])
        monkeypatch.setattr(sys, "stdin", io.StringIO(keys))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out if code == 0 else said.err

    return run


def test_manifests_are_read(old: Workspace) -> None:
    assert old.project_ids() == ["demo", "half"]
    assert [project.manifest.encoder for project in old.projects()] == [FLOAT32, BFLOAT16]
    assert [project.manifest.image_count for project in old.projects()] == [22, 6]


def test_images_are_relocated_and_everything_is_explained(old: Workspace, pickroom: Pickroom) -> None:
    moved = (old.root / "demo_images").rename(old.root / "elsewhere")
    pickroom("relocate", "demo", str(moved))
    found = json.loads(pickroom("status", "demo", "--json"))
    assert (found["groups"], found["waiting"]) == (8, 3)
    assert found["decided"] == {"approve": 3, "crop": 1, "reject": 1}
    assert [found[name] for name in ("unexplained", "misplaced", "missing", "unfinished")] == [[]] * 4
    assert [(batch["done"], batch["operations"]) for batch in found["batches"]] == [(33, 33), (5, 5), (2, 2)]
    checked = json.loads(pickroom("check", "demo", "--json"))
    assert (checked["ok"], checked["findings"]) == (True, [])
    # none of the imported images has a vector: they say nothing to a model, and are no fault
    assert [(one["check"], one["level"]) for one in checked["imported"]["findings"]] == [("vectors", "excluded")]


def test_review_goes_on(old: Workspace) -> None:
    project = old.project("demo")
    assert len(queue(project)) == 3
    review(project, "2", "x", *FINALISE)
    assert len(queue(project)) == 1
    assert len(decisions(project)) == 7


def test_batches_are_undone_down_to_the_first(old: Workspace, pickroom: Pickroom) -> None:
    for batch in ("3", "2", "1"):
        pickroom("undo", "demo", "--batch", batch)
    project = old.project("demo")
    assert len(queue(project)) == 8
    assert decisions(project) == {}
    images = {row["filename"]: row["directory"] for row in rows(project, "SELECT filename, directory FROM images")}
    assert len(images) == 22
    assert all(project.path(directory, filename).is_file() for filename, directory in images.items())
    for folder in ("selected", "crop", "crop_cropped", "crop_originals"):
        assert not any((project.root / folder).glob("*.*"))


def test_float32_vectors_are_those_of_the_present_encoder(old: Workspace, pickroom: Pickroom) -> None:
    project = old.project("demo")
    tower = bundled.load()
    spec = tower.spec()
    assert spec.encoder_id == FLOAT32
    found = store.load_vectors(project, patches=True)
    assert found.matrix.shape == (22, spec.dim)
    assert found.patches is not None and found.patches.shape[1:] == (9, 9, 64)
    name = found.filenames[0]
    pixels = tower.prepare(read_rgb(next(project.root.rglob(name))))
    made = tower.encoder(spec, "cpu").encode([pixels]).vectors
    assert cosines(made, found.matrix[:1])[0] > 0.9999
    assert "22 unchanged" in pickroom("embed", "demo")


def test_bfloat16_vectors_are_read_and_offered_anew(old: Workspace, pickroom: Pickroom) -> None:
    project = old.project("half")
    assert store.load_vectors(project).spec.dtype == "bfloat16"
    said = pickroom("embed", "half", code=1)
    assert "which version 0.1 made" in said and "--change-encoder" in said
    pickroom("embed", "half", "--encoder", "bundled", "--change-encoder", "--no-regions")
    assert old.project("half").manifest.encoder == FLOAT32
    assert store.load_vectors(old.project("half")).spec.dtype == "float32"


def test_models_are_listed_loaded_and_judged(old: Workspace, pickroom: Pickroom) -> None:
    for name in ("ranker", "crop_proposer"):
        assert checkpoints.versions(old, name) == [1]
        found = checkpoints.load(old, name, 1)
        assert (found.metadata["name"], found.metadata["features"]["encoder"]) == (name, FLOAT32)
        assert checkpoints.current(old, name) is None  # neither beat its baselines
    assert "ranker v1 on demo" in pickroom("evaluate", "demo")
    assert "3 undecided groups" in pickroom("recommend", "demo")


def test_applied_automation_is_undone(old: Workspace, pickroom: Pickroom) -> None:
    copy = old.sandbox / "demo"
    applied = {path.name for path in (copy / "selected").iterdir()}
    assert "2 groups wait again" in pickroom("auto", "undo", "demo")
    assert {path.name for path in (copy / "selected").iterdir()} < applied


def test_imported_rows_and_crops_are_read(old: Workspace, pickroom: Pickroom) -> None:
    counted = json.loads(pickroom("sql", "SELECT source, count(*) AS n FROM decisions GROUP BY ALL", "--json"))
    assert sum(row[-1] for row in counted["rows"]) >= 5
    (crop,) = rows(old.project("demo"), "SELECT box_source FROM crops")
    assert crop["box_source"] == "drawn"
    assert "23" in pickroom("sql", "SELECT count(*) AS n FROM legacy_selections")


@pytest.mark.parametrize(
    "command",
    [
        "review demo --unaided --keys -",
        "duplicates demo --bits 4 --json",
        "duplicates demo --stage --json",
        "groups demo --by similarity --bits 4 --json",
        "reclaim --json",
        "history --help",
        "import-csv --help",
    ],
)
def test_commands_of_version_0_1_are_understood(pickroom: Pickroom, command: str) -> None:
    said = pickroom(*command.split())
    if command.endswith("--json"):
        json.loads(said)


def test_hard_still_deletes_only_with_execute(pickroom: Pickroom) -> None:
    assert "add --execute" in pickroom("reclaim", "--hard", code=2)
