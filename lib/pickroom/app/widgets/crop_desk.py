"""The crop desk: draws a crop session, forwards the user's keys and drags to it; it holds no data.

What the user sees and presses is REVIEW.md's, The crop desk.
"""

from __future__ import annotations

import math

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Home, StageDesk, reopen
from pickroom.app.widgets.drawing import REACH, drag_shape, draw_empty, draw_page, reach
from pickroom.app.widgets.overlay import Slot
from pickroom.app.widgets.stage import PointerEvent
from pickroom.sessions.crop import state as machine
from pickroom.sessions.crop.editing import Handle, Point
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.crop.state import CropDeskView

SLOP = 3.0  # CSS pixels the pointer moves before a press becomes a drag: a click changes no box
NOTHING = (
    "No image waits for its crop.",
    "Images come here from the review: Q W E R, or A while the AI's crop is shown.  B brings the last one back.",
)
ONLY_PROBLEMS = ("No image can be cropped yet.", "The reasons are below.")
_BUSY = {"submit": "Cropping…", "delete": "Moving…", "back": "Bringing the last image back…"}
_CURSORS: dict[Handle, str] = {
    **{"nw": "nwse-resize", "se": "nwse-resize", "ne": "nesw-resize", "sw": "nesw-resize"},
    **{"n": "ns-resize", "s": "ns-resize", "w": "ew-resize", "e": "ew-resize"},
}


class CropDesk(StageDesk):
    """The widget of the notebook's second cell."""

    pictures_kept = 60
    session: CropSession

    def __init__(self, session: CropSession) -> None:
        self._slots: tuple[Slot, ...] = ()
        self._pressed: PointerEvent | None = None  # where the pointer went down on an image
        self._dragging = False
        super().__init__(session, pointer="drag")

    def draw(self) -> None:
        view = self.session.view()
        self._slots = self.slots(view.images)
        self.header.value = desk_html.header(view.header)
        self.tools.value = desk_html.crop_tools(view, self.button)
        help = desk_html.legend(self.session.keys.legend) if self.session.state.help else ""
        self.panel.value = desk_html.crop_question(view.confirm) if view.confirm else help
        self._draw_boxes(view)
        following, state = self.session.next_page(), self.session.state
        self.announce({image.sha256: image for image in (*view.images, *following)})
        self.stage.show(
            self.viewport,
            self.frame_of(self.token(), view.images),
            ahead={1: self.frame_of("", following)},  # only prefetched: no key leads there at once
            drag=drag_shape(state, self._slots[state.active]) if state.drag else None,
        )

    def catch_up(self) -> None:
        """Nothing: a page stays as it is while boxes are drawn on it; a submit looks at the files itself."""

    def apply(self, key: str) -> None:
        shape = key.removeprefix(desk_html.SHAPE)
        if shape != key and shape in desk_html.SHAPES:
            self.session.edit(lambda state: machine.set_shape(state, shape))
            return
        command = self.session.keys.commands.get(key)
        if command is not None and command.name in _BUSY:
            view, busy = self.session.view(), _BUSY[command.name]
            if view.confirm:
                self.panel.value = desk_html.busy(busy)
            else:
                self.words.value = desk_html.crop_lines(view, busy)
        super().apply(key)

    def pointer_moved(self, event: PointerEvent) -> None:
        self.attempt(lambda: self._point(event))

    def token(self) -> str:
        state = self.session.state
        if state.confirming:
            return ASKED
        page = " ".join(f"{card.directory}/{card.filename}" for card in state.cards)
        # the Enter that a slow server made two must not answer the question that the first one asked
        return f"{page} asked {state.active}" if state.asked else page

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
                self.session.edit(lambda state: machine.drag_to(state, self._fractions(event)))
            if event.phase == "move" and self._dragging:
                self._draw_boxes(self.session.view())
            elif event.phase == "up":
                self._release()

    def _press(self, event: PointerEvent) -> None:
        index = self._image_at(event)
        if index is None or event.seen != self.token() or self.session.state.confirming:
            return
        self.error = ""
        self._pressed, self._dragging = event, False
        self.session.edit(lambda state: machine.drag_start(state, index, *self._aim(event, index)))
        self.redraw()

    def _release(self) -> None:
        if self._pressed is not None:
            self._pressed = None
            self.session.edit(machine.drag_end)
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
        drag = machine.aim(state.box(state.cards[index]), *self._aim(event, index))
        return _CURSORS[drag.handle] if drag.handle else "move" if drag.mode == "move" else "crosshair"

    def _draw_boxes(self, view: CropDeskView) -> None:
        """Words and boxes: all that changes while a box is dragged."""
        self.words.value = desk_html.crop_lines(view, self.error or view.message, error=bool(self.error))
        with self.overlay.drawing(self.viewport) as pen:
            if view.images:
                draw_page(pen, view.images, self._slots)
            else:
                draw_empty(pen, self.viewport, ONLY_PROBLEMS if view.problems else NOTHING)


def open_crop_desk(project_id: str, home: Home = None, per_page: int = 3) -> ipywidgets.Widget:
    """The crop desk of a project for a notebook's cell; see `reopen`.

    Args:
        per_page: images side by side, 1 to 3.
    """
    return reopen("crop", project_id, home, lambda project: CropDesk(CropSession(project, per_page=per_page)))
