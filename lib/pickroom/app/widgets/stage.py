"""Stage and grid: anywidgets that own the focus, the keys, the pointer and the pictures.

The stage shows photographs, and does only what ipycanvas cannot. Its browser side (app/js/image_view.js) swaps to
the next or previous frame by itself, from pictures it asked for ahead of time; what the kernel says afterwards wins.
The kernel side keeps no list of what a browser holds: a page asks for the pictures it lacks, so a reload, a second
window and a view that comes back all work the same way.

A page's messages and the kernel's (custom messages of the widget, one JSON object each):

- `hello`, `size` {view, width, height, dpr, dark}: a view appeared, or its viewport changed
- `key` {view, number, oldest, key, seen}: numbered per view from 1; `seen` is the token of what was on screen
- `want` {page, kind, names}: pictures that the page lacks; `focus` {view, on}
- `pointer` {view, phase, x, y, seen}; each move and hover is answered by `moved` {view}, and the page
  sends none before that
- `frame`: what to show now, the neighbours, the keys' destinations, and the number of the last key applied
- `picture` {page, kind, name, mime | reason} + bytes; mime null: not near any more, ask again when it is
- `resend` {view, number}: the keys from there on did not arrive

The grid draws ten thousand thumbnails by drawing only those that are seen (app/js/grid.js). Clicks, selection bands and
clicks on headers are sent as keys, too (`click:12`, `click+shift:12`, `band:3-5,9-11`, `section:0`), numbered with the
others, so that a mark is only applied to the selection that was on screen. Its messages, where they differ:

- `hello`, `size` {view, columns, dark}: a view appeared, or holds another number of images side by side
- `want` {page, texts, thumbs, large, version}: numbers of images whose words and pictures the page lacks
- `scene`: sections (only when they changed), marks (likewise), selection, cursor, the number of the last key applied
- `texts` {page, version, rows}; `pictures` {page, kind, rows} + bytes, for every row without a reason
"""

import json
import re
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

import anywidget
import traitlets

from pickroom.core.errors import PickroomError
from pickroom.sessions.session import PictureKind

VIEWS_KEPT = 32  # views whose key numbers are remembered; each reload of the page makes a new one
_APP = Path(__file__).parents[1]
_IMPORT = re.compile(r'from "\./(.+)";$', re.MULTILINE)


def widget_module(name: str) -> str:
    """A file of app/js as a widget's ES module, with what it imports as texts; app/js/load.js links them."""
    loader = (_APP / "js" / "load.js").read_text(encoding="utf-8")
    return f"{loader}\nexport default () => load({json.dumps(_with_imports(name))});\n"


def _with_imports(name: str) -> dict[str, str]:
    """Module name -> text of a module and everything it imports, imported modules first."""
    source = (_APP / "js" / name).read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for imported in _IMPORT.findall(source):
        found |= _with_imports(imported)
    return found | {name: source}


def style_sheet(*names: str) -> str:
    """Files of app/css as one style sheet."""
    return "\n".join((_APP / "css" / name).read_text(encoding="utf-8") for name in names)


class Surface(anywidget.AnyWidget):
    """A widget that takes the keys of several views, each key once and in order; go-back-N (keys.js repeats).

    A kind of it adds `show`, and says what a scene is and what else pages send. The desk is told with `lock` held; it
    takes the same lock for whatever it does of its own accord.

    Args:
        desk: who is told: a `Desk`, or what has its `key_pressed(key, seen)` and `focus_changed(on)`.
        keys: the keys it takes, spelled as FORMATS.md says; every other key is left to the notebook.
        repeating: keys that count again while they are held down.

    A `<button data-press="KEY">` anywhere on the desk presses that key when it is clicked; the name may be one that
    no keyboard has.
    """

    key_names = traitlets.List(traitlets.Unicode()).tag(sync=True)
    repeating = traitlets.List(traitlets.Unicode()).tag(sync=True)

    def __init__(self, desk: Any, keys: Sequence[str], repeating: Sequence[str] = (), **traits: str) -> None:
        super().__init__(key_names=list(keys), repeating=list(repeating), **traits)
        # JupyterLab hands messages to another thread than the one that runs the cells (comms over subshells)
        self.lock = threading.RLock()
        self._desk = desk
        self._applied: dict[str, int] = {}  # view -> the number of its last key taken
        self._number = 0
        self._scene: dict[str, Any] = {}  # the last one, for a page that missed it
        self.on_msg(lambda _, content, buffers: self.on_message(content))

    def on_message(self, content: Mapping[str, Any]) -> None:
        """One message of a page; a form that is not ours (a page of another version) is passed over."""
        with self.lock:
            match content:
                case {"type": "key", "view": str(view), "number": int(number), "key": str(key), "seen": str(seen)}:
                    if self._is_next(view, number, content.get("oldest")):
                        self._desk.key_pressed(key, seen)
                case {"type": "focus", "on": bool(on)}:
                    self._desk.focus_changed(on)
                case _:
                    self.take(content)

    def take(self, content: Mapping[str, Any]) -> None:
        """A message of a page that is about neither keys nor focus."""
        raise NotImplementedError

    def whole_scene(self) -> dict[str, Any]:
        """The last scene with everything in it."""
        return self._scene

    def send_scene(self, scene: Mapping[str, Any]) -> None:
        """Send a scene to every view; it says which of that view's keys it already contains."""
        if self._scene:
            self.send({**scene, "applied": dict(self._applied)})

    def _is_next(self, view: str, number: int, oldest: object) -> bool:
        """Whether a key is to be applied now; else answer that it was before, or that one before it did not arrive.

        Args:
            number: of the key, from 1 in each view; oldest: the first that the page still has to hear of.
        """
        expected = self._applied.get(view, 0) + 1
        if number < expected:  # repeated by a page that has not heard our answer yet
            self.send_scene(self.whole_scene())
            return False
        if number > expected and number != oldest:
            self.send({"type": "resend", "view": view, "number": expected})
            return False
        self._applied.pop(view, None)
        self._applied[view] = number
        while len(self._applied) > VIEWS_KEPT:
            del self._applied[next(iter(self._applied))]
        return True


@dataclass(frozen=True, slots=True)
class Viewport:
    """What a view has to draw in: CSS pixels, device pixels per CSS pixel, and whether its theme is dark."""

    width: int
    height: int
    dpr: float = 1.0
    dark: bool = False


@dataclass(frozen=True, slots=True)
class PointerEvent:
    """One pointer event of a stage made with `pointer="drag"`."""

    # moves and hovers leave out what came while the one before was not answered; an up leaves out none
    phase: Literal["down", "move", "up", "hover"]
    x: float  # CSS pixels of the layout, as y
    y: float
    seen: str = ""  # the token of the frame on screen


class Stage(Surface):
    """The widget; `show` sends a scene, and everything that happens goes to the desk (see `StageDesk`).

    Args:
        desk, keys, repeating: see `Surface`.
        pointer: "keys" turns a click on an image into its number's key; "drag" forwards the pointer.

    `cursor` is the CSS cursor over the stage.
    """

    _esm = widget_module("image_view.js")
    _css = style_sheet("theme.css", "desk.css")
    pointer = traitlets.Enum(["keys", "drag"], default_value="keys").tag(sync=True)
    cursor = traitlets.Unicode().tag(sync=True)

    def __init__(self, desk: Any, keys: Sequence[str], pointer: str = "keys", repeating: Sequence[str] = ()) -> None:
        super().__init__(desk, keys, repeating, pointer=pointer)

    def show(
        self,
        viewport: Viewport,
        frame: Mapping[str, Any],
        *,
        ahead: Mapping[int, Mapping[str, Any]] | None = None,
        **moves: Any,
    ) -> None:
        """Send a scene to every view: the frame to show, and what the browser needs to go on by itself.

        Args:
            viewport: what the cells were laid out for.
            frame: `token`, which names what the user sees and comes back with every key, so that a decision is never
                applied to something that was not on screen; `cells`, one for each image; `label`, which is read aloud;
                `captions`, the words under the images as HTML (see `StageDesk.frame`).
            ahead: position -> frame, for the neighbours: swapped to at once, and prefetched in this order.
            moves: `position` of the frame among `count` frames; `destinations`, key -> position it leads to from here;
                `steps`, key -> relative step, for keys that always mean next or previous, empty while they do not;
                `zoom`, "full" shows the image with the most pixels at 100 %, the others as large, "faces" shows the
                `face` of each cell, where it has one; `drag`, while one is under way, see `drawing.drag_shape`.
        """
        self._number += 1
        scene = {"type": "frame", "number": self._number, "width": viewport.width, "height": viewport.height}
        neighbours = list((ahead or {}).items())  # JSON has only text keys; the order is the order of prefetching
        still = {"position": 0, "count": 1, "destinations": {}, "steps": {}, "zoom": "", "drag": None}
        self._scene = {**scene, "frame": frame, "ahead": neighbours, **still, **moves}
        self.send_scene(self._scene)

    def take(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello" | "size", "width": width, "height": height, "dpr": dpr, "dark": dark}:
                self._desk.viewport_changed(Viewport(int(width), int(height), float(dpr), bool(dark)))
            case {"type": "want", "page": str(page), "kind": "preview" | "original" as kind, "names": names}:
                for name in names:
                    self._send_picture(page, kind, str(name))
            case {"type": "pointer", "phase": "down" | "move" | "up" | "hover" as phase, "x": x, "y": y}:
                try:
                    self._desk.pointer_moved(PointerEvent(phase, float(x), float(y), str(content.get("seen", ""))))
                finally:
                    if phase in ("move", "hover"):
                        self.send({"type": "moved", "view": content.get("view")})

    def _send_picture(self, page: str, kind: PictureKind, name: str) -> None:
        message = {"type": "picture", "page": page, "kind": kind, "name": name}
        try:
            found = self._desk.picture(name, kind)
        except PickroomError as error:
            self.send({**message, "reason": error.what})
        else:
            mime, buffers = (found[0], [found[1]]) if found else (None, [])
            self.send({**message, "mime": mime}, buffers=buffers)


_THREADS = 4  # Pillow and hashlib free the interpreter lock


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
            marks: `names` of marks, each with text and kind, and `runs` of the places that have one; sent only when
                they changed.
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
