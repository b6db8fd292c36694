"""The duplicates desk: draws a session's pair side by side and forwards keys to it; it holds no data."""

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.desk import ASKED, Home, StageDesk, reopen
from pickroom.app.widgets.drawing import Differences, differences, draw_pair, measured, pair_caption
from pickroom.core.errors import ImageError
from pickroom.images import thumbnails
from pickroom.sessions.duplicates.finding import Copy, DuplicatePair, Thresholds, why
from pickroom.sessions.duplicates.gathering import projects_of
from pickroom.sessions.duplicates.session import DuplicatesSession
from pickroom.sessions.review.view import Mark
from pickroom.sessions.session import PictureKind, read_picture
from pickroom.store.workspace import Project

AHEAD = (1, -1, 2)  # the neighbours whose pictures the browser keeps ready
_STEPS = {"next pair": 1, "previous pair": -1}
_MARKS: dict[str, tuple[Mark, Mark]] = {
    "a": ("keep", "reject"),
    "b": ("reject", "keep"),
    "both": ("keep", "keep"),
    "none": ("reject", "reject"),
    "": ("none", "none"),
}


class DuplicatesDesk(StageDesk):
    """The widget of the notebook's last cell."""

    session: DuplicatesSession

    def __init__(self, session: DuplicatesSession) -> None:
        self._compared: dict[str, Differences] = {}  # the latest pairs' differences, by token
        super().__init__(session)

    def draw(self) -> None:
        session, pair, board = self.session, self.session.pair, self.session.board
        self.header.value = desk_html.header(session.header())
        self.tools.value = self._tool_row(pair)
        help = desk_html.legend(session.keys.legend) if board.help else ""
        self.panel.value = desk_html.routes(session.summary()) if board.summary else help
        self.words.value = self._lines(pair)
        with self.overlay.drawing(self.viewport) as pen:
            if pair is not None:
                both = (pair.a, pair.b)
                heat = self._differences(pair).heat if session.differences else None
                suggested = None if pair.across or session.review_first(pair) else 0
                marks = _MARKS[session.outcome(pair)]
                draw_pair(pen, self.slots(both), marks, suggested, heat, zoom=board.large)
        places = [session.position + step for step in AHEAD]
        ahead = {place: session.pairs[place] for place in places if 0 <= place < len(session.pairs)}
        near = [*([pair] if pair else []), *ahead.values()]
        self.announce({_name(copy, n): copy for one in near for n, copy in enumerate((one.a, one.b), 1)})
        self.stage.show(
            self.viewport,
            self._frame(self.token(), pair, zoom=session.board.large),
            position=session.position,
            count=max(len(session.pairs), 1),
            ahead={place: self._frame(_token_of(other), other) for place, other in ahead.items()},
            steps=self.steps(_STEPS),
            zoom="full" if session.board.large else "",
        )

    def token(self) -> str:
        return ASKED if self.session.asks else _token_of(self.session.pair)

    def picture(self, name: str, kind: PictureKind) -> tuple[str, bytes] | None:
        copy: Copy | None = self._pictures.get(name)
        if copy is None:
            return None
        project = self.session.projects[copy.project_id]
        return read_picture(project, copy.path, copy.sha256, kind, project.workspace.thumbnails)

    def _differences(self, pair: DuplicatePair) -> Differences:
        token = _token_of(pair)
        if token not in self._compared:
            pictures = []
            for copy in (pair.a, pair.b):
                project = self.session.projects[copy.project_id]
                folder = project.workspace.thumbnails
                with suppress(ImageError, OSError):  # the stage says on the picture why it cannot be shown
                    pictures.append(thumbnails.open_preview(folder, copy.sha256, project.root / copy.path))
            self._compared[token] = differences(*pictures) if len(pictures) == 2 else Differences(None, None)
            for old in list(self._compared)[:-20]:
                del self._compared[old]
        return self._compared[token]

    def _frame(self, token: str, pair: DuplicatePair | None, *, zoom: bool = False) -> dict[str, Any]:
        if pair is None:
            return self.frame(token, [])
        both = zip((pair.a, pair.b), _MARKS[self.session.outcome(pair)], (1, 2), strict=True)
        shown = [
            (_name(copy, n), (copy.width, copy.height), pair_caption(copy, mark, with_project=pair.across))
            for copy, mark, n in both
        ]
        return self.frame(token, shown, zoom=zoom)

    def _tool_row(self, pair: DuplicatePair | None) -> str:
        session = self.session
        can = pair is not None and not pair.across
        marked = len(session.board.marks)
        shade = "on" if session.differences else ""
        return desk_html.row(
            self.button("keep", "Keep 1", index=0, enabled=can, title="2 is set aside"),
            self.button("keep", "Keep 2", index=1, enabled=can, title="1 is set aside"),
            self.button("both", "Keep both", enabled=can),
            self.button("suggested for exact", "All exact as suggested", enabled=bool(session.pairs)),
            desk_html.SPACE,
            self.button("differences", "Differences", kind=shade, enabled=pair is not None),
            self.button("undo", "Undo", enabled=bool(session.board.undo)),
            self.button("finalise", f"Apply ({marked:,})", kind="main", enabled=bool(marked)),
        )

    def _lines(self, pair: DuplicatePair | None) -> str:
        """Two lines: what the pair is and why one is suggested; the message."""
        session = self.session
        said, kind = self.error or desk_html.sentence(session.board.message), "error" if self.error else "message"
        notes = "; ".join(session.gathered.notes)
        if pair is None:
            return desk_html.line(notes) + desk_html.line((kind, said))
        parts = ["the same content" if pair.kind == "exact" else measured(pair)]
        suggested = session.review_first(pair) or f"suggested 1: {why(pair.a, pair.b)}"
        parts.append("of two projects: only reported" if pair.across else suggested)
        if pair.kind == "near":
            parts.append(self._differences(pair).words)
        held = [session.held[copy.path] for copy in (pair.a, pair.b) if copy.path in session.held]
        said = said or (f"Held back: {held[0]}" if held else notes)
        return desk_html.line(desk_html.sentence(" · ".join(parts))) + desk_html.line((kind, said))


def new_desk(project: Project) -> DuplicatesDesk:
    """The desk of a project by itself."""
    return DuplicatesDesk(DuplicatesSession(project))


def open_duplicates(
    project_id: str,
    home: Home = None,
    others: Sequence[str] = (),
    cosine: float | None = None,
    bits: int | None = None,
    within_groups: bool = False,
) -> ipywidgets.Widget:
    """The duplicates desk of a project for a notebook's cell, with what was decided before; see `reopen`.

    Args:
        others: ids of projects to compare with: reported only, nothing of theirs moves.
        cosine, bits: thresholds of near duplicates, None for those that `duplicates.finding.Thresholds` has.
        within_groups: near pairs inside one group too.
    """
    thresholds = Thresholds.given(cosine=cosine, bits=bits, within_groups=within_groups)

    def make(project: Project) -> DuplicatesDesk:
        _, *rest = projects_of(project.workspace, [project_id, *others])
        return DuplicatesDesk(DuplicatesSession(project, rest, thresholds))

    return reopen("duplicates", project_id, home, make)


def _token_of(pair: DuplicatePair | None) -> str:
    return "" if pair is None else "|".join((*pair.a.key, pair.a.sha256, *pair.b.key, pair.b.sha256))


def _name(copy: Copy, number: int) -> str:
    """A picture's name: two of one content on one stage need two."""
    return f"{copy.sha256}-{number}"
