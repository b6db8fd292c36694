"""The sorter in a real JupyterLab and a real Chromium: photographs, real vectors, and what came of it on disk."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from contextlib import closing
from pathlib import Path

import pytest
import yaml

from browser.conftest import OpenNotebook
from browser.grid_page import GridPage
from conftest import read_tree
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.files.batch import undo_batch
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.boards import sort
from support.reviewing import FINALISE, review, rows

# the whole desk is to be seen, and its grid has the keys
IN_VIEW = """() => {
  const desk = document.querySelector(".pickroom-desk")?.getBoundingClientRect();
  const grid = document.activeElement?.classList.contains("pickroom-grid");
  return grid && desk.top >= 0 && desk.bottom <= window.innerHeight;
}"""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Twenty-four photographs picked, with vectors; the same subject comes several times."""
    workspace = Workspace(tmp_path_factory.mktemp("sort"))
    project, _ = start_demo(workspace, DemoConfig(groups=24, seed=1, long_side=192, anomaly_rate=0, reject_rate=0))
    review(project, *["1"] * 24, *FINALISE)
    command = [sys.executable, "-m", "pickroom.cli", "embed", project.id, "--home", str(workspace.root)]
    subprocess.run([*command, "--encoder", "bundled", "--no-regions"], check=True, capture_output=True, timeout=200)
    return workspace.project(project.id)


def subjects(project: Project, order: tuple[str, ...]) -> list[list[int]]:
    """The places of the photographs of each subject, by what their YAML says, the most frequent subject first."""
    found = defaultdict(list)
    for place, path in enumerate(order):
        written = yaml.safe_load((project.root / path).with_suffix(".yaml").read_text())
        found[written["prompt"].partition(",")[0]].append(place)
    return sorted(found.values(), key=lambda places: -len(places))


def name_folder(board: GridPage, name: str) -> None:
    board.press("n")
    board.page.wait_for_function("document.activeElement.closest('.pickroom-ask')")
    board.page.keyboard.type(name)
    board.page.keyboard.press("Enter")
    board.wait_for_text("words", f"{name} has key")
    board.page.wait_for_function("document.activeElement.classList.contains('pickroom-grid')")


def test_images_are_sorted_by_keys_and_fields_and_undone(finished: Project, open_notebook: OpenNotebook) -> None:
    project = finished
    before = read_tree(project.root)
    order = sort(project).board.layout.order
    anna, bo, *_ = subjects(project, order)
    assert len(anna) >= 3 and len(bo) >= 3
    home = str(project.workspace.root)
    board = GridPage(open_notebook("70_sort.ipynb", project=project.id, home=home, folders=None))
    board.notebook.run_all()
    board.page.wait_for_function(IN_VIEW)
    board.find()
    assert "Name a folder first" in board.page.locator(".pickroom-gridtools").first.inner_text()
    name_folder(board, "anna")
    board.page.locator(".pickroom-ask input").click()  # not by its key: nothing but Enter leads back
    board.page.keyboard.type("bo")
    board.page.keyboard.press("Enter")
    board.wait_for_text("words", "bo has key")
    assert board.page.evaluate("document.activeElement.classList.contains('pickroom-grid')")

    board.press("[")  # smaller, so that every image is on screen
    board.click(anna[0])
    board.click(anna[0], "ControlOrMeta")
    board.click(anna[1], "ControlOrMeta")
    board.press("1")
    assert board.marks() == {anna[0]: "→ anna", anna[1]: "→ anna"}
    for place in bo[:2]:
        board.click(place)
        board.press("2")
    board.page.locator(".pickroom-cell-words", has_text="? ").first.wait_for()
    suggested = {
        place: board.thumbnail(place).locator(".pickroom-cell-words").inner_text() for place in (*anna[2:], *bo[2:])
    }
    right = [f"{('bo', 'anna')[place in anna]}?" in words for place, words in suggested.items()]
    assert sum(right) >= 0.7 * len(right), suggested  # of the same subjects, in other colours
    assert len(board.marks()) == 4  # and nothing was moved unasked
    sure = next(place for place in anna[2:] if "anna?" in suggested[place])
    board.click(sure)
    board.press("a")
    assert board.marks()[sure] == "→ anna"

    board.press("u", "Shift+U")
    board.press("Shift+Enter")
    assert "→ selected/anna/" in board.text("panel")
    board.press("Shift+Enter")
    board.wait_for_text("words", "Batch 2: 3 → selected/anna/, 2 → selected/bo/")
    board.page.locator(".pickroom-grid-header", has_text="selected/anna").wait_for()
    after = read_tree(project.root)
    for places, name in (([anna[0], anna[1], sure], "anna"), (bo[:2], "bo")):
        for place in places:
            stem = Path(order[place]).stem
            moved = [path for path in before if path.startswith(f"selected/{stem}.")]
            assert len(moved) >= 2
            assert all(after[path.replace("selected/", f"selected/{name}/")] == before[path] for path in moved)
    assert sorted(after.values()) == sorted(before.values())

    # the others by what is written about them: a table first, then marks
    board.page.locator(".pickroom-gridtools select").nth(1).select_option("sampler")
    board.wait_for_text("panel", "Sort what is unsorted by sampler")
    assert len(rows(project, "SELECT * FROM image_marks WHERE batch IS NULL")) == 0
    board.click_button("Mark them so")
    assert len(rows(project, "SELECT * FROM image_marks WHERE batch IS NULL")) == 19
    board.press("u")
    assert rows(project, "SELECT * FROM image_marks WHERE batch IS NULL") == []
    query = "SELECT DISTINCT kind, state, count(DISTINCT unit) AS units FROM file_operations WHERE batch = 2"
    found = rows(project, query)
    assert found == [{"kind": "sort", "state": "done", "units": 5}]
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)
    assert read_tree(project.root) == before
