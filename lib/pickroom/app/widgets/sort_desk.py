"""The sorter: draws a sort session, forwards keys, clicks, names and choices to it; it holds no data."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from pickroom.app.widgets import deck_html, grid_html
from pickroom.app.widgets.grid import MarkLabel
from pickroom.app.widgets.grid_desk import GridDesk, html
from pickroom.core.errors import PickroomError
from pickroom.core.naming import filename_of
from pickroom.sessions.sorting.keys import SORT_LEGEND
from pickroom.sessions.sorting.session import SortSession, key_of
from pickroom.store.workspace import Workspace

FOLDER = "folder "  # before the number of a folder: what its button presses, since not each has a key
ALL = ("", "")  # no field: every image; None would mean to a list that nothing is chosen
BY, ONLY = "Sort by field…", "Show only…"
_VALUE = 40  # characters of a value in a list


class SortDesk(GridDesk):
    """The widget of the notebook's second cell."""

    legend = SORT_LEGEND
    session: SortSession

    def __init__(self, session: SortSession) -> None:
        self._by = ""  # the field whose dry run is shown
        self.name = ipywidgets.Text(placeholder="new folder, Enter", continuous_update=False)
        self.name.add_class("pickroom-ask")
        self.by = ipywidgets.Dropdown(options=[BY])
        self.only = ipywidgets.Dropdown(options=[(ONLY, ALL)])
        self.folders = html("pickroom-tools")
        super().__init__(session, ((self.folders, self.name, self.only, self.by),))
        # ten thousand companions take seconds to read: the board is there meanwhile
        self._reading = threading.Thread(target=self._offer, name="reading companions", daemon=True)
        self._reading.start()
        # the text is taken when Enter is pressed or the field is left
        self.name.observe(lambda change: self._taken(self._name, change["new"]), "value")
        self.by.observe(lambda change: self._taken(self._choose, change["new"]), "value")
        self.only.observe(lambda change: self._taken(self._filter, change["new"]), "value")

    def tool_row(self) -> str:
        session, board = self.session, self.session.board
        some = bool(board.targets)
        counts: dict[str, int] = {}
        for folder in board.marks.values():
            counts[filename_of(folder)] = counts.get(filename_of(folder), 0) + 1
        folders = [
            grid_html.button(
                f"{FOLDER}{i}",
                f"{name} +{counts[name]}" if name in counts else name,
                key_of(i),
                enabled=some,
                title=f"Send {len(board.targets)} there",
            )
            for i, name in enumerate(session.names)
        ]
        none = '<span class="label">Name a folder first (N): then its key sends images there →</span>'
        self.folders.value = grid_html.row(*(folders or [none]))
        hide = "Show marked" if session.hidden else "Hide marked"
        return grid_html.row(
            grid_html.button("a", "As suggested", "A", enabled=some, title=session.similarity.missing),
            grid_html.button("o", "Similar first", "O", enabled=some, title=session.similarity.missing),
            grid_html.button("v", hide, "V"),
            grid_html.space(),
            grid_html.button("[", "−", "[", title="Smaller thumbnails"),
            grid_html.button("]", "+", "]", title="Larger thumbnails"),
            grid_html.button("u", "Undo", "U", enabled=bool(board.undo)),
            grid_html.button(
                "Shift+Enter", f"Apply ({len(board.marks):,})", "⇧⏎", kind="main", enabled=bool(board.marks)
            ),
        )

    def label(self, folder: str) -> MarkLabel:
        return MarkLabel(f"→ {filename_of(folder)}", "keep")

    def room_panel(self) -> str:
        if not self._by:
            return ""
        rows, without = self.session.group_by(self._by)
        return grid_html.dry_run(self._by, rows, len(without))

    def button_pressed(self, name: str) -> bool:
        if name.startswith(FOLDER):
            self.session.send(int(name.removeprefix(FOLDER)), name)
        elif name in ("by field", "no field"):
            field, self._by = self._by, ""
            self.by.value = BY
            if name == "by field" and field:
                self.session.mark_by(field)
        else:
            return False
        return True

    # --- the fields over the board ----------------------------------------------------------------------------

    def _taken(self, act: Any, value: Any) -> None:
        with self.grid.lock:
            self.message = ""
            self.attempt(lambda: act(value))
            self.redraw()

    def _name(self, text: str) -> None:
        self.asking = False
        if text.strip():
            self.name.value = ""
            self.session.add_name(text)

    def _choose(self, field: str) -> None:
        self._by = "" if field == BY else field

    def _filter(self, chosen: tuple[str, str]) -> None:
        field, text = chosen
        self.session.show_only(field or None, text)

    def _offer(self) -> None:
        """What can be chosen, read from the images' companions; runs in a thread of its own."""
        found = self.attempt(self.session.choices) or {}
        values = [
            (f"{field}: {text[:_VALUE]} ({count})", (field, text))
            for field, values in found.items()
            for text, count in values
        ]
        with self.grid.lock:
            self.by.options = [BY, *found]
            self.only.options = [(ONLY, ALL), *values]
            self.redraw()  # also where it could not be read: then with the reason


def open_sort(
    project_id: str, home: Path | str | None = None, folders: Sequence[str] | None = None
) -> ipywidgets.Widget:
    """The sorter of a project for a notebook's cell, with the marks that were made before.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the sorter
    that was there before.

    Args:
        folders: the folders to sort, relative to the project's root; None sorts the results.
    """
    if project_id in _open:
        _open.pop(project_id).close()
    try:
        desk = SortDesk(SortSession(Workspace.find(home).project(project_id), folders))
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    _open[project_id] = desk
    return desk


_open: dict[str, SortDesk] = {}  # the sorters of this kernel: a closed cell must not go on holding its session
