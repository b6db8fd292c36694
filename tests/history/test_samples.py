"""The real logs, with their traps, come in with exactly these counts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pickroom.history import skip_reasons
from pickroom.store.workspace import Workspace

from .logs import SAMPLES, rows_of, run_import

# file -> rows, imported, skipped by reason, and what each project gets
EXPECTED = {
    "selection_only_log.csv": (23, 23, {}, {"mojo1": {"selections": 23}}),
    "select_crop_log.csv": (44, 35, {skip_reasons.REOPENED: 9}, {"mojo1": {"decisions": 1, "crops": 34}}),
    "anomaly_cases.csv": (
        15,
        15,
        {},
        {"1100": {"selections": 4}, "mojo1": {"selections": 5}, "mojo2": {"selections": 6}},
    ),
    "historical_crop_log.csv": (10, 10, {}, {"mojo1": {"crops": 10}}),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_each_sample_imports_with_exact_counts(name: str, workspace: Workspace) -> None:
    rows, imported, skipped, projects = EXPECTED[name]
    report = run_import(workspace, SAMPLES / name, by_folder=name == "anomaly_cases.csv")
    print("\n".join(report.lines()))
    assert (report.rows, report.imported, dict(report.skipped)) == (rows, imported, skipped)
    assert report.projects == projects
    for project, tables in projects.items():
        for table, count in tables.items():
            stored = {"decisions": "ai_decisions"}.get(table, f"legacy_{table}")
            assert len(rows_of(workspace, stored, project)) == count


def test_all_samples_together(workspace: Workspace) -> None:
    report = run_import(workspace, *sorted(SAMPLES.glob("*.csv")), by_folder=True)
    print("\n".join(report.lines()))
    assert (report.rows, report.imported, report.skipped.total()) == (92, 83, 9)
    assert report.projects["mojo1"] == {"decisions": 1, "selections": 28, "crops": 44}
    again = run_import(workspace, *sorted(SAMPLES.glob("*.csv")), by_folder=True)
    assert again.imported == 0
    assert again.projects == {}
    assert dict(again.skipped) == {skip_reasons.IMPORTED: 83, skip_reasons.REOPENED: 9}


def test_rows_that_name_no_project_wait_for_one(workspace: Workspace) -> None:
    report = run_import(workspace, SAMPLES / "select_crop_log.csv", project=None, write=False)
    assert dict(report.skipped) == {skip_reasons.NO_PROJECT: 43, skip_reasons.FOLDER_ONLY: 1}
    named = run_import(workspace, SAMPLES / "anomaly_cases.csv", project=None, write=False)
    assert named.imported == 15  # its own column says


def test_the_one_row_in_fractions(workspace: Workspace) -> None:
    run_import(workspace, SAMPLES / "select_crop_log.csv")
    (row,) = rows_of(workspace, "ai_decisions")
    assert json.loads(row["images"]) == [
        "20250708_060416_stage1_generated.png",
        "20250708_060530_stage2_upscaled.png",
    ]
    assert (row["user_selected_index"], row["user_action"]) == (1, "crop")
    assert (row["image_width"], row["image_height"]) == (2048, 2048)  # of the chosen image, not of the first
    assert json.loads(row["final_crop_coords"]) == [0.0, 0.0673828125, 0.54736328125, 0.61474609375]
    assert row["timestamp"] == row["crop_timestamp"] == "2025-10-05T01:24:18.152546Z"
    unknown = ("ai_selected_index", "ai_crop_coords", "ai_confidence", "ai_crop_accepted", "batch_number", "directory")
    assert [row[name] for name in (*unknown, "selection_match", "crop_match")] == [None] * 8


def test_boxes_in_pixels_become_fractions_of_the_chosen_image(workspace: Workspace) -> None:
    run_import(workspace, SAMPLES / "select_crop_log.csv")
    crops = {row["filename"]: row for row in rows_of(workspace, "legacy_crops")}
    first = crops["20250705_230713_stage3_enhanced.png"]
    assert json.loads(first["box"]) == [0.0, 66 / 3072, 1787 / 3072, 1853 / 3072]
    assert (first["width"], first["height"], first["stage"]) == (3072, 3072, 3.0)
    # opened again after its crop: the box of the whole cropped picture is not this file's
    assert json.loads(crops["20250725_142242_stage1.5_face_swapped.png"]["box"])[0] == 55 / 832
    # a full frame in pixels is a choice, not a placeholder
    assert json.loads(crops["20250820_065626_stage2_upscaled.png"]["box"]) == [0.0, 0.0, 1.0, 1.0]


def test_a_log_without_coordinates_gives_null_boxes(workspace: Workspace) -> None:
    run_import(workspace, SAMPLES / "historical_crop_log.csv")
    found = rows_of(workspace, "legacy_crops")
    assert len(found) == 10
    for row in found:
        assert (row["box"], row["width"], row["height"], row["stage"]) == (None, None, None, 1.5)


def test_every_row_says_where_it_came_from(workspace: Workspace) -> None:
    run_import(workspace, SAMPLES / "selection_only_log.csv")
    first, *_, last = rows_of(workspace, "legacy_selections")
    assert (first["source_file"], first["source_line"], last["source_line"]) == ("selection_only_log.csv", 2, 24)
    assert first["chosen"] == "20250727_224840_stage1_generated.png"
    assert json.loads(first["others"]) == ["20250727_224840_stage1.5_face_swapped.png"]
    assert first["timestamp"] == "2025-07-27T22:48:40Z"


def test_the_source_is_not_touched(workspace: Workspace, tmp_path: Path) -> None:
    copy = tmp_path / "log.csv"
    copy.write_bytes((SAMPLES / "select_crop_log.csv").read_bytes())
    copy.chmod(0o444)
    before = copy.read_bytes(), copy.stat().st_mtime_ns
    run_import(workspace, copy)
    assert (copy.read_bytes(), copy.stat().st_mtime_ns) == before
