"""Files of other programs on disk: every move takes them along, undo brings them back, and what stays is named."""

from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from pickroom.core.records import CropBox
from pickroom.files.batch import undo_batch
from pickroom.files.cropping import Order, submit
from pickroom.indexing import projects
from pickroom.sessions.marking.session import BrowseSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review

A, B = "20250101_100000_stage1_a", "20250101_100100_stage2_a"
BESIDE = ("{}.jpg.xmp", "{}_01.jpg.xmp", "{}.CR3", "{}.CR3.xmp", "{}.json", "._{}.jpg", "{}.jpg_original")


@pytest.fixture
def project(workspace: Workspace, images_folder: Path) -> Project:
    for number, stem in enumerate((A, B)):
        write_image(images_folder / f"{stem}.jpg", number, (40, 30))
        for name in BESIDE:
            (images_folder / name.format(stem)).write_text(f"{name} of {stem}")
    (images_folder / f"{A}-notes.rtf").write_text("of nobody")
    return projects.start(workspace, "p", images_folder)[0]


def undo(project: Project, batch: int) -> None:
    with closing(connect(project.database)) as connection:
        outcome = undo_batch(project, connection, batch)
        assert (outcome.failed, outcome.stuck) == ({}, {})


def names_in(project: Project, folder: str) -> set[str]:
    return {path.name for path in (project.root / folder).iterdir()}


def crop(project: Project, name: str) -> None:
    with closing(connect(project.database)) as connection:
        result = submit(project, connection, [Order("crop", name, CropBox(0.1, 0.1, 0.9, 0.9))])
    assert (result.done, result.refused, result.stuck) == ([name], {}, {})


def test_finalise_takes_companions_along_and_names_what_stays(project: Project) -> None:
    before = read_tree(project.root)
    result = review(project, "1", *FINALISE).last_result
    assert result is not None
    assert names_in(project, "selected") == {f"{A}.jpg", *(name.format(A) for name in BESIDE)}
    assert names_in(project, "delete_staging") == {f"{B}.jpg", *(name.format(B) for name in BESIDE)}
    assert f"1 file of similar names left behind, of no known kind: {A}-notes.rtf" in result.line
    undo(project, 1)
    assert read_tree(project.root) == before


def test_crop_and_its_undo_take_companions_along(project: Project) -> None:
    review(project, "q", *FINALISE)
    waiting = read_tree(project.root)
    crop(project, f"{A}.jpg")
    assert names_in(project, "crop_originals") == {f"{A}.jpg", *(name.format(A) for name in BESIDE)}
    for name in (f"{A}.xmp", f"{A}.jpg.pp3", f"{A}_01.jpg.xmp", f"._{A}.jpg"):
        (project.root / "crop_cropped" / name).write_text(f"of the crop: {name}")
    undo(project, 2)
    after = read_tree(project.root)
    new = f"{A}.undone-2"
    made = {path for path in after if path not in waiting}
    names = (f"{new}.jpg", f"{new}.xmp", f"{new}.jpg.pp3", f"{new}_01.jpg.xmp", f"._{new}.jpg")
    assert made == {f"delete_staging/{name}" for name in names}
    assert {path: content for path, content in after.items() if path not in made} == waiting


def test_marks_take_companions_along_and_name_what_stays(project: Project) -> None:
    review(project, "k", *FINALISE)
    (project.root / "selected" / f"{A} draft.psd").write_text("of nobody")
    before = read_tree(project.root)
    with closing(BrowseSession(project, ["selected"])) as session:
        session.set_marks({f"selected/{A}.jpg": "delete_staging"})
        result = session.apply()
    assert names_in(project, "delete_staging") == {f"{A}.jpg", *(name.format(A) for name in BESIDE)}
    assert f"left behind, of no known kind: selected/{A} draft.psd" in result.line
    undo(project, 2)
    assert read_tree(project.root) == before


def test_undo_leaves_files_that_another_batch_placed(workspace: Workspace, images_folder: Path) -> None:
    # in selected/ the second sidecar of one image reads as that of another one, which came from another folder
    for number, name in enumerate((f"a/{A}.jpg", f"a/{B}.jpg", f"b/{A}_01.jpg", "b/20250101_100200_stage2_b.jpg")):
        write_image(images_folder / name, number)
    (images_folder / f"a/{A}_01.jpg.xmp").write_text("an edit")
    project = projects.start(workspace, "p", images_folder)[0]
    before = read_tree(project.root)
    with_both = projects.status(project)["groups"]
    assert with_both == 2
    review(project, "1", *FINALISE)
    review(project, "1", *FINALISE)
    assert {f"{A}_01.jpg", f"{A}_01.jpg.xmp"} <= names_in(project, "selected")
    undo(project, 2)
    assert f"{A}_01.jpg.xmp" in names_in(project, "selected")
    undo(project, 1)
    assert read_tree(project.root) == before


def test_companion_in_the_way_holds_its_group_back(project: Project) -> None:
    (project.root / "selected").mkdir()
    (project.root / "selected" / f"{A}_01.jpg.xmp").write_text("another edit")
    before = read_tree(project.root)
    result = review(project, "1", *FINALISE).last_result
    assert result is not None and list(result.held.values()) == [f"selected/{A}_01.jpg.xmp exists already"]
    assert read_tree(project.root) == before
