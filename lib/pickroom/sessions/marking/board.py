"""A board of thumbnails as a pure state machine: sections, a cursor, a selection, marks. No files, no SQL, no clock.

An image is named by its path relative to the project's root; a mark is the folder that it is to go to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Literal

from pickroom.core.naming import folder_of
from pickroom.core.quantities import plural
from pickroom.sessions.keys import Command
from pickroom.store.marks import MarkStep


@dataclass(frozen=True, slots=True)
class Section:
    """Images under one header; `folder` relative to the root, `note` a few words for the header."""

    title: str
    folder: str
    paths: tuple[str, ...]
    note: str = ""


class Layout:
    """Sections one under the other; `order` has the path of every place, `places` the place of every path, from 0."""

    def __init__(self, sections: Iterable[Section] = ()) -> None:
        self.sections = tuple(sections)
        self.order = tuple(path for section in self.sections for path in section.paths)
        self.places = {path: place for place, path in enumerate(self.order)}

    def rows(self, columns: int) -> list[range]:
        """The rows of places on screen, `columns` wide at the most."""
        ends = accumulate(len(section.paths) for section in self.sections)
        return [
            range(first, min(first + columns, end))
            for section, end in zip(self.sections, ends, strict=True)
            for first in range(end - len(section.paths), end, columns)
        ]


SIZES = (108, 152, 240)  # CSS pixels of a thumbnail's cell


@dataclass(frozen=True, slots=True)
class Board:
    """Everything that is on the board."""

    layout: Layout = field(default_factory=Layout)
    marks: Mapping[str, str] = field(default_factory=dict)  # path -> folder it is to go to
    blocked: Mapping[str, str] = field(default_factory=dict)  # path -> why it cannot be marked
    columns: int = 1  # images side by side, as the browser says
    cursor: int = 0  # the active image's place; 0 on an empty board. anchor: where a Shift-click's range begins
    anchor: int = 0
    selected: frozenset[str] = frozenset()
    size: int = 1  # index into SIZES
    # large, info, help, summary: which views are open
    large: bool = False
    info: bool = False
    help: bool = False
    summary: bool = False
    confirmed: bool = False  # Shift+Enter was pressed on the summary: apply now
    pending_action: str | None = None  # a command that only the tool's session can do, for it to do now; None else
    # undo, redo: steps, the latest last
    undo: tuple[MarkStep, ...] = ()
    redo: tuple[MarkStep, ...] = ()
    message: str = ""  # one line about the last key, "" when there is nothing to say

    @property
    def active(self) -> str | None:
        """The path of the active image, None on an empty board."""
        return self.layout.order[self.cursor] if self.layout.order else None

    @property
    def targets(self) -> tuple[str, ...]:
        """The images that a key applies to: the selection in its order, else the active image."""
        if self.selected:
            return tuple(sorted(self.selected, key=self.layout.places.__getitem__))
        return (self.active,) if self.active is not None else ()

    @property
    def row(self) -> tuple[str, ...]:
        """The images of the active image's row."""
        row = next((row for row in self.layout.rows(self.columns) if self.cursor in row), range(0))
        return self.layout.order[row.start : row.stop]


def command(board: Board, what: Command) -> Board:
    """The board after a command that all boards share; any other command becomes `pending_action`."""
    board = replace(board, message="", confirmed=False, pending_action=None)
    if board.summary:
        told = "nothing was moved" if what.name == "back" else "Shift+Enter again moves the files, Esc returns"
        told, confirmed = ("", True) if what.name == "finalise" else (told, False)
        return replace(board, summary=what.name not in ("finalise", "back"), confirmed=confirmed, message=told)
    if what.name in _VIEWS:
        return _VIEWS[what.name](board)
    step = what.name.removeprefix("extend ")
    if step in _STEPS:
        return _go(board, _STEPS[step](board), extend=step != what.name)
    return replace(board, pending_action=what.name)


def mark(board: Board, key: str, wanted: Mapping[str, str]) -> Board:
    """Mark images (path -> folder, in the board's order) as one step; where all have these marks already, clear them.

    An image is not marked for the folder that it is in; a blocked image is left out, and the message says why.
    """
    blocked = [path for path in wanted if path in board.blocked]
    free = {path: folder for path, folder in wanted.items() if path not in board.blocked}
    message = f"{plural(len(blocked), 'image')} not marked: {board.blocked[blocked[0]]}" if blocked else ""
    there = [path for path, folder in free.items() if folder_of(path) == folder and path not in board.marks]
    free = {path: folder for path, folder in free.items() if path not in there}
    if there and not message:
        message = f"{plural(len(there), 'image')} in {wanted[there[0]]}/ already"
    again = bool(free) and all(board.marks.get(path) == folder for path, folder in free.items())
    after = {p: None if again or folder_of(p) == folder else folder for p, folder in free.items()}
    changes = tuple((path, board.marks.get(path), to) for path, to in after.items() if board.marks.get(path) != to)
    if not changes:
        return replace(board, message=message)
    last = max((board.layout.places[path] for path in wanted if path in board.layout.places), default=board.cursor)
    cursor = board.cursor if again else min(last + 1, len(board.layout.order) - 1)
    board = record(replace(board, selected=frozenset(), message=message), MarkStep(key, changes))
    return replace(board, cursor=cursor, anchor=cursor)


def unmark(board: Board, key: str, paths: Sequence[str]) -> Board:
    """Clear the marks of images, as one step."""
    changes = tuple((path, board.marks[path], None) for path in paths if path in board.marks)
    if not changes:
        return replace(board, message="nothing is marked there")
    return record(replace(board, selected=frozenset()), MarkStep(key, changes))


def record(board: Board, step: MarkStep) -> Board:
    """Add a step: set its marks, and clear the steps that could be redone."""
    return _with_marks(replace(board, undo=(*board.undo, step), redo=()), {p: after for p, _, after in step.changes})


def click(board: Board, place: int, *, extend: bool = False, toggle: bool = False) -> Board:
    """A click makes an image the active one; with Shift the range from the anchor, with Ctrl or Cmd it is selected.

    Without either the selection is cleared: keys then apply to the active image.
    """
    if not 0 <= place < len(board.layout.order) or board.summary:
        return board
    board = replace(board, message="")
    if extend:
        return _go(board, place, extend=True)
    selected = board.selected ^ {board.layout.order[place]} if toggle else frozenset()
    return replace(board, cursor=place, anchor=place, selected=selected)


def band(board: Board, ranges: Sequence[tuple[int, int]], *, add: bool = False) -> Board:
    """A rubber band was drawn around runs of places (first and last, both included); `add` to what is selected."""
    if board.summary:
        return board
    count = len(board.layout.order)
    runs = [board.layout.order[max(first, 0) : min(last + 1, count)] for first, last in ranges]
    caught = [path for run in runs for path in run]
    if not caught:
        return board if add else replace(board, selected=frozenset(), message="")
    cursor = board.layout.places[caught[-1]]
    before = board.selected if add else frozenset()
    return replace(board, cursor=cursor, anchor=cursor, selected=before | frozenset(caught), message="")


def select_section(board: Board, index: int, *, add: bool = False) -> Board:
    """A click on a header: its section; with `add` to what is selected."""
    if not 0 <= index < len(board.layout.sections) or not board.layout.sections[index].paths:
        return board
    paths = board.layout.sections[index].paths
    return band(board, [(board.layout.places[paths[0]], board.layout.places[paths[-1]])], add=add)


def with_layout(board: Board, layout: Layout) -> Board:
    """Other images on the board, or another order: the cursor stays on its image, or goes to the next one left."""
    nearest = (*board.layout.order[board.cursor :], *reversed(board.layout.order[: board.cursor]))
    cursor = next((layout.places[path] for path in nearest if path in layout.places), 0)
    kept = frozenset(path for path in board.selected if path in layout.places)
    return replace(board, layout=layout, cursor=cursor, anchor=cursor, selected=kept)


def _with_marks(board: Board, changed: Mapping[str, str | None]) -> Board:
    marks = {**board.marks, **changed}
    return replace(board, marks={path: folder for path, folder in marks.items() if folder is not None})


def _replay(board: Board, way: Literal["undo", "redo"]) -> Board:
    steps = board.undo if way == "undo" else board.redo
    if not steps:
        return replace(board, message=f"nothing to {way}")
    step = steps[-1]
    said = f"{step.key} on {plural(len(step.changes), 'image')}"
    place = board.layout.places.get(step.changes[0][0], board.cursor)
    board = replace(board, cursor=place, anchor=place)
    if way == "undo":
        board = replace(board, undo=steps[:-1], redo=(*board.redo, step), message=f"undone: {said}")
        return _with_marks(board, {path: before for path, before, _ in step.changes})
    board = replace(board, undo=(*board.undo, step), redo=steps[:-1], message=f"redone: {said}")
    return _with_marks(board, {path: after for path, _, after in step.changes})


def _go(board: Board, place: int, *, extend: bool) -> Board:
    count = len(board.layout.order)
    if not count:
        return replace(board, message="no image is here")
    place = max(0, min(place, count - 1))
    if not extend:
        # the selection stays: Space adds single images to it
        return replace(board, cursor=place, anchor=place)
    first, last = sorted((board.anchor, place))
    return replace(board, cursor=place, selected=frozenset(board.layout.order[first : last + 1]))


def _vertical(board: Board, rows: int) -> int:
    """The place a row above or below, in the same column where that row has it."""
    every = board.layout.rows(board.columns)
    here = next((i for i, row in enumerate(every) if board.cursor in row), 0)
    there = here + rows
    if not 0 <= there < len(every):
        return board.cursor
    return min(every[there][0] + (board.cursor - every[here][0]), every[there][-1])


def _open_summary(board: Board) -> Board:
    if not board.marks:
        return replace(board, message="nothing is marked yet")
    return replace(board, summary=True, large=False, info=False, help=False)


def _back(board: Board) -> Board:
    if board.help:
        return replace(board, help=False)
    if board.info:
        return replace(board, info=False)
    return replace(board, large=False) if board.large else replace(board, selected=frozenset())


_VIEWS: dict[str, Callable[[Board], Board]] = {
    "large": lambda board: replace(board, large=not board.large and board.active is not None),
    "info": lambda board: replace(board, info=not board.info and board.active is not None),
    "help": lambda board: replace(board, help=not board.help),
    "back": _back,
    "undo": lambda board: _replay(board, "undo"),
    "redo": lambda board: _replay(board, "redo"),
    "toggle": lambda board: click(board, board.cursor, toggle=True) if board.active else _go(board, 0, extend=False),
    "smaller": lambda board: replace(board, size=max(board.size - 1, 0)),
    "larger": lambda board: replace(board, size=min(board.size + 1, len(SIZES) - 1)),
    "finalise": _open_summary,
}
_STEPS: dict[str, Callable[[Board], int]] = {
    "left": lambda board: board.cursor - 1,
    "right": lambda board: board.cursor + 1,
    "up": lambda board: _vertical(board, -1),
    "down": lambda board: _vertical(board, 1),
    "first": lambda board: 0,
    "last": lambda board: len(board.layout.order) - 1,
}
