"""`pickroom duplicates`: a report, a dry run, the copies set aside and back; one line for wrong input."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from cli.test_tools import answer, pickroom
from conftest import read_tree
from pickroom.store.workspace import Project
from sessions.duplicates.test_session import with_duplicates
from support.reviewing import rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_duplicates(tmp_path)


def test_json_report_has_documented_fields_and_changes_nothing(project: Project) -> None:
    before = read_tree(project.root)
    found = answer(pickroom(project, "duplicates", "p", "--json"))
    pairs = [(pair["a"], pair["b"], pair["kind"]) for pair in found["pairs"]]
    assert pairs == [("one/tree.png", "two/oak.png", "exact"), ("one/sea.png", "two/sea_small.jpg", "near")]
    assert found["pairs"][0]["score"] == 1 and 0.8 < found["pairs"][1]["score"] <= 1
    assert found["images"] == 6 and found["left_out"] == []
    assert read_tree(project.root) == before and rows(project, "SELECT * FROM file_operations") == []
    words = pickroom(project, "duplicates")  # every project
    assert "1 exact pair, 1 near pair" in words.stdout and "keep the first: older" in words.stdout
    assert "no vectors" in words.stderr


def test_exact_pairs_are_those_of_the_whole_search(project: Project, tmp_path: Path) -> None:
    with_duplicates(tmp_path, "q")
    shutil.copyfile(project.root / "one" / "alone.png", project.root / "two" / "unscanned.png")
    whole = [p for p in answer(pickroom(project, "duplicates", "--json"))["pairs"] if p["kind"] == "exact"]
    found = answer(pickroom(project, "duplicates", "--exact", "--json"))
    assert found["pairs"] == whole and found["images"] == 13
    words = pickroom(project, "duplicates", "p", "--exact")
    assert "7 images: 2 exact pairs" in words.stdout and "near" not in words.stdout and words.stderr == ""


def test_exact_search_reads_only_files_without_a_hash(project: Project) -> None:
    (project.root / "two" / "unscanned.png").write_bytes(b"never decoded")
    for name in ("one/tree.png", "two/oak.png"):
        (project.root / name).chmod(0)
        before = os.stat(project.root / name)
        (project.root / name).write_bytes(bytes(before.st_size))  # the root user reads whatever it likes
        os.utime(project.root / name, ns=(before.st_atime_ns, before.st_mtime_ns))
    found = answer(pickroom(project, "duplicates", "p", "--exact", "--json"))
    assert [(pair["a"], pair["b"]) for pair in found["pairs"]] == [("one/tree.png", "two/oak.png")]
    dry = answer(pickroom(project, "duplicates", "p", "--exact", "--move", "--json"))
    assert [one["path"] for one in dry["planned"]] == ["two/oak.png"]


def test_two_projects_are_reported_together(project: Project, tmp_path: Path) -> None:
    with_duplicates(tmp_path, "q")
    found = answer(pickroom(project, "duplicates", "p", "q", "--json"))
    across = {(pair["a"], pair["b"]) for pair in found["pairs"] if pair["a_project"] != pair["b_project"]}
    assert {("one/tree.png", "one/tree.png"), ("one/alone.png", "one/alone.png")} <= across
    assert "reported only" in pickroom(project, "duplicates", "p", "q").stdout


def test_set_aside_first_dry_then_done_then_undone(project: Project) -> None:
    before = read_tree(project.root)
    dry = answer(pickroom(project, "duplicates", "p", "--move", "--json"))
    assert dry["planned"] == [{"path": "two/oak.png", "to": "delete_staging", "kept": "one/tree.png"}]
    assert read_tree(project.root) == before and rows(project, "SELECT * FROM image_marks") == []
    both = answer(pickroom(project, "duplicates", "p", "--move", "--near", "--json"))
    assert {one["path"] for one in both["planned"]} == {"two/oak.png", "two/sea_small.jpg"}
    done = answer(pickroom(project, "duplicates", "p", "--move", "--execute", "--json"))
    assert done == {**dry, "batch": 1}
    moved = {f"delete_staging/{name}": before[f"two/{name}"] for name in ("oak.png", "oak.caption")}
    left = {path: content for path, content in before.items() if path not in ("two/oak.png", "two/oak.caption")}
    assert read_tree(project.root) == left | moved
    assert pickroom(project, "undo", "p", "--batch", "1").returncode == 0
    assert read_tree(project.root) == before


def test_what_cannot_go_is_held_back_with_exit_code_1(project: Project) -> None:
    shutil.copyfile(project.root / "one" / "alone.png", project.root / "two" / "lonely.png")
    (project.root / "delete_staging").mkdir()
    (project.root / "delete_staging" / "oak.png").write_text("in the way")
    ran = pickroom(project, "duplicates", "p", "--move", "--execute", "--json")
    assert ran.returncode == 1
    found = json.loads(ran.stdout)
    assert [one["path"] for one in found["planned"]] == ["two/lonely.png"]
    assert found["held"] == [{"path": "two/oak.png", "reason": "delete_staging/oak.png exists already"}]
    assert (project.root / "delete_staging" / "oak.png").read_text() == "in the way"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere",), "no project is named 'nowhere'"),
        (("p", "p"), "a project is named twice"),
        (("p", "--hash-distance", "65"), "two hashes differ in 0-64 bits, not 65"),
        (("p", "--cosine", "2"), "a cosine lies in [-1, 1], not 2.0"),
        (("p", "--execute"), "do nothing by themselves"),
        (("p", "--exact", "--cosine", "0.9"), "--exact leaves near duplicates out"),
        (("p", "q", "--move"), "takes one project"),
    ],
)
def test_wrong_use_is_one_line(project: Project, tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    if "q" in arguments:
        with_duplicates(tmp_path, "q")
    ran = pickroom(project, "duplicates", *arguments)
    assert ran.returncode == 2 and ran.stdout == ""
    assert said in ran.stderr and len(ran.stderr.splitlines()) == 1


def test_a_folder_that_has_gone_is_one_line(project: Project) -> None:
    project.root.rename(project.root.with_name("unplugged"))
    ran = pickroom(project, "duplicates", "p")
    assert ran.returncode == 2 and "the image folder is not there" in ran.stderr and "Traceback" not in ran.stderr
