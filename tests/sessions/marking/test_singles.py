"""Images in no group: shown alone, kept or set aside, counted until somebody has looked at them."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from conftest import write_image
from pickroom.analysis.connection import connect as analyse
from pickroom.analysis.reports import finish
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.session import BrowseSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.boards import APPLY, browse, with_results
from support.photographs import take

NAMES = ("a.png", "b.png", "c.png")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Five picks, a group that waits, three images in no group and a file that is not an image."""
    project = with_results(tmp_path)
    for seed, name in enumerate(NAMES):
        write_image(project.root / "shoot" / name, seed=50 + seed)
    (project.root / "shoot" / "torn.png").write_bytes(b"nothing of an image")
    projects.rescan(project)
    return project


def flow(project: Project) -> list[int]:
    with analyse(project.workspace) as analysis:
        (row,) = analysis.rows("input_output", project.id)
    names = ("images", "ungrouped", "singles_kept", "singles_set_aside", "unseen_singles")
    return [row[name] for name in names]


def counted(project: Project) -> tuple[int, int]:
    return projects.status(project)["unseen_singles"], finish.plan(project).unseen


def test_browse_shows_singles_alone_and_says_why(project: Project) -> None:
    with closing(BrowseSession(project)) as session:
        session.press("n")
        assert session.board.layout.order == tuple(f"shoot/{name}" for name in NAMES)
        assert session.board.message == "3 images in no group; K keeps, X sets aside"
        assert "in no group: no stage in its name" in session.note(session._items["shoot/a.png"]).title
        assert session.header() == "3 images in no group - 0 marked"
        assert len(session.press("n").layout.order) == 5 + 2 + 4


def test_keep_and_set_aside_go_through_one_batch_and_back(project: Project) -> None:
    assert counted(project) == (3, 3) and flow(project) == [16, 4, 0, 0, 3]
    os.utime(project.root / "shoot/a.png")  # a copied folder has other times than the scan met
    done = browse(project, "n", "k", "x", *APPLY)
    assert done.last_result.line == "Batch 2: 1 → delete_staging/, 1 → selected/"
    assert (project.root / "selected/a.png").is_file() and (project.root / "delete_staging/b.png").is_file()
    assert done.board.layout.order == ("shoot/c.png",)
    assert counted(project) == (1, 1) and flow(project) == [16, 4, 1, 1, 1]
    projects.rescan(project)
    assert counted(project) == (1, 1) and flow(project) == [16, 4, 1, 1, 1]
    assert "1 image in no group: you have not looked at them; they stay" in "\n".join(finish.plan(project).lines)
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)
    projects.rescan(project)
    assert counted(project) == (3, 3) and flow(project) == [16, 4, 0, 0, 3]
    assert browse(project).board.marks == {"shoot/a.png": "selected", "shoot/b.png": "delete_staging"}


def test_keep_leaves_results_and_groups_that_wait_where_they_are(project: Project) -> None:
    with closing(BrowseSession(project)) as session:
        order = session.board.layout.order
        waiting = next(place for place, path in enumerate(order) if path in session.board.blocked)
        for place in (0, waiting):
            session.board = machine.click(session.board, place)
            session.press("k")
        assert session.board.marks == {}
        session.press("Home")
        assert session.press("x").marks == {order[0]: "delete_staging"}
        session.press("Home")
        assert session.press("k").marks == {}


def test_another_file_under_the_name_of_a_kept_one_is_new(project: Project) -> None:
    browse(project, "n", "k", *APPLY)
    write_image(project.root / "shoot" / "a.png", seed=99)
    projects.rescan(project)
    assert counted(project) == (3, 3) and flow(project) == [17, 5, 1, 0, 3]


def test_images_of_a_folder_lie_in_capture_order(tmp_path: Path) -> None:
    for name, seconds in (("a.jpg", 9), ("b.jpg", None), ("c.jpg", 5), ("d.jpg", 5)):
        take(tmp_path / "card" / name, 1, seconds)
    project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card")[0]
    with closing(BrowseSession(project)) as session:
        assert session.board.layout.order == ("c.jpg", "d.jpg", "a.jpg", "b.jpg")
