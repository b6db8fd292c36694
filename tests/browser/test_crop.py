"""The crop desk in a real JupyterLab and a real Chromium: boxes drawn by hand on photographs, and what came of them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from conftest import read_tree
from pickroom.app.widgets.overlay import Slot, arrange
from pickroom.core.geometry import default_box, from_pixels, to_pixels
from pickroom.core.naming import sidecar_name
from pickroom.core.records import CropBox
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.sessions.crop import editing
from pickroom.sessions.crop.editing import Handle, Point
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, decisions, queue, recommend, review

AI_BOX = (0.1, 0.05, 0.8, 0.75)
MANUAL = 3  # images sent to crop/; the one after them goes to crop_auto/
Size = tuple[int, int]


@dataclass(frozen=True, slots=True)
class CropPage(DeskPage):
    """The crop desk of a notebook; points are fractions of an image, rounded to whole pixels of the page.

    Attributes:
        sizes: (width, height) in pixels of the page's images.
    """

    sizes: tuple[Size, ...] = ()

    def slot(self, number: int) -> tuple[Slot, float, float]:
        """The place of an image on the stage, and the stage's corner on the page."""
        box = self.stage.bounding_box()
        assert box is not None
        return arrange(self.sizes, box["width"], box["height"])[number - 1], box["x"], box["y"]

    def on_page(self, number: int, point: Point) -> tuple[int, int]:
        slot, left, top = self.slot(number)
        x, y = slot.placement.to_canvas(*point)
        return round(left + x), round(top + y)

    def fractions(self, number: int, point: Point) -> Point:
        """The place of the image that the pointer really meets at a point."""
        slot, left, top = self.slot(number)
        x, y = self.on_page(number, point)
        return slot.placement.to_image(x - left, y - top)

    def drag(self, number: int, start: Point, end: Point) -> None:
        """Press, move in a few steps, let go; returns when the answer to that is painted.

        The outline that the browser drew meanwhile must have been the kernel's box, to a pixel of the image.
        """
        settled = int(self.data()["settled"])
        self.page.mouse.move(*self.on_page(number, start))
        self.page.mouse.down()
        self.page.mouse.move(*self.on_page(number, end), steps=5)
        self.page.wait_for_function("!document.querySelector('.pickroom-drag-outline').hidden")
        self.page.mouse.up()
        self.wait_for_frame(settled + 2)  # pressing the pointer has its answer too
        drawn = self.page.locator(".pickroom-drag-outline")
        assert drawn.is_hidden()
        x, y, wide, tall = map(float, (drawn.get_attribute("data-box") or "").split())
        placement = self.slot(number)[0].placement
        outline = (*placement.to_image(x, y), *placement.to_image(x + wide, y + tall))
        sides = self.sizes[number - 1] * 2
        off = [abs(part * side - edge) for part, side, edge in zip(outline, sides, self.box(), strict=True)]
        assert max(off) <= 1, (outline, self.box())

    def wait_for_frame(self, number: int) -> None:
        """Until the kernel's so many-th frame is painted."""
        self.page.wait_for_function(
            "number => +document.querySelector('.pickroom-image-view').dataset.settled >= number", arg=number
        )

    def wait_for_box(self, number: int, pixels: tuple[int, int, int, int]) -> None:
        """Until the words say that the active image has this box."""
        x1, y1, x2, y2 = pixels
        self.wait_for_text("words", f"{number}: {x2 - x1} × {y2 - y1} px at {x1}, {y1} (")

    def box(self) -> tuple[int, int, int, int]:
        """The active image's box as the words say it, in pixels."""
        found = re.search(r"(\d+) × (\d+) px at (\d+), (\d+) ", self.text("words"))
        assert found is not None
        wide, tall, x, y = map(int, found.groups())
        return x, y, x + wide, y + tall

    def click(self, button: str) -> None:
        """Click one of the desk's buttons; wait for the answer."""
        answered = int(self.data()["answered"])
        self.page.locator(".pickroom-desk button", has_text=re.compile(f"^{re.escape(button)}")).click()
        self.wait(answered + 1)

    def has_keys(self) -> bool:
        return self.stage.evaluate("stage => document.activeElement === stage")


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Photographs, PNG and JPEG: three wait in crop/ without an AI's box, one in crop_auto/."""
    config = DemoConfig(groups=6, seed=7, long_side=512)
    project, _ = start_demo(Workspace(tmp_path_factory.mktemp("home")), config)
    recommend(project, queue(project)[MANUAL], 0, AI_BOX, crop_needed=True)
    review(project, *("q",) * MANUAL, "a", *FINALISE)
    return project


@pytest.fixture
def open_desk(open_notebook: OpenNotebook, reviewed: Project) -> Callable[[], CropPage]:
    def make() -> CropPage:
        home = str(reviewed.workspace.root)
        notebook = open_notebook("30_crop.ipynb", project=reviewed.id, home=home, per_page=MANUAL)
        sizes = [image_size(reviewed.root / "crop" / name) for name in waiting(reviewed)[:MANUAL]]
        desk = CropPage(notebook, (1, 1), sizes=tuple(sizes))
        desk.show()
        return desk

    return make


def waiting(project: Project) -> list[str]:
    """The images that wait, in the desk's order."""
    folders = (project.root / "crop", project.root / "crop_auto")
    return [path.name for folder in folders for path in sorted(folder.iterdir()) if path.suffix in (".png", ".jpg")]


def image_size(path: Path) -> Size:
    with PillowImage.open(path) as image:
        return image.size


def row_of(project: Project, name: str) -> dict[str, Any]:
    return next(row for row in decisions(project).values() if name in json.loads(row["images"]))


def corner(box: CropBox, handle: Handle) -> Point:
    return editing.handle_point(box, handle)


def test_drawn_boxes_are_written_and_back_restores_everything(reviewed: Project, open_desk: Callable[[], CropPage]):
    names, before = waiting(reviewed), read_tree(reviewed.root)
    rows = {name: row_of(reviewed, name) for name in names}
    desk = open_desk()
    sources = desk.notebook.cells()
    assert {Path(name).suffix for name in names[:MANUAL]} == {".png", ".jpg"}

    # 1: drawn freely, one corner dragged, nudged
    size = desk.sizes[0]
    desk.press("f")
    start, end = (0.03, 0.97), (0.62, 0.31)
    drawn = editing.draw(desk.fractions(1, start), desk.fractions(1, end), size, None)
    assert drawn is not None
    desk.drag(1, start, end)
    desk.wait_for_box(1, to_pixels(drawn, *size))
    taken, there = corner(drawn, "ne"), (0.85, 0.14)
    grip, pull, drop = taken, desk.fractions(1, taken), desk.fractions(1, there)
    point = (grip[0] + drop[0] - pull[0], grip[1] + drop[1] - pull[1])
    resized = editing.resize(drawn, "ne", point, size, None)
    desk.drag(1, taken, there)
    desk.wait_for_box(1, to_pixels(resized, *size))
    desk.press("ArrowRight", "ArrowRight", "Shift+ArrowUp")
    first = to_pixels(editing.move(resized, 2, -10, size), *size)
    assert desk.box() == first

    # 2: made active by a click, a preset by its button, moved, an edge pulled; a key held down repeats
    desk.page.mouse.click(*desk.on_page(2, (0.5, 0.4)))
    desk.wait_for_text("words", "2: ")
    desk.click("1:1")
    assert desk.has_keys() and desk.page.locator(".pickroom-tools button.on").inner_text() == "1:1"
    x1, top, x2, y2 = desk.box()
    wide = x2 - x1
    assert abs(wide - (y2 - top)) <= 1  # a box is fractions: its pixels are rounded side by side
    desk.drag(2, (0.5, 0.4), (0.45, 0.5))
    x1, y1, x2, y2 = moved = desk.box()
    assert abs(x2 - x1 - wide) <= 1 and y1 > top
    width, height = desk.sizes[1]
    desk.drag(2, (x2 / width, (y1 + y2) / 2 / height), (x2 / width - 0.1, 0.5))  # an edge: the shape stays
    moved = desk.box()
    assert moved[0] == x1 and moved[2] < x2 and abs((moved[2] - moved[0]) - (moved[3] - moved[1])) <= 1
    keys = int(desk.data()["answered"])
    desk.page.keyboard.down("ArrowDown")
    desk.wait_for_box(2, (moved[0], moved[1] + 1, moved[2], moved[3] + 1))
    desk.wait(keys + 1)
    desk.page.keyboard.down("ArrowDown")  # Playwright sends it as a repeat
    desk.page.keyboard.up("ArrowDown")
    second = (moved[0], moved[1] + 2, moved[2], moved[3] + 2)
    desk.wait_for_box(2, second)

    # 3: an edit undone and done again
    desk.press("Tab", "n")
    desk.drag(3, (0.1, 0.1), (0.7, 0.4))  # over a full frame this draws, in the image's shape
    desk.drag(3, (0.7, 0.4), (0.8, 0.9))
    assert desk.box() != (0, 0, *desk.sizes[2])
    desk.press("n")
    assert desk.box() == (0, 0, *desk.sizes[2])
    desk.press("u", "u", "u", "u")
    usual = desk.box()
    desk.press("Shift+U", "u")
    assert desk.box() == usual == to_pixels(default_box(desk.sizes[2]), *desk.sizes[2])

    # Enter submits the active image alone, and asks before it takes a box that nobody drew
    shown = dict(zip(names, (first, second, usual), strict=False))
    desk.press("1", "Enter")
    assert "3 images wait for a crop - 1 made here" in desk.text("header")
    desk.press("Enter")
    assert "2 images wait for a crop - 2 made here" in desk.text("header")
    desk.press("Enter")
    desk.wait_for_text("words", "Image 1 still has its default box: press Enter again")
    assert "2 images wait for a crop - 2 made here" in desk.text("header")
    desk.press("Enter")
    desk.wait_for_text("header", "1 image waits for a crop - 3 made here, 1 to the default box")
    for name, box in shown.items():
        _assert_cropped(reviewed, name, box, before, rows[name])
    left = {path.name for folder in ("crop", "crop_auto") for path in (reviewed.root / folder).iterdir()}
    assert {name for name in left if name.startswith(tuple(Path(n).stem for n in names[:MANUAL]))} == set()

    desk.press("b", "b", "b")
    desk.wait_for_text("header", "4 images wait for a crop")
    for number, box in enumerate(shown.values(), start=1):
        desk.press(str(number))
        assert desk.box() == box
    after = read_tree(reviewed.root)
    shelved = {path for path in after if ".undone-" in path}
    assert {path: content for path, content in after.items() if path not in shelved} == before
    assert len(shelved) == MANUAL and {Path(path).parent.name for path in shelved} == {"delete_staging"}
    assert {name: row_of(reviewed, name) for name in names} == rows
    assert desk.notebook.cells() == sources  # no key reached the notebook


def _assert_cropped(
    project: Project, name: str, box: tuple[int, int, int, int], before: dict[str, str], row: dict[str, Any]
) -> None:
    """The crop, the original, the row and the sidecar of one image, for the box that was on screen (pixels)."""
    original, crop = project.root / "crop_originals" / name, project.root / "crop_cropped" / name
    assert hashlib.sha256(original.read_bytes()).hexdigest() == before[f"crop/{name}"]
    assert not (project.root / "crop" / sidecar_name(name)).exists()
    now = row_of(project, name)
    size = image_size(original)
    assert CropBox.of(json.loads(now["final_crop_coords"])) == from_pixels(box, *size)
    assert now["crop_timestamp"] and now["crop_match"] is None  # the AI proposed nothing
    same = set(row) - {"final_crop_coords", "crop_timestamp", "crop_match"}
    assert {key: now[key] for key in same} == {key: row[key] for key in same}
    with PillowImage.open(original) as whole, PillowImage.open(crop) as cut:
        assert cut.size == (box[2] - box[0], box[3] - box[1]) and cut.format == whole.format
        assert dict(cut.getexif().get_ifd(0x8769)) == dict(whole.getexif().get_ifd(0x8769))
        expected, found = np.asarray(whole.crop(box), np.int16), np.asarray(cut, np.int16)
        if whole.format == "PNG":
            assert cut.info["parameters"] == whole.info["parameters"]  # type: ignore[index]
            assert (found == expected).all()
        else:
            assert cut.quantization == whole.quantization  # type: ignore[attr-defined]
            assert np.abs(found - expected).mean() < 2


def test_desk_fits_the_window_and_buttons_act_like_keys(reviewed: Project, open_desk: Callable[[], CropPage]):
    desk = open_desk()
    box = desk.page.locator(".pickroom-desk").bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800
    photos, overlay = desk.stage.locator("canvas"), desk.page.locator("canvas.pickroom-overlay")
    assert photos.bounding_box() == overlay.bounding_box()

    desk.click("? keys")
    assert "nudge by one pixel" in desk.text("panel")
    desk.press("Escape")

    page = desk.page
    page.mouse.move(*desk.on_page(1, corner(default_box(desk.sizes[0]), "sw")))
    page.wait_for_function("document.querySelector('.pickroom-image-view').style.cursor === 'nesw-resize'")

    desk.click("Apply all AI crops (1)")
    assert "Crop 1 image of crop_auto/ as the AI proposed" in desk.text("panel")
    desk.click("Return")
    assert desk.has_keys() and len(waiting(reviewed)) == MANUAL + 1
    name = waiting(reviewed)[-1]
    desk.press("Shift+A")
    page.locator(".pickroom-panel button", has_text="Apply").click()
    desk.wait_for_text("header", "3 images wait for a crop - 1 made here")
    assert json.loads(row_of(reviewed, name)["final_crop_coords"]) == list(AI_BOX)
    desk.press("b")
    assert name in waiting(reviewed)
