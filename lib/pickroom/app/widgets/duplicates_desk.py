"""The duplicates desk: draws a session's pair side by side and forwards keys to it; it holds no data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import deck_html, grid_html
from pickroom.app.widgets.desk import Desk, reopen
from pickroom.app.widgets.layout import Slot
from pickroom.app.widgets.pair_drawing import Differences, Mark, caption, differences, draw_pair, measured
from pickroom.app.widgets.stage import Cell, Frame, PictureKind, Scene
from pickroom.core.errors import ImageError
from pickroom.images import decode, thumbnails
from pickroom.sessions.duplicates.finding import Copy, Pair, Thresholds
from pickroom.sessions.duplicates.gathering import projects_of
from pickroom.sessions.duplicates.keys import DUPLICATES_LEGEND
from pickroom.sessions.duplicates.session import DuplicatesSession
from pickroom.store.workspace import Workspace

AHEAD = (1, -1, 2)  # the neighbours whose pictures the browser keeps ready
SUMMARY = "summary"  # the token of the summary; a pair's token names its files
_STEPS = {"next pair": 1, "previous pair": -1}
# keys that decide nothing about what is on screen
_LOOKS = frozenset(("next pair", "previous pair", "first pair", "last pair", "next open", "differences", "large"))
_LOOKS |= {"help", "back", "undo", "redo", "suggested for exact"}


class DuplicatesDesk(Desk):
    """The widget of the notebook's last cell."""

    session: DuplicatesSession

    def __init__(self, session: DuplicatesSession) -> None:
        self._compared: dict[str, Differences] = {}  # the latest pairs' differences, by token
        super().__init__(session, tuple(session.keys))

    # --- what the stage tells ---------------------------------------------------------------------------------

    def only_looks(self, key: str) -> bool:
        command = self.session.keys.get(key)
        return command is None or command.name in _LOOKS

    def apply(self, key: str) -> None:
        command = self.session.keys.get(key)
        if self.session.board.summary and command is not None and command.name == "finalise":
            self.panel.value = deck_html.busy("Moving files…")
        super().apply(key)

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        copy: Copy | None = self.announced(name)
        if copy is None:
            return None
        project, path = self.session.path(copy)
        file = project.root / path
        try:
            if kind == "preview":
                return "image/jpeg", thumbnails.read(project.workspace.thumbnails, copy.sha256, file)
            return "image/png", decode.encode_png(decode.read_rgb(file))
        except OSError as error:
            raise ImageError(file, error.strerror or str(error)) from None

    # --- parts ------------------------------------------------------------------------------------------------

    def draw(self) -> None:
        board, pair = self.session.board, self.session.pair
        self.header.value = grid_html.header(self.session.header())
        self.tools.value = self._tool_row(pair)
        self.panel.value = self._panel()
        self.words.value = self._lines(pair)
        slots = self._pair_slots(pair)
        with self.overlay.drawing(self.viewport.width, self.viewport.height, self.viewport) as pen:
            if pair is not None:
                heat = self._differences(pair).heat if self.session.differences else None
                captions = [caption(copy, with_project=pair.across) for copy in (pair.a, pair.b)]
                suggested = None if pair.across or self.session.review_first(pair) else 0
                draw_pair(pen, slots, captions, self._marks(pair), suggested, heat, zoom=board.large)
        self.stage.show(self._scene(pair, slots))

    def token(self) -> str:
        if self.session.board.summary:
            return SUMMARY
        return _token_of(self.session.pair)

    def _marks(self, pair: Pair) -> tuple[Mark, Mark]:
        match self.session.outcome(pair):
            case "a":
                return "keep", "reject"
            case "b":
                return "reject", "keep"
            case "both":
                return "keep", "keep"
            case "none":
                return "reject", "reject"
        return "none", "none"

    def _differences(self, pair: Pair) -> Differences:
        token = _token_of(pair)
        if token not in self._compared:
            self._compared[token] = self._look_at(pair)
            for old in list(self._compared)[:-20]:
                del self._compared[old]
        return self._compared[token]

    def _look_at(self, pair: Pair) -> Differences:
        pictures = []
        for copy in (pair.a, pair.b):
            project, path = self.session.path(copy)
            folder = project.workspace.thumbnails
            try:
                thumbnails.read(folder, copy.sha256, project.root / path)
                pictures.append(decode.read_rgb(thumbnails.thumbnail_path(folder, copy.sha256)))
            except (ImageError, OSError):
                return Differences(None, None)  # the stage says on the picture why it cannot be shown
        return differences(*pictures)

    def _pair_slots(self, pair: Pair | None) -> tuple[Slot, ...]:
        return () if pair is None else self.slots((pair.a, pair.b))

    def _scene(self, pair: Pair | None, slots: tuple[Slot, ...]) -> Scene:
        session = self.session
        board, position = session.board, session.position
        ahead = {}
        near = [pair]
        for place in (position + step for step in AHEAD):
            if 0 <= place < len(session.pairs):
                other = session.pairs[place]
                near.append(other)
                ahead[place] = Frame(_token_of(other), _cells(other, self._pair_slots(other)))
        self.announce({_name(copy, n): copy for one in near if one for n, copy in enumerate((one.a, one.b), 1)})
        steps = {key: _STEPS[command.name] for key, command in session.keys.items() if command.name in _STEPS}
        return Scene(
            self.viewport.width,
            self.viewport.height,
            Frame(self.token(), _cells(pair, slots)),
            position=position,
            count=max(len(session.pairs), 1),
            ahead=ahead,
            steps={} if board.summary else steps,
            zoom=board.large,
        )

    def _tool_row(self, pair: Pair | None) -> str:
        session = self.session
        can = pair is not None and not pair.across
        marked = len(session.board.marks)
        shade = "on" if session.differences else ""
        return grid_html.row(
            grid_html.button("1", "Keep 1", "1", enabled=can, title="2 is set aside"),
            grid_html.button("2", "Keep 2", "2", enabled=can, title="1 is set aside"),
            grid_html.button("b", "Keep both", "B", enabled=can),
            grid_html.button("Shift+a", "All exact as suggested", "⇧A", enabled=bool(session.pairs)),
            grid_html.space(),
            grid_html.button("d", "Differences", "D", kind=shade, enabled=pair is not None),
            grid_html.button("u", "Undo", "U", enabled=bool(session.board.undo)),
            grid_html.button("Shift+Enter", f"Apply ({marked:,})", "⇧⏎", kind="main", enabled=bool(marked)),
        )

    def _panel(self) -> str:
        board = self.session.board
        if board.summary:
            return grid_html.summary(self.session.summary())
        return deck_html.legend(DUPLICATES_LEGEND) if board.help else ""

    def _lines(self, pair: Pair | None) -> str:
        """Two lines: what the pair is and why one is suggested; the message."""
        said = self.error or self.session.board.message
        if pair is None:
            notes = "; ".join(self.session.gathered.notes)
            return grid_html.line(notes) + grid_html.line(said, error=bool(self.error))
        parts = ["the same content" if pair.kind == "exact" else measured(pair)]
        suggested = self.session.review_first(pair) or f"suggested 1: {self.session.why(pair)}"
        parts.append("of two projects: only reported" if pair.across else suggested)
        if pair.kind == "near":
            parts.append(self._differences(pair).words)
        held = [self.session.held[c.path] for c in (pair.a, pair.b) if c.path in self.session.held]
        said = said or (f"held back: {held[0]}" if held else "; ".join(self.session.gathered.notes))
        return grid_html.line(" · ".join(parts)) + grid_html.line(said, error=bool(self.error))


def open_duplicates(
    project_id: str,
    home: Path | str | None = None,
    others: Sequence[str] = (),
    cosine: float | None = None,
    bits: int | None = None,
    within_groups: bool = False,
) -> ipywidgets.Widget:
    """The duplicates desk of a project for a notebook's cell, with what was decided before.

    A project that cannot be opened gives one line saying why. Calling it again in the same kernel closes the desk that
    was there before.

    Args:
        others: ids of projects to compare with: reported only, nothing of theirs moves.
        cosine, bits: thresholds of near duplicates, None for those that `duplicates.finding.Thresholds` has.
        within_groups: near pairs inside one group too.
    """
    try:
        thresholds = Thresholds.given(cosine, bits, within_groups)
    except ValueError as error:
        return ipywidgets.HTML(deck_html.notice(str(error)))

    def make() -> DuplicatesDesk:
        project, *rest = projects_of(Workspace.find(home), [project_id, *others])
        return DuplicatesDesk(DuplicatesSession(project, rest, thresholds))

    return reopen("duplicates", project_id, make)


def _token_of(pair: Pair | None) -> str:
    return "" if pair is None else "|".join((*pair.a.key, pair.a.sha256, *pair.b.key, pair.b.sha256))


def _name(copy: Copy, number: int) -> str:
    """A picture's name: two of one content on one stage need two."""
    return f"{copy.sha256}-{number}"


def _cells(pair: Pair | None, slots: tuple[Slot, ...]) -> tuple[Cell, ...]:
    if pair is None:
        return ()
    return tuple(
        Cell(_name(copy, n), n, slot.box, slot.window, (copy.width, copy.height), f"{n}: {copy.path}")
        for n, (copy, slot) in enumerate(zip((pair.a, pair.b), slots, strict=True), start=1)
    )
