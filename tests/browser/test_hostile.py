"""Markup in file names, PNG texts, captions and settings, in a real browser: it is read as words and runs nowhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin
from playwright.sync_api import Browser, Page

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from browser.grid_page import GridPage
from conftest import SCANNED_AT, write_image
from pickroom.analysis.reports import render
from pickroom.analysis.reports.sections import Report
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review

SIZE = (48, 64)
REVIEW = {"batch_size": 100, "blind": False, "order": "folder"}
RUNS = "window.pickroomRan = (window.pickroomRan || 0) + 1"
IMG = f'<img src=x onerror="{RUNS}">'
SCRIPT = f"</script><script>{RUNS}</script><svg onload='{RUNS}'>"
# what markup would have made, had it been taken for markup; and whether anything of it ran
FOUND = """() => ({
  ran: window.pickroomRan ?? 0,
  made: document.querySelectorAll("img[src='x'], [onerror], svg[onload], [onmouseover]").length,
})"""


def hostile_images(folder: Path) -> None:
    """Two groups: names, PNG texts, captions and settings that a careless page would run."""
    for hour in (6, 7):
        for stage in (1, 2):
            name = f"<img src=x onerror=pickroomRan=1>_20250803_0{hour}0{stage}00_stage{stage}_x.png"
            path = write_image(folder / name, seed=hour * 10 + stage, size=SIZE)
            info = PngImagePlugin.PngInfo()
            info.add_text("parameters", f"{IMG} {stage}\nNegative prompt: {SCRIPT}\nSteps: {stage}, Sampler: {IMG}")
            info.add_text("<b onmouseover=x>", SCRIPT)
            with PillowImage.open(path) as image:
                image.load()
                image.save(path, pnginfo=info)
            stem = path.name.removesuffix(".png")
            (folder / f"{stem}.caption").write_text(f"{SCRIPT} {stage}")
            (folder / f"{stem}.yaml").write_text(f"'{IMG.replace(chr(39), '')}': '<script>{stage}</script>'\n")


@pytest.fixture
def project(workspace: Workspace, images_folder: Path) -> Project:
    hostile_images(images_folder)
    project, _ = projects.start(workspace, "p", images_folder, title=SCRIPT, at=SCANNED_AT)
    review(project, "1", *FINALISE)
    return project


def clean(page: Page, *, says: str) -> None:
    """Nothing ran and nothing was made; the words themselves are there."""
    page.wait_for_function("says => document.body.innerText.includes(says)", arg=says)
    assert page.evaluate(FOUND) == {"ran": 0, "made": 0}


def test_markup_in_images_is_words_on_every_page(
    project: Project, open_notebook: OpenNotebook, chromium: Browser, tmp_path: Path
) -> None:
    home = str(project.workspace.root)
    deck = DeskPage(open_notebook("20_review.ipynb", project="p", home=home, **REVIEW), SIZE)
    deck.show()
    deck.press("i")
    clean(deck.page, says="onerror=")
    deck.press("i", "1", "Shift+Enter")
    clean(deck.page, says="Finalise this batch?")

    for name, parameters in (("71_browse.ipynb", {"folders": ["selected"]}), ("70_sort.ipynb", {"folders": None})):
        board = GridPage(open_notebook(name, project="p", home=home, **parameters))
        board.show()
        board.press("i")
        clean(board.page, says="</script><script>")
        board.press("i", "Home", "Enter")  # the large look, with its name
        clean(board.page, says="pickroomRan=1")

    with Report.open(project.id, project.workspace.root) as opened:
        sections = (opened.heading, opened.overview, opened.work, opened.agreement, opened.mistakes, opened.crops)
        body = "".join(section().html for section in (*sections, opened.health))
    path = tmp_path / "report.html"
    path.write_text(render.page(body, project.manifest.title), encoding="utf-8")
    page = chromium.new_page()
    page.goto(path.as_uri())
    clean(page, says="</script><script>")
    # and what would get into a report by another way runs nothing either
    path.write_text(render.page(f"{body}{IMG}<script>{RUNS}</script>", "p"), encoding="utf-8")
    page.goto(path.as_uri())
    page.locator("img[src='x']").wait_for(state="attached")
    assert page.evaluate("window.pickroomRan ?? 0") == 0
    page.close()
