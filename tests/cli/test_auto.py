"""`pickroom auto`: a project copied, decided, reviewed, applied and put back, in the words of each command."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from conftest import read_tree
from pickroom.automation import sandbox
from pickroom.store.workspace import Project
from support.automating import BOX, change_line, images_tree
from support.commands import run_command
from support.reviewing import queue, recommend, rows

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    made = make_project([(1, 2)] * 3, folder="anna")
    for place, group in enumerate(queue(made)):
        recommend(made, group, 1, BOX if place == 1 else None, crop_needed=place == 1)
    return made


@pytest.fixture
def auto(project: Project) -> Run:
    def run(*arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
        return run_command("auto", *arguments, "--home", str(project.workspace.root), stdin=text)

    return run


KEYS = "a\na\nr\nShift+Enter\nShift+Enter\n"


def test_the_whole_way_and_back(project: Project, auto: Run) -> None:
    before = read_tree(project.root)
    made = auto("generate", "p")
    assert (made.returncode, made.stderr) == (0, "")
    assert "3 groups in" in made.stdout and "nothing is approved unseen" in made.stdout
    copy = sandbox.locate(project).folder
    tree = images_tree(copy)

    seen = auto("review", "p", "--keys", "-", "--order", "folder", text=KEYS)
    assert "Written to approved_decisions.jsonl: 2 approved, 1 rejected" in seen.stdout
    dry = auto("apply", "p")
    assert dry.returncode == 0 and "Nothing was moved" in dry.stderr and images_tree(copy) == tree
    done = auto("apply", "p", "--execute", text="n\n")
    assert done.returncode == 1 and "stopped" in done.stderr and images_tree(copy) == tree
    done = auto("apply", "p", "--execute", "--yes")
    assert done.returncode == 0 and "Batch 1: 2 groups done" in done.stderr
    assert done.stdout == dry.stdout  # the same plan, line for line
    steps = rows(sandbox.locate(project).project, "SELECT op, source, destination FROM file_operations ORDER BY id")
    journal = [f"{s['op']} {' -> '.join(filter(None, (s['source'], s['destination'])))}" for s in steps]
    assert dry.stdout.splitlines()[: len(journal)] == journal
    back = auto("undo", "p")
    assert back.returncode == 0 and "2 groups wait again" in back.stdout
    assert tree.items() <= images_tree(copy).items()
    assert read_tree(project.root) == before
    again = auto("undo", "p")
    assert again.returncode == 2 and "no apply of the automation stands" in again.stderr


def test_production_asks_for_the_projects_name_whatever_is_said(project: Project, auto: Run) -> None:
    auto("generate", "p")
    auto("review", "p", "--keys", "-", text=KEYS)
    before = read_tree(project.root)
    for typed in ("", "yes\n", "q\n"):
        refused = auto("apply", "p", "--production", "--execute", "--yes", text=typed)
        assert refused.returncode != 0 and "Traceback" not in refused.stderr
        assert read_tree(project.root) == before
    assert auto("apply", "p", "--production").returncode == 0  # a dry run needs no name
    assert read_tree(project.root) == before
    done = auto("apply", "p", "--production", "--execute", "--yes", text="p\n")
    assert done.returncode == 0, done.stderr
    assert (project.root / "selected").is_dir()
    assert auto("undo", "p", "--production", "--yes", text="no\n").returncode == 2
    assert auto("undo", "p", "--production", text="p\n").returncode == 0
    assert before.items() <= read_tree(project.root).items()


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("apply", "p"), 2, "the project has no copy"),
        (("review", "p"), 2, "make it: pickroom auto generate p"),
        (("undo", "p"), 2, "the project has no copy"),
        (("generate", "nobody"), 2, "no project is named 'nobody'"),
        (("generate", "p", "--sandbox", "/"), 2, "a sandbox cannot hold the workspace itself"),
        (("generate", "../p"), 2, "cannot be a project's name"),
    ],
)
def test_wrong_use_is_one_line(auto: Run, arguments: tuple[str, ...], code: int, words: str) -> None:
    failed = auto(*arguments)
    assert failed.returncode == code and words in failed.stderr and failed.stdout == ""
    assert len(failed.stderr.splitlines()) == 1


def test_a_tampered_line_and_a_vanished_image_are_one_line(project: Project, auto: Run) -> None:
    auto("generate", "p")
    auto("review", "p", "--keys", "-", "--order", "folder", text=KEYS)
    place = sandbox.locate(project)
    good = place.decisions.read_text()
    change_line(place.decisions, 1, lambda values: values.update(directory="../../../../etc"))
    failed = auto("apply", "p", "--execute", "--yes")
    assert failed.returncode == 2 and "line 2: directory '../../../../etc' leads out" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    place.decisions.write_text(good)
    (place.folder / "anna" / queue(project)[0].filenames[0]).unlink()
    failed = auto("apply", "p", "--execute", "--yes")
    assert failed.returncode == 1 and "has vanished since the scan" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1 and rows(place.project, "SELECT * FROM file_operations") == []
