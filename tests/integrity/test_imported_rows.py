"""Imported rows are checked like a project's own: what is unsound is an error, what says too little is left out."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.indexing import projects
from pickroom.integrity import Inspection
from pickroom.learn.reading import inspect_all, read_examples
from pickroom.store.legacy import connect_legacy, legacy_path
from pickroom.store.workspace import Project, Workspace
from support.commands import run_command

PICK = {"chosen": "a.png", "others": '["b.png"]', "timestamp": "2025-10-05T01:24:18Z"}
CROP = {"filename": "a.png", "box": "[0.1, 0.1, 0.9, 0.9]", "width": 200, "height": 400}
FIVE = json.dumps([f"{letter}.png" for letter in "bcde"])


def with_row(workspace: Workspace, table: str, values: dict[str, object]) -> Project:
    """A registered project with one sound pick and one row as given, written as a program of another kind might."""
    project = projects.register(workspace, "mojo1")
    sound = {"chosen": "x.png", "others": '["y.png"]', "timestamp": None}
    connect_legacy(legacy_path(workspace, "mojo1")).close()
    with closing(sqlite3.connect(legacy_path(workspace, "mojo1"))) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        for line, (name, row) in enumerate((("legacy_selections", sound), (table, values)), start=2):
            row = {"project_id": "mojo1", "source_file": "log.csv", "source_line": line, **row}
            marks = ", ".join("?" * len(row))
            connection.execute(f"INSERT INTO {name} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))
    return project


def imported(project: Project) -> Inspection:
    return inspect_all(project)[1]


@pytest.mark.parametrize(
    ("table", "values", "words"),
    [
        ("legacy_selections", PICK | {"chosen": "x/a.png"}, "'x/a.png' is not a file name"),
        ("legacy_selections", PICK | {"others": '["a.png"]'}, "is not a pick"),
        ("legacy_selections", PICK | {"others": "[]"}, "is not a pick"),
        ("legacy_selections", PICK | {"others": '{"a": 1}'}, "is not a pick"),
        ("legacy_selections", PICK | {"others": "no list"}, "is not a pick"),
        ("legacy_selections", PICK | {"others": '["b.png", 3]'}, "3 is not a file name"),
        ("legacy_selections", PICK | {"timestamp": "yesterday"}, "timestamp 'yesterday' is not a time"),
        ("legacy_crops", CROP | {"filename": ".."}, "'..' is not a file name"),
        ("legacy_crops", CROP | {"box": "[0.9, 0.1, 0.1, 0.9]"}, "box: "),
        ("legacy_crops", CROP | {"width": 0}, "size 0 x 400"),
    ],
)
def test_unsound_imported_row_is_an_error_and_left_out(
    workspace: Workspace, table: str, values: dict[str, object], words: str
) -> None:
    project = with_row(workspace, table, values)
    (finding,) = imported(project).errors
    kind = "picks" if table == "legacy_selections" else "crops"
    assert (finding.check, finding.count, finding.refuses) == (f"imported {kind}", 1, False)
    assert words in finding.examples[0] and finding.examples[0].startswith("log.csv:3: ")
    done = run_command("check", "mojo1", "--json", "--home", str(workspace.root))
    found = json.loads(done.stdout)
    assert (done.returncode, found["ok"], found["imported"]["rows"]) == (1, False, 2)
    words_of = run_command("check", "mojo1", "--home", str(workspace.root)).stdout
    rows = run_command(
        "sql", "SELECT origin, failed_check, what FROM unsound_rows", "--home", str(workspace.root)
    ).stdout
    assert f"imported {kind}" in rows and "legacy" in rows
    assert "every check passes" not in words_of and f"error: imported {kind} (1)" in words_of
    read = read_examples(project, kind)  # type: ignore[arg-type]
    assert (read.rows, read.left_out[f"unsound row: imported {kind}"]) == (2 if kind == "picks" else 1, 1)
    assert [pick.candidates.filenames for pick in read.picks] == ([("x.png", "y.png")] if kind == "picks" else [])


@pytest.mark.parametrize(
    ("table", "values", "check"),
    [
        ("legacy_selections", PICK | {"others": FIVE}, "picks to learn from"),
        ("legacy_crops", CROP | {"box": None}, "crops to learn from"),
        ("legacy_crops", CROP | {"width": None}, "crops to learn from"),
    ],
)
def test_imported_row_that_says_too_little_is_left_out(
    workspace: Workspace, table: str, values: dict[str, object], check: str
) -> None:
    found = imported(with_row(workspace, table, values))
    assert found.errors == ()
    assert {finding.check: finding.count for finding in found.excluded} == {check: 1, "vectors": 2}
    done = run_command("check", "mojo1", "--home", str(workspace.root))
    assert done.returncode == 0
    assert "imported: 2 rows, 2 of them left out of training" in done.stdout


def test_imported_row_of_another_project_refuses(workspace: Workspace) -> None:
    found = imported(with_row(workspace, "legacy_selections", PICK | {"project_id": "mojo2"}))
    (finding,) = found.errors
    assert (finding.check, finding.refuses) == ("project", True)


def test_project_without_imports_has_none_to_check(workspace: Workspace, tmp_path: Path) -> None:
    projects.register(workspace, "mojo1")
    found = json.loads(run_command("check", "mojo1", "--json", "--home", str(workspace.root)).stdout)
    assert (found["ok"], found["imported"]) == (True, None)
