"""What a test does with a board of thumbnails in the browser: press, click, draw a band, look at what is there."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from browser.lab import NotebookPage

# every key was answered, and every thumbnail on screen is there
SETTLED = """answered => {
  const grid = document.querySelector(".pickroom-grid")?.dataset;
  return grid?.number && +(grid.answered ?? 0) >= answered && grid.seen === grid.ready;
}"""


@dataclass(frozen=True, slots=True)
class GridPage:
    """The board of a notebook."""

    notebook: NotebookPage

    @property
    def page(self) -> Page:
        return self.notebook.page

    @property
    def grid(self) -> Locator:
        return self.page.locator(".pickroom-grid")

    def data(self) -> dict[str, str]:
        """What the grid says of itself: token, cursor, answered, seen, ready, cells, number."""
        return self.grid.evaluate("grid => ({...grid.dataset})")

    def wait(self, answered: int = 0) -> None:
        """Until so many clicks and keys of this view are answered and every thumbnail on screen is there."""
        self.page.wait_for_function(SETTLED, arg=answered)

    def show(self) -> None:
        """Run the notebook and bring the board into view, with the keyboard on it."""
        self.notebook.run_all()
        self.find()

    def find(self) -> None:
        self.notebook.scroll_to_cell(2)
        self.wait()
        self.page.locator(".pickroom-desk").evaluate("desk => desk.scrollIntoView({block: 'start'})")
        self.grid.focus()

    def answered(self) -> int:
        return int(self.data().get("answered", 0))

    def press(self, *keys: str) -> None:
        """Press keys one after the other, each when the answer to the last one is on screen."""
        for key in keys:
            before = self.answered()
            self.page.keyboard.press(key)
            self.wait(before + 1)

    def cell(self, place: int) -> Locator:
        return self.page.locator(f".pickroom-cell[data-place='{place}']")

    def click(self, place: int, *modifiers: str) -> None:
        before = self.answered()
        self.cell(place).click(modifiers=list(modifiers))  # type: ignore[arg-type]
        self.wait(before + 1)

    def click_button(self, text: str) -> None:
        before = self.answered()
        self.page.locator(".pickroom-desk button[data-press]", has_text=text).first.click()
        self.wait(before + 1)

    def band(self, first: int, last: int) -> None:
        """Draw a rubber band from inside one image to inside another."""
        before = self.answered()
        start, end = self.cell(first).bounding_box(), self.cell(last).bounding_box()
        assert start is not None and end is not None
        self.page.mouse.move(start["x"] + start["width"] / 2, start["y"] + start["height"] / 2)
        self.page.mouse.down()
        self.page.mouse.move(end["x"] + end["width"] / 2, end["y"] + end["height"] / 2, steps=6)
        self.page.wait_for_function("!document.querySelector('.pickroom-grid-band').hidden")
        self.page.mouse.up()
        self.wait(before + 1)

    def selected(self) -> list[int]:
        """The places that are drawn as selected."""
        cells = self.page.locator(".pickroom-cell.pickroom-selected")
        return sorted(int(place) for place in cells.evaluate_all("cells => cells.map(cell => cell.dataset.place)"))

    def marks(self) -> dict[int, str]:
        """Place -> what stands on it, of the marked images that are drawn."""
        cells = self.page.locator(".pickroom-cell:not([data-mark='']):has(.pickroom-cell-mark:not(:empty))")
        pairs = cells.evaluate_all(
            "cells => cells.map(cell => [+cell.dataset.place, cell.querySelector('.pickroom-cell-mark').textContent])"
        )
        return dict(sorted(map(tuple, pairs)))  # type: ignore[arg-type]

    def text(self, part: str) -> str:
        """The words of the header, the words under the board, or the panel."""
        return self.page.locator(f".pickroom-{part}").inner_text()

    def wait_for_text(self, part: str, text: str) -> None:
        self.page.locator(f".pickroom-{part}", has_text=text).wait_for()
