"""The crop desk on real folders: crops written, originals kept, rows completed, everything undone again."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image as PillowImage
from typer.testing import CliRunner

from conftest import read_tree, write_image
from pickroom.cli import app
from pickroom.core.errors import StoreError, UsageError
from pickroom.core.geometry import compose, default_box, to_pixels
from pickroom.core.records import CropBox
from pickroom.files.batch import recover
from pickroom.files.cropping import NO_SIDECAR, Order, submit
from pickroom.sessions.crop.session import CropSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, decisions, in_child, obey_permissions, queue, recommend, review, rows

BOX = CropBox(0.1, 0.1, 0.9, 0.9)
Make = Callable[..., Project]


@pytest.fixture
def waiting(make_project: Make) -> tuple[Project, list[str]]:
    """Three images in crop/, the first with an AI's box for it; their names."""
    project = make_project([(1, 2), (1, 1.5), (1, 2, 3)])
    first = queue(project)[0]
    recommend(project, first, 0, (0.11, 0.09, 0.91, 0.88))
    groups = queue(project)
    review(project, "q", "q", "q", *FINALISE)
    return project, [group.filenames[0] for group in groups]


def crop(project: Project, *orders: Order):
    session = CropSession(project)
    try:
        return session.submit(orders)
    finally:
        session.close()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def row_of(project: Project, name: str) -> dict:
    return next(row for row in decisions(project).values() if json.loads(row["images"])[0] == name)


def test_crop_is_written_and_original_kept_with_companions(waiting):
    project, (name, *_) = waiting
    before = read_tree(project.root)
    result = crop(project, Order("crop", name, BOX))
    assert (result.done, result.refused, result.warnings) == ([name], {}, {})
    after = read_tree(project.root)
    yaml = name.replace(".png", ".yaml")
    assert after[f"crop_originals/{name}"] == before[f"crop/{name}"]
    assert after[f"crop_originals/{yaml}"] == before[f"crop/{yaml}"]
    with PillowImage.open(project.root / "crop_cropped" / name) as image:
        x1, y1, x2, y2 = to_pixels(BOX, 48, 64)
        assert image.size == (x2 - x1, y2 - y1)
    assert not [path for path in after if path.startswith("crop/") and Path(path).stem == Path(name).stem]


def test_row_stores_given_box_time_and_match_with_the_ai(waiting):
    project, (first, second, _) = waiting
    crop(project, Order("crop", first, BOX), Order("crop", second, BOX))
    row = row_of(project, first)
    assert json.loads(row["final_crop_coords"]) == [0.1, 0.1, 0.9, 0.9]
    assert (row["crop_match"], row["crop_timestamp"][-1]) == (1, "Z")
    assert row_of(project, second)["crop_match"] is None  # no AI proposed a box


def test_a_box_far_from_the_ais_does_not_match(waiting):
    project, (first, *_) = waiting
    crop(project, Order("crop", first, CropBox(0.3, 0, 0.7, 0.6)))
    assert row_of(project, first)["crop_match"] == 0


def test_incomplete_crops_lists_what_still_waits(waiting):
    project, made = waiting
    crop(project, Order("crop", made[0], BOX))
    crop(project, Order("crop", made[1], None))
    left = rows(project, "SELECT images FROM incomplete_crops")
    assert [json.loads(row["images"])[0] for row in left] == [made[2]]


def test_undo_brings_original_sidecar_and_row_back(waiting):
    project, (name, *_) = waiting
    tree, row = read_tree(project.root), row_of(project, name)
    session = CropSession(project)
    session.submit([Order("crop", name, BOX)])
    session.press("b")
    shown = session.view().images[0]
    session.close()
    after = read_tree(project.root)
    undone = [path for path in after if ".undone-" in path]
    assert {path: content for path, content in after.items() if path not in undone} == tree
    assert [Path(path).parent.as_posix() for path in undone] == ["delete_staging"]
    assert row_of(project, name) == row
    assert (shown.filename, shown.box) == (name, BOX)


def test_a_dropped_image_goes_to_staging_and_waits_no_longer(waiting):
    project, (name, *_) = waiting
    session = CropSession(project)
    session.press("d")
    assert name in names(project.root / "delete_staging")
    assert not (project.root / "crop" / name.replace(".png", ".decision")).exists()
    dropped = "SELECT c.group_id FROM decision_context AS c WHERE dropped_at IS NOT NULL"
    assert len(rows(project, dropped)) == 1
    assert row_of(project, name)["user_action"] == "crop"  # the pick stays a valid selection
    session.press("b")
    session.close()
    assert rows(project, dropped) == []
    assert name in names(project.root / "crop")


def test_an_image_without_a_decision_is_cropped_with_a_warning(waiting):
    project, _ = waiting
    write_image(project.root / "crop" / "nobody.png", seed=7)
    before = decisions(project)
    result = crop(project, Order("crop", "nobody.png", BOX))
    assert (result.done, result.warnings) == (["nobody.png"], {"nobody.png": NO_SIDECAR})
    assert decisions(project) == before


def test_what_a_crop_cannot_have_is_named(waiting):
    project, _ = waiting
    path = project.root / "crop" / "signed.png"
    write_image(path, seed=7)
    data, chunk = path.read_bytes(), b"caBXmanifest"
    path.write_bytes(data[:33] + struct.pack(">I12sI", 8, chunk, zlib.crc32(chunk)) + data[33:])
    with closing(CropSession(project)) as session:
        result = session.submit([Order("crop", "signed.png", BOX)])
        assert "the crop is without its content credentials (C2PA)" in result.warnings["signed.png"]
        assert "1 without a sidecar" in session.state.message and "(the first: signed.png: " in session.state.message
    assert b"manifest" in (project.root / "crop_originals" / "signed.png").read_bytes()


def test_a_motion_photo_keeps_its_video_and_comes_back(waiting):
    project, _ = waiting
    path, video = project.root / "crop" / "motion.jpg", b"\0\0\0\x10ftypmp42" + b"frames" * 90
    write_image(path, seed=7)
    path.write_bytes(path.read_bytes() + video)
    before = path.read_bytes()
    with closing(CropSession(project)) as session:
        assert session.submit([Order("crop", "motion.jpg", BOX)]).done == ["motion.jpg"]
        assert (project.root / "crop_cropped" / "motion.jpg").read_bytes().endswith(video)
        assert (project.root / "crop_originals" / "motion.jpg").read_bytes() == before
        session.press("b")
    assert path.read_bytes() == before


def test_a_second_picture_behind_an_image_holds_it_back(waiting):
    project, _ = waiting
    path = project.root / "crop" / "two.jpg"
    write_image(path, seed=7)
    path.write_bytes(path.read_bytes() * 2)
    before = read_tree(project.root)
    result = crop(project, Order("crop", "two.jpg", BOX))
    assert result.done == [] and "holds another picture behind its end" in result.refused["two.jpg"]
    assert read_tree(project.root) == before


def test_a_sidecar_lost_while_the_desk_is_open_costs_no_row(waiting):
    project, (name, *_) = waiting
    with closing(CropSession(project)) as session:
        (project.root / "crop" / name.replace(".png", ".decision")).unlink()
        session.press("[")
        session.press("Enter")
        assert (session.last_result.done, session.last_result.warnings) == ([name], {})
    assert row_of(project, name)["final_crop_coords"] is not None


UNBELIEVABLE = [
    (lambda s: s | {"filename": "other.png"}, "names another file: 'other.png'"),
    (lambda s: s | {"group_id": "nobody"}, "unknown group: 'nobody'"),
    (lambda s: s | {"group_id": ["x"]}, "unknown group"),
    (lambda s: s | {"project_id": "q"}, "names project 'q'"),
    (lambda s: s | {"ai_crop_coords": [0.5, 0, 0.1, 1]}, "an invalid box"),
    (lambda s: [s], "holds no JSON object"),
    (lambda s: "{", "not valid JSON"),
    (lambda s: "", "not valid JSON"),
]


@pytest.mark.parametrize(("change", "reason"), UNBELIEVABLE)
def test_image_with_invalid_sidecar_is_refused_and_keeps_waiting(waiting, change, reason):
    project, (name, *_) = waiting
    write_image(project.root / "crop" / name, seed=99)  # not the image picked: the database cannot answer for it
    sidecar = project.root / "crop" / name.replace(".png", ".decision")
    changed = change(json.loads(sidecar.read_text()))
    sidecar.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    before = read_tree(project.root)
    session = CropSession(project)
    assert reason in session.problems[f"crop/{name}"]
    assert name not in [image.filename for image in session.view().images]
    result = session.submit([Order("crop", name, BOX)])
    session.close()
    assert reason in result.refused[name]
    assert read_tree(project.root) == before


@pytest.mark.parametrize(("change", "reason"), UNBELIEVABLE)
def test_such_a_sidecar_is_replaced_when_the_image_is_known(waiting, change, reason):
    project, (name, *_) = waiting
    sidecar = project.root / "crop" / name.replace(".png", ".decision")
    whole = sidecar.read_text()
    changed = change(json.loads(whole))
    sidecar.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    bad = sidecar.read_bytes()
    with closing(CropSession(project)) as session:
        assert session.problems == {} and sidecar.read_text() == whole
        assert reason in session.view().message and "written again from the database" in session.view().message
        (aside,) = (project.root / "delete_staging").glob("replaced-*.decision")
        assert aside.read_bytes() == bad
        session.press("Enter")  # the AI's box
    assert json.loads(row_of(project, name)["final_crop_coords"]) == [0.11, 0.09, 0.91, 0.88]


def test_the_minimal_old_sidecar_is_read(waiting):
    project, (name, *_) = waiting
    sidecar = project.root / "crop" / name.replace(".png", ".decision")
    values = json.loads(sidecar.read_text())
    sidecar.write_text(json.dumps({key: values[key] for key in ("group_id", "project_id", "needs_crop")}))
    assert crop(project, Order("crop", name, BOX)).done == [name]
    assert row_of(project, name)["final_crop_coords"] is not None


def test_reopened_crop_is_composed_into_frame_of_the_original(waiting):
    project, (name, *_) = waiting
    crop(project, Order("crop", name, CropBox(0.25, 0.25, 0.75, 0.75)))
    (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    result = crop(project, Order("crop", name, CropBox(0.5, 0.5, 1, 1)))
    assert (result.done, result.warnings) == ([name], {})
    composed = compose(CropBox(0.25, 0.25, 0.75, 0.75), CropBox(0.5, 0.5, 1, 1))
    assert json.loads(row_of(project, name)["final_crop_coords"]) == composed.to_list() == [0.5, 0.5, 0.75, 0.75]
    assert name in names(project.root / "crop_originals")
    with PillowImage.open(project.root / "crop_cropped" / name) as image:
        assert image.size == (12, 16)


def test_reopened_crop_comes_back_with_its_box_as_drawn(waiting):
    project, (name, *_) = waiting
    crop(project, Order("crop", name, CropBox(0.25, 0.25, 0.75, 0.75)))
    (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    session = CropSession(project, per_page=1)
    assert session.view().images[0].warning == ""  # its row will be changed
    session.press("Shift+ArrowLeft")
    drawn = session.view().images[0].box
    session.press("Enter")
    session.press("b")
    shown = session.view().images[0]
    session.close()
    assert (shown.filename, shown.box) == (name, drawn)


def test_an_image_of_another_size_than_the_picked_one_is_refused(waiting):
    project, (name, *_) = waiting
    write_image(project.root / "crop" / name, seed=5, size=(20, 20))
    result = crop(project, Order("crop", name, BOX))
    assert "another frame" in result.refused[name]
    assert row_of(project, name)["final_crop_coords"] is None


@pytest.mark.parametrize("folder", ["crop_cropped", "crop_originals"])
def test_what_stands_in_the_way_refuses_one_image_and_no_other(waiting, folder):
    project, (first, second, _) = waiting
    write_image(project.root / folder / first, seed=99)
    before = read_tree(project.root)
    result = crop(project, Order("crop", first, BOX), Order("crop", second, BOX))
    assert (list(result.refused), result.done) == ([first], [second])
    after = read_tree(project.root)
    assert {
        path: content for path, content in before.items() if Path(path).stem == Path(first).stem
    }.items() <= after.items()


def test_animated_image_is_refused_before_any_file_moves(waiting):
    project, (name, *_) = waiting
    path = project.root / "crop" / name
    frames = [PillowImage.new("RGB", (48, 64), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    before = read_tree(project.root)
    result = crop(project, Order("crop", name, BOX))
    assert name in result.refused and result.done == []
    assert read_tree(project.root) == before


def test_apply_all_uses_ai_boxes_and_is_recorded_as_automatic(make_project: Make):
    project = make_project([(1, 2), (1, 2)])
    for group in queue(project):
        recommend(project, group, 1, (0.2, 0, 0.8, 0.6), crop_needed=True)
    review(project, "a", "a", *FINALISE)
    session = CropSession(project)
    session.press("Shift+a")
    assert session.view().confirm
    session.press("Enter")
    session.close()
    found = decisions(project).values()
    assert [(json.loads(row["final_crop_coords"]), row["crop_match"]) for row in found] == [([0.2, 0, 0.8, 0.6], 1)] * 2
    assert [row["crop_input"] for row in rows(project, "SELECT crop_input FROM decision_context")] == ["apply_ai"] * 2
    assert rows(project, "SELECT correct_crops, crop_accuracy FROM ai_performance") == [
        {"correct_crops": 0, "crop_accuracy": None}
    ]


def test_apply_all_has_nothing_to_ask_when_no_ai_crop_waits(waiting):
    session = CropSession(waiting[0])
    session.press("Shift+a")
    assert session.view().confirm == "" and "no AI crop" in session.view().message
    session.close()


def test_files_added_while_desk_is_open_show_and_page_stays(waiting):
    project, made = waiting
    session = CropSession(project, per_page=1)
    session.press("n")
    assert not session.refresh()
    write_image(project.root / "crop" / "0.png", seed=7)
    assert session.refresh()
    shown = session.view()
    session.press("u")
    session.close()
    assert shown.header.startswith("4 images wait")
    assert (shown.images[0].filename, shown.images[0].box) == (made[0], CropBox(0, 0, 1, 1))
    assert [image.filename for image in session.next_page()] == ["0.png"]
    assert session.state.boxes[made[0]][0] != CropBox(0, 0, 1, 1)


def test_lost_or_blocked_image_is_reported_at_its_place(waiting):
    project, (name, *_) = waiting
    session = CropSession(project, per_page=1)
    path = project.root / "crop" / name
    content = path.read_bytes()
    path.unlink()
    assert session.view().images[0].sha256 == ""
    path.write_bytes(content)
    write_image(project.root / "crop_cropped" / name, seed=99)
    session.press("Enter")
    shown = session.view()
    session.close()
    assert shown.images[0].warning == "not cropped" and shown.message == "1 left waiting"
    assert shown.problems[0].startswith(f"crop/{name}: ")


@pytest.mark.parametrize("by", ["the desk", "the command"])
def test_half_moved_crop_is_told_from_refused_one_and_recovered(waiting, by):
    project, (name, other, _) = waiting
    originals = project.root / "crop_originals"
    write_image(originals / other, seed=99)  # refused: in the way

    def at_the_desk() -> tuple:
        obey_permissions()
        project.root.chmod(0o300)  # what lies in it can be reached, but moves cannot be made durable
        session = CropSession(project, per_page=2)
        session.submit([Order("crop", n, BOX) for n in (name, other)])
        told = session.view()
        result = session.last_result
        session.close()
        return result.batch, result.done, list(result.refused), list(result.stuck), told.message, told.problems

    def by_command() -> tuple:
        obey_permissions()
        project.root.chmod(0o300)
        lines = "".join(json.dumps({"filename": n, "box": BOX.to_list()}) + "\n" for n in (name, other))
        boxes = project.workspace.root / "boxes.jsonl"
        boxes.write_text(lines)
        ran = CliRunner().invoke(app, ["crop", "p", "--boxes", str(boxes), "--home", str(project.workspace.root)])
        return ran.exit_code, ran.stdout, ran.stderr

    if by == "the desk":
        batch, done, refused, stuck, message, problems = in_child(at_the_desk)
        assert (batch, done, refused, stuck) == (2, [], [other], [name])
        unfinished = "1 unfinished: run `pickroom recover p`"
        assert message.startswith(f"1 left waiting; {unfinished} (the first: {name}: Permission denied")
        assert [line.partition(":")[0] for line in problems] == [f"crop/{other}"]
    else:
        code, out, err = in_child(by_command)
        command = f"pickroom recover p --home {project.workspace.root}"
        assert (code, out) == (1, f"Batch 2: 0 done, 1 refused, 1 unfinished: run `{command}`\n")
        assert f"{name}: Permission denied while making moves durable" in err
    project.root.chmod(0o700)
    with closing(connect(project.database)) as connection:
        assert recover(project, connection).done == [name]
    assert name in names(originals) and name in names(project.root / "crop_cropped")
    assert row_of(project, name)["final_crop_coords"] is not None


def test_a_database_that_fails_is_one_clear_line(waiting):
    project, (name, *_) = waiting
    before = read_tree(project.root)
    with closing(connect(project.database)) as connection:
        connection.execute("DROP TABLE file_operations")
        with pytest.raises(StoreError, match="no such table: file_operations while cropping"):
            submit(project, connection, [Order("crop", name, BOX)])
    assert read_tree(project.root) == before


def test_pages_follow_each_other_and_a_skipped_page_comes_last(waiting):
    project, made = waiting
    session = CropSession(project, per_page=1)
    assert [image.filename for image in session.view().images] == [made[0]]
    session.press("s")
    assert [image.filename for image in session.view().images] == [made[1]]
    for _ in range(2):
        session.press("[")
        session.press("Enter")
    assert [image.filename for image in session.view().images] == [made[0]]
    session.press("Enter")
    assert session.view().images == ()
    session.close()
    assert names(project.root / "crop_cropped") == sorted(made)


def test_edits_are_what_is_written(waiting):
    project, (name, *_) = waiting
    session = CropSession(project, per_page=1)
    session.press("n")
    session.press("[")
    box = session.view().images[0].box
    session.press("Enter")
    session.close()
    assert CropBox.of(json.loads(row_of(project, name)["final_crop_coords"])) == box


def test_two_desks_the_second_is_told_that_the_image_has_gone(waiting):
    project, (name, *_) = waiting
    one, two = CropSession(project), CropSession(project)
    one.submit([Order("crop", name, BOX)])
    result = two.submit([Order("crop", name, BOX)])
    assert "no such image waits" in result.refused[name]
    one.close()
    two.close()


def test_a_page_shows_one_to_three_images(waiting):
    with pytest.raises(UsageError):
        CropSession(waiting[0], per_page=4)


# --- one image at a time, and whose box it is ------------------------------------------------------------------------


def sources(project: Project) -> dict[str, str]:
    return {r["filename"]: r["box_source"] for r in rows(project, "SELECT filename, box_source FROM crops")}


def shown(session: CropSession) -> list[str]:
    return [image.filename for image in session.view().images]


def test_enter_submits_the_active_image_alone(make_project: Make):
    project = make_project([(1, 2)] * 5)
    review(project, *"qqqqq", *FINALISE)
    with closing(CropSession(project)) as session:
        one, two, three, four, five = (card.filename for card in session.waiting)
        for key in ("2", "ArrowDown", "Enter"):
            session.press(key)
        assert sources(project) == {two: "drawn"}
        assert (shown(session), session.state.card.filename) == ([one, three, four], three)
        for key in ("3", "[", "Enter"):
            session.press(key)
        assert (shown(session), session.state.card.filename) == ([one, three, five], five)
        session.press("b")
        assert (shown(session), session.state.card.filename) == ([one, three, four], four)
        session.press("b")
        assert (shown(session), session.state.card.filename) == ([one, two, three], two)
        assert session.view().images[1].note == "your box"
    assert sources(project) == {}


def test_an_untouched_default_box_is_asked_about_once(waiting):
    project, (_, name, _) = waiting
    with closing(CropSession(project)) as session:
        session.press("2")
        session.press("Enter")
        assert session.view().asked and "press Enter again" in session.view().message and sources(project) == {}
        session.press("1")  # any other key takes the question back
        assert not session.view().asked
        for key in ("2", "Enter", "Enter"):
            session.press(key)
        assert "1 made here, 1 to the default box" in session.view().header
        assert sources(project) == {name: "default"}
        session.press("b")
        session.press("Enter")
        assert session.view().asked and sources(project) == {}  # it is not the user's than before
        session.press("[")
        session.press("Enter")
    assert sources(project) == {name: "drawn"}


def test_a_box_changed_and_put_back_is_still_the_default(waiting):
    project, (_, name, _) = waiting
    with closing(CropSession(project)) as session:
        for key in ("2", "n", "u", "f", "f", "Enter"):
            session.press(key)
        assert session.view().asked
        session.press("Enter")
    assert sources(project) == {name: "default"}


def test_the_ais_box_accepted_by_itself_is_told_from_one_of_all(make_project: Make):
    project = make_project([(1, 2), (1, 2), (1, 2)])
    for group in queue(project):
        recommend(project, group, 1, (0.2, 0, 0.8, 0.6), crop_needed=True)
    review(project, "a", "a", "a", *FINALISE)
    with closing(CropSession(project)) as session:
        one, two, three = (card.filename for card in session.waiting)
        for key in ("Enter", "ArrowDown", "Enter", "Shift+a", "Enter"):
            session.press(key)
        assert sources(project) == {one: "ai", two: "drawn", three: "ai_all"}
        session.press("b")
        session.press("Enter")
    assert sources(project) == {one: "ai", two: "drawn", three: "ai"}
    assert rows(project, "SELECT correct_crops, crop_accuracy FROM ai_performance") == [
        {"correct_crops": 3, "crop_accuracy": 1.0}
    ]


def test_a_crop_opened_again_and_left_as_it_opened_is_default(waiting):
    project, (name, *_) = waiting
    crop(project, Order("crop", name, CropBox(0.25, 0.25, 0.75, 0.75)))
    (project.root / "crop_cropped" / name).rename(project.root / "crop" / name)
    with closing(CropSession(project, per_page=1)) as session:
        session.press("Enter")
        session.press("Enter")
    query = "SELECT box_source FROM crops ORDER BY batch"
    assert [row["box_source"] for row in rows(project, query)] == ["drawn", "default"]
    assert rows(project, "SELECT box_source FROM final_crops") == [{"box_source": "default"}]


def test_boxes_from_a_file_are_the_users(waiting):
    project, (_, name, _) = waiting
    box = default_box((48, 64))
    boxes = project.workspace.root / "boxes.jsonl"
    boxes.write_text(json.dumps({"filename": name, "box": box.to_list()}))
    ran = CliRunner().invoke(app, ["crop", "p", "--boxes", str(boxes), "--home", str(project.workspace.root)])
    assert ran.exit_code == 0 and sources(project) == {name: "drawn"}


def test_skipping_a_page_of_skipped_images_turns_the_page(make_project: Make):
    project = make_project([(1, 2)] * 4)
    review(project, *"qqqq", *FINALISE)
    with closing(CropSession(project)) as session:
        one, two, three, four = (card.filename for card in session.waiting)
        session.press("s")
        assert shown(session) == [four, one, two]
        session.press("s")
        assert shown(session) == [one, two, three]
