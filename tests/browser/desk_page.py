"""What a test does with a desk in the browser: press keys, wait for the answer, look at what is there."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator, Page

from browser.lab import NotebookPage
from pickroom.ui.layout import arrange

# every key was answered, the answer is painted, and every image of the frame is there
SETTLED = """answered => {
  const stage = document.querySelector(".pickroom-stage")?.dataset;
  return stage?.settled && +stage.answered >= answered && stage.drawn === stage.images;
}"""


@dataclass(frozen=True, slots=True)
class DeskPage:
    """The desk of a notebook.

    Attributes:
        image_size: (width, height) in pixels of every image of the project, to find them on the stage.
        cell: where the notebook shows it, from 0.
    """

    notebook: NotebookPage
    image_size: tuple[int, int]
    cell: int = 2

    @property
    def page(self) -> Page:
        return self.notebook.page

    @property
    def stage(self) -> Locator:
        return self.page.locator(".pickroom-stage")

    def data(self) -> dict[str, str]:
        """What the stage says of itself: token, position, settled, answered, drawn, images."""
        return self.stage.evaluate("stage => ({...stage.dataset})")

    def wait(self, answered: int = 0) -> None:
        """Until the first frame is there, or so many keys of this view are answered and painted."""
        self.page.wait_for_function(SETTLED, arg=answered)

    def show(self) -> None:
        """Run the notebook and bring the desk into view, with the keyboard on it."""
        self.notebook.run_all()
        self.find()

    def find(self) -> None:
        """Bring the desk into view, with the keyboard on it."""
        self.notebook.scroll_to_cell(self.cell)
        self.wait()
        self.page.locator(".pickroom-desk").evaluate("desk => desk.scrollIntoView({block: 'start'})")
        self.stage.focus()

    def press(self, *keys: str) -> None:
        """Press keys one after the other, each when the answer to the last one is painted."""
        for key in keys:
            answered = int(self.data()["answered"])
            self.page.keyboard.press(key)
            self.wait(answered + 1)

    def image_point(self, number: int) -> tuple[float, float]:
        """A place on an image, a third from its corner, in pixels of the page; numbers from 1."""
        stage = self.stage.bounding_box()
        assert stage is not None
        slots = arrange([self.image_size] * int(self.data()["images"]), stage["width"], stage["height"])
        x, y, width, height = slots[number - 1].box
        return stage["x"] + x + width / 3, stage["y"] + y + height / 3

    def click_image(self, number: int) -> None:
        answered = int(self.data()["answered"])
        self.page.mouse.click(*self.image_point(number))
        self.wait(answered + 1)

    def text(self, part: str) -> str:
        """The words of the header, the words under the images, or the panel."""
        return self.page.locator(f".pickroom-{part}").inner_text()

    def wait_for_text(self, part: str, text: str) -> None:
        self.page.locator(f".pickroom-{part}", has_text=text).wait_for()
