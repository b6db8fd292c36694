"""What the notebook calls: a report, or one line; never a traceback."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pickroom.core.errors import ProjectError
from pickroom.indexing import pipeline
from pickroom.indexing.pipeline import VectorStore
from pickroom.store.workspace import Project, Workspace


def test_a_project_that_is_not_there_is_one_line(workspace: Workspace) -> None:
    with pytest.raises(ProjectError) as raised:
        pipeline.embed_project("nobody", workspace.root, encoder="bundled")
    (line,) = raised.value._render_traceback_()
    assert "nobody" in line and "pickroom start" in line


def test_a_run_is_interrupted_in_one_line_and_then_goes_on(
    photo_project: Callable[..., Project], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = photo_project(1)

    def interrupted(store: VectorStore, rows: list) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(VectorStore, "append", interrupted)
        assert pipeline.embed_project(project.id, project.workspace.root, encoder="bundled") is None
    assert capsys.readouterr().out == "Interrupted; what was embedded is kept. Run the cell again, and it goes on.\n"
    report = pipeline.embed_project(project.id, project.workspace.root, encoder="bundled", verify=True)
    assert report is not None and report.embedded == 2
    assert capsys.readouterr().out == report.words() + "\n"
