"""Projects of the past by commands: registered without images, named by aliases, next to files of other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from conftest import read_tree, write_series
from pickroom.learn import checkpoints
from pickroom.store.workspace import Workspace
from support.commands import run_command

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def pickroom(workspace: Workspace) -> Run:
    return lambda *words: run_command(*map(str, words), "--home", str(workspace.root))


def test_start_finished_registers_with_aliases(pickroom: Run, workspace: Workspace) -> None:
    done = pickroom("start", "mojo1", "--finished", "--alias", "training data/mojo1_final/", "--alias", "first")
    assert (done.returncode, done.stdout.splitlines()[0]) == (0, "Project mojo1: finished, no images")
    assert workspace.project("mojo1").manifest.aliases == ("training data/mojo1_final", "first")
    assert "registered without images" in pickroom("status", "mojo1").stdout
    assert pickroom("check", "mojo1").returncode == 0
    found = json.loads(pickroom("doctor", "--json").stdout)["checks"]
    (line,) = [one for one in found if one["check"] == "project mojo1"]
    assert line["state"] == "ok"


@pytest.mark.parametrize("options", [(), ("--finished", "--images", "."), ("--finished", "--rename-duplicates")])
def test_start_needs_either_images_or_finished(pickroom: Run, workspace: Workspace, options: tuple[str, ...]) -> None:
    done = pickroom("start", "p", *options)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert not workspace.root.exists()


def test_alias_lists_adds_and_removes(pickroom: Run, workspace: Workspace) -> None:
    for name in ("anna", "bella"):
        pickroom("start", name, "--finished")
    assert pickroom("alias", "anna", "old\\anna", "old/anna/", "second").stdout == "anna: old/anna, second\n"
    assert pickroom("alias", "anna").stdout == "anna: old/anna, second\n"
    assert json.loads(pickroom("alias", "anna", "second", "--remove", "--json").stdout)["aliases"] == ["old/anna"]
    before = read_tree(workspace.manifests)
    for words in (("bella", "OLD/anna"), ("bella", "anna"), ("bella", ""), ("bella", "x", "--remove"), ("none", "x")):
        done = pickroom("alias", *words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), words
    assert read_tree(workspace.manifests) == before


def test_files_of_other_programs_are_named_and_stop_nothing(
    pickroom: Run, workspace: Workspace, images_folder: Path
) -> None:
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "global_bans.json").write_text('{"bannedExtensions": ["exe"]}')
    for name in ("1011", "mojo1"):
        (workspace.manifests / f"{name}.project.json").write_text(json.dumps({"projectId": name, "title": name}))
    workspace.models.mkdir(parents=True)
    for name, text in (("ranker_v3_w10", '{"epochs": 30}'), ("crop_proposer_v2", '{"version": "v2"}'), ("x", "{")):
        (workspace.models / f"{name}_metadata.json").write_text(text)
        (workspace.models / f"{name}.pt").write_bytes(b"weights")
    write_series(images_folder, [(1, 2)])
    assert pickroom("start", "p", "--images", images_folder).returncode == 0
    done = pickroom("doctor", "--json")
    found = {one["check"]: one for one in json.loads(done.stdout)["checks"]}
    assert done.returncode == 0
    assert found["other files"]["items"] == ["global_bans.json"]
    assert found["earlier projects"]["items"] == ["1011", "mojo1"]
    assert found["earlier projects"]["todo"] == "pickroom start 1011 --finished"
    assert found["other models"]["items"] == ["crop_proposer_v2", "ranker_v3_w10", "x"]
    assert [checkpoints.versions(workspace, name) for name in ("crop_proposer", "ranker")] == [[], []]
    assert "train one" in pickroom("evaluate", "p").stderr
    listed = pickroom("sql", "SELECT model, version, has_weights FROM models ORDER BY model", "--json")
    assert (listed.returncode, json.loads(listed.stdout)["rows"]) == (
        0,
        [["crop_proposer_v2", 2, True], ["ranker_v3_w10", None, True], ["x", None, True]],
    )
    assert json.loads(pickroom("status", "--json").stdout)["projects"][0]["project_id"] == "p"


def test_commands_over_all_projects_skip_those_without_images(
    pickroom: Run, workspace: Workspace, images_folder: Path, tmp_path: Path
) -> None:
    for name in ("anna", "bella"):
        pickroom("start", name, "--finished")
    write_series(images_folder, [(1, 2)])
    pickroom("start", "p", "--images", images_folder)
    for words in (
        *(("duplicates",), ("status",), ("reclaim",), ("anomalies",), ("backup", tmp_path / "b.zip")),
        *(("sql", "SELECT project_id FROM projects"), ("export", "--coco", tmp_path / "coco"), ("export", "--xmp")),
        ("export", "--parquet", tmp_path / "parquet"),
    ):
        done = pickroom(*words)
        assert (done.returncode, "without images" in done.stderr) == (0, False), (words, done.stderr)
    for words in (("groups", "anna"), ("embed", "anna"), ("relocate", "anna", tmp_path), ("duplicates", "anna")):
        done = pickroom(*words)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), (words, done.stderr)
        assert "pickroom start anna --images ." in done.stderr
    assert run_command("restore", str(tmp_path / "b.zip"), "--home", str(tmp_path / "again")).returncode == 0
    assert "anna (finished)" in run_command("status", "--home", str(tmp_path / "again")).stdout
