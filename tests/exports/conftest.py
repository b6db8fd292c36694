"""A project in which a person picked, cropped, rejected and kept, and one group is the machine's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import SCANNED_AT, write_series
from pickroom.core.records import CropBox
from pickroom.files.cropping import Order
from pickroom.indexing import projects
from pickroom.sessions.crop.session import CropSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.analysing import SERIES, decide
from support.reviewing import FINALISE, copy_of, review

BOX = CropBox(0.125, 0.25, 0.75, 0.875)


def crop_waiting(project: Project, box: CropBox = BOX) -> str:
    """Crop the one image that waits at the crop desk; its name."""
    with closing(CropSession(project)) as session:
        (card,) = session.waiting
        result = session.submit([Order(card.directory, card.filename, box)])
        assert result.done == [card.filename]
    return card.filename


@pytest.fixture(scope="session")
def _made_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("judged")
    write_series(folder / "images", [(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2), (1, 2)], (".yaml", ".caption"))
    for path in (folder / "images").glob("*.caption"):
        path.write_text("a red kite\n")
    project = projects.start(Workspace(folder / "home"), "p", folder / "images", at=SCANNED_AT)[0]
    review(project, "1", "w", "x", "k", "1", *FINALISE)
    with closing(connect(project.database)) as connection:
        last = "(SELECT max(group_id) FROM decision_context)"
        connection.execute(f"UPDATE decision_context SET input = 'auto' WHERE group_id = {last}")
    crop_waiting(project)
    return project


@pytest.fixture
def judged(_made_once: Project, tmp_path: Path) -> Project:
    """Groups in order: 1 picked of 2, 1 picked of 3 and cropped, rejected, kept, decided by the machine, undecided."""
    return copy_of(_made_once, tmp_path / "project")


@pytest.fixture
def reviewed(make_project: Callable[..., Project]) -> Project:
    project = make_project(SERIES)
    decide(project)
    return project
