"""Every notebook of the package runs headless, by papermill, on a small demo project: none is skipped."""

from __future__ import annotations

from pathlib import Path

import pytest

from pickroom.demo.plan import DemoConfig
from pickroom.indexing.pipeline import embed_project
from pickroom.store.workspace import Project, Workspace, package_notebooks
from support.reviewing import FINALISE, review
from support.simulated import start_simulated

pytestmark = pytest.mark.slow
NOTEBOOKS = [*package_notebooks(), *package_notebooks("reports")]
KEYS = "a 1 q x a".split()  # noqa: SIM905 (as a file of keys has them)


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A demo of 8 small groups, some of them decided, crops waiting."""
    workspace = Workspace(tmp_path_factory.mktemp("notebooks"))
    project = start_simulated(workspace, DemoConfig(groups=8, seed=3, long_side=96))
    review(project, *KEYS, *FINALISE)
    return project


def test_the_notebooks_are_found() -> None:
    assert {"00_start", "20_review", "60_analysis", "90_finish", "report"} <= {path.stem for path in NOTEBOOKS}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_runs_headless(path: Path, demo: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import papermill

    monkeypatch.setenv("PICKROOM_HOME", str(demo.workspace.root))  # also for notebooks that leave `home` to be found
    declared = papermill.inspect_notebook(path)
    if path.stem == "40_train":  # which has nothing to learn from without vectors
        embed_project(demo.id, demo.workspace.root)
    given = {"project": demo.id, "home": str(demo.workspace.root)}
    executed = papermill.execute_notebook(
        path,
        tmp_path / path.name,
        parameters={name: value for name, value in given.items() if name in declared},
        kernel_name="python3",
        progress_bar=False,
        log_output=False,
        store_widget_state=False,
        cwd=str(path.parent),
    )
    assert "widgets" not in executed.metadata
    cells = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert all(cell.metadata.papermill.status == "completed" for cell in cells)
    assert any(cell.outputs for cell in cells), "it shows nothing"


# those that work on one project that is there; 80_history and 60_analysis need none, and say so
OF_ONE_PROJECT = [path for path in NOTEBOOKS if path.stem[:2] not in ("00", "60", "73", "80")]


@pytest.mark.parametrize("path", OF_ONE_PROJECT, ids=lambda path: path.stem)
def test_notebook_fails_with_one_line_on_no_project(path: Path, tmp_path: Path) -> None:
    import papermill

    with pytest.raises(papermill.PapermillExecutionError) as failure:
        papermill.execute_notebook(
            path,
            tmp_path / path.name,
            parameters={"project": "nowhere", "home": str(tmp_path)},
            kernel_name="python3",
            progress_bar=False,
            cwd=str(path.parent),
        )
    *_, last = str(failure.value).strip().splitlines()
    assert last.startswith("pickroom: no project is named 'nowhere'")
    assert len(failure.value.traceback) == 1
