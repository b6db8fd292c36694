"""What the tests of analysis need: a reviewed project, and an analysis that is closed at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from pickroom.analysis import connection, sources
from pickroom.analysis.connection import Analysis, connect
from pickroom.store.workspace import Project, Workspace
from support.analysing import SERIES, decide


@pytest.fixture
def reviewed(make_project: Callable[..., Project]) -> Project:
    project = make_project(SERIES)
    decide(project)
    return project


@pytest.fixture(params=["in memory", "attached"])
def storage(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Both ways of reading databases: small ones into memory, and these small ones attached as large ones are."""
    if request.param == "attached":
        script = "from pickroom.analysis import server, sources; sources.SMALL = -1; server.main()"
        monkeypatch.setattr(sources, "SMALL", -1)
        monkeypatch.setattr(connection, "COMMAND", (sys.executable, "-c", script))
        monkeypatch.setattr(connection, "_shared", None)
    yield request.param
    if request.param == "attached" and connection._shared is not None:
        connection._shared.end()


@pytest.fixture
def analysis(workspace: Workspace) -> Iterator[Analysis]:
    with connect(workspace) as opened:
        yield opened
