"""The folder viewer: draws a browse session and forwards keys and clicks to it; it holds no data."""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets

from pickroom.app.widgets.desk import Home, reopen
from pickroom.app.widgets.grid import MarkLabel
from pickroom.app.widgets.grid_desk import GridDesk
from pickroom.core.naming import STAGING
from pickroom.sessions.marking.session import BrowseSession


class BrowseDesk(GridDesk):
    """The widget of the notebook's second cell."""

    def buttons(self) -> list[str]:
        board = self.session.board
        some = bool(board.targets)
        what = f"{len(board.selected):,} selected" if board.selected else "the active image"
        return [
            self.button("mark crop", "To the crop desk", enabled=some, title=f"{what} to crop/"),
            self.button("mark staging", "Set aside", enabled=some, title=f"{what} to delete_staging/"),
            self.button("clear", "Keep", enabled=some, title="Clear the mark"),
            self.button("next marked", "Next marked", enabled=bool(board.marks)),
        ]

    def label(self, folder: str) -> MarkLabel:
        return MarkLabel("set aside", "reject") if folder == STAGING else MarkLabel("crop", "keep")


def open_browse(project_id: str, home: Home = None, folders: Sequence[str] | None = None) -> ipywidgets.Widget:
    """The folder viewer of a project for a notebook's cell, with the marks that were made before; see `reopen`.

    Args:
        folders: relative to the project's root, with their sub-folders; None shows the results, then every source.
    """
    return reopen("browse", project_id, home, lambda project: BrowseDesk(BrowseSession(project, folders)))
