"""The click that brings the keys to a desk does nothing else, in a real JupyterLab and a real Chromium."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from PIL import Image as PillowImage

from browser.board_page import BoardPage
from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from browser.grid_page import GridPage
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review, rows

KEYS_HERE = "element => document.activeElement === element"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Photographs: two images wait for a crop, four groups for the review."""
    made, _ = start_demo(Workspace(tmp_path_factory.mktemp("home")), DemoConfig(groups=6, long_side=512))
    review(made, "q", "q", *FINALISE)
    return made


@pytest.fixture
def open_review(open_notebook: OpenNotebook, project: Project) -> DeskPage:
    options = {"batch_size": 100, "blind": False, "order": "folder"}
    home = str(project.workspace.root)
    notebook = open_notebook("20_review.ipynb", project=project.id, home=home, **options)
    image = next(path for path in sorted(project.root.rglob("*.png")) if path.parent.name not in ("crop",))
    deck = DeskPage(notebook, PillowImage.open(image).size)
    deck.show()
    return deck


def leave(desk: BoardPage) -> None:
    """The keys go to another cell of the notebook."""
    desk.page.locator(".jp-Cell").first.click()
    assert not desk.keys.evaluate(KEYS_HERE)


def leave_window(desk: BoardPage) -> None:
    """Another page comes to the front, and this one again."""
    session = desk.page.context.new_cdp_session(desk.page)
    session.send("Emulation.setFocusEmulationEnabled", {"enabled": False})  # Playwright tells every page it is in front
    other = desk.page.context.new_page()
    other.bring_to_front()
    desk.page.wait_for_function("!document.hasFocus()")
    desk.page.bring_to_front()
    other.close()
    desk.page.wait_for_function("document.hasFocus()")


def appear(desk: BoardPage) -> None:
    """The page is loaded again, and the desk has the keys as it appears."""
    desk.notebook.reload()
    desk.notebook.scroll_to_cell(desk.cell)
    desk.wait()
    desk.keys.focus()


def only_brings_the_keys(desk: BoardPage, pointer: Callable[[], None]) -> None:
    """The pointer makes no key of its own: the next key that is pressed is the next one answered."""
    answered, before = desk.answered(), desk.data()["token"]
    pointer()
    assert desk.keys.evaluate(KEYS_HERE)
    desk.press("?")
    assert desk.answered() == answered + 1 and desk.data()["token"] == before
    assert "the first click only focuses the desk" in desk.text("panel")
    desk.press("Escape")


def choices(project: Project) -> list[str]:
    """What was chosen of the groups that wait."""
    query = """SELECT action FROM review_state
        WHERE action <> 'undecided' AND group_id NOT IN (SELECT group_id FROM ai_decisions)"""
    return [row["action"] for row in rows(project, query)]


@pytest.mark.parametrize("away", [leave, leave_window, appear])
def test_the_first_click_on_the_deck_picks_nothing(
    open_review: DeskPage, project: Project, away: Callable[[BoardPage], None]
) -> None:
    deck = open_review
    deck.press("Home")
    away(deck)
    only_brings_the_keys(deck, lambda: deck.page.mouse.click(*deck.image_point(2)))
    assert "Group 1 of 4" in deck.text("header") and not choices(project)
    deck.click_image(2)
    assert choices(project) == ["approve"]
    deck.press("u")
    assert not choices(project)
    away(deck)
    deck.click_button("? keys")  # a button works at once, wherever the keys were
    assert "click" in deck.text("panel")


def test_a_drag_without_the_keys_draws_no_box(open_notebook: OpenNotebook, project: Project) -> None:
    home = str(project.workspace.root)
    desk = DeskPage(open_notebook("30_crop.ipynb", project=project.id, home=home, per_page=1), (1, 1))
    desk.show()

    def drag() -> None:
        stage = desk.stage.bounding_box()
        assert stage is not None
        start = stage["x"] + stage["width"] / 2, stage["y"] + 90
        desk.page.mouse.move(*start)
        desk.page.mouse.down()
        desk.page.mouse.move(start[0] + 60, start[1] + 20, steps=5)
        desk.page.mouse.up()

    route = desk.page.locator(".pickroom-words .route")
    for away in (leave, leave_window):
        box = route.inner_text()
        away(desk)
        only_brings_the_keys(desk, drag)
        assert route.inner_text() == box
        drag()
        desk.page.wait_for_function(
            "box => document.querySelector('.pickroom-words .route').innerText !== box", arg=box
        )
        desk.press("?")  # its answer comes after that of the pointer's last move, which also changes the box
        desk.wait_for_text("panel", "the first click")
        desk.press("Escape")


def test_the_first_click_on_a_grid_marks_nothing(open_notebook: OpenNotebook, project: Project) -> None:
    home = str(project.workspace.root)
    board = GridPage(open_notebook("71_browse.ipynb", project=project.id, home=home, folders=["delete_staging"]))
    board.show()
    for away in (leave, leave_window):
        board.press("Home")
        away(board)
        only_brings_the_keys(board, lambda: board.thumbnail(2).click())
        assert board.data()["cursor"] == "0"
        board.click(2)
        assert board.data()["cursor"] == "2"
        away(board)
        start = board.thumbnail(0).bounding_box()
        assert start is not None
        board.page.mouse.move(start["x"] + 20, start["y"] + 20)
        only_brings_the_keys(board, lambda: board.thumbnail(0).drag_to(board.thumbnail(1)))
        assert board.selected() == []


def test_touch_brings_the_keys_too(open_review: DeskPage, project: Project) -> None:
    deck = open_review
    deck.press("Home")
    leave(deck)
    touch = deck.page.context.new_cdp_session(deck.page)

    def tap() -> None:
        x, y = deck.image_point(1)
        touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        deck.page.wait_for_function("document.activeElement.className.includes('pickroom-image-view')")

    only_brings_the_keys(deck, tap)
    assert not choices(project)
