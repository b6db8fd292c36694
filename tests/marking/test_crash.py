"""An apply of the sorter or the folder viewer is killed before every single thing it does to a file or the database.

Whatever the moment: no image is lost, and after the next process has recovered, files, marks and journal are those of
an apply (or an undo) that ran to its end, or of none.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from boards import APPLY, browse, everything, sort, with_results
from pickroom.files.undo import undo_batch
from pickroom.store.connect import connect
from pickroom.workspace import Project
from reviewing import copy_of, exit_code_of, in_child, rows, whole_tree
from test_crash import Steps, recover_it


def browse_it(project: Project) -> None:
    browse(project, *APPLY)


def sort_it(project: Project) -> None:
    sort(project, *APPLY)


def take_back(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 2)


def go_on(project: Project) -> None:
    """The next board recovers when it is opened."""
    browse(project)


def run(act: Callable[[Project], None], project: Project, kill_at: int | None = None) -> int:
    steps = Steps(kill_at)
    act(project)
    steps.next()  # killed after everything, before the process could end by itself
    return steps.count


@pytest.fixture(scope="module")
def viewed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three results, two of them marked in the folder viewer."""
    project = with_results(tmp_path_factory.mktemp("viewed"), 3)
    browse(project, "c", "x")
    return project


@pytest.fixture(scope="module")
def sorted_out(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three results, each marked for one of two characters."""
    project = with_results(tmp_path_factory.mktemp("sorted"), 3)
    sort(project, "1", "2", "1", names=("anna", "bo"))
    return project


@pytest.fixture(scope="module")
def applied(sorted_out: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = copy_of(sorted_out, tmp_path_factory.mktemp("applied") / "copy")
    sort_it(project)
    return project


@pytest.mark.parametrize(
    ("before", "act"),
    [("viewed", browse_it), ("sorted_out", sort_it), ("applied", take_back)],
    ids=["browse", "sort", "undo"],
)
def test_a_kill_at_any_moment_leaves_all_or_nothing_once_recovered(
    request: pytest.FixtureRequest, tmp_path: Path, before: str, act: Callable[[Project], None]
) -> None:
    template: Project = request.getfixturevalue(before)
    place = tmp_path / "run"  # always the same, since reasons name it
    contents = set(whole_tree(template.root).values())
    project = copy_of(template, place)
    nothing = everything(project)
    count = in_child(run, act, project)
    whole = everything(project)
    assert nothing["journal"] != whole["journal"] and nothing["marks"] != whole["marks"]
    assert nothing["tree"] != whole["tree"] and count > 20
    outcomes = set()
    for kill_at in range(1, count + 1):
        shutil.rmtree(place)
        project = copy_of(template, place)
        assert exit_code_of(run, act, project, kill_at) == -signal.SIGKILL
        assert contents == set(whole_tree(project.root).values()), f"lost at step {kill_at}"
        planned = len(rows(project, "SELECT * FROM file_operations")) == len(whole["journal"])
        in_child(run, recover_it if kill_at % 2 else go_on, project)
        assert everything(project) == (whole if planned else nothing), f"killed at step {kill_at} of {count}"
        outcomes.add(planned)
    assert outcomes == {True, False}
