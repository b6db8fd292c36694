"""The picking app: one page with the projects there are, and one project's deck or crop desk at a time.

It is what `pickroom app` serves. Where the person is stands in the page's address, so that a reload comes back there.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import anywidget
import ipywidgets
import traitlets

from pickroom.app.javascript import style_sheet, widget_module
from pickroom.app.widgets import deck_html, home_html
from pickroom.app.widgets.crop_desk import open_crop_desk
from pickroom.app.widgets.deck import open_deck
from pickroom.app.widgets.desk import Desk
from pickroom.app.widgets.home_html import DESKS, Tab
from pickroom.core.errors import PickroomError
from pickroom.store.workspace import Workspace

_OPEN: dict[str, Callable[..., ipywidgets.Widget]] = {"review": open_deck, "crop": open_crop_desk}


@dataclass(frozen=True, slots=True)
class Place:
    """Where the person is.

    Attributes:
        project: its id, "" on the page of all projects.
        desk: "review" or "crop"; only with a project.
        theme: "light" or "dark".
    """

    project: str = ""
    desk: str = "review"
    theme: str = "light"

    @classmethod
    def of(cls, query: str) -> Place:
        """The place that a page's query names; what is no place is left out."""
        given = dict(parse_qsl(query))
        desk, theme = given.get("desk", ""), given.get("theme", "")
        return cls(
            given.get("project", ""), desk if desk in DESKS else "review", "dark" if theme == "dark" else "light"
        )

    def query(self, **changes: str) -> str:
        """The place, or another one like it, as a query."""
        values = {"project": self.project, "desk": self.desk, "theme": self.theme} | changes
        if not values["project"]:
            values["desk"] = ""
        if values["theme"] == "light":
            values["theme"] = ""
        return urlencode({name: value for name, value in values.items() if value})


class Links(anywidget.AnyWidget):
    """HTML whose `<button data-go="QUERY">` lead to other places of the app; `query` is what the address bar shows."""

    _esm = widget_module("links.js")
    _css = style_sheet("theme.css", "links.css")
    html = traitlets.Unicode().tag(sync=True)
    query = traitlets.Unicode().tag(sync=True)

    def __init__(self, go: Callable[[str], None]) -> None:
        super().__init__()
        self.on_msg(lambda _, content, buffers: go(str(content.get("go", ""))))


class App(ipywidgets.VBox):
    """The page.

    Attributes:
        bar: the way from place to place.
        here: the deck, the crop desk, the projects, or the one line that says why there is nothing.
    """

    def __init__(self, workspace: Workspace, place: Place) -> None:
        self.workspace = workspace
        self.bar = Links(self.go)
        self.room = ipywidgets.Box()
        self.room.add_class("pickroom-app-room")
        super().__init__([self.bar, self.room])
        self.add_class("pickroom-app")
        self.here: ipywidgets.Widget = ipywidgets.HTML()
        self.place = place
        self._show()

    def go(self, query: str) -> None:
        """Leave what is open, and open another place; whatever fails is a line where it would have been."""
        self._leave()
        self.place = Place.of(query)
        self._show()

    def close(self) -> None:
        """End the session of the desk that is open."""
        self._leave()
        super().close()

    def _leave(self) -> None:
        if isinstance(self.here, Desk | Links):
            self.here.close()

    def _show(self) -> None:
        self.bar.html = home_html.bar(self.place.project, self._tabs())
        self.bar.query = self.place.query()
        self.room.children = [ipywidgets.HTML(deck_html.busy(self._opening()))]
        try:
            self.here = self._made()
        except PickroomError as error:
            self.here = ipywidgets.HTML(deck_html.notice(error.line))
        except Exception as error:
            defect = f"A defect in Pickroom, please report it: {type(error).__name__}: {error}"
            self.here = ipywidgets.HTML(deck_html.notice(defect))
            raise
        finally:
            self.room.children = [self.here]

    def _made(self) -> ipywidgets.Widget:
        place = self.place
        if place.project:
            return _OPEN[place.desk](place.project, self.workspace.root)
        page = Links(self.go)
        cards = [home_html.look(self.workspace, project_id) for project_id in self.workspace.project_ids()]
        page.html = home_html.cards(cards, lambda project, desk: place.query(project=project, desk=desk))
        page.query = place.query()
        return page

    def _opening(self) -> str:
        return f"Opening {self.place.project}…" if self.place.project else "Looking at the projects…"

    def _tabs(self) -> list[Tab]:
        place = self.place
        tabs = [Tab("Projects", place.query(project=""), not place.project)]
        if place.project:
            tabs += [Tab(text, place.query(desk=desk), desk == place.desk) for desk, text in DESKS.items()]
        other = "light" if place.theme == "dark" else "dark"
        return [*tabs, Tab(other.capitalize(), place.query(theme=other), reload=True)]


def open_app(home: Path | str | None = None) -> ipywidgets.Widget:
    """The app for its page's cell, at the place that the page's query (CGI's QUERY_STRING) names."""
    return App(Workspace.find(home), Place.of(os.environ.get("QUERY_STRING", "")))
