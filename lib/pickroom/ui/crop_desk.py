"""The crop desk: draws a crop session, forwards the person's keys and drags to it; it holds no data.

What the person sees and presses is REVIEW.md's, The crop desk.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ipywidgets

from pickroom.crop import state as machine
from pickroom.crop.editing import Handle, Point
from pickroom.crop.keys import CROP_KEYS, CROP_LEGEND, REPEATING
from pickroom.crop.session import CropSession
from pickroom.crop.state import Drag
from pickroom.crop.view import CropDeskView, CropImageView
from pickroom.errors import ImageError, PickroomError
from pickroom.ui import crop_words, words
from pickroom.ui.crop_drawing import REACH, drag_shape, draw_empty, draw_page, reach
from pickroom.ui.layout import Slot, arrange
from pickroom.ui.overlay import Overlay
from pickroom.ui.stage import Cell, Frame, KeyPress, PictureKind, PointerEvent, Room, Scene, Stage
from pickroom.workspace import Workspace

FIRST_ROOM = Room(960, 480)  # until the first view says how much it has
KNOWN = 60  # pictures that the browser may still ask for
SLOP = 3.0  # CSS pixels the pointer moves before a press becomes a drag: a click changes no box
CONFIRM = "confirm"  # the token of the question; a page's token names its images
NOTHING = (
    "No image waits for its crop.",
    "Images come here from the review: Q W E R, or A while the AI's crop is shown.  B brings the last page back.",
)
ONLY_PROBLEMS = ("No image can be cropped yet.", "The reasons are below.")
# keys that only look
_LOOKS = frozenset(("help", "close"))
_BUSY = {"submit": "Cropping…", "delete": "Moving…", "back": "Bringing the last page back…"}
_CURSORS: dict[Handle, str] = {
    **{"nw": "nwse-resize", "se": "nwse-resize", "ne": "nesw-resize", "sw": "nesw-resize"},
    **{"n": "ns-resize", "s": "ns-resize", "w": "ew-resize", "e": "ew-resize"},
}


class CropDesk(ipywidgets.VBox):
    """The widget of the notebook's second cell."""

    def __init__(self, session: CropSession) -> None:
        self.session = session
        self._room = FIRST_ROOM
        self._error = ""
        self._slots: tuple[Slot, ...] = ()
        self._known: dict[str, CropImageView] = {}  # pictures announced to the browser, by name
        self._pressed: PointerEvent | None = None  # where the pointer went down on an image
        self._dragging = False
        self.header = _html("pickroom-header")
        self.tools = _html("pickroom-tools")
        repeating = tuple(key for key, command in CROP_KEYS.items() if command.name in REPEATING)
        self.stage = Stage(self, tuple(CROP_KEYS), pointer="drag", repeating=repeating)
        self.overlay = Overlay()
        self.panel = _html("pickroom-panel")
        self.words = _html("pickroom-words")
        layers = ipywidgets.Box([self.stage, self.overlay.canvas, self.panel])
        layers.add_class("pickroom-layers")
        super().__init__([self.header, self.tools, layers, self.words])
        self.add_class("pickroom-desk")
        self.redraw()

    def redraw(self) -> None:
        """Draw everything from the session: words first, then the overlay, and last the stage, which shows it."""
        with self.stage.lock:
            view = self.session.view()
            self._slots = self._arrange(view.images)
            self.header.value = crop_words.header(view)
            self.tools.value = crop_words.tools(view)
            self.panel.value = self._panel(view)
            self._draw_boxes(view)
            self.stage.show(self._scene(view))

    def close(self) -> None:
        """End the session too: a desk that is gone must not keep the database open."""
        with self.stage.lock:
            self.session.close()
        super().close()

    # --- what the stage tells ---------------------------------------------------------------------------------

    def room_changed(self, room: Room) -> None:
        self._room = room
        self._try(self.session.refresh)
        self.redraw()

    def focus_changed(self, on: bool) -> None:
        # the person comes back, perhaps from a review that sent more images here
        if on and self._try(self.session.refresh):
            self.redraw()

    def key_pressed(self, press: KeyPress) -> None:
        self._error = ""
        key = press.key
        command = CROP_KEYS.get(key)
        shape = key.removeprefix(crop_words.SHAPE) if key.startswith(crop_words.SHAPE) else None
        if press.seen != self._token() and (command is None or command.name not in _LOOKS):
            # what it would do was not on screen when it was pressed: a slow kernel, a double press
            self._error = f"{key} was too early: the desk was still changing. Look, and press it again"
        elif shape in crop_words.SHAPES:
            self._try(lambda: self.session.set_shape(shape))
        else:
            if command is not None and command.name in _BUSY:
                self._say_busy(_BUSY[command.name])
            self._try(lambda: self.session.press(key))
        self.redraw()

    def pointer_moved(self, event: PointerEvent) -> None:
        self._try(lambda: self._point(event))

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        image = self._known.get(name)
        if image is None:
            return None
        path = Path(image.directory, image.filename)
        if not image.sha256:
            raise ImageError(path, "no longer there")
        try:
            return "image/jpeg", self.session.preview(image)
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from None

    # --- the pointer ------------------------------------------------------------------------------------------

    def _point(self, event: PointerEvent) -> None:
        if event.phase == "hover":
            self._release()  # the pointer is up: the message that said so may have been lost
            self.stage.cursor = self._cursor(event)
        elif event.phase == "down":
            self._press(event)
        elif self._pressed is not None:
            start = self._pressed
            self._dragging |= math.hypot(event.x - start.x, event.y - start.y) > SLOP
            if self._dragging:
                self.session.drag_to(self._fractions(event))
            if event.phase == "move" and self._dragging:
                self._draw_boxes(self.session.view())
            elif event.phase == "up":
                self._release()

    def _press(self, event: PointerEvent) -> None:
        index = self._image_at(event)
        if index is None or event.seen != self._token() or self.session.state.confirming:
            return
        self._error = ""
        self._pressed, self._dragging = event, False
        self.session.drag_start(index, *self._aim(event, index))
        self.redraw()

    def _release(self) -> None:
        if self._pressed is not None:
            self._pressed = None
            self.session.drag_end()
            self.redraw()

    def _image_at(self, event: PointerEvent) -> int | None:
        """The image under the pointer, or so near that a handle on its edge can be taken."""
        for index, slot in enumerate(self._slots):
            x, y, w, h = slot.box
            if -REACH / 2 <= event.x - x <= w + REACH / 2 and -REACH / 2 <= event.y - y <= h + REACH / 2:
                return index
        return None

    def _aim(self, event: PointerEvent, index: int) -> tuple[Point, Point]:
        """The pointer's place on an image, and how near a handle counts there; both in fractions of it."""
        slot, state = self._slots[index], self.session.state
        return slot.placement.to_image(event.x, event.y), reach(state.box(state.cards[index]), slot)

    def _fractions(self, event: PointerEvent) -> Point:
        """The pointer's place on the active image; outside it beyond [0, 1]."""
        return self._slots[self.session.state.active].placement.to_image(event.x, event.y)

    def _cursor(self, event: PointerEvent) -> str:
        index = self._image_at(event)
        if index is None:
            return ""
        state = self.session.state
        drag: Drag = machine.aim(state.box(state.cards[index]), *self._aim(event, index))
        return _CURSORS[drag.handle] if drag.handle else "move" if drag.mode == "move" else "crosshair"

    # --- parts ------------------------------------------------------------------------------------------------

    def _try(self, action: Callable[[], Any]) -> Any:
        """Run it; an expected failure becomes the message, anything else is a defect but is not silent either."""
        try:
            return action()
        except PickroomError as error:
            self._error = error.line
        except Exception as error:
            self._error = f"A defect in Pickroom, please report it: {type(error).__name__}: {error}"
            self.redraw()
            raise
        return None

    def _say_busy(self, text: str) -> None:
        view = self.session.view()
        if view.confirm:
            self.panel.value = words.busy(text)
        else:
            self.words.value = crop_words.lines(view, text)

    def _draw_boxes(self, view: CropDeskView) -> None:
        """Words and boxes: all that changes while a box is dragged."""
        self.words.value = crop_words.lines(view, self._error or view.message, error=bool(self._error))
        with self.overlay.drawing(self._room.width, self._room.height, self._room) as pen:
            if view.images:
                draw_page(pen, view.images, self._slots)
            else:
                draw_empty(pen, self._room.width, self._room.height, ONLY_PROBLEMS if view.problems else NOTHING)

    def _token(self) -> str:
        if self.session.state.confirming:
            return CONFIRM
        return " ".join(f"{card.directory}/{card.filename}" for card in self.session.state.cards)

    def _arrange(self, images: Sequence[CropImageView]) -> tuple[Slot, ...]:
        sizes = [(image.width, image.height) for image in images]
        return arrange(sizes, self._room.width, self._room.height)

    def _scene(self, view: CropDeskView) -> Scene:
        following = self.session.next_page()
        for image in (*view.images, *following):
            self._known.pop(image.sha256, None)
            self._known[image.sha256] = image
        for name in list(self._known)[:-KNOWN]:
            del self._known[name]
        shown = Frame(self._token(), _cells(view.images, self._slots))
        ahead = Frame("", _cells(following, self._arrange(following)))  # only prefetched: no key leads there at once
        state = self.session.state
        drag = drag_shape(state, self._slots[state.active]) if state.drag else None
        return Scene(self._room.width, self._room.height, shown, ahead={1: ahead}, drag=drag)

    def _panel(self, view: CropDeskView) -> str:
        if view.confirm:
            return crop_words.confirm(view.confirm)
        return words.legend(CROP_LEGEND) if view.help else ""


def open_crop_desk(project_id: str, home: Path | str | None = None, per_page: int = 3) -> ipywidgets.Widget:
    """The crop desk of a project for a notebook's cell.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the
    desk that was there before.

    Args:
        per_page: images side by side, 1 to 3.
    """
    if project_id in _open:
        _open.pop(project_id).close()
    try:
        desk = CropDesk(CropSession(Workspace.find(home).project(project_id), per_page=per_page))
    except PickroomError as error:
        line = _html("pickroom-desk")
        line.value = words.notice(error.line)
        return line
    _open[project_id] = desk
    return desk


_open: dict[str, CropDesk] = {}  # the desks of this kernel: a closed cell must not go on holding its session


def _html(name: str) -> ipywidgets.HTML:
    widget = ipywidgets.HTML()
    widget.add_class(name)
    return widget


def _cells(images: Sequence[CropImageView], slots: Sequence[Slot]) -> tuple[Cell, ...]:
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
