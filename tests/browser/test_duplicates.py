"""The duplicates desk in a real JupyterLab and a real Chromium, on photographs; and what came of it on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from conftest import read_tree
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.reviewing import rows

SIZE = (960, 640)
OpenDesk = Callable[..., DeskPage]
PLAIN = {"others": [], "cosine": None, "bits": None, "within_groups": False}  # as the notebook has them


def photographs(folder: Path) -> Project:
    """Four photographs; of one an exact copy elsewhere, of one a smaller one, of one a retouched one."""
    images = folder / "photographs"
    (images / "camera").mkdir(parents=True)
    (images / "phone").mkdir()
    names = ("coast", "garden", "harbour", "street")
    for name, photograph in zip(names, PHOTOGRAPHS, strict=False):
        whole = load(photograph).convert("RGB")
        width, height = min(whole.width, whole.height * 3 // 2), min(whole.height, whole.width * 2 // 3)
        left, top = (whole.width - width) // 2, (whole.height - height) // 2
        whole.crop((left, top, left + width, top + height)).resize(SIZE).save(images / "camera" / f"{name}.jpg")
        (images / "camera" / f"{name}.caption").write_text(f"a {name}")
    shutil.copyfile(images / "camera" / "coast.jpg", images / "phone" / "coast copy.jpg")
    os.utime(images / "phone" / "coast copy.jpg", ns=(2_000_000_000_000_000_000,) * 2)
    with PillowImage.open(images / "camera" / "garden.jpg") as garden:
        garden.resize((480, 320)).save(images / "phone" / "garden_small.jpg", quality=80)
    with PillowImage.open(images / "camera" / "harbour.jpg") as harbour:
        pen = ImageDraw.Draw(harbour)
        pen.ellipse((620, 90, 740, 200), fill=(230, 90, 60))
        pen.rectangle((150, 480, 290, 560), fill=(40, 60, 160))
        harbour.save(images / "phone" / "harbour_retouched.jpg", quality=92)
    return projects.start(Workspace(folder / "home"), "holiday", images)[0]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return photographs(tmp_path)


@pytest.fixture
def open_desk(open_notebook: OpenNotebook) -> OpenDesk:
    def make(project: Project, **parameters: object) -> DeskPage:
        home = str(project.workspace.root)
        desk = DeskPage(
            open_notebook("72_duplicates.ipynb", project=project.id, home=home, **{**PLAIN, **parameters}), SIZE
        )
        desk.show()
        return desk

    return make


def wait_for_magenta(desk: DeskPage, *, some: bool) -> None:
    """The overlay is drawn by another widget than the stage, a moment before or after it."""
    desk.page.wait_for_function(
        """some => {
            const canvas = document.querySelector(".pickroom-overlay canvas, canvas.pickroom-overlay");
            const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
            let found = 0;
            for (let i = 0; i < data.length; i += 4)
                if (data[i] > 200 && data[i + 1] < 60 && data[i + 2] > 150 && data[i + 3] > 20) found++;
            return (found > 0) === some;
        }""",
        arg=some,
    )


def test_pairs_are_decided_across_reloads_applied_and_undone(project: Project, open_desk: OpenDesk) -> None:
    before = read_tree(project.root)
    desk = open_desk(project)
    cells = desk.notebook.cells()
    box = desk.page.locator(".pickroom-desk").bounding_box()
    assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 800
    assert "Pair 1 of 3" in desk.text("header") and "1 exact, 2 near" in desk.text("header")
    assert "The same content" in desk.text("words") and "suggested 1: older" in desk.text("words")
    wait_for_magenta(desk, some=False)

    desk.press("a")  # the suggested one stays; the next pair comes up
    desk.wait_for_text("header", "pair 2 of 3")
    while "harbour" not in (desk.stage.get_attribute("data-token") or ""):
        desk.press("ArrowRight")
    wait_for_magenta(desk, some=True)
    assert "of the picture differs" in desk.text("words")
    desk.press("d")
    wait_for_magenta(desk, some=False)
    desk.press("d", "b")  # both stay
    desk.press("Home", "g")
    assert "garden" in (desk.stage.get_attribute("data-token") or "")
    desk.click_image(2)  # as key 2: the smaller one stays
    desk.wait_for_text("header", "2 to set aside")
    desk.press("u")
    desk.wait_for_text("header", "1 to set aside")

    desk.notebook.reload()
    desk.find()
    assert "1 open · 1 to set aside" in desk.text("header")
    desk.notebook.restart_kernel()
    desk.show()
    assert "1 open · 1 to set aside" in desk.text("header")
    desk.press("g", "1", "Shift+Enter")
    assert "→ delete_staging/" in desk.text("panel") and "2 images" in desk.text("panel")
    desk.press("Escape", "Shift+Enter", "Shift+Enter")
    desk.wait_for_text("words", "Batch 1: 2 → delete_staging/")
    assert "Pair 1 of 1 · 0 exact, 1 near · 0 open" in desk.text("header")  # that both stay outlives the batch
    assert desk.notebook.cells() == cells  # no key reached the notebook

    after = read_tree(project.root)
    gone = {"phone/coast copy.jpg", "phone/garden_small.jpg"}
    for path in gone:
        assert after[f"delete_staging/{Path(path).name}"] == before[path] and path not in after
    assert sorted(after.values()) == sorted(before.values())
    assert {path for path in before if path not in gone} <= set(after)
    query = "SELECT DISTINCT kind, state, count(DISTINCT unit) AS units FROM file_operations WHERE batch = 1"
    assert rows(project, query) == [{"kind": "duplicates", "state": "done", "units": 2}]
    kept = rows(project, "SELECT name_a, name_b FROM kept_pairs")
    assert kept == [{"name_a": "harbour.jpg", "name_b": "harbour_retouched.jpg"}]
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)
    assert read_tree(project.root) == before
    desk.page.locator(".jp-Cell").first.click()
    desk.stage.focus()  # the user comes back: what happened elsewhere is shown
    desk.wait_for_text("header", "2 to set aside")
    desk.press("Shift+Enter", "Escape")


def test_another_project_is_only_reported(project: Project, open_desk: OpenDesk, tmp_path: Path) -> None:
    images = tmp_path / "other"
    images.mkdir()
    shutil.copyfile(project.root / "camera" / "street.jpg", images / "alley.jpg")
    other = projects.start(project.workspace, "town", images)[0]
    desk = open_desk(project, others=["town"])
    while "alley" not in (desk.stage.get_attribute("data-token") or ""):
        desk.press("ArrowRight")
    assert "of two projects: only reported" in desk.text("words")
    desk.press("1")
    assert "nothing moves" in desk.text("words")
    desk.press("?")
    assert "keep that one" in desk.text("panel")
    assert rows(other, "SELECT * FROM image_marks") == [] == rows(project, "SELECT * FROM image_marks")
