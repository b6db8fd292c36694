"""The widgets' JavaScript under Node: its own tests, and its drag geometry compared with the kernel's.

Without Node they skip, saying so; with PICKROOM_REQUIRE_NODE=1 they fail instead.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from pickroom import app
from pickroom.app.widgets import stage
from pickroom.app.widgets.stage import Grid, Stage
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.core.records import CropBox
from pickroom.sessions.crop import editing
from pickroom.sessions.crop.editing import HANDLES, MIN_SIDE, Point

ROOT = Path(__file__).resolve().parents[2]
MODULES = Path(app.__file__).parent / "js"
DRAGGED = f"""
import {{ dragged }} from "{(MODULES / "drag_outline.js").as_uri()}";
import {{ readFileSync }} from "node:fs";
const cases = JSON.parse(readFileSync(0, "utf8"));
console.log(JSON.stringify(cases.map(({{ shape, to }}) => dragged(shape, ...to))));
"""


@pytest.fixture(scope="module")
def node() -> str:
    found = shutil.which("node")
    if found is None:
        words = "no Node on this machine (on Debian: apt-get install nodejs)"
        if os.environ.get("PICKROOM_REQUIRE_NODE") == "1":
            pytest.fail(words)
        pytest.skip(words)
    return found


def test_the_javascript_passes_its_own_tests(node: str) -> None:
    tests = sorted(map(str, (ROOT / "tests" / "js").glob("*.test.js")))
    assert tests
    done = subprocess.run([node, "--test", *tests], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    count = re.search(r"^. pass (\d+)$", done.stdout, re.MULTILINE)
    assert count and int(count[1]) > len(tests), done.stdout


def test_a_widget_has_the_modules_it_imports_and_no_others() -> None:
    for widget, own in ((Stage, "picture_cache.js"), (Grid, "thumbnail_cache.js")):
        sources: dict[str, str] = json.loads(re.search(r"load\((\{.*\})\);$", widget._esm, re.MULTILINE)[1])  # type: ignore[index]
        assert {"view.js", "keys.js", own} < set(sources) < {path.name for path in MODULES.glob("*.js")}
        for place, source in enumerate(sources.values()):
            imported = re.findall(r'from "\./(.+)";$', source, re.MULTILINE)
            assert set(imported) <= set(list(sources)[:place])  # in the order in which they can be linked
    assert stage.widget_module("links.js").count("export default") == 2  # the text's own, and the module's in it


def random_box(rng: random.Random, width: int, height: int) -> CropBox:
    x1, y1 = rng.randrange(width - 40), rng.randrange(height - 40)
    return from_pixels((x1, y1, rng.randint(x1 + 20, width), rng.randint(y1 + 20, height)), width, height)


def random_drag(rng: random.Random) -> tuple[dict[str, Any], CropBox | None]:
    """One drag as the browser gets it, and the kernel's box for it."""
    size = width, height = rng.randint(60, 3000), rng.randint(60, 3000)
    scale, left, top = rng.uniform(0.1, 1.5), rng.uniform(0, 500), rng.uniform(0, 500)
    box = random_box(rng, width, height)
    ratio = rng.choice((None, None, 1.0, 1.5, 0.8, width / height))
    mode = rng.choice(("draw", "move", "handle", "handle"))
    handle = rng.choice(list(HANDLES))
    start: Point = editing.handle_point(box, handle) if mode == "handle" else (rng.random(), rng.random())
    end: Point = (rng.uniform(-0.3, 1.3), rng.uniform(-0.3, 1.3))

    def on_canvas(point: Point) -> Point:
        return left + point[0] * width * scale, top + point[1] * height * scale

    if mode == "draw":
        kernel = editing.draw(start, end, size, ratio)
    elif mode == "move":
        kernel = editing.move(box, round((end[0] - start[0]) * width), round((end[1] - start[1]) * height), size)
    else:
        kernel = editing.resize(box, handle, end, size, ratio)
    (x1, y1), (x2, y2) = on_canvas((box.x1, box.y1)), on_canvas((box.x2, box.y2))
    shape = {
        "mode": mode,
        "start": on_canvas(start),
        "box": (x1, y1, x2 - x1, y2 - y1),
        "bounds": (left, top, width * scale, height * scale),
        "ratio": ratio,
        "at": HANDLES[handle] if mode == "handle" else None,
        "least": min(MIN_SIDE, *size) * scale,
    }
    case = {"shape": shape, "to": on_canvas(end), "size": size, "scale": scale, "before": to_pixels(box, *size)}
    return case, kernel


def test_the_outline_is_the_kernels_box_to_a_pixel(node: str) -> None:
    rng = random.Random(12)
    drags = [random_drag(rng) for _ in range(4000)]
    given = json.dumps([case for case, _ in drags])
    done = subprocess.run(
        [node, "--input-type=module", "--eval", DRAGGED], input=given, capture_output=True, text=True, check=True
    )
    drawn = 0
    for (case, kernel), outline in zip(drags, json.loads(done.stdout), strict=True):
        left, top, *_ = case["shape"]["bounds"]
        box = kernel and to_pixels(kernel, *case["size"])
        if outline is None:  # too small to be meant: the kernel keeps the box that was there
            assert box is None or box == case["before"] or min(box[2] - box[0], box[3] - box[1]) <= MIN_SIDE + 1, case
            continue
        x, y, wide, tall = (
            (edge - origin) / case["scale"] for edge, origin in zip(outline, (left, top, 0, 0), strict=True)
        )
        if box is None:
            assert min(wide, tall) < MIN_SIDE + 1, case
        if box is None or min(wide, tall) < 1:  # pulled to nothing: the kernel's box has at least one pixel
            continue
        drawn += 1
        off = [abs(mine - its) for mine, its in zip((x, y, x + wide, y + tall), box, strict=True)]
        assert max(off) <= 1.001, (case, outline, box)
    assert drawn > 3000
