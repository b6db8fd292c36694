"""The page that frees disk space: sizes first, then the trash; for good only after a typed word."""

from collections.abc import Sequence
from pathlib import Path

import ipywidgets

from pickroom.app.widgets.page import Page, Part, Work, button
from pickroom.app.widgets.words import escape
from pickroom.core.quantities import format_bytes, plural
from pickroom.maintenance.reclaim.delete import execute
from pickroom.maintenance.reclaim.planning import ReclaimPlan, Share, plan
from pickroom.store.workspace import Workspace

WORD = "delete"  # what must be typed before anything is deleted for good


def sizes(planned: ReclaimPlan) -> str:
    """What can go and what stays, by project and kind, sizes first; the bars share one scale."""
    going = [share for share in planned.shares if not share.reason]
    staying = [share for share in planned.shares if share.reason]
    most = max((share.size for share in planned.shares), default=0)
    much = format_bytes(planned.size) if planned.items else "Nothing"
    parts = [f"<h3>{escape(much)} can come back</h3>"]
    if going:
        parts.append(f"<table>{''.join(_row(share, most) for share in going)}</table>")
    elif not staying:
        parts.append("<p>No project has anything set aside, archived or dropped.</p>")
    if staying:
        rows = "".join(_row(share, most) for share in staying)
        parts.append(f'<h4>Stays, with the reason</h4><table class="stays">{rows}</table>')
    return "".join(parts)


def _row(share: Share, most: int) -> str:
    width = 100 * share.size / most if most else 0
    reason = f'<br><span class="reason">{escape(share.reason)}</span>' if share.reason else ""
    return (
        f'<tr><td class="number">{escape(format_bytes(share.size))}</td>'
        f'<td class="bar"><div class="share" style="width: {width:.1f}%"></div></td>'
        f'<td class="project">{escape(share.project_id)}</td>'
        f'<td>{escape(share.words)}{reason}</td><td class="number">{share.count:,}</td></tr>'
    )


class ReclaimDesk(Part):
    """What the disk can do without. It only looks until a button is pressed.

    Attributes:
        planned: what was found at the last look, None while it is being taken.

    Args:
        project_ids: only these; none means every project.
    """

    def __init__(self, workspace: Workspace, project_ids: Sequence[str] = (), title: str = "") -> None:
        self.workspace, self.project_ids = workspace, tuple(project_ids)
        self.planned: ReclaimPlan | None = None
        self._asked = False
        self.trash = button("Move into the trash…", self._press_trash, "primary")
        self.back = button("Return", self._press_return)
        self.again = button("Look again", self.look)
        self.word = ipywidgets.Text(placeholder=f"type {WORD} to delete for good", continuous_update=True)
        self.hard = button("Delete for good", self._press_hard, "danger")
        self.word.observe(lambda change: self._draw(), "value")
        super().__init__(title, self.trash, self.back, self.again, self.word, self.hard)
        self.look()  # an archive is read back whole, which may take minutes: the page is there meanwhile

    def look(self) -> None:
        """Read everything that proves anything, and show what can go."""

        def work(_: Work) -> str:
            self._plan()
            return "Nothing has been done." if self.planned and self.planned.items else ""

        self.planned, self._asked = None, False  # what was asked about may not be what would go
        self.start("Reading the archives back", work, self._draw)
        self._draw()

    def _plan(self) -> None:
        self.planned = plan(self.workspace, self.project_ids)

    def _press_trash(self) -> None:
        if self._asked:
            self._let_go(hard=False)
            return
        self._asked = True
        self.say("Look at the sizes; the next click moves them.")
        self._draw()

    def _press_return(self) -> None:
        self._asked = False
        self.say("Nothing was moved.")
        self._draw()

    def _press_hard(self) -> None:
        if self.word.value.strip() == WORD:  # the button is closed else; a page of yesterday may still send its click
            self._let_go(hard=True)

    def _let_go(self, *, hard: bool) -> None:
        planned = self.planned
        if planned is None or not planned.items:
            return

        def work(work: Work) -> str:
            try:
                size = execute(planned, self.workspace, hard=hard, progress=work.count)
            finally:
                self._plan()  # what is left, read anew
            what = f"{plural(len(planned.items), 'item')}, {format_bytes(size)}."
            later = "The space is free when the trash is emptied. Until then the files can be restored."
            return f"Deleted for good: {what}" if hard else f"In the trash: {what} {later}"

        self.planned, self._asked, self.word.value = None, False, ""
        self.start("Deleting" if hard else "Moving into the trash", work, self._draw, Work.end)
        self._draw()

    def _draw(self) -> None:
        some = self.planned is not None and bool(self.planned.items)
        self.body.value = sizes(self.planned) if self.planned is not None else ""
        self.trash.description = "Move them now" if self._asked else "Move into the trash…"
        for control in (self.trash, self.word):
            self.enable(control, some)
        self.enable(self.hard, some and self.word.value.strip() == WORD)
        self.enable(self.again, True)
        self.back.layout.display = None if self._asked else "none"


def open_reclaim(project_ids: Sequence[str] = (), home: Path | str | None = None) -> Page:
    """What the disk can do without, for a notebook's cell; nothing goes before a button is pressed.

    Args:
        project_ids: only these; none means every project.

    Raises PickroomError where there is not a workspace.
    """
    return Page(ReclaimDesk(Workspace.find(home), project_ids))
