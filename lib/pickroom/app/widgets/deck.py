"""The review deck: draws a review session and forwards the person's keys to it; it holds no data.

What the person sees and presses is REVIEW.md's, The review deck.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import deck_html
from pickroom.app.widgets.desk import Desk, cells, reopen
from pickroom.app.widgets.group_drawing import draw_group
from pickroom.app.widgets.layout import Slot
from pickroom.app.widgets.retrain import Retrain
from pickroom.app.widgets.stage import Cell, Frame, PictureKind, Scene
from pickroom.automation.order import Order
from pickroom.core.errors import ImageError
from pickroom.sessions.review.manual import ManualSession
from pickroom.sessions.review.session import BATCH_SIZE, ReviewSession
from pickroom.sessions.review.view import DeckView, GroupView, ImageView
from pickroom.store.workspace import Project, Workspace

# the neighbours whose pictures the browser keeps ready, the likeliest next one first
AHEAD = (1, -1, 2, 3, -2)

SUMMARY = "summary"  # the token of the finalise summary; a group's token is its id
STEPS = {"next": 1, "previous": -1}  # commands that always mean the same way
# keys that only look, or that say themselves what they do to whichever group comes up
_LOOKS = frozenset(
    ("next", "previous", "first", "last", "next undecided", "zoom", "info", "help", "back", "undo", "redo", "filter")
)


class Deck(Desk):
    """The widget of the notebook's second cell."""

    question = "Finalise this batch?"  # over the summary
    answer = "again moves the files"
    busy = "Finalising: moving files…"
    pictures_kept = 400  # a batch of the usual size
    session: ReviewSession

    def __init__(self, session: ReviewSession) -> None:
        steps = {key: STEPS[command.name] for key, command in session.keys.items() if command.name in STEPS}
        self._steps: Mapping[str, int] = steps
        self.retrain = Retrain(session.project)
        self._offered_for: object = None  # the finalise after which it was last offered
        super().__init__(session, tuple(session.keys), below=[self.retrain])

    def draw(self) -> None:
        view = self.session.view()
        self.header.value = deck_html.header(view)
        self.words.value = deck_html.lines(view.group, self.error or view.message, error=bool(self.error))
        self.panel.value = self._panel(view)
        slots = self._group_slots(view.group)
        with self.overlay.drawing(self.viewport.width, self.viewport.height, self.viewport) as pen:
            if view.group is not None:
                draw_group(pen, view.group, slots, zoom=view.zoom)
        self.stage.show(self._scene(view, slots))

    def close(self) -> None:
        super().close()
        self.retrain.close()

    # --- what the stage tells ---------------------------------------------------------------------------------

    def only_looks(self, key: str) -> bool:
        command = self.session.keys.get(key)
        return command is None or command.name in _LOOKS

    def apply(self, key: str) -> None:
        command = self.session.keys.get(key)
        if self.session.state.summary and command is not None and command.name == "finalise":
            self.panel.value = deck_html.busy(self.busy)
        super().apply(key)
        self._offer_retraining()

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        image: ImageView | None = self.announced(name)
        if image is None:
            return None
        try:
            pictures = self.session.pictures
            return pictures.original(image) if kind == "original" else ("image/jpeg", pictures.preview(image))
        except OSError as error:
            raise ImageError(Path(image.directory, image.filename), error.strerror or str(error)) from None

    def token(self) -> str:
        state = self.session.state
        if state.summary:
            return SUMMARY
        return state.card.group_id if state.card else ""

    # --- parts ------------------------------------------------------------------------------------------------

    def _offer_retraining(self) -> None:
        """Once after each finalise that decided something."""
        result = getattr(self.session, "last_result", None)
        if result is not None and result.batch and result is not self._offered_for:
            self._offered_for = result
            self.retrain.offer()

    def _group_slots(self, group: GroupView | None) -> tuple[Slot, ...]:
        return () if group is None else self.slots(group.images)

    def _scene(self, view: DeckView, slots: tuple[Slot, ...]) -> Scene:
        session = self.session
        position, count = session.state.position, len(session.state.cards)
        shown = Frame(self.token(), _cells(view.group, slots))
        ahead = {}
        groups = [view.group]
        for place, group in self._neighbours(position):
            groups.append(group)
            ahead[place] = Frame(group.group_id, _cells(group, self._group_slots(group)))
        self.announce({image.sha256: image for group in groups if group for image in group.images})
        return Scene(
            self.viewport.width,
            self.viewport.height,
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
            return deck_html.summary(view.summary, self.question, self.answer)
        if view.help:
            return deck_html.legend(self.session.legend)
        if view.info and view.group is not None:
            return deck_html.info(self.session.candidates_info(), view.group.images)
        return deck_html.next_step(view.header, view.next_step) if view.next_step else ""


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


def open_manual_deck(
    project_id: str, home: Path | str | None = None, batch_size: int = BATCH_SIZE
) -> ipywidgets.Widget:
    """The same deck without any recommendation; see `open_deck`."""
    return _opened(project_id, home, lambda p: ManualSession(p, batch_size=batch_size))


def _opened(
    project_id: str, home: Path | str | None, session_of: Callable[[Project], ReviewSession]
) -> ipywidgets.Widget:
    return reopen("deck", project_id, lambda: Deck(session_of(Workspace.find(home).project(project_id))))


def _cells(group: GroupView | None, slots: tuple[Slot, ...]) -> tuple[Cell, ...]:
    return () if group is None else cells(group.images, slots)
