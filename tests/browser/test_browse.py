"""The folder viewer in a real JupyterLab and a real Chromium, on photographs; and what came of it on disk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from browser.conftest import OpenNotebook
from browser.grid_page import GridPage
from conftest import read_tree
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.files.batch import undo_batch
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.boards import browse
from support.reviewing import FINALISE, review, rows

OpenBrowse = Callable[..., GridPage]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Sixteen photographs picked, one group still waiting."""
    home = tmp_path_factory.mktemp("browse")
    project, _ = start_demo(Workspace(home), DemoConfig(groups=17, seed=2, long_side=256))
    review(project, *["1"] * 16, *FINALISE)
    return project


@pytest.fixture
def open_browse(open_notebook: OpenNotebook) -> OpenBrowse:
    def make(project: Project, folders: list[str] | None = None) -> GridPage:
        home = str(project.workspace.root)
        board = GridPage(open_notebook("71_browse.ipynb", project=project.id, home=home, folders=folders))
        board.show()
        return board

    return make


def test_marks_survive_reloads_and_are_applied_and_undone(finished: Project, open_browse: OpenBrowse) -> None:
    project = finished
    before = read_tree(project.root)
    order = browse(project).board.layout.order
    board = open_browse(project)
    sources = board.notebook.cells()
    assert "16" in board.page.locator(".pickroom-grid-header").first.inner_text()
    box = board.page.locator(".pickroom-desk").bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800

    board.click(1)
    board.press("c")  # one
    board.click(5)
    board.click(7, "Shift")
    assert board.selected() == [5, 6, 7]
    board.click(6, "ControlOrMeta")
    board.click(9, "ControlOrMeta")
    assert board.selected() == [5, 7, 9]
    board.press("x")  # a selection
    assert board.marks() == {1: "crop", 5: "set aside", 7: "set aside", 9: "set aside"}

    board.notebook.reload()
    board.find()
    assert board.marks() == {1: "crop", 5: "set aside", 7: "set aside", 9: "set aside"}
    board.band(2, 3)
    assert board.selected() == [2, 3]
    board.press("x", "u")  # undone
    board.press("Escape")
    board.notebook.restart_kernel()
    board.show()
    assert board.marks() == {1: "crop", 5: "set aside", 7: "set aside", 9: "set aside"}

    board.press("Shift+Enter")
    assert "→ crop/" in board.text("panel") and "3 images" in board.text("panel")
    board.press("Escape", "Shift+Enter", "Shift+Enter")
    board.wait_for_text("words", "Batch 2: 1 → crop/, 3 → delete_staging/")
    assert board.notebook.cells() == sources  # no key reached the notebook
    assert board.grid.get_attribute("data-lm-suppress-shortcuts") == "true"

    after = read_tree(project.root)
    for place, folder in {1: "crop", 5: "delete_staging", 7: "delete_staging", 9: "delete_staging"}.items():
        stem = Path(order[place]).stem
        moved = {path for path in before if path.startswith(f"selected/{stem}.")}
        assert len(moved) >= 2  # its companions too
        for path in moved:
            assert after[path.replace("selected/", f"{folder}/")] == before[path] and path not in after
    assert sorted(after.values()) == sorted(before.values())
    query = "SELECT DISTINCT kind, state, count(DISTINCT unit) AS units FROM file_operations WHERE batch = 2"
    found = rows(project, query)
    assert found == [{"kind": "browse", "state": "done", "units": 4}]
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)
    assert read_tree(project.root) == before
    board.page.locator(".jp-Cell").first.click()
    board.grid.focus()  # the user comes back: what happened elsewhere is shown
    board.wait_for_text("header", "4 marked")
    board.press("Shift+Enter", "Escape")


def test_the_views_open_and_a_large_look_follows_the_arrows(finished: Project, open_browse: OpenBrowse) -> None:
    board = open_browse(finished, folders=["selected"])
    board.press("?")
    assert "to crop/ for the crop desk" in board.text("panel")
    board.press("Escape", "i")
    assert "prompt" in board.text("panel")
    board.press("i", "Home", "Enter")
    large = board.page.locator(".pickroom-grid-large")
    assert large.is_visible()
    first = large.inner_text()
    board.page.wait_for_function("document.querySelector('.pickroom-grid-large img').naturalWidth > 200")
    board.press("ArrowRight")
    assert large.inner_text() != first
    board.press("Escape")
    assert large.is_hidden()
    columns = board.page.evaluate(
        "new Set([...document.querySelectorAll('.pickroom-cell')].map(cell => cell.getBoundingClientRect().left)).size"
    )
    board.press("[")
    board.page.wait_for_function(
        """before => new Set([...document.querySelectorAll('.pickroom-cell')]
            .map(cell => cell.getBoundingClientRect().left)).size > before""",
        arg=columns,
    )


def test_page_holds_only_visible_cells_and_headers_stay_on_top(finished: Project, open_browse: OpenBrowse) -> None:
    for number in range(400):  # links to one content: many images, few bytes
        target = finished.root / "selected" / "many" / f"m{number:03}.jpg"
        target.parent.mkdir(exist_ok=True)
        if not target.exists():
            source = next((finished.root / "selected").glob("*.jpg"))
            target.hardlink_to(source)
    board = open_browse(finished, folders=["selected"])
    assert int(board.data()["cells"]) < 80
    board.press("End")
    assert int(board.data()["cells"]) < 80
    header = board.page.locator(".pickroom-grid-header", has_text="selected/many")
    top, grid = header.bounding_box(), board.grid.bounding_box()
    assert top is not None and grid is not None and abs(top["y"] - grid["y"]) < 4
    before = board.answered()
    header.click()
    board.wait(before + 1)
    assert "400 selected" in board.text("header")
    board.press("Escape")
