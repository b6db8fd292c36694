"""Every way an old log names a file ends in the same project and file name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import ProjectError
from pickroom.history.logged_paths import ProjectNames, given_project, split_path
from pickroom.store.workspace import Workspace

NAMES = ProjectNames({"mojo1": ("training data/mojo1_final", "Mojo One"), "mojo2": ("shared",), "mojo3": ("shared",)})


@pytest.mark.parametrize(
    "text",
    [
        "PROJECT_ROOT/mojo1/faces/a.png",
        "/Users/x/training data/mojo1_final/faces/a.png",
        "mojo1/a.png",
        "./mojo1/./a.png",
        "x/../mojo1/a.png",
        r"C:\Users\x\mojo1\a.png",
        r"\\server\share\mojo1\a.png",
        "C:/mojo1/a.png",
        r"PROJECT_ROOT\training data\mojo1_final\a.png",
        "file:///home/x/Mojo%20One/a.png",
        "  mojo1/a.png ",
        "//mojo1//a.png",
    ],
)
def test_one_image_however_it_is_written(text: str) -> None:
    folder, name = split_path(text)
    assert name == "a.png"
    assert NAMES.in_folder(folder) == {"mojo1"}


@pytest.mark.parametrize(
    ("folder", "projects"),
    [
        ("", set()),
        ("crop/character_a", set()),
        ("mojo1_final", set()),  # the alias has two parts
        ("training data/mojo10", set()),
        ("MOJO1", {"mojo1"}),
        ("mojo1/../mojo2", {"mojo2"}),
        ("mojo1/mojo2", {"mojo1", "mojo2"}),
        ("x/shared", {"mojo2", "mojo3"}),
    ],
)
def test_a_folder_names_a_project_by_whole_parts(folder: str, projects: set[str]) -> None:
    assert NAMES.in_folder(folder) == projects


@pytest.mark.parametrize("text", ["", "mojo1/", "mojo1/..", "."])
def test_no_file_name(text: str) -> None:
    assert split_path(text)[1] == ""


def test_project_column_may_hold_an_alias_or_unknown_project() -> None:
    assert NAMES.named("training data/mojo1_final") == {"mojo1"}
    assert NAMES.named("shared") == {"mojo2", "mojo3"}
    assert NAMES.named("1100") == {"1100"}
    assert NAMES.named("../../etc") == NAMES.named("mojo1_legacy") == frozenset()


def test_given_project_may_be_an_alias_or_not_yet_started(workspace: Workspace) -> None:
    started = workspace.planned("mojo1", workspace.root)
    workspace.save_new(started)
    started.with_manifest(aliases=("old mojo",))
    assert given_project(workspace, "old mojo") == "mojo1"
    assert given_project(workspace, "new") == "new"
    with pytest.raises(ProjectError, match="not a name"):
        given_project(workspace, "../x")


@given(st.text())
def test_splitting_never_fails_and_never_leaves_a_separator(text: str) -> None:
    folder, name = split_path(text)
    assert "/" not in name
    assert name not in (".", "..")
    NAMES.in_folder(folder)
