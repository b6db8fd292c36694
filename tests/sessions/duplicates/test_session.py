"""Pairs decided by keys, set aside as one journalled batch, undone; other windows, restarts."""

from __future__ import annotations

import io
import json
import os
import shutil
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageDraw

from conftest import read_tree, write_image
from pickroom.files.batch import undo_batch
from pickroom.groups.image_features import log_path
from pickroom.indexing import projects
from pickroom.sessions.duplicates.finding import find, why
from pickroom.sessions.duplicates.gathering import gather
from pickroom.sessions.duplicates.session import DuplicatesSession
from pickroom.sessions.session import read_picture
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.boards import APPLY, drive, everything
from support.reviewing import rows


def picture(path: Path, seed: int, size: tuple[int, int] = (96, 64)) -> Path:
    """A smooth picture: its perceptual hash survives scaling and compression."""
    small = write_image(path.with_suffix(".tmp.png"), seed, (6, 4))
    with PillowImage.open(small) as image:
        image.resize(size, PillowImage.Resampling.BICUBIC).save(path)
    small.unlink()
    return path


def with_duplicates(folder: Path, project_id: str = "p") -> Project:
    """Three exact copies under one name and two others, a smaller version, and two images of their own."""
    images = folder / f"images_{project_id}"
    picture(images / "one" / "tree.png", 1)
    (images / "one" / "tree.yaml").write_text("of: tree\n")
    (images / "two").mkdir()
    shutil.copyfile(images / "one" / "tree.png", images / "two" / "oak.png")
    (images / "two" / "oak.caption").write_text("an oak")
    os.utime(images / "two" / "oak.png", ns=(2_000_000_000_000_000_000,) * 2)
    picture(images / "one" / "sea.png", 2, (192, 128))
    with PillowImage.open(images / "one" / "sea.png") as sea:
        sea.resize((96, 64)).save(images / "two" / "sea_small.jpg", quality=70)
    picture(images / "one" / "alone.png", 3)
    picture(images / "two" / "other.png", 4)
    return projects.start(Workspace(folder / "home"), project_id, images)[0]


def look(project: Project, *keys: str, others: tuple[Project, ...] = ()) -> DuplicatesSession:
    return drive(DuplicatesSession(project, others), *keys)


def shown(session: DuplicatesSession) -> list[tuple[str, str, str]]:
    return [(pair.kind, pair.a.path, pair.b.path) for pair in session.pairs]


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_duplicates(tmp_path)


def test_pairs_over_folders_and_what_is_suggested(project: Project) -> None:
    session = look(project)
    assert shown(session) == [
        ("exact", "one/tree.png", "two/oak.png"),
        ("near", "one/sea.png", "two/sea_small.jpg"),
    ]
    assert why(session.pairs[0].a, session.pairs[0].b).startswith("older: ")
    assert why(session.pairs[1].a, session.pairs[1].b) == "more pixels: 192×128 against 96×64"
    assert session.header() == "Pair 1 of 2 · 1 exact, 1 near · 2 open · 0 to set aside"


def test_keys_to_files_with_companions_rows_and_undo(project: Project) -> None:
    before, nothing = read_tree(project.root), everything(project)
    session = look(project, "a", "2", *APPLY)
    assert session.last_result is not None and session.last_result.counts == {"delete_staging": 2}
    after = read_tree(project.root)
    for path in ("two/oak.png", "two/oak.caption", "one/sea.png"):
        assert after[f"delete_staging/{Path(path).name}"] == before[path] and path not in after
    assert sorted(after.values()) == sorted(before.values())
    found = rows(project, "SELECT DISTINCT batch, kind, op, state FROM file_operations")
    assert found == [{"batch": 1, "kind": "duplicates", "op": "move", "state": "done"}]
    assert session.pairs == ()
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)
    assert read_tree(project.root) == before
    again = look(project)
    assert again.board.marks == {"two/oak.png": "delete_staging", "one/sea.png": "delete_staging"}
    assert everything(project)["tree"] == nothing["tree"]


def test_every_key_is_saved_undone_and_redone(project: Project) -> None:
    session = look(project, "1", "b")
    assert [session.outcome(pair) for pair in session.pairs] == ["a", "both"]
    session = look(project)  # another day
    assert [session.outcome(pair) for pair in session.pairs] == ["a", "both"]
    session = look(project, "u")
    assert [session.outcome(pair) for pair in session.pairs] == ["a", ""] and session.position == 1
    session = look(project, "u")
    assert [session.outcome(pair) for pair in session.pairs] == ["", ""] and session.position == 0
    session = look(project, "Shift+u", "Shift+u")
    assert [session.outcome(pair) for pair in session.pairs] == ["a", "both"]
    session = look(project, "ArrowRight", "1")
    assert session.outcome(session.pairs[1]) == "a"
    session = look(project, "ArrowRight", "b")
    assert [session.outcome(pair) for pair in session.pairs] == ["a", "both"]
    session = look(project, "1")
    assert [session.outcome(pair) for pair in session.pairs] == ["", "both"]  # the same key again clears


def test_keeping_both_is_remembered_after_apply_and_moves(project: Project) -> None:
    session = look(project, "a", "b", *APPLY)
    assert session.last_result is not None and session.last_result.batch == 1
    assert [(pair.kind, session.outcome(pair)) for pair in session.pairs] == [("near", "both")]
    assert look(project, "u").board.message == "nothing to undo"  # the log went with the batch, the word stays
    (project.root / "three").mkdir()
    (project.root / "one" / "sea.png").rename(project.root / "three" / "sea.png")
    session = look(project)
    assert [(pair.a.path, session.outcome(pair)) for pair in session.pairs] == [("three/sea.png", "both")]
    assert session.header().endswith("0 open · 0 to set aside")
    assert session.stage_suggested(near=True) == ({}, {})
    again = look(project, "1", "u")  # it can be decided otherwise, and that too is taken back
    assert again.outcome(again.pairs[0]) == "both" and not again.board.marks
    picture(project.root / "two" / "sea_small.jpg", 2)  # the same name with another content is another image
    assert [session.outcome(pair) for pair in look(project).pairs] in ([], [""])


def test_another_window_sees_at_once_that_both_stay(project: Project) -> None:
    session = DuplicatesSession(project)
    with closing(session):
        look(project, "ArrowRight", "b")
        session.press("Home")
        assert [session.outcome(pair) for pair in session.pairs] == ["", "both"]
        look(project, "u")
        session.press("Home")
        assert [session.outcome(pair) for pair in session.pairs] == ["", ""]


def test_the_other_choice_takes_the_place_of_the_first(project: Project) -> None:
    session = look(project, "1", "ArrowLeft", "2")
    assert session.board.marks == {"one/tree.png": "delete_staging"}


def test_a_pair_of_two_projects_is_reported_and_never_marked(project: Project, tmp_path: Path) -> None:
    images = tmp_path / "elsewhere"
    images.mkdir()
    shutil.copyfile(project.root / "one" / "alone.png", images / "lonely.png")
    other = projects.start(project.workspace, "q", images)[0]
    session = DuplicatesSession(project, [other])
    with closing(session):
        across = next(place for place, pair in enumerate(session.pairs) if pair.across)
        for key in (*["ArrowRight"] * across, "1", "2", "a", "b"):
            session.press(key)
        assert session.board.message == "of two projects: only reported, nothing moves"
        session.press("Shift+a")
        assert set(session.board.marks) == {"two/oak.png"}  # and not q's, though it is exact
    assert len(read_tree(other.root)) == 1
    assert rows(other, "SELECT * FROM image_marks") == []


def test_a_mark_of_another_room_stays_its_own(project: Project) -> None:
    from support.boards import browse

    browse(project, "c")
    session = look(project, "a", "u", "u")
    assert session.board.message == "nothing to undo"
    assert [row["room"] for row in rows(project, "SELECT room FROM image_marks")] == ["browse"]


def test_waiting_group_images_and_their_only_copies_stay(tmp_path: Path) -> None:
    images = tmp_path / "images"
    first = picture(images / "20250803_060000_stage1_generated.png", 1)
    picture(images / "20250803_060100_stage2_upscaled.png", 2)
    (images / "z").mkdir()
    shutil.copyfile(first, images / "z" / "copy.png")
    os.utime(images / "z" / "copy.png", ns=(2_000_000_000_000_000_000,) * 2)
    project = projects.start(Workspace(tmp_path / "home"), "p", images)[0]
    session = look(project, "2")
    assert not session.board.marks and "waiting for review" in session.board.message
    (pair,) = session.pairs
    assert session.review_first(pair) == f"review first: {first.name}: waiting for review in a group"
    wanted, held = session.stage_suggested(near=False)
    assert wanted == {} and held == {"z/copy.png": f"its copy {first.name} still waits for its review"}


def test_pairs_that_wait_for_a_review_come_last(tmp_path: Path) -> None:
    images = tmp_path / "images"
    first = picture(images / "20250803_060000_stage1_generated.png", 1)
    picture(images / "20250803_060100_stage2_upscaled.png", 2)
    picture(images / "z" / "free.png", 3)
    shutil.copyfile(first, images / "z" / "copy.png")
    shutil.copyfile(images / "z" / "free.png", images / "z" / "free_too.png")
    project = projects.start(Workspace(tmp_path / "home"), "p", images)[0]
    session = look(project)
    assert [bool(session.review_first(pair)) for pair in session.pairs] == [False, True]
    assert {session.pairs[0].a.path, session.pairs[0].b.path} == {"z/free.png", "z/free_too.png"}


def test_a_decision_is_not_turned_round_by_what_is_suggested(project: Project) -> None:
    shutil.copyfile(project.root / "one" / "tree.png", project.root / "one" / "zz.png")
    session = look(project, "2")  # oak stays, tree goes; zz was paired with tree
    wanted, _ = session.stage_suggested(near=True)
    assert "two/oak.png" not in wanted and "one/tree.png" not in wanted
    left = {"one/tree.png", "two/oak.png", "one/zz.png"} - set(session.board.marks) - set(wanted)
    assert "two/oak.png" in left


def test_what_changed_or_went_since_the_look_is_no_pair_any_more(project: Project) -> None:
    session = DuplicatesSession(project)
    with closing(session):
        (project.root / "two" / "oak.png").unlink()
        picture(project.root / "two" / "sea_small.jpg", 9)
        session.press("Home")
        assert session.pairs == ()
        session.press("1")
        assert session.board.message == "there are no duplicates here"


def with_nothing_to_compare(folder: Path) -> Project:
    """Plain colours, noise, and two different drawings in white on nothing."""
    images = folder / "images"
    images.mkdir()
    for name in ("navy", "red", "white", "black"):
        PillowImage.new("RGB", (256, 256), name).save(images / f"{name}.png")
    shutil.copyfile(images / "red.png", images / "red_too.png")
    for seed in (1, 2):
        noise = np.random.default_rng(seed).normal(244, 4, (256, 256))
        PillowImage.fromarray(noise.clip(0, 255).astype(np.uint8)).save(images / f"blank{seed}.png")
    for name in ("ellipse", "line"):
        image = PillowImage.new("RGBA", (256, 256))
        getattr(ImageDraw.Draw(image), name)((40, 40, 200, 200), fill="white", width=20)
        image.save(images / f"{name}.png")
    return projects.start(Workspace(folder / "home"), "p", images)[0]


def test_pictures_with_nothing_to_compare_are_no_pairs(tmp_path: Path) -> None:
    project = with_nothing_to_compare(tmp_path)
    found = gather([project])
    assert [(pair.kind, pair.a.path, pair.b.path) for pair in find(found.copies).pairs] == [
        ("exact", "red.png", "red_too.png")
    ]
    assert "p: 6 images of nearly one colour: only exact copies are found" in found.notes
    same = [replace(copy, vector=np.ones(4, np.float32), encoder="e") for copy in found.copies]
    assert len(find(same).pairs) > 1  # what keeps the pairs away is that such pictures have no vector here
    assert [copy.filename for copy in found.copies if copy.fingerprint is not None] == ["ellipse.png", "line.png"]


def test_hashes_of_version_0_1_are_made_again_where_needed(tmp_path: Path) -> None:
    project = with_nothing_to_compare(tmp_path)
    picture(project.root / "tree.png", 1)
    now = {copy.filename: copy for copy in gather([project]).copies}
    old = [json.loads(line) | {"phash": "8000000000000000"} for line in log_path(project.workspace).open()]
    for line in old:
        del line["flat"]
    log_path(project.workspace).write_text("".join(json.dumps(line) + "\n" for line in old))
    again = {copy.filename: copy for copy in gather([project]).copies}
    assert again["tree.png"].fingerprint == 1 << 63  # as it was stored: it had something to compare
    assert {name: c.fingerprint for name, c in again.items() if name != "tree.png"} == {
        name: c.fingerprint for name, c in now.items() if name != "tree.png"
    }


def test_preview_and_large_view_of_a_transparent_drawing_agree(tmp_path: Path) -> None:
    project = with_nothing_to_compare(tmp_path)
    (drawing,) = [copy for copy in gather([project]).copies if copy.filename == "line.png"]
    for kind in ("preview", "original"):
        _, data = read_picture(project, drawing.path, drawing.sha256, kind, project.workspace.thumbnails)
        with PillowImage.open(io.BytesIO(data)) as image:
            assert image.mode == "RGB" and image.convert("L").getextrema() == (0, 255)


def test_hashes_are_made_once_and_a_torn_log_is_read(project: Project) -> None:
    first = gather([project])
    assert all(copy.fingerprint is not None for copy in first.copies)
    log = log_path(project.workspace)
    whole = log.read_text()
    log.write_text(whole[:-20])
    again = gather([project])
    assert again.copies == first.copies
    assert len(log.read_text().split()) > 0
    made: list[int] = []
    assert gather([project], lambda done, of: made.append(done)).copies == first.copies
    assert made == []  # nothing was hashed anew


def test_a_damaged_image_is_left_out_with_its_reason(project: Project) -> None:
    (project.root / "one" / "bad.png").write_bytes(b"no image")
    found = gather([project])
    assert [(path, bool(reason)) for _, path, reason in found.left_out] == [("one/bad.png", True)]
