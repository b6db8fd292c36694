"""The review deck: draws a review session and forwards the user's keys to it; it holds no data.

What the user sees and presses is REVIEW.md's, The review deck.
"""

from __future__ import annotations

import threading
from html import escape

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Home, StageDesk, reopen
from pickroom.app.widgets.drawing import draw_group
from pickroom.automation.order import Order
from pickroom.core.errors import PickroomError
from pickroom.learn import progress
from pickroom.learn.background import Background
from pickroom.sessions.review.session import BATCH_SIZE, ManualSession, ReviewSession
from pickroom.sessions.review.view import DeckView, GroupView
from pickroom.store.workspace import Project

# the neighbours whose pictures the browser keeps ready, the likeliest next one first
AHEAD = (1, -1, 2, 3, -2)
STEPS = {"next": 1, "previous": -1}  # commands that always mean the same way


class Deck(StageDesk):
    """The widget of the notebook's second cell."""

    question = "Finalise this batch?"  # over the summary
    answer = "again moves the files"
    busy = "Finalising: moving files…"
    pictures_kept = 400  # a batch of the usual size
    session: ReviewSession

    def __init__(self, session: ReviewSession) -> None:
        commands = session.keys.commands
        self._steps = {key: STEPS[command.name] for key, command in commands.items() if command.name in STEPS}
        self.retrain = Retrain(session.project)
        self._offered_for: object = None  # the finalise after which it was last offered
        super().__init__(session, below=[self.retrain])

    def draw(self) -> None:
        view = self.session.view()
        zoom = self.session.state.zoom
        self.header.value = desk_html.header(view.header, view.progress)
        self.words.value = desk_html.lines(view.group, self.error or view.message, error=bool(self.error))
        self.panel.value = self._panel(view)
        with self.overlay.drawing(self.viewport) as pen:
            if view.group is not None:
                draw_group(pen, view.group, self.slots(view.group.images), zoom=zoom)
        self._show(view.group, zoom)

    def close(self) -> None:
        super().close()
        self.retrain.close()

    def apply(self, key: str) -> None:
        super().apply(key)
        # once after each finalise that decided something
        result = self.session.last_result
        if result is not None and result.batch and result is not self._offered_for:
            self._offered_for = result
            self.retrain.offer()

    def token(self) -> str:
        state = self.session.state
        return ASKED if state.summary else state.card.group_id if state.card else ""

    def _show(self, shown: GroupView | None, zoom: bool) -> None:
        session = self.session
        position = session.state.position
        near = {position + step: session.group_at(position + step) for step in AHEAD}
        ahead = {place: group for place, group in near.items() if group is not None}
        self.announce({image.sha256: image for group in (shown, *ahead.values()) if group for image in group.images})
        self.stage.show(
            self.viewport,
            self.frame_of(self.token(), shown.images if shown else ()),
            position=position,
            count=len(session.state.cards),
            ahead={place: self.frame_of(group.group_id, group.images) for place, group in ahead.items()},
            destinations=session.destinations(),
            steps={} if session.asks else self._steps,
            zoom=zoom,
        )

    def _panel(self, view: DeckView) -> str:
        state = self.session.state
        if state.summary:
            routes = [(head, rest) for head, _, rest in (line.partition(": ") for line in view.summary)]
            return desk_html.summary(self.question, routes, desk_html.again(self.answer))
        if state.help:
            return desk_html.legend(self.session.keys.legend)
        if state.info and view.group is not None:
            return desk_html.info(self.session.candidates_info(), view.group.images)
        todo = view.next_step
        return desk_html.panel(view.header, f"{todo[0].upper()}{todo[1:]}.") if todo else ""


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


_LOOK_S = 0.5  # between two looks at the progress
_OFFER = "Learn from these decisions, and recommend anew; the deck stays free meanwhile."


class Retrain(ipywidgets.HBox):
    """Hidden until there is something to offer."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.background: Background | None = None
        self._following: threading.Thread | None = None
        self._closed = threading.Event()
        self.button = ipywidgets.Button(description="Retrain", tooltip=_OFFER)
        self.button.on_click(lambda _: self.start())
        self.line = ipywidgets.HTML()
        super().__init__([self.button, self.line])
        self.layout.display = "none"

    def offer(self) -> None:
        """A batch has just been finalised."""
        if self.background is not None and self.background.running:
            return  # it says how far it is; what was just decided is for the next one
        self.button.disabled = False
        self._say(_OFFER)
        self.layout.display = None

    def start(self) -> None:
        """Start the process, and follow it without waiting."""
        from pickroom.learn import retraining  # brings PyTorch, seconds of it: a deck opens without

        self.button.disabled = True
        try:
            self.background = retraining.start_retraining(self.project)
        except PickroomError as error:
            self._ended(error.line)
            return
        self._say("Starting…")
        self._following = threading.Thread(target=self._follow, args=(self.background,), daemon=True)
        self._following.start()

    def wait(self, seconds: float) -> bool:
        """Wait until the process has ended and its result is shown; False when that takes longer."""
        if self._following is None:
            return True
        self._following.join(seconds)
        return not self._following.is_alive()

    def close(self) -> None:
        """Stop following; the process goes on, and its recommendations are stored."""
        self._closed.set()
        super().close()

    def _follow(self, background: Background) -> None:
        try:
            while background.running and not self._closed.is_set():
                if status := self._status(background):
                    self._say(status.line)
                self._closed.wait(_LOOK_S)
            if self._closed.is_set():
                return
            status = self._status(background)
        except PickroomError as error:
            self._ended(error.line)
            return
        done = status is not None and status.state == "done"
        self._ended(status.message if status and done else background.words or "It ended without a word.")

    @staticmethod
    def _status(background: Background) -> progress.Status | None:
        """What this retraining says of itself; None while the file is an earlier one's."""
        status = progress.read_status(background.workspace, background.name)
        return status if status is not None and status.pid == background.process.pid else None

    def _ended(self, text: str) -> None:
        self._say(text)
        self.button.disabled = False

    def _say(self, text: str) -> None:
        self.line.value = "<br>".join(escape(line.strip()) for line in text.splitlines())
