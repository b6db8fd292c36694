"""What a test does with any desk in the browser, be there a stage in it or a grid: run, find, press, read the words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from playwright.sync_api import Locator, Page

from browser.lab import NotebookPage


@dataclass(frozen=True, slots=True)
class BoardPage:
    """A desk of a notebook, and the surface in it that takes the keys.

    Attributes:
        cell: where the notebook shows it, from 0.
        surface: its selector; settled: JavaScript, answered => whether so many keys are answered and drawn.
    """

    notebook: NotebookPage
    cell: int = field(default=2, kw_only=True)

    surface: ClassVar[str]
    settled: ClassVar[str]

    @property
    def page(self) -> Page:
        return self.notebook.page

    @property
    def keys(self) -> Locator:
        """What takes the keys."""
        return self.page.locator(self.surface)

    def data(self) -> dict[str, str]:
        """What the surface says of itself, for tests to wait for."""
        return self.keys.evaluate("surface => ({...surface.dataset})")

    def answered(self) -> int:
        """The number of the last key of this view whose answer is on screen."""
        return int(self.data().get("answered", 0))

    def wait(self, answered: int = 0) -> None:
        """Until so many keys of this view are answered and drawn, with every picture on screen there."""
        self.page.wait_for_function(self.settled, arg=answered)

    def show(self) -> None:
        """Run the notebook and bring the desk into view, with the keyboard on it."""
        self.notebook.run_all()
        self.find()

    def find(self) -> None:
        """Bring the desk into view, with the keyboard on it."""
        self.notebook.scroll_to_cell(self.cell)
        self.wait()
        self.page.locator(".pickroom-desk").evaluate("desk => desk.scrollIntoView({block: 'start'})")
        self.keys.focus()
        self.page.keyboard.press("Shift")  # a key, so that the next click is not the first one (REVIEW.md)

    def press(self, *keys: str) -> None:
        """Press keys one after the other, each when the answer to the last one is on screen."""
        for key in keys:
            before = self.answered()
            self.page.keyboard.press(key)
            self.wait(before + 1)

    def click_button(self, text: str) -> None:
        """Click a button of the desk that stands for a key."""
        before = self.answered()
        self.page.locator(".pickroom-desk button[data-press]", has_text=text).first.click()
        self.wait(before + 1)

    def text(self, part: str) -> str:
        """The words of the header, the words under the surface, or the panel."""
        return self.page.locator(f".pickroom-{part}").inner_text()

    def wait_for_text(self, part: str, text: str) -> None:
        self.page.locator(f".pickroom-{part}", has_text=text).wait_for()
