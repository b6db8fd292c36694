"""The sorter on real files: folders with keys, suggestions from vectors, what is written about images."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import read_tree, write_image
from pickroom.core.errors import UsageError
from pickroom.features.store import Vectors
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.sessions.sorting import suggest
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.boards import APPLY, selected, sort, with_results


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_results(tmp_path)


@pytest.fixture
def session(project: Project) -> Iterator[SortSession]:
    opened = SortSession(project)
    yield opened
    opened.close()


def test_keys_send_images_to_named_folders_and_undo_reverts_it(project: Project) -> None:
    before = read_tree(project.root)
    names = selected(project)
    done = sort(project, "1", "2", "Space", "ArrowRight", "Space", "1", *APPLY, names=("anna", "bo"))
    assert done.last_result is not None and done.last_result.counts == {"selected/anna": 3, "selected/bo": 1}
    after = read_tree(project.root)
    for name, folder in zip(names, ("anna/", "bo/", "anna/", "anna/", ""), strict=True):
        for suffix in (".png", ".yaml"):
            moved = name.replace(".png", suffix)
            assert after[f"selected/{folder}{moved}"] == before[f"selected/{moved}"]
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)
    assert read_tree(project.root) == before


def test_sorted_images_are_never_scanned_into_groups(project: Project) -> None:
    report = projects.rescan(project)
    sort(project, "1", "1", *APPLY, names=("anna",))
    again = projects.rescan(project)
    assert (again.images, again.groups) == (report.images, report.groups)
    assert not any("anna" in one.directory for one in again.ungrouped)


def test_a_crop_goes_beside_the_other_crops(project: Project) -> None:
    write_image(project.root / "crop_cropped" / "c.png", seed=7)
    done = sort(project, "End", "1", *APPLY, names=("anna",))
    assert done.last_result is not None and done.last_result.counts == {"crop_cropped/anna": 1}


def test_folders_keep_their_keys_from_day_to_day(project: Project) -> None:
    sort(project, "2", names=("zoe", "anna"))
    (project.root / "selected" / "bo").mkdir()
    write_image(project.root / "selected" / "bo" / "b.png", seed=3)
    again = sort(project)
    assert again.names == ["zoe", "anna", "bo"]


def test_a_name_again_is_the_same_folder_and_an_unused_one_goes(session: SortSession) -> None:
    assert session.add_name("Anna") == "Anna has key 1"
    session.press("1")
    assert session.add_name("ANNA") == "Anna is there already: key 1"
    session.add_name("typo")
    assert "is gone" in session.add_name("-typo") and session.names == ["Anna"]
    assert session.add_name("-anna") == "Anna is in use and stays" and session.names == ["Anna"]
    with pytest.raises(UsageError):
        session.add_name("../out")
    assert session.press("5").message == "no folder has key 5 yet: N names one"


def test_a_row_a_filter_and_hiding(project: Project, session: SortSession) -> None:
    session.add_name("anna")
    session.board = replace(session.board, columns=3)
    session.press("Shift+1")
    assert len(session.board.marks) == 3
    session.press("v")
    assert len(session.board.layout.order) == 2
    session.press("v")
    names = selected(project)
    session.show_only("of", names[4])  # its YAML says so
    assert session.board.layout.order == (f"selected/{names[4]}",)
    assert "4 not shown" in session.board.layout.sections[0].note
    session.show_only(None)
    assert len(session.board.layout.order) == 5


def test_by_a_field_is_a_table_first_then_one_step(project: Project, session: SortSession) -> None:
    for number, name in enumerate(selected(project)[:4]):
        path = project.root / "selected" / name.replace(".png", ".yaml")
        path.write_text(f"character: {'Anna' if number % 2 else 'bo/zo'}\n")
    found, without = session.group_by("character")
    assert [(row.value, row.folder, len(row.paths)) for row in found] == [("Anna", "Anna", 2), ("bo/zo", "bo_zo", 2)]
    assert len(without) == 1 and dict(session.board.marks) == {}
    session.mark_by("character")
    assert sorted(session.board.marks.values()) == ["selected/Anna"] * 2 + ["selected/bo_zo"] * 2
    assert session.names == ["Anna", "bo_zo"]
    assert dict(session.press("u").marks) == {}
    assert ("Anna", 2) in session.choices()["character"]
    with pytest.raises(UsageError, match="no image has a field"):
        session.group_by("nothing")


@pytest.mark.parametrize("folder", ["crop", "crop_auto", "delete_staging", "crop_originals"])
def test_what_another_room_has_in_its_hands_is_not_sorted(project: Project, folder: str) -> None:
    (project.root / folder).mkdir(exist_ok=True)
    with pytest.raises(UsageError, match="not to be sorted"):
        SortSession(project, [folder])


# ------------------------------------------------------------------------------------------------ suggestions


@pytest.fixture
def suggesting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SortSession]:
    """Twelve images of two characters in turns, by vectors that tell them apart."""
    project = with_results(tmp_path, 12)
    names = np.array(selected(project), dtype=object)
    turns = np.eye(8, dtype=np.float32)[np.arange(12) % 2]
    noise = np.random.default_rng(0).normal(0, 0.05, (12, 8)).astype(np.float32)
    made = Vectors(names, np.full(12, None, object), None, turns + noise, None, {})  # type: ignore[arg-type]
    monkeypatch.setattr(suggest, "load_vectors", lambda project: made)
    opened = SortSession(project)
    for name in ("anna", "bo"):
        opened.add_name(name)
    yield opened
    opened.close()


def test_suggestions_need_sorted_images_and_move_nothing_unasked(suggesting: SortSession) -> None:
    suggesting.press("1")
    assert "nothing is suggested there" in suggesting.press("a").message
    for key in "212":
        suggesting.press(key)
    marks = dict(suggesting.board.marks)
    notes = [suggesting.note(item).words for item in suggesting.listing.items if item.path not in marks]
    assert [note.split("?")[0] for note in notes[:8]] == ["anna", "bo"] * 4
    assert dict(suggesting.board.marks) == marks
    suggesting.press("a")
    assert list(suggesting.board.marks.values()).count("selected/anna") == 3
    suggesting.board = replace(suggesting.board, columns=20)
    suggesting.press("Shift+a")
    counted = list(suggesting.board.marks.values())
    assert (counted.count("selected/anna"), counted.count("selected/bo")) == (6, 6)
    suggesting.press("u")
    assert len(suggesting.board.marks) == 5


def test_images_in_a_characters_folder_teach_too(suggesting: SortSession) -> None:
    for key in (*"1212", *APPLY):
        suggesting.press(key)
    paths = [item.path for item in suggesting.unsorted()]
    assert {one.name for one in suggesting.suggestions(paths).values()} == {"anna", "bo"}


def test_the_most_similar_come_first(suggesting: SortSession) -> None:
    order = suggesting.board.layout.order
    suggesting.press("ArrowRight")
    suggesting.press("o")
    similar = suggesting.board.layout.order
    assert set(similar[:6]) == set(order[1:12:2]) and similar[0] == order[1]
    assert suggesting.board.active == order[1]
    suggesting.press("o")
    assert suggesting.board.layout.order == order


def test_without_vectors_the_sorter_says_why(session: SortSession) -> None:
    assert "pickroom embed" in session.press("a").message
    assert "pickroom embed" in session.press("o").message


def test_a_crop_has_the_fields_of_the_image_it_was_cut_from(project: Project) -> None:
    root = project.root
    names = selected(project)
    (root / "crop_originals").mkdir()
    for name, sky in zip(names[:2], ("blue", "red"), strict=True):
        write_image(root / "crop_cropped" / name, seed=7)
        for suffix in (".png", ".yaml"):
            moved = name.replace(".png", suffix)
            (root / "selected" / moved).rename(root / "crop_originals" / moved)
        (root / "crop_originals" / name.replace(".png", ".yaml")).write_text(f"sky: {sky}\nof: original\n")
    crops = [f"crop_cropped/{name}" for name in names[:2]]
    (root / crops[1]).with_suffix(".yaml").write_text("of: crop\n")
    session = SortSession(project)
    with closing(session):
        session.show_only("sky", "blue")
        assert session.board.layout.order == (crops[0],)
        written = session.images.texts(crops[1])
        assert (written["sky"], written["of"]) == ("red", "crop"), "what the crop has itself counts first"
        rows, _ = session.group_by("sky")
        assert {row.value: row.paths for row in rows} == {"blue": (crops[0],), "red": (crops[1],)}
    done = sort(project, "End", "1", *APPLY, names=("anna",))
    sorted_crop = f"crop_cropped/anna/{names[1]}"
    assert done.images.texts(sorted_crop)["sky"] == "red", "also once it was sorted"
    (root / "crop_originals" / names[1]).unlink()  # reclaimed
    assert "sky" not in done.images.texts(sorted_crop)
