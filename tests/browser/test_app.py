"""The picking app as it ships: `pickroom app` on loopback, a real Chromium, real files; no notebook."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser

from browser.conftest import PATIENCE_MS, WINDOW
from browser.desk_page import SETTLED
from browser.grid_page import SETTLED as GRID_SETTLED
from browser.lab import free_port
from conftest import write_image
from pickroom.demo.plan import DemoConfig
from pickroom.indexing import projects
from pickroom.store.workspace import Workspace
from support.boards import with_results
from support.photographs import shoot
from support.reviewing import decisions, places, queue
from support.simulated import start_simulated


@contextmanager
def start_app(home: Path, token: str, *arguments: str) -> Iterator[str]:
    """`pickroom app`, or the command given, until the end of the block; the page's address without its token."""
    port, log = free_port(), home / "app.log"
    own = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {**os.environ, "JUPYTER_TOKEN": token, **{key: str(home / name) for key, name in own.items()}}
    command = [sys.executable, "-m", "pickroom.cli", *(arguments or ("app",)), "--no-browser"]
    command += ["--home", str(home), "--port", str(port)]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, env=environment, cwd=home, stdout=subprocess.PIPE, stderr=errors, text=True)
    try:
        said = process.stdout.readline()  # type: ignore[union-attr]
        assert said.startswith(f"Pick at http://127.0.0.1:{port}/"), log.read_text(errors="replace")
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.communicate(timeout=30)


def status_of(address: str, **headers: str) -> int:
    """The HTTP status of a request without cookies, redirects followed."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address, headers=headers), timeout=30) as answer:
            return 401 if "/login" in answer.url else answer.status
    except urllib.error.HTTPError as error:
        return error.code


def test_pick_with_keys_and_finalise_without_a_notebook(tmp_path: Path, chromium: Browser) -> None:
    workspace, token = Workspace(tmp_path), secrets.token_hex(8)
    project = start_simulated(workspace, DemoConfig(groups=3, seed=3, long_side=256))
    first = queue(project)
    with start_app(tmp_path, token) as address:
        # without the token there is only the door; with it, one page and no file
        assert status_of(address) == 401 and status_of(f"{address}?token=wrong") in (401, 403)
        authorised = {"Authorization": f"token {token}"}
        assert status_of(f"{address}?token={token}", Host="elsewhere.example") == 403
        assert status_of(f"{address}voila/files/pick.ipynb", **authorised) == 403
        assert status_of(f"{address}api/contents", **authorised) in (403, 404)

        context = chromium.new_context(viewport=WINDOW)  # type: ignore[arg-type]
        context.set_default_timeout(3 * PATIENCE_MS)
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{address}?token={token}")
        card = page.locator(".cards section")
        card.get_by_text("3 of 3 groups wait").wait_for()
        assert page.locator(".jp-CodeCell .jp-InputArea:visible").count() == 0
        card.get_by_role("button", name="Review").click()
        page.wait_for_function(SETTLED, arg=0)
        assert token not in page.url and urlsplit(page.url).query == "project=demo&desk=review"
        page.wait_for_function("document.activeElement.className === 'pickroom-image-view'")  # no click is needed
        shown = page.evaluate("document.querySelector('.pickroom-image-view').dataset.token")
        order = sorted(first, key=lambda group: group.group_id != shown)
        for answered, key in enumerate(("1", "x", "q"), start=1):
            page.keyboard.press(key)
            page.wait_for_function(SETTLED, arg=answered)
        page.reload()  # the same place, the same choices
        page.locator(".pickroom-header", has_text="reviewed 3").wait_for()
        page.wait_for_function(SETTLED, arg=0)
        page.keyboard.press("Shift+Enter")
        page.locator(".pickroom-panel h3").wait_for()
        page.keyboard.press("Shift+Enter")
        page.locator(".pickroom-words", has_text="Batch 1").wait_for()

        page.get_by_role("button", name="Crop", exact=True).click()
        page.locator(".pickroom-header", has_text="1 image waits for a crop").wait_for()
        assert {urlsplit(url).hostname for url in asked if url.startswith(("http", "ws"))} == {"127.0.0.1"}
        context.close()
    made = decisions(project)
    assert sorted(row["user_action"] for row in made.values()) == ["approve", "crop", "reject"]
    picked = made[order[0].group_id]
    assert picked["user_action"] == "approve" and places(project, order[0])[0] == "selected"
    assert json.loads(picked["images"]) == list(order[0].filenames)


# the grid fills the window under the bar, and nothing scrolls but the grid
FILLED = """() => {
  const grid = document.querySelector(".pickroom-grid").getBoundingClientRect();
  const room = document.querySelector(".pickroom-app-room");
  return innerHeight - grid.bottom < 60 && innerWidth - grid.width < 40 && room.scrollHeight <= room.clientHeight;
}"""


def test_pages_by_keys_alone_back_and_reload_keep_the_place(tmp_path: Path, chromium: Browser) -> None:
    project, token = with_results(tmp_path, 2), secrets.token_hex(8)
    for seed, name in enumerate(("a.png", "b.png", "c.png")):
        write_image(project.root / "shoot" / name, seed=50 + seed)
    projects.rescan(project)
    home = project.workspace.root
    with start_app(home, token) as address:
        page = chromium.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}?token={token}")
        page.get_by_role("button", name="3 images in no group").focus()
        page.keyboard.press("Enter")
        page.wait_for_function(GRID_SETTLED, arg=0)
        for width, height in ((1280, 800), (1600, 1000)):
            page.set_viewport_size({"width": width, "height": height})
            page.wait_for_function(FILLED)
        for answered, key in enumerate(("k", "x", "Shift+Enter", "Shift+Enter"), start=1):
            page.keyboard.press(key)  # no click was needed
            page.wait_for_function(GRID_SETTLED, arg=answered)
        page.locator(".pickroom-words", has_text="1 → delete_staging/, 1 → selected/").wait_for()
        assert urlsplit(page.url).query == "project=p&desk=browse&show=singles"
        page.reload()
        page.locator(".pickroom-header", has_text="1 image in no group").wait_for()
        page.wait_for_function(GRID_SETTLED, arg=0)
        page.get_by_role("button", name="Sort", exact=True).click()
        page.locator(".pickroom-header", has_text="3 images in 1 folder").wait_for()
        page.go_back()
        page.wait_for_url("**show=singles")
        page.locator(".pickroom-header", has_text="1 image in no group").wait_for()
        page.go_forward()
        page.locator(".pickroom-header", has_text="3 images in 1 folder").wait_for()
        page.close()
    assert (project.root / "selected/a.png").is_file() and (project.root / "delete_staging/b.png").is_file()


LINE_ABOVE = """() => {
  const line = Object.assign(document.createElement("div"), { id: "line" });
  line.style = "flex: none; height: 80px";
  document.querySelector(".pickroom-app-room").before(line);
}"""
FITS = """() => {
  const left = innerHeight - document.querySelector(".pickroom-desk").getBoundingClientRect().bottom;
  return 0 <= left && left < 20;
}"""


def test_open_shows_a_folder_of_photographs_while_it_is_read(tmp_path: Path, chromium: Browser) -> None:
    card, token = tmp_path / "card", secrets.token_hex(8)
    shoot(card, bursts=20, shots=3)
    with start_app(tmp_path, token, "open", str(card)) as address:
        page = chromium.new_page(viewport=WINDOW)
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address}?project=card&token={token}")
        page.wait_for_function(SETTLED, arg=0)
        page.keyboard.press("1")
        page.locator(".pickroom-header", has_text="of 20 - reviewed 1 ").wait_for()
        assert urlsplit(page.url).query == "project=card&desk=review"  # a reload comes back here
        page.wait_for_function("() => document.querySelector('.pickroom-indexing').textContent === ''")
        page.evaluate(LINE_ABOVE)
        page.wait_for_function(FITS)  # the deck makes room for lines over it, and takes it back
        page.evaluate("document.getElementById('line').remove()")
        page.wait_for_function(FITS)
        page.close()
    project = Workspace(tmp_path).project("card")
    assert len(queue(project)) == 20
    assert project.manifest.encoder is not None
