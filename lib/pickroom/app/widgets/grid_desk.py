"""What sorter and folder viewer share on screen: a grid, a header, tools, a panel and a line; it holds no data."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Desk
from pickroom.app.widgets.grid import Grid, GridScene, GridSection, MarkLabel, Text
from pickroom.app.widgets.surface import KeyPress
from pickroom.core.errors import UsageError
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.board import SIZES
from pickroom.sessions.marking.session import BoardSession

_CLICK = re.compile(r"(click|section)(\+shift|\+ctrl)?:(\d+)")
_BAND = re.compile(r"band(\+shift|\+ctrl)?:((?:\d+-\d+(?:,|$))*)")


class GridDesk(Desk):
    """A desk around a grid; a tool adds its words and buttons."""

    session: BoardSession

    def __init__(self, session: BoardSession) -> None:
        self.asking = False  # the keyboard belongs to the desk's text field
        self._whole = False  # the next scene is for a view that has just come
        self._drawn: object = None  # the sections that the grid was last given
        self._layout = 0
        self._order: tuple[str, ...] | None = None
        self._seen = 0  # counts the orders of images that were on screen
        self.grid = Grid(self, tuple(session.keys.commands), session.keys.repeating)
        super().__init__(session, self.grid)

    def buttons(self) -> list[str]:
        """The tool's own buttons over the board, as HTML."""
        raise NotImplementedError

    def label(self, folder: str) -> MarkLabel:
        """What stands on a thumbnail that is marked for a folder."""
        raise NotImplementedError

    def tool_panel(self) -> str:
        """A panel that only this tool has, as HTML; "" for none."""
        return ""

    def button_pressed(self, name: str) -> bool:
        """A button that no key stands for; whether this tool has it."""
        return False

    def rows(self) -> list[list[ipywidgets.Widget]]:
        """The rows of tools over the board."""
        return [[self.tools]]

    def tool_rows(self) -> Sequence[ipywidgets.Widget]:
        boxes = [ipywidgets.HBox(row) for row in self.rows()]
        for box in boxes:
            box.add_class("pickroom-gridtools")
        return boxes

    def columns_changed(self, columns: int) -> None:
        self.session.set_columns(columns)
        self.attempt(self.session.refresh)
        self._whole = True
        self.redraw()

    def focus_changed(self, on: bool) -> None:
        was_asking, self.asking = self.asking, self.asking and not on
        super().focus_changed(on)
        if was_asking and on:
            self.redraw()

    def key_pressed(self, press: KeyPress) -> None:
        self.asking = False
        super().key_pressed(press)

    def apply(self, key: str) -> None:
        if clicked := _CLICK.fullmatch(key):
            what, how, number = clicked[1], clicked[2] or "", int(clicked[3])
            if what == "section":
                self.session.point(lambda board: machine.select_section(board, number, add=bool(how)))
            else:
                extend, toggle = how == "+shift", how == "+ctrl"
                self.session.point(lambda board: machine.click(board, number, extend=extend, toggle=toggle))
        elif band := _BAND.fullmatch(key):
            pairs = [run.split("-") for run in band[2].split(",") if run]
            runs = [(int(first), int(last)) for first, last in pairs]
            self.session.point(lambda board: machine.band(board, runs, add=band[1] is not None))
        elif key in self.session.keys.commands:
            self.asking = self.session.keys.is_command(key, "name") and not self.session.asks
            super().apply(key)
        elif not self.button_pressed(key):
            self.error = f"{key} does nothing here; ? shows the keys"

    def texts(self, numbers: Sequence[int]) -> list[Text]:
        found = []
        for number in numbers:
            item = self.session.images.numbered(number)
            if item is not None:
                note = self.session.note(item)
                found.append((number, note.label, note.words, note.title, note.warn))
        return found

    def picture(self, number: int, kind: Literal["thumb", "large"]) -> bytes:
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
        self.panel.value = self._panel()
        said = self.error or board.message or self._active()
        self.words.value = desk_html.line(said, "error" if self.error else "message")
        self.grid.show(self._scene(), whole=self._whole)
        self._whole = False

    def token(self) -> str:
        """What a key was pressed on; words in headers may change without another token, images may not."""
        board = self.session.board
        if board.layout.order != self._order:
            self._order = board.layout.order
            self._seen += 1
        return ASKED if board.summary else str(self._seen)

    def _active(self) -> str:
        """The active image and what is to become of it, while there is nothing else to say."""
        board = self.session.board
        if board.active is None:
            return "No image is here."
        going = board.marks.get(board.active)
        return f"{board.active}  ·  → {going}/" if going else board.active

    def _panel(self) -> str:
        board = self.session.board
        if board.summary:
            return desk_html.routes(self.session.summary())
        if board.help:
            return desk_html.legend(self.session.keys.legend)
        if board.info and board.active is not None:
            return desk_html.texts(board.active, self.session.images.texts(board.active))
        return self.tool_panel()

    def _scene(self) -> GridScene:
        board, session = self.session.board, self.session
        layout = board.layout
        if layout.sections != self._drawn:
            self._drawn = layout.sections
            self._layout += 1
            self._sections = [
                GridSection(section.title, section.note, [session.number_of(path) for path in section.paths])
                for section in layout.sections
            ]
        folders = list(dict.fromkeys(board.marks.values()))
        index = {folder: i for i, folder in enumerate(folders)}
        return GridScene(
            token=self.token(),
            layout=self._layout,
            sections=self._sections,
            cursor=board.cursor,
            selected=[layout.places[path] for path in board.selected],
            marks=[index[board.marks[path]] if path in board.marks else -1 for path in layout.order],
            labels=[self.label(folder) for folder in folders],
            notes=session.notes_version,
            cell=SIZES[board.size],
            large=session.number_of(board.active) if board.large and board.active is not None else None,
            asking=self.asking,
        )
