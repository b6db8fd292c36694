"""A folder of 200 photographs, from an empty workspace to a batch, a crop, a report and an undo, in the app alone.

Once by mouse and once by keyboard alone: whatever the mouse clicks is reached by Tab and pressed with Enter.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page
from playwright.sync_api import TimeoutError as PlaywrightTimeoutError

from browser.conftest import PATIENCE_MS, WINDOW
from browser.desk_page import SETTLED
from browser.test_app import start_app
from pickroom.app.widgets.app import PAGES
from pickroom.store.workspace import Workspace
from support.photographs import shoot
from support.reviewing import decisions, queue

MOST_TABS = 120  # to get anywhere: a page has some dozens of places
DRAWN_TWICE = "() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))"
HERE = "element => element === document.activeElement"


class Mouse:
    """Everything by clicks."""

    def __init__(self, page: Page) -> None:
        self.page = page

    def press(self, button: Locator) -> None:
        button.first.hover()
        # a frame of its own process is found by the pointer only where it lay when the page was last drawn
        self.page.evaluate(DRAWN_TWICE)
        button.first.click()

    def choose(self, *, pick: int, crop: int) -> None:
        """Pick an image of the first group, an image to crop of the second, and reject the third."""
        self.page.locator(".pickroom-caption").nth(pick).wait_for()
        self.page.get_by_role("button", name="Skip").hover()  # the deck has the keys: the next click counts
        stage = self.page.locator(".pickroom-image-view").bounding_box()
        caption = self.page.locator(".pickroom-caption").nth(pick).bounding_box()
        assert stage is not None and caption is not None
        at = caption["x"] + caption["width"] / 2, caption["y"] - 30  # on the image over its words
        self.page.mouse.click(*at)
        self.page.mouse.click(*at)
        self.settle(1)
        self.press(self.page.locator(".pickroom-caption").nth(crop).get_by_role("button", name="Crop"))
        self.settle(2)
        self.press(self.page.get_by_role("button", name="Reject all"))
        self.settle(3)

    def settle(self, answered: int) -> None:
        self.page.wait_for_function(SETTLED, arg=answered)

    def finalise(self) -> None:
        self.press(self.page.get_by_role("button", name="Finalise"))
        self.settle(4)
        self.press(self.page.locator(".pickroom-panel button.main"))

    def draw(self) -> None:
        """Move the box that the desk proposes."""
        stage = self.page.locator(".pickroom-image-view").bounding_box()
        assert stage is not None
        x, y = stage["x"] + stage["width"] / 2, stage["y"] + stage["height"] / 2
        self.page.mouse.click(x, y)
        self.page.mouse.move(x, y)
        self.page.mouse.down()
        self.page.mouse.move(x + 40, y + 30, steps=4)
        self.page.mouse.up()


class Keyboard(Mouse):
    """Everything by keys."""

    def press(self, button: Locator) -> None:
        button = button.first
        button.wait_for()
        self.page.keyboard.press("Escape")  # the crop desk has Tab for its images; after Escape it leads on
        for _ in range(MOST_TABS):
            if button.evaluate(HERE):
                self.page.keyboard.press("Enter")
                return
            self.page.keyboard.press("Tab")
        raise AssertionError(f"no Tab leads to {button}")

    def choose(self, *, pick: int, crop: int) -> None:
        for answered, key in enumerate((str(pick + 1), "qwer"[crop], "x"), start=1):
            self.page.keyboard.press(key)
            self.settle(answered)

    def finalise(self) -> None:
        self.page.keyboard.press("Shift+Enter")
        self.settle(4)
        self.page.keyboard.press("Shift+Enter")

    def draw(self) -> None:
        self.page.keyboard.press("ArrowRight")


def until(act: Callable[[], None], done: Locator) -> None:
    """Act, and again where a busy page asks for it ("too early: look, and do it again"), at most three times."""
    for _ in range(2):
        act()
        with suppress(PlaywrightTimeoutError):
            done.wait_for(timeout=PATIENCE_MS / 2)
            return
    act()
    done.wait_for()


@pytest.mark.parametrize("hand", [Mouse, Keyboard])
def test_folder_becomes_a_finished_batch_in_the_app_alone(
    tmp_path: Path, chromium: Browser, monkeypatch: pytest.MonkeyPatch, hand: type[Mouse]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    token = secrets.token_hex(8)
    shoot(tmp_path / "card", bursts=50, shots=4)
    with start_app(tmp_path, token) as address:
        page = chromium.new_page(viewport=WINDOW)
        page.set_default_timeout(2 * PATIENCE_MS)
        user = hand(page)
        page.goto(f"{address}?token={token}")

        def button(name: str) -> Locator:
            return page.get_by_role("button", name=name)

        user.press(button("Add a folder"))
        user.press(page.get_by_role("button", name="card", exact=True))
        user.press(page.locator(".chooser button.main"))

        page.wait_for_function(SETTLED, arg=0)
        user.choose(pick=1, crop=0)
        until(user.finalise, page.locator(".pickroom-header", has_text="reviewed 0 "))

        user.press(page.get_by_role("button", name="Crop", exact=True))
        page.locator(".pickroom-header", has_text="1 image waits for a crop").wait_for()
        page.wait_for_function(SETTLED, arg=0)

        def crop() -> None:
            user.draw()
            if hand is Mouse:
                user.press(page.locator(".pickroom-desk").get_by_role("button", name="Submit crop"))
            else:
                user.settle(1)
                page.keyboard.press("Enter")

        until(crop, page.locator(".pickroom-header", has_text="1 made here"))

        page.wait_for_function("() => document.querySelector('.pickroom-indexing').textContent === ''")
        user.press(page.get_by_role("button", name=PAGES["reports"].label, exact=True))
        user.press(button("Make the report"))
        page.frame_locator("iframe").get_by_text("images picked").wait_for()
        for batch in (2, 1):  # the crop first
            user.press(button(f"Undo batch {batch}"))
            page.locator(".pickroom-part p", has_text=re.compile(f"Batch {batch}, .*: undone")).wait_for()
        page.close()
    project = Workspace(tmp_path).project("card")
    assert (len(queue(project)), decisions(project)) == (50, {})
    assert sorted(path.name for path in project.root.glob("*.jpg")) == [f"IMG_{n:04d}.jpg" for n in range(200)]
    assert list(project.root.glob("data/**/*.html")) == []
