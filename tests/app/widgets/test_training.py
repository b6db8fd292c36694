"""The training page: the cells of its notebook stand each for itself."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable

from pickroom.app.widgets.models_page import training_page
from pickroom.store.workspace import Project, package_notebooks

(NOTEBOOK,) = [path for path in package_notebooks() if path.stem == "40_train"]


def test_whichever_cell_runs_first_shows_something(make_project: Callable[..., Project]) -> None:
    home = make_project([(1, 2)]).workspace.root
    assert "No ranker has been trained" in training_page(["p"], home).calibration().value
    assert "1 undecided group" in training_page(["p"], home).recommend().value
    assert training_page(["p"], home) is training_page(["p"], home)
    assert training_page(["p"], home) is not training_page(["p", "p"], home)


def test_no_cell_needs_a_name_that_another_one_made() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    trees = [ast.parse("".join(cell["source"])) for cell in cells if cell["cell_type"] == "code"]
    parameters = {node.id for node in ast.walk(trees[0]) if isinstance(node, ast.Name)}
    for tree in trees[1:]:
        imported = {a.name for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) for a in n.names}
        assert {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)} <= parameters | imported
