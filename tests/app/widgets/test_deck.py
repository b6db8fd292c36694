"""The deck without a browser: its handlers are called as a page would, on a real session of a real project."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.widgets.conftest import Page
from conftest import read_tree
from pickroom.app.widgets.deck import Deck, open_deck
from pickroom.app.widgets.desk import COPYING
from pickroom.core.errors import LockedError, PickroomError
from pickroom.images import metadata
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import copies
from pickroom.store.workspace import Project, Workspace
from support.photographs import take
from support.reviewing import decisions, places, queue, recommend, review

FOUR = [(1, 1.5, 2), (1, 2), (1, 1.5, 2, 3), (1, 2)]
BOX = (0.1, 0.0, 0.8, 0.7)


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """Four groups; the first has a model's pick with a crop that starts shown."""
    made = make_project(FOUR)
    recommend(made, queue(made)[0], 1, BOX, crop_needed=True)
    return made


@pytest.fixture
def page(project: Project, open_page: Callable[..., Page]) -> Page:
    return open_page(project)


def test_first_frame_shows_first_group_and_lists_next_ones(page: Page, project: Project):
    first, second, third, fourth = queue(project)
    assert page.shown == first.group_id
    assert [cell["name"] for cell in page.frame["frame"]["cells"]] == [image.sha256 for image in first.images]
    assert [frame["token"] for _, frame in page.frame["ahead"]] == [g.group_id for g in (second, third, fourth)]
    assert "Group 1 of 4" in page.deck.header.value
    assert page.frame["destinations"]["ArrowRight"] == 1 and page.frame["steps"]["ArrowLeft"] == -1


def test_what_is_read_aloud_follows_the_choice(page: Page):
    name = page.deck.session.groups[0].filenames[0]
    assert page.frame["frame"]["label"].startswith(f"Group 1 of 4, undecided. 1: stage 1 · 48 × 64, {name}")
    page.press("2", "ArrowLeft")
    assert page.frame["frame"]["label"].startswith("Group 1 of 4, image 2 picked. ")
    assert 'data-mark="keep"' in page.frame["frame"]["captions"]
    assert 'data-mark="keep"' not in page.frame["ahead"][0][1]["captions"]
    assert page.frame["ahead"][0][1]["label"].startswith("Group 2 of 4, undecided. ")
    page.press("x", "ArrowLeft")
    assert page.frame["frame"]["label"].startswith("Group 1 of 4, rejected. ")
    page.press("k", "ArrowLeft")
    assert page.frame["frame"]["label"].startswith("Group 1 of 4, all kept. ")


def test_settings_of_generators_are_read_after_the_first_frame(
    project: Project, open_page: Callable[..., Page], monkeypatch: pytest.MonkeyPatch
):
    image = queue(project)[0].images[1]
    text = "model: folder/dream_xl.safetensors\nsettings:\n  seed: 77\n  sampler_name: euler\n"
    (project.root / image.filename).with_suffix(".yaml").write_text(text)
    shown, read = threading.Event(), metadata.made_with

    def after_the_first_frame(path: Path) -> str:
        assert shown.wait(20)
        return read(path)

    monkeypatch.setattr(metadata, "made_with", after_the_first_frame)
    page = open_page(project)
    assert "dream_xl" not in page.frame["frame"]["label"]
    shown.set()
    page.deck._reader.submit(int).result(20)
    assert f"dream_xl, seed 77, euler, {image.filename}" in page.frame["frame"]["label"]
    assert "dream_<wbr>xl · seed&nbsp;77 · euler" in page.frame["frame"]["captions"]


def test_the_stage_uses_the_room_that_a_view_has(page: Page):
    page.size(1400, 800, dpr=2.0, dark=True)
    assert (page.frame["width"], page.frame["height"]) == (1400, 800)
    canvas = page.deck.overlay.canvas
    assert (canvas.width, canvas.height) == (2800, 1600)
    for cell in page.frame["frame"]["cells"]:
        x, y, w, h = cell["box"]
        assert x >= 0 and x + w <= 1400 and y >= 0 and y + h <= 800


def test_every_key_is_saved_at_once(page: Page, project: Project):
    page.press("1", "x")
    other = ReviewSession(project)
    assert [other.state.choice(card).action for card in other.state.cards[:3]] == ["approve", "reject", "undecided"]
    assert other.state.position == page.frame["position"] == 2
    other.close()


def test_key_with_lost_database_is_reported_and_not_saved(page: Page, project: Project):
    page.press("1")
    project.database.rename(project.database.with_name("aside.db"))
    for key in ("x", "ArrowRight"):
        page.press(key)
        assert "this database is gone" in page.deck.words.value
        assert str(project.database) in page.deck.words.value
    assert page.deck.session.state.decided == 1 and page.frame["position"] == 1


def test_the_words_say_where_each_file_will_go(page: Page):
    page.press("2", "ArrowLeft")
    assert "2 → crop_auto/ with the AI&#x27;s crop" in page.deck.words.value
    page.press("c")
    assert "2 → selected/" in page.deck.words.value


def test_decision_for_a_group_not_yet_on_screen_is_refused(page: Page, project: Project):
    first, second, *_ = queue(project)
    page.send_key(1, "ArrowRight", first.group_id)
    page.send_key(2, "x", first.group_id)  # pressed while the first group was still to be seen
    assert page.shown == second.group_id
    assert page.deck.session.state.decided == 0
    assert "x was too early" in page.deck.words.value
    page.send_key(3, "x", second.group_id)
    assert page.deck.session.state.decided == 1
    assert "too early" not in page.deck.words.value


def test_fast_keys_on_groups_the_browser_showed_are_all_taken(page: Page, project: Project):
    groups = [group.group_id for group in queue(project)]
    for number, seen in enumerate(groups, start=1):  # swapped ahead by the browser
        page.send_key(number, "1", seen)
    assert page.deck.session.state.decided == 4


def test_finalise_needs_two_presses_with_summary_seen_between(page: Page, project: Project):
    before = read_tree(project.root)
    page.press("1")
    seen = page.shown
    page.send_key(2, "Shift+Enter", seen)
    page.send_key(3, "Shift+Enter", seen)  # one press that a slow server made two
    assert read_tree(project.root) == before
    assert "Finalise this batch?" in page.deck.panel.value and "too early" in page.deck.words.value
    page.number = 3
    page.press("Escape")
    assert page.deck.panel.value == "" and read_tree(project.root) == before


def test_finalise_moves_the_files_and_shows_the_next_batch(page: Page, project: Project):
    first, second, third, fourth = queue(project)
    page.press("2", "q", "x", "k", "Shift+Enter")
    assert "the AI&#x27;s pick with its crop" in page.deck.panel.value
    page.press("Shift+Enter")
    assert places(project, first) == ("delete_staging", "crop_auto", "delete_staging")
    assert places(project, second) == ("crop", "delete_staging")
    assert places(project, third) == ("delete_staging",) * 4
    assert places(project, fourth) == ("selected", "selected")
    assert set(decisions(project)) == {g.group_id for g in (first, second, third)}
    assert page.frame["frame"] == {"token": "", "cells": (), "label": "No image", "captions": ""}
    assert "every group is decided" in page.deck.header.value


def test_finalise_keeps_a_copy_without_the_deck_waiting(page: Page, project: Project):
    page.press("1", "Shift+Enter", "Shift+Enter")
    wait_for_copies()
    assert len(copies.newest(project.database)) == 1
    assert "no copy" not in page.deck.words.value


def test_copy_that_fails_is_said_under_the_images(page: Page, project: Project):
    copies.folder_of(project.database).parent.write_text("a file lies here")
    page.press("1", "Shift+Enter", "Shift+Enter")
    wait_for_copies()
    assert "no copy of the database was made (all decisions are saved)" in page.deck.words.value


def wait_for_copies() -> None:
    for thread in threading.enumerate():
        if thread.name == COPYING:
            thread.join()


def test_the_summary_takes_no_guess_of_where_keys_lead(page: Page):
    page.press("1", "Shift+Enter")
    assert page.frame["destinations"] == {} and page.frame["steps"] == {}


def test_expected_error_shows_one_line_until_next_key(page: Page, monkeypatch: pytest.MonkeyPatch):
    def refuse(key: str) -> None:
        raise LockedError("another process is moving this project's files", hint="wait for it to end")

    with monkeypatch.context() as patched:
        patched.setattr(page.deck.session, "press", refuse)
        page.press("1")
    assert "another process is moving this project&#x27;s files (wait for it to end)" in page.deck.words.value
    page.press("ArrowRight")
    assert "another process" not in page.deck.words.value and page.frame["position"] == 1


def test_a_defect_is_seen_and_raised(page: Page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(page.deck.session, "press", lambda key: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.press("1")
    assert "A defect in Pickroom" in page.deck.words.value


def test_previews_and_originals_are_sent_as_they_are_asked_for(page: Page, project: Project):
    image = queue(project)[0].images[0]
    message, (preview,) = page.want(image.sha256)
    assert message["mime"] == "image/jpeg" and preview.startswith(b"\xff\xd8")
    message, (original,) = page.want(image.sha256, "original")
    assert message["mime"] == "image/png" and original == project.path("", image.filename).read_bytes()
    assert page.want("0" * 64)[0]["mime"] is None


def test_an_image_that_vanished_says_so_in_its_place(page: Page, project: Project):
    image = queue(project)[0].images[0]
    project.path("", image.filename).unlink()
    message, buffers = page.want(image.sha256, "original")
    assert message["reason"] and buffers == []


def test_legend_and_info_open_and_close(page: Page):
    page.press("?")
    assert "<h3>Keys and mouse</h3>" in page.deck.panel.value
    page.press("Escape", "i")
    assert "Prompt and settings" in page.deck.panel.value and "≠ of" in page.deck.panel.value
    page.press("i")
    assert page.deck.panel.value == ""


def test_zoom_is_passed_to_the_stage_and_ends_with_the_group(page: Page):
    page.press("z")
    assert page.frame["zoom"] == "full"
    page.press("ArrowRight")
    assert page.frame["zoom"] == ""


def test_choices_of_another_window_show_on_focus(page: Page, project: Project):
    review(project, "1", "1")
    assert "reviewed 0" in page.deck.header.value
    page.deck.stage.on_message({"type": "focus", "view": "v1", "on": True})
    assert "reviewed 2" in page.deck.header.value
    assert "Another window" in page.deck.words.value


def test_key_for_a_group_finalised_elsewhere_decides_nothing(page: Page, project: Project):
    seen = page.shown
    review(project, "1", "Shift+Enter", "Shift+Enter")
    page.send_key(1, "x", seen)
    assert page.deck.session.state.decided == 0
    assert "x was too early" in page.deck.words.value
    assert page.shown == queue(project)[0].group_id != seen


def test_messages_may_come_in_another_thread(page: Page):
    # JupyterLab's comms over subshells
    thread = threading.Thread(target=page.press, args=("1", "ArrowLeft", "u"))
    thread.start()
    thread.join()
    page.press("x")
    assert page.deck.session.state.decided == 2


def test_blind_hides_the_recommendation_until_the_choice(project: Project, open_page: Callable[..., Page]):
    page = open_page(project, blind=True)
    assert "Blind" in page.deck.words.value and "87 %" not in page.deck.words.value
    page.press("1", "ArrowLeft")
    assert "87 %" in page.deck.words.value


def test_a_project_that_cannot_be_opened_is_one_line(workspace, sent):
    for name, said in (("nobody<b>", "cannot be a project"), ("nobody", "no project is named")):
        with pytest.raises(PickroomError, match=said):
            open_deck(name, home=workspace.root)


def test_running_the_cell_again_closes_the_deck_before(project: Project, sent):
    first = open_deck(project.id, home=project.workspace.root)
    second = open_deck(project.id, home=project.workspace.root)
    assert isinstance(first, Deck) and isinstance(second, Deck)
    assert first.comm is None and second.comm is not None
    second.close()


def test_a_batch_with_a_large_burst_keeps_room_for_film_strips(
    workspace: Workspace, images_folder: Path, open_page: Callable[..., Page]
) -> None:
    for shot in range(7):
        take(images_folder / f"{shot}.jpg", photograph=shot // 5, seconds=600 * (shot // 5) + shot)
    page = open_page(projects.start(workspace, "p", images_folder)[0])
    strip = '<div class="strip">'
    assert page.deck.tools.value.count("<img") == 5 and "Round 1 of 2" in page.deck.tools.value
    page.press("Enter")
    assert page.deck.tools.value == f"{strip}</div>"


def test_a_batch_without_a_large_burst_has_no_film_strip(page: Page) -> None:
    assert page.deck.tools.value == ""
