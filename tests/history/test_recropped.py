"""A file that appears again was opened again after its crop: which of its rows counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pickroom.history import skip_reasons
from pickroom.store.workspace import Workspace

from .logs import CROP_TRAINING, SELECT_CROP, TIME, content, pair_crop, rows_of, run_import, single_crop, write_log

FULL, SMALL, SMALLER, NONE = (0, 0, 200, 400), (10, 20, 110, 220), (0, 0, 80, 160), None
HISTORICAL = ("session_id", "set_id", "directory", "chosen_path", "chosen_stage", "timestamp", "final_mtime")


def at(second: int) -> str:
    return f"2025-10-05T01:24:{second:02d}Z"


@pytest.mark.parametrize(
    ("boxes", "kept", "reasons"),
    [
        ([SMALL, SMALLER], 0, [skip_reasons.REOPENED]),
        ([SMALL, SMALL], 0, [skip_reasons.REOPENED]),  # saved again a second later
        ([SMALL, FULL], 0, [skip_reasons.REOPENED]),  # nothing more was cut off: the frame is the cropped one
        ([FULL, SMALL], 1, [skip_reasons.FULL_FRAME]),  # nothing had been cut off before
        ([FULL, SMALL, SMALLER], 1, [skip_reasons.FULL_FRAME, skip_reasons.REOPENED]),
        ([FULL, FULL], 0, [skip_reasons.REOPENED]),
        ([SMALL, FULL, SMALLER], 0, [skip_reasons.REOPENED, skip_reasons.REOPENED]),
    ],
)
def test_the_first_row_unless_it_was_full_frame(
    workspace: Workspace, tmp_path: Path, boxes: list, kept: int, reasons: list
) -> None:
    rows = [single_crop(box=box, time=at(second)) for second, box in enumerate(boxes)]
    log = write_log(tmp_path / "log.csv", SELECT_CROP, rows)
    report = run_import(workspace, log)
    assert sorted(report.skipped.elements()) == sorted(reasons)
    (row,) = rows_of(workspace, "legacy_crops")
    assert row["timestamp"] == at(kept)
    assert json.loads(row["box"]) == [v / s for v, s in zip(boxes[kept], (200, 400, 200, 400), strict=True)]
    before = content(workspace)
    again = run_import(workspace, log)
    assert (again.imported, content(workspace)) == (0, before)


def test_the_same_row_twice_is_a_repeat(workspace: Workspace, tmp_path: Path) -> None:
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECT_CROP, [single_crop(), single_crop()]))
    assert dict(report.skipped) == {skip_reasons.REPEATED: 1}


def test_later_import_replaces_full_frames_and_missing_boxes(workspace: Workspace, tmp_path: Path) -> None:
    known = ("s", "g", "mojo1", "P/b_stage1.5_x.png", "1.5", "20250728_040606", "")
    run_import(workspace, write_log(tmp_path / "historical.csv", HISTORICAL, [known]))
    run_import(workspace, write_log(tmp_path / "full.csv", SELECT_CROP, [single_crop("a.png", FULL, time=at(0))]))
    later = [single_crop("a.png", SMALL, time=at(1)), single_crop("b_stage1.5_x.png", SMALL, time=at(2))]
    log = write_log(tmp_path / "later.csv", SELECT_CROP, later)
    assert run_import(workspace, log).imported == 2
    stored = {row["filename"]: row for row in rows_of(workspace, "legacy_crops")}
    assert {name: json.loads(row["box"]) for name, row in stored.items()} == {
        "a.png": [0.05, 0.05, 0.55, 0.55],
        "b_stage1.5_x.png": [0.05, 0.05, 0.55, 0.55],
    }
    # and nothing of the earlier logs comes back
    report = run_import(workspace, tmp_path / "historical.csv", tmp_path / "full.csv")
    assert dict(report.skipped) == {skip_reasons.NO_COORDINATES: 1, skip_reasons.REOPENED: 1}


def test_a_crop_known_from_another_log_costs_no_pick(workspace: Workspace, tmp_path: Path) -> None:
    training = write_log(
        tmp_path / "crop_training_data.csv", CROP_TRAINING, [(TIME, "mojo1", "b.png", 10, 20, 110, 220, 200, 400)]
    )
    log = write_log(tmp_path / "select_crop_log.csv", SELECT_CROP, [pair_crop()])
    report = run_import(workspace, training, log)
    assert (report.rows, report.imported) == (2, 2)
    assert report.projects == {"mojo1": {"selections": 1, "crops": 1}}
    assert run_import(workspace, training, log).imported == 0


def test_a_decision_opened_again_is_dropped_with_its_pick(workspace: Workspace, tmp_path: Path) -> None:
    rows = [pair_crop(time=at(0)), pair_crop(box=SMALLER, time=at(1)), single_crop("b.png", SMALLER, time=at(2))]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECT_CROP, rows))
    assert report.projects == {"mojo1": {"decisions": 1}}
    assert dict(report.skipped) == {skip_reasons.REOPENED: 2}


def test_the_same_name_in_two_projects_is_two_files(workspace: Workspace, tmp_path: Path) -> None:
    rows = [(TIME, project, "a.png", 10, 20, 110, 220, 200, 400) for project in ("mojo1", "mojo2")]
    assert run_import(workspace, write_log(tmp_path / "log.csv", CROP_TRAINING, rows), by_folder=True).imported == 2
