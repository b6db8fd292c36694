"""What a test does with a desk round a stage: the images on it are found and clicked."""

from __future__ import annotations

from dataclasses import dataclass

from playwright.sync_api import Locator

from browser.board_page import BoardPage
from pickroom.app.widgets.overlay import arrange

# every key was answered, the answer is painted, and every image of the frame is there
SETTLED = """answered => {
  const stage = document.querySelector(".pickroom-image-view")?.dataset;
  return stage?.settled && +stage.answered >= answered && stage.drawn === stage.images;
}"""


@dataclass(frozen=True, slots=True)
class DeskPage(BoardPage):
    """A stage says of itself: token, position, settled, answered, drawn, images.

    Attributes:
        image_size: (width, height) in pixels of every image of the project, to find them on the stage.
    """

    image_size: tuple[int, int]

    surface = ".pickroom-image-view"
    settled = SETTLED

    @property
    def stage(self) -> Locator:
        return self.keys

    def image_point(self, number: int) -> tuple[float, float]:
        """A place on an image, a third from its corner, in pixels of the page; numbers from 1."""
        stage = self.stage.bounding_box()
        assert stage is not None
        slots = arrange([self.image_size] * int(self.data()["images"]), stage["width"], stage["height"])
        x, y, width, height = slots[number - 1].box
        return stage["x"] + x + width / 3, stage["y"] + y + height / 3

    def click_image(self, number: int) -> None:
        before = self.answered()
        self.page.mouse.click(*self.image_point(number))
        self.wait(before + 1)
