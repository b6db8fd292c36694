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
from itertools import groupby
from typing import Any

from pickroom.app.widgets.stage import Surface, style_sheet, widget_module
from pickroom.core.errors import PickroomError

_THREADS = 4  # Pillow and hashlib let go of the interpreter


class Grid(Surface):
    """The widget; `show` sends a scene, and everything that happens goes to a `GridDesk`. Args: see `Surface`."""

    _esm = widget_module("grid.js")
    _css = style_sheet("theme.css", "desk.css", "grid.css")

    def __init__(self, desk: Any, keys: Sequence[str], repeating: Sequence[str] = ()) -> None:
        # first: close() must find it, even when the rest fails
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="thumbnails")
        super().__init__(desk, keys, repeating)
        self._layout: Mapping[str, Any] = {}
        self._marks: Mapping[str, Any] = {}

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        super().close()

    def show(
        self, scene: Mapping[str, Any], layout: Mapping[str, Any], marks: Mapping[str, Any], *, whole: bool = False
    ) -> None:
        """Send a scene to every view. Places count through all sections, from 0.

        Args:
            scene: `token`, which names what is on screen and comes back with every key; the place of the `cursor`; runs
                of `selected` places; `notes`, which rises whenever the words under thumbnails may have changed; `cell`,
                the least width of a thumbnail in CSS pixels; `large`, the number of the image shown large; `asking`,
                whether the keyboard belongs to the desk's text field now.
            layout: `sections`, each with title, note, count, and runs of the numbers of its images; sent only with
                another `token`.
            marks: `names` of marks, each with text and kind, and `runs` of the places that have one; sent only where they
                changed.
            whole: with everything in it, for a view that has just come.
        """
        self._number += 1
        self._scene = {"type": "scene", "number": self._number, **scene}
        changed: dict[str, Any] = {"marks": marks} if marks != self._marks else {}
        if layout.get("token") != self._layout.get("token"):
            changed = {"layout": layout, "marks": marks}
        self._layout, self._marks = layout, marks
        self.send_scene(self.whole_scene() if whole else {**self._scene, **changed})

    def whole_scene(self) -> dict[str, Any]:
        return {**self._scene, "layout": self._layout, "marks": self._marks}

    def take(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello" | "size", "columns": int(columns)}:
                self._desk.columns_changed(columns)
            case {"type": "want", "page": str(page), "version": int(version)}:
                self._answer(page, version, content)

    def _answer(self, page: str, version: int, content: Mapping[str, Any]) -> None:
        texts = _numbers(content.get("texts"))
        if texts:
            self.send({"type": "texts", "page": page, "version": version, "rows": self._desk.texts(texts)})
        for kind, name in (("thumb", "thumbs"), ("large", "large")):
            numbers = _numbers(content.get(name))
            if not numbers:
                continue

            def make(number: int, kind: str = kind) -> bytes | str:
                try:
                    found: bytes = self._desk.picture(number, kind)
                    return found
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
