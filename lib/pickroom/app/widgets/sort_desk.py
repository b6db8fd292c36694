"""The sorter: draws a sort session, forwards keys, clicks, names and choices to it; it holds no data."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import Home, html, reopen
from pickroom.app.widgets.grid import MarkLabel
from pickroom.app.widgets.grid_desk import GridDesk
from pickroom.core.naming import filename_of
from pickroom.sessions.sorting.session import SortSession, key_of

FOLDER = "folder "  # before the number of a folder: what its button presses, since not each has a key
ALL = ("", "")  # no field: every image; None would mean to a list that nothing is chosen
BY, ONLY = "Sort by field…", "Show only…"
_VALUE = 40  # characters of a value in a list
_NO_FOLDER = '<span class="label">Name a folder first (N): then its key sends images there →</span>'


class SortDesk(GridDesk):
    """The widget of the notebook's second cell."""

    session: SortSession

    def __init__(self, session: SortSession) -> None:
        self._by = ""  # the field whose dry run is shown
        self.name = ipywidgets.Text(placeholder="new folder, Enter", continuous_update=False)
        self.name.add_class("pickroom-ask")
        self.by = ipywidgets.Dropdown(options=[BY])
        self.only = ipywidgets.Dropdown(options=[(ONLY, ALL)])
        self.folders = html("pickroom-tools")
        super().__init__(session)
        # ten thousand companions take seconds to read: the board is there meanwhile
        self._reading = threading.Thread(target=self._offer, name="reading companions", daemon=True)
        self._reading.start()
        # the text is taken when Enter is pressed or the field is left
        for field, act in ((self.name, self._name), (self.by, self._choose), (self.only, self._filter)):
            field.observe(lambda change, act=act: self._taken(act, change["new"]), "value")

    def rows(self) -> list[list[ipywidgets.Widget]]:
        return [[self.folders, self.name, self.only, self.by], *super().rows()]

    def draw(self) -> None:
        targets = len(self.session.board.targets)
        counts = Counter(map(filename_of, self.session.board.marks.values()))
        folders = [
            desk_html.button(
                f"{FOLDER}{i}",
                f"{name} +{counts[name]}" if name in counts else name,
                key_of(i),
                enabled=bool(targets),
                title=f"Send {targets} there",
            )
            for i, name in enumerate(self.session.names)
        ]
        self.folders.value = desk_html.row(*(folders or [_NO_FOLDER]))
        super().draw()

    def buttons(self) -> list[str]:
        some, missing = bool(self.session.board.targets), self.session.similarity.missing
        return [
            self.button("accept", "As suggested", enabled=some, title=missing),
            self.button("order", "Similar first", enabled=some, title=missing),
            self.button("hide", "Show marked" if self.session.hidden else "Hide marked"),
        ]

    def label(self, folder: str) -> MarkLabel:
        return MarkLabel(f"→ {filename_of(folder)}", "keep")

    def tool_panel(self) -> str:
        if not self._by:
            return ""
        rows, without = self.session.group_by(self._by)
        return desk_html.dry_run(self._by, rows, len(without))

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

    def _taken(self, act: Any, value: Any) -> None:
        with self.grid.lock:
            self.error = ""
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


def open_sort(project_id: str, home: Home = None, folders: Sequence[str] | None = None) -> ipywidgets.Widget:
    """The sorter of a project for a notebook's cell, with the marks that were made before; see `reopen`.

    Args:
        folders: the folders to sort, relative to the project's root; None sorts the results.
    """
    return reopen("sort", project_id, home, lambda project: SortDesk(SortSession(project, folders)))
