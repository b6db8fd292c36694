"""Every page of the app by keyboard alone, and by the rules of WCAG 2.1 AA: in light and dark, at two sizes."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from browser.conftest import PATIENCE_MS
from browser.desk_page import SETTLED
from browser.grid_page import SETTLED as GRID_SETTLED
from browser.test_app import start_app
from pickroom.demo.plan import DemoConfig
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Workspace
from support.simulated import start_simulated

SIZES = ((1280, 800), (1600, 1000))
RULES = {"runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}}
# a desk has been drawn for the size that the window has now
LAID_OUT = """() => {
  const photos = document.querySelector(".pickroom-image-view > canvas");
  return !photos || Math.abs(photos.width - photos.clientWidth * devicePixelRatio) < 2;
}"""
SERIOUS = ("serious", "critical")


@dataclass(frozen=True)
class AppPage:
    """A page of the app, and what is done there before it is looked at.

    Attributes:
        query: as the address names it.
        ready: a selector of what is there when the page is, "" for a desk with images.
        states: keys that open something on a desk or choose, and those that take it back, one after the other.
    """

    query: str
    ready: str = ""
    states: tuple[tuple[str, str], ...] = ()


# A new page of the app, or a state of one that shows other things, is added here.
PAGES = {
    "projects": AppPage("", ".cards section"),
    "folder chooser": AppPage("folder={folder}", ".chooser"),
    "review": AppPage(
        "project=demo&desk=review",
        states=(
            ("Home 1 ArrowLeft", "u u"),
            ("x ArrowLeft", "u u"),
            ("?", "?"),
            ("i", "i"),
            ("f", "f"),
            ("Shift+Enter", "Escape"),
        ),
    ),
    "crop": AppPage("project=demo&desk=crop", states=(("?", "?"), ("n", "u"))),
    "browse": AppPage(
        "project=demo&desk=browse", ".pickroom-grid:focus", (("Shift+ArrowRight", "Escape"), ("Enter", "Escape"))
    ),
    "sort": AppPage("project=demo&desk=sort", ".pickroom-grid:focus"),
    "duplicates": AppPage("project=demo&desk=duplicates"),
    "automate": AppPage("project=demo&desk=automate", ".pickroom-part button:visible"),
    "models": AppPage("project=demo&desk=models", ".pickroom-part button:visible"),
    "reports": AppPage("project=demo&desk=reports", ".pickroom-part button:visible"),
    "nothing there": AppPage("project=gone", ".pickroom-app-room section"),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, Path]]:
    """(address, token, home) of an app on a project with groups to review and images to crop."""
    home, token = tmp_path_factory.mktemp("home"), secrets.token_hex(8)
    project = start_simulated(Workspace(home), DemoConfig(groups=6, seed=3, long_side=256))
    session = ReviewSession(project, batch_size=2)
    for key in ("q", "q", "Shift+Enter", "Shift+Enter"):
        session.press(key)
    session.close()
    with start_app(home, token) as address:
        yield address, token, home


class Checker:
    """The pages of an app, looked at one after the other; `found` is what is wrong, a line each."""

    def __init__(self, page: Page, app: tuple[str, str, Path], theme: str) -> None:
        self.page, self.app, self.theme = page, app, theme
        self.axe, self.found = Axe(), list[str]()

    def open(self, shown: AppPage) -> None:
        address, token, home = self.app
        query = shown.query.format(folder=home)
        self.page.goto(f"{address}?{query}{'&' if query else ''}theme={self.theme}&token={token}")
        if shown.ready:
            self.page.locator(shown.ready).first.wait_for()
        else:
            self.page.wait_for_function(SETTLED, arg=0)

    def look(self, name: str, shown: AppPage) -> None:
        self.open(shown)
        self._check(name)
        pressed = 0
        for there, back in shown.states:
            pressed = self._press(shown, there, pressed)
            self._check(f"{name}, {there}")
            pressed = self._press(shown, back, pressed)

    def _press(self, shown: AppPage, keys: str, before: int) -> int:
        settled = GRID_SETTLED if "grid" in shown.ready else SETTLED
        for number, key in enumerate(keys.split(), start=before + 1):
            self.page.keyboard.press(key)
            self.page.wait_for_function(settled, arg=number)
        return before + len(keys.split())

    def _check(self, name: str) -> None:
        for width, height in SIZES if self.theme == "light" else SIZES[:1]:
            self.page.set_viewport_size({"width": width, "height": height})
            self.page.wait_for_function(LAID_OUT)
            answer = self.axe.run(self.page, options=RULES).response
            where = f"{name} at {width} × {height}"
            if not any(rule["id"] == "color-contrast" for rule in (*answer["passes"], *answer["violations"])):
                self.found.append(f"{where}: no text was looked at")
            self.found += [
                f"{where}: {rule['id']}: {node['html'][:160]}: {node['failureSummary']}"
                for rule in answer["violations"]
                if rule["impact"] in SERIOUS
                for node in rule["nodes"]
            ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_violation(app: tuple[str, str, Path], chromium: Browser, theme: str) -> None:
    page = chromium.new_page()
    page.set_default_timeout(3 * PATIENCE_MS)
    checker = Checker(page, app, theme)
    for name, shown in PAGES.items():
        checker.look(name, shown)
    page.close()
    assert not checker.found, "\n".join(checker.found)


# what has the keyboard: a name for it, its place, and whether it shows that by a line which nothing around it cuts off
FOCUSED = """() => {
  const el = document.activeElement;
  if (!el || el === document.body) return null;
  const { outlineStyle, outlineWidth, outlineOffset } = getComputedStyle(el);
  const { x, y, width, height } = el.getBoundingClientRect();
  const out = parseFloat(outlineWidth) + parseFloat(outlineOffset);
  let seen = outlineStyle !== "none" && parseFloat(outlineWidth) >= 2 && width > 0 && height > 0;
  for (let around = el.parentElement; around && !around.matches(".pickroom-app"); around = around.parentElement) {
    if (getComputedStyle(around).overflow === "visible") continue;
    const box = around.getBoundingClientRect();
    const [right, bottom] = [x + width + out, y + height + out];
    seen &&= x - out >= box.x - 0.5 && right <= box.right + 0.5 && y - out >= box.y - 0.5 && bottom <= box.bottom + 0.5;
  }
  const name = el.ariaLabel || el.textContent || el.labels?.[0]?.textContent;
  return { name, stage: el.matches(".pickroom-image-view"), x, y, seen };
}"""
MOST_STOPS = 100


@pytest.mark.parametrize("name", ["projects", "review", "crop", "sort", "reports"])  # one of each kind
def test_tab_leads_through_a_page_and_out_again(app: tuple[str, str, Path], chromium: Browser, name: str) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(3 * PATIENCE_MS)
    Checker(page, app, "light").open(PAGES[name])
    page.evaluate("document.activeElement.blur()")
    page.mouse.click(1, 1)  # where no button is: from here Tab goes to the first
    stops = []
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        focused = page.evaluate(FOCUSED)
        if focused is None:
            break
        stops.append(focused)
        if focused["stage"]:  # where Tab is one of its keys, Escape first
            page.keyboard.press("Escape")
    assert 1 < len(stops) < MOST_STOPS
    assert all(stop["seen"] for stop in stops), stops
    assert all(stop["name"].strip() for stop in stops), stops
    for before, after in pairwise(stops):  # the next one is below, or to the right
        assert after["y"] >= before["y"] - 8 or after["x"] > before["x"], (before, after)
    assert any(stop["stage"] for stop in stops) == (not PAGES[name].ready)
    page.close()


def test_what_a_key_did_is_read_aloud(app: tuple[str, str, Path], chromium: Browser) -> None:
    page = chromium.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(3 * PATIENCE_MS)
    Checker(page, app, "light").open(PAGES["review"])
    stage = page.locator(".pickroom-image-view")
    pressed = (
        ("Home", "undecided"),
        ("1", ""),
        ("ArrowLeft", "image 1 picked"),
        ("u", "undecided"),
        ("u", "undecided"),
    )
    for answered, (key, label) in enumerate(pressed, start=1):
        page.keyboard.press(key)
        page.wait_for_function(SETTLED, arg=answered)
        assert label in (stage.get_attribute("aria-label") or "")
    assert page.locator("[aria-live=polite]", has_text="Undone").count() == 1
    page.close()
