"""The page that ends a project: finishing, report, archive; its batches, each with its undo; freeing disk space.

Disk space: sizes first, then the trash; for good only after a typed word.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

import ipywidgets

from pickroom.analysis.reports import finish, render
from pickroom.app.widgets import desk_html
from pickroom.app.widgets.page import Page, Part, Work, button, listed
from pickroom.app.widgets.words import escape
from pickroom.core.errors import PickroomError
from pickroom.core.quantities import format_bytes, plural
from pickroom.files import journal
from pickroom.files.batch import plan_undo, undo_in_words
from pickroom.files.routing import REVIEW
from pickroom.maintenance.reclaim.delete import execute
from pickroom.maintenance.reclaim.planning import ReclaimPlan, Share, plan
from pickroom.store import operations
from pickroom.store.connect import connect, open_read_only
from pickroom.store.workspace import Project, Workspace

_SHOWN = 12  # batches, and so many more at each press
# kind of step -> one unit of it, and several
_UNITS = {
    REVIEW: ("group", "groups"),
    journal.AUTOMATION: ("apply of the automation", "applies of the automation"),
    journal.CROP: ("crop", "crops"),
    journal.DROP: ("image set aside in Crop", "images set aside in Crop"),
    journal.SORT: ("image sorted", "images sorted"),
    journal.BROWSE: ("image marked in Browse", "images marked in Browse"),
    journal.DUPLICATES: ("duplicate set aside", "duplicates set aside"),
    journal.RENAME: ("image renamed", "images renamed"),
    journal.SIDECAR: ("sidecar", "sidecars"),
    operations.RETURN: ("image returned", "images returned"),
}


class ReportsPage(Page):
    """Finish, report, batches and disk space of one project; `undo` has a button for each batch that can be undone."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.undo: dict[int, ipywidgets.Button] = {}
        self._blocked, self._count, self._open = True, _SHOWN, False
        self.originals = ipywidgets.Checkbox(description="Also archive the originals of crops", indent=False)
        self.originals.layout.width = "auto"
        self.finish = button("Finish the project", self._finish, "primary")
        self.make = button("Make the report", self._make)
        self.show = button("Show the report", self._show)
        self.earlier = button("Show earlier batches", self._earlier)
        self.reclaim = button("Show what can be freed", self._reclaim)
        self.finishing = Part("Finish", self.finish, self.originals)
        self.reporting = Part("Report", self.make, self.show)
        self.batches = Part("Batches", self.earlier)
        self.room = Part("Free disk space", self.reclaim)
        self._rows = ipywidgets.VBox()
        heading, body, *rest = self.batches.children
        self.batches.children = (heading, body, self._rows, *rest)
        super().__init__(self.finishing, self.reporting, self.batches, self.room, looking=self.finishing)
        self.originals.observe(lambda change: self.look(), "value")
        words = "This reads every archive back, and shows the sizes. Nothing is deleted before you press a button."
        self.room.body.value = listed([words])
        self.draw()
        self.look()

    def draw(self) -> None:
        """Show the reports and the batches there are."""
        self.finishing.enable(self.finish, not self._blocked)
        self.reporting.attempt(self._draw_reports)
        self.batches.attempt(self._draw_batches)

    def look(self) -> None:
        """Look whether the project can be finished, and what that would do."""
        originals = self.originals.value

        def work(_: Work) -> str:
            self._blocked = True
            found = finish.plan(self.project.workspace.project(self.project.id), originals=originals)
            first = [f"First: {what}." for what, _ in found.blockers]
            must = "".join(f'<p class="error">{escape(line)}</p>' for line in first)
            what = "Finishing makes the report, archives the database and the pictures, and moves no image."
            rest = "".join(f"<li>{escape(desk_html.sentence(line))}</li>" for line in found.rest)
            self.finishing.body.value = f"{must}{listed([what])}<ul>{rest}</ul>"
            self._blocked = bool(found.blockers)
            return ""

        def allow() -> None:
            self.finishing.enable(self.finish, not self._blocked)

        self.finishing.start("Looking at the project", work, allow)

    def _finish(self) -> None:
        originals = self.originals.value

        def work(work: Work) -> str:
            work.phase("Making the report and packing pictures")
            project = self.project.workspace.project(self.project.id)
            done = finish.execute(project, work.count, originals=originals)
            return ". ".join(done.lines)

        self.finishing.start("Finishing", work, self.draw, Work.end)

    def _draw_reports(self) -> None:
        """Say where the reports are; between, the reports themselves where they are asked for."""
        pages = sorted(render.report_folder(self.project).glob("[!.]*.html"))
        words = ["The report shows in numbers and pictures what was picked, how fast, and how good the models were."]
        self.reporting.body.value = listed([*words, *([] if pages else ["None has been made yet."])]) + "".join(
            listed([str(page)]) + (_frame(page) if self._open else "") for page in pages
        )
        self.reporting.enable(self.show, bool(pages))
        self.show.description = "Hide the report" if self._open else "Show the report"

    def _make(self) -> None:
        def work(_: Work) -> str:
            pages = render.run(self.project.workspace.project(self.project.id))
            return f"Made: {', '.join(map(str, pages))}"

        self.reporting.start("Making the report", work, lambda: self._show(False))

    def _show(self, change: bool = True) -> None:
        self._open = not self._open if change else True
        self.reporting.attempt(self._draw_reports)

    def _draw_batches(self) -> None:
        with open_read_only(self.project.database) as connection:
            found = operations.batches(connection)[::-1]
            contents = operations.contents(connection)
            rows, self.undo = [], {}
            for one in found[: self._count]:
                batch = int(one["batch"])
                words = f"<b>Batch {batch}</b>, {escape(str(one['planned_at'])[:16].replace('T', ' '))} UTC: "
                reason, said = "", "undone" if not one["done"] else _contents(*contents[batch])
                if one["done"]:
                    try:
                        plan_undo(self.project, connection, batch, unread=True)
                    except PickroomError as error:
                        reason = f"It cannot be undone: {error.what}."
                blocked = f'<br><span class="reason">{escape(reason)}</span>' if reason else ""
                row: list[ipywidgets.Widget] = [ipywidgets.HTML(f"<p>{words}{escape(said)}{blocked}</p>")]
                if one["done"] and not reason:
                    self.undo[batch] = button(f"Undo batch {batch}", partial(self._undo_batch, batch))
                    row.append(self.undo[batch])
                rows.append(ipywidgets.HBox(row))
        self._rows.children = rows
        self.earlier.layout.display = None if len(found) > self._count else "none"
        words = "Undo puts files back to their names and folders, and the choices with them."
        self.batches.body.value = listed([words if found else "Nothing has been finalised yet."])

    def _undo_batch(self, batch: int) -> None:
        def work(_: Work) -> str:
            project = self.project.workspace.project(self.project.id)
            with closing(connect(project.database)) as connection:
                outcome, words = undo_in_words(project, connection, batch)
            for unit, reason in {**outcome.failed, **outcome.stuck}.items():
                raise PickroomError(f"{words}; the first: {unit}: {reason}")
            return words

        def then() -> None:
            self.draw()
            self.look()

        self.batches.start(f"Undoing batch {batch}", work, then)

    def _earlier(self) -> None:
        self._count += _SHOWN
        self.draw()

    def _reclaim(self) -> None:
        self.room = ReclaimDesk(self.project.workspace, [self.project.id], "Free disk space")
        self.parts = (*self.parts[:-1], self.room)
        self.children = [self._style, *self.parts]


def _contents(kinds: dict[str, int], folders: dict[str, int]) -> str:
    """What a batch did, and where its files are."""
    did = ", ".join(f"{count:,} {_UNITS[kind][count != 1]}" for kind, count in kinds.items() if kind in _UNITS)
    where = ", ".join(f"{count:,} in {folder or '.'}/" for folder, count in folders.items())
    return f"{did}; files: {where}" if where else did


def _frame(path: Path) -> str:
    """A report in the page: it runs nothing and fetches nothing (`render.page`), and lies on paper in both themes."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise PickroomError(f"it cannot be read ({error})", doing="showing a report", subject=path) from None
    return f'<iframe sandbox="" title="{escape(path.stem)}" srcdoc="{escape(text)}"></iframe>'


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

    Args:
        project_ids: only these; none means every project.
    """

    def __init__(self, workspace: Workspace, project_ids: Sequence[str] = (), title: str = "") -> None:
        self.workspace, self.project_ids = workspace, tuple(project_ids)
        self.planned: ReclaimPlan | None = None  # found at the last look, None while it is being taken
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
            self.planned = plan(self.workspace, self.project_ids)
            return "Nothing has been done." if self.planned and self.planned.items else ""

        self.planned, self._asked = None, False  # what was asked about may not be what would go
        self.start("Reading the archives back", work, self._draw)
        self._draw()

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
                self.planned = plan(self.workspace, self.project_ids)  # what is left, read anew
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
    """What the disk can do without, for a notebook's cell, see `ReclaimDesk`; PickroomError without a workspace."""
    return Page(ReclaimDesk(Workspace.find(home), project_ids))
