"""Zoom in a real browser's JavaScript: images of one group are compared at one size, whatever sizes they have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from pickroom import app
from pickroom.app.widgets.overlay import arrange

ZOOMED = """([cells, at, pointer]) => {
  const zoom = new Zoom();
  zoom.start("full", cells, at === null ? null : cells[at], pointer);
  return cells.map((cell) => ({ box: zoom.box(cell), percent: zoom.percent(cell) }));
}"""


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(device_scale_factor=2)
    page = context.new_page()
    source = (Path(app.__file__).parent / "js" / "zoom.js").read_text()
    page.add_script_tag(content=f"{source}\nwindow.Zoom = Zoom;", type="module")
    page.wait_for_function("'Zoom' in window")
    yield page
    context.close()


def cells_of(*sizes: tuple[int, int]) -> list[dict[str, Any]]:
    slots = arrange(sizes, 1200, 600)
    return [{"size": size, "box": slot.box, "window": slot.window} for size, slot in zip(sizes, slots, strict=True)]


def test_smaller_images_are_enlarged_to_the_largest_one(page: Page) -> None:
    cells = cells_of((1024, 1024), (1280, 1280), (2048, 2048))
    found = page.evaluate(ZOOMED, [cells, None, None])
    sizes = [pytest.approx((2048 / 2, 2048 / 2))] * 3  # CSS pixels of a screen with two device pixels in each
    assert [tuple(one["box"][2:]) for one in found] == sizes
    assert [one["percent"] for one in found] == [200, 160, 100]


def test_zoom_keeps_point_under_pointer_in_every_image(page: Page) -> None:
    cells = cells_of((1200, 800), (2400, 1600))
    left, top, wide, tall = cells[0]["box"]
    pointer = {"x": left + 0.45 * wide, "y": top + 0.5 * tall}
    small, large = page.evaluate(ZOOMED, [cells, 0, pointer])
    place = [(pointer[axis] - small["box"][i]) / small["box"][2 + i] for i, axis in enumerate("xy")]
    assert place == pytest.approx([0.45, 0.5])
    windows = [cell["window"] for cell in cells]
    middles = [
        [(w[i] + w[2 + i] / 2 - one["box"][i]) / one["box"][2 + i] for i in (0, 1)]
        for one, w in zip((small, large), windows, strict=True)
    ]
    assert middles[0] == pytest.approx(middles[1])
