"""A burst of any size is finalised as one plan and undone as one; what is kept in addition goes to selected/."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.photographs import shoot
from support.reviewing import FINALISE, places, queue, review, rows


def start(folder: Path, shots: int) -> Project:
    """A burst, every image with a companion."""
    shoot(folder / "card", bursts=1, shots=shots)
    for image in (folder / "card").glob("*.jpg"):
        image.with_suffix(".cr3").write_bytes(image.name.encode())
    return projects.start(Workspace(folder / "home"), "p", folder / "card")[0]


def undo(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)


@pytest.mark.parametrize("shots", [2, 3, 4, 5, 6, 7, 30])
def test_finalise_and_undo_move_a_burst_byte_for_byte(tmp_path: Path, shots: int) -> None:
    project = start(tmp_path, shots)
    (group,) = queue(project)
    before, rounds = read_tree(project.root), -(-(shots - 1) // 3)
    review(project, *["2"] * rounds, *FINALISE)
    (row,) = rows(project, "SELECT * FROM ai_decisions")
    shown = json.loads(row["images"])
    picked = shown[row["user_selected_index"]]
    after = read_tree(project.root)
    assert sorted(after.values()) == sorted(before.values())
    folder_of = {Path(path).name: Path(path).parent.as_posix() for path in after}
    assert {name for name, folder in folder_of.items() if folder == "selected"} == {picked, picked[:-3] + "cr3"}
    assert set(folder_of.values()) == {"selected", "delete_staging"}
    assert len(shown) == min(shots, 4) and set(shown) <= set(group.filenames)
    assert len(rows(project, "SELECT * FROM comparisons")) == rounds - 1
    assert len(rows(project, "SELECT * FROM decision_context")) == 1 and queue(project) == []
    undo(project)
    assert read_tree(project.root) == before
    assert rows(project, "SELECT * FROM ai_decisions") == [] and queue(project) == [group]
    assert len(rows(project, "SELECT * FROM comparisons")) == rounds - 1, "the choice is as it was"


def test_images_kept_in_addition_go_to_selected(tmp_path: Path) -> None:
    project = start(tmp_path, 7)
    (group,) = queue(project)
    session = review(project, "6", "Shift+6", "1", "5", "8", "2", "Shift+Enter")
    assert session.summary()[1:] == (
        "3 images: kept in addition to a pick → selected/",
        "Images: 3 to delete_staging/, 4 to selected/",
    )
    result = review(project, *FINALISE).last_result
    assert result is not None and result.counts == {"approve": 1}
    where = dict(zip(group.filenames, places(project, group), strict=True))
    kept = {name for name, folder in where.items() if folder == "selected"}
    # image 2 in the first round; in the last the pick, 2, and 1 and 4
    assert kept == {"IMG_0000.jpg", "IMG_0001.jpg", "IMG_0004.jpg", "IMG_0006.jpg"}
    assert (project.root / "selected" / "IMG_0001.cr3").is_file()
    marked = rows(project, "SELECT filename, kept, stars FROM kept_images ORDER BY filename")
    assert [tuple(row.values()) for row in marked] == [
        ("IMG_0000.jpg", 1, None),
        ("IMG_0001.jpg", 1, 1),
        ("IMG_0006.jpg", 1, None),
    ]


def test_a_changed_image_holds_the_whole_burst_back(tmp_path: Path) -> None:
    project = start(tmp_path, 9)
    before = read_tree(project.root)
    (project.root / "IMG_0000.jpg").write_bytes(b"another")
    result = review(project, "2", "2", "2", *FINALISE).last_result
    assert result is not None and "IMG_0000.jpg has changed" in next(iter(result.held.values()))
    assert read_tree(project.root).keys() == before.keys() and rows(project, "SELECT * FROM ai_decisions") == []


@pytest.mark.parametrize(("key", "folder", "count"), [("x", "delete_staging", 1), ("k", "selected", 0)])
def test_reject_and_keep_move_the_whole_burst(tmp_path: Path, key: str, folder: str, count: int) -> None:
    project = start(tmp_path, 6)
    (group,) = queue(project)
    review(project, "1", key, *FINALISE)
    assert set(places(project, group)) == {folder}
    assert len(rows(project, "SELECT * FROM ai_decisions")) == count
