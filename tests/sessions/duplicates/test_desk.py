"""The duplicates desk without a browser: how a pair lies on its stage, and one line where it cannot be opened."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from pickroom.app.widgets.duplicates_desk import DuplicatesDesk, open_duplicates
from pickroom.app.widgets.stage import Viewport
from pickroom.core.errors import PickroomError
from pickroom.indexing import projects
from pickroom.store.workspace import Workspace
from sessions.duplicates.test_session import picture, with_duplicates


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"project_id": "nowhere"}, "no project is named 'nowhere'"),
        ({"others": ["nowhere"]}, "no project is named 'nowhere'"),
        ({"others": ["p"]}, "a project is named twice"),
        ({"cosine": 2.0}, "a cosine lies in [-1, 1], not 2.0"),
        ({"bits": 65}, "two hashes differ in 0-64 bits, not 65"),
    ],
    ids=["project", "other", "twice", "cosine", "bits"],
)
def test_wrong_input_is_one_line_in_place_of_the_desk(tmp_path: Path, given: dict[str, Any], said: str) -> None:
    project = with_duplicates(tmp_path)
    with pytest.raises(PickroomError, match=re.escape(said)):
        open_duplicates(**{"project_id": project.id, "home": project.workspace.root, **given})


def test_a_folder_that_has_gone_is_one_line(tmp_path: Path) -> None:
    project = with_duplicates(tmp_path)
    project.root.rename(tmp_path / "elsewhere")
    with pytest.raises(PickroomError, match="pickroom relocate"):
        open_duplicates(project.id, project.workspace.root)


@pytest.mark.parametrize(("size", "stacked"), [((300, 100), True), ((150, 100), False), ((100, 150), False)])
def test_wide_pair_is_stacked_if_that_shows_it_larger(tmp_path: Path, size: tuple[int, int], stacked: bool) -> None:
    first = picture(tmp_path / "images" / "a.png", 1, size)
    shutil.copyfile(first, first.with_name("b.png"))
    project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "images")[0]
    desk = open_duplicates(project.id, project.workspace.root)
    assert isinstance(desk, DuplicatesDesk) and desk.session.pair is not None
    try:
        desk.viewport_changed(Viewport(848, 556))
        one, two = desk.slots((desk.session.pair.a, desk.session.pair.b))
    finally:
        desk.close()
    assert (one.box[0] == two.box[0], one.box[1] == two.box[1]) == (stacked, not stacked)
    beside = (848 - 14 - 14) / 2  # two in a row have half the stage's width at the most
    assert not stacked or one.box[2] > 1.5 * beside
