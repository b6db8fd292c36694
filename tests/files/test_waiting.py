"""Waiting crops that have lost their sidecar, and rows whose image was cropped without one, by `check` and the desk."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from conftest import read_tree, write_image
from pickroom.cli import app
from pickroom.core.geometry import default_box
from pickroom.core.records import CropBox
from pickroom.files import sidecars
from pickroom.files.batch import undo_batch
from pickroom.files.cropping import Order
from pickroom.sessions.crop.session import CropSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, decisions, queue, recommend, review, rows

BOX = CropBox(0.1, 0.1, 0.9, 0.9)
AI = (0.11, 0.09, 0.91, 0.88)
Make = Callable[..., Project]
Sent = tuple[Project, list[str]]


@pytest.fixture
def sent(make_project: Make) -> Sent:
    """Two images in crop/, the first with an AI's box, and one in crop_auto/; their names."""
    project = make_project([(1, 2), (1, 1.5), (1, 2, 3)])
    first, _, third = groups = queue(project)
    recommend(project, first, 0, AI)
    recommend(project, third, 0, AI, crop_needed=True)
    review(project, "q", "q", "a", *FINALISE)
    return project, [group.filenames[0] for group in groups]


def check(project: Project, *options: str) -> Result:
    home = str(project.workspace.root)
    return CliRunner().invoke(app, ["check", project.id, *options, "--home", home], catch_exceptions=False)


def sidecar(project: Project, name: str, folder: str = "crop") -> Path:
    return (project.root / folder / name).with_suffix(".decision")


def final_of(project: Project, name: str) -> object:
    text = next(r["final_crop_coords"] for r in decisions(project).values() if json.loads(r["images"])[0] == name)
    return None if text is None else json.loads(text)


def crop(project: Project, *orders: Order) -> None:
    with closing(CropSession(project)) as session:
        assert session.submit(orders).refused == {}


def test_check_says_nothing_of_crops_that_wait_as_they_should(sent: Sent) -> None:
    ran = check(sent[0], "--json")
    assert (ran.exit_code, json.loads(ran.stdout)["crops"]) == (0, [])


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (None, "its sidecar is missing"),
        (b"", "its sidecar is not valid JSON"),
        (b'{"group_id": "p_gr', "its sidecar is not valid JSON"),
        (b"\xff\xfe\x00", "its sidecar is not valid JSON"),
        (b'{"group_id": "other", "project_id": "p", "needs_crop": true}', "its sidecar names an unknown group"),
        ("another", "its sidecar names another file"),
        ("minimal", "its sidecar has the minimal old form"),
    ],
)
@pytest.mark.parametrize("by", ["check --repair", "the crop desk"])
def test_a_lost_sidecar_is_rebuilt(sent: Sent, content: bytes | str | None, what: str, by: str) -> None:
    project, (name, second, _) = sent
    own, other = sidecar(project, name), sidecar(project, second)
    whole = own.read_bytes()
    if content is None:
        own.unlink()
    elif content == "another":
        own.write_bytes(other.read_bytes())
    elif content == "minimal":
        values = json.loads(whole)
        own.write_text(json.dumps({key: values[key] for key in ("group_id", "project_id", "needs_crop")}))
    else:
        assert isinstance(content, bytes)
        own.write_bytes(content)
    before = own.read_bytes() if own.exists() else None
    ran = check(project)
    assert ran.exit_code == 1 and f"crop/{name}: {what}" in ran.stdout
    assert f"pickroom check p --repair --home {project.workspace.root}" in ran.stdout
    assert (own.read_bytes() if own.exists() else None) == before
    if by == "the crop desk":
        with closing(CropSession(project)) as session:
            assert f"crop/{name}: {what}" in session.view().message
    else:
        ran = check(project, "--repair")
        assert ran.exit_code == 0 and f"repaired: crop/{name}: {what}" in ran.stdout
    assert own.read_bytes() == whole
    aside = [path.read_bytes() for path in (project.root / "delete_staging").glob("replaced-*")]
    assert aside == ([] if before is None else [before])
    with closing(CropSession(project)) as session:
        assert (session.view().images[0].filename, session.view().images[0].note) == (name, "the AI's box")
        session.press("Enter")
    assert final_of(project, name) == list(AI)
    assert check(project).exit_code == 0


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("index", [-1, "x", 0.5])
def test_a_row_without_a_pick_holds_up_no_other(sent: Sent, index: object, kept: bool) -> None:
    project, (name, second, _) = sent
    for lost in [second] if kept else [name, second]:
        sidecar(project, lost).unlink()
    with closing(connect(project.database)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        unsound = "UPDATE ai_decisions SET user_selected_index = ? WHERE json_extract(images, '$[0]') = ?"
        connection.execute(unsound, (index, name))
    with closing(CropSession(project)) as session:
        assert list(session.problems) == ([f"crop/{name}"] if kept else [])
        assert second in [waits.filename for waits in session.waiting]
    assert sidecar(project, second).exists()


def test_a_folder_in_the_way_of_a_sidecar_is_named(sent: Sent) -> None:
    project, (name, *_) = sent
    own = sidecar(project, name)
    whole = own.read_bytes()
    own.unlink()
    own.mkdir()
    for options in ([], ["--repair"]):
        (fault,) = json.loads(check(project, "--json", *options).stdout)["crops"]
        assert not fault["repairable"] and fault["next"].startswith(f"Move crop/{own.name} away")
    own.rmdir()
    assert check(project, "--repair").exit_code == 0
    assert own.read_bytes() == whole


def test_a_sidecar_in_crop_auto_is_rebuilt_with_its_box(sent: Sent) -> None:
    project, (*_, third) = sent
    own = sidecar(project, third, "crop_auto")
    whole = own.read_text()
    own.unlink()
    assert check(project, "--repair").exit_code == 0
    assert own.read_text() == whole and '"suggestion"' in whole


def test_a_rebuilt_sidecar_goes_with_the_finalise_that_is_undone(sent: Sent) -> None:
    project, (name, *_) = sent
    sidecar(project, name).write_text("{")
    check(project, "--repair")
    with closing(connect(project.database)) as connection:
        assert len(undo_batch(project, connection, 1).done) == 3
    assert not list(project.root.glob("crop*/*.decision"))
    assert len(queue(project)) == 3


def test_two_images_of_one_stem_each_close_their_own_row(make_project: Make, images_folder: Path) -> None:
    for seed, path in enumerate(
        ("a/{}1_stage1_x.png", "a/{}2_stage2_x.png", "b/{}1_stage1_x.jpg", "b/{}3_stage2_x.jpg")
    ):
        write_image(images_folder / path.format("20250803_06000"), seed=seed)
    project = make_project([], folder="c")
    stem = "20250803_060001_stage1_x"
    aside = project.root / "aside.png"
    review(project, "q", *FINALISE, batch_size=1)
    # a finalise holds the other back as long as the stem is taken: by hand both come into one folder
    (project.root / "crop" / f"{stem}.png").rename(aside)
    sidecar(project, f"{stem}.png").unlink()
    review(project, "q", *FINALISE, batch_size=1)
    aside.rename(project.root / "crop" / f"{stem}.png")
    ran = check(project)
    assert ran.exit_code == 0, ran.stdout
    with closing(CropSession(project)) as session:
        names = [w.filename for w in session.waiting if w.filename.startswith(stem)]
        assert sorted(names) == [f"{stem}.jpg", f"{stem}.png"] and session.problems == {}
        for name in names:
            assert session.submit([Order("crop", name, BOX)]).warnings == {}
            assert final_of(project, name) == BOX.to_list()
            # a finished crop of the same stem would be in the way of the other
            (project.root / "crop_cropped" / name).rename(project.root / f"done_{name}")
            (project.root / "crop_originals" / name).rename(project.root / f"original_{name}")


def test_another_image_of_the_name_is_not_taken_for_the_pick(sent: Sent) -> None:
    project, (name, *_) = sent
    sidecar(project, name).unlink()
    write_image(project.root / "crop" / name, seed=99)
    before = read_tree(project.root)
    ran = check(project, "--repair")
    assert ran.exit_code == 1 and "is not the image that was picked" in ran.stdout
    assert "put that image back here" in ran.stdout
    assert read_tree(project.root) == before
    with closing(CropSession(project)) as session:
        assert "not the image that was picked" in session.problems[f"crop/{name}"]
        assert name in session.submit([Order("crop", name, BOX)]).refused


def test_a_bad_sidecar_of_an_image_without_a_decision_is_named(sent: Sent) -> None:
    project, _ = sent
    write_image(project.root / "crop" / "nobody.png", seed=99)
    assert json.loads(check(project, "--json").stdout)["crops"] == []  # none needs none
    sidecar(project, "nobody.png").write_text("{")
    ran = check(project, "--repair")
    assert ran.exit_code == 1 and "No decision waits for this image: move crop/nobody.decision away" in ran.stdout


# --- images that were cropped, or dropped, without their sidecar -----------------------------------------------------


def as_version_01(project: Project, name: str, box: CropBox | None = BOX) -> None:
    """Crop or drop an image whose sidecar is lost as version 0.1 did: files moved, a row of `crops`, no decision."""
    own = sidecar(project, name)
    own.unlink()
    with closing(connect(project.database)) as connection:
        sql = "UPDATE ai_decisions SET user_selected_index = 1 - user_selected_index WHERE images LIKE ?"
        connection.execute(sql, (f'["{name}"%',))  # nothing says whose it is
    crop(project, Order("crop", name, box))
    with closing(connect(project.database)) as connection:
        connection.execute(sql, (f'["{name}"%',))
    assert rows(project, "SELECT group_id FROM crops") == ([{"group_id": None}] if box else [])


def test_a_crop_made_without_a_sidecar_closes_its_row(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name)
    tree = read_tree(project.root)
    ran = check(project)
    assert ran.exit_code == 1 and "waits for its crop, which was made without a sidecar" in ran.stdout
    assert final_of(project, name) is None
    ran = check(project, "--repair")
    assert ran.exit_code == 0 and "got the crop that was made in batch 2" in ran.stdout
    assert (final_of(project, name), read_tree(project.root)) == (BOX.to_list(), tree)
    row = next(r for r in decisions(project).values() if json.loads(r["images"])[0] == name)
    assert row["crop_match"] == 1 and row["crop_timestamp"] is not None
    with closing(connect(project.database)) as connection:  # undone, it waits again
        undo_batch(project, connection, 2)
    assert final_of(project, name) is None and rows(project, "SELECT * FROM crops") == []
    crop(project, Order("crop", name, BOX))
    assert final_of(project, name) == BOX.to_list()


def test_a_row_is_closed_by_the_kept_original_too(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name)
    original = project.root / "crop_originals" / name
    kept = original.read_bytes()
    with closing(connect(project.database)) as connection:
        connection.execute("DELETE FROM file_operations WHERE kind = 'crop'")  # no journal says what was cropped
    write_image(original, seed=99)
    assert "repaired" not in check(project, "--repair").stdout and final_of(project, name) is None
    original.write_bytes(kept)
    assert "repaired" in check(project, "--repair").stdout and final_of(project, name) == BOX.to_list()


def test_a_crop_opened_again_closes_the_row_with_its_last_box(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name, CropBox(0, 0, 0.5, 0.5))
    (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    with closing(CropSession(project)) as session:
        assert "not the image that was picked" in session.problems[f"crop/{name}"]
    (project.root / "crop" / name).rename(project.root / "crop_cropped" / name)
    assert check(project, "--repair").exit_code == 0
    (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    crop(project, Order("crop", name, CropBox(0, 0, 0.5, 0.5)))
    assert final_of(project, name) == [0, 0, 0.25, 0.25]


def test_a_default_box_stays_one_when_its_row_is_closed(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name, default_box((48, 64)))
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE crops SET box_source = 'default'")
    check(project, "--repair")
    assert rows(project, "SELECT box_source FROM final_crops") == [{"box_source": "default"}]


def test_an_image_dropped_without_a_sidecar_waits_no_longer(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name, None)
    assert "sent to delete_staging" in check(project).stdout
    assert check(project, "--repair").exit_code == 0
    left = {json.loads(row["images"])[0] for row in rows(project, "SELECT images FROM incomplete_crops")}
    assert name not in left and len(left) == 2


def test_what_only_the_user_can_put_right_is_said(sent: Sent) -> None:
    project, (one, two, three) = sent
    root = project.root
    for folder in ("crop_originals", "crop_cropped", "selected"):
        (root / folder).mkdir(exist_ok=True)
    (root / "crop" / one).rename(root / "crop_originals" / one)  # by another program: no box is known
    write_image(root / "crop_cropped" / one, seed=5)
    (root / "crop" / two).rename(root / "selected" / two)
    (root / "crop_auto" / three).unlink()
    before = read_tree(root)
    ran = check(project, "--repair")
    assert ran.exit_code == 1 and read_tree(root) == before
    assert f"Move crop_cropped/{one} away and crop_originals/{one} back to crop/, then crop it again" in ran.stdout
    assert "and it is in selected/. Move it to crop/, then crop it" in ran.stdout
    assert f"{three}: group" in ran.stdout and "Put it back into crop/, then crop it" in ran.stdout
    assert "--repair" not in ran.stdout
    # done as it is said, the row closes
    (root / "crop_cropped" / one).unlink()
    (root / "crop_originals" / one).rename(root / "crop" / one)
    crop(project, Order("crop", one, BOX))
    assert final_of(project, one) == BOX.to_list()


def test_a_crop_of_another_image_closes_no_row(sent: Sent) -> None:
    project, (name, *_) = sent
    as_version_01(project, name)
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE images SET sha256 = 'another' WHERE filename = ?", (name,))
        assert [fault.repairable for fault in sidecars.look(project, connection)] == [False]
        assert sidecars.repair(project, connection) == []
    assert final_of(project, name) is None


def test_the_desk_opens_while_another_process_moves_files(sent: Sent) -> None:
    from pickroom.files.preflight import project_lock

    project, (name, *_) = sent
    sidecar(project, name).unlink()
    with project_lock(project, "a test"), closing(CropSession(project)) as session:
        assert session.view().images[0].note == "the AI's box" and not sidecar(project, name).exists()
