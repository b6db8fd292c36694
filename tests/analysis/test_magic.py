"""`%load_ext pickroom`: SQL cells give data frames, and a mistake is one line."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell

from pickroom.store.workspace import Project, Workspace
from support.analysing import change
from support.reviewing import rows


@pytest.fixture
def shell(reviewed: Project, workspace: Workspace) -> Iterator[InteractiveShell]:
    made = InteractiveShell()
    made.run_line_magic("load_ext", "pickroom")
    made.run_line_magic("sql_home", str(workspace.root))
    yield made
    made.run_line_magic("sql_home", str(workspace.root))


def test_sql_cell_gives_a_data_frame_and_keeps_it(shell: InteractiveShell) -> None:
    asked = "SELECT user_action, count(*) AS n FROM decisions GROUP BY ALL ORDER BY 1"
    found = shell.run_cell_magic("sql", "mine", asked)
    assert found.to_dict("list") == {"user_action": ["approve", "crop", "reject"], "n": [3, 1, 1]}
    assert shell.user_ns["mine"] is found
    assert list(shell.run_line_magic("sql", "SELECT 1 AS one")["one"]) == [1]


def test_mistake_in_a_cell_is_one_line(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    done = shell.run_cell("%%sql\nSELECT * FROM decision")
    assert not done.success
    assert "pickroom: Catalog Error: Table with name decision does not exist" in capsys.readouterr().out


@pytest.mark.parametrize("view", ["ai_decisions", "ai_performance", "incomplete_crops", "ai_mistakes"])
def test_view_is_that_of_the_database_over_all_projects(shell: InteractiveShell, reviewed: Project, view: str) -> None:
    ours = shell.run_cell_magic("sql", "", f"SELECT * FROM {view} ORDER BY ALL").to_dict("records")
    theirs = rows(reviewed, f"SELECT * FROM {view}")
    assert list(ours[0]) == [*theirs[0], *(["origin"] if view != "incomplete_crops" else [])]
    plain = [{name: None if value != value else value for name, value in row.items()} for row in ours]
    key = "group_id" if "group_id" in theirs[0] else "project_id"
    by_key = {row[key]: {name: row[name] for name in theirs[0]} for row in plain}
    assert by_key == {row[key]: row for row in theirs}


@pytest.mark.parametrize(
    ("statement", "counted"),
    [
        (
            "UPDATE ai_decisions SET final_crop_coords = '[0.1, 0, 0.9, 1]'",
            "final_crop_coords",
        ),
        ("UPDATE ai_decisions SET ai_crop_accepted = 1 WHERE user_action = 'reject'", "ai_crop_accepted"),
        ("DELETE FROM ai_decisions WHERE user_action = 'approve'", "group_id"),
    ],
    ids=["crop", "backfill", "undo"],
)
def test_row_changed_in_place_or_deleted_is_seen_at_once(
    storage: str, shell: InteractiveShell, reviewed: Project, statement: str, counted: str
) -> None:
    asked = f"SELECT count({counted}) AS n FROM decisions"
    before = shell.run_line_magic("sql", asked)["n"][0]
    change(reviewed, statement)
    now = rows(reviewed, f"SELECT count({counted}) AS n FROM ai_decisions")[0]["n"]
    assert shell.run_line_magic("sql", asked)["n"][0] == now != before


def test_attached_database_of_a_project_is_a_snapshot(
    shell: InteractiveShell, reviewed: Project, workspace: Workspace, tmp_path: Path
) -> None:
    shell.run_cell_magic("sql", "", f"ATTACH '{reviewed.database}' AS mine;")
    change(reviewed, "DELETE FROM ai_decisions")
    assert shell.run_line_magic("sql", "SELECT count(*) AS n FROM mine.ai_decisions")["n"][0] == 5
    assert shell.run_line_magic("sql", "SELECT count(*) AS n FROM ai_decisions")["n"][0] == 0
    done = shell.run_cell("%sql DELETE FROM mine.ai_decisions")
    assert not done.success
