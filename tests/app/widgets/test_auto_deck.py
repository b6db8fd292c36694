"""The automation's deck without a browser: its buttons and keys on a real copy, and what its cells say."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from app.widgets.conftest import Page, Sent
from conftest import read_tree
from files.test_recovery import interrupted
from pickroom.app.widgets.pages import AutoDeck, open_auto_deck, show_apply, show_generate
from pickroom.automation.decisions_file import read_approved
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import PickroomError
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store.workspace import Project
from support.automating import approve_all, groups_of, images_tree, proposed

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
    assert "no image moves until you apply" in page.deck.panel.value
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
    assert page.deck.session.only == "flagged" and "no key" in page.deck.words.value
    assert page.frame["count"] == 0 and "Flagged: none of 4 groups" in page.deck.header.value
    page.press("f", "f")
    assert "no group" not in page.deck.words.value
    assert page.deck.session.state.decided == 0


def test_a_decision_is_refused_for_a_group_that_was_not_on_screen(page: Page, place: AutomationTarget) -> None:
    first, second, *_ = groups_of(place)
    page.send_key(1, "a", first.group_id)
    page.send_key(2, "a", first.group_id)
    assert page.shown == second.group_id and "a was too early" in page.deck.words.value


def test_the_previews_come_from_the_project_itself(page: Page, place: AutomationTarget) -> None:
    name = page.frame["frame"]["cells"][0]["name"]
    message, buffers = page.want(name)
    assert message["mime"] == "image/jpeg" and buffers[0][:2] == b"\xff\xd8"
    assert not place.project.workspace.thumbnails.exists()


def test_the_cells_say_what_they_did(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)
    home, own = project.workspace.root, read_tree(project.root)
    with pytest.raises(PickroomError, match="there is no copy of the project"):
        open_auto_deck("p", home)
    with pytest.raises(PickroomError, match="there is no project"):
        show_generate("nobody", home)
    assert "2 groups: 0 approved unseen, 2 for you" in show_generate("p", home).value
    place = proposed(project)
    approve_all(place)
    dry = show_apply("p", home).value
    assert "Nothing was moved" in dry and "2 groups: 2 by your word" in dry and "selected/" in dry
    assert "Batch 1: 2 groups done" in show_apply("p", home, execute=True).value
    assert "0 groups" in show_apply("p", home, execute=True).value
    assert read_tree(project.root) == own


def test_a_deck_opened_again_closes_the_one_before(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)]))
    home = place.origin.workspace.root
    first = open_auto_deck("p", home)
    second = open_auto_deck("p", home)
    assert isinstance(first, AutoDeck) and isinstance(second, AutoDeck)
    with pytest.raises(Exception, match="closed database"):
        first.session.press("a")
    second.close()


def test_apply_says_what_was_interrupted_and_finishes_it(place: AutomationTarget) -> None:
    approve_all(place)
    interrupted(place)
    home = place.origin.workspace.root
    assert "file operations were interrupted: --execute finishes them first" in show_apply("p", home).value
    assert "What was interrupted is finished" in show_apply("p", home, execute=True).value
    assert "interrupted" not in show_apply("p", home).value
