"""One unsound row, whatever is wrong with it, is left out by name and by count; the sound ones go on."""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.analysis.connection import connect as connect_analysis
from pickroom.analysis.reports import finish
from pickroom.core.errors import ConflictError
from pickroom.exports import choices, sidecars
from pickroom.indexing import projects
from pickroom.integrity.checks import FAULTS
from pickroom.learn.reading import read_examples
from pickroom.learn.recommending import recommend
from pickroom.store.workspace import Project
from support.analysing import SERIES, change, decide, write_vectors
from support.exporting import export_coco
from support.reviewing import decisions, rows

ROW = "UPDATE ai_decisions SET {} WHERE group_id = :one"
# what is wrong -> (SQL, the check that finds it)
SPOILT = {
    "size of zero": (ROW.format("image_width = 0"), "sizes"),
    "size in words": (ROW.format("image_height = 'tall'"), "sizes"),
    "box of text": (ROW.format("ai_crop_coords = 'left'"), "coordinates"),
    "box of NaN": (ROW.format("final_crop_coords = '[NaN, 0, 1, 1]'"), "coordinates"),
    "box outside": (ROW.format("final_crop_coords = '[0, 0, 2, 1]'"), "coordinates"),
    "index out of range": (ROW.format("user_selected_index = 3"), "indexes"),
    "index below zero": (ROW.format("user_selected_index = -1"), "indexes"),
    "index in words": (ROW.format("user_selected_index = 'first'"), "indexes"),
    "AI's index out of range": (ROW.format("ai_selected_index = 7"), "indexes"),
    "unknown action": (ROW.format("user_action = 'maybe'"), "actions"),
    "images no JSON": (ROW.format("images = '[\"a.png\"'"), "file names"),
    "images of numbers": (ROW.format("images = '[1, 2]'"), "file names"),
    "image that leads out": (ROW.format('images = \'["../a.png", "b.png"]\''), "file names"),
    "half a character": (ROW.format('images = \'["\\ud800.png", "b.png"]\''), "file names"),
    "NUL in a name": (ROW.format('images = \'["a\\u0000.png", "b.png"]\''), "file names"),
    "NUL in a text": (ROW.format("timestamp = 'now' || char(0)"), "values"),
    "bytes that are no UTF-8": (ROW.format("directory = CAST(x'66ff' AS TEXT)"), "values"),
    "folder that leads out": (ROW.format("directory = '../elsewhere'"), "values"),
    "confidence in words": (ROW.format("ai_confidence = 'nan'"), "values"),
    "endless confidence": (ROW.format("ai_confidence = 9e999"), "values"),
    "batch in words": (ROW.format("batch_number = 'first'"), "values"),
    "flag in words": (ROW.format("selection_match = 'yes'"), "values"),
    "no id": ("UPDATE ai_decisions SET group_id = NULL WHERE group_id = :one", "ids"),
    "blank id": ("UPDATE ai_decisions SET group_id = '  ' WHERE group_id = :one", "ids"),
    "bytes for an id": ("UPDATE ai_decisions SET group_id = CAST(x'ff' AS TEXT) WHERE group_id = :one", "ids"),
    "no project": (ROW.format("project_id = ''"), "ids"),
}


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """Six of seven groups decided, every image with a vector; one crop waits."""
    made = make_project(SERIES)
    decide(made)
    known = rows(made, "SELECT filename, sha256 FROM images")
    write_vectors(made, "small", [(image["filename"], image["sha256"], [1.0, 0.0]) for image in known], 2)
    return made.with_manifest(encoder="small")


@pytest.fixture
def one(project: Project) -> str:
    """The group of the second decision: the AI's pick without its crop."""
    return list(decisions(project))[1]


def spoil(project: Project, sql: str, one: str) -> None:
    with closing(sqlite3.connect(project.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        assert connection.execute(sql, {"one": one}).rowcount == 1


def pickroom(project: Project, *arguments: str) -> int:
    """The exit code of a command, run in this process."""
    sys.argv = ["pickroom", *arguments, "--home", str(project.workspace.root)]
    try:
        cli.main()
    except SystemExit as done:
        return int(done.code or 0)
    return 0


@pytest.mark.parametrize("kind", SPOILT)
def test_unsound_decision_is_left_out_of_every_reader(project: Project, one: str, tmp_path: Path, kind: str) -> None:
    sql, check = SPOILT[kind]
    before = {group.group_id for group in choices.read(project).groups}
    picks = {pick.candidates.group_id for pick in read_examples(project, "picks").picks}
    crops = {crop.group_id for crop in read_examples(project, "crops").crops}
    spoil(project, sql, one)
    reason = f"unsound row: {check}"

    found = choices.read(project)
    assert {group.group_id for group in found.groups} == before - {one}
    assert found.left_out[reason] == 1
    assert {pick.candidates.group_id for pick in read_examples(project, "picks").picks} == picks - {one}
    trained = read_examples(project, "crops")
    assert {crop.group_id for crop in trained.crops} == crops - {one}
    assert trained.left_out[reason] == 1
    assert finish.plan(project).unsound == {reason: 1}
    status = projects.status(project)
    assert status["unsound_rows"] == 1 and len(status["incomplete_crops"]) == 1
    assert recommend(project).groups == 1
    export_coco([project], tmp_path / "coco")
    assert not [item.held for item in sidecars.plan(found) if item.held]
    with connect_analysis(project.workspace) as analysis:
        seen = analysis.execute("SELECT group_id FROM decisions").fetchall()
        assert {group_id for (group_id,) in seen} == set(decisions_of(project)) - {one}
        assert analysis.execute("SELECT failed_check FROM unsound_rows").fetchall() == [(check,)]
        health = {row["what"]: row["times"] for row in analysis.rows("data_health", project.id)}
    assert health["unsound row, left out"] == 1


def decisions_of(project: Project) -> list[str]:
    """The groups of the sound decisions, by what was decided in each case alike."""
    return [row["group_id"] for row in rows(project, "SELECT group_id FROM decision_context WHERE outcome <> 'keep'")]


def test_unsound_rows_of_other_tables_are_left_out(project: Project, one: str) -> None:
    member = "SELECT filename FROM group_members WHERE group_id = '{}' LIMIT 1"
    waiting = rows(project, "SELECT max(group_id) AS id FROM groups")[0]["id"]
    outside = "UPDATE images SET directory = '../x' WHERE filename = ({0}); "
    outside += "UPDATE group_members SET directory = '../x' WHERE filename = ({0})"
    script = "PRAGMA foreign_keys = OFF; UPDATE crops SET box = '[0, 0, 5, 1]'"
    change(project, "; ".join((script, *(outside.format(member.format(group)) for group in (one, waiting)))))
    found = choices.read(project)
    assert found.left_out["unsound row: images"] == 2 and found.left_out["unsound row: crops"] == 1
    sound = {group.group_id for group in found.groups}
    assert one in sound  # by its other image; the decision's own row is sound
    assert recommend(project).groups == 0
    assert finish.plan(project).unsound == {"unsound row: images": 2, "unsound row: crops": 1}
    with connect_analysis(project.workspace) as analysis:
        assert analysis.execute("SELECT count(*) FROM crops WHERE box[3] > 1").fetchall() == [(0,)]
        seen = analysis.execute("SELECT DISTINCT failed_check FROM unsound_rows ORDER BY 1").fetchall()
    assert seen == [("crops",), ("images",)]


def test_row_of_another_project_refuses_everything(project: Project, one: str) -> None:
    change(project, f"UPDATE ai_decisions SET project_id = 'other' WHERE group_id = '{one}'")
    for read in (choices.read, lambda opened: read_examples(opened, "picks")):
        with pytest.raises(ConflictError, match=r"not sound: project \(1\)"):
            read(project)
    assert any("project" in what for what, _ in finish.plan(project).blockers)
    alias = project.with_manifest(aliases=("other",))
    assert len(choices.read(alias).groups) == 6


def test_waiting_crop_still_stops_finishing(project: Project, one: str) -> None:
    spoil(project, *SPOILT["size of zero"][:1], one)
    ((blocker, _),) = finish.plan(project).blockers
    assert blocker.startswith("crops wait to be made: 1 (")


def test_unsound_waiting_crop_that_names_no_image_stops_nothing(project: Project) -> None:
    (waiting,) = rows(project, "SELECT group_id FROM incomplete_crops")
    spoil(project, SPOILT["images no JSON"][0], waiting["group_id"])
    assert finish.plan(project).blockers == ()
    assert projects.status(project)["incomplete_crops"] == []


def test_commands_name_count_and_exit_1(
    project: Project, one: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (waiting,) = rows(project, "SELECT group_id FROM incomplete_crops")
    spoil(project, SPOILT["images no JSON"][0], waiting["group_id"])
    spoil(project, SPOILT["size of zero"][0], one)
    named = f"left out, sizes: {one}: size 0 x 64"
    total = "p: 2 unsound rows left out (see: pickroom check p"
    for command in (
        ("export", "p", "--coco", str(tmp_path / "coco")),
        ("export", "p", "--hf", str(tmp_path / "hf")),
        ("export", "p", "--pairs", str(tmp_path / "pairs")),
        ("export", "p", "--parquet", str(tmp_path / "parquet")),
        ("export", "p", "--xmp"),
        ("export", "p", "--xmp", "--execute"),
        ("recommend", "p"),
        ("finish", "p"),
    ):
        as_json = [] if command[0] == "finish" else ["--json"]
        assert pickroom(project, *command, *as_json) == 1, command
        out, err = capsys.readouterr()
        assert named in err and total in err, command
        assert not as_json or '"unsound_rows": 2' in out, command
    assert "2 unsound rows left out everywhere" in _printed(project, capsys, 0, "status", "p")
    assert "error: sizes (1)" in _printed(project, capsys, 1, "check", "p")
    found = json.loads(_printed(project, capsys, 1, "sql", "SELECT count(*) FROM decisions", "--json"))
    assert (found["rows"], found["unsound_rows"]) == ([[3]], 2)


def _printed(project: Project, capsys: pytest.CaptureFixture[str], code: int, *command: str) -> str:
    assert pickroom(project, *command) == code
    return capsys.readouterr().out


def test_report_and_archive_of_a_project_with_unsound_rows(
    project: Project, one: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (waiting,) = rows(project, "SELECT group_id FROM incomplete_crops")
    spoil(project, SPOILT["images no JSON"][0], waiting["group_id"])
    spoil(project, SPOILT["index out of range"][0], one)
    change(project, "UPDATE crops SET box = '[0, 0, 5, 1]'")
    assert pickroom(project, "finish", "p", "--execute") == 1
    out, err = capsys.readouterr()
    assert "Project p is finished" in out and "p: 3 unsound rows left out" in err
    folder = project.workspace.archives / "p"
    kinds = {"unsound row: file names": 1, "unsound row: indexes": 1, "unsound row: crops": 1}
    assert json.loads((folder / "summary.json").read_text())["unsound_rows"] == kinds
    page = (project.workspace.reports / "p" / "report.html").read_text()
    assert "unsound row, left out" in page and 'data-value="3"' in page
    with closing(sqlite3.connect(folder / "p.db")) as connection:  # kept as it is
        assert connection.execute("SELECT count(*) FROM ai_decisions").fetchone() == (5,)


@pytest.mark.parametrize("what", ["bytes in the images", "images no JSON", "index out of range"])
def test_anomalies_leave_an_unsound_row_out(
    project: Project, one: str, what: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sql = SPOILT[what][0] if what in SPOILT else ROW.format("images = CAST(x'5b22e9222c2262225d' AS TEXT)")
    spoil(project, sql, one)
    arguments = ["anomalies", project.id, "--json", "--home", str(project.workspace.root)]
    monkeypatch.setattr(sys, "argv", ["pickroom", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    said = capsys.readouterr()
    assert ended.value.code == 1 and "1 unsound row left out" in said.err
    assert json.loads(said.out)["unsound_rows"] == 1


def test_crop_row_of_no_file_name_is_unsound() -> None:
    box = "[0.1, 0.1, 0.9, 0.9]"
    assert FAULTS["crops"]({"filename": "a/b.png", "box": box}).what == "'a/b.png' is not a file name"
    assert FAULTS["crops"]({"filename": "b.png", "box": box}) is None
