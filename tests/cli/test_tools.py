"""`pickroom sort` and `pickroom browse`: a dry run first, one JSON object, one line for wrong input."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import read_tree
from pickroom.store.workspace import Project
from support.boards import selected, with_results
from support.commands import run_command
from support.reviewing import rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    made = with_results(tmp_path)
    for number, name in enumerate(selected(made)):
        text = f"character: {('Anna', 'bo')[number % 2]}\n" if number < 4 else ""
        (made.root / "selected" / name.replace(".png", ".yaml")).write_text(text)
    return made


def pickroom(project: Project, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, "--home", str(project.workspace.root), stdin=stdin)


def answer(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_by_a_field_first_dry_then_done_then_undone(project: Project) -> None:
    before = read_tree(project.root)
    dry = answer(pickroom(project, "sort", "p", "--by", "character", "--json"))
    assert dry["table"] == [
        {"value": "Anna", "folder": "Anna", "images": 2},
        {"value": "bo", "folder": "bo", "images": 2},
        {"value": None, "folder": None, "images": 1},
    ]
    assert (len(dry["planned"]), dry["held"], dry["batch"]) == (4, [], None)
    assert read_tree(project.root) == before
    assert rows(project, "SELECT * FROM image_marks") == []
    done = answer(pickroom(project, "sort", "p", "--by", "character", "--execute", "--json"))
    assert done["batch"] == 2 and done["planned"] == dry["planned"]
    moved = {(one["filename"], one["to"]) for one in dry["planned"]}
    assert all((project.root / folder / name).is_file() for name, folder in moved)
    assert pickroom(project, "undo", "p", "--batch", "2").returncode == 0
    assert read_tree(project.root) == before


def test_assign_by_file_exits_1_if_anything_is_held_back(project: Project) -> None:
    first, second, *_ = selected(project)
    (project.root / "selected" / "anna").mkdir()
    (project.root / "selected" / "anna" / first.replace(".png", ".yaml")).write_text("in the way")
    lines = [json.dumps({"filename": name, "folder": "anna"}) for name in (first, second)]
    arguments = ("sort", "p", "--assign", "-", "--json")
    dry = answer(pickroom(project, *arguments, stdin="\n".join(lines)))
    assert [one["filename"] for one in dry["planned"]] == [second]
    assert [one["filename"] for one in dry["held"]] == [first]
    ran = pickroom(project, *arguments, "--execute", stdin="\n".join(lines))
    assert ran.returncode == 1 and json.loads(ran.stdout)["batch"] == 2
    assert (project.root / "selected" / "anna" / second).is_file() and "exists already" in ran.stderr
    assert (project.root / "selected" / "anna" / first.replace(".png", ".yaml")).read_text() == "in the way"


def test_browse_marks_by_a_file(project: Project) -> None:
    first, second, *_ = selected(project)
    lines = [{"filename": first, "mark": "crop"}, {"filename": second, "mark": "staging", "directory": "selected"}]
    text = "\n".join(map(json.dumps, lines))
    dry = answer(pickroom(project, "browse", "p", "--marks", "-", "--json", stdin=text))
    assert [one["to"] for one in dry["planned"]] == ["crop", "delete_staging"]
    assert dry["folders"] == {"selected": 5, "shoot": 2}
    done = answer(pickroom(project, "browse", "p", "--marks", "-", "--json", "--execute", stdin=text))
    assert done["batch"] == 2 and (project.root / "crop" / first).is_file()


def test_in_words_nothing_is_done_and_the_next_step_is_said(project: Project) -> None:
    ran = pickroom(project, "sort", "p", "--by", "character")
    assert ran.returncode == 0 and "add --execute" in ran.stdout and "4 would move" in ran.stdout
    assert "no mark" in pickroom(project, "browse", "p").stdout


@pytest.mark.parametrize(
    ("arguments", "stdin", "said"),
    [
        (("sort", "p", "--by", "nothing"), "", "no image has a field 'nothing'"),
        (("sort", "p", "--by", "a", "--assign", "-"), "", "exclude each other"),
        (("sort", "p", "--folder", "../x"), "", "relative to the project's"),
        (("sort", "p", "--folder", "crop"), "", "not to be sorted"),
        (("sort", "p", "--assign", "-"), '{"filename": "none.png", "folder": "a"}', "no image is named 'none.png'"),
        (("sort", "p", "--assign", "-"), '{"filename": "IMAGE", "folder": "../a"}', "naming a folder"),
        (("sort", "p", "--assign", "-"), '{"filename": "IMAGE", "folder": 3}', "line 1: "),
        (("sort", "p", "--assign", "nowhere.jsonl"), "", "cannot read the file"),
        (("browse", "p", "--marks", "-"), "nonsense", "line 1: "),
        (("browse", "p", "--marks", "-"), "[]", "line 1: Expected 'object', got 'array'"),
        (("browse", "p", "--marks", "-"), '\n{"filename": "IMAGE", "mark": "burn"}', "line 2: "),
        (("browse", "p", "--marks", "-"), '{"filename": "IMAGE", "mark": "crop"}\n' * 2, "is named twice"),
        (("browse", "p", "--folder", "nowhere"), "", "no such folder"),
        (("browse", "q"), "", "no project is named 'q'"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_done(
    project: Project, arguments: tuple[str, ...], stdin: str, said: str
) -> None:
    before = read_tree(project.root)
    ran = pickroom(project, *arguments, "--execute", stdin=stdin.replace("IMAGE", selected(project)[0]))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr and ran.stderr.count("\n") == 1
    assert read_tree(project.root) == before
