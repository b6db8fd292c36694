"""Automate, Models and Reports of the app: by keyboard alone, from proposals to an undo, and a report."""

from __future__ import annotations

import secrets
from pathlib import Path

from playwright.sync_api import Browser, Page

from browser.conftest import PATIENCE_MS, WINDOW
from browser.desk_page import SETTLED
from browser.test_app import start_app
from conftest import read_tree
from pickroom.automation import sandbox
from pickroom.demo.plan import DemoConfig
from pickroom.store.workspace import Workspace
from support.automating import images_tree
from support.reviewing import FINALISE, review
from support.simulated import start_simulated

FOCUSED = """() => {
  const one = document.activeElement;
  return {text: one.textContent.trim(), seen: parseFloat(getComputedStyle(one).outlineWidth) >= 2};
}"""


def press_by_keyboard(page: Page, name: str) -> None:
    """Tab to a button, which must show that it is focused, and press Enter."""
    for _ in range(60):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused["text"] == name:
            assert focused["seen"], f"{name} does not show the focus"
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"{name} cannot be reached by keyboard")


def said(page: Page, words: str) -> None:
    page.get_by_role("status").get_by_text(words).first.wait_for()


def test_automate_and_reports_by_keyboard_alone(tmp_path: Path, chromium: Browser) -> None:
    workspace, token = Workspace(tmp_path), secrets.token_hex(8)
    project = start_simulated(workspace, DemoConfig(groups=4, seed=3, long_side=256))
    review(project, "1", *FINALISE)
    own = read_tree(project.root)
    with start_app(tmp_path, token) as address:
        page = chromium.new_page(viewport=WINDOW)  # type: ignore[arg-type]
        page.set_default_timeout(3 * PATIENCE_MS)
        page.goto(f"{address}?project=demo&desk=automate&token={token}")
        page.get_by_text("more blind decisions are needed").first.wait_for()
        press_by_keyboard(page, "Generate")
        said(page, "3 groups: 0 approved unseen, 3 for you")
        press_by_keyboard(page, "Review 3 groups")
        page.wait_for_function(SETTLED, arg=0)
        for answered, key in enumerate(("1", "1", "1", "Shift+Enter"), start=1):
            page.keyboard.press(key)
            page.wait_for_function(SETTLED, arg=answered)
        page.keyboard.press("Shift+Enter")
        page.locator(".pickroom-words", has_text="Written to approved_decisions.jsonl").wait_for()
        press_by_keyboard(page, "Back to Automate")
        press_by_keyboard(page, "Show what Apply does")
        said(page, "Nothing has moved yet")
        target = sandbox.locate(project)
        before = images_tree(target.folder)
        press_by_keyboard(page, "Apply to 3 groups")
        said(page, "Batch 2: 3 groups done")
        assert images_tree(target.folder) != before
        press_by_keyboard(page, "Undo")
        said(page, "Batch 2 is undone: 3 groups wait again")
        assert {path: images_tree(target.folder)[path] for path in before} == before
        assert read_tree(project.root) == own

        press_by_keyboard(page, "Models")
        page.get_by_text("Nothing has been learned yet.", exact=True).wait_for()
        press_by_keyboard(page, "Reports")
        page.get_by_text("3 groups are undecided").wait_for()
        press_by_keyboard(page, "Make the report")
        page.frame_locator("iframe").get_by_text("demo").first.wait_for()
        press_by_keyboard(page, "Undo batch 1")
        said(page, "Batch 1 of demo is undone: 1 group waits again")
        width = page.evaluate("document.querySelector('.pickroom-app-room').scrollWidth - innerWidth")
        assert width <= 0  # nothing is cut off at the side
        page.close()
