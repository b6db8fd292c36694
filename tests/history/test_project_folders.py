"""Which folder of a log's paths names the project, judged by all of its folders."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.naming import OWNED_FOLDERS
from pickroom.history.project_folders import TOOL_FOLDERS, ProjectFolders, project_folders


def named(*folders: str, known: tuple[str, ...] = (), projects: tuple[str, ...] = (), rows: int = 10) -> dict[str, str]:
    """Folder -> the project it names, of folders that have `rows` rows each; `known` ends where the known name does."""
    places = {folder: place for folder in folders for place in known if f"{folder}/".startswith(f"{place}/")}
    found = project_folders(dict.fromkeys(folders, rows), places, projects)
    return {folder: one.name for folder, one in found.named.items()}


def test_the_folder_after_the_common_one_names_the_project() -> None:
    folders = ["/Users/x/pics/mojo1/faces", "/Users/x/pics/mojo1/hands", "/Users/x/pics/mojo2", "/Users/x/pics/1100/a"]
    assert list(named(*folders).values()) == ["1100", "mojo1", "mojo1", "mojo2"]


def test_relative_paths_name_the_project_first() -> None:
    folders = ["mojo1/faces", "mojo1/hands", "mojo2/faces"]
    assert named(*folders) == {"mojo1/faces": "mojo1", "mojo1/hands": "mojo1", "mojo2/faces": "mojo2"}
    assert named("anna/faces") == {"anna/faces": "anna"}
    assert named("anna", "anna/faces") == {"anna": "anna", "anna/faces": "anna"}


def test_one_absolute_folder_names_its_project_itself() -> None:
    assert named("/Users/x/pics/anna") == {"/Users/x/pics/anna": "anna"}
    assert set(named("/Users/x/pics/anna", "/Users/x/pics/anna/faces").values()) == {"anna"}


def test_folders_of_tools_name_no_project() -> None:
    folders = ["PROJECT_ROOT/training data/mojo1", "crop/mojo2/faces", "selected/1100", "CROP", "training data"]
    assert sorted(named(*folders).values()) == ["1100", "mojo1", "mojo2"]
    assert named("crop", "selected", "training data", "data/images") == {}


def test_windows_paths_blanks_and_capitals() -> None:
    folders = ["C:/Users/x/Mojo1/a", "C:/Users/x/mojo1 ", "c:/users/X/MOJO1/b", "D:/Users/x/mojo2"]
    assert set(named(*folders[:3], "C:/Users/x/mojo2").values()) == {"MOJO1", "mojo2"}
    assert set(named(*folders).values()) == {"MOJO1", "mojo2"}


def test_final_folders_belong_to_their_project() -> None:
    folders = ("training data/mojo1_final/character_a", "training data/mojo1")
    assert set(named(*folders).values()) == {"mojo1"}
    assert set(named(folders[0], projects=("mojo1",)).values()) == {"mojo1"}
    assert set(named(folders[0]).values()) == {"mojo1_final"}


def test_folders_next_to_a_known_project_are_projects() -> None:
    assert named("mojo1/faces", "mojo2/faces", "mojo2/hands", known=("mojo1",)) == {
        "mojo2/faces": "mojo2",
        "mojo2/hands": "mojo2",
    }
    siblings = project_folders({"faces": 3, "hands": 2}, {}, only_siblings=True)
    assert siblings.named == {}


def test_images_in_a_tool_folder_and_one_folder_in_it() -> None:
    assert named("crop", "crop/character_a") == {}
    # several may be projects, and are not taken for one
    assert set(named("crop", "crop/mojo1", "crop/mojo2").values()) == {"mojo1", "mojo2"}


def strays(rows: dict[str, int]) -> tuple[ProjectFolders, dict[str, str]]:
    found = project_folders(rows, {})
    return found, {folder: one.name for folder, one in found.named.items()}


@pytest.mark.parametrize("stray", ["/tmp/a", "/b/old/mojo1/crop", "/Users/x", "/Users/x/y/z", "/Users/y/z"])
def test_one_stray_row_leaves_the_others_as_they_are(stray: str) -> None:
    rows = {f"/Users/x/old pics/mojo{n}/{part}": 5 for n in (1, 2, 3) for part in ("faces", "hands")}
    expected = strays(rows)[1]
    assert set(expected.values()) == {"mojo1", "mojo2", "mojo3"}
    found, names = strays({**rows, stray: 1})
    assert {folder: name for folder, name in names.items() if folder != stray} == expected
    own = {"/tmp/a": "a", "/b/old/mojo1/crop": "mojo1", "/Users/y/z": "z", "/Users/x/y/z": "z"}
    assert names.get(stray) == own.get(stray)
    assert found.outside == ([stray] if stray == "/Users/x/y/z" else [])
    assert found.common[0] == "/Users/x/old pics"


def test_a_doubtful_project_is_named() -> None:
    found, names = strays({"old/mojo1": 30, "old/mojo2/faces": 30, "elsewhere/x": 1})
    assert set(names.values()) == {"old", "elsewhere"}
    assert found.doubtful == ["old"]


def test_paths_of_several_machines_have_prefixes_of_their_own() -> None:
    places = ["/Users/x/pics", "/Users/y/old pics", "/mnt/nas/pics", "C:/Users/x/Pics", "//nas/share", "/volumes"]
    rows = {f"{place}/{name}/faces": 5 for place in places for name in ("mojo1", "mojo2")}
    assert {folder: name for folder, name in strays(rows)[1].items()} == {path: path.split("/")[-2] for path in rows}


def test_absolute_and_relative_paths_mixed() -> None:
    rows = {"/Users/x/pics/mojo1": 9, "/Users/x/pics/mojo2": 9, "mojo1/faces": 2, "mojo1/hands": 2}
    names = strays(rows)[1]
    assert names == {**names, "mojo1/faces": "mojo1", "mojo1/hands": "mojo1", "/Users/x/pics/mojo2": "mojo2"}


PARTS = st.sampled_from(
    ["mojo1", "Mojo1", "mojo2", "anna", "faces", "x y", "crop", "selected", "training data", "é", ".."]
)
FOLDERS = st.builds(
    lambda start, parts: start + "/".join(parts),
    st.sampled_from(["", "/", "C:/", "/Users/x/", "PROJECT_ROOT/"]),
    st.lists(PARTS, max_size=4),
)
ROWS = st.dictionaries(FOLDERS.filter(bool), st.integers(1, 30), max_size=12)


@given(ROWS, st.randoms(use_true_random=False))
def test_the_order_of_the_folders_makes_no_difference(rows: dict[str, int], chance: random.Random) -> None:
    items = list(rows.items())
    chance.shuffle(items)
    assert project_folders(dict(items), {}) == project_folders(rows, {})


@given(ROWS)
def test_a_project_is_a_folder_of_its_path_and_no_tool(rows: dict[str, int]) -> None:
    found = project_folders(rows, {})
    assert set(found.named) <= set(rows)
    for folder, one in found.named.items():
        parts = [part.strip().casefold() for part in folder.split("/")]
        assert one.name.casefold() in parts
        assert one.name.casefold() not in TOOL_FOLDERS
        assert one.folder.split("/")[-1].casefold() == one.name.casefold()
    assert set(OWNED_FOLDERS) <= TOOL_FOLDERS
