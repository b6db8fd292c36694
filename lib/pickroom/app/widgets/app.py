"""The picking app: one page with the projects there are, and one page of one project at a time.

It is what `pickroom app` serves. The page's address names the project and the desk, so that a reload opens them again.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from pkgutil import resolve_name
from typing import Any
from urllib.parse import parse_qsl, urlencode

import ipywidgets

from pickroom.app.widgets import desk_html, words
from pickroom.app.widgets.deck import CropDesk, Deck
from pickroom.app.widgets.desk import Desk
from pickroom.app.widgets.grid_desk import BrowseDesk, SortDesk
from pickroom.app.widgets.links import IndexingLine, Links
from pickroom.app.widgets.projects_page import OPEN, READ, cards, chooser, go, look_at
from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.indexing import opening, projects
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.workspace import Project, Workspace


@dataclass(frozen=True, slots=True)
class Page:
    """A page of one project."""

    label: str  # of its tab
    open: Callable[[Project], ipywidgets.Widget]  # its `close` ends its session
    nothing: Callable[[Any], str] = lambda session: ""  # why a desk's session has nothing to do, "" where it has


def _later(opener: str) -> Callable[[Project], ipywidgets.Widget]:
    """A page that is imported when it is opened: SciPy, Matplotlib and what learns would hold up a review."""
    return lambda project: resolve_name(f"pickroom.app.widgets.{opener}")(project)


# by what `desk` in the page's address says, in the order of the tabs; the first is where a project opens
PAGES = {
    "review": Page(
        "Review", lambda project: Deck(ReviewSession(project)), lambda s: "" if s.state.cards else "No group waits."
    ),
    "crop": Page(
        "Crop",
        lambda project: CropDesk(CropSession(project)),
        lambda s: "" if s.state.cards else "No image waits for a crop.",
    ),
    "browse": Page(
        "Browse",
        lambda project: BrowseDesk(BrowseSession(project)),
        lambda s: "" if s.listing.items else "The folder holds no image.",
    ),
    "sort": Page(
        "Sort",
        lambda project: SortDesk(SortSession(project)),
        lambda s: "" if s.listing.items else "Only picked and cropped images are sorted, and there is none yet.",
    ),
    "duplicates": Page(
        "Duplicates", _later("duplicates_desk:new_desk"), lambda s: "" if s.pairs else "No two images are duplicates."
    ),
    "automate": Page("Automate", _later("automate_page:AutomatePage")),
    "models": Page("Models", _later("models_page:ModelsPage")),
    "reports": Page("Reports", _later("reports_page:ReportsPage")),
}


_NEAR = "~"  # the folder where a chooser begins: the nearest that is left above the project's, else the user's own


@dataclass(frozen=True, slots=True)
class AppPlace:
    """Where the user is."""

    project: str = ""  # its id, "" on the page of all projects
    desk: str = "review"  # one of PAGES; only with a project
    theme: str = "light"  # "light" or "dark"
    folder: str = ""  # that the chooser shows: for the project, or for a new one
    show: str = ""  # "singles": images in no group alone; only in Browse

    @classmethod
    def of(cls, query: str) -> AppPlace:
        """Return the place that a page's query names. An unknown desk or theme counts as the default."""
        given = dict(parse_qsl(query))
        desk, theme = given.get("desk", ""), "dark" if given.get("theme") == "dark" else "light"
        show = "singles" if desk == "browse" and given.get("show") == "singles" else ""
        desk = desk if desk in PAGES else "review"
        return cls(given.get("project", ""), desk, theme, given.get("folder", ""), show)

    def query(self, **changes: str) -> str:
        """The place, or another one like it, as a query."""
        place = replace(self, **changes)
        values = {
            "project": place.project,
            "desk": place.desk if place.project and not place.folder else "",
            "theme": place.theme if place.theme != "light" else "",
            "folder": place.folder,
            "show": place.show if place.desk == "browse" else "",
        }
        return urlencode({name: value for name, value in values.items() if value})

    def to(self, project: str, page: str) -> str:
        """The query of a project's page: one of PAGES, "singles" (Browse with these alone), "folder" (a chooser)."""
        if page == "folder":
            return self.query(project=project, folder=_NEAR)
        desk, show = ("browse", "singles") if page == "singles" else (page, "")
        return self.query(project=project, desk=desk, show=show, folder="")

    def bar(self) -> str:
        """The bar: where one is, and where one can go; what loads the page anew stands at the end."""
        ways = [("Projects", self.query(project="", folder=""), not self.project)]
        if self.project:
            ways += [(page.label, self.to(self.project, desk), desk == self.desk) for desk, page in PAGES.items()]
        tabs = "".join(
            f"<button data-go='{escape(query)}'{' aria-current=page' * on}>{text}</button>" for text, query, on in ways
        )
        other = "light" if self.theme == "dark" else "dark"
        return (
            f'<b>Pickroom</b><nav>{tabs}</nav><span class="project">{escape(self.project)}</span>'
            f'<a href="?{escape(self.query(theme=other))}">{other.capitalize()}</a>'
        )


class App(ipywidgets.VBox):
    """The page: `here` is what is open; `next` says why it has nothing to do, and leads to where something waits."""

    def __init__(self, workspace: Workspace, place: AppPlace) -> None:
        words.in_app = True
        self.workspace = workspace
        self.bar = Links(self.go)  # the way from place to place
        self.job = IndexingLine(workspace, self._new_images)
        self.next = Links(self.go)
        self.next.add_class("pickroom-next")
        self.content = ipywidgets.Box()
        self.content.add_class("pickroom-app-room")
        super().__init__([self.bar, self.job, self.next, self.content])
        self.add_class("pickroom-app")
        self.here: ipywidgets.Widget = ipywidgets.HTML()
        self.place = place
        self._show()
        getattr(self.here, "settle", lambda: None)()

    def go(self, query: str) -> None:
        """Leave what is open, and open another place; whatever fails is a line where it would have been."""
        self._leave()
        folder = query.removeprefix(OPEN) if query.startswith(OPEN) else ""
        read = query.startswith(READ)
        if read:
            self.place = AppPlace(query.removeprefix(READ), theme=self.place.theme)
        elif not folder:
            self.place = AppPlace.of(query)
        self._show(folder, read=read)

    def close(self) -> None:
        """End the session of the desk that is open."""
        self._leave()
        self.job.follow("")
        words.in_app = False
        super().close()

    def _leave(self) -> None:
        before, self.here, self.next.html = self.here, ipywidgets.HTML(), ""
        before.close()

    def _show(self, folder: str = "", *, read: bool = False) -> None:
        """Show the place; first make it that of a folder's project, where one is given; `read`: look for new images."""
        what = Path(folder).name or self.place.project
        doing = f"{PAGES[self.place.desk].label}: opening {what}…" if what else "Looking at the projects…"
        self.bar.html = self.place.bar()
        self.content.children = [ipywidgets.HTML(desk_html.panel(doing))]
        try:
            if folder:
                self.place = AppPlace(self._of_folder(Path(folder)).id, theme=self.place.theme)
            if folder or read:
                self.job.start(self.workspace.project(self.place.project).id)
            self.bar.html, self.bar.query = self.place.bar(), self.place.query()
            self.job.follow(self.place.project)
            self.here = self._made()
            self._say_next()
        except PickroomError as error:
            self.here = self._failed(error)
        except Exception as error:
            self.here = ipywidgets.HTML(desk_html.notice(desk_html.defect(error)))
            raise
        finally:
            self.content.children = [self.here]

    def _of_folder(self, folder: Path) -> Project:
        """The project of a folder: the place's, which has lost its folder or has none yet; else found by the folder."""
        project_id = self.place.project
        if not project_id:
            return opening.open_folder(self.workspace, folder)
        if self.workspace.project(project_id).manifest.root:
            return projects.relocate(self.workspace, project_id, folder)
        return projects.start(self.workspace, project_id, folder, at_most=opening.FIRST)[0]

    def _failed(self, error: PickroomError) -> ipywidgets.Widget:
        """Why the place cannot be opened, with a button to what helps."""
        page, place = Links(self.go), self.place
        away = bool(place.project) and look_at(self.workspace, place.project).away
        ways = [("Choose its folder…", place.to(place.project, "folder"))] if away else []
        buttons = "".join(go(query, text) for text, query in (*ways, ("Projects", place.query(project="", folder=""))))
        page.html = f'<section>{desk_html.notice(error.line)}<p class="ways">{buttons}</p></section>'
        return page

    def _say_next(self, change: object = None) -> None:
        """Where the desk has nothing to do, say why, with buttons to where something waits."""
        desk, place = self.here, self.place
        why = PAGES[place.desk].nothing(desk.session) if isinstance(desk, Desk) else ""
        if isinstance(desk, BrowseDesk) and desk.session.singles_only and not desk.session.singles:
            why = "Every image that is in no group was looked at."
        if not why:
            self.next.html = ""
            return
        ways = [(text, place.to(place.project, page)) for page, text in look_at(self.workspace, place.project).ways]
        if not ways:
            ways = [("Look for new images", READ + place.project), ("Projects", place.query(project=""))]
        self.next.html = f"<span>{escape(why)}</span>" + "".join(go(query, text) for text, query in ways)

    def _new_images(self) -> None:
        """The background has brought in new groups: they join the queue of the desk that is open."""
        if isinstance(desk := self.here, Desk):
            with desk.surface.lock:  # not while a key is being applied
                if desk is self.here and desk.attempt(desk.session.refresh):
                    desk.redraw()

    def _made(self) -> ipywidgets.Widget:
        place = self.place
        if place.folder:
            return self._chooser()
        if place.project:
            opened = PAGES[place.desk].open(self.workspace.project(place.project))
            if isinstance(opened, BrowseDesk):
                opened.show_singles(bool(place.show))
                opened.observe(self._filtered, "singles")
            if isinstance(opened, Desk):
                opened.header.observe(self._say_next, "value")
            return opened
        page = Links(self.go)
        found = [look_at(self.workspace, project_id) for project_id in self.workspace.project_ids()]
        page.html = cards(found, place.to, place.query(folder=_NEAR))
        return page

    def _filtered(self, change: Any) -> None:
        """The address follows Browse's filter."""
        self.place = replace(self.place, show="singles" if change["new"] else "")
        self.bar.query = self.place.query()

    def _chooser(self) -> ipywidgets.Widget:
        page, place = Links(self.go), self.place
        folder = Path(place.folder).expanduser().absolute()
        root = self.workspace.project(place.project).manifest.root if place.project else ""
        if place.folder == _NEAR and root:  # a folder that was moved is often not far
            folder = next(above for above in Path(root).parents if above.is_dir())
        title = f"Where are the images of {place.project}?" if place.project else "Add a folder"
        act = "They are here" if place.project else "Open this folder"
        try:
            page.html = chooser(folder, lambda path: place.query(folder=path), title, act)
        except OSError as error:
            above = go(place.query(folder=str(folder.parent)), "Go up")
            page.html = desk_html.notice(f"{error.strerror}: {place.folder}") + above
        return page


def open_app(home: Path | str | None = None) -> ipywidgets.Widget:
    """The app for its page's cell, at the place that the page's query (CGI's QUERY_STRING) names."""
    return App(Workspace.find(home), AppPlace.of(os.environ.get("QUERY_STRING", "")))
