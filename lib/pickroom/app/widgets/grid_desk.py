"""The sorter and the folder viewer: a grid with a header, tools, a panel and a line; they hold no data."""

import re
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import ipywidgets
import traitlets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Desk, Home, html, reopen
from pickroom.app.widgets.stage import Grid, runs, sequences, spans
from pickroom.app.widgets.words import shown
from pickroom.core.errors import UsageError
from pickroom.core.naming import SELECTED, STAGING, filename_of
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.board import SIZES
from pickroom.sessions.marking.session import BoardSession, BrowseSession
from pickroom.sessions.sorting.session import SortSession, key_of

_CLICK = re.compile(r"(click|section)(\+shift|\+ctrl)?:(\d+)")
_BAND = re.compile(r"band(\+shift|\+ctrl)?:((?:\d+-\d+(?:,|$))*)")


class GridDesk(Desk):
    """A desk around a grid; a tool adds its words and buttons."""

    session: BoardSession

    def __init__(self, session: BoardSession) -> None:
        self.asking = False  # the keyboard belongs to the desk's text field
        self._whole = False  # the next scene is for a view that has just come
        self._drawn: object = None  # the sections that the grid was last given
        self._layout: dict[str, Any] = {"token": 0}
        self._order: tuple[str, ...] | None = None
        self._seen = 0  # counts the orders of images that were on screen
        self.grid = Grid(self, tuple(session.keys.commands), session.keys.repeating)
        super().__init__(session, self.grid)

    def buttons(self) -> list[str]:
        """The tool's own buttons over the board, as HTML."""
        raise NotImplementedError

    def label(self, folder: str) -> tuple[str, str]:
        """The label on a marked thumbnail: text and kind; keep is blue, reject is red."""
        raise NotImplementedError

    def tool_rows(self) -> Sequence[ipywidgets.Widget]:
        return [tool_row(self.tools)]

    def columns_changed(self, columns: int) -> None:
        """A view appeared or holds another number of images side by side: show everything."""
        self.session.board = replace(self.session.board, columns=max(1, columns))
        self.attempt(self.session.refresh)
        self._whole = True
        self.redraw()

    def focus_changed(self, on: bool) -> None:
        was_asking, self.asking = self.asking, self.asking and not on
        super().focus_changed(on)
        if was_asking and on:
            self.redraw()

    def key_pressed(self, key: str, seen: str) -> None:
        self.asking = False
        super().key_pressed(key, seen)

    def apply(self, key: str) -> None:
        board = self.session.board
        if clicked := _CLICK.fullmatch(key):
            what, how, number = clicked[1], clicked[2] or "", int(clicked[3])
            if what == "section":
                self.session.board = machine.select_section(board, number, add=bool(how))
            else:
                extend, toggle = how == "+shift", how == "+ctrl"
                self.session.board = machine.click(board, number, extend=extend, toggle=toggle)
        elif band := _BAND.fullmatch(key):
            pairs = [run.split("-") for run in band[2].split(",") if run]
            runs = [(int(first), int(last)) for first, last in pairs]
            self.session.board = machine.band(board, runs, add=band[1] is not None)
        elif key in self.session.keys.commands:
            self.asking = self.session.keys.is_command(key, "name") and not self.session.asks
            super().apply(key)
        else:
            self.error = f"{key} does nothing here; ? shows the keys"

    def texts(self, numbers: Sequence[int]) -> list[tuple[object, ...]]:
        """(number, label, words on its right, title, whether the words warn); unknown numbers are left out."""
        found: list[tuple[object, ...]] = []
        for number in numbers:
            item = self.session.images.numbered(number)
            if item is not None:
                note = self.session.note(item)
                found.append((number, *note._replace(words=shown(note.words), title=shown(note.title))))
        return found

    def picture(self, number: int, kind: str) -> bytes:
        """A JPEG, "thumb" or "large"; called from several threads.

        Raises:
            PickroomError: it cannot be read; its `what` is written in its place.
        """
        item = self.session.images.numbered(number)
        if item is None:
            raise UsageError("not an image of this board")
        return self.session.images.thumbnail(item, large=kind == "large")

    def draw(self) -> None:
        board = self.session.board
        self.header.value = desk_html.header(self.session.header())
        marked = bool(board.marks)
        self.tools.value = desk_html.row(
            *self.buttons(),
            desk_html.SPACE,
            self.button("smaller", "−", title="Smaller thumbnails"),
            self.button("larger", "+", title="Larger thumbnails"),
            self.button("undo", "Undo", enabled=bool(board.undo)),
            self.button("finalise", f"Apply ({len(board.marks):,})", kind="main", enabled=marked),
        )
        self.panel.value = self.panel_words()
        said = self.error or desk_html.sentence(board.message)
        if not said:  # the active image, and what is to become of it
            going = board.marks.get(board.active or "")
            said = board.active or "No image is here."
            said += f"  ·  → {self.session.destination_words(going)}" if going else ""
        self.words.value = desk_html.line(("error" if self.error else "message", said))
        self._show()
        self._whole = False

    def token(self) -> str:
        """What a key was pressed on; words in headers may change without another token, images may not."""
        board = self.session.board
        if board.layout.order != self._order:
            self._order = board.layout.order
            self._seen += 1
        return ASKED if board.summary else str(self._seen)

    def panel_words(self) -> str:
        """The panel over the board, as HTML; "" for none."""
        board = self.session.board
        if board.summary:
            return desk_html.routes(self.session.summary(), in_place=self.session.in_place)
        if board.help:
            return desk_html.legend(self.session.keys.legend)
        if board.info and board.active is not None:
            return desk_html.texts(board.active, self.session.images.texts(board.active))
        return ""

    def _show(self) -> None:
        board, session = self.session.board, self.session
        layout = board.layout
        if layout.sections != self._drawn:
            self._drawn, sections = layout.sections, []
            for section in layout.sections:
                ids = sequences([session.number_of(path) for path in section.paths])
                sections.append({"title": section.title, "note": section.note, "count": len(section.paths), "ids": ids})
            self._layout = {"token": self._layout["token"] + 1, "sections": sections}
        folders = list(dict.fromkeys(board.marks.values()))
        index = {folder: i for i, folder in enumerate(folders)}
        names = [dict(zip(("text", "kind"), self.label(folder), strict=True)) for folder in folders]
        marked = runs([index[board.marks[path]] if path in board.marks else -1 for path in layout.order])
        scene = {
            "token": self.token(),
            "cursor": board.cursor,
            "selected": [[first, last] for first, last, _ in spans(sorted(layout.places[p] for p in board.selected))],
            "notes": session.notes_version,
            "cell": SIZES[board.size],
            "large": session.number_of(board.active) if board.large and board.active is not None else None,
            "asking": self.asking,
        }
        self.grid.show(scene, self._layout, {"names": names, "runs": marked}, whole=self._whole)


def tool_row(*tools: ipywidgets.Widget) -> ipywidgets.HBox:
    row = ipywidgets.HBox(tools)
    row.add_class("pickroom-gridtools")
    return row


class BrowseDesk(GridDesk):
    """The widget of the notebook's second cell; `singles` is whether it shows images in no group alone."""

    session: BrowseSession
    singles = traitlets.Bool(False)

    def show_singles(self, only: bool) -> None:
        """Show only the images in no group that the user has not looked at, or every image."""
        if only != self.session.singles_only:
            self.session.show_singles(only)
            self.redraw()

    def draw(self) -> None:
        super().draw()
        self.singles = self.session.singles_only

    def buttons(self) -> list[str]:
        board, session = self.session.board, self.session
        some = bool(board.targets)
        what = f"{len(board.selected):,} selected" if board.selected else "the active image"
        alone = f"In no group ({len(session.singles):,})"
        keep, aside = map(session.destination_words, (SELECTED, STAGING))
        to_crop = self.button("mark crop", "To the crop desk", enabled=some, title=f"{what} to crop/")
        return [
            self.button("mark keep", "Keep", enabled=some, title=f"{what} to {keep}; a result stays where it is"),
            *([] if session.in_place else [to_crop]),
            self.button("mark staging", "Set aside", enabled=some, title=f"{what} to {aside}"),
            self.button("next marked", "Next marked", enabled=bool(board.marks)),
            self.button("singles", alone, kind="on" if session.singles_only else "", title="Only images in no group"),
        ]

    def label(self, folder: str) -> tuple[str, str]:
        return {STAGING: ("set aside", "reject"), SELECTED: ("keep", "keep")}.get(folder, ("crop", "keep"))


def open_browse(project_id: str, home: Home = None, folders: Sequence[str] | None = None) -> ipywidgets.Widget:
    """The folder viewer of a project for a notebook's cell; `folders` as for `BrowseSession`, see `reopen`."""
    return reopen("browse", project_id, home, lambda project: BrowseDesk(BrowseSession(project, folders)))


FOLDER = "folder "  # prefix of a folder's number: the pseudo key that its button sends
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

    def tool_rows(self) -> Sequence[ipywidgets.Widget]:
        return [tool_row(self.folders, self.name, self.only, self.by), *super().tool_rows()]

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

    def label(self, folder: str) -> tuple[str, str]:
        return f"→ {filename_of(folder)}", "keep"

    def panel_words(self) -> str:
        words = super().panel_words()
        if words or not self._by:
            return words
        rows, without = self.session.group_by(self._by)
        return desk_html.dry_run(self._by, rows, len(without))

    def apply(self, key: str) -> None:
        if key.startswith(FOLDER):
            self.session.send(int(key.removeprefix(FOLDER)), key)
        elif key in ("by field", "no field"):
            field, self._by = self._by, ""
            self.by.value = BY
            if key == "by field" and field:
                self.session.mark_by(field)
        else:
            super().apply(key)

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
        every = ((field, text, count) for field, values in found.items() for text, count in values)
        values = [(f"{field}: {text[:_VALUE]} ({count})", (field, text)) for field, text, count in every]
        with self.grid.lock:
            self.by.options = [BY, *found]
            self.only.options = [(ONLY, ALL), *values]
            self.redraw()  # also where it could not be read: then with the reason


def open_sort(project_id: str, home: Home = None, folders: Sequence[str] | None = None) -> ipywidgets.Widget:
    """The sorter of a project for a notebook's cell; `folders` as for `SortSession`, see `reopen`."""
    return reopen("sort", project_id, home, lambda project: SortDesk(SortSession(project, folders)))
