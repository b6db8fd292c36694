"""The review deck: draws a review session and forwards the user's keys to it; it holds no data.

What the user sees and presses is REVIEW.md's, The review deck.
"""

from __future__ import annotations

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Home, StageDesk, reopen
from pickroom.app.widgets.drawing import draw_group
from pickroom.app.widgets.retrain import Retrain
from pickroom.app.widgets.stage import Cell, Scene, StageFrame
from pickroom.automation.order import Order
from pickroom.sessions.review.session import BATCH_SIZE, ManualSession, ReviewSession
from pickroom.sessions.review.view import DeckView, GroupView

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
        self._learned_from: object = None  # the finalise after which that was last begun
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
        self.stage.show(self._scene(view.group, zoom))

    def close(self) -> None:
        super().close()
        self.retrain.close()

    def apply(self, key: str) -> None:
        super().apply(key)
        # once after each finalise that decided something
        result = self.session.last_result
        if result is not None and result.batch and result is not self._learned_from:
            self._learned_from = result
            self.retrain.start()

    def token(self) -> str:
        state = self.session.state
        return ASKED if state.summary else state.card.group_id if state.card else ""

    def _scene(self, shown: GroupView | None, zoom: bool) -> Scene:
        session = self.session
        position, count = session.state.position, len(session.state.cards)
        near = {position + step: session.group_at(position + step) for step in AHEAD}
        ahead = {place: group for place, group in near.items() if group is not None}
        self.announce({image.sha256: image for group in (shown, *ahead.values()) if group for image in group.images})
        return Scene(
            self.viewport.width,
            self.viewport.height,
            StageFrame(self.token(), self._cells(shown)),
            position=position,
            count=count,
            ahead={place: StageFrame(group.group_id, self._cells(group)) for place, group in ahead.items()},
            destinations=session.destinations(),
            steps={} if session.asks else self._steps,
            zoom=zoom,
        )

    def _cells(self, group: GroupView | None) -> tuple[Cell, ...]:
        return () if group is None else self.cells(group.images)

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
