"""The folder viewer: draws a browse session and forwards keys and clicks to it; it holds no data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import deck_html, grid_html
from pickroom.app.widgets.grid import MarkLabel
from pickroom.app.widgets.grid_desk import GridDesk
from pickroom.core.errors import PickroomError
from pickroom.files.routing import STAGING
from pickroom.sessions.browse.keys import BROWSE_LEGEND, WORDS
from pickroom.sessions.browse.session import BrowseSession
from pickroom.store.workspace import Workspace


class BrowseDesk(GridDesk):
    """The widget of the notebook's second cell."""

    legend = BROWSE_LEGEND

    def tool_row(self) -> str:
        board = self.session.board
        some = bool(board.targets)
        what = f"{len(board.selected):,} selected" if board.selected else "the active image"
        return grid_html.row(
            grid_html.button("c", "To the crop desk", "C", enabled=some, title=f"{what} to crop/"),
            grid_html.button("x", "Set aside", "X", enabled=some, title=f"{what} to delete_staging/"),
            grid_html.button("k", "Keep", "K", enabled=some, title="Clear the mark"),
            grid_html.button("m", "Next marked", "M", enabled=bool(board.marks)),
            grid_html.space(),
            grid_html.button("[", "−", "[", title="Smaller thumbnails"),
            grid_html.button("]", "+", "]", title="Larger thumbnails"),
            grid_html.button("u", "Undo", "U", enabled=bool(board.undo)),
            grid_html.button(
                "Shift+Enter", f"Apply ({len(board.marks):,})", "⇧⏎", kind="main", enabled=bool(board.marks)
            ),
        )

    def label(self, folder: str) -> MarkLabel:
        return MarkLabel(WORDS[folder], "reject" if folder == STAGING else "keep")


def open_browse(
    project_id: str, home: Path | str | None = None, folders: Sequence[str] | None = None
) -> ipywidgets.Widget:
    """The folder viewer of a project for a notebook's cell, with the marks that were made before.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the viewer
    that was there before.

    Args:
        folders: relative to the project's root, with their sub-folders; None shows the results, then every source.
    """
    if project_id in _open:
        _open.pop(project_id).close()
    try:
        desk = BrowseDesk(BrowseSession(Workspace.find(home).project(project_id), folders))
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    _open[project_id] = desk
    return desk


_open: dict[str, BrowseDesk] = {}  # the viewers of this kernel: a closed cell must not go on holding its session
