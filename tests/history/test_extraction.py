"""Picks and crops read off two folders, or zips: what they say, and what they do not."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from conftest import read_tree, stage_name, write_series
from pickroom.core.errors import ProjectError, UsageError
from pickroom.history import extraction, pairing, skip_reasons
from pickroom.history.extraction import read_pair
from pickroom.history.staging import StagedImport
from pickroom.store.workspace import Workspace

from .logs import SELECTION, content, rows_of, run_import, selection, write_log
from .test_template import textured


@pytest.fixture
def before(tmp_path: Path) -> Path:
    """Originals: three groups of two, and one image in no group."""
    folder = tmp_path / "before"
    names = write_series(folder / "faces", [(1, 2), (1, 2), (1, 2)])
    for number, path in enumerate(sorted((folder / "faces").glob("*.png"))):
        PillowImage.fromarray(textured(seed=number)).save(path)
    PillowImage.fromarray(textured(seed=99)).save(folder / "holiday.png")
    assert len(names) == 3
    return folder


@pytest.fixture
def after(tmp_path: Path) -> Path:
    folder = tmp_path / "after"
    folder.mkdir()
    return folder


def names_of(before: Path) -> list[str]:
    return [path.name for path in sorted((before / "faces").glob("*.png"))]


def keep(before: Path, after: Path, name: str, box: tuple[int, int, int, int] | None = None, to: str = "") -> Path:
    """Copy an original to the final folder, or a crop of it (left, top, right, bottom)."""
    source = next(before.rglob(name))
    target = after / to / name
    target.parent.mkdir(parents=True, exist_ok=True)
    if box is None:
        shutil.copy2(source, target)
    else:
        PillowImage.open(source).crop(box).save(target)
    os.utime(target, (1_754_200_000, 1_754_200_000))
    return target


def compare(workspace: Workspace, before: Path, after: Path, *, write: bool = True) -> StagedImport:
    with read_pair(workspace, before, after, "mojo1") as found:
        assert found.report.rows == found.report.imported + found.report.skipped.total()
        if write:
            found.write()
    return found


def only_reason(workspace: Workspace, before: Path, after: Path) -> str:
    found = compare(workspace, before, after)
    assert found.report.projects == {}
    (reason,) = found.report.skipped
    return reason


def test_a_pick_and_a_cropped_pick(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    keep(before, after, names[1], to="character_a")
    keep(before, after, names[2], (30, 20, 250, 180))
    untouched = read_tree(before), read_tree(after)
    found = compare(workspace, before, after, write=False)
    assert not workspace.root.exists()
    found = compare(workspace, before, after)
    assert (read_tree(before), read_tree(after)) == untouched
    assert found.report.projects == {"mojo1": {"decisions": 2}}
    assert dict(found.report.files[0].notes) == {extraction.UNDECIDED: 1}  # the third group says nothing
    rows = {row["user_action"]: row for row in rows_of(workspace, "ai_decisions")}
    assert set(rows) == {"approve", "crop"}
    plain, cropped = rows["approve"], rows["crop"]
    assert json.loads(plain["images"]) == names[:2]
    assert plain["user_selected_index"] == 1
    assert (plain["image_width"], plain["image_height"], plain["timestamp"]) == (300, 220, "2025-08-03T05:46:40Z")
    assert plain["final_crop_coords"] is plain["crop_timestamp"] is plain["ai_selected_index"] is None
    assert json.loads(cropped["final_crop_coords"]) == [30 / 300, 20 / 220, 250 / 300, 180 / 220]
    assert (cropped["image_width"], cropped["crop_timestamp"]) == (300, "2025-08-03T05:46:40Z")
    (match,) = rows_of(workspace, "legacy_matches")
    assert match["score"] == pytest.approx(1)
    assert (match["filename"], match["difference"], match["reason"]) == (names[2], 0, None)


def test_again_adds_nothing(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    keep(before, after, names[1])
    keep(before, after, names[2], (30, 20, 250, 180))
    keep(before, after, names[4], (0, 0, 20, 15)).write_bytes((after / names[2]).read_bytes())  # no crop of this one
    first = compare(workspace, before, after)
    assert first.to_dict()["boxes"] == {"found": 1, "null": 1}
    stored = content(workspace)
    os.utime(after / names[1])  # another time of the same file is not another pick
    again = compare(workspace, before, after)
    assert dict(again.report.skipped) == {skip_reasons.IMPORTED: 3}
    assert content(workspace) == stored


def test_zips_are_read_in_place(workspace: Workspace, before: Path, after: Path, tmp_path: Path) -> None:
    names = names_of(before)
    keep(before, after, names[1])
    keep(before, after, names[2], (30, 20, 250, 180), to="deep/er")
    packed = [Path(shutil.make_archive(str(tmp_path / name), "zip", tmp_path / name)) for name in ("before", "after")]
    found = compare(workspace, *packed)
    assert found.report.projects == {"mojo1": {"decisions": 2}}
    rows = {row["user_action"]: row for row in rows_of(workspace, "ai_decisions")}
    assert json.loads(rows["crop"]["final_crop_coords"]) == [30 / 300, 20 / 220, 250 / 300, 180 / 220]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["after", "after.zip", "before", "before.zip", "home"]


def test_what_is_wrong_in_a_zip_is_listed(workspace: Workspace, before: Path, after: Path, tmp_path: Path) -> None:
    names = names_of(before)
    with zipfile.ZipFile(tmp_path / "after.zip", "w") as archive:
        archive.writestr(names[1], b"no image")
        archive.writestr(f"../../{names[3]}", (before / "faces" / names[3]).read_bytes())
        archive.writestr("__MACOSX/._x.png", b"no image either")
        archive.writestr("notes.txt", b"text")
        archive.writestr(zipfile.ZipInfo(names[5]), b"")
    found = compare(workspace, before, tmp_path / "after.zip")
    assert found.report.rows == 3
    assert found.report.projects == {"mojo1": {"decisions": 1}}
    assert dict(found.report.skipped) == {extraction.UNREADABLE: 2}
    assert not (tmp_path.parent / names[3]).exists()


def test_a_group_of_which_several_were_kept_is_no_pick(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    keep(before, after, names[0])
    keep(before, after, names[1])
    assert only_reason(workspace, before, after) == pairing.SEVERAL_FINALS


def test_a_final_image_without_original(workspace: Workspace, before: Path, after: Path) -> None:
    PillowImage.fromarray(textured(seed=50)).save(after / "other.png")
    assert only_reason(workspace, before, after) == pairing.NO_ORIGINAL


def test_a_renamed_image_is_known_by_its_content(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    keep(before, after, names[1]).rename(after / "my favourite.png")
    compare(workspace, before, after)
    (row,) = rows_of(workspace, "ai_decisions")
    assert json.loads(row["images"])[row["user_selected_index"]] == names[1]


def test_two_originals_of_one_name_are_told_apart_by_content(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    (before / "copy").mkdir()
    PillowImage.fromarray(textured(seed=77)).save(before / "copy" / names[1])
    keep(before / "faces", after, names[1])
    assert compare(workspace, before, after).report.projects == {"mojo1": {"decisions": 1}}
    shutil.rmtree(workspace.root)
    PillowImage.fromarray(textured(seed=78)).save(after / names[1])
    assert only_reason(workspace, before, after) == pairing.SEVERAL_ORIGINALS


def test_two_finals_of_one_original(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    keep(before, after, names[1], to="a")
    keep(before, after, names[1], to="b")
    found = compare(workspace, before, after)
    assert dict(found.report.skipped) == {pairing.AGAIN: 1}
    shutil.rmtree(workspace.root)
    keep(before, after, names[1], (0, 0, 100, 100), to="b")
    assert only_reason(workspace, before, after) == pairing.TWICE


def test_images_in_no_group(workspace: Workspace, before: Path, after: Path) -> None:
    keep(before, after, "holiday.png")
    assert only_reason(workspace, before, after) == extraction.NOTHING_TO_LEARN
    keep(before, after, "holiday.png", (10, 20, 200, 180))
    compare(workspace, before, after)
    (row,) = rows_of(workspace, "legacy_crops")
    assert (row["filename"], row["width"], row["source_file"], row["source_line"]) == (
        "holiday.png",
        300,
        "after",
        None,
    )
    assert json.loads(row["box"]) == [10 / 300, 20 / 220, 200 / 300, 180 / 220]


def test_a_crop_that_is_not_found_is_null_and_listed(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    PillowImage.fromarray(textured((120, 160), seed=60)).save(after / names[1])
    found = compare(workspace, before, after)
    (row,) = rows_of(workspace, "ai_decisions")
    assert (row["user_action"], row["final_crop_coords"]) == ("crop", None)
    (listed,) = found.to_dict()["listed"]
    assert listed["filename"] == names[1]
    assert "below 0.8" in listed["reason"]
    assert any("below 0.8" in line for line in found.lines())
    (match,) = rows_of(workspace, "legacy_matches")
    assert (match["box"], match["score"]) == (None, listed["score"])


def test_a_larger_one_is_a_pick_of_which_no_more_is_known(workspace: Workspace, before: Path, after: Path) -> None:
    names = names_of(before)
    PillowImage.open(before / "faces" / names[1]).resize((600, 440)).save(after / names[1])
    found = compare(workspace, before, after)
    assert found.report.projects == {"mojo1": {"selections": 1}}
    assert found.report.files[0].notes[extraction.LARGER] == 1


def test_a_pick_known_from_a_log_still_gives_its_crop(
    workspace: Workspace, before: Path, after: Path, tmp_path: Path
) -> None:
    names = names_of(before)
    log = write_log(tmp_path / "log.csv", SELECTION, [selection(f"mojo1/{names[2]}", [names[3]])])
    run_import(workspace, log)
    keep(before, after, names[2], (30, 20, 250, 180))
    found = compare(workspace, before, after)
    assert found.report.projects == {"mojo1": {"crops": 1}}
    assert compare(workspace, before, after).report.imported == 0


def test_one_project_only(make_project, tmp_path: Path, before: Path, after: Path) -> None:
    other = make_project([(1, 2)], project_id="mojo2")
    keep(before, after, names_of(before)[1], to="mojo2/a")
    with pytest.raises(UsageError, match=r"1 row names another project .* mojo2 \(compare"):
        compare(other.workspace, before, after)
    for pair in ((other.root, after), (before, other.root)):
        with pytest.raises(UsageError, match="project mojo2"):
            read_pair(other.workspace, *pair, "mojo1")


def test_one_folder_inside_the_other(workspace: Workspace, before: Path) -> None:
    after = before / "selected"
    after.mkdir()
    keep(before / "faces", after, names_of(before)[1])
    found = compare(workspace, before, after)
    assert found.report.projects == {"mojo1": {"decisions": 1}}


def test_owned_folders_are_folders_like_any_other(workspace: Workspace, before: Path, after: Path) -> None:
    keep(before, after, names_of(before)[1], to="crop_cropped")
    assert compare(workspace, before, after).report.rows == 1
    keep(before, after, names_of(before)[3], to="crop_cropped/selected")
    assert compare(workspace, before, after).report.rows == 2


def test_wrong_input_is_one_line(workspace: Workspace, before: Path, after: Path, tmp_path: Path) -> None:
    text = tmp_path / "text.zip"
    text.write_text("no zip")
    for original, final, project, message in (
        (before, before, "mojo1", "the same"),
        (before, tmp_path / "missing", "mojo1", "no such folder"),
        (before, text, "mojo1", "neither a folder nor a zip"),
        (before, after, "mojo1", "holds no images"),
        (before, after, "../x", "not a name"),
    ):
        with pytest.raises((UsageError, ProjectError), match=message) as raised:
            read_pair(workspace, original, final, project)
        assert "\n" not in raised.value.line
    assert not workspace.root.exists()


def test_stage_1_5_counts_as_a_stage(workspace: Workspace, tmp_path: Path, after: Path) -> None:
    from datetime import datetime

    before = tmp_path / "before"
    before.mkdir()
    names = [stage_name(datetime(2025, 8, 3, 6, minute), stage) for minute, stage in ((0, 1.0), (1, 1.5), (2, 2.0))]
    for number, name in enumerate(names):
        PillowImage.fromarray(np.asarray(textured(seed=number))).save(before / name)
    keep(before, after, names[1])
    compare(workspace, before, after)
    (row,) = rows_of(workspace, "ai_decisions")
    assert (json.loads(row["images"]), row["user_selected_index"]) == (names, 1)
