"""The crop desk: draws a crop session, forwards the person's keys and drags to it; it holds no data.

What the person sees and presses is REVIEW.md's, The crop desk.
"""

from __future__ import annotations

import math
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import crop_html, deck_html
from pickroom.app.widgets.crop_drawing import REACH, drag_shape, draw_empty, draw_page, reach
from pickroom.app.widgets.desk import Desk, cells, reopen
from pickroom.app.widgets.layout import Slot
from pickroom.app.widgets.stage import Frame, PictureKind, PointerEvent, Scene
from pickroom.core.errors import ImageError
from pickroom.sessions.crop import state as machine
from pickroom.sessions.crop.editing import Handle, Point
from pickroom.sessions.crop.keys import CROP_KEYS, CROP_LEGEND, REPEATING
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.crop.state import Drag
from pickroom.sessions.crop.view import CropDeskView, CropImageView
from pickroom.store.workspace import Workspace

SLOP = 3.0  # CSS pixels the pointer moves before a press becomes a drag: a click changes no box
CONFIRM = "confirm"  # the token of the question; a page's token names its images
NOTHING = (
    "No image waits for its crop.",
    "Images come here from the review: Q W E R, or A while the AI's crop is shown.  B brings the last one back.",
)
ONLY_PROBLEMS = ("No image can be cropped yet.", "The reasons are below.")
# keys that only look
_LOOKS = frozenset(("help", "close"))
_BUSY = {"submit": "Cropping…", "delete": "Moving…", "back": "Bringing the last image back…"}
_CURSORS: dict[Handle, str] = {
    **{"nw": "nwse-resize", "se": "nwse-resize", "ne": "nesw-resize", "sw": "nesw-resize"},
    **{"n": "ns-resize", "s": "ns-resize", "w": "ew-resize", "e": "ew-resize"},
}


class CropDesk(Desk):
    """The widget of the notebook's second cell."""

    pictures_kept = 60
    session: CropSession

    def __init__(self, session: CropSession) -> None:
        self._slots: tuple[Slot, ...] = ()
        self._pressed: PointerEvent | None = None  # where the pointer went down on an image
        self._dragging = False
        repeating = tuple(key for key, command in CROP_KEYS.items() if command.name in REPEATING)
        super().__init__(session, tuple(CROP_KEYS), pointer="drag", repeating=repeating)

    def draw(self) -> None:
        view = self.session.view()
        self._slots = self.slots(view.images)
        self.header.value = crop_html.header(view)
        self.tools.value = crop_html.tools(view)
        self.panel.value = self._panel(view)
        self._draw_boxes(view)
        self.stage.show(self._scene(view))

    # --- what the stage tells ---------------------------------------------------------------------------------

    def catch_up(self) -> None:
        """Nothing: a page stays as it is while boxes are drawn on it; a submit looks at the files itself."""

    def only_looks(self, key: str) -> bool:
        command = CROP_KEYS.get(key)
        return command is not None and command.name in _LOOKS

    def apply(self, key: str) -> None:
        shape = key.removeprefix(crop_html.SHAPE) if key.startswith(crop_html.SHAPE) else None
        if shape in crop_html.SHAPES:
            self.attempt(lambda: self.session.set_shape(shape))
            return
        command = CROP_KEYS.get(key)
        if command is not None and command.name in _BUSY:
            self._say_busy(_BUSY[command.name])
        super().apply(key)

    def pointer_moved(self, event: PointerEvent) -> None:
        self.attempt(lambda: self._point(event))

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        image: CropImageView | None = self.announced(name)
        if image is None:
            return None
        path = Path(image.directory, image.filename)
        if not image.sha256:
            raise ImageError(path, "no longer there")
        try:
            return "image/jpeg", self.session.preview(image)
        except OSError as error:
            raise ImageError(path, error.strerror or str(error)) from None

    def token(self) -> str:
        if self.session.state.confirming:
            return CONFIRM
        state = self.session.state
        page = " ".join(f"{card.directory}/{card.filename}" for card in state.cards)
        # the Enter that a slow server made two must not answer the question that the first one asked
        return f"{page} asked {state.active}" if state.asked else page

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
        if index is None or event.seen != self.token() or self.session.state.confirming:
            return
        self.error = ""
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

    def _say_busy(self, text: str) -> None:
        view = self.session.view()
        if view.confirm:
            self.panel.value = deck_html.busy(text)
        else:
            self.words.value = crop_html.lines(view, text)

    def _draw_boxes(self, view: CropDeskView) -> None:
        """Words and boxes: all that changes while a box is dragged."""
        self.words.value = crop_html.lines(view, self.error or view.message, error=bool(self.error))
        with self.overlay.drawing(self.viewport.width, self.viewport.height, self.viewport) as pen:
            if view.images:
                draw_page(pen, view.images, self._slots)
            else:
                draw_empty(pen, self.viewport.width, self.viewport.height, ONLY_PROBLEMS if view.problems else NOTHING)

    def _scene(self, view: CropDeskView) -> Scene:
        following = self.session.next_page()
        self.announce({image.sha256: image for image in (*view.images, *following)})
        shown = Frame(self.token(), cells(view.images, self._slots))
        ahead = Frame("", cells(following, self.slots(following)))  # only prefetched: no key leads there at once
        state = self.session.state
        drag = drag_shape(state, self._slots[state.active]) if state.drag else None
        return Scene(self.viewport.width, self.viewport.height, shown, ahead={1: ahead}, drag=drag)

    def _panel(self, view: CropDeskView) -> str:
        if view.confirm:
            return crop_html.confirm(view.confirm)
        return deck_html.legend(CROP_LEGEND) if view.help else ""


def open_crop_desk(project_id: str, home: Path | str | None = None, per_page: int = 3) -> ipywidgets.Widget:
    """The crop desk of a project for a notebook's cell.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the
    desk that was there before.

    Args:
        per_page: images side by side, 1 to 3.
    """
    return reopen(
        "crop", project_id, lambda: CropDesk(CropSession(Workspace.find(home).project(project_id), per_page=per_page))
    )
