"""The notebooks of a workspace are the user's: made once, replaced only while they are as Pickroom wrote them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom import cli
from pickroom.app import lab
from pickroom.store.workspace import Workspace, package_notebooks


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two notebooks that stands for the package's."""
    folder = tmp_path / "package"
    folder.mkdir()
    for name in ("10_a.ipynb", "20_b.ipynb"):
        (folder / name).write_text(f'{{"cells": [], "name": "{name}"}}')
    monkeypatch.setattr(lab, "package_notebooks", lambda: sorted(folder.glob("*.ipynb")))
    return folder


def test_first_start_copies_every_notebook(workspace: Workspace) -> None:
    assert lab.copy_notebooks(workspace) == []
    made = {path.name: path.read_bytes() for path in workspace.notebooks.iterdir()}
    assert made == {path.name: path.read_bytes() for path in package_notebooks()}


def test_second_start_writes_nothing(workspace: Workspace, package: Path) -> None:
    lab.copy_notebooks(workspace)
    before = {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")}
    assert lab.copy_notebooks(workspace) == []
    assert {path: path.stat().st_mtime_ns for path in workspace.root.rglob("*")} == before


def test_unchanged_copy_becomes_the_new_version(workspace: Workspace, package: Path) -> None:
    lab.copy_notebooks(workspace)
    (package / "10_a.ipynb").write_text("new")
    assert lab.copy_notebooks(workspace) == []
    assert read_tree(workspace.notebooks) == read_tree(package)


def test_changed_copy_stays_and_is_named_once_there_is_a_newer(workspace: Workspace, package: Path) -> None:
    lab.copy_notebooks(workspace)
    mine = workspace.notebooks / "10_a.ipynb"
    mine.write_text("mine")
    assert lab.copy_notebooks(workspace) == []  # nothing newer than what it was made of
    (package / "10_a.ipynb").write_text("new")
    (package / "20_b.ipynb").write_text("new, too")
    assert lab.copy_notebooks(workspace) == ["10_a.ipynb"]
    assert mine.read_text() == "mine"
    assert (workspace.notebooks / "20_b.ipynb").read_text() == "new, too"
    mine.rename(mine.with_name("my_own.ipynb"))
    assert lab.copy_notebooks(workspace) == []
    assert mine.read_text() == "new"


def test_link_in_place_of_a_copy_is_left_alone(workspace: Workspace, package: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.ipynb"
    elsewhere.write_text("mine")
    workspace.notebooks.mkdir(parents=True)
    (workspace.notebooks / "10_a.ipynb").symlink_to(elsewhere)
    assert lab.copy_notebooks(workspace) == ["10_a.ipynb"]
    assert elsewhere.read_text() == "mine"


def test_lab_names_the_changed_notebooks_and_starts(
    workspace: Workspace, package: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    workspace.notebooks.mkdir(parents=True)
    (workspace.notebooks / "10_a.ipynb").write_text("mine")
    started: list[list[str]] = []
    monkeypatch.setattr(lab.os, "execve", lambda program, arguments, environment: started.append(arguments))
    monkeypatch.setattr(sys, "argv", ["pickroom", "lab", "--home", str(workspace.root), "--no-browser"])
    with pytest.raises(SystemExit):
        cli.main()
    line = capsys.readouterr().err
    assert line.startswith(
        f"You changed 10_a.ipynb in {workspace.notebooks}, and this version of Pickroom has newer ones"
    )
    assert f"--ServerApp.root_dir={workspace.notebooks}" in started[0]


def test_notebooks_of_the_package_are_whole() -> None:
    assert all(json.loads(path.read_text(encoding="utf-8"))["cells"] for path in package_notebooks())
    assert [path.name for path in package_notebooks("reports")] == ["report.ipynb"]
