"""The crop desk without a browser: its handlers are called as a page would, on a real session of a real project."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from app.widgets.conftest import Page, Sent
from conftest import read_tree, stage_name, write_image
from pickroom.app.widgets import desk_html
from pickroom.app.widgets.deck import CropDesk, open_crop_desk
from pickroom.app.widgets.overlay import arrange
from pickroom.core.errors import LockedError, PickroomError
from pickroom.core.geometry import to_pixels
from pickroom.core.records import CropBox
from pickroom.indexing import projects
from pickroom.sessions.crop import editing
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.keys import CROP
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, decisions, queue, recommend, review, rows

SIZES = ((400, 300), (240, 320), (300, 300), (320, 200), (200, 320))  # of the groups' images, pixels
BOX = CropBox(0.1, 0.1, 0.7, 0.7)


@pytest.fixture
def project(workspace: Workspace, images_folder: Path) -> Project:
    """Five images wait: the last one in crop_auto/, the others in crop/, the first of them with an AI's box."""
    for number, size in enumerate(SIZES):
        moment = datetime(2025, 8, 3, 6) + timedelta(hours=number)
        for place, stage in enumerate((1, 2)):
            name = stage_name(moment + timedelta(minutes=place), stage)
            write_image(images_folder / name, seed=10 * number + place, size=size)
    made = projects.start(workspace, "p", images_folder)[0]
    groups = queue(made)
    recommend(made, groups[0], 0, tuple(BOX.to_list()))
    recommend(made, groups[4], 0, tuple(BOX.to_list()), crop_needed=True)
    review(made, "q", "q", "q", "q", "a", *FINALISE)
    return made


class CropPage(Page):
    """A page that shows a crop desk; points are fractions of an image."""

    deck: CropDesk  # type: ignore[assignment]

    def point(self, phase: str, number: int | None, x: float, y: float, seen: str | None = None) -> None:
        cells = self.frame["frame"]["cells"]
        left, top, wide, tall = cells[(number or 1) - 1]["box"]
        seen = self.shown if seen is None else seen
        message = {"type": "pointer", "view": self.view, "phase": phase, "number": number, "shift": False}
        self.deck.stage.on_message({**message, "x": left + x * wide, "y": top + y * tall, "seen": seen})

    def drag(self, number: int, *points: tuple[float, float]) -> None:
        """Press at the first point, move through the others, let go at the last."""
        self.point("down", number, *points[0])
        for place in points[1:]:
            self.point("move", number, *place)
        self.point("up", number, *points[-1])

    def pixels(self, number: int) -> tuple[int, int, int, int]:
        image = self.deck.session.view().images[number - 1]
        return to_pixels(image.box, image.width, image.height)

    @property
    def words(self) -> str:
        return self.deck.words.value


@pytest.fixture
def open_crop_page(sent: Sent) -> Iterator[Callable[..., CropPage]]:
    """A desk on a project, and a page that shows it."""
    desks: list[CropDesk] = []

    def make(project: Project, per_page: int = 3) -> CropPage:
        desks.append(CropDesk(CropSession(project, per_page=per_page)))
        return CropPage(desks[-1], sent)  # type: ignore[arg-type]

    yield make
    for desk in desks:
        desk.close()


@pytest.fixture
def page(project: Project, open_crop_page: Callable[..., CropPage]) -> CropPage:
    return open_crop_page(project)


def waiting(project: Project) -> list[str]:
    """The names of the images that wait, in the desk's order."""
    return [path.name for folder in ("crop", "crop_auto") for path in sorted((project.root / folder).glob("*.png"))]


def test_a_page_is_shown_and_the_next_one_is_announced(page: CropPage, project: Project):
    images = page.deck.session.view().images
    assert [image.filename for image in images] == waiting(project)[:3]
    cells = page.frame["frame"]["cells"]
    assert [cell["name"] for cell in cells] == [image.sha256 for image in images]
    assert [cell["size"] for cell in cells] == list(SIZES[:3])
    slots = arrange([image.size for image in page.deck.session.state.cards], 1000, 560)
    assert [cell["box"] for cell in cells] == [slot.box for slot in slots]
    ((_, ahead),) = page.frame["ahead"]
    assert [cell["size"] for cell in ahead["cells"]] == list(SIZES[3:])
    for cell in (*cells, *ahead["cells"]):
        assert page.want(cell["name"])[1][0].startswith(b"\xff\xd8")
    assert "5 images wait for a crop" in page.deck.header.value
    assert [image.note for image in images] == ["the AI's box", "the default box", "the default box"]


def test_box_drawn_on_preview_is_same_box_in_full_image(page: CropPage):
    page.deck.session.press("2")
    page.press("2", "f")
    page.point("down", 2, 0.95, 0.95)
    page.point("move", 2, 0.5, 0.5)
    page.point("up", 2, 0.25, 0.75)
    assert page.pixels(2) == (60, 240, 228, 304)
    assert "2: 168 × 64 px at 60, 240 (14 % of the image) · any shape · your box" in page.words


def test_each_move_or_resize_of_a_box_is_one_undo_step(page: CropPage):
    assert page.pixels(1) == (40, 30, 280, 210)
    page.drag(1, (0.4, 0.4), (0.45, 0.45), (0.5, 0.5))
    assert page.pixels(1) == (80, 60, 320, 240)
    page.press("f")
    page.drag(1, (0.8, 0.4), (0.85, 0.3), (0.9, 0.1))  # the east edge
    assert page.pixels(1) == (80, 60, 360, 240)
    page.drag(1, (0.2 + 0.005, 0.2 - 0.005), (0.3, 0.3), (0.3 + 0.005, 0.3 - 0.005))  # next to the north-west one
    assert page.pixels(1) == (120, 90, 360, 240)
    page.press("u", "u", "u", "u")
    assert page.pixels(1) == (40, 30, 280, 210)
    assert "the AI" in page.words


def test_a_preset_shape_is_kept_while_drawing(page: CropPage):
    page.press("shape 16:9")
    page.drag(1, (0.1, 0.95), (0.5, 0.9), (0.9, 0.8))
    x1, y1, x2, y2 = page.pixels(1)
    assert (x1, y2) == (40, 285) and abs((x2 - x1) - (y2 - y1) * 16 / 9) <= 2
    assert 'data-press="shape 16:9" class="on"' in page.deck.tools.value


def test_a_click_chooses_the_image_and_changes_no_box(page: CropPage):
    before = [page.pixels(number) for number in (1, 2, 3)]
    for x, y in ((0.5, 0.5), (0.02, 0.98), (0.12, 0.01)):  # inside the box, outside it, next to a handle
        page.drag(3, (x, y), (x + 0.002, y + 0.002))
        assert page.deck.session.state.active == 2
    assert [page.pixels(number) for number in (1, 2, 3)] == before
    assert page.deck.session.state.undo == ()


def test_a_handle_on_the_images_edge_is_taken_from_outside(page: CropPage):
    page.press("n", "f")
    _, _, wide, tall = page.frame["frame"]["cells"][0]["box"]
    outside = (1 + 4 / wide, 1 + 4 / tall)
    page.point("down", None, *outside)
    page.point("up", None, outside[0] - 0.5, outside[1] - 0.5)
    assert page.pixels(1) == (0, 0, 200, 150)


def test_a_drag_sends_boxes_and_words_but_no_new_frame(page: CropPage, sent: Sent):
    page.point("down", 1, 0.4, 0.4)
    count = len(sent)
    page.point("move", 1, 0.5, 0.5)
    assert [message["type"] for message, _ in sent[count:]] == ["moved"]
    assert "at 80, 60" in page.words


def test_frame_describes_active_drag_for_the_browser_outline(page: CropPage):
    box = page.frame["frame"]["cells"][0]["box"]
    assert page.frame["drag"] is None
    page.press("1", "shape 3:2")
    page.point("down", 1, *editing.handle_point(page.deck.session.view().images[0].box, "se"))
    drag = page.frame["drag"]
    assert (drag["mode"], drag["at"], drag["ratio"], drag["bounds"]) == ("handle", (1, 1), 1.5, box)
    assert drag["least"] == pytest.approx(8 * box[2] / 400)
    page.point("up", 1, 0.7, 0.7)
    assert page.frame["drag"] is None


def test_a_move_is_answered_also_when_it_failed(page: CropPage, sent: Sent, monkeypatch: pytest.MonkeyPatch):
    page.point("down", 1, 0.4, 0.4)
    monkeypatch.setattr("pickroom.sessions.crop.state.drag_to", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.point("move", 1, 0.6, 0.6)
    assert sent[-1][0] == {"type": "moved", "view": "v1"}


def test_a_pointer_on_a_page_that_has_gone_does_nothing(page: CropPage):
    before = page.pixels(1)
    for phase, x in (("down", 0.8), ("move", 0.9), ("up", 0.95)):
        page.point(phase, 1, x, x, seen="the page before")
    assert page.pixels(1) == before and page.deck.session.state.drag is None


def test_drag_without_release_ends_when_pointer_returns(page: CropPage):
    page.point("down", 1, 0.4, 0.4)
    page.point("move", 1, 0.5, 0.5)
    page.point("hover", 1, 0.9, 0.9)
    page.point("move", 1, 0.6, 0.6)
    assert page.pixels(1) == (80, 60, 320, 240) and len(page.deck.session.state.undo) == 1


def test_the_cursor_says_what_a_drag_would_do(page: CropPage):
    seen = []
    for x, y in ((0.1, 0.1), (0.7, 0.1), (0.7, 0.4), (0.4, 0.7), (0.4, 0.4), (0.9, 0.9), (0.5, 2.0)):
        page.point("hover", 1, x, y)
        seen.append(page.deck.stage.cursor)
    assert seen == ["nwse-resize", "nesw-resize", "ew-resize", "ns-resize", "move", "crosshair", ""]


def test_a_submit_writes_the_boxes_that_were_shown(page: CropPage, project: Project):
    names, before = waiting(project), read_tree(project.root)
    page.drag(1, (0.4, 0.4), (0.5, 0.5))
    assert "Submit crop 1" in page.deck.tools.value
    page.press("Enter")
    assert [image.filename for image in page.deck.session.view().images] == names[1:4]
    found = decisions(project)
    rows_of = {json.loads(row["images"])[0]: row for row in found.values()}
    assert to_pixels(CropBox.of(json.loads(rows_of[names[0]]["final_crop_coords"])), 400, 300) == (80, 60, 320, 240)
    assert sorted(path.name for path in (project.root / "crop_cropped").iterdir()) == names[:1]
    assert "1 done in batch 2" in page.words and "4 images wait for a crop - 1 made here" in page.deck.header.value
    page.press("b")
    assert page.pixels(1) == (80, 60, 320, 240) and "Batch 2 is back" in page.words
    assert read_tree(project.root / "crop") == {
        path.removeprefix("crop/"): content for path, content in before.items() if path.startswith("crop/")
    }


def test_one_press_that_a_slow_server_made_two_submits_one_image(page: CropPage, project: Project):
    seen = page.shown
    page.send_key(1, "Enter", seen)
    page.send_key(2, "Enter", seen)
    assert len(waiting(project)) == 4
    assert "Enter was too early" in page.words
    page.send_key(3, "b", seen)  # nor is it taken back at once
    assert len(waiting(project)) == 4


def test_one_press_made_two_does_not_answer_the_question(page: CropPage, project: Project):
    page.press("2")
    seen = page.shown
    page.send_key(page.number + 1, "Enter", seen)
    assert "Image 2 still has its default box" in page.words and "Submit crop 2" in page.deck.tools.value
    page.send_key(page.number + 2, "Enter", seen)
    assert len(waiting(project)) == 5 and "Enter was too early" in page.words


def test_all_ai_crops_are_applied_after_a_question(page: CropPage, project: Project):
    assert "Apply all AI crops (1)" in page.deck.tools.value
    seen = page.shown
    page.send_key(1, "Shift+a", seen)
    assert "Crop 1 image of crop_auto/ as the AI proposed" in page.deck.panel.value
    page.send_key(2, "Enter", seen)  # meant for the page
    assert len(waiting(project)) == 5 and "too early" in page.words
    page.point("down", 1, 0.4, 0.4)  # no box is changed behind the question
    assert page.deck.session.state.drag is None
    page.number = 2
    page.press("Escape")
    assert page.deck.panel.value == "" and "No AI crop was applied" in page.words
    page.press("Shift+a", "Enter")
    assert len(waiting(project)) == 4
    assert {row["crop_input"] for row in rows(project, "SELECT crop_input FROM decision_context")} == {None, "apply_ai"}
    assert "Apply all AI crops (0)" in page.deck.tools.value and "disabled" in page.deck.tools.value
    page.press("Shift+a")
    assert page.deck.panel.value == "" and "No AI crop waits" in page.words


def test_image_warnings_are_shown_and_file_names_are_escaped(project: Project, open_crop_page: Callable):
    names = waiting(project)
    crop = project.root / "crop"
    (crop / names[0]).rename(crop / "0.png")
    write_image(crop / names[1], seed=78)
    (crop / names[1]).with_suffix(".decision").write_text("{")
    hostile = '<img src=x onerror="alert(1)">&.png'
    (crop / names[2]).rename(crop / hostile)
    page = open_crop_page(project)
    words = page.words
    assert "1: no sidecar: the file is cropped" in words  # 1 sorts first, then the hostile name comes last
    assert f"crop/{names[1]}: its sidecar is not valid JSON" in words
    assert "1 cannot be cropped yet" in page.deck.header.value
    page.press("3")
    for widget in (page.deck.header, page.deck.tools, page.deck.words, page.deck.panel):
        assert "<img" not in widget.value
    assert "&lt;img src=x onerror=&quot;alert(1)&quot;&gt;&amp;.png" in page.words


def test_a_refused_image_stays_on_the_page_with_its_reason(page: CropPage, project: Project):
    name = waiting(project)[0]
    write_image(project.root / "crop_originals" / name, seed=99)
    page.press("Enter")
    shown = page.deck.session.view().images
    assert (shown[0].filename, shown[0].warning, shown[1].warning) == (name, "not cropped", "")
    assert "1 left waiting" in page.words
    assert f"crop/{name}: crop_originals/{name} exists already" in page.words


def test_expected_error_shows_one_line_until_next_key(page: CropPage, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object) -> None:
        raise LockedError("another process is moving this project's files", hint="wait for it to end")

    with monkeypatch.context() as patched:
        patched.setattr("pickroom.files.cropping.submit", refuse)
        page.press("Enter")
    assert '<span class="error">' in page.words and "(wait for it to end)" in page.words
    assert len(page.deck.session.view().images) == 3
    page.press("2")
    assert "wait for it" not in page.words and '<span class="error">' not in page.words


@pytest.mark.parametrize("name", ["press", "drag_start"])
def test_a_defect_is_seen_and_raised(page: CropPage, monkeypatch: pytest.MonkeyPatch, name: str):
    monkeypatch.setattr(f"pickroom.sessions.crop.state.{name}", lambda *arguments: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.press("n") if name == "press" else page.point("down", 1, 0.5, 0.5)
    assert "A defect in Pickroom" in page.words


def test_an_image_that_vanished_says_so_and_the_desk_goes_on(page: CropPage, project: Project):
    (project.root / "crop" / waiting(project)[0]).unlink()
    page.press("2")
    cell = page.frame["frame"]["cells"][0]
    message, buffers = page.want(cell["name"])
    assert message["reason"] == "no longer there" and buffers == []
    assert page.want("0" * 64)[0]["mime"] is None


def test_images_added_meanwhile_show_on_focus(page: CropPage, project: Project):
    write_image(project.root / "crop" / "later.png", seed=77)
    page.deck.stage.on_message({"type": "focus", "view": "v1", "on": True})
    assert "6 images wait" in page.deck.header.value
    assert [image.filename for image in page.deck.session.view().images] == waiting(project)[:3]


def test_the_legend_opens_and_closes_and_names_every_key(page: CropPage):
    page.press("?")
    legend = page.deck.panel.value
    shown = {"Escape": "Esc", "Shift+u": "Shift+U", "Shift+a": "Shift+A", "Shift+Tab": "Tab"}
    arrows = dict(zip(("ArrowLeft", "ArrowUp", "ArrowRight", "ArrowDown"), "←↑→↓", strict=True))
    for key in CROP.commands:
        plain = key.removeprefix("Shift+")
        text = arrows.get(plain) or shown.get(key, key.upper() if len(key) == 1 else key)
        assert f"<kbd>{text}</kbd>" in legend, key
    page.press("Escape")
    assert page.deck.panel.value == ""


def test_a_name_that_is_no_key_is_an_error_line(page: CropPage):
    page.press("shape 5:7")
    assert "&#x27;shape 5:7&#x27; is not a key" in page.words
    assert page.deck.session.state.boxes == {}


def test_an_empty_desk_says_so(project: Project, open_crop_page: Callable):
    page = open_crop_page(project)
    for _ in range(5):
        page.press("[", "Enter")
    assert page.frame["frame"] == {"token": "", "cells": (), "label": "No image", "captions": ""}
    assert "No image waits for its crop - 5 made here" in page.deck.header.value
    assert "Images come here from the review" in page.deck.panel.value
    page.press("Enter")
    assert "No image waits for its crop" in page.words
    page.press("b")
    assert len(page.frame["frame"]["cells"]) == 1


def test_one_image_a_page(project: Project, open_crop_page: Callable):
    page = open_crop_page(project, per_page=1)
    assert len(page.frame["frame"]["cells"]) == 1
    assert "Submit crop" in page.deck.tools.value
    page.drag(1, (0.9, 0.9), (0.5, 0.5))
    drawn = editing.draw((0.9, 0.9), (0.5, 0.5), SIZES[0], SIZES[0][0] / SIZES[0][1])
    assert drawn is not None and page.pixels(1) == to_pixels(drawn, *SIZES[0])


def test_every_shape_has_its_button_and_its_words(page: CropPage):
    for shape in desk_html.SHAPES:
        page.press(f"{desk_html.SHAPE}{shape}")
        assert page.deck.session.view().images[0].shape == shape
        assert page.deck.tools.value.count('class="on"') == 1


def test_a_project_that_cannot_be_opened_is_one_line(workspace: Workspace, sent: Sent):
    with pytest.raises(PickroomError, match="no project is named"):
        open_crop_desk("nobody", home=workspace.root)


def test_a_page_size_that_cannot_be_is_one_line(project: Project, sent: Sent):
    with pytest.raises(PickroomError, match="9 images a page"):
        open_crop_desk(project.id, home=project.workspace.root, per_page=9)


def test_running_the_cell_again_closes_the_desk_before(project: Project, sent: Sent):
    first = open_crop_desk(project.id, home=project.workspace.root)
    second = open_crop_desk(project.id, home=project.workspace.root)
    assert isinstance(first, CropDesk) and isinstance(second, CropDesk)
    assert first.comm is None and second.comm is not None
    second.close()
