"""The copy is the project to the byte, and nothing outside it can be reached."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.automation import sandbox
from pickroom.automation.decisions_file import write_lines
from pickroom.core.errors import ConflictError, FileOperationError, LockedError, PickroomError, ProjectError, UsageError
from pickroom.core.records import FileOp
from pickroom.files.preflight import project_lock
from pickroom.indexing import projects
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store import operations
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.automating import images_tree, proposed
from support.reviewing import FINALISE, queue, review, rows, small_disk

Make = Callable[..., Project]


def move(source: str, destination: str) -> FileOp:
    return FileOp(1, "automation", "automation-1", "move", source, destination, "0" * 64)


def test_a_copy_is_the_project_to_the_byte(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3, folder="anna/märz")
    (project.root / "notes.txt").write_text("of nobody")
    review(project, "1", *FINALISE)  # what was decided before is copied too
    before = read_tree(project.root)

    place = sandbox.prepare(project)

    assert place.folder == project.workspace.root / "sandbox" / "p"
    copied = images_tree(place.folder)
    assert copied == {path: sha256 for path, sha256 in before.items() if path != "notes.txt"}
    assert read_tree(project.root) == before
    assert place.project.root == place.folder and place.is_copy and not place.production
    assert [g.group_id for g in queue(place.project)] == [g.group_id for g in queue(project)]
    for path in copied:  # times too: so that nothing is read again
        assert (place.folder / path).stat().st_mtime_ns == (project.root / path).stat().st_mtime_ns


def test_the_copy_is_a_project_like_any_other(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)
    before = read_tree(project.root)
    place = sandbox.prepare(project)
    review(place.project, "1", "x", *FINALISE)
    assert (place.folder / "selected").is_dir() and (place.folder / "delete_staging").is_dir()
    assert projects.rescan(place.project).images == 0
    assert read_tree(project.root) == before and len(queue(project)) == 2


def test_a_copy_is_made_once(make_project: Make) -> None:
    project = make_project([(1, 2)])
    place = sandbox.prepare(project)
    image = next(path for path in place.folder.glob("*.png"))
    image.unlink()
    assert sandbox.prepare(project).folder == place.folder
    assert not image.exists()


def test_an_interrupted_copying_is_completed(make_project: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    project = make_project([(1, 2)] * 4)
    copied = []

    def copy_some(source: Path, destination: Path) -> None:
        if len(copied) == 5:
            raise KeyboardInterrupt
        copied.append(destination)
        copy_file(source, destination)

    copy_file = sandbox.copy_file
    with monkeypatch.context() as patched:
        patched.setattr(sandbox, "copy_file", copy_some)
        with pytest.raises(KeyboardInterrupt):
            sandbox.prepare(project)
    with pytest.raises(ProjectError, match="the project has no copy"):
        sandbox.locate(project)
    half = copied[0]
    half.write_bytes(b"half")

    place = sandbox.prepare(project)
    assert images_tree(place.folder) == read_tree(project.root)


def test_a_folder_that_holds_other_files_is_not_taken(make_project: Make, workspace: Workspace) -> None:
    project = make_project([(1, 2)])
    own = workspace.root / "sandbox" / "p" / "diary.txt"
    own.parent.mkdir(parents=True)
    own.write_text("mine")
    with pytest.raises(ConflictError, match="the folder holds other files"):
        sandbox.prepare(project)
    assert read_tree(workspace.root / "sandbox") == {"p/diary.txt": read_tree(own.parent)["diary.txt"]}


def test_a_project_in_the_middle_of_a_move_is_not_copied(make_project: Make) -> None:
    project = make_project([(1, 2)])
    with project_lock(project, "finalising"), pytest.raises(LockedError):
        sandbox.prepare(project)
    with closing(connect(project.database)) as connection:
        operations.plan(connection, [move("a.png", "selected/a.png")])
    with pytest.raises(ConflictError, match="file operations are unfinished"):
        sandbox.prepare(project)


def test_a_full_disk_is_known_before_and_survived(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 4)
    before = read_tree(project.root)
    with small_disk(tmp_path, "64k") as disk:
        with pytest.raises(FileOperationError, match=r"the copy needs .* [kMG]B, and .* [kMG]B are free"):
            sandbox.prepare(project, disk / "sandboxes")
        assert not (disk / "sandboxes" / "p").exists()
    assert read_tree(project.root) == before


def test_full_disk_during_copy_fails_and_next_prepare_works(
    make_project: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project([(1, 2)] * 2)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(project.root))

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copystat", full)
        with pytest.raises(FileOperationError, match=r"No space left on device.*make room on the disk"):
            sandbox.prepare(project)
    assert sandbox.prepare(project).project.root.is_dir()


# ------------------------------------------------------------------------------------------------ bounds


def test_project_with_images_in_the_sandbox_is_not_copied(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    for base, given in ((project.workspace.root / "sandbox", None), (tmp_path / "mine", tmp_path / "mine")):
        shutil.copytree(project.root, base / "pictures")
        moved = replace(project, manifest=replace(project.manifest, root=str(base / "pictures")))
        place = sandbox.prepare(moved, given)
        assert not place.is_copy and place.project == moved
        assert place.decisions == base / "p" / "automation_decisions.jsonl"
        # a folder of one's own images called a sandbox is not moved in without the project's name
        assert place.confirm is (given is not None)


def test_sandbox_may_not_hold_workspace_or_lie_among_images(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)], folder="anna")
    for wrong, words in (
        (tmp_path, "cannot hold the workspace"),
        (project.root / "anna", "among the project's own"),
        (project.root, "among the project's own"),
    ):
        with pytest.raises(UsageError, match=words):
            sandbox.prepare(project, wrong)


@pytest.mark.parametrize("name", ["", ".pickroom", "automation_decisions.jsonl", "approved_decisions.jsonl"])
def test_a_link_in_the_place_of_the_sandbox_is_refused(
    make_project: Make, workspace: Workspace, tmp_path: Path, name: str
) -> None:
    project = make_project([(1, 2)])
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = workspace.root / "sandbox" / "p" / name if name else workspace.root / "sandbox" / "p"
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(UsageError, match="leads out of the sandbox"):
        sandbox.prepare(project)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize(
    ("source", "destination"),
    [
        ("../images/a.png", "selected/a.png"),
        ("a.png", "../../a.png"),
        ("anna/../../a.png", "selected/a.png"),
        ("/etc/passwd", "selected/passwd"),
        ("a.png", "elsewhere/a.png"),
        ("linked.png", "selected/linked.png"),
        ("a.png", "selected/.."),
    ],
)
def test_a_step_that_leads_out_is_refused(make_project: Make, tmp_path: Path, source: str, destination: str) -> None:
    place = proposed(make_project([(1, 2)]))
    (place.folder / "elsewhere").symlink_to(tmp_path)
    (place.folder / "linked.png").symlink_to(tmp_path / "images")
    with pytest.raises(UsageError, match=r"out of the sandbox|this is a link"):
        place.require_inside([move("b.png", "selected/b.png"), move(source, destination)])


def test_production_follows_folder_links_but_refuses_dot_paths(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    place = sandbox.prepare(project, production=True)
    assert (place.project, place.production) == (project, True)
    (project.root / "selected").symlink_to(tmp_path)
    place.require_inside([move("a.png", "selected/a.png")])
    with pytest.raises(UsageError, match="out of the sandbox"):
        place.require_inside([move("a.png", "../a.png")])


def test_a_manifest_that_names_another_folder_is_not_obeyed(make_project: Make) -> None:
    project = make_project([(1, 2)])
    place = sandbox.prepare(project)
    place.project.with_manifest(root=str(project.root))
    assert sandbox.locate(project).project.root == place.folder
    assert rows(project, "SELECT * FROM file_operations") == []


def test_a_sandbox_that_goes_under_its_review_is_not_made_anew(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)]))
    with closing(AutoSession(place)) as session:
        place.folder.rename(place.folder.with_name("away"))
        with pytest.raises(PickroomError):
            for key in ("a", *FINALISE):
                session.press(key)
    with pytest.raises(ProjectError, match="the image folder is not there"), project_lock(place.project, "applying"):
        pass
    with pytest.raises(FileOperationError, match="while writing a file of decisions"):
        write_lines(place.approved, [])
    assert not place.folder.exists()
