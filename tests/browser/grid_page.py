"""What a test does with a board of thumbnails in the browser: click, draw a band, look at what is marked."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator

from browser.board_page import BoardPage

# every key was answered, and every thumbnail on screen is there
SETTLED = """answered => {
  const grid = document.querySelector(".pickroom-grid")?.dataset;
  return grid?.number && +(grid.answered ?? 0) >= answered && grid.seen === grid.ready;
}"""


@dataclass(frozen=True, slots=True)
class GridPage(BoardPage):
    """A grid says of itself: token, cursor, answered, seen, ready, cells, number."""

    surface = ".pickroom-grid"
    settled = SETTLED

    @property
    def grid(self) -> Locator:
        return self.keys

    def thumbnail(self, place: int) -> Locator:
        return self.page.locator(f".pickroom-cell[data-place='{place}']")

    def click(self, place: int, *modifiers: str) -> None:
        before = self.answered()
        self.thumbnail(place).click(modifiers=list(modifiers))  # type: ignore[arg-type]
        self.wait(before + 1)

    def band(self, first: int, last: int) -> None:
        """Draw a rubber band from inside one image to inside another."""
        before = self.answered()
        start, end = self.thumbnail(first).bounding_box(), self.thumbnail(last).bounding_box()
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
