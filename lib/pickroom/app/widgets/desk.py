"""What the desks round a stage share: header, tools, layers, words; failures as one line; the session's end.

A desk draws a session and forwards the person's keys to it; it holds no data.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import ipywidgets

from pickroom.app.widgets import deck_html
from pickroom.app.widgets.layout import Slot, arrange
from pickroom.app.widgets.overlay import Overlay
from pickroom.app.widgets.stage import Cell, KeyPress, PointerEvent, Stage, Viewport
from pickroom.core.errors import PickroomError
from pickroom.store import copies, snapshot

COPYING = "copying databases"  # the name of the thread
FIRST_VIEWPORT = Viewport(960, 480)  # until the first view says how much it has


class Shown(Protocol):
    """An image as a desk shows it; sizes in pixels of the EXIF-upright image."""

    @property
    def width(self) -> int: ...
    @property
    def height(self) -> int: ...


class Numbered(Shown, Protocol):
    """An image that a number stands for."""

    @property
    def sha256(self) -> str: ...
    @property
    def number(self) -> int: ...
    @property
    def filename(self) -> str: ...
    @property
    def label(self) -> str: ...


class Desk(ipywidgets.VBox):
    """A stage with words round it; a room says what is drawn and what its keys mean.

    Attributes:
        session: who knows and decides everything; has `press`, `refresh` and `close`.
        pictures_kept: pictures that the browser may still ask for.

    Args:
        keys: the keys it takes.
        pointer, repeating: see `Stage`.
        below: what stands under the deck_html.
    """

    pictures_kept = 200

    def __init__(
        self,
        session: Any,
        keys: Sequence[str],
        *,
        pointer: str = "keys",
        repeating: Sequence[str] = (),
        below: Sequence[ipywidgets.Widget] = (),
    ) -> None:
        self.session = session
        self.error = ""
        self.viewport = FIRST_VIEWPORT
        self._pictures: dict[str, Any] = {}
        self.header = html("pickroom-header")
        self.tools = html("pickroom-tools")
        self.stage = Stage(self, keys, pointer, repeating)
        self.overlay = Overlay()
        self.panel = html("pickroom-panel")
        self.words = html("pickroom-words")
        layers = ipywidgets.Box([self.stage, self.overlay.canvas, self.panel])
        layers.add_class("pickroom-layers")
        super().__init__([self.header, self.tools, layers, self.words, *below])
        self.add_class("pickroom-desk")
        self.redraw()

    # --- what a room says -------------------------------------------------------------------------------------

    def draw(self) -> None:
        """Draw everything from the session: words first, then the overlay, and last the stage, which shows it."""
        raise NotImplementedError

    def token(self) -> str:
        """Names what is on screen; a key that decides must have been pressed on it."""
        raise NotImplementedError

    def only_looks(self, key: str) -> bool:
        """Whether a key counts whatever was on screen when it was pressed; so does one that means nothing here."""
        raise NotImplementedError

    def apply(self, key: str) -> None:
        """Give a key to the session."""
        self.attempt(lambda: self.session.press(key))

    def catch_up(self) -> None:
        """Before a key counts: another window may have taken away what was on screen here."""
        self.attempt(self.session.refresh)

    # --- what the stage tells ---------------------------------------------------------------------------------

    def viewport_changed(self, viewport: Viewport) -> None:
        self.viewport = viewport
        self.attempt(self.session.refresh)
        self.redraw()

    def focus_changed(self, on: bool) -> None:
        # the person comes back, perhaps from another window on the same project
        if on and self.attempt(self.session.refresh):
            self.redraw()

    def pointer_moved(self, event: PointerEvent) -> None:
        """Clicks come as keys, where a room does not say otherwise."""

    def key_pressed(self, press: KeyPress) -> None:
        self.error = ""
        self.catch_up()
        if press.seen != self.token() and not self.only_looks(press.key):
            # what it would decide was not on screen when it was pressed: a slow kernel, a double press
            self.error = f"{press.key} was too early: the desk was still changing. Look, and press it again"
        else:
            self.apply(press.key)
        self.redraw()
        keep_copies(self.words)

    # --- parts ------------------------------------------------------------------------------------------------

    def redraw(self) -> None:
        """Draw everything; nothing else is drawn meanwhile."""
        with self.stage.lock:
            self.draw()

    def close(self) -> None:
        """End the session too: a desk that is gone must not keep the database open."""
        with self.stage.lock:
            self.session.close()
        super().close()

    def attempt(self, action: Callable[[], Any]) -> Any:
        """Run it; an expected failure becomes the message, anything else is a defect but is not silent either."""
        try:
            return action()
        except PickroomError as error:
            self.error = error.line
        except Exception as error:
            self.error = f"A defect in Pickroom, please report it: {type(error).__name__}: {error}"
            self.redraw()
            raise
        return None

    def announce(self, pictures: Mapping[str, Any]) -> None:
        """Name -> picture that the browser may ask for from now on; those longest unseen are forgotten."""
        for name, picture in pictures.items():
            self._pictures.pop(name, None)
            self._pictures[name] = picture
        for name in list(self._pictures)[: -self.pictures_kept]:
            del self._pictures[name]

    def announced(self, name: str) -> Any:
        """The picture of a name, None when nothing near shows it any more."""
        return self._pictures.get(name)

    def slots(self, images: Sequence[Shown]) -> tuple[Slot, ...]:
        """Where images go in the room there is."""
        return arrange([(image.width, image.height) for image in images], self.viewport.width, self.viewport.height)


def keep_copies(said: ipywidgets.HTML) -> None:
    """Copy the databases of what a key has moved, in a thread: a large one takes seconds, and no desk waits for it.

    Args:
        said: shows why a copy could not be made.
    """
    databases = copies.asked()

    def keep() -> None:
        for line in snapshot.keep(databases):
            said.value = deck_html.notice(line)

    if databases:  # no daemon: a kernel that ends waits until the copy is whole
        threading.Thread(target=keep, name=COPYING).start()


def cells(images: Sequence[Numbered], slots: Sequence[Slot]) -> tuple[Cell, ...]:
    """Images on the stage, each known by its content."""
    return tuple(
        Cell(
            name=image.sha256,
            number=image.number,
            box=slot.box,
            window=slot.window,
            size=(image.width, image.height),
            label=f"{image.number}: {image.filename}, {image.label}",
        )
        for image, slot in zip(images, slots, strict=True)
    )


def html(name: str) -> ipywidgets.HTML:
    """A box of words with a class of the style sheet."""
    widget = ipywidgets.HTML()
    widget.add_class(name)
    return widget


def reopen(kind: str, project_id: str, make: Callable[[], Desk]) -> ipywidgets.Widget:
    """A desk for a notebook's cell, in place of the one of its kind that this kernel had open on the project.

    What cannot be opened gives one line saying why.
    """
    before = _open.pop((kind, project_id), None)
    if before is not None:
        before.close()
    try:
        desk = make()
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    _open[kind, project_id] = desk
    return desk


# by kind and project, the desks of this kernel: a closed cell must not go on holding its session
_open: dict[tuple[str, str], Desk] = {}
