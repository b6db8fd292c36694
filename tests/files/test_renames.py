"""`start --rename-duplicates`: every image keeps a name of its own, in the journal's way."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, in_child, obey_permissions, queue, review, rows

A, B = "20250803_060000_stage1_generated", "20250803_060100_stage2_upscaled"


def start(workspace: Workspace, folder: Path) -> tuple[Project, projects.ScanReport]:
    return projects.start(workspace, "p", folder, rename_duplicates=True)


def lay(folder: Path, *paths: str) -> None:
    for seed, path in enumerate(paths):
        write_image(folder / path, seed)


def test_duplicate_names_get_folder_prefix_with_companions(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"a/{A}.png", f"a/{B}.png", f"b/c/{A}.png", f"b/c/{B}.png")
    (images_folder / f"b/c/{A}.hands.json").write_text("{}")
    before = sorted(read_tree(images_folder).values())
    _, report = start(workspace, images_folder)
    assert set(read_tree(images_folder)) == {
        f"a/a_{A}.png",
        f"a/a_{B}.png",
        f"b/c/b_c_{A}.png",
        f"b/c/b_c_{A}.hands.json",
        f"b/c/b_c_{B}.png",
    }
    assert sorted(read_tree(images_folder).values()) == before
    assert dict(report.renamed)[f"b/c/{A}.png"] == f"b/c/b_c_{A}.png"
    # the prefix hides neither stage nor time
    assert [group.filenames for group in report.groups] == [
        (f"a_{A}.png", f"a_{B}.png"),
        (f"b_c_{A}.png", f"b_c_{B}.png"),
    ]
    assert report.ungrouped == ()


def test_an_image_in_the_root_keeps_its_name(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"{A}.png", f"a/{A}.png", f"a/{B}.png")
    start(workspace, images_folder)
    assert set(read_tree(images_folder)) == {f"{A}.png", f"a/a_{A}.png", f"a/{B}.png"}


@pytest.mark.parametrize("taken", [f"a/a_{A}.png", f"a/a_{A}.yaml", f"a/a_{A}.jpg"])
def test_a_name_that_is_taken_stays_and_is_listed(workspace: Workspace, images_folder: Path, taken: str) -> None:
    lay(images_folder, f"a/{A}.png", f"b/{A}.png")
    (images_folder / f"a/{A}.yaml").write_text("x")
    if taken.endswith("yaml"):
        (images_folder / taken).write_text("there before")
    else:
        write_image(images_folder / taken, 9)
    before = read_tree(images_folder)
    start(workspace, images_folder)
    after = read_tree(images_folder)
    assert {path: sha256 for path, sha256 in before.items() if path.startswith("a/")} == {
        path: sha256 for path, sha256 in after.items() if path.startswith("a/")
    }
    assert f"b/b_{A}.png" in after


def test_a_name_that_would_grow_too_long_stays_and_is_listed(workspace: Workspace, images_folder: Path) -> None:
    folder, name = "f" * 60, "n" * 200 + ".png"
    lay(images_folder, f"{folder}/{name}", f"{'g' * 60}/{name}")
    before = read_tree(images_folder)
    _, report = start(workspace, images_folder)
    assert read_tree(images_folder) == before
    assert report.layout == "mirror"
    note, _ = report.notes
    assert note.startswith(
        f"2 images were not renamed (the first: {folder}/{name}: {folder}_{name} would have 265 bytes"
    )


def test_renaming_twice_changes_nothing_more(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"a/{A}.png", f"b/{A}.png")
    project, _ = start(workspace, images_folder)
    before = read_tree(images_folder)
    assert projects.rescan(project, rename_duplicates=True).renamed == ()
    assert read_tree(images_folder) == before


def test_a_file_that_may_not_be_read_is_left_and_listed(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"a/{A}.png", f"b/{A}.png", f"c/{A}.png")
    (images_folder / f"a/{A}.png").chmod(0)
    (images_folder / f"b/{A}.yaml").symlink_to("nowhere")

    def renamed() -> tuple:
        obey_permissions()
        return start(workspace, images_folder)[1].renamed

    assert in_child(renamed) == ((f"c/{A}.png", f"c/c_{A}.png"),)
    assert (images_folder / f"a/{A}.png").exists()
    assert (images_folder / f"b/{A}.png").exists()


def test_renames_are_a_batch_of_the_journal_that_can_be_undone(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"a/{A}.png", f"b/{A}.png")
    before = read_tree(images_folder)
    project, _ = start(workspace, images_folder)
    assert {row["kind"] for row in rows(project, "SELECT * FROM file_operations WHERE batch = 1")} == {"rename"}
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)
    assert read_tree(images_folder) == before


def test_renames_and_finalises_are_numbered_in_one_row(workspace: Workspace, images_folder: Path) -> None:
    lay(images_folder, f"a/{A}.png", f"a/{B}.png", f"b/{A}.png")
    project, _ = start(workspace, images_folder)
    assert len(queue(project)) == 1
    assert review(project, "1", *FINALISE).last_result.batch == 2


def test_copies_in_the_workspaces_own_folders_are_no_duplicates(images_folder: Path) -> None:
    # the workspace may lie in the folder of the images; what it keeps there is not the user's
    lay(images_folder, f"a/{A}.png", f"sandbox/p/a/{A}.png")
    before = read_tree(images_folder)
    _, report = start(Workspace(images_folder), images_folder)
    assert report.renamed == ()
    assert set(before) <= set(read_tree(images_folder))
