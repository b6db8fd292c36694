"""The automation's review in a real JupyterLab and a real Chromium: fifty groups, as a person goes through them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from conftest import read_tree, stage_name, write_image
from pickroom.automation import apply, sandbox
from pickroom.automation.decisions_file import read_approved
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.automating import BOX, images_tree
from support.reviewing import queue, recommend

SIZE = (720, 960)  # pixels of every image: larger than its place on the stage
GROUPS = 50
# ten groups of each verdict: (key, what it becomes)
ROUND = (("a", "approved"), ("1", "overridden"), ("r", "rejected"), ("Shift+Digit1", "overridden"), ("s", None))


@pytest.fixture
def project(workspace: Workspace, images_folder: Path) -> Project:
    """Fifty pairs; the second is recommended, every fifth with a crop, all equally sure."""
    for number in range(GROUPS):
        start = datetime(2025, 8, 3) + timedelta(hours=number)
        for place, stage in enumerate((1, 2)):
            path = images_folder / stage_name(start + timedelta(minutes=place), stage, "jpg")
            write_image(path, seed=number * 10 + place, size=(9, 12))
            with PillowImage.open(path) as small:
                small.resize(SIZE, PillowImage.Resampling.BICUBIC).save(path)
    made = projects.start(workspace, "p", images_folder)[0]
    for number, group in enumerate(queue(made)):
        crop = BOX if number % 5 == 0 else None
        flags = ("stage 1 may have a defect",) if number < 3 else ()
        recommend(made, group, 1, crop, crop_needed=crop is not None, confidence=None, anomaly_flags=flags)
    return made


@pytest.fixture
def open_deck(open_notebook: OpenNotebook) -> Callable[..., DeskPage]:
    def make(project: Project) -> DeskPage:
        home = str(project.workspace.root)
        notebook = open_notebook("50_automate.ipynb", project=project.id, home=home, sandbox=None)
        deck = DeskPage(notebook, SIZE)
        notebook.run_all()
        deck.page.get_by_role("button", name="Generate").click()
        deck.page.get_by_role("status").get_by_text("50 groups: 0 approved unseen").wait_for()
        assert "Nothing is approved unseen" in deck.page.inner_text("body")
        deck.page.get_by_role("button", name="Review 50 groups").click()
        deck.find()
        return deck

    return make


def test_fifty_groups_without_a_hitch(project: Project, open_deck: Callable[..., DeskPage]) -> None:
    own = read_tree(project.root)
    deck = open_deck(project)
    sources = deck.notebook.cells()
    ids = [group.group_id for group in queue(project)]
    assert "Group 1 of 50" in deck.text("header")
    assert deck.page.locator(".pickroom-tools").inner_text().split()[:3] == ["Show", "Needs", "you"]

    for place in range(GROUPS - 1):
        assert deck.data()["token"] == ids[place]  # each key found its own group on screen
        deck.press(ROUND[place % 5][0])
        if place == 20:  # a reload in the middle: nothing is lost
            deck.notebook.reload()
            deck.find()
            assert deck.data()["position"] == "21" and "reviewed 17" in deck.text("header")
    assert deck.data()["token"] == ids[-1]

    deck.page.get_by_role("button", name="Flagged 3").click()
    deck.wait_for_text("header", "Only flagged - Group")
    deck.page.get_by_role("button", name="Needs you 50").click()
    deck.wait_for_text("header", "of 50")
    deck.press("Home", "i")
    deck.press("Escape", "u", "Shift+U")
    deck.press("End", "Shift+Enter")
    assert "Write approved_decisions.jsonl?" in deck.text("panel") and "10 groups" in deck.text("panel")
    deck.press("Shift+Enter")
    deck.wait_for_text("words", "Written to approved_decisions.jsonl")
    assert deck.notebook.cells() == sources  # no key reached the notebook

    place = sandbox.locate(project)
    expected = {g: ROUND[n % 5][1] for n, g in enumerate(ids[:-1]) if ROUND[n % 5][1]}
    found = read_approved(place.approved)
    assert {group_id: line.action for group_id, line in found.items()} == expected
    assert sum(line.crop is not None for line in found.values()) == 10
    assert images_tree(place.folder) == own == read_tree(project.root)  # nothing has moved
    assert len(apply.apply(place).plan.items) == 30
    assert read_tree(project.root) == own
