"""A board on real files: marks that outlive everything, one batch of moves, and its undo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from pickroom.core.errors import ConflictError, ImageError, LockedError, UsageError
from pickroom.files.batch import undo_batch
from pickroom.files.preflight import project_lock
from pickroom.sessions.marking.session import BrowseSession
from pickroom.store import marks
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.boards import APPLY, browse, everything, selected, with_results
from support.reviewing import child, hear, rows


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_results(tmp_path)


@pytest.fixture
def session(project: Project) -> Iterator[BrowseSession]:
    opened = BrowseSession(project)
    yield opened
    opened.close()


def undo(project: Project, batch: int) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, batch)


def test_batch_moves_images_with_companions_and_undo_reverts_it(project: Project) -> None:
    before = read_tree(project.root)
    names = selected(project)
    session = browse(project, "c", "x", "ArrowRight", "x", *APPLY)
    assert session.last_result is not None and session.last_result.batch == 2
    assert session.last_result.counts == {"crop": 1, "delete_staging": 2}
    after = read_tree(project.root)
    for name, folder in zip(names, ("crop", "delete_staging", "selected", "delete_staging", "selected"), strict=True):
        for suffix in (".png", ".yaml"):
            moved = name.replace(".png", suffix)
            assert after[f"{folder}/{moved}"] == before[f"selected/{moved}"]
    assert sorted(after.values()) == sorted(before.values())
    undo(project, 2)
    assert read_tree(project.root) == before
    again = browse(project)
    assert {path: folder for path, folder in again.board.marks.items()} == {
        f"selected/{names[0]}": "crop",
        f"selected/{names[1]}": "delete_staging",
        f"selected/{names[3]}": "delete_staging",
    }


def test_marks_and_their_undo_outlive_the_session(project: Project) -> None:
    browse(project, "c", "x", "c")
    again = browse(project, "u", "u")
    assert list(again.board.marks.values()) == ["crop"]
    assert list(browse(project, "Shift+u").board.marks.values()) == ["crop", "delete_staging"]
    assert browse(project, "u", "u", "u").board.message == "nothing to undo"


def test_a_mark_that_was_carried_out_is_not_set_back(project: Project) -> None:
    name = selected(project)[0]
    browse(project, "c", *APPLY)
    with closing(connect(project.database)) as connection, connection:
        late = marks.Mark("selected", name, "crop", 1, 2)
        marks.save(connection, "browse", [late], {late.path})  # by a window that listed the image before it went
        assert [mark.path for mark in marks.waiting(connection, "browse")] == []
        marks.save(connection, "browse", [late])  # another image of that name is there now
        assert [mark.path for mark in marks.waiting(connection, "browse")] == [late.path]


def test_two_windows_lose_no_key(project: Project, session: BrowseSession) -> None:
    session.press("c")
    browse(project, "End", "ArrowUp", "ArrowUp", "x")  # in another window
    session.press("ArrowRight")
    session.press("x")
    assert len(browse(project).board.marks) >= 2
    assert set(session.board.marks) == set(browse(project).board.marks)


def test_a_waiting_group_is_not_to_be_marked(project: Project) -> None:
    waiting = sorted(path.name for path in (project.root / "shoot").glob("*.png"))
    session = browse(project, "End", "x")
    assert len(waiting) == 2 and dict(session.board.marks) == {}
    assert "waiting for review in a group" in session.board.message


@pytest.mark.parametrize(
    ("then", "now", "goes"),
    [
        (1_764_487_661_123_456_789, 1_764_487_662_000_000_000, True),  # ns kept before, two seconds now
        (1_764_487_661_120_000_000, 1_764_487_660_000_000_000, True),  # as exFAT has it, in memory and on the disk
        (1_764_487_661_123_456_789, 1_764_487_664_000_000_000, False),
        (1_764_487_661_123_456_789, 1_764_487_661_123_456_790, False),  # a disk that rounds nothing
    ],
)
def test_a_time_that_the_disk_has_rounded_is_no_change(project: Project, then: int, now: int, goes: bool) -> None:
    path = project.root / "selected" / selected(project)[0]
    os.utime(path, ns=(then, then))
    browse(project, "x")
    os.utime(path, ns=(now, now))
    result = browse(project, *APPLY).last_result
    assert result is not None and (result.counts, len(result.held)) == (({"delete_staging": 1}, 0) if goes else ({}, 1))


def test_unmovable_images_are_held_with_reason_and_others_move(project: Project) -> None:
    first, second, third, fourth, fifth = selected(project)
    browse(project, *"xxxxx")
    root = project.root
    (root / "selected" / first).unlink()
    write_image(root / "selected" / second, seed=99)
    write_image(root / "delete_staging" / third, seed=98)
    (root / "selected" / fourth.replace(".png", ".jpg")).write_bytes((root / "selected" / fourth).read_bytes())
    session = browse(project, *APPLY)
    result = session.last_result
    assert result is not None and result.counts == {"delete_staging": 1}
    reasons = {Path(path).name: reason for path, reason in result.held.items()}
    assert reasons == {
        first: "it has vanished since it was marked",
        second: "it has changed since it was marked: look at it and mark it again",
        third: f"delete_staging/{third} exists already",
        fourth: f"ambiguous stem: another image is named {fourth.removesuffix('.png')} too",
    }
    assert (root / "delete_staging" / fifth).is_file()
    held = rows(project, "SELECT filename FROM image_marks WHERE held_reason IS NOT NULL AND batch IS NULL")
    assert {row["filename"] for row in held} == set(reasons)
    note = session.note(next(item for item in session.listing.items if item.filename == third))
    assert note.warn and note.words == reasons[third]


def test_a_later_batch_stands_in_the_way_of_an_earlier_undo(project: Project) -> None:
    browse(project, "c", *APPLY)
    tree = read_tree(project.root)
    with pytest.raises(ConflictError, match="is gone"):
        undo(project, 1)
    assert read_tree(project.root) == tree


def test_locked_project_gives_one_line_and_keeps_marks(project: Project) -> None:
    browse(project, "x")

    def hold(pipe: object) -> None:
        with project_lock(project, "finalising"):
            pipe.send("held")  # type: ignore[attr-defined]
            pipe.poll(30)  # type: ignore[attr-defined]

    with child(hold) as pipe:
        assert hear(pipe) == "held"
        with pytest.raises(LockedError) as caught:
            browse(project, *APPLY)
        pipe.send("go")
    assert "\n" not in caught.value.line
    assert len(browse(project).board.marks) == 1


def test_files_that_come_are_shown(project: Project, session: BrowseSession) -> None:
    write_image(project.root / "selected" / "anna" / "new.png", seed=50)
    assert session.refresh()
    assert "selected/anna/new.png" in session.board.layout.places
    assert [section.folder for section in session.board.layout.sections][:2] == ["selected", "selected/anna"]


def test_a_thumbnail_is_small_and_a_file_that_went_bad_is_named(project: Project, session: BrowseSession) -> None:
    first, second = session.listing.items[:2]
    assert session.images.thumbnail(first)[:2] == b"\xff\xd8"
    write_image(project.root / "selected" / "broken.png").write_bytes(b"\x89PNG nothing")
    (project.root / second.path).unlink()
    session.refresh()
    broken = next(item for item in session.listing.items if item.filename == "broken.png")
    with pytest.raises(ImageError):
        session.images.thumbnail(broken)


@pytest.mark.parametrize("folder", ["nowhere", "../..", os.sep, "selected/none"])
def test_a_folder_that_is_not_the_projects_is_one_line(project: Project, folder: str) -> None:
    with pytest.raises(UsageError) as caught:
        BrowseSession(project, [folder])
    assert "\n" not in caught.value.line


def test_marks_of_folders_that_are_not_shown_wait(project: Project) -> None:
    write_image(project.root / "selected" / "anna" / "new.png", seed=50)
    browse(project, "x", "c")
    only = browse(project, "End", "c", folders=["selected/anna"])
    assert ("not here", "2 marked in folders that are not shown: they wait") in BrowseSession(
        project, ["selected/anna"]
    ).summary()
    assert set(only.board.marks) == {"selected/anna/new.png"}
    result = browse(project, *APPLY, folders=["selected/anna"]).last_result
    assert result is not None and result.counts == {"crop": 1}
    assert len(browse(project).board.marks) == 2


def test_a_dry_run_changes_nothing(project: Project, session: BrowseSession) -> None:
    session.press("x")
    before = everything(project)
    assert session.summary() == [("→ delete_staging/", "1 image")]
    assert [p.held for p in session.plan({item.path: "crop" for item in session.listing.items})].count(None) == 5
    assert everything(project) == before
