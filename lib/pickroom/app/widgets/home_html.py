"""The app's words as HTML: the bar on top, and a card for each project with what waits in it."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from pickroom.app.widgets import desk_html
from pickroom.core.errors import PickroomError
from pickroom.core.naming import is_image_name
from pickroom.files.cropping import WAITING_FOLDERS
from pickroom.images import thumbnails
from pickroom.indexing import projects
from pickroom.store import groups
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

DESKS = {"review": "Review", "crop": "Crop"}


@dataclass(frozen=True, slots=True)
class Tab:
    """A way to another place: its desk_html, its query, whether one is there, whether to load the page anew."""

    text: str
    query: str
    on: bool = False
    reload: bool = False


@dataclass(frozen=True, slots=True)
class Card:
    """A project at a glance.

    Attributes:
        waiting, groups: groups that wait, of all; crops: images that wait for their crop.
        pictures: JPEGs of the first group that waits.
        problem: why it cannot be opened, "" when it can.
    """

    project_id: str
    title: str = ""
    waiting: int = 0
    groups: int = 0
    crops: int = 0
    pictures: tuple[bytes, ...] = ()
    problem: str = ""


def look(workspace: Workspace, project_id: str) -> Card:
    """What waits in a project; what cannot be read is the card's problem."""
    try:
        project = workspace.project(project_id)
        project.require_root()
        status = projects.status(project, files=False)
        return Card(
            project_id,
            status["title"],
            status["waiting"],
            status["groups"],
            _crops(project),
            tuple(_pictures(project)),
        )
    except PickroomError as error:
        return Card(project_id, problem=error.line)
    except OSError as error:  # a folder that may not be listed
        return Card(project_id, problem=f"{error.strerror or error}: {error.filename}")


def _crops(project: Project) -> int:
    folders = [project.root / name for name in WAITING_FOLDERS]
    names = (path.name for folder in folders if folder.is_dir() for path in folder.iterdir())
    return sum(is_image_name(name) and not name.startswith(".") for name in names)


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


def bar(project: str, tabs: Sequence[Tab]) -> str:
    """The bar: where one is, and where one can go. The last tab stands at the end."""
    *ways, last = map(_tab, tabs)
    return (
        f'<span class="brand">Pickroom</span><nav>{"".join(ways)}</nav>'
        f'<span class="project">{escape(project)}</span>{last}'
    )


def _tab(tab: Tab) -> str:
    if tab.reload:
        return f'<a href="?{escape(tab.query)}">{escape(tab.text)}</a>'
    current = ' aria-current="page"' if tab.on else ""
    return f'<button data-go="{escape(tab.query)}"{current}>{escape(tab.text)}</button>'


def cards(shown: Sequence[Card], query: Callable[[str, str], str]) -> str:
    """The page of all projects.

    Args:
        query: (project's id, desk) -> the place's query.
    """
    if not shown:
        line = "No project yet. Make one in a terminal: pickroom start NAME --images FOLDER, or try: pickroom demo"
        return desk_html.notice(line)
    return f'<div class="cards">{"".join(_card(card, query) for card in shown)}</div>'


def _card(card: Card, query: Callable[[str, str], str]) -> str:
    name = escape(card.title or card.project_id)
    if card.problem:
        return f'<section><h2>{name}</h2><p class="problem">{escape(card.problem)}</p></section>'
    sources = (base64.b64encode(picture).decode() for picture in card.pictures)
    pictures = "".join(f'<img alt="" src="data:image/jpeg;base64,{source}">' for source in sources)
    decided = card.groups - card.waiting
    share = decided / card.groups if card.groups else 0.0
    waiting = f"{card.waiting:,} of {card.groups:,} groups wait" if card.groups else "no group yet"
    crops = f"{card.crops:,} image{'s' * (card.crops != 1)}" if card.crops else "none"
    review, crop = (escape(query(card.project_id, desk)) for desk in DESKS)
    return (
        f'<section><button class="open pictures" data-go="{review}" title="Open {name}" tabindex="-1">'
        f"{pictures}</button>"
        f'<h2><button class="open" data-go="{review}">{name}</button></h2>'
        f"<p>{waiting} · to crop: {crops}</p>"
        f'<div class="bar"><div style="width: {share:.1%}"></div></div>'
        f'<p class="ways"><button class="main" data-go="{review}">Review</button>'
        f'<button data-go="{crop}"{"" if card.crops else " disabled"}>Crop</button></p></section>'
    )
