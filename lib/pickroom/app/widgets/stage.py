"""The photo layer: an anywidget that owns the focus, the keys, the pointer and the prefetched pictures.

It does only what ipycanvas cannot. The browser side (app/js/image_view.js) swaps to the next or previous frame
by itself, from pictures it asked for ahead of time; whatever the kernel says afterwards wins. The kernel side
keeps no list of what a browser holds: a page asks for the pictures it lacks, so a reload, a second window and a
view that comes back all work the same way.

A page's messages and the kernel's (custom messages of the widget, one JSON object each):

- `hello`, `size` {view, width, height, dpr, dark}: a view appeared, or its viewport changed
- `key` {view, number, oldest, key, seen}: numbered per view from 1; `seen` is the token of what was on screen
- `want` {page, kind, names}: pictures that the page lacks; `focus` {view, on}
- `pointer` {view, phase, x, y, number, shift, seen}; each move and hover is answered by `moved` {view}, and the page
  sends none before that
- `frame`: what to show now, the neighbours, the keys' destinations, and the number of the last key applied
- `picture` {page, kind, name, mime | reason} + bytes; mime null: not near any more, ask again when it is
- `resend` {view, number}: the keys from there on did not arrive
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

import traitlets

from pickroom.app.javascript import style_sheet, widget_module
from pickroom.app.widgets.layout import Rect
from pickroom.app.widgets.surface import KeyListener, Surface
from pickroom.core.errors import PickroomError
from pickroom.sessions.session import PictureKind


@dataclass(frozen=True, slots=True)
class Cell:
    """One image on the stage, in CSS pixels of the layout."""

    name: str  # the picture's name, its sha256: what the browser asks for and keeps it by
    number: int  # 1-based; a click on the image stands for this number's key
    box: Rect  # (x, y, width, height) of the whole image
    window: Rect  # (x, y, width, height) that it may fill when zoomed
    size: tuple[int, int]  # (width, height) in pixels of the EXIF-upright image
    label: str  # its spoken description


@dataclass(frozen=True, slots=True)
class StageFrame:
    """What is on the stage at one time."""

    # names what the user sees; it comes back with every key, so that a decision is never applied to something that was
    # not on screen when the key was pressed
    token: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class DragShape:
    """A drag under way: enough for the browser to draw the box's outline at once; CSS pixels of the layout."""

    mode: Literal["draw", "move", "handle"]
    start: tuple[float, float]  # where the pointer went down
    box: Rect  # as it was then; bounds: the image, which the box stays in
    bounds: Rect
    ratio: float | None  # width / height that the box keeps, None when it is free
    at: tuple[float, float] | None  # where the handle lies, in fractions of the box; only for a handle
    least: float  # the shortest side of a box that is meant


@dataclass(frozen=True, slots=True)
class Scene:
    """One answer of the kernel: the frame to show and what the browser needs to go on by itself."""

    # width, height: CSS pixels of the layout that the cells are given in
    width: int
    height: int
    frame: StageFrame
    position: int = 0  # of the frame among `count` frames
    count: int = 1
    # position -> frame, for the neighbours: swapped to at once, and prefetched in this order
    ahead: Mapping[int, StageFrame] = field(default_factory=dict)
    destinations: Mapping[str, int] = field(default_factory=dict)  # key -> position it leads to from here
    # key -> relative step, for keys that always mean next or previous; empty while they do not
    steps: Mapping[str, int] = field(default_factory=dict)
    zoom: bool = False  # show the image with the most pixels at 100 %, the others as large
    drag: DragShape | None = None  # only while one is under way


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
    # x, y: CSS pixels of the layout
    x: float
    y: float
    number: int | None  # the cell under the pointer (while dragging: where the drag began), None outside every image
    shift: bool  # whether Shift was held
    seen: str = ""  # the token of the frame on screen


class StageListener(KeyListener, Protocol):
    """Who the stage tells; the deck and the crop desk are two of them."""

    def viewport_changed(self, viewport: Viewport) -> None:
        """A view appeared, came back or changed its size or theme: lay out again and show everything."""

    def pointer_moved(self, event: PointerEvent) -> None:
        """Only with `pointer="drag"`."""

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        """(mime, encoded bytes) of a picture by its name, None when nothing near shows it any more.

        Raises:
            PickroomError: it cannot be read; its `what` is written in its place.
        """


class Stage(Surface[StageListener]):
    """The widget; `show` sends a scene, and everything that happens goes to the listener.

    Args:
        listener, keys, repeating: see `Surface`.
        pointer: "keys" turns a click on an image into its number's key; "drag" forwards the pointer.

    `cursor` is the CSS cursor over the stage.
    """

    _esm = widget_module("image_view.js")
    _css = style_sheet("theme.css", "desk.css")
    pointer = traitlets.Enum(["keys", "drag"], default_value="keys").tag(sync=True)
    cursor = traitlets.Unicode().tag(sync=True)

    def __init__(
        self, listener: StageListener, keys: Sequence[str], pointer: str = "keys", repeating: Sequence[str] = ()
    ) -> None:
        super().__init__(listener, keys, repeating, pointer=pointer)

    def show(self, scene: Scene) -> None:
        """Send a scene to every view."""
        self._number += 1
        self._scene = {
            "type": "frame",
            "number": self._number,
            **{name: getattr(scene, name) for name in ("width", "height", "position", "count", "zoom")},
            "frame": asdict(scene.frame),
            # JSON has only text keys; the order is the order of prefetching
            "ahead": [[position, asdict(frame)] for position, frame in scene.ahead.items()],
            "destinations": dict(scene.destinations),
            "steps": dict(scene.steps),
            "drag": asdict(scene.drag) if scene.drag else None,
        }
        self.send_scene(self._scene)

    def take(self, content: Mapping[str, Any]) -> None:
        match content:
            case {"type": "hello" | "size", "width": width, "height": height, "dpr": dpr, "dark": dark}:
                self._listener.viewport_changed(Viewport(int(width), int(height), float(dpr), bool(dark)))
            case {"type": "want", "page": str(page), "kind": "preview" | "original" as kind, "names": names}:
                for name in names:
                    self._send_picture(page, kind, str(name))
            case {"type": "pointer", "phase": "down" | "move" | "up" | "hover" as phase, "x": x, "y": y}:
                cell, shift, seen = content.get("number"), bool(content.get("shift")), str(content.get("seen", ""))
                try:
                    self._listener.pointer_moved(PointerEvent(phase, float(x), float(y), cell, shift, seen))
                finally:
                    if phase in ("move", "hover"):
                        self.send({"type": "moved", "view": content.get("view")})

    def _send_picture(self, page: str, kind: PictureKind, name: str) -> None:
        message = {"type": "picture", "page": page, "kind": kind, "name": name}
        try:
            found = self._listener.picture(name, kind)
        except PickroomError as error:
            self.send({**message, "reason": error.what})
        else:
            mime, buffers = (found[0], [found[1]]) if found else (None, [])
            self.send({**message, "mime": mime}, buffers=buffers)
