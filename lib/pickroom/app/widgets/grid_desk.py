"""What sorter and folder viewer share on screen: a grid, a header, tools, a panel and a line; it holds no data."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Literal

import ipywidgets

from pickroom.app.widgets import deck_html, grid_html
from pickroom.app.widgets.desk import html, keep_copies
from pickroom.app.widgets.grid import Grid, GridScene, GridSection, MarkLabel, Text
from pickroom.app.widgets.stage import KeyPress
from pickroom.core.errors import PickroomError, UsageError
from pickroom.sessions.marking.board import SIZES
from pickroom.sessions.marking.keys import REPEATING
from pickroom.sessions.marking.session import BoardSession

SUMMARY = "summary"  # the token of the summary; a board's token is a number
# keys that decide nothing: they count whatever was on screen when they were pressed
_LOOKS = frozenset(("help", "back", "undo", "redo", "smaller", "larger", "info", "order", "hide", "name"))
_CLICK = re.compile(r"(click|section)(\+shift|\+ctrl)?:(\d+)")
_BAND = re.compile(r"band(\+shift|\+ctrl)?:((?:\d+-\d+(?:,|$))*)")


class GridDesk(ipywidgets.VBox):
    """A desk around a grid; a room adds its words and tools.

    Attributes:
        session: who knows and decides everything.
        grid: the thumbnails.
        message: a failure to be shown under the board, "" when the board's own message is.
    """

    legend: Sequence[tuple[str, str]]

    def __init__(self, session: BoardSession, rows: Sequence[Sequence[ipywidgets.Widget]] = ()) -> None:
        self.session = session
        self.message = ""
        self.asking = False
        self._drawn: object = None  # the sections that the grid was last given
        self._layout = 0
        self._order: tuple[str, ...] | None = None
        self._seen = 0  # counts the orders of images that were on screen
        self.header = html("pickroom-header")
        self.tools = html("pickroom-tools")
        repeating = tuple(key for key, command in session.keys.items() if command.name in REPEATING)
        self.grid = Grid(self, tuple(session.keys), repeating)
        self.panel = html("pickroom-panel")
        self.words = html("pickroom-words")
        layers = ipywidgets.Box([self.grid, self.panel])
        layers.add_class("pickroom-layers")
        boxes = [ipywidgets.HBox(list(row)) for row in (*rows, (self.tools,))]
        for box in boxes:
            box.add_class("pickroom-gridtools")
        super().__init__([self.header, *boxes, layers, self.words])
        self.add_class("pickroom-desk")
        self.redraw()

    def close(self) -> None:
        """End the session too: a desk that is gone must not keep the database open."""
        with self.grid.lock:
            self.session.close()
        self.grid.close()
        super().close()

    # --- what a room adds -------------------------------------------------------------------------------------

    def tool_row(self) -> str:
        """The buttons over the board, as HTML."""
        raise NotImplementedError

    def label(self, folder: str) -> MarkLabel:
        """What stands on a thumbnail that is marked for a folder."""
        raise NotImplementedError

    def room_panel(self) -> str:
        """A panel that only this room has, as HTML; "" for none."""
        return ""

    def button_pressed(self, name: str) -> bool:
        """A button that no key stands for; whether this room has it."""
        return False

    # --- what the grid tells ----------------------------------------------------------------------------------

    def columns_changed(self, columns: int) -> None:
        self.session.set_columns(columns)
        self.attempt(self.session.refresh)
        self.redraw(whole=True)

    def focus_changed(self, on: bool) -> None:
        # the person comes back, perhaps from another window on the same project
        if on and (self.attempt(self.session.refresh) or self.asking):
            self.asking = False
            self.redraw()

    def key_pressed(self, press: KeyPress) -> None:
        self.message = ""
        self.attempt(self.session.refresh)  # another window may have taken away what was on screen here
        command = self.session.keys.get(press.key)
        looks = command is not None and command.name in _LOOKS
        if press.seen != self._token() and not looks:
            # what it would mark was not on screen when it was pressed: a slow kernel, files that came or went
            self.message = f"{press.key.partition(':')[0]} was too early: the board was changing. Look, and do it again"
        elif clicked := _CLICK.fullmatch(press.key):
            self.attempt(lambda: self._click(clicked[1], clicked[2] or "", int(clicked[3])))
        elif band := _BAND.fullmatch(press.key):
            pairs = [run.split("-") for run in band[2].split(",") if run]
            runs = [(int(first), int(last)) for first, last in pairs]
            self.attempt(lambda: self.session.band(runs, add=band[1] is not None))
        elif command is None:
            self.attempt(lambda: self._button(press.key))
        else:
            if self.session.board.summary and command.name == "finalise":
                self.panel.value = deck_html.busy("Moving files…")
            self.asking = command.name == "name" and not self.session.board.summary
            self.attempt(lambda: self.session.press(press.key))
        self.redraw()
        keep_copies(self.words)

    def texts(self, numbers: Sequence[int]) -> list[Text]:
        found = []
        for number in numbers:
            item = self.session.pictures.item(number)
            if item is not None:
                note = self.session.note(item)
                found.append((number, note.label, note.words, note.title, note.warn))
        return found

    def picture(self, number: int, kind: Literal["thumb", "large"]) -> bytes:
        item = self.session.pictures.item(number)
        if item is None:
            raise UsageError("not an image of this board")
        return self.session.pictures.thumbnail(item, large=kind == "large")

    # --- parts ------------------------------------------------------------------------------------------------

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Run it; an expected failure becomes the message, anything else is a defect but is not silent either."""
        try:
            return action()
        except PickroomError as error:
            self.message = error.line
        except Exception as error:
            self.message = f"A defect in Pickroom, please report it: {type(error).__name__}: {error}"
            self.redraw()
            raise
        return None

    def redraw(self, *, whole: bool = False) -> None:
        """Draw everything from the session: words first, and last the grid, which says that the key was applied."""
        with self.grid.lock:
            board = self.session.board
            self.header.value = grid_html.header(self.session.header())
            self.tools.value = self.tool_row()
            self.panel.value = self._panel()
            said = self.message or board.message or self._active()
            self.words.value = grid_html.line(said, error=bool(self.message))
            self.grid.show(self._scene(), whole=whole)

    def _click(self, what: str, how: str, number: int) -> None:
        if what == "section":
            self.session.select_section(number, add=bool(how))
        else:
            self.session.click(number, extend=how == "+shift", toggle=how == "+ctrl")

    def _button(self, name: str) -> None:
        if not self.button_pressed(name):
            self.message = f"{name} does nothing here; ? shows the keys"

    def _token(self) -> str:
        """What a key was pressed on; words in headers may change without another token, images may not."""
        board = self.session.board
        if board.layout.order != self._order:
            self._order = board.layout.order
            self._seen += 1
        return SUMMARY if board.summary else str(self._seen)

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
            return grid_html.summary(self.session.summary())
        if board.help:
            return deck_html.legend(self.legend)
        if board.info and board.active is not None:
            return grid_html.written(board.active, self.session.pictures.written(board.active))
        return self.room_panel()

    def _scene(self) -> GridScene:
        board, session = self.session.board, self.session
        layout = board.layout
        if layout.sections != self._drawn:
            self._drawn = layout.sections
            self._layout += 1
            numbers = [[session.number_of(path) for path in section.paths] for section in layout.sections]
            self._sections = [
                GridSection(section.title, section.note, own)
                for section, own in zip(layout.sections, numbers, strict=True)
            ]
        folders = list(dict.fromkeys(board.marks.values()))
        index = {folder: i for i, folder in enumerate(folders)}
        return GridScene(
            token=self._token(),
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
