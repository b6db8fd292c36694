"""A submit of the crop desk is killed before every single thing it does to a file or to the database.

Whatever the moment: no image is lost, and after the next process has recovered, files and rows are those of a submit
that ran to its end, or of none; no partial crop is left over.
"""

from __future__ import annotations

import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import test_crash as harness
from conftest import write_series
from pickroom import projects
from pickroom.crop.session import CropSession
from pickroom.files.cropping import Order
from pickroom.records import CropBox
from pickroom.workspace import Project, Workspace
from reviewing import FINALISE, copy_of, exit_code_of, in_child, queue, recommend, review, rows, snapshot, whole_tree
from test_crash import recover_it

BOX = CropBox(0.1, 0.1, 0.7, 0.7)


class Steps(harness.Steps):
    """Crops are rendered by several threads: each step is counted once all the same."""

    def __init__(self, kill_at: int | None) -> None:
        self._one = threading.RLock()
        super().__init__(kill_at)

    def next(self) -> None:
        with self._one:
            super().next()


def submit(project: Project) -> None:
    """Two crops, one with the AI's box beside it and one without a sidecar; and an image that is dropped."""
    session = CropSession(project)
    names = [waiting.card.filename for waiting in session.waiting]
    session.submit([Order("crop", names[0], BOX), Order("crop", names[1], BOX), Order("crop", names[2], None)])
    session.close()


def take_back(project: Project) -> None:
    session = CropSession(project)
    session.press("b")
    session.close()


def go_on(project: Project) -> None:
    """The next desk: opening it recovers, and a submit, even of nothing, sweeps up first."""
    session = CropSession(project)
    session.submit([])
    session.close()


def everything_of(project: Project) -> dict[str, Any]:
    """`snapshot`, with what only the crop desk writes; times left out."""
    found = snapshot(project)
    for row in found["decisions"]:
        row["crop_timestamp"] = row["crop_timestamp"] is not None
    for row in found["context"]:
        row["dropped_at"] = row["dropped_at"] is not None
    crops = rows(project, "SELECT * FROM crops ORDER BY batch, filename")
    return {**found, "crops": [{k: v for k, v in row.items() if k not in ("id", "made_at")} for row in crops]}


def run(act: Callable[[Project], None], project: Project, kill_at: int | None = None) -> int:
    steps = Steps(kill_at)
    act(project)
    steps.next()  # killed after everything, before the process could end by itself
    return steps.count


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Four images wait in crop/, the second without its sidecar; nothing is cropped yet."""
    folder = tmp_path_factory.mktemp("waiting")
    write_series(folder / "images", [(1, 2)] * 4)
    project = projects.start(Workspace(folder / "home"), "p", folder / "images")[0]
    first, second, *_ = queue(project)
    recommend(project, first, 0, (0.1, 0.05, 0.7, 0.7))
    review(project, "q", "q", "q", "q", *FINALISE)
    (project.root / "crop" / second.filenames[0]).with_suffix(".decision").unlink()
    return project


@pytest.fixture(scope="module")
def cropped(waiting: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The same project after the submit."""
    project = copy_of(waiting, tmp_path_factory.mktemp("cropped") / "copy")
    submit(project)
    return project


@pytest.mark.parametrize(("before", "act"), [("waiting", submit), ("cropped", take_back)], ids=["submit", "back"])
def test_a_kill_at_any_moment_leaves_all_or_nothing_once_recovered(
    request: pytest.FixtureRequest, tmp_path: Path, before: str, act: Callable[[Project], None]
) -> None:
    template: Project = request.getfixturevalue(before)
    place = tmp_path / "run"  # always the same, since reasons name it
    # a sidecar goes with the submit; its content is in the journal
    contents = {content for path, content in whole_tree(template.root).items() if not path.endswith(".decision")}
    project = copy_of(template, place)
    nothing = everything_of(project)
    count = in_child(run, act, project)
    everything = everything_of(project)
    assert nothing["journal"] != everything["journal"] and nothing["crops"] != everything["crops"]
    assert count > 25
    outcomes = set()
    for kill_at in range(1, count + 1):
        shutil.rmtree(place)
        project = copy_of(template, place)
        assert exit_code_of(run, act, project, kill_at) == -signal.SIGKILL
        assert contents <= set(whole_tree(project.root).values()), f"lost at step {kill_at}"
        planned = len(rows(project, "SELECT * FROM file_operations")) == len(everything["journal"])
        in_child(run, recover_it if kill_at % 2 else go_on, project)
        expected = everything if planned else nothing
        assert everything_of(project) == expected, f"killed at step {kill_at} of {count}"
        outcomes.add(planned)
    assert outcomes == {True, False}
