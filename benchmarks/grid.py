"""Scrolling over 10,000 photographs in a real Chromium on a real JupyterLab: the folder viewer's virtualised grid.

Measured are the time from running the cell to a screen full of thumbnails, the frames a second while the page scrolls
on and on, and the time from a jump to a place not seen before until every thumbnail there is painted (they are made on
the way, from previews that a scan would have left). The plain alternative is one HTML widget that holds every thumbnail
in an img element; it gets them ready made, and fewer images, since 10,000 of them are more than a page bears.

Targets: 30 frames a second in the median (a film has 24; Chromium draws in software here), and a jump within one second
in the median (REVIEW.md allows a deck one second to open).

    python benchmarks/grid.py [--quick]
"""

from __future__ import annotations

import argparse
import hashlib
import io
import random
import sys
import tempfile
from pathlib import Path

import nbformat
from PIL import Image as PillowImage

from _measure import finish, median, table
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import make_images
from pickroom.images import thumbnails
from pickroom.storage import atomic
from pickroom.store.connect import create
from pickroom.store.workspace import Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser.grid_page import GridPage
from browser.lab import Lab, find_chromium, open_browser, start_lab

LEAST_FPS, MOST_JUMP_MS = 30.0, 1000.0
WINDOW = {"width": 1400, "height": 900}
PLAIN = 2000  # images of the plain alternative at the most
FOLDER = 400  # images in a folder

STEP = 40  # CSS pixels scrolled a frame: a wheel's step
# Scroll on and on by so many pixels a frame; the times between frames, in ms.
SCROLL = """([selector, seconds, by]) => new Promise(done => {
  const grid = document.querySelector(selector), times = [];
  let last = null, start = null;
  const step = now => {
    if (last !== null) times.push(now - last);
    start ??= now;
    last = now;
    if (now - start > seconds * 1000) return done(times);
    grid.scrollTop += by;
    requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
})"""

# Jump to a share of the height; ms until every thumbnail on screen is there and a frame has been painted.
JUMP = """([selector, share, ready]) => new Promise(done => {
  const grid = document.querySelector(selector), check = new Function("grid", ready);
  const started = performance.now();
  grid.scrollTop = share * grid.scrollHeight;
  const look = () => {
    if (check(grid)) requestAnimationFrame(() => done(performance.now() - started));
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(() => requestAnimationFrame(look));
})"""
OURS_READY = "return +grid.dataset.seen > 0 && grid.dataset.seen === grid.dataset.ready"
PLAIN_READY = """
const box = grid.getBoundingClientRect();
return [...grid.querySelectorAll("img")].filter(one => {
  const {top, bottom} = one.getBoundingClientRect();
  return bottom > box.top && top < box.bottom;
}).every(one => one.complete && one.naturalWidth);
"""


def make_project(home: Path, count: int) -> None:
    """`count` photographs of different content in folders of selected/, each with the preview of a scan."""
    make_images(home, DemoConfig(groups=12, long_side=640))
    bodies = []
    for path in sorted((home / "demo_images").rglob("*.[jp][pn]g")):
        with PillowImage.open(path) as image:
            buffer = io.BytesIO()
            image.convert("RGB").resize((512, 512)).save(buffer, "JPEG", quality=80)
        bodies.append(buffer.getvalue())
    workspace = Workspace(home)
    root = home / "photographs"
    project = workspace.planned("demo", root)
    for number in range(count):
        content = bodies[number % len(bodies)] + number.to_bytes(4, "big")  # bytes after the end: another content
        path = root / "selected" / f"series {number // FOLDER:02}" / f"photo_{number:05}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        preview = thumbnails.thumbnail_path(workspace.thumbnails, hashlib.sha256(content).hexdigest())
        preview.parent.mkdir(parents=True, exist_ok=True)
        preview.write_bytes(bodies[number % len(bodies)])
    workspace.save_new(project)
    create(project.database).close()


def measure_ours(lab: Lab, context, home: Path, seconds: float, jumps: list[float]) -> dict[str, float]:
    lab.add_notebook("71_browse.ipynb", {"project": "demo", "home": str(home), "folders": None})
    board = GridPage(lab.open(context, "71_browse.ipynb"))
    started = board.page.evaluate("performance.now()")
    board.show()
    figures = {"open_s": (board.page.evaluate("performance.now()") - started) / 1000}
    figures |= _scrolled(board.page, ".pickroom-grid", seconds, jumps, OURS_READY)
    figures["elements"] = board.page.locator(".pickroom-cell").count()
    lab.shut_down_kernels()
    return figures


def measure_plain(lab: Lab, context, home: Path, seconds: float, jumps: list[float], count: int) -> dict[str, float]:
    kernel = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": kernel})
    source = f"""
import base64, ipywidgets
from pathlib import Path
paths = sorted(Path({str(home)!r}).glob("plain/*.jpg"))
images = "".join(
    f'<img style="width:160px;height:140px;object-fit:contain" '
    f'src="data:image/jpeg;base64,{{base64.b64encode(path.read_bytes()).decode()}}">' for path in paths)
ipywidgets.HTML(f'<div class="plain" style="height:640px;overflow:auto">{{images}}</div>')
"""
    notebook.cells = [nbformat.v4.new_code_cell(source)]
    nbformat.write(notebook, lab.folder / "plain.ipynb")
    for number in range(count):
        small = PillowImage.effect_noise((256, 256), 40 + number % 50).convert("RGB")
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=40)
        path = home / "plain" / f"{number:05}.jpg"
        path.parent.mkdir(exist_ok=True)
        atomic.create_bytes(path, buffer.getvalue())
    opened = lab.open(context, "plain.ipynb")
    started = opened.page.evaluate("performance.now()")
    opened.run_all()
    opened.page.wait_for_function(
        f"() => {{ const grid = document.querySelector('.plain'); if (!grid) return false; {PLAIN_READY} }}",
        timeout=240_000,
    )
    figures = {"open_s": (opened.page.evaluate("performance.now()") - started) / 1000}
    figures |= _scrolled(opened.page, ".plain", seconds, jumps, PLAIN_READY)
    return {**figures, "elements": opened.page.locator(".plain img").count()}


def _scrolled(page, selector: str, seconds: float, jumps: list[float], ready: str) -> dict[str, float]:
    at_rest = page.evaluate(SCROLL, [selector, seconds / 4, 0])  # what this machine can do now: others may be at work
    frames = page.evaluate(SCROLL, [selector, seconds, STEP])
    waits = [page.evaluate(JUMP, [selector, share, ready]) for share in jumps]
    return {
        "fps": 1000 / median(frames),
        "fps_at_rest": 1000 / median(at_rest),
        "slowest_frame_ms": max(frames),
        "jump_ms": median(waits),
        "slowest_jump_ms": max(waits),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="2,000 images instead of 10,000")
    quick = parser.parse_args().quick
    count, plain_count, seconds = (2000, 500, 3.0) if quick else (10_000, PLAIN, 8.0)
    if find_chromium() is None:
        sys.exit("no Chromium was found on this machine (on Debian: apt-get install chromium)")
    jumps = [random.Random(number).uniform(0.2, 0.95) for number in range(8 if quick else 20)]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        make_project(home, count)
        with start_lab(Path(folder) / "lab") as lab, open_browser() as browser:
            with browser.new_context(viewport=WINDOW) as context:
                ours = measure_ours(lab, context, home, seconds, jumps)
            with browser.new_context(viewport=WINDOW) as context:
                plain = measure_plain(lab, context, home, seconds, jumps, plain_count)
    names = {
        "open_s": ("from the cell to a screen of thumbnails", "{:.1f} s"),
        "fps": ("frames a second while scrolling, median", "{:.0f}"),
        "fps_at_rest": ("frames a second of the same page at rest, median", "{:.0f}"),
        "slowest_frame_ms": ("slowest frame while scrolling", "{:.0f} ms"),
        "jump_ms": ("from a jump to every thumbnail, median", "{:.0f} ms"),
        "slowest_jump_ms": ("from a jump to every thumbnail, slowest", "{:.0f} ms"),
        "elements": ("images in the page", "{:.0f}"),
    }
    rows = [("", f"the grid, {count:,} images", f"one HTML widget, {plain_count:,} images")]
    rows += [(words, form.format(ours[name]), form.format(plain[name])) for name, (words, form) in names.items()]
    table("Looking over many photographs in a browser", rows)
    missed = []
    if ours["fps"] < LEAST_FPS:
        missed.append(f"{ours['fps']:.0f} frames a second < {LEAST_FPS:.0f}")
    if ours["jump_ms"] > MOST_JUMP_MS:
        missed.append(f"a jump takes {ours['jump_ms']:.0f} ms > {MOST_JUMP_MS:.0f} ms")
    finish({**ours, **{f"plain_{name}": value for name, value in plain.items()}, "images": count}, missed)


if __name__ == "__main__":
    main()
