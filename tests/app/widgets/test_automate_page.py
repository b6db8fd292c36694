"""The automation's page without a browser: its buttons pressed on a real project and its real copy."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import read_tree
from files.test_recovery import interrupted
from pickroom.app.widgets.automate_page import AutoDeck, AutomatePage
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.page import Part, Work
from pickroom.automation.guarantee import RiskTarget
from pickroom.automation.sandbox import AutomationTarget, locate
from pickroom.core.errors import PickroomError
from pickroom.store.workspace import Project
from support.automating import approve_all, images_tree, proposed

Make = Callable[..., Project]
WAIT_S = 60


def press(part: Part, button: object) -> str:
    """Click a button of a part, wait until its work has ended; the words of the part's line."""
    button.click()  # type: ignore[attr-defined]
    assert part.thread is not None
    part.thread.join(WAIT_S)
    assert not part.thread.is_alive()
    return part.line.value


def test_the_whole_way_in_the_sandbox_and_back(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)
    own = read_tree(project.root)
    page = AutomatePage(project)
    assert "nothing was decided blind yet" in page.unseen.body.value
    assert "First it copies the project to" in page.proposals.body.value
    assert page.look.disabled and page.preview.disabled and page.apply.disabled and page.undo.disabled
    assert "2 groups: 0 approved unseen, 2 for you" in press(page.proposals, page.generate)
    assert "First it copies" not in page.proposals.body.value and not page.look.disabled
    target = proposed(project)
    before = images_tree(target.folder)
    approve_all(target)
    assert "Nothing has moved yet" in press(page.carried, page.preview)
    assert "2 groups: 2 by your word" in page.carried.body.value and "selected/" in page.carried.body.value
    assert images_tree(target.folder) == before and page.apply.description == "Apply to 2 groups"
    assert "Batch 1: 2 groups done" in press(page.carried, page.apply)
    assert images_tree(target.folder) != before and page.apply.disabled
    assert "2 proposals looked at" in page.metrics.body.value
    assert "Batch 1 decided 2 groups" in page.taken_back.body.value
    assert "Batch 1 is undone: 2 groups wait again" in press(page.taken_back, page.undo)
    after = images_tree(target.folder)
    assert {path: after[path] for path in before} == before and page.undo.disabled
    assert read_tree(project.root) == own
    page.close()


def test_own_images_move_only_after_the_name_was_typed(make_project: Make) -> None:
    project = make_project([(1, 2)])
    page = AutomatePage(project)
    page.own.value = True
    assert "moves your own images" in page.where.body.value and page.name.layout.display is None
    press(page.proposals, page.generate)
    target = locate(project, production=True)
    approve_all(target)
    own = images_tree(project.root)
    assert "Type p at the top" in press(page.carried, page.preview)
    for typed in ("", "P", "demo"):
        page.name.value = typed
        assert page.apply.disabled
        page.apply.click()  # a page of yesterday may still send its click
        assert images_tree(project.root) == own
    assert "is not the project&#x27;s name" in page.carried.line.value
    page.name.value = " p "
    assert not page.apply.disabled
    assert "Batch 1: 1 group done" in press(page.carried, page.apply)
    assert images_tree(project.root) != own and page.name.value == "" and page.undo.disabled
    page.name.value = "p"
    assert "1 group waits again" in press(page.taken_back, page.undo)
    assert images_tree(project.root) == own
    page.own.value = False
    assert page.name.layout.display == "none" and "Nothing of your own images moves" in page.where.body.value


def test_a_plan_that_changed_since_it_was_shown_is_refused(make_project: Make) -> None:
    target = proposed(make_project([(1, 2)] * 2))
    approve_all(target)
    page = AutomatePage(target.origin)
    press(page.carried, page.preview)
    victim = next(path for path in sorted(target.folder.glob("*.png")))
    victim.write_bytes(victim.read_bytes() + b"!")
    before = images_tree(target.folder)
    said = press(page.carried, page.apply)
    assert 'role="alert"' in said and victim.name in said
    assert images_tree(target.folder) == before


def test_apply_says_what_was_interrupted_and_finishes_it(make_project: Make) -> None:
    target = proposed(make_project([(1, 2)] * 2))
    approve_all(target)
    interrupted(target)
    page = AutomatePage(target.origin)
    press(page.carried, page.preview)
    assert "file operations were interrupted: applying finishes them first" in page.carried.body.value
    press(page.carried, page.apply)
    press(page.carried, page.preview)
    assert "interrupted" not in page.carried.body.value


def test_review_and_blind_decisions_open_a_deck_in_the_page(make_project: Make) -> None:
    target = proposed(make_project([(1, 2)] * 2))
    page = AutomatePage(target.origin)
    page.look.click()
    _, deck = page.children
    assert isinstance(deck, AutoDeck)
    back = deck.children[0]
    back.click()
    assert page.children[1:] == page.parts
    with pytest.raises(Exception, match="closed database"):
        deck.session.press("a")
    page.blind.click()
    _, deck = page.children
    assert isinstance(deck, Deck) and not isinstance(deck, AutoDeck) and deck.session.blind
    page.close()
    with pytest.raises(Exception, match="closed database"):
        deck.session.press("a")


def test_enough_blind_decisions_say_what_is_approved(make_project: Make) -> None:
    target = proposed(make_project([(1, 2)]))
    loose = AutomatePage(target.origin, risk=RiskTarget(override=0.4, anomaly=None, confidence=0.6, start=0.0))
    strict = AutomatePage(target.origin)
    needed = [page.unseen.body.value for page in (loose, strict)]
    assert all("more blind decisions are needed" in text for text in needed) and needed[0] != needed[1]
    assert "no limit (switched off)" in needed[0]


def test_long_work_counts_and_can_be_stopped(make_project: Make, tmp_path: Path) -> None:
    part, ended, copied, both = Part("Copy"), [], [], threading.Event()

    def work(work: Work) -> str:
        both.wait(WAIT_S)
        for number in range(10_000):
            work.count(number, 10_000)
            copied.append(number)
            if number == 5:
                part.stop.click()
        return "done"

    part.start("Copying files", work, lambda: ended.append(part.line.value), Work.end)
    part.start("Copying files", lambda _: pytest.fail("two at once"), lambda: None)
    both.set()
    assert part.thread is not None
    part.thread.join(WAIT_S)
    assert len(copied) == 6 and "stopped while copying files" in ended[0]
    assert part.stop.layout.display == "none"
    with pytest.raises(PickroomError, match="stopped"):
        stopped = Work("Copying", lambda text: None)
        stopped.end()
        stopped.phase("Moving")


def test_a_damaged_file_is_a_line_in_its_part(make_project: Make) -> None:
    target: AutomationTarget = proposed(make_project([(1, 2)]))
    target.decisions.write_text("{}\n")
    page = AutomatePage(target.origin)
    assert 'role="alert"' in page.proposals.line.value and "automation_decisions.jsonl" in page.proposals.line.value
    assert not page.generate.disabled and "Undo" not in page.proposals.line.value


def test_a_folder_that_is_gone_is_one_line(make_project: Make) -> None:
    project = make_project([(1, 2)])
    project.root.rename(project.root.with_name("away"))
    page = AutomatePage(project)
    assert 'role="alert"' in page.where.line.value and str(project.root) in page.where.line.value
    assert page.preview.disabled and page.apply.disabled and page.undo.disabled
