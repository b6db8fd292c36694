"""The review deck: draws a review session and forwards the person's keys to it; it holds no data.

What the person sees and presses is REVIEW.md's, The review deck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import ipywidgets

from pickroom.automation.order import Order
from pickroom.errors import ImageError, PickroomError
from pickroom.review.session import BATCH_SIZE, ReviewSession
from pickroom.review.unaided import UnaidedSession
from pickroom.review.view import DeckView, GroupView, ImageView
from pickroom.ui import words
from pickroom.ui.group_drawing import draw_group
from pickroom.ui.layout import Slot, arrange
from pickroom.ui.overlay import Overlay
from pickroom.ui.retrain import Retrain
from pickroom.ui.stage import Cell, Frame, KeyPress, PictureKind, PointerEvent, Room, Scene, Stage
from pickroom.workspace import Project, Workspace

# the neighbours whose pictures the browser keeps ready, the likeliest next one first
AHEAD = (1, -1, 2, 3, -2)
KNOWN = 400  # pictures that the browser may still ask for: a batch of the usual size
FIRST_ROOM = Room(960, 480)  # until the first view says how much it has

SUMMARY = "summary"  # the token of the finalise summary; a group's token is its id
STEPS = {"next": 1, "previous": -1}  # commands that always mean the same way
# keys that only look, or that say themselves what they do to whichever group comes up
_LOOKS = frozenset(
    ("next", "previous", "first", "last", "next undecided", "zoom", "info", "help", "back", "undo", "redo", "filter")
)


class Deck(ipywidgets.VBox):
    """The widget of the notebook's second cell."""

    question = "Finalise this batch?"  # over the summary
    answer = "again moves the files"
    busy = "Finalising: moving files…"

    def __init__(self, session: ReviewSession) -> None:
        self.session = session
        steps = {key: STEPS[command.name] for key, command in session.keys.items() if command.name in STEPS}
        self._steps: Mapping[str, int] = steps
        self._room = FIRST_ROOM
        self._error = ""
        self._known: dict[str, ImageView] = {}  # pictures announced to the browser, by name
        self.header = _html("pickroom-header")
        self.stage = Stage(self, tuple(session.keys))
        self.overlay = Overlay()
        self.panel = _html("pickroom-panel")
        self.words = _html("pickroom-words")
        self.retrain = Retrain(session.project)
        self._offered_for: object = None  # the finalise after which it was last offered
        layers = ipywidgets.Box([self.stage, self.overlay.canvas, self.panel])
        layers.add_class("pickroom-layers")
        super().__init__([self.header, *self._tools(), layers, self.words, self.retrain])
        self.add_class("pickroom-desk")
        self.redraw()

    def redraw(self) -> None:
        """Draw everything from the session: words first, then the overlay, and last the stage, which shows it."""
        with self.stage.lock:
            self._redraw()

    def _redraw(self) -> None:
        view = self.session.view()
        self.header.value = words.header(view)
        self.words.value = words.lines(view.group, self._error or view.message, error=bool(self._error))
        self.panel.value = self._panel(view)
        slots = self._slots(view.group)
        with self.overlay.drawing(self._room.width, self._room.height, self._room) as pen:
            if view.group is not None:
                draw_group(pen, view.group, slots, zoom=view.zoom)
        self.stage.show(self._scene(view, slots))

    def close(self) -> None:
        """End the session too: a deck that is gone must not keep the database open."""
        with self.stage.lock:
            self.session.close()
        self.retrain.close()
        super().close()

    # --- what the stage tells ---------------------------------------------------------------------------------

    def room_changed(self, room: Room) -> None:
        self._room = room
        self._try(self.session.refresh)
        self.redraw()

    def focus_changed(self, on: bool) -> None:
        # the person comes back, perhaps from another window on the same project
        if on and self._try(self.session.refresh):
            self.redraw()

    def pointer_moved(self, event: PointerEvent) -> None:
        """Clicks come as keys."""

    def key_pressed(self, press: KeyPress) -> None:
        self._error = ""
        self._try(self.session.refresh)  # another window may have taken away what was on screen here
        command = self.session.keys.get(press.key)
        state = self.session.state
        if command is not None and command.name not in _LOOKS and press.seen != self._token():
            # what it would decide was not on screen when it was pressed: a slow kernel, a double press
            self._error = f"{press.key} was too early: the deck was still changing. Look, and press it again"
        else:
            if state.summary and command is not None and command.name == "finalise":
                self.panel.value = words.busy(self.busy)
            self._try(lambda: self.session.press(press.key))
            self._offer_retraining()
        self.redraw()

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        image = self._known.get(name)
        if image is None:
            return None
        try:
            return self.session.original(image) if kind == "original" else ("image/jpeg", self.session.preview(image))
        except OSError as error:
            raise ImageError(Path(image.directory, image.filename), error.strerror or str(error)) from None

    # --- parts ------------------------------------------------------------------------------------------------

    def _tools(self) -> Sequence[ipywidgets.Widget]:
        """What stands between the header and the images."""
        return ()

    def _offer_retraining(self) -> None:
        """Once after each finalise that decided something."""
        result = getattr(self.session, "last_result", None)
        if result is not None and result.batch and result is not self._offered_for:
            self._offered_for = result
            self.retrain.offer()

    def _try(self, action):
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

    def _token(self) -> str:
        state = self.session.state
        if state.summary:
            return SUMMARY
        return state.card.group_id if state.card else ""

    def _slots(self, group: GroupView | None) -> tuple[Slot, ...]:
        if group is None:
            return ()
        sizes = [(image.width, image.height) for image in group.images]
        return arrange(sizes, self._room.width, self._room.height)

    def _scene(self, view: DeckView, slots: tuple[Slot, ...]) -> Scene:
        session = self.session
        position, count = session.state.position, len(session.state.cards)
        shown = Frame(self._token(), _cells(view.group, slots))
        ahead = {}
        groups = [view.group]
        for place, group in self._neighbours(position):
            groups.append(group)
            ahead[place] = Frame(group.group_id, _cells(group, self._slots(group)))
        self._known |= {image.sha256: image for group in groups if group for image in group.images}
        for name in list(self._known)[:-KNOWN]:
            del self._known[name]
        return Scene(
            self._room.width,
            self._room.height,
            shown,
            position=position,
            count=count,
            ahead=ahead,
            destinations=session.destinations(),
            steps={} if view.summary else self._steps,
            zoom=view.zoom,
        )

    def _neighbours(self, position: int) -> Iterator[tuple[int, GroupView]]:
        for step in AHEAD:
            group = self.session.group_at(position + step)
            if group is not None:
                yield position + step, group

    def _panel(self, view: DeckView) -> str:
        if view.summary:
            return words.summary(view.summary, self.question, self.answer)
        if view.help:
            return words.legend(self.session.legend)
        if view.info and view.group is not None:
            return words.info(self.session.candidates_info(), view.group.images)
        return ""


def open_deck(
    project_id: str,
    home: Path | str | None = None,
    batch_size: int = BATCH_SIZE,
    blind: bool = False,
    order: Order = "worth",
) -> ipywidgets.Widget:
    """The deck of a project for a notebook's cell, where the last review left off.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the
    deck that was there before.
    """
    return _opened(project_id, home, lambda p: ReviewSession(p, batch_size=batch_size, blind=blind, order=order))


def open_unaided_deck(
    project_id: str, home: Path | str | None = None, batch_size: int = BATCH_SIZE
) -> ipywidgets.Widget:
    """The same deck without any recommendation; see `open_deck`."""
    return _opened(project_id, home, lambda p: UnaidedSession(p, batch_size=batch_size))


def _opened(
    project_id: str, home: Path | str | None, session_of: Callable[[Project], ReviewSession]
) -> ipywidgets.Widget:
    if project_id in _open:
        _open.pop(project_id).close()
    try:
        deck = Deck(session_of(Workspace.find(home).project(project_id)))
    except PickroomError as error:
        return ipywidgets.HTML(words.notice(error.line))
    _open[project_id] = deck
    return deck


_open: dict[str, Deck] = {}  # the decks of this kernel: a closed cell must not go on holding its session


def _html(name: str) -> ipywidgets.HTML:
    widget = ipywidgets.HTML()
    widget.add_class(name)
    return widget


def _cells(group: GroupView | None, slots: tuple[Slot, ...]) -> tuple[Cell, ...]:
    if group is None:
        return ()
    return tuple(
        Cell(
            name=image.sha256,
            number=image.number,
            box=slot.box,
            window=slot.window,
            size=(image.width, image.height),
            label=f"{image.number}: {image.filename}, {image.label}",
        )
        for image, slot in zip(group.images, slots, strict=True)
    )
