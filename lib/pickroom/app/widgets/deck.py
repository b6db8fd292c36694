"""The review deck and the crop desk: draw a session and forward the user's keys and drags to it; they hold no data.

What the user sees and presses is REVIEW.md's, The review deck, and The crop desk.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Home, StageDesk, reopen
from pickroom.app.widgets.drawing import REACH, drag_shape, draw_group, draw_page, group_caption, page_caption, reach
from pickroom.app.widgets.links import Retrain
from pickroom.app.widgets.overlay import Slot
from pickroom.app.widgets.stage import PointerEvent
from pickroom.automation.order import Order
from pickroom.core.errors import PickroomError
from pickroom.core.records import MAX_GROUP
from pickroom.images import metadata, thumbnails
from pickroom.sessions.crop import state as machine
from pickroom.sessions.crop.editing import Handle, Point
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.crop.state import CropDeskView, CropImageView
from pickroom.sessions.review.session import BATCH_SIZE, ManualSession, ReviewSession
from pickroom.sessions.review.state import destinations
from pickroom.sessions.review.view import DeckView, GroupView, ImageView

# the neighbours whose pictures the browser keeps ready, the likeliest next one first
AHEAD = (1, -1, 2, 3, -2)
NEXT_ROUND = -1  # no place of a batch: the pictures of a burst's next round are kept ready, and swapped to by no key
STRIP_SIDE = 96  # pixels of a thumbnail of the film strip, for 40 CSS pixels on a screen of twice as many
STEPS = {"next": 1, "previous": -1}  # commands that always mean the same way


class Deck(StageDesk):
    """The widget of the notebook's second cell."""

    question = "Finalise this batch?"  # over the summary
    choices = (("accept", "Accept"), ("reject", "Reject all"), ("keep", "Keep all"), ("skip", "Skip"))  # buttons
    answer = "Finalise"  # the button that asks, and the one that does it
    busy = "Finalising: moving files…"
    pictures_kept = 400  # a batch of the usual size
    session: ReviewSession

    def __init__(self, session: ReviewSession) -> None:
        self.retrain = Retrain(session.project)
        self._learned_from: object = None  # the finalise after which that was last begun
        self._made_with: dict[str, str] = {}  # content -> what its file says of how it was made, "" while that is read
        self._strip_of, self._strip = "", dict[str, bytes]()  # the burst of the film strip, its thumbnails by content
        self._reader = ThreadPoolExecutor(1, thread_name_prefix="settings and film strips")
        super().__init__(session, below=[self.retrain])

    def draw(self) -> None:
        view = self.session.view()
        zoom = self.session.state.zoom
        self.header.value = desk_html.header(view.header, view.progress, self._buttons())
        self.tools.value = self.tool_row(view.group)
        self.words.value = desk_html.lines(view.group, self.error or view.message, error=bool(self.error))
        self.panel.value = self._panel(view)
        with self.overlay.drawing(self.viewport) as pen:
            if view.group is not None:
                draw_group(pen, view.group, self.slots(view.group.images), zoom=bool(zoom))
        session, shown, position = self.session, view.group, self.session.state.position
        near = {position + step: session.group_at(position + step) for step in AHEAD}
        near[NEXT_ROUND] = session.next_round()
        ahead = {place: group for place, group in near.items() if group is not None}
        self.announce({image.sha256: image for group in (shown, *ahead.values()) if group for image in group.images})
        self.stage.show(
            self.viewport,
            self._frame(self.token(), shown.images if shown else (), position, zoom=bool(zoom)),
            position=position,
            count=len(session.state.cards),
            ahead={place: self._frame(group.token, group.images, place) for place, group in ahead.items()},
            destinations=destinations(session.state, session.keys),
            steps=self.steps(STEPS),
            zoom=zoom,
        )
        unread = [i for group in (shown, *ahead.values()) if group for i in group.images if not i.details]
        if unread := [image for image in unread if image.sha256 not in self._made_with]:
            self._made_with |= dict.fromkeys((image.sha256 for image in unread), "")
            self._reader.submit(self.attempt, partial(self._read_settings, unread))

    def tool_row(self, group: GroupView | None) -> str:
        """The film strip; a batch with a large burst keeps its place free, so that no image changes its size."""
        if all(card.count <= MAX_GROUP for card in self.session.state.cards):
            return ""
        if group is not None and group.strip and group.group_id != self._strip_of:
            self._strip_of, self._strip = group.group_id, {}
            self._reader.submit(self.attempt, partial(self._read_strip, group))
        return desk_html.film_strip(group, self._strip)

    def _read_strip(self, group: GroupView) -> None:
        """Read the thumbnails of a burst, which takes too long for a key; runs in the thread of `_read_settings`."""
        found = {}
        for image, _ in group.strip:
            path = self.session.project.path(image.directory, image.filename)
            with suppress(PickroomError, OSError):  # the stage says why an image cannot be shown
                small = thumbnails.read_small(self.session.previews, image.sha256, path)
                found[image.sha256] = thumbnails.shrink(small, STRIP_SIDE)
        with self.surface.lock:
            if self._strip_of == group.group_id:
                self._strip = found
                self.redraw()

    def _read_settings(self, images: Sequence[ImageView]) -> None:
        """Read how images were made, which takes too long for a key; runs in a thread of its own."""
        found = {}
        for image in images:
            found[image.sha256] = metadata.made_with(self.session.project.path(image.directory, image.filename))
        if any(found.values()):
            with self.surface.lock:
                self._made_with |= found
                self.redraw()

    def _frame(self, token: str, images: Sequence[ImageView], position: int, *, zoom: bool = False) -> dict[str, Any]:
        head = f"Group {position + 1} of {len(self.session.state.cards)}, {spoken(images)}" if images else ""
        captions = [
            replace(
                group_caption(image, image.details or self._made_with.get(image.sha256, "")),
                button=self.button("crop", "Crop", index=index, kind="plain", title="Pick it, and crop it by hand"),
            )
            for index, image in enumerate(images)
        ]
        shown = [(i.sha256, (i.width, i.height), caption) for i, caption in zip(images, captions, strict=True)]
        frame = self.frame(token, shown, head=head, zoom=zoom)
        for cell, image in zip(frame["cells"], images, strict=True):
            cell |= {"face": image.face, "noFace": image.no_face}
        return frame

    def close(self) -> None:
        self._reader.shutdown(wait=False, cancel_futures=True)
        super().close()
        self.retrain.close()

    def apply(self, key: str) -> None:
        super().apply(key)
        # once after each finalise that decided something
        result = self.session.last_result
        if result is not None and result.batch and result is not self._learned_from:
            self._learned_from = result
            self.retrain.start()

    def _buttons(self) -> str:
        """What keys do, for the mouse; an image is picked by a click on it."""
        if not self.session.state.cards:
            return ""
        going = self.button("previous", "‹", title="The group before"), self.button("next", "›", title="The next group")
        kind = "on" if self.session.state.zoom == "faces" else ""
        has_faces = any(command.name == "faces" for command in self.session.keys.commands.values())
        faces = [self.button("faces", "Faces", kind=kind, title="The faces, enlarged")] if has_faces else []
        choices = [self.button(command, text) for command, text in self.choices]
        undo = self.button("undo", "Undo", enabled=bool(self.session.state.undo))
        return "".join((*going, *faces, *choices, undo, self.button("finalise", self.answer, kind="main")))

    def token(self) -> str:
        state = self.session.state
        shown = self.session.group_at(state.position)
        return ASKED if state.summary else shown.token if shown else ""

    def _panel(self, view: DeckView) -> str:
        state = self.session.state
        if state.summary:
            routes = [(head, rest) for head, _, rest in (line.partition(": ") for line in view.summary)]
            return desk_html.summary(self.question, routes, desk_html.answers("Shift+Enter", self.answer))
        if state.help:
            return desk_html.legend(self.session.keys.legend)
        if state.info and view.group is not None:
            return desk_html.info(self.session.candidates_info(), view.group.images)
        todo = view.next_step
        return desk_html.panel(view.header, f"{todo[0].upper()}{todo[1:]}.") if todo else ""


def spoken(images: Sequence[ImageView]) -> str:
    """What is chosen of a group, read aloud: `image 2 picked`."""
    kept = [str(image.number) for image in images if image.mark == "keep"]
    if not kept:
        return "undecided" if images[0].mark == "none" else "rejected"
    return "all kept" if len(kept) == len(images) else f"image {' and '.join(kept)} picked"


def open_deck(
    project_id: str, home: Home = None, batch_size: int = BATCH_SIZE, blind: bool = False, order: Order = "worth"
) -> ipywidgets.Widget:
    """The deck of a project for a notebook's cell, where the last review left off; see `reopen`."""
    return reopen(
        "deck", project_id, home, lambda p: Deck(ReviewSession(p, batch_size=batch_size, blind=blind, order=order))
    )


def open_manual_deck(project_id: str, home: Home = None, batch_size: int = BATCH_SIZE) -> ipywidgets.Widget:
    """The same deck without any recommendation; see `open_deck`."""
    return reopen("deck", project_id, home, lambda p: Deck(ManualSession(p, batch_size=batch_size)))


SLOP = 3.0  # CSS pixels the pointer moves before a press becomes a drag: a click changes no box
NOTHING = (
    "Images come here from the review",
    "Press Q W E R there, or A while the AI's crop is shown. B brings the last one back.",
)
ONLY_PROBLEMS = ("No image can be cropped yet", "The reasons are below.")
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
        nothing = "" if view.images else desk_html.panel(*(ONLY_PROBLEMS if view.problems else NOTHING))
        self.panel.value = desk_html.crop_question(view.confirm) if view.confirm else help or nothing
        self._draw_boxes(view)
        following, state = self.session.next_page(), self.session.state
        self.announce({image.sha256: image for image in (*view.images, *following)})
        self.stage.show(
            self.viewport,
            self._frame(self.token(), view.images),
            ahead={1: self._frame("", following)},  # only prefetched: no key leads there at once
            drag=drag_shape(state, self._slots[state.active]) if state.drag else None,
        )

    def _frame(self, token: str, images: Sequence[CropImageView]) -> dict[str, Any]:
        return self.frame(token, [(i.sha256, (i.width, i.height), page_caption(i)) for i in images])

    def catch_up(self) -> None:
        """Nothing: a page stays as it is while boxes are drawn on it; a submit looks at the files itself."""

    def apply(self, key: str) -> None:
        shape = key.removeprefix(desk_html.SHAPE)
        if shape != key and shape in desk_html.SHAPES:
            self.session.state = machine.set_shape(self.session.state, shape)
            return
        command = self.session.keys.commands.get(key)
        if command is not None and command.name in _BUSY:
            view, busy = self.session.view(), _BUSY[command.name]
            if view.confirm:
                self.panel.value = desk_html.panel(busy)
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
                place = self._slots[self.session.state.active].placement  # beyond [0, 1] outside the image
                self.session.state = machine.drag_to(self.session.state, place.to_image(event.x, event.y))
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
        self.session.state = machine.drag_start(self.session.state, index, *self._aim(event, index))
        self.redraw()

    def _release(self) -> None:
        if self._pressed is not None:
            self._pressed = None
            self.session.state = machine.drag_end(self.session.state)
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
            draw_page(pen, view.images, self._slots)


def open_crop_desk(project_id: str, home: Home = None, per_page: int = 3) -> ipywidgets.Widget:
    """The crop desk of a project for a notebook's cell, with 1 to 3 images side by side; see `reopen`."""
    return reopen("crop", project_id, home, lambda project: CropDesk(CropSession(project, per_page=per_page)))
