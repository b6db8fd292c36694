"""The grid: an anywidget that draws ten thousand thumbnails by drawing only those that are seen.

It works like the image view (stage.py): the browser side (app/js/grid.js) keeps the focus, the keys, the pointer and
the pictures that are near. A page asks for what it lacks, so a reload and a second window work the same way. Clicks,
selection bands and clicks on headers are sent as keys, too (`click:12`, `click+shift:12`, `band:3-5,9-11`,
`section:0`), numbered with the others, so that a mark is only applied to the selection that was on screen.

A page's messages and the kernel's (custom messages of the widget, one JSON object each):

- `hello`, `size` {view, columns, dark}: a view appeared, or holds another number of images side by side
- `key` {view, number, oldest, key, seen}; `focus` {view, on}
- `want` {page, texts, thumbs, large, version}: numbers of images whose words and pictures the page lacks
- `scene`: sections (only when they changed), marks (likewise), selection, cursor, the number of the last key applied
- `texts` {page, version, rows}; `pictures` {page, kind, rows} + bytes, for every row without a reason
- `resend` {view, number}: the keys from there on did not arrive
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Literal, Protocol

from pickroom.app.javascript import style_sheet, widget_module
from pickroom.app.widgets.surface import KeyListener, Surface
from pickroom.core.errors import PickroomError

MarkKind = Literal["keep", "reject"]
Text = tuple[int, str, str, str, bool]  # number, label, words on its right, title, whether the words warn
_THREADS = 4  # Pillow and hashlib let go of the interpreter


@dataclass(frozen=True, slots=True)
class GridSection:
    """Images under one header, by their numbers."""

    title: str
    note: str
    numbers: Sequence[int]


@dataclass(frozen=True, slots=True)
class MarkLabel:
    """What stands on a marked thumbnail; blue means keep, red reject."""

    text: str
    kind: MarkKind


@dataclass(frozen=True, slots=True)
class GridScene:
    """Everything that is on the grid but pictures and words. Places count through all sections, from 0."""

    token: str  # names what is on screen; it comes back with every key
    layout: int  # rises with every change of `sections`, which only then are sent again
    sections: Sequence[GridSection]
    cursor: int
    selected: Sequence[int]
    marks: Sequence[int]  # place -> index into `labels`; -1 for none
    labels: Sequence[MarkLabel]
    notes: int  # rises whenever the words under thumbnails may have changed
    cell: int  # least width of a thumbnail in CSS pixels
    large: int | None = None  # the number of the image shown large, None for none
    asking: bool = False  # the keyboard belongs to the desk's text field now


class GridListener(KeyListener, Protocol):
    """Who the grid tells; clicks and bands come as keys."""

    def columns_changed(self, columns: int) -> None:
        """A view appeared or holds another number of images side by side: show everything."""

    def texts(self, numbers: Sequence[int]) -> list[Text]:
        """The words under images; unknown numbers are left out."""

    def picture(self, number: int, kind: Literal["thumb", "large"]) -> bytes:
        """A JPEG; called from several threads.

        Raises:
            PickroomError: it cannot be read; its `what` is written in its place.
        """


class Grid(Surface[GridListener]):
    """The widget; `show` sends a scene, and everything that happens goes to the listener. Args: see `Surface`."""

    _esm = widget_module("grid.js")
    _css = style_sheet("theme.css", "desk.css", "grid.css")

    def __init__(self, listener: GridListener, keys: Sequence[str], repeating: Sequence[str] = ()) -> None:
        # first: close() must find it, even when the rest fails
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")
        super().__init__(listener, keys, repeating)
        self._layout: dict[str, Any] = {}
        self._marks: dict[str, Any] = {}
        self._sent = -1  # the layout that every view has

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def show(self, scene: GridScene, *, whole: bool = False) -> None:
        """Send a scene to every view.

        Args:
            whole: with everything in it, for a view that has just come.
        """
        if scene.layout != self._sent:
            sections = [
                {"title": one.title, "note": one.note, "count": len(one.numbers), "ids": sequences(one.numbers)}
                for one in scene.sections
            ]
            self._layout = {"layout": {"token": scene.layout, "sections": sections}}
        labels = [{"text": label.text, "kind": label.kind} for label in scene.labels]
        marks = {"marks": {"names": labels, "runs": runs(scene.marks)}}
        self._number += 1
        parts = {name: getattr(scene, name) for name in ("token", "cursor", "notes", "cell", "large", "asking")}
        self._scene = {
            "type": "scene",
            "number": self._number,
            **parts,
            "selected": [[first, last] for first, last, _ in spans(sorted(scene.selected))],
        }
        changed = {} if scene.layout == self._sent else self._layout
        if marks != self._marks or changed:
            self._marks = marks
            changed = {**changed, **marks}
        self._sent = scene.layout
        self.send_scene(self.whole_scene() if whole else {**self._scene, **changed})

    def whole_scene(self) -> dict[str, Any]:
        return {**self._scene, **self._layout, **self._marks}

    def take(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello" | "size", "columns": int(columns)}:
                self._listener.columns_changed(columns)
            case {"type": "want", "page": str(page), "version": int(version)}:
                self._answer(page, version, content)

    def _answer(self, page: str, version: int, content: Mapping[str, Any]) -> None:
        texts = _numbers(content.get("texts"))
        if texts:
            self.send({"type": "texts", "page": page, "version": version, "rows": self._listener.texts(texts)})
        asked: dict[Literal["thumb", "large"], list[int]] = {
            "thumb": _numbers(content.get("thumbs")),
            "large": _numbers(content.get("large")),
        }
        for kind, numbers in asked.items():
            if numbers:
                self._send_pictures(page, kind, numbers)

    def _send_pictures(self, page: str, kind: Literal["thumb", "large"], numbers: Sequence[int]) -> None:
        def make(number: int) -> bytes | str:
            try:
                return self._listener.picture(number, kind)
            except PickroomError as error:
                return error.what

        made = list(self._pool.map(make, numbers))
        rows = [[n, one if isinstance(one, str) else None] for n, one in zip(numbers, made, strict=True)]
        buffers = [one for one in made if isinstance(one, bytes)]
        self.send({"type": "pictures", "page": page, "kind": kind, "rows": rows}, buffers=buffers)


def _numbers(values: Any) -> list[int]:
    return [value for value in values if type(value) is int] if isinstance(values, list) else []


def sequences(numbers: Sequence[int]) -> list[list[int]]:
    """Numbers in their order as [first, count] of each run that rises by one: folders are mostly such runs."""
    return [[first, last - first + 1] for first, last, _ in spans(numbers)]


def spans(numbers: Sequence[int]) -> list[tuple[int, int, int]]:
    """(first, last, place of the first) of each run that rises by one."""
    found = []
    for _, run in groupby(enumerate(numbers), key=lambda pair: pair[1] - pair[0]):
        part = list(run)
        found.append((part[0][1], part[-1][1], part[0][0]))
    return found


def runs(values: Sequence[int]) -> list[list[int]]:
    """[first place, last place, value] of each run of one value that is not -1."""
    found, place = [], 0
    for value, run in groupby(values):
        count = sum(1 for _ in run)
        if value >= 0:
            found.append([place, place + count - 1, value])
        place += count
    return found
