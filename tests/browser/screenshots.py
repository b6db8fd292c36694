"""The screenshots of the documentation, made anew: the app on the demo and on bursts of photographs, light and dark.

    PYTHONPATH=tests python -m browser.screenshots docs/images [--home DIR]

Everything is made in a temporary folder; `--home` keeps it, or takes up what an earlier run made there.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image, ImageFilter
from PIL.ExifTags import IFD, Base
from playwright.sync_api import Browser, Page

from browser.lab import open_browser
from pickroom.demo.photographs import PHOTOGRAPHS, load

WINDOW = {"width": 1440, "height": 900}
PAINTED = """() => { const stage = document.querySelector(".pickroom-image-view")?.dataset;
    return stage?.settled && stage.images > 0 && stage.drawn === stage.images; }"""
SUBJECTS = ("chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "flower.jpg", "china.jpg")
BURST = 4  # frames
LONG_SIDE = 1200  # pixels of a frame


def write_bursts(folder: Path) -> None:
    """Bursts as a camera takes them: a few frames a second apart, framed a little otherwise, one of them shaken."""
    folder.mkdir(parents=True)
    at, number = datetime(2025, 6, 14, 10, 12, 5), 4210
    for burst, name in enumerate(SUBJECTS):
        picture = load(next(one for one in PHOTOGRAPHS if one.file == name))
        for frame in range(BURST):
            inset = 0.02 + 0.015 * frame
            left, top = inset * picture.width, inset * (1 + burst % 2) / 2 * picture.height
            box = (left, top, left + 0.9 * picture.width, top + 0.9 * picture.height)
            height = round(LONG_SIDE * picture.height / picture.width)
            image = picture.resize((LONG_SIDE, height), Image.Resampling.LANCZOS, box=box)
            if frame == (burst + 1) % BURST:
                image = image.filter(ImageFilter.BoxBlur(6))
            exif = Image.Exif()
            exif[Base.Model] = "Camera"
            taken = at + timedelta(minutes=9 * burst, seconds=frame)
            exif.get_ifd(IFD.Exif).update(
                {
                    Base.DateTimeOriginal: f"{taken:%Y:%m:%d %H:%M:%S}",
                    Base.ExposureTime: 1 / 250,
                    Base.FNumber: 4.0,
                    Base.ISOSpeedRatings: 400,
                }
            )
            image.save(folder / f"IMG_{number}.JPG", quality=92, exif=exif)
            number += 1


@contextmanager
def served(*command: str | Path) -> Iterator[str]:
    """The address of the app that a command serves."""
    words = [sys.executable, "-m", "pickroom.cli", *map(str, command), "--no-browser"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
        finally:
            server.terminate()


def shoot(browser: Browser, address: str, folder: Path, name: str, keys: str = "") -> None:
    """`NAME-light.jpg` and `NAME-dark.jpg` of a page, once its pictures are painted and the keys pressed."""
    for theme in ("light", "dark"):
        page = browser.new_page(viewport=WINDOW)
        page.goto(f"{address}&theme={theme}")
        _settle(page, address)
        for key in keys.split():
            page.keyboard.press(key)
        _settle(page, address)
        page.screenshot(path=folder / f"{name}-{theme}.jpg", type="jpeg", quality=88)
        page.goto("about:blank")  # the page's kernel ends: the next page is alone with the project
        page.close()


def _settle(page: Page, address: str) -> None:
    if "project=" in address:
        page.wait_for_function(PAINTED, timeout=120_000, polling=50)
    else:
        page.locator(".pickroom-app .cards").wait_for(timeout=120_000)
    page.wait_for_load_state("networkidle")


def main() -> None:
    """Make every screenshot."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    options.add_argument("folder", type=Path, help="where the pictures go")
    options.add_argument("--home", type=Path, help="where the demo and the photographs are made, and kept")
    given = options.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pickroom-images-") as temporary, open_browser() as browser:
        home = given.home or Path(temporary)
        with served("demo", home / "demo") as address:
            shoot(browser, address, given.folder, "deck")
            shoot(browser, re.sub(r"project=\w+&", "", address), given.folder, "projects")
        if not (home / "garden").exists():
            write_bursts(home / "garden")
        with served("open", home / "garden", "--home", home / "photographs") as address:
            shoot(browser, address, given.folder, "burst")


if __name__ == "__main__":
    main()
