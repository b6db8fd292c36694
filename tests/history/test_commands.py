"""import-csv, history and anomalies at the command line; and the steps of the notebook."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import read_tree, write_series
from pickroom import cli
from pickroom.analysis.connection import connect as connect_analysis
from pickroom.core.errors import PickroomError
from pickroom.history import skip_reasons, steps
from pickroom.store.workspace import Workspace

from .logs import SAMPLES, SELECTION, rows_of, selection, write_log

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def pickroom(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process: (exit code, stdout, stderr)."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", *map(str, arguments), "--home", str(workspace.root)])
        capsys.readouterr()
        code = 0
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        return code, *capsys.readouterr()

    return run


def test_import_csv_says_first_and_writes_when_told(pickroom: Run, workspace: Workspace) -> None:
    log = SAMPLES / "select_crop_log.csv"
    code, out, _ = pickroom("import-csv", log, "--project", "mojo1")
    assert code == 0
    assert "44 rows = 35 imported + 9 skipped" in out
    assert f"9 skipped: {skip_reasons.REOPENED}" in out
    assert "line 37:" in out
    assert out.endswith("Nothing was written: add --execute\n")
    assert not workspace.root.exists()
    code, out, _ = pickroom("import-csv", log, "--project", "mojo1", "--execute")
    assert out.endswith("Written: mojo1_legacy.db; registered: mojo1\n")
    assert len(rows_of(workspace, "legacy_crops")) == 34
    assert pickroom("import-csv", log, "--project", "mojo1", "--execute")[1].endswith("Nothing new to write\n")


def test_json_is_one_object_and_report_goes_to_stderr(pickroom: Run) -> None:
    code, out, err = pickroom(
        "import-csv", *sorted(SAMPLES.glob("*.csv")), "--project", "mojo1", "--by-folder", "--execute", "--json"
    )
    found = json.loads(out)
    assert (code, out.count("\n")) == (0, 1)
    assert (found["rows"], found["imported"], found["skipped"]) == (92, 83, {skip_reasons.REOPENED: 9})
    assert found["written"] == ["1100_legacy.db", "mojo1_legacy.db", "mojo2_legacy.db"]
    assert "Together: 92 rows = 83 imported + 9 skipped" in err


def test_report_is_printed_before_anything_is_written(workspace: Workspace, tmp_path: Path) -> None:
    # a folder where nothing can be written: the report is there all the same
    workspace.decisions.parent.mkdir(parents=True)
    workspace.decisions.write_text("in the way")
    command = [sys.executable, "-m", "pickroom.cli", "import-csv", str(SAMPLES / "selection_only_log.csv")]
    command += ["--project", "mojo1", "--execute", "--home", str(workspace.root)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert "23 rows = 23 imported + 0 skipped" in ended.stdout
    assert "Traceback" not in ended.stderr
    assert ended.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("import-csv",), 2, "Missing argument"),
        (("import-csv", "missing.csv"), 2, "cannot read the file"),
        (("import-csv", __file__), 2, "not a known header"),
        (("import-csv", SAMPLES / "anomaly_cases.csv", "--project", "a/b"), 2, "is not a name"),
        (("import-folders", "a", "b"), 2, "Missing option"),
        (("import-folders", "missing", "gone", "--project", "p"), 2, "no such folder"),
        (("anomalies", "nope"), 2, "no project is named"),
    ],
)
def test_wrong_use_is_one_line(pickroom: Run, workspace: Workspace, arguments: tuple, code: int, message: str) -> None:
    ended, out, err = pickroom(*arguments)
    assert (ended, out, err.count("\n")) == (code, "", 1)
    assert message in err
    assert not workspace.root.exists()


def _without_sqlite_side_files(workspace: Workspace) -> dict[str, str]:
    """Every file but the empty log and the index that SQLite leaves where a database was only read."""
    return {name: made for name, made in read_tree(workspace.root).items() if not name.endswith(("-shm", "-wal"))}


def test_history_and_anomalies(pickroom: Run, workspace: Workspace, tmp_path: Path) -> None:
    (names, _) = write_series(tmp_path / "raw", [(1, 1.5, 2), (1, 2)], companions=())
    (tmp_path / "final").mkdir()
    shutil.copy2(tmp_path / "raw" / names[0], tmp_path / "final" / names[0])
    before = read_tree(tmp_path)
    arguments = ("import-folders", tmp_path / "raw", tmp_path / "final", "--project", "anna")
    code, out, _ = pickroom(*arguments)
    assert (code, read_tree(tmp_path)) == (0, before)
    assert "1 row = 1 imported + 0 skipped" in out
    found = json.loads(pickroom(*arguments, "--execute", "--json")[1])
    assert (found["rows"], found["imported"], found["boxes"]) == (1, 1, {"found": 0, "null": 0})
    before = _without_sqlite_side_files(workspace)
    assert json.loads(pickroom("anomalies", "--json")[1])["written"] == []
    assert _without_sqlite_side_files(workspace) == before
    code, out, _ = pickroom("anomalies", "--execute", "--json")
    found = json.loads(out)
    assert (code, found["projects"]["anna"]["pairs"]) == (0, {"1<2": 1})
    assert (workspace.root / "data/training/pickroom_anomaly_summary.json").is_file()
    assert "anna: 1 of 1 picks with stages (100.0%) chose a lower one: 1 x 1<2" in pickroom("anomalies", "anna")[1]


def test_control_characters_of_a_log_stay_in_their_line(pickroom: Run, tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", SELECTION, [selection("mojo1/\x1b[31m\n.txt")])
    _, out, _ = pickroom("import-csv", log, "--project", "mojo1")
    assert "\x1b" not in out


def test_analysis_sees_what_was_imported(pickroom: Run, workspace: Workspace) -> None:
    pickroom("import-csv", *sorted(SAMPLES.glob("*.csv")), "--project", "mojo1", "--by-folder", "--execute")
    analysis = connect_analysis(workspace)
    assert [problem.line for problem in analysis.problems] == []
    counts = "SELECT origin, count(*), count(box) FROM crops GROUP BY ALL ORDER BY ALL"
    assert analysis.execute(counts).fetchall() == [("legacy", 35, 35)]
    assert analysis.execute("SELECT count(*) FROM legacy_selections").fetchone() == (38,)
    assert analysis.execute("SELECT count(*) FROM decisions").fetchone() == (1,)


def test_sql_over_what_was_imported(pickroom: Run) -> None:
    pickroom("import-csv", *sorted(SAMPLES.glob("*.csv")), "--project", "mojo1", "--by-folder", "--execute")

    def sql(query: str) -> list[list]:
        code, out, _ = pickroom("sql", query, "--json")
        assert code == 0
        return json.loads(out)["rows"]

    assert sql("SELECT project_id, count(*), count(timestamp) FROM legacy_selections GROUP BY 1 ORDER BY 1") == [
        ["1100", 4, 4],
        ["mojo1", 28, 28],
        ["mojo2", 6, 6],
    ]
    # the one row of select_crop_log.csv with everything a decision needs, and no word of an AI in it
    query = "SELECT origin, picked, picked_stage, user_action, ai_selected_index, selection_match FROM decisions"
    assert sql(query) == [["legacy", "20250708_060530_stage2_upscaled.png", 2.0, "crop", None, None]]
    # a crop joined with itself by name: rows of one project's file, each once
    query = "SELECT count(*), count(DISTINCT filename) FROM crops AS a JOIN crops AS b USING (project_id, filename)"
    assert sql(query) == [[35, 35]]


def test_import_csv_by_folder_and_by_map(pickroom: Run, workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection(f"/old/{name}/a.png", [f"/old/{name}/b.png"]) for name in ("anna", "bella=1", "mojo1")]
    log = write_log(tmp_path / "log.csv", SELECTION, rows)
    code, out, err = pickroom("import-csv", log, "--project", "mojo1", "--execute")
    assert (code, err.count("\n")) == (2, 1)
    assert "2 rows name other projects while importing with --project mojo1: anna, /old/bella=1 (" in err
    assert "--map '/old/bella=1=mojo1'" in err or "--map /old/anna=mojo1" in err
    assert "/old/anna        1  anna     folder" in out
    assert not workspace.root.exists()
    options = ("--map", "bella=1=bella", "--map", "/old/anna=anna", "--project", "mojo1", "--execute", "--json")
    found = json.loads(pickroom("import-csv", log, *options)[1])
    assert found["written"] == ["anna_legacy.db", "bella_legacy.db", "mojo1_legacy.db"]
    assert {(row["folder"], row["evidence"]) for row in found["folders"]} == {
        ("/old/anna", "--map"),
        ("/old/bella=1", "--map"),
        ("/old/mojo1", "known project"),
    }
    assert (
        "Nothing new to write" in pickroom("import-csv", log, "--by-folder", "--map", "bella=1=bella", "--execute")[1]
    )


@pytest.mark.parametrize("wrong", [("anna",), ("=p",), ("anna=",), ("anna=a/b",), ("anna=p", "anna=q")])
def test_a_map_that_cannot_be_read_is_one_line(pickroom: Run, tmp_path: Path, wrong: tuple[str, ...]) -> None:
    log = write_log(tmp_path / "log.csv", SELECTION, [selection("anna/a.png", ["anna/b.png"])])
    options = [word for text in wrong for word in ("--map", text)]
    code, _, err = pickroom("import-csv", log, *options)
    assert (code, err.count("\n")) == (2, 1)


def test_dry_runs_of_the_notebook_write_nothing(
    workspace: Workspace, capsys: pytest.CaptureFixture[str], make_project: Callable
) -> None:
    make_project([(1, 2)])
    before = read_tree(workspace.root)
    steps.import_logs(workspace, [SAMPLES / "anomaly_cases.csv"], None, False)
    steps.fill_in_accepted_crops(workspace, "p", False)
    steps.check_rows(workspace, "p")
    steps.find_anomalies(workspace, False)
    assert read_tree(workspace.root) == before
    assert capsys.readouterr().out.count("Nothing was written: set execute = True") == 3


def test_steps_of_the_notebook(
    workspace: Workspace, tmp_path: Path, capsys: pytest.CaptureFixture[str], make_project: Callable
) -> None:
    steps.import_logs(workspace, [], "p", False)
    with pytest.raises(PickroomError, match=r"15 rows name other projects .* --project p: mojo2, mojo1, 1100"):
        steps.import_logs(workspace, [SAMPLES / "anomaly_cases.csv"], "p", True)
    steps.import_logs(workspace, [SAMPLES / "anomaly_cases.csv"], "p", True, by_folder=True)
    with pytest.raises(PickroomError, match="cannot read the file"):
        steps.import_logs(workspace, [tmp_path / "missing.csv"], "p", True)
    steps.compare_folders(workspace, None, None, "p", False)
    steps.fill_in_accepted_crops(workspace, "p", False)
    make_project([(1, 2)])
    with pytest.raises(PickroomError, match="are the same"):
        steps.compare_folders(workspace, tmp_path / "images", tmp_path / "images", "p", False)
    steps.fill_in_accepted_crops(workspace, "p", True)
    steps.check_rows(workspace, "mojo2")
    figure = steps.find_anomalies(workspace, execute=True)
    assert figure is not None
    said = capsys.readouterr().out
    for words in (
        "No logs were named",
        "Written: 1100_legacy.db, mojo1_legacy.db, mojo2_legacy.db",
        "No folders were named",
        "no project is named 'p'",
        "Nothing to write",
        "6 rows, 6 of them left out of training",
        "Written: pickroom_anomaly_cases.csv",
    ):
        assert words in said
