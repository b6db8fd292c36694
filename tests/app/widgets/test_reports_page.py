"""The page that ends a project, without a browser: its buttons pressed on a real project, report and archive made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.widgets.test_automate_page import WAIT_S, press
from conftest import read_tree
from pickroom.app.widgets.reports_page import ReclaimDesk, ReportsPage
from pickroom.demo.plan import DemoConfig
from pickroom.sessions.crop.session import CropSession
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review
from support.simulated import start_simulated


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """Three groups of photographs: one picked, one to be cropped, one undecided; one image in no group."""
    made = start_simulated(Workspace(tmp_path), DemoConfig(groups=3, seed=3, long_side=96))
    review(made, "1", "q", *FINALISE)
    return made


@pytest.fixture
def page(project: Project) -> Iterator[ReportsPage]:
    opened = ReportsPage(project)
    wait(opened)
    yield opened
    opened.close()


def wait(page: ReportsPage) -> None:
    """Until the look at what blocks finishing has ended."""
    assert page.finishing.thread is not None
    page.finishing.thread.join(WAIT_S)
    assert not page.finishing.thread.is_alive()


def crop_all(project: Project) -> None:
    session = CropSession(project)
    while session.view().images:
        session.press("Enter")
    session.close()


def test_what_blocks_is_said_first_and_then_it_is_finished(page: ReportsPage, project: Project) -> None:
    assert page.finish.disabled and "First: crops wait to be made: 1" in page.finishing.body.value
    assert "1 group is undecided" in page.finishing.body.value and "pickroom" not in page.finishing.body.value
    assert "None has been made yet" in page.reporting.body.value and page.show.disabled
    crop_all(project)
    page.look()
    wait(page)
    assert not page.finish.disabled and "First:" not in page.finishing.body.value
    before = read_tree(project.root)
    said = press(page.finishing, page.finish)
    assert f"Project {project.id} is finished" in said and read_tree(project.root) == before
    assert project.workspace.project(project.id).manifest.status == "finished"
    page.show.click()
    assert "<iframe sandbox" in page.reporting.body.value and page.show.description == "Hide the report"
    page.show.click()
    assert "<iframe" not in page.reporting.body.value
    page.reclaim.click()
    assert isinstance(page.parts[-1], ReclaimDesk) and page.parts[-1].thread is not None
    page.parts[-1].thread.join(WAIT_S)
    assert "can come back" in page.parts[-1].body.value


def test_each_batch_says_what_it_did_and_what_blocks_its_undo(page: ReportsPage, project: Project) -> None:
    (first,) = page._rows.children
    assert "1 group" in (words := first.children[0].value) or "2 groups" in words
    assert "in selected/" in words and "in crop/" in words
    crop_all(project)
    page.draw()
    crop_row, first = page._rows.children
    assert "1 crop" in crop_row.children[0].value and list(page.undo) == [2]
    assert "It cannot be undone: batch 1 has 1 crop made or dropped since." in first.children[0].value
    assert "Batch 2 of demo is undone: 1 crop is taken back" in press(page.batches, page.undo[2])
    wait(page)
    assert "undone" in page._rows.children[0].children[0].value and list(page.undo) == [1]
    assert "2 groups wait again" in press(page.batches, page.undo[1])
    assert page.undo == {}


def test_a_file_that_is_gone_blocks_the_undo_of_its_batch(page: ReportsPage, project: Project) -> None:
    gone = next((project.root / "selected").glob("*.jpg"), None) or next((project.root / "selected").iterdir())
    gone.rename(gone.with_name("elsewhere.bin"))
    page.undo[1].click()  # of the page as it was drawn
    assert page.batches.thread is not None
    page.batches.thread.join(WAIT_S)
    assert "is gone" in page.batches.line.value and 'role="alert"' in page.batches.line.value
    assert page.undo == {} and "It cannot be undone" in page._rows.children[0].children[0].value


def test_a_report_that_was_made_is_shown(page: ReportsPage, project: Project) -> None:
    folder = project.workspace.reports / project.id
    folder.mkdir(parents=True)
    for name in ("a", "b"):
        (folder / f"{name}.html").write_text(f"<p>of {name}")
    page.draw()
    assert "a.html" in page.reporting.body.value and "<iframe" not in page.reporting.body.value
    page.show.click()
    assert "&lt;p&gt;of a" in page.reporting.body.value and "&lt;p&gt;of b" in page.reporting.body.value
    (folder / "b.html").write_bytes(b"\xff")
    page.show.click()
    page.show.click()
    assert "it cannot be read" in page.reporting.line.value
