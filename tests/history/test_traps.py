"""Each trap of the old logs on a small file that shows it: what is kept, what is NULL, what is left out and why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pickroom.history import parsed_rows, skip_reasons
from pickroom.store.connect import create
from pickroom.store.workspace import Workspace

from .logs import (
    CROP_LOG,
    CROP_TRAINING,
    DECISIONS,
    SELECT_CROP,
    SELECTION,
    TIME,
    crop_log,
    decision,
    pair_crop,
    rows_of,
    run_import,
    selection,
    single_crop,
    write_log,
)


def skipped(workspace: Workspace, path: Path, header: tuple, row: tuple, project: str | None = "mojo1") -> str:
    """The one reason for which the one row is left out; nothing may be stored."""
    report = run_import(workspace, write_log(path / "log.csv", header, [row]), project=project, write=False)
    assert report.rows == 1
    assert report.projects == {}
    ((reason, count),) = report.skipped.items()
    assert count == 1
    ((example,),) = [file.examples[reason] for file in report.files]
    assert example.startswith("line 2: ")
    return reason


def notes(workspace: Workspace, path: Path, header: tuple, row: tuple) -> list[str]:
    """What an imported row leaves unknown although its cells are filled."""
    report = run_import(workspace, write_log(path / "log.csv", header, [row]))
    assert (report.rows, report.imported) == (1, 1)
    return sorted(report.files[0].notes)


# --- the project of a row ---------------------------------------------------------------------------------------


def test_path_names_project_and_given_one_never_overrides_it(workspace: Workspace, tmp_path: Path) -> None:
    for project_id, aliases in (("mojo1", ("training data/mojo1_final",)), ("mojo2", ())):
        started = workspace.planned(project_id, workspace.root / project_id)
        workspace.save_new(started)
        started.with_manifest(aliases=aliases)
        create(started.database).close()
    rows = [
        selection("P/training data/mojo1_final/a.png", ["P/x/b.png"]),
        selection(r"C:\mojo2\a.png", [r"C:\mojo2\b.png"]),
        selection("c.png", ["d.png"]),
        selection("mojo1/e.png", ["mojo2/f.png"]),
        selection("mojo1/mojo2/g.png", ["h.png"]),
    ]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows), project="other", by_folder=True)
    assert report.projects == {name: {"selections": 1} for name in ("mojo1", "mojo2", "other")}
    assert dict(report.skipped) == {skip_reasons.CONFLICT: 2}


def test_a_project_column_against_the_path_is_a_conflict(workspace: Workspace, tmp_path: Path) -> None:
    header = ("project", "chosen_path", "rejected_paths", "timestamp")
    row = ("mojo2", "P/mojo1/a_stage1_x.png", "['P/mojo1/b.png']", TIME)
    assert (
        skipped(workspace, tmp_path, header, row) == skip_reasons.CONFLICT
    )  # mojo1 is given, so it is a name to look for


@pytest.mark.parametrize("name", ["../../evil", "a/b", "x_legacy", "-x"])
def test_project_column_that_could_leave_the_folder_is_refused(workspace: Workspace, tmp_path: Path, name: str) -> None:
    header = ("project", "chosen_path", "rejected_paths", "timestamp")
    row = (name, "a.png", "['b.png']", TIME)
    assert skipped(workspace, tmp_path, header, row) == skip_reasons.BAD_PROJECT


def test_no_project_at_all(workspace: Workspace, tmp_path: Path) -> None:
    assert (
        skipped(workspace, tmp_path, SELECTION, selection("a.png", ["b.png"]), project=None) == skip_reasons.NO_PROJECT
    )


# --- columns ----------------------------------------------------------------------------------------------------


def test_columns_of_another_tool_under_this_header(workspace: Workspace, tmp_path: Path) -> None:
    training = (TIME, "mojo1", "c_stage2_x.png", 0.0, 66.0, 1787.0, 1853.0, 3072, 3072)
    rows = [single_crop("a.png"), training, (*training[:2], "d.png", *training[3:], *[""] * 10), training[:7]]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECT_CROP, rows))
    assert report.imported == 3
    assert dict(report.skipped) == {skip_reasons.SHIFTED: 1}
    assert dict(report.files[0].notes) == {parsed_rows.TRAINING_ROW: 2}
    _, second, third = rows_of(workspace, "legacy_crops")
    assert (second["filename"], second["width"], second["source_line"]) == ("c_stage2_x.png", 3072, 3)
    assert json.loads(second["box"]) == json.loads(third["box"]) == [0.0, 66 / 3072, 1787 / 3072, 1853 / 3072]


def test_cells_after_the_last_column_are_dropped_only_if_empty(workspace: Workspace, tmp_path: Path) -> None:
    rows = [(*selection(), "", ""), (*selection("mojo1/c.png"), "x"), selection("mojo1/d.png")[:4]]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    assert report.imported == 2
    assert dict(report.skipped) == {skip_reasons.SHIFTED: 1}
    assert [row["timestamp"] for row in rows_of(workspace, "legacy_selections")] == [TIME, None]


@pytest.mark.parametrize(
    ("header", "row", "cells"),
    [
        (SELECT_CROP, single_crop(), 15),
        (SELECTION, selection(time=""), 4),
        (DECISIONS, decision(selection_match="", crop_match=""), 24),
        (CROP_TRAINING, (TIME, "mojo1", "a.png", 0.1, 0.1, 0.9, 0.9, "", ""), 7),
        (CROP_LOG, (*crop_log("a.png")[:6], "", ""), 6),
    ],
)
def test_rows_without_their_empty_last_cells_are_read(
    workspace: Workspace, tmp_path: Path, header: tuple, row: tuple, cells: int
) -> None:
    report = run_import(workspace, write_log(tmp_path / "short.csv", header, [row[:cells]]))
    assert (report.rows, report.imported) == (1, 1), report.lines()
    whole = run_import(Workspace(tmp_path / "other"), write_log(tmp_path / "whole.csv", header, [row]))
    assert whole.projects == report.projects


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (SELECT_CROP, pair_crop()[:15]),  # two images, of which one is missing
        (SELECT_CROP, (TIME, "mojo1", "a.png", 0, 66, 1787)),
        (SELECTION, selection()[1:]),
        (DECISIONS, decision()[1:]),
        (DECISIONS, decision()[:6]),
        (CROP_TRAINING, (TIME, "mojo1", "a.png", 1, 2)),
        (CROP_LOG, crop_log("a.png")[2:]),
    ],
)
def test_rows_that_lack_more_than_empty_cells_are_left_out(
    workspace: Workspace, tmp_path: Path, header: tuple, row: tuple
) -> None:
    assert skipped(workspace, tmp_path, header, row) == skip_reasons.SHIFTED


def test_crop_log_of_eight_columns(workspace: Workspace, tmp_path: Path) -> None:
    rows = [crop_log("a_stage2_x.png"), crop_log("b.png"), crop_log("a_stage2_x.png"), crop_log("c.txt")]
    report = run_import(workspace, write_log(tmp_path / "log.csv", CROP_LOG, rows))
    assert (report.imported, report.projects) == (2, {"mojo1": {"crops": 2}})
    assert dict(report.skipped) == {skip_reasons.REPEATED: 1, skip_reasons.NOT_AN_IMAGE: 1}
    first, second = rows_of(workspace, "legacy_crops")
    assert (first["filename"], first["box"], first["stage"]) == ("a_stage2_x.png", None, 1.5)
    assert (second["stage"], second["timestamp"]) == (1.5, "2025-07-28T04:06:06Z")


def test_the_header_again_and_rows_of_nothing(workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection(), SELECTION, ("", " ", "", "", ""), selection("mojo1/c.png")]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    assert report.imported == 2
    assert dict(report.skipped) == {skip_reasons.HEADER_AGAIN: 1, skip_reasons.EMPTY: 1}


def test_columns_in_another_order_with_others_between(workspace: Workspace, tmp_path: Path) -> None:
    header = ("TIMESTAMP", "note", " neg_paths ", "chosen_path")
    row = (TIME, "fine", '["mojo1/b.png"]', "mojo1/a.png")
    run_import(workspace, write_log(tmp_path / "log.csv", header, [row], delimiter=";"))
    (stored,) = rows_of(workspace, "legacy_selections")
    assert (stored["chosen"], stored["others"], stored["timestamp"]) == ("a.png", '["b.png"]', TIME)


# --- picks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (selection(""), skip_reasons.NO_FILE_NAME),
        (selection("mojo1/"), skip_reasons.NO_FILE_NAME),
        (selection("mojo1/a.txt"), skip_reasons.NOT_AN_IMAGE),
        (selection(others=["mojo1/b"]), skip_reasons.NOT_AN_IMAGE),
        (selection(others="b.png"), skip_reasons.NOT_A_LIST),
        (selection(others=""), skip_reasons.NOT_A_LIST),
        (selection(others="[]"), skip_reasons.NO_OTHERS),
        (selection(others=["x/a.png"]), skip_reasons.CHOSEN_REJECTED),
    ],
)
def test_selections_that_say_nothing(workspace: Workspace, tmp_path: Path, row: tuple, reason: str) -> None:
    assert skipped(workspace, tmp_path, SELECTION, row) == reason


def test_lists_and_times_as_different_programs_wrote_them(workspace: Workspace, tmp_path: Path) -> None:
    rows = [
        selection("mojo1/a.png", "['mojo1/b.png', \"mojo1/it's.png\"]", "20250727_224840"),
        selection("mojo1/c.png", ["x/d.png", "y/d.png"], "long ago"),
        selection("mojo1/e.png", ["f.png"], ""),
    ]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    assert dict(report.files[0].notes) == {parsed_rows.NO_TIME: 1}
    stored = rows_of(workspace, "legacy_selections")
    assert [row["timestamp"] for row in stored] == ["2025-07-27T22:48:40Z", None, None]
    assert [json.loads(row["others"]) for row in stored] == [["b.png", "it's.png"], ["d.png"], ["f.png"]]


# --- boxes and sizes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (single_crop(box=(0, 0, 1, 1)), skip_reasons.PLACEHOLDER),
        (single_crop(box=(0.0, 0.0, 1.0, 1.0), size=(0, 0)), skip_reasons.PLACEHOLDER),
        (single_crop(box=("", "", "", "")), skip_reasons.NO_BOX),
        (single_crop(box=(10, 20, "", 220)), skip_reasons.NO_BOX),
        (single_crop(box=(10, 20, 201, 220)), skip_reasons.OUTSIDE),
        (single_crop(box=(-3, 20, 100, 220)), skip_reasons.OUTSIDE),
        (single_crop(box=(110, 20, 10, 220)), skip_reasons.REVERSED),
        (single_crop(box=(10, "x", 110, 220)), skip_reasons.NOT_A_NUMBER),
        (single_crop(size=(200.5, 400)), skip_reasons.NOT_A_NUMBER),
        (pair_crop(index=5), skip_reasons.BAD_INDEX),
        (pair_crop(names=("a.png", "a.png")), skip_reasons.NAME_TWICE),
        ((*pair_crop()[:3], 3, *pair_crop()[4:]), skip_reasons.SHIFTED),
        ((*pair_crop()[:5], "mojo1/a.png", *pair_crop()[6:]), skip_reasons.INDEX_PATH),
        ((*pair_crop()[:4], "", "mojo1/z.png", *pair_crop()[6:]), skip_reasons.NO_CHOICE),
    ],
)
def test_crops_that_say_nothing(workspace: Workspace, tmp_path: Path, row: tuple, reason: str) -> None:
    assert skipped(workspace, tmp_path, SELECT_CROP, row) == reason


def test_a_crop_in_pixels_of_an_unknown_size_has_no_box(workspace: Workspace, tmp_path: Path) -> None:
    assert notes(workspace, tmp_path, SELECT_CROP, single_crop(size=(0, 0))) == [parsed_rows.UNSIZED_BOX]
    (row,) = rows_of(workspace, "legacy_crops")
    assert (row["box"], row["width"], row["height"]) == (None, None, None)


def test_a_pick_with_everything_is_a_decision(workspace: Workspace, tmp_path: Path) -> None:
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECT_CROP, [pair_crop(index="")]))
    assert report.projects == {"mojo1": {"decisions": 1}}
    (row,) = rows_of(workspace, "ai_decisions")
    assert (row["user_selected_index"], row["user_action"]) == (1, "crop")
    assert json.loads(row["final_crop_coords"]) == [0.05, 0.05, 0.55, 0.55]
    assert (row["image_width"], row["image_height"]) == (200, 400)
    assert row["group_id"].startswith("mojo1_group_20251005T012418Z_batch")


@pytest.mark.parametrize(
    ("row", "note"),
    [
        (pair_crop(sizes=(0, 0, 0, 0)), parsed_rows.UNSIZED_BOX),
        (pair_crop(box=(0, 0, 1, 1)), parsed_rows.PLACEHOLDER_BOX),
        (pair_crop(box=(10, 20, "", 1)), parsed_rows.PARTIAL_BOX),
        (pair_crop(time="?"), parsed_rows.NO_TIME),
    ],
)
def test_a_pick_with_less_is_a_selection(workspace: Workspace, tmp_path: Path, row: tuple, note: str) -> None:
    assert notes(workspace, tmp_path, SELECT_CROP, row) == [note]
    assert rows_of(workspace, "ai_decisions") == []
    (stored,) = rows_of(workspace, "legacy_selections")
    assert (stored["chosen"], stored["others"]) == ("b.png", '["a.png"]')


def test_a_box_in_fractions_is_kept_without_a_size(workspace: Workspace, tmp_path: Path) -> None:
    row = pair_crop(box=(0.1, 0.2, 0.6, 0.7), sizes=(0, 0, 0, 0))
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECT_CROP, [row]))
    assert (report.imported, report.projects) == (1, {"mojo1": {"selections": 1, "crops": 1}})
    (stored,) = rows_of(workspace, "legacy_crops")
    assert (json.loads(stored["box"]), stored["width"]) == ([0.1, 0.2, 0.6, 0.7], None)


def test_crop_training_data(workspace: Workspace, tmp_path: Path) -> None:
    rows = [
        (TIME, "mojo1", "20250705_230713_stage3_enhanced.png", 0, 66, 1787, 1853, 3072, 3072),
        (TIME, "mojo2", "/x/b.png", 0.1, 0.2, 0.3, 0.4, 0, 0),
        (TIME, "mojo1", "c.png", 0, 0, 1, 1, 2048, 2048),
        (TIME, "mojo1", "d.png", 5, 5, 90, 90, 0, 0),
    ]
    report = run_import(workspace, write_log(tmp_path / "log.csv", CROP_TRAINING, rows), by_folder=True)
    assert report.projects == {"mojo1": {"crops": 2}, "mojo2": {"crops": 1}}
    assert dict(report.skipped) == {skip_reasons.PLACEHOLDER: 1}
    first, unsized = rows_of(workspace, "legacy_crops")
    assert (first["stage"], first["width"]) == (3.0, 3072)
    assert (unsized["filename"], unsized["box"], unsized["width"]) == ("d.png", None, None)
    (other,) = rows_of(workspace, "legacy_crops", "mojo2")
    assert (json.loads(other["box"]), other["width"]) == ([0.1, 0.2, 0.3, 0.4], None)


# --- the 26 columns ---------------------------------------------------------------------------------------------


def test_decision_stores_ai_values_apart_from_user_values(workspace: Workspace, tmp_path: Path) -> None:
    run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, [decision()]))
    (row,) = rows_of(workspace, "ai_decisions")
    assert row["group_id"] == "mojo1_group_20250803T065406Z_batch001_img001"
    assert (row["directory"], row["batch_number"], row["ai_selected_index"], row["ai_confidence"]) == (
        "faces",
        1,
        1,
        0.8,
    )
    assert json.loads(row["ai_crop_coords"]) == [0.1, 0.1, 0.9, 0.9]
    assert (row["user_selected_index"], row["user_action"], row["selection_match"], row["crop_match"]) == (
        1,
        "crop",
        1,
        1,
    )
    assert row["ai_crop_accepted"] is None


@pytest.mark.parametrize("damaged", ["?", "1.5", "7", "1e999"])
def test_damaged_ai_or_batch_value_does_not_lose_the_decision(
    workspace: Workspace, tmp_path: Path, damaged: str
) -> None:
    row = decision(ai_selected_index=damaged, ai_confidence=damaged, batch_number="-" if damaged == "7" else damaged)
    report = run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, [row]))
    assert (report.imported, dict(report.skipped)) == (1, {})
    assert dict(report.files[0].notes) == {parsed_rows.AI_UNUSABLE: 2, parsed_rows.BAD_BATCH: 1}
    (row,) = rows_of(workspace, "ai_decisions")
    unknown = ("ai_selected_index", "ai_confidence", "ai_crop_coords", "batch_number", "selection_match", "crop_match")
    assert {row[name] for name in unknown} == {None}
    assert (row["user_selected_index"], row["user_action"]) == (1, "crop") and row["final_crop_coords"] is not None


@pytest.mark.parametrize(
    ("changes", "column", "expected"),
    [
        ({"final_crop_x1": 0.3, "final_crop_y1": 0, "final_crop_x2": 0.7, "final_crop_y2": 0.6}, "crop_match", 0),
        ({"ai_selected_index": 0, "selection_match": "True"}, "selection_match", 0),  # indexes decide, not the column
        ({"ai_selected_index": 0}, "crop_match", 1),  # the boxes are compared, whichever image the AI's was for
        ({"ai_selected_index": 0, "final_crop_x1": 0.3, "final_crop_x2": 0.7}, "crop_match", 0),
        ({"ai_crop_x2": 150, "ai_selected_index": 0, "crop_match": "False"}, "crop_match", 0),  # as it was logged
        ({"ai_crop_x1": "", "ai_crop_y1": "", "ai_crop_x2": "", "ai_crop_y2": "", "crop_match": "0"}, "crop_match", 0),
        ({"ai_crop_x1": 5, "crop_match": ""}, "crop_match", None),
        ({"user_action": "reject", "crop_match": "False"}, "crop_match", None),
        ({"ai_selected_index": ""}, "selection_match", None),
        ({"ai_selected_index": ""}, "ai_crop_coords", None),
        ({"ai_selected_index": 7}, "ai_selected_index", None),
        ({"ai_confidence": 80}, "ai_confidence", None),
        ({"ai_crop_x1": 0, "ai_crop_y1": 0, "ai_crop_x2": 1, "ai_crop_y2": 1}, "ai_crop_coords", None),
        ({"ai_crop_x1": 5}, "ai_crop_coords", None),
        ({"ai_crop_x1": 0.95}, "ai_crop_coords", None),
        ({"user_action": "reject"}, "selection_match", None),
        ({"user_action": "reject", "user_selected_index": ""}, "user_selected_index", 1),  # a placeholder: the AI's
        ({"user_action": "reject"}, "final_crop_coords", None),
        ({"directory": "/Users/x/mojo1"}, "directory", None),
        ({"directory": r"C:\mojo1"}, "directory", None),
        ({"directory": "a/../../b"}, "directory", None),
        ({"directory": "faces\\anna"}, "directory", "faces/anna"),
        ({"batch_number": 1e300}, "batch_number", None),
        (
            {"final_crop_x1": 0, "final_crop_y1": 0, "final_crop_x2": 1, "final_crop_y2": 1},
            "final_crop_coords",
            "[0.0, 0.0, 1, 1]",
        ),
        (
            {"final_crop_x1": 0, "final_crop_y1": 0, "final_crop_x2": 1, "final_crop_y2": 1, "user_action": "approve"},
            "final_crop_coords",
            None,
        ),
    ],
)
def test_fields_of_a_decision(
    workspace: Workspace, tmp_path: Path, changes: dict, column: str, expected: object
) -> None:
    run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, [decision(**changes)]))
    (row,) = rows_of(workspace, "ai_decisions")
    stored = row[column]
    if isinstance(expected, str) and expected.startswith("["):
        stored, expected = json.loads(stored), json.loads(expected)
    assert stored == expected


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"user_selected_index": ""}, skip_reasons.NO_CHOICE),  # the AI's pick is never taken for the user's
        ({"user_selected_index": 2}, skip_reasons.BAD_INDEX),
        ({"user_selected_index": 0.5}, skip_reasons.NOT_A_NUMBER),
        ({"user_action": "keep"}, skip_reasons.BAD_ACTION),
        ({"user_action": ""}, skip_reasons.BAD_ACTION),
        ({"image_2_filename": ""}, skip_reasons.NO_OTHERS),
        ({"image_2_filename": "", "image_3_filename": "c.png"}, skip_reasons.NO_FILE_NAME),
        ({"image_2_filename": "a.png"}, skip_reasons.NAME_TWICE),
        ({"final_crop_x1": 0.95}, skip_reasons.REVERSED),
        ({"final_crop_x2": 500}, skip_reasons.OUTSIDE),
        ({"user_action": "reject", "image_width": 0}, skip_reasons.REJECT_UNKNOWN),
    ],
)
def test_decisions_that_are_none(workspace: Workspace, tmp_path: Path, changes: dict, reason: str) -> None:
    assert skipped(workspace, tmp_path, DECISIONS, decision(**changes)) == reason


@pytest.mark.parametrize("changes", [{"image_width": 0, "image_height": 0}, {"timestamp": ""}])
def test_decision_without_sizes_or_time_is_selection_and_crop(
    workspace: Workspace, tmp_path: Path, changes: dict
) -> None:
    report = run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, [decision(**changes)]))
    assert (report.imported, report.projects) == (1, {"mojo1": {"selections": 1, "crops": 1}})
    (crop,) = rows_of(workspace, "legacy_crops")
    assert json.loads(crop["box"]) == [0.11, 0.09, 0.91, 0.88]
    assert crop["width"] == (None if "image_width" in changes else 200)


def test_one_id_for_two_groups(workspace: Workspace, tmp_path: Path) -> None:
    rows = [decision(), decision(image_1_filename="x.png", image_2_filename="y.png")]
    report = run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, rows))
    assert dict(report.skipped) == {skip_reasons.SAME_ID: 1}


@pytest.mark.parametrize("cropped", [False, True])
def test_an_id_freed_by_a_better_crop_is_used_once(workspace: Workspace, tmp_path: Path, cropped: bool) -> None:
    full_frame = dict(zip((f"final_crop_{edge}" for edge in ("x1", "y1", "x2", "y2")), (0, 0, 1, 1), strict=True))
    no_crop = {**dict.fromkeys((*full_frame, "crop_timestamp"), ""), "user_action": "approve"}
    better = (TIME, "mojo1", "b.png", 10, 20, 110, 220, 200, 400)
    other = decision(image_1_filename="x.png", image_2_filename="y.png", **({} if cropped else no_crop))
    log = write_log(tmp_path / "log.csv", DECISIONS, [better, decision(**full_frame), other])
    kept = {"selections": 2} if cropped else {"decisions": 1, "selections": 1}
    assert run_import(workspace, log).projects == {"mojo1": {**kept, "crops": 1}}
    assert dict(run_import(workspace, log).skipped) == {skip_reasons.IMPORTED: 3}
