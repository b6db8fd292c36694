"""The picking app: one page with the projects there are, and one page of one project at a time.

It is what `pickroom app` serves. Where the user is stands in the page's address, so that a reload comes back there.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.deck import CropDesk, Deck
from pickroom.app.widgets.desk import Desk
from pickroom.app.widgets.folders import OPEN, chooser
from pickroom.app.widgets.grid_desk import BrowseDesk, SortDesk
from pickroom.app.widgets.links import IndexingLine, Links
from pickroom.core.errors import PickroomError
from pickroom.core.naming import WAITING_FOLDERS, is_image_name
from pickroom.core.quantities import plural
from pickroom.images import thumbnails
from pickroom.indexing import opening, projects
from pickroom.learn import progress
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store import groups
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace


class Page(NamedTuple):
    """A page of one project: the text of its tab, and what opens it (its `close` ends its session)."""

    label: str
    open: Callable[[Project], ipywidgets.Widget]


def _duplicates(project: Project) -> ipywidgets.Widget:
    # brings SciPy: the page of a review opens without
    from pickroom.app.widgets.duplicates_desk import DuplicatesDesk
    from pickroom.sessions.duplicates.session import DuplicatesSession

    return DuplicatesDesk(DuplicatesSession(project))


# these bring Matplotlib and what trains and reports
def _automate(project: Project) -> ipywidgets.Widget:
    from pickroom.app.widgets.automate_page import open_automate

    return open_automate(project)


def _models(project: Project) -> ipywidgets.Widget:
    from pickroom.app.widgets.models_page import open_models

    return open_models(project)


def _reports(project: Project) -> ipywidgets.Widget:
    from pickroom.app.widgets.reports_page import open_reports

    return open_reports(project)


# by what `desk` in the page's address says, in the order of the tabs; the first is where a project opens
PAGES = {
    "review": Page("Review", lambda project: Deck(ReviewSession(project))),
    "crop": Page("Crop", lambda project: CropDesk(CropSession(project))),
    "browse": Page("Browse", lambda project: BrowseDesk(BrowseSession(project))),
    "sort": Page("Sort", lambda project: SortDesk(SortSession(project))),
    "duplicates": Page("Duplicates", _duplicates),
    "automate": Page("Automate", _automate),
    "models": Page("Models", _models),
    "reports": Page("Reports", _reports),
}


@dataclass(frozen=True, slots=True)
class Card:
    """A project at a glance."""

    project_id: str
    title: str = ""
    # waiting, groups: groups that wait, of all; crops: images that wait for their crop
    waiting: int = 0
    groups: int = 0
    crops: int = 0
    pictures: tuple[bytes, ...] = ()  # JPEGs of the first group that waits
    problem: str = ""  # why it cannot be opened, "" when it can


def look_at(workspace: Workspace, project_id: str) -> Card:
    """What waits in a project; what cannot be read is the card's problem."""
    try:
        project = workspace.project(project_id)
        project.require_root()
        status = projects.status(project, files=False)
        counts = status["waiting"], status["groups"], _crops(project)
        return Card(project_id, status["title"], *counts, tuple(_pictures(project)))
    except PickroomError as error:
        return Card(project_id, problem=error.line)
    except OSError as error:  # a folder that may not be listed
        return Card(project_id, problem=f"{error.strerror or error}: {error.filename}")


def _crops(project: Project) -> int:
    folders = [project.root / name for name in WAITING_FOLDERS]
    names = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sum(is_image_name(name) for name in names)


def _pictures(project: Project) -> list[bytes]:
    with open_read_only(project.database) as connection:
        waiting = groups.queue(connection, project.id, 1)
    found = []
    for group in waiting:
        for image in group.images:
            path = project.path(group.directory, image.filename)
            try:
                found.append(thumbnails.read_small(project.workspace.thumbnails, image.sha256, path))
            except (PickroomError, OSError):
                return []  # a card without pictures; the deck says of each image why it cannot be shown
    return found


def cards(shown: Sequence[Card], query: Callable[[str, str], str], add: str = "") -> str:
    """The page of all projects; `query` makes the place's query of (project's id, desk), `add` is the chooser's."""
    what = "The images of a folder become a project; nothing moves before you finalise."
    first = (
        f"<section><h2>{'Another folder' if shown else 'No project yet'}</h2><p>{what}</p>"
        f'<p class="ways"><button class="main" data-go="{escape(add)}">Add a folder…</button></p></section>'
    )
    return f'<div class="cards">{"".join(_card(card, query) for card in shown)}{first}</div>'


def _card(card: Card, query: Callable[[str, str], str]) -> str:
    name = escape(card.title or card.project_id)
    if card.problem:
        return f'<section><h2>{name}</h2><p class="problem">{escape(card.problem)}</p></section>'
    sources = (base64.b64encode(picture).decode() for picture in card.pictures)
    pictures = "".join(f'<img alt="" src="data:image/jpeg;base64,{source}">' for source in sources)
    share = (card.groups - card.waiting) / card.groups if card.groups else 0.0
    waiting = f"{card.waiting:,} of {card.groups:,} groups wait" if card.groups else "no group yet"
    crops = plural(card.crops, "image") if card.crops else "none"
    review, crop = (escape(query(card.project_id, desk)) for desk in ("review", "crop"))
    return (
        f'<section><button class="open pictures" data-go="{review}" title="Open {name}" tabindex="-1">'
        f"{pictures}</button>"
        f'<h2><button class="open" data-go="{review}">{name}</button></h2>'
        f"<p>{waiting} · to crop: {crops}</p>"
        f'<div class="bar"><div style="width: {share:.1%}"></div></div>'
        f'<p class="ways"><button class="main" data-go="{review}">Review</button>'
        f'<button data-go="{crop}"{"" if card.crops else " disabled"}>Crop</button></p></section>'
    )


@dataclass(frozen=True, slots=True)
class AppPlace:
    """Where the user is."""

    project: str = ""  # its id, "" on the page of all projects
    desk: str = "review"  # one of PAGES; only with a project
    theme: str = "light"  # "light" or "dark"
    folder: str = ""  # that the chooser shows; only without a project

    @classmethod
    def of(cls, query: str) -> AppPlace:
        """Return the place that a page's query names. An unknown desk or theme counts as the default."""
        given = dict(parse_qsl(query))
        desk, theme = given.get("desk", ""), "dark" if given.get("theme") == "dark" else "light"
        project = given.get("project", "")
        folder = "" if project else given.get("folder", "")
        return cls(project, desk if desk in PAGES else "review", theme, folder)

    def query(self, **changes: str) -> str:
        """The place, or another one like it, as a query."""
        place = replace(self, **changes)
        values = {
            "project": place.project,
            "desk": place.desk if place.project else "",
            "theme": place.theme if place.theme != "light" else "",
            "folder": "" if place.project else place.folder,
        }
        return urlencode({name: value for name, value in values.items() if value})

    def bar(self) -> str:
        """The bar: where one is, and where one can go; what loads the page anew stands at the end."""
        ways = [("Projects", self.query(project="", folder=""), not self.project)]
        if self.project:
            ways += [(page.label, self.query(desk=desk), desk == self.desk) for desk, page in PAGES.items()]
        tabs = "".join(
            f"<button data-go='{escape(query)}'{' aria-current=page' * on}>{text}</button>" for text, query, on in ways
        )
        other = "light" if self.theme == "dark" else "dark"
        return (
            f'<span class="brand">Pickroom</span><nav>{tabs}</nav><span class="project">{escape(self.project)}</span>'
            f'<a href="?{escape(self.query(theme=other))}">{other.capitalize()}</a>'
        )


class App(ipywidgets.VBox):
    """The page.

    Attributes:
        here: the page that is open, the projects, or the one line that says why there is nothing.
    """

    def __init__(self, workspace: Workspace, place: AppPlace) -> None:
        self.workspace = workspace
        self.bar = Links(self.go)  # the way from place to place
        self.job = IndexingLine(workspace, self._new_images)
        self.content = ipywidgets.Box()
        self.content.add_class("pickroom-app-room")
        super().__init__([self.bar, self.job, self.content])
        self.add_class("pickroom-app")
        self.here: ipywidgets.Widget = ipywidgets.HTML()
        self.place = place
        self._show()
        getattr(self.here, "settle", lambda: None)()

    def go(self, query: str) -> None:
        """Leave what is open, and open another place; whatever fails is a line where it would have been."""
        self._leave()
        asked = query.startswith(OPEN)
        self.place = replace(self.place, project="") if asked else AppPlace.of(query)
        self._show(query.removeprefix(OPEN) if asked else "")

    def close(self) -> None:
        """End the session of the desk that is open."""
        self._leave()
        self.job.follow("")
        super().close()

    def _leave(self) -> None:
        before, self.here = self.here, ipywidgets.HTML()
        before.close()

    def _show(self, folder: str = "") -> None:
        """Show the place; first make it that of a folder's project, where one is given."""
        what = Path(folder).name or self.place.project
        words = f"{PAGES[self.place.desk].label}: opening {what}…" if what else "Looking at the projects…"
        self.content.children = [ipywidgets.HTML(desk_html.panel(words))]
        try:
            if folder:
                project = opening.open_folder(self.workspace, Path(folder))
                progress.start_command(self.workspace, opening.job_name(project.id), ["index", project.id])
                self.place = AppPlace(project.id, theme=self.place.theme)
            self.bar.html, self.bar.query = self.place.bar(), self.place.query()
            self.job.follow(self.place.project)
            self.here = self._made()
        except PickroomError as error:
            self.here = ipywidgets.HTML(desk_html.notice(error.line))
        except Exception as error:
            self.here = ipywidgets.HTML(desk_html.notice(desk_html.defect(error)))
            raise
        finally:
            self.content.children = [self.here]

    def _new_images(self) -> None:
        """The background has brought in new groups: they join the queue of the desk that is open."""
        if isinstance(desk := self.here, Desk):
            with desk.surface.lock:  # not while a key is being applied
                if desk is self.here and desk.attempt(desk.session.refresh):
                    desk.redraw()

    def _made(self) -> ipywidgets.Widget:
        place = self.place
        if place.project:
            return PAGES[place.desk].open(self.workspace.project(place.project))
        page = Links(self.go)
        if place.folder:
            try:
                page.html = chooser(Path(place.folder).absolute(), lambda folder: place.query(folder=folder))
            except OSError as error:
                above = place.query(folder=str(Path(place.folder).absolute().parent))
                page.html = desk_html.notice(f"{error.strerror}: {place.folder}") + (
                    f'<button data-go="{escape(above)}">Go up</button>'
                )
            return page
        found = [look_at(self.workspace, project_id) for project_id in self.workspace.project_ids()]
        add = place.query(folder=str(Path.home()))
        page.html = cards(found, lambda project, desk: place.query(project=project, desk=desk), add)
        return page


def open_app(home: Path | str | None = None) -> ipywidgets.Widget:
    """The app for its page's cell, at the place that the page's query (CGI's QUERY_STRING) names."""
    return App(Workspace.find(home), AppPlace.of(os.environ.get("QUERY_STRING", "")))
