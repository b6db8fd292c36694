"""What the tests of the sorter and the folder viewer share: a project with results, sessions driven by keys."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import write_series
from pickroom.indexing import projects
from pickroom.sessions.marking.session import BoardSession, BrowseSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review, rows, snapshot

APPLY = ("Shift+Enter", "Shift+Enter")


def with_results(folder: Path, count: int = 5) -> Project:
    """A project with `count` picks in selected/, each with its YAML, and one group that still waits."""
    write_series(folder / "images" / "shoot", [(1, 2)] * (count + 1))
    project = projects.start(Workspace(folder / "home"), "p", folder / "images")[0]
    review(project, *["1"] * count, *FINALISE)
    return project


def selected(project: Project) -> list[str]:
    """The images that lie in selected/ itself."""
    return sorted(path.name for path in (project.root / "selected").glob("*.png"))


def drive(session: BoardSession, *keys: str) -> Any:
    """Press keys in a session and close it; its last result and board are still there to read."""
    try:
        for key in keys:
            session.press(key)
    finally:
        session.close()
    return session


def browse(project: Project, *keys: str, folders: list[str] | None = None) -> BrowseSession:
    return drive(BrowseSession(project, folders), *keys)


def sort(project: Project, *keys: str, names: tuple[str, ...] = (), folders: list[str] | None = None) -> SortSession:
    session = SortSession(project, folders)
    for name in names:
        session.add_name(name)
    return drive(session, *keys)


def everything(project: Project) -> dict[str, Any]:
    """`snapshot`, with the marks; times left out."""
    marks = rows(project, "SELECT * FROM image_marks ORDER BY room, directory, filename")
    return {**snapshot(project), "marks": [{k: v for k, v in row.items() if k != "updated_at"} for row in marks]}
