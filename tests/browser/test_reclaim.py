"""Freeing the disk in a real JupyterLab, on real photographs: sizes first, the trash and the way back, a typed word."""

from __future__ import annotations

from pathlib import Path

import pytest

from browser.conftest import OpenNotebook
from browser.lab import Lab
from conftest import read_tree
from pickroom.core.quantities import format_bytes
from pickroom.maintenance.reclaim import delete
from pickroom.maintenance.reclaim.planning import plan
from pickroom.store.workspace import Project, Workspace
from support.reclaiming import finished_project, out_of_the_trash
from support.reviewing import rows

JOURNAL = "SELECT * FROM file_operations ORDER BY id"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return finished_project(Workspace(tmp_path), ("q", "1"))


def test_reclaim_shows_sizes_then_trashes_or_deletes_for_good(
    project: Project, open_notebook: OpenNotebook, lab: Lab
) -> None:
    share = lab.folder.parent / "home" / ".local" / "share"  # of the kernel
    before, journal = read_tree(project.root), rows(project, JOURNAL)
    planned = plan(project.workspace)
    kept = {
        path: sha256 for path, sha256 in before.items() if project.root / path not in {i.path for i in planned.items}
    }
    notebook = open_notebook("73_reclaim.ipynb", projects=[project.id], home=str(project.workspace.root))
    notebook.run_all()
    page = notebook.page
    page.locator("h3", has_text=f"{format_bytes(planned.size)} can come back").wait_for()
    assert {row.split("\t")[2] for row in page.locator(".pickroom-page tr").all_inner_texts()} == {project.id}
    for_good = page.get_by_role("button", name="Delete for good")
    assert for_good.is_disabled() and read_tree(project.root) == before

    page.get_by_role("button", name="Move into the trash…").click()
    page.get_by_role("button", name="Return").click()
    page.locator(".message", has_text="Nothing was moved").wait_for()
    assert read_tree(project.root) == before
    page.get_by_role("button", name="Move into the trash…").click()
    page.get_by_role("button", name="Move them now").click()
    page.locator(".message", has_text=f"In the trash: {len(planned.items)} items").wait_for()
    page.locator("h3", has_text="Nothing can come back").wait_for()
    assert read_tree(project.root) == kept
    assert sorted(read_tree(share / "Trash" / "files").values()) == sorted(i.sha256 or "" for i in planned.items)
    noted = {row["path"]: (row["state"], row["how"]) for row in delete.logged(project.workspace)}
    assert noted == dict.fromkeys(set(before) - set(kept), ("done", "trash"))

    out_of_the_trash(share)
    page.get_by_role("button", name="Look again").click()
    page.locator("h3", has_text=f"{format_bytes(planned.size)} can come back").wait_for()
    assert read_tree(project.root) == before
    word = page.get_by_placeholder("type delete")
    word.press_sequentially("delet")
    assert for_good.is_disabled()
    word.press_sequentially("e")
    for_good.click()
    page.locator(".message", has_text=f"Deleted for good: {len(planned.items)} items").wait_for()
    assert read_tree(project.root) == kept and rows(project, JOURNAL) == journal
    assert [row["how"] for row in delete.logged(project.workspace)].count("deleted") == 2 * len(planned.items)
    assert list((share / "Trash" / "files").iterdir()) == []
