"""What was imported is not asked again: groups found by name and content, counted, and asked where anything differs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from conftest import write_image, write_series
from history.logs import DECISIONS, SELECTION, decision, run_import, selection, write_log
from pickroom.history.extraction import read_pair
from pickroom.indexing import projects
from pickroom.store.workspace import Workspace
from support.analysing import write_vectors
from support.commands import run_command
from support.reviewing import queue, review, rows


@pytest.fixture
def series(images_folder: Path) -> list[list[str]]:
    return write_series(images_folder, [(1, 1.5, 2), (1, 2), (1, 2), (1, 2)], companions=())


def import_picks(workspace: Workspace, tmp_path: Path, *rows: tuple) -> None:
    run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows), project="p")


def picked(names: list[str], index: int = 0) -> tuple:
    return selection(names[index], [name for place, name in enumerate(names) if place != index])


def waiting(workspace: Workspace) -> list[tuple[str, ...]]:
    return [group.filenames for group in queue(workspace.project("p"))]


def test_start_does_not_ask_for_imported_picks(
    workspace: Workspace, images_folder: Path, series: list[list[str]], tmp_path: Path
) -> None:
    rejected = decision(
        **{"project_id": "p", "user_action": "reject", "directory": ""},
        **{f"image_{place}_filename": name for place, name in enumerate(series[2], start=1)},
    )
    run_import(workspace, write_log(tmp_path / "d.csv", DECISIONS, [rejected]), project="p")
    import_picks(workspace, tmp_path, picked(series[0], 2), picked([*series[1], "gone.png"], 1))
    _, report = projects.start(workspace, "p", images_folder)
    assert [group.filenames for group in report.groups] == waiting(workspace) == [tuple(series[3])]
    assert report.notes == ("3 groups of which the pick was imported: not asked again",)
    project = workspace.project("p")
    assert rows(project, "SELECT chosen FROM imported_groups ORDER BY group_id") == [
        {"chosen": series[0][2]},
        {"chosen": series[1][1]},
        {"chosen": None},
    ]
    status = projects.status(project)
    assert (status["groups"], status["waiting"], status["imported"], status["decided"]) == (4, 1, 3, {})
    words = run_command("status", "p", "--home", str(workspace.root)).stdout
    assert "p (active): 1 of 4 groups wait" in words and "not asked again: 3 groups" in words
    again = projects.rescan(project)
    assert waiting(workspace) == [tuple(series[3])] and len(again.groups) == 1


def test_rows_of_other_images_leave_their_group_waiting(
    workspace: Workspace, images_folder: Path, series: list[list[str]], tmp_path: Path
) -> None:
    fewer = selection(series[0][0], [series[0][1]])  # the third image was never compared
    absent = selection("gone.png", series[1])  # the picked one is not here
    import_picks(workspace, tmp_path, fewer, absent)
    projects.start(workspace, "p", images_folder)
    assert len(waiting(workspace)) == 4


def test_import_after_start_takes_groups_out_of_the_queue(
    workspace: Workspace, images_folder: Path, series: list[list[str]], tmp_path: Path
) -> None:
    project, _ = projects.start(workspace, "p", images_folder)
    review(project, "2")  # a choice that is not finalised is the user's, whatever was imported
    import_picks(workspace, tmp_path, picked(series[0]), picked(series[1]))
    assert waiting(workspace) == [tuple(names) for names in (series[0], *series[2:])]


def test_another_content_of_that_name_is_asked(
    workspace: Workspace, images_folder: Path, series: list[list[str]], tmp_path: Path
) -> None:
    import_picks(workspace, tmp_path, picked(series[1]), picked(series[2]))
    registered = workspace.project("p")
    known = [(name, None, [1.0, 0.0]) for name in series[1]] + [(name, "0" * 64, [1.0, 0.0]) for name in series[2]]
    write_vectors(registered, "old", known, 2)
    projects.start(workspace, "p", images_folder)
    assert waiting(workspace) == [tuple(series[0]), tuple(series[2]), tuple(series[3])]


def test_compared_folders_find_renamed_images(
    workspace: Workspace, images_folder: Path, series: list[list[str]], tmp_path: Path
) -> None:
    final = tmp_path / "final"
    final.mkdir()
    for names in series[:2]:
        shutil.copy2(images_folder / names[1], final)
    with read_pair(workspace, images_folder, final, "p") as found:
        found.write()
    for name in series[0]:  # the same images by other names
        (images_folder / name).rename(images_folder / name.replace("20250803", "20250901"))
    write_image(images_folder / series[1][0], seed=999)  # another image by the same name
    projects.start(workspace, "p", images_folder)
    left = waiting(workspace)
    assert sorted(left) == sorted(map(tuple, series[1:]))
    (stored,) = rows(workspace.project("p"), "SELECT chosen FROM imported_groups")
    assert stored["chosen"] == series[0][1].replace("20250803", "20250901")
    assert json.loads(run_command("status", "p", "--json", "--home", str(workspace.root)).stdout)["imported"] == 1
