"""The start page: makes a project or says why not, and lists what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import write_image, write_series
from pickroom.app.widgets.start_page import open_start
from pickroom.core.errors import UsageError
from pickroom.indexing.pipeline import embed_project
from pickroom.store.workspace import Workspace


def test_nothing_yet(workspace: Workspace):
    assert "No project yet" in open_start("p", None, workspace.root).value


def test_starting_a_project_reports_what_was_left_out(workspace: Workspace, images_folder: Path):
    write_series(images_folder, [(1, 2), (1, 1.5, 2)])
    write_image(images_folder / "<i>alone.png")
    page = open_start("p", images_folder, workspace.root).value
    assert "6 images = 5 in 2 groups + 1 ungrouped" in page
    assert "&lt;i&gt;alone.png" in page and "<i>" not in page
    assert "2 of 2" in page


def test_camera_folder_gets_a_hint_then_groups_by_similarity(workspace: Workspace, images_folder: Path):
    for number in range(3):
        write_image(images_folder / f"IMG_{number}.jpg", seed=7)
    page = open_start("p", images_folder, workspace.root).value
    assert "3 images = 0 in 0 groups + 3 ungrouped" in page and "Review them" not in page
    assert "To have groups in p: group the images by how they look: pickroom index p" in page
    assert "p has no vectors yet: 10_embed.ipynb" in open_start("p", images_folder, workspace.root, "similarity").value
    embed_project("p", workspace.root, encoder="bundled")
    page = open_start("p", images_folder, workspace.root, "similarity").value
    assert "3 images = 3 in 1 group + 0 ungrouped. Review them" in page and "To have groups" not in page
    with pytest.raises(UsageError, match="cannot be made by"):
        open_start("p", None, workspace.root, "looks")  # type: ignore[arg-type]


def test_a_project_that_is_there_already_is_left_alone(workspace: Workspace, images_folder: Path):
    write_series(images_folder, [(1, 2)])
    open_start("p", images_folder, workspace.root)
    page = open_start("p", images_folder, workspace.root).value
    assert "is there already" in page and "1 of 1" in page


def test_images_that_nothing_explains_are_named(workspace: Workspace, images_folder: Path):
    write_series(images_folder, [(1, 2)])
    write_image(images_folder / "selected" / "theirs.png")
    open_start("p", images_folder, workspace.root)
    page = open_start("p", None, workspace.root).value
    assert "selected/theirs.png" in page and "pickroom recover p --unexplained" in page
