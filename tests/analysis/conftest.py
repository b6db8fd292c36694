"""What the tests of analysis need: a reviewed project, and an analysis that is closed at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from pickroom.analysis.connection import Analysis, connect
from pickroom.store.workspace import Project, Workspace
from support.analysing import SERIES, decide


@pytest.fixture
def reviewed(make_project: Callable[..., Project]) -> Project:
    project = make_project(SERIES)
    decide(project)
    return project


@pytest.fixture
def analysis(workspace: Workspace) -> Iterator[Analysis]:
    with connect(workspace) as opened:
        yield opened
