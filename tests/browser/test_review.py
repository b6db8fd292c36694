"""The review deck in a real JupyterLab and a real Chromium, used as a person uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from browser.lab import Lab
from conftest import stage_name, write_image
from pickroom.app.widgets.overlay import BADGE, MARGIN
from pickroom.features.blocks import FACES, BlockStore
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project, Workspace
from support.photographs import shoot
from support.reviewing import decisions, face_row, places, queue, recommend, rows

SIZE = (720, 960)  # pixels of every image: larger than its place on the stage
BOX = (0.1, 0.0, 0.8, 0.7)
OpenDeck = Callable[..., DeskPage]
STRIP_PAINTED = """count => [...document.querySelectorAll(".strip > img")].filter(
    (image) => image.complete && image.naturalWidth > 0).length === count"""
# what the page asks the kernel for from now on: the kind of each picture
COUNT_REQUESTS = """() => {
  window.requests = [];
  const { send } = WebSocket.prototype;
  WebSocket.prototype.send = function (data) {
    const text = typeof data === "string" ? data : new TextDecoder().decode(data);
    const wanted = /"type":"want".*?"kind":"(\\w+)","names":\\[(.*?)\\]/.exec(text);
    if (wanted) requests.push(...wanted[2].split(",").map(() => wanted[1]));
    return send.call(this, data);
  };
}"""


@pytest.fixture
def make_deck_project(workspace: Workspace, images_folder: Path) -> Callable[..., Project]:
    def make(groups: list[tuple[float, ...]]) -> Project:
        for number, stages in enumerate(groups):
            start = datetime(2025, 8, 3, 6) + timedelta(hours=number)
            for place, stage in enumerate(stages):
                name = stage_name(start + timedelta(minutes=place), stage)
                path = write_image(images_folder / name, seed=number * 10 + place, size=(9, 12))
                with PillowImage.open(path) as small:
                    small.resize(SIZE, PillowImage.Resampling.BICUBIC).save(path)
                (images_folder / name.replace(".png", ".yaml")).write_text(f"seed: {place}\nprompt: <b>a fox</b>\n")
        return projects.start(workspace, "p", images_folder)[0]

    return make


@pytest.fixture
def open_deck(open_notebook: OpenNotebook) -> OpenDeck:
    def make(project: Project, **options: int) -> DeskPage:
        home = str(project.workspace.root)
        notebook = open_notebook(
            "20_review.ipynb", project=project.id, home=home, batch_size=100, blind=False, order="folder", **options
        )
        deck = DeskPage(notebook, SIZE)
        deck.show()
        return deck

    return make


def test_a_burst_of_ten_by_keys(workspace: Workspace, images_folder: Path, open_deck: OpenDeck) -> None:
    shoot(images_folder, bursts=2, shots=10)
    project = projects.start(workspace, "p", images_folder)[0]
    burst, _ = queue(project)
    deck = open_deck(project)
    assert deck.text("tools") == "Round 1 of 3 · 6 to come" and deck.data()["images"] == "4"
    deck.page.wait_for_function(STRIP_PAINTED, arg=10)
    assert strip(deck) == "oooo......"
    deck.press("3")
    assert deck.text("tools") == "Round 2 of 3 · 3 to come" and strip(deck) == "xxoxooo..."
    deck.press("u", "2", "7", "Shift+7")
    assert strip(deck) == "xoxxooo..."
    first = deck.data()["token"]
    deck.notebook.reload()
    deck.find()
    assert deck.data()["token"] == first == f"{burst.group_id} round 2"
    deck.press("2", "b")
    assert "Round 2 of 3" in deck.text("tools")
    deck.press("1")
    assert deck.text("tools") == "Round 3 of 3" and strip(deck) == "xoxxxxxooo"
    deck.press("4", "Shift+Enter", "Shift+Enter")
    deck.wait_for_text("header", "Group 1 of 1")
    made = decisions(project)[burst.group_id]
    assert json.loads(made["images"]) == [f"IMG_000{number}.jpg" for number in (1, 7, 8, 9)]
    assert (made["user_selected_index"], made["user_action"]) == (3, "approve")
    kept = [place for place, folder in enumerate(places(project, burst)) if folder == "selected"]
    assert kept == [5, 9], "the pick, and the third image of the second round"
    assert rows(project, "SELECT stars FROM kept_images") == [{"stars": 1}]


def strip(deck: DeskPage) -> str:
    """The images of the film strip: x is out, o on screen, . to come."""
    found = deck.page.locator(".strip > img").evaluate_all("images => images.map(image => image.className)")
    return "".join({"out": "x", "on": "o", "coming": "."}[one] for one in found)


def test_the_film_strip_of_a_burst_of_thirty_fits(
    workspace: Workspace, images_folder: Path, open_deck: OpenDeck
) -> None:
    shoot(images_folder, bursts=1, shots=30)
    deck = open_deck(projects.start(workspace, "p", images_folder)[0])
    deck.page.wait_for_function(STRIP_PAINTED, arg=30)
    row = deck.page.locator(".strip").bounding_box()
    boxes = [image.bounding_box() for image in deck.page.locator(".strip > img").all()]
    assert row is not None and len(boxes) == 30
    assert all(box and box["width"] >= 14 and box["x"] + box["width"] <= row["x"] + row["width"] + 1 for box in boxes)
    assert all(box and row["y"] <= box["y"] and box["y"] + 40 <= row["y"] + row["height"] for box in boxes)


def test_faces_are_enlarged_from_the_previews(make_deck_project: Callable, open_deck: OpenDeck) -> None:
    project = make_deck_project([(1, 1.5, 2), (1, 2)])
    first, second, third = queue(project)[0].images
    rows = [face_row(first, (0.2, 0.2, 0.1)), face_row(second, (0.8, 0.7, 0.2)), face_row(third, None)]
    BlockStore(project).append({FACES.name: rows})
    deck = open_deck(project)
    canvas = deck.stage.locator("canvas").first
    fitted = canvas.screenshot()
    deck.page.evaluate(COUNT_REQUESTS)
    deck.press("f")
    assert deck.page.evaluate("requests") == [], "no picture is asked for"
    faces, point = canvas.screenshot(), deck.image_point(1)
    assert faces != fitted and deck.page.locator("button.on").inner_text() == "FacesF"
    deck.page.mouse.move(*point)
    deck.page.mouse.down()
    deck.page.mouse.move(point[0] - 30, point[1] - 40, steps=4)
    deck.page.mouse.up()
    assert canvas.screenshot() != faces, "a drag moves them"
    deck.press("z")
    assert deck.page.evaluate("requests") == ["original"] * 3
    deck.press("f", "f")
    assert canvas.screenshot() == fitted
    deck.click_button("Faces")
    deck.press("2")
    assert deck.data()["position"] == "1" and deck.page.locator("button.on").count() == 0
    deck.press("f")
    assert "not measured yet" in deck.text("words")


def test_every_route_through_a_reload_and_a_restart(make_deck_project: Callable, open_deck: OpenDeck):
    shapes = [
        (1, 1.5, 2),
        (1, 2),
        (1, 1.5, 2),
        (1, 2),
        (1, 1.5, 2, 3),
        (1, 2),
        (1, 2),
        (1, 2),
        (1, 2),
        (1, 1.5),
        (1, 2),
    ]
    project = make_deck_project(shapes)
    groups = queue(project)
    recommend(project, groups[0], 1, BOX, crop_needed=True)
    recommend(project, groups[1], 0, BOX)
    recommend(project, groups[2], 2, BOX, crop_needed=True)
    recommend(project, groups[3], 1, crop_needed=False)
    recommend(project, groups[9], 0, BOX, crop_needed=True, anomaly_flags=("lower stage picked",))

    deck = open_deck(project)
    sources = deck.notebook.cells()
    assert "Group 1 of 11" in deck.text("header")
    words = deck.page.locator(".pickroom-crop > span")
    deck.page.mouse.move(*deck.image_point(2))  # over the AI's crop
    words.wait_for(state="visible")
    assert words.inner_text() == "72, 0 – 576, 672 px · 0.100, 0.000 – 0.800, 0.700"
    deck.page.mouse.move(*deck.image_point(1))
    words.wait_for(state="hidden")
    deck.press("2")  # AI's pick, crop on
    deck.press("u")
    assert "Undone" in deck.text("words") and deck.data()["position"] == "0"
    deck.press("Shift+U")
    deck.press("1")  # AI's pick, crop off
    deck.press("1")  # another image
    deck.press("a")  # the recommendation, which has no crop
    deck.press("r")  # to the crop desk

    deck.notebook.reload()
    deck.find()
    assert deck.data()["position"] == "5" and "reviewed 5" in deck.text("header")
    deck.press("x")
    deck.press("k")

    deck.notebook.kill_kernel()
    deck.stage.focus()
    deck.page.keyboard.press("x")
    deck.wait_for_text("note", "run the cells again")
    deck.show()
    assert deck.data()["position"] == "7" and "reviewed 7" in deck.text("header")
    deck.press("s")
    deck.notebook.restart_kernel()
    deck.show()
    assert deck.data()["position"] == "8"
    deck.click_image(2)
    assert "lower stage picked" in deck.text("words")
    deck.press("c", "1")  # the crop that was shown is switched off
    assert deck.data()["token"] == groups[10].group_id

    deck.press("Shift+Enter")
    assert "Finalise this batch?" in deck.text("panel") and "2 groups" in deck.text("panel")
    deck.press("Escape", "Shift+Enter", "Shift+Enter")
    deck.wait_for_text("header", "Group 1 of 2")
    assert deck.notebook.cells() == sources  # no key reached the notebook
    assert deck.stage.get_attribute("data-lm-suppress-shortcuts") == "true"
    deck.page.keyboard.press("Control+s")  # but those with Ctrl do: saved, as from anywhere else in the notebook
    deck.page.wait_for_function("!window.jupyterapp.shell.currentWidget.context.model.dirty")

    _assert_routes(project, groups)


def _assert_routes(project: Project, groups: list) -> None:
    """REVIEW.md's table of routes, for the choices made above."""
    staging = "delete_staging"
    expected = [
        ((staging, "crop_auto", staging), "approve", 1),
        (("selected", staging), "approve", 0),
        (("selected", staging, staging), "approve", None),
        ((staging, "selected"), "approve", None),
        ((staging, staging, staging, "crop"), "crop", None),
        ((staging, staging), "reject", None),
        (("selected", "selected"), None, None),
        (("", ""), None, None),
        ((staging, "selected"), "approve", None),
        (("selected", staging), "approve", 0),
        (("", ""), None, None),
    ]
    made = decisions(project)
    assert len(made) == 8
    for group, (folders, action, accepted) in zip(groups, expected, strict=True):
        assert places(project, group) == folders
        row = made.get(group.group_id)
        assert (row and row["user_action"]) == action
        if row:
            assert row["ai_crop_accepted"] == accepted
            assert json.loads(row["images"]) == list(group.filenames)
    sidecars = {path.parent.name: json.loads(path.read_text()) for path in project.root.rglob("*.decision")}
    assert {folder: sidecar["ai_route"] for folder, sidecar in sidecars.items()} == {
        "crop_auto": "suggestion",
        "crop": "manual",
    }
    assert sidecars["crop_auto"]["ai_crop_coords"] == list(BOX) and sidecars["crop"]["ai_crop_coords"] is None
    kept = rows(project, "SELECT group_id FROM decision_context WHERE group_id = ?", groups[6].group_id)
    assert len(kept) == 1  # noted, though it has no row
    for image in (image for group in groups for image in group.images):  # companions went along
        (found,) = project.root.rglob(image.filename)
        assert found.with_suffix(".yaml").is_file()


def test_the_views_open_over_a_deck_that_fits_the_window(make_deck_project: Callable, open_deck: OpenDeck):
    project = make_deck_project([(1, 1.5, 2), (1, 2)])
    recommend(project, queue(project)[0], 1, reasons=tuple(f"reason number {n}" for n in range(30)))
    deck = open_deck(project)
    assert "reason number 29" in deck.text("words")
    reasons = "line => [line.scrollWidth <= line.clientWidth, line.scrollHeight <= line.clientHeight]"
    assert deck.page.locator(".reasons").evaluate(reasons) == [True, True], "nothing is cut"
    box = deck.page.locator(".pickroom-desk").bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800
    photos, overlay = deck.stage.locator("canvas"), deck.page.locator("canvas.pickroom-overlay")
    assert photos.bounding_box() == overlay.bounding_box()

    deck.stage.evaluate("stage => stage.blur()")
    hint, stage = deck.page.locator(".pickroom-note").bounding_box(), deck.stage.bounding_box()
    assert hint is not None and stage is not None
    assert hint["y"] >= stage["y"] + MARGIN + BADGE, "it hides no badge"
    deck.stage.focus()

    deck.press("?")
    assert "accept the recommendation" in deck.text("panel")
    deck.press("Escape", "i")
    assert "≠ seed" in deck.text("panel") and "<b>a fox</b>" in deck.text("panel")
    deck.press("i")

    point = deck.image_point(2)
    deck.page.mouse.move(*point)
    deck.press("z")
    before, answered = photos.screenshot(), deck.data()["answered"]
    deck.page.mouse.move(*point)
    deck.page.mouse.down()
    deck.page.mouse.move(point[0] - 30, point[1] - 40, steps=4)
    deck.page.mouse.up()
    assert photos.screenshot() != before  # every image moved
    assert deck.data()["answered"] == answered  # a drag is not a click
    deck.press("Escape")
    assert "undecided" in deck.text("words").lower()

    settled = int(deck.data()["settled"])
    deck.page.evaluate("window.jupyterapp.commands.execute('apputils:change-theme', {theme: 'JupyterLab Dark'})")
    deck.page.wait_for_function(
        "n => +document.querySelector('.pickroom-image-view').dataset.settled > n", arg=settled
    )  # drawn again in the other theme's colours


def test_the_desk_fills_the_screen_and_keys_go_on(make_deck_project: Callable, open_deck: OpenDeck):
    deck = open_deck(make_deck_project([(1, 1.5, 2), (1, 2)]))
    wide = "n => document.querySelector('.pickroom-image-view').clientWidth {} n"
    before = deck.stage.evaluate("stage => stage.clientWidth")
    deck.page.keyboard.press("Shift+Space")
    deck.page.wait_for_function(wide.format(">"), arg=before + 200)
    assert deck.page.evaluate("document.fullscreenElement.contains(document.querySelector('.pickroom-image-view'))")
    deck.press("2")
    assert deck.text("header").startswith("Group 2 of 2"), "the keys are where the pictures are"
    stage, words = deck.stage.bounding_box(), deck.page.locator(".pickroom-words").bounding_box()
    assert stage is not None and words is not None
    assert stage["y"] >= 0 and words["y"] + words["height"] <= 800, "pictures and words are on the screen together"
    deck.page.keyboard.press("Shift+Space")
    deck.page.wait_for_function(wide.format("==="), arg=before)
    deck.press("u")
    assert "Undone" in deck.text("words")


def test_next_and_previous_swap_before_the_kernel_answers(make_deck_project: Callable, open_deck: OpenDeck):
    project = make_deck_project([(1, 2)] * 8)
    ids = [group.group_id for group in queue(project)]
    deck = open_deck(project)
    first = """stage => {
        const keydown = key => stage.dispatchEvent(new KeyboardEvent("keydown", {key, code: key}));
        keydown("ArrowRight");
        const ahead = stage.closest(".pickroom-desk").classList.contains("pickroom-ahead");
        const overlay = getComputedStyle(document.querySelector(".pickroom-overlay")).visibility;
        return [stage.dataset.token, ahead, overlay];
    }"""
    assert deck.stage.evaluate(first) == [ids[1], True, "hidden"]
    deck.wait(1)
    assert deck.page.locator(".pickroom-ahead").count() == 0

    fast = """(stage, keys) => {
        for (const key of keys) stage.dispatchEvent(new KeyboardEvent("keydown", {key, code: key}));
        return stage.dataset.token;
    }"""
    keys = ["ArrowRight"] * 4 + ["ArrowLeft"]  # all of them before the kernel can answer one
    assert deck.stage.evaluate(fast, keys) == ids[4]
    deck.wait(6)
    assert deck.data()["token"] == ids[4]
    # k leads on, x is for the next group, which the browser shows already, the second x for one not yet to be seen
    assert deck.stage.evaluate(fast, ["k", "x", "x"]) == ids[5]
    deck.wait(9)
    assert "x was too early" in deck.text("words")
    session = ReviewSession(project)
    chosen = [session.state.choice(card).action for card in session.state.cards]
    session.close()
    assert chosen == ["undecided"] * 4 + ["keep", "reject", "undecided", "undecided"]


def test_a_message_that_gets_lost_is_sent_again(make_deck_project: Callable, open_deck: OpenDeck):
    project = make_deck_project([(1, 2)] * 4)
    deck = open_deck(project)
    deck.page.evaluate("""() => {
        const send = WebSocket.prototype.send;
        WebSocket.prototype.send = function (data) {
            const text = typeof data === "string" ? data : new TextDecoder().decode(data);
            if (!window.lost && text.includes('"type":"key"')) window.lost = true;
            else send.call(this, data);
        };
    }""")
    deck.page.keyboard.press("1")
    deck.page.keyboard.press("2")
    deck.wait(2)
    assert deck.page.evaluate("window.lost")
    session = ReviewSession(project)
    assert [session.state.choice(card).index for card in session.state.cards] == [0, 1, None, None]
    session.close()


def test_keys_of_another_keyboard_and_an_input_method_count(make_deck_project: Callable, open_deck: OpenDeck):
    project = make_deck_project([(1, 2)] * 4)
    deck = open_deck(project)
    for answered, (key, code) in enumerate((("&", "Digit1"), ("ч", "KeyX"), ("Process", "Digit2")), start=1):
        event = {"key": key, "code": code, "bubbles": True, "isComposing": key == "Process"}
        deck.stage.evaluate("(stage, event) => stage.dispatchEvent(new KeyboardEvent('keydown', event))", event)
        deck.wait(answered)
    session = ReviewSession(project)
    assert [session.state.choice(card).action for card in session.state.cards[:3]] == ["approve", "reject", "approve"]
    assert [session.state.choice(card).index for card in session.state.cards[:3:2]] == [0, 1]
    session.close()


def test_a_second_window_follows(make_deck_project: Callable, open_deck: OpenDeck):
    project = make_deck_project([(1, 2)] * 5)
    deck = open_deck(project)
    deck.notebook.command("docmanager:save")
    other = DeskPage(deck.notebook.lab.open(deck.page.context, "20_review.ipynb"), SIZE)
    other.find()
    deck.page.bring_to_front()
    deck.press("1")
    other.page.wait_for_function("document.querySelector('.pickroom-image-view').dataset.position === '1'")
    other.page.bring_to_front()
    other.stage.focus()
    other.press("x")
    other.page.close()
    deck.page.bring_to_front()
    deck.page.wait_for_function("document.querySelector('.pickroom-image-view').dataset.position === '2'")


def test_a_deck_that_was_scrolled_out_of_the_page_comes_back(
    lab: Lab, make_deck_project: Callable, open_deck: OpenDeck
):
    project = make_deck_project([(1, 2)] * 3)
    lab.change_settings("notebook-extension/tracker", {"windowingMode": "full"})
    try:
        deck = open_deck(project, tail=12)
        deck.press("1")
        deck.notebook.scroll_to_cell(14)
        deck.stage.wait_for(state="hidden")
        deck.find()
    finally:
        lab.change_settings("notebook-extension/tracker", {})
    assert deck.data()["token"] == queue(project)[1].group_id
    deck.press("2", "ArrowLeft")
    assert "reviewed 2" in deck.text("header")
