"""Picking without AI in a real JupyterLab, on real photographs: files, rows and undo."""

from __future__ import annotations

from browser.conftest import OpenNotebook
from browser.desk_page import DeskPage
from conftest import read_tree
from pickroom.demo.plan import DemoConfig
from pickroom.files.batch import undo_batch
from pickroom.store.connect import connect
from pickroom.store.workspace import Workspace
from support.reviewing import decisions, places, queue
from support.simulated import start_simulated


def test_picks_without_a_recommendation(workspace: Workspace, open_notebook: OpenNotebook) -> None:
    project = start_simulated(workspace, DemoConfig(groups=4, seed=3, long_side=480))
    groups, before = queue(project), read_tree(project.root)
    deck = DeskPage(open_notebook("21_pick.ipynb", project="demo", home=str(workspace.root), batch_size=100), (1, 1))
    deck.show()
    assert "No recommendation" in deck.text("words") and "AI" not in deck.text("words")
    deck.press("a")
    assert deck.data()["position"] == "0", "there is nothing to accept"
    deck.press("2", "q", "x", "Shift+Enter", "Shift+Enter")
    deck.wait_for_text("header", "Group 1 of 1")

    made = decisions(project)
    assert [made[group.group_id]["user_action"] for group in groups[:3]] == ["approve", "crop", "reject"]
    assert {row["ai_selected_index"] for row in made.values()} == {None}
    assert places(project, groups[0])[1] == "selected" and places(project, groups[1])[0] == "crop"
    connection = connect(project.database)
    undo_batch(project, connection, 1)
    connection.close()
    assert read_tree(project.root) == before and decisions(project) == {}
