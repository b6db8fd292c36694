"""The app's page of all projects: a card for each with what waits in it, and a chooser of folders."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from sqlite3 import Connection

from pickroom.app.widgets.desk_html import picture_source
from pickroom.app.widgets.words import escape
from pickroom.core.companions import Companions
from pickroom.core.errors import PickroomError
from pickroom.core.naming import is_text
from pickroom.core.quantities import plural
from pickroom.core.records import MAX_GROUP
from pickroom.files import sidecars
from pickroom.images import thumbnails
from pickroom.store import decisions, groups, images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace

OPEN = "open:"  # before the folder that a button opens
READ = "read:"  # before the project of which a button has the background look for new images
_MOST = 500  # folders listed
_COUNTED = 20_000  # entries looked at to count a folder's images


@dataclass(frozen=True, slots=True)
class Card:
    """A project at a glance."""

    project_id: str
    title: str = ""
    # waiting, groups: groups that wait, of all; crops: images that wait for their crop; singles: images in no group
    # that nobody has looked at
    waiting: int = 0
    groups: int = 0
    crops: int = 0
    singles: int = 0
    pictures: tuple[bytes, ...] = ()  # JPEGs of the first group that waits
    problem: str = ""  # why it cannot be opened, "" when it can
    away: bool = False  # whether that is because its image folder is not there: another one can be chosen
    in_place: bool = False  # whether images are rated and stay

    @property
    def ways(self) -> list[tuple[str, str]]:
        """(page, button's text) of every page where something waits."""
        every = {
            "review": (self.waiting, f"Review {plural(self.waiting, 'group')}"),
            "crop": (self.crops, f"Crop {plural(self.crops, 'image')}"),
            "singles": (self.singles, f"{plural(self.singles, 'image')} in no group"),
        }
        return [(page, text) for page, (count, text) in every.items() if count]


def look_at(workspace: Workspace, project_id: str) -> Card:
    """What waits in a project; what cannot be read is the card's problem."""
    away = False
    try:
        project = workspace.project(project_id)
        away = not project.manifest.root or not project.root.is_dir()
        project.require_root()
        with open_read_only(project.database) as connection:
            counts = groups.count_waiting(connection), groups.count(connection), _crops(project, connection)
            singles = images.count_unseen_singles(connection)
            first = groups.queue(connection, project.id, 1, sound=True)
    except PickroomError as error:
        return Card(project_id, problem=error.line, away=away)
    except OSError as error:  # a folder that may not be listed
        return Card(project_id, problem=f"{error.strerror or error}: {error.filename}")
    pictures = []
    for image in first[0].images[:MAX_GROUP] if first else ():
        path = project.path(image.directory, image.filename)
        try:
            pictures.append(thumbnails.read_small(workspace.thumbnails, image.sha256, path))
        except (PickroomError, OSError):
            pictures = []  # a card without pictures; the deck says of each image why it cannot be shown
            break
    in_place = project.manifest.in_place is not None
    return Card(project_id, project.manifest.title, *counts, singles, tuple(pictures), in_place=in_place)


def _crops(project: Project, connection: Connection) -> int:
    if project.manifest.in_place is not None:
        return len(decisions.incomplete_crops(connection))
    folders = sidecars.waiting_folders(project)
    return sum(len(Companions(os.listdir(project.root / folder)).images) for folder in folders)


def cards(shown: Sequence[Card], query: Callable[[str, str], str], add: str = "") -> str:
    """The page of all projects.

    Args:
        query: makes the place's query of (project's id, page), see `Card.ways`; the page "folder" chooses its folder.
        add: the query of the chooser for another project.
    """
    what = "The images of a folder become a project; nothing moves before you finalise."
    first = (
        f"<section><h2>{'Another folder' if shown else 'No project yet'}</h2><p>{what}</p>"
        f'<p class="ways"><button class="main" data-go="{escape(add)}">Add a folder…</button></p></section>'
    )
    return f'<div class="cards">{"".join(_card(card, query) for card in shown)}{first}</div>'


def _card(card: Card, query: Callable[[str, str], str]) -> str:
    name = escape(card.title or card.project_id)
    if card.problem:
        find = go(query(card.project_id, "folder"), "Choose its folder…") if card.away else ""
        why = f'<p class="problem">{escape(card.problem)}</p>'
        return f'<section><h2>{name}</h2>{why}<p class="ways">{find}</p></section>'
    review = escape(query(card.project_id, "review"))
    shown = "".join(f'<img alt="" src="{picture_source(picture)}">' for picture in card.pictures)
    opens = f'<button class="open pictures" data-go="{review}" title="Open {name}" tabindex="-1">{shown}</button>'
    share = (card.groups - card.waiting) / card.groups if card.groups else 0.0
    waiting = f"{card.waiting:,} of {card.groups:,} groups wait" if card.groups else "no group yet"
    ways = card.ways or [("review", "Review")]
    buttons = "".join(go(query(card.project_id, page), text, main=page == ways[0][0]) for page, text in ways)
    buttons += go(READ + card.project_id, "Look for new images")
    return (
        f"<section>{opens if shown else ''}"
        f'<h2><button class="open" data-go="{review}">{name}</button></h2>'
        f"<p>{waiting}{'' if card.ways else ' · nothing waits'}{' · rated in place' if card.in_place else ''}</p>"
        f'<div class="bar"><div style="width: {share:.1%}"></div></div>'
        f'<p class="ways">{buttons}</p></section>'
    )


def go(query: str, text: str, *, main: bool = False) -> str:
    """A button that leads to a place of the app."""
    return f'<button class="{"main" * main}" data-go="{escape(query)}">{escape(text)}</button>'


def chooser(folder: Path, query: Callable[[str], str], title: str, act: str) -> str:
    """The page of one folder: the way up, its sub-folders, and a button that takes it.

    Args:
        query: makes a folder's place; act: what the button says.

    Raises OSError where the folder cannot be listed.
    """
    with os.scandir(folder) as entries:
        inside = sorted(islice(entries, _COUNTED), key=lambda entry: entry.name.casefold())
    folders = [one for one in inside if not one.name.startswith(".") and is_text(one.name) and one.is_dir()]
    count = len(Companions(entry.name for entry in inside).images)
    way = "".join(go(query(str(one)), one.name or "/") for one in (*reversed(folder.parents), folder))
    rows = "".join(f"<li>{go(query(entry.path), entry.name)}</li>" for entry in folders[:_MOST])
    more = f"<p>and {len(folders) - _MOST:,} more</p>" if len(folders) > _MOST else ""
    here = plural(count, "image") if count else "no image"
    below = " and those of its folders" if folders else ""
    return (
        f'<section class="chooser"><h2>{escape(title)}</h2><nav class="way">{way}</nav>'
        f'<p class="ways">{go(OPEN + str(folder), act, main=True)}'
        f" <span>{here} in it{below}; nothing moves before you finalise</span></p>"
        f"<ul>{rows}</ul>{more}</section>"
    )
