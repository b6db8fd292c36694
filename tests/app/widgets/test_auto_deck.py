"""The automation's deck without a browser: its buttons and keys on a real copy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.widgets.conftest import Page, Sent
from pickroom.app.widgets.automate_page import AutoDeck
from pickroom.automation.decisions_file import read_approved
from pickroom.automation.sandbox import AutomationTarget
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store.workspace import Project
from support.automating import groups_of, images_tree, proposed

Make = Callable[..., Project]


@pytest.fixture
def place(make_project: Make) -> AutomationTarget:
    return proposed(make_project([(1, 2)] * 4))


@pytest.fixture
def page(place: AutomationTarget, sent: Sent) -> Iterator[Page]:
    deck = AutoDeck(AutoSession(place, order="folder"))
    yield Page(deck, sent)
    deck.close()


def test_keys_and_the_two_presses_that_write(page: Page, place: AutomationTarget) -> None:
    before = images_tree(place.folder)
    page.press("a", "r", "Shift+1")
    assert "reviewed 3 (75 %)" in page.deck.header.value
    page.press("Shift+Enter")
    assert "Write approved_decisions.jsonl?" in page.deck.panel.value and not place.approved.exists()
    assert "approved as proposed" in page.deck.panel.value and "Write" in page.deck.panel.value
    page.press("Shift+Enter")
    assert [line.action for line in read_approved(place.approved).values()] == ["approved", "rejected", "overridden"]
    assert "Written to approved_decisions.jsonl" in page.deck.words.value
    assert images_tree(place.folder) == before


def test_the_legend_is_that_of_the_automation(page: Page) -> None:
    page.press("?")
    assert "reject: keep every image where it is" in page.deck.panel.value
    assert "crop desk" not in page.deck.panel.value


def test_buttons_filter_and_are_no_decision(page: Page, place: AutomationTarget) -> None:
    assert "Needs you 4" in page.deck.tools.value and "Crops 2" in page.deck.tools.value
    page.press("only crops")
    assert page.frame["count"] == 2 and page.shown == groups_of(place)[1].group_id
    assert "Only crops - Group 1 of 2" in page.deck.header.value
    page.press("f", "only nonsense")
    assert page.deck.session.only == "flagged" and "not a key" in page.deck.words.value
    assert page.frame["count"] == 0 and "Flagged: none of 4 groups" in page.deck.header.value
    page.press("f", "f")
    assert "no group" not in page.deck.words.value
    assert page.deck.session.state.decided == 0


def test_decision_for_a_group_not_yet_on_screen_is_refused(page: Page, place: AutomationTarget) -> None:
    first, second, *_ = groups_of(place)
    page.send_key(1, "a", first.group_id)
    page.send_key(2, "a", first.group_id)
    assert page.shown == second.group_id and "a was too early" in page.deck.words.value


def test_the_previews_come_from_the_project_itself(page: Page, place: AutomationTarget) -> None:
    name = page.frame["frame"]["cells"][0]["name"]
    message, buffers = page.want(name)
    assert message["mime"] == "image/jpeg" and buffers[0][:2] == b"\xff\xd8"
    assert not place.project.workspace.thumbnails.exists()
