"""Pages of a notebook: the start, the disk that can be freed, and the automation. They hold no data.

The disk: sizes first, then the trash; for good only after a typed word. The automation: the review deck over what is
proposed (REVIEW.md, Automation review), and what generate and apply say.
"""

import threading
from collections.abc import Callable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Literal, get_args

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.desk import Home, reopen, shown
from pickroom.app.widgets.stage import style_sheet
from pickroom.automation import apply as executor
from pickroom.automation import sandbox as places
from pickroom.automation.generate import generate, recommend_first
from pickroom.automation.guarantee import RISK_TARGET, RiskTarget
from pickroom.automation.metrics import metrics_of
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, PickroomError, UsageError
from pickroom.core.quantities import format_bytes, plural
from pickroom.groups.strategies import Similarity
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport, similarity_hint
from pickroom.integrity.whereabouts import in_words
from pickroom.maintenance.reclaim.delete import execute
from pickroom.maintenance.reclaim.planning import ReclaimPlan, Share, plan
from pickroom.sessions.review.auto_session import FILTERS, AutoSession
from pickroom.store.workspace import Workspace, already_started

WORD = "delete"  # what must be typed before anything is deleted for good
_STYLED = '<div class="pickroom-reclaim">{}</div>'  # the style comes once, with the page itself


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
        parts.append(f'<h4>Stays, because nothing proves it needless</h4><table class="stays">{rows}</table>')
    return _STYLED.format("".join(parts))


def _line(text: str, *, error: bool = False) -> str:
    """The line under the buttons."""
    return _STYLED.format(f'<p class="{"error" if error else "message"}">{escape(text)}</p>')


def _row(share: Share, most: int) -> str:
    width = 100 * share.size / most if most else 0
    reason = f'<br><span class="reason">{escape(share.reason)}</span>' if share.reason else ""
    return (
        f'<tr><td class="number">{escape(format_bytes(share.size))}</td>'
        f'<td class="bar"><div class="share" style="width: {width:.1f}%"></div></td>'
        f'<td class="project">{escape(share.project_id)}</td>'
        f'<td>{escape(share.words)}{reason}</td><td class="number">{share.count:,}</td></tr>'
    )


class ReclaimDesk(ipywidgets.VBox):
    """The widget of the notebook's second cell. Running the cell only looks; a button is what lets anything go."""

    def __init__(self, workspace: Workspace, project_ids: Sequence[str] = ()) -> None:
        self.workspace, self.project_ids = workspace, tuple(project_ids)
        self.planned: ReclaimPlan | None = None  # the last look, None while it is being taken
        self._lock = threading.RLock()  # JupyterLab hands messages to several threads
        self._asked = False
        self._said, self._failed = "", False
        self.sizes = ipywidgets.HTML()
        self.trash = _button("Move into the trash…", "primary", self._press_trash)
        self.back = _button("Return", "", self._press_return)
        self.again = _button("Look again", "", self.look)
        self.word = ipywidgets.Text(placeholder=f"type {WORD} to delete for good", continuous_update=True)
        self.hard = _button("Delete for good", "danger", self._press_hard)
        self.word.observe(lambda change: self._draw(), "value")
        self.line = ipywidgets.HTML()
        style = ipywidgets.HTML(f"<style>{style_sheet('theme.css', 'reclaim.css')}</style>")
        apart = ipywidgets.Box(layout=ipywidgets.Layout(width="40px"))
        row = ipywidgets.HBox([self.trash, self.back, self.again, apart, self.word, self.hard])
        super().__init__([style, self.sizes, row, self.line])
        self.looking = threading.Thread(target=self.look, name="reading archives", daemon=True)
        self._draw()
        self.looking.start()  # an archive is read back whole, which may take minutes: the page is there meanwhile

    def look(self) -> None:
        """Read everything that proves anything, and show what can go."""
        with self._lock:
            self.planned, self._asked = None, False  # what was asked about is no longer what would go
            self._say("Reading the archives back…")
            self._try(self._plan)
            self._draw()

    def _press_trash(self) -> None:
        if not self._asked:
            self._asked = True
            self._say("Look at the sizes; the next click moves them.")
            return
        self._let_go(hard=False)

    def _press_return(self) -> None:
        self._asked = False
        self._say("Nothing was moved.")

    def _press_hard(self) -> None:
        if self.word.value.strip() == WORD:  # the button is closed else; a page of yesterday may still send its click
            self._let_go(hard=True)

    def _let_go(self, *, hard: bool) -> None:
        with self._lock:
            planned = self.planned
            if planned is None or not planned.items:
                return
            self._asked, self.word.value = False, ""
            self._try(lambda: self._execute(planned, hard))
            said, failed = self._said, self._failed
            self.look()  # what is left, read anew
            self._say(said, error=failed)

    def _plan(self) -> None:
        self.planned = plan(self.workspace, self.project_ids)
        self._say("Nothing has been done." if self.planned.items else "")

    def _execute(self, planned: ReclaimPlan, hard: bool) -> None:
        def tell(done: int, of: int) -> None:
            self._say(f"{done:,} of {of:,}…")

        size = execute(planned, self.workspace, hard=hard, progress=tell)
        what = f"{plural(len(planned.items), 'item')}, {format_bytes(size)}."
        later = "The disk has its room back when the trash is emptied; until then they can be restored."
        self._say(f"Deleted for good: {what}" if hard else f"In the trash: {what} {later}")

    def _try(self, action: Callable[[], Any]) -> None:
        """Run it; an expected failure becomes the line, anything else is a defect but is not silent either."""
        try:
            action()
        except PickroomError as error:
            self._say(error.line, error=True)
        except Exception as error:
            self._say(desk_html.defect(error), error=True)
            raise

    def _say(self, text: str, *, error: bool = False) -> None:
        self._said, self._failed = text, error
        self._draw()

    def _draw(self) -> None:
        some = self.planned is not None and bool(self.planned.items)
        self.sizes.value = sizes(self.planned) if self.planned is not None else ""
        self.line.value = _line(self._said, error=self._failed)
        self.trash.description = "Move them now" if self._asked else "Move into the trash…"
        self.trash.disabled = self.word.disabled = not some
        self.hard.disabled = not some or self.word.value.strip() != WORD
        self.again.disabled = self.planned is None and not self._failed
        self.back.layout.display = None if self._asked else "none"


def open_reclaim(project_ids: Sequence[str] = (), home: Path | str | None = None) -> ipywidgets.Widget:
    """What the disk can do without, for a notebook's cell; nothing goes before a button is pressed.

    Args:
        project_ids: only these; none means every project.
    """
    try:
        return ReclaimDesk(Workspace.find(home), project_ids)
    except PickroomError as error:
        return ipywidgets.HTML(_line(error.line, error=True))


def _button(text: str, style: str, press: Callable[[], None]) -> ipywidgets.Button:
    button = ipywidgets.Button(description=text, button_style=style, layout=ipywidgets.Layout(width="auto"))
    button.on_click(lambda _: press())
    return button


REASONS_SHOWN = 20  # images left out that are listed by name


By = Literal["stage", "similarity"]


@shown
def open_start(project_id: str, images: Home = None, home: Home = None, by: By = "stage") -> str:
    """Start `project_id` with the images of a folder, or with None only show the projects there are.

    A project of that name that is there already is left as it is, and a line says so.

    Args:
        by: "similarity" groups, in a project that is there, what its names left out, by how the images look.
    """
    workspace = Workspace.find(home)
    return _start(workspace, project_id, images, by) + _projects(workspace)


def _start(workspace: Workspace, project_id: str, images: Home, by: By) -> str:
    if by not in get_args(By):
        raise UsageError(f"groups cannot be made by {by!r}", doing="grouping", hint="stage or similarity")
    if by == "similarity" and project_id in workspace.project_ids():
        project = workspace.project(project_id)
        if project.manifest.encoder is None:
            what = f"{project_id} has no vectors yet: 10_embed.ipynb makes them; then run this again"
            return desk_html.notice(what)
        return _report(project_id, projects.rescan(project, by=Similarity()))
    if images is None:
        return ""
    if project_id in workspace.project_ids() and (known := workspace.project(project_id)).manifest.root:
        return desk_html.notice(already_started(known).line)
    started, report = projects.start(workspace, project_id, Path(images))
    return _report(started.id, report)


def _report(project_id: str, report: ScanReport) -> str:
    grouped = report.images - len(report.ungrouped)
    line = (
        f"{project_id}: {plural(report.images, 'image')} = {grouped} in {plural(len(report.groups), 'group')}"
        f" + {len(report.ungrouped)} ungrouped. "
        + ("Review them: 20_review.ipynb" if report.groups else "No group waits.")
    )
    rows = [(f"{one.directory or '.'}/{one.filename}", one.reason) for one in report.ungrouped[:REASONS_SHOWN]]
    if len(report.ungrouped) > len(rows):
        rows.append(("…", f"and {len(report.ungrouped) - len(rows)} more: pickroom groups {project_id} --json"))
    return f"<p><b>{escape(line)}</b></p>" + _table(("left out", "why"), rows)


def _projects(workspace: Workspace) -> str:
    rows, without = [], ""
    for project_id in workspace.project_ids():
        try:
            entry = projects.status(workspace.project(project_id))
            rows.append(_status(entry))
            without += "".join(f"<p>{escape(project_id)}: {escape(line)}</p>" for line in in_words(entry, project_id))
            if entry["ungrouped"] and not entry["groups"]:
                without += f"<p>To have groups in {escape(project_id)}: {escape(similarity_hint(project_id))}.</p>"
        except PickroomError as error:
            rows.append((project_id, error.line, "", "", ""))
    if not rows:
        return "<p>No project yet: give a folder of images in the cell above, or try <code>pickroom demo</code>.</p>"
    return _table(("project", "state", "groups waiting", "decided", "images in"), rows) + without


def _status(entry: dict[str, Any]) -> tuple[str, ...]:
    decided = ", ".join(f"{count} {outcome}" for outcome, count in entry["decided"].items())
    gone = entry["root"] and not entry["root_exists"]
    root = f"{entry['root']} (not there: pickroom relocate)" if gone else entry["root"] or "registered without images"
    return (
        entry["project_id"],
        entry["status"],
        f"{entry['waiting']} of {entry['groups']}" if entry["groups"] else "no group",
        decided or "none",
        root,
    )


def _table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    top = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f"<table><tr>{top}</tr>{body}</table>"


ONLY = "only "  # before the name of a filter: what its button presses, since no keyboard has such a key
_STEPS_SHOWN = 24  # of a plan; the command line prints every one


class AutoDeck(Deck):
    """The review deck on the automation's decisions, with its filters as buttons."""

    question = "Write approved_decisions.jsonl?"
    answer = "again writes the file; no image moves until you apply"
    busy = "Writing the file…"
    session: AutoSession

    def draw(self) -> None:
        counts = self.session.counts()
        filters = (
            desk_html.button(f"{ONLY}{name}", f"{text} {counts[name]}", kind="on" if name == self.session.only else "")
            for name, text in FILTERS.items()
        )
        write = self.button("finalise", "Write", kind="main", title="A summary first; no image moves")
        self.tools.value = desk_html.row('<span class="label">Show</span>', *filters, desk_html.SPACE, write)
        super().draw()

    def only_looks(self, key: str) -> bool:
        return key.startswith(ONLY) or super().only_looks(key)

    def apply(self, key: str) -> None:
        name = key.removeprefix(ONLY)
        if name == key or name not in FILTERS:
            super().apply(key)
        elif not self.session.asks:
            self.session.show_only(name)


def open_auto_deck(project_id: str, home: Home = None, sandbox: Home = None) -> ipywidgets.Widget:
    """The automation's review of a project for a notebook's cell, where it was left; see `reopen`."""
    folder = _path(sandbox)
    return reopen("auto", project_id, home, lambda p: AutoDeck(AutoSession(places.locate(p, folder))))


@shown
def show_generate(project_id: str, home: Home = None, sandbox: Home = None, promise: RiskTarget = RISK_TARGET) -> str:
    """Copy the project to its sandbox if it has no copy yet, write the decisions, and say what came of it."""
    project = Workspace.find(home).project(project_id)
    notes = recommend_first(project)
    made = generate(places.prepare(project, _path(sandbox)), promise)
    waiting = len(made.proposals) - made.approved
    head = (
        f"{plural(len(made.proposals), 'group')}: {made.approved} approved unseen, {waiting} for you"
        f" ({made.looked} of them drawn at random, blind)"
    )
    return _lines(head, *made.approval.explanation, *notes, *made.notes, str(made.target.decisions))


@shown
def show_apply(project_id: str, home: Home = None, sandbox: Home = None, *, execute: bool = False) -> str:
    """What an apply would do; with `execute` it is done, all of it or nothing. In the sandbox only."""
    place = _locate(project_id, home, sandbox)
    if execute and place.confirm:
        hint = f"use: pickroom auto apply {project_id} --execute"
        raise UsageError("these are the project's own files", doing="applying", subject=place.project.root, hint=hint)
    try:
        note = executor.finish_first(place) if execute else executor.unfinished_note(place)
        plan = executor.dry_run(place)
        done = executor.apply(place, plan).line if execute and plan.items else ""
    except ConflictError as error:
        print(*error.items[1:_STEPS_SHOWN], sep="\n")
        raise
    steps = plan.lines()
    told = steps[:_STEPS_SHOWN]
    if len(steps) > len(told):
        told = [*told, f"… and {len(steps) - len(told)} more: pickroom auto apply {project_id}"]
    head = done or "Nothing was moved: this is what execute = True would do"
    return _lines(head, *filter(None, [note]), *plan.summary()) + (_block(told) if steps else "")


@shown
def show_metrics(project_id: str, home: Home = None, sandbox: Home = None) -> str:
    """What the automation is worth so far: approvals, overrides, crops taken, time saved, and the plan's gates."""
    return _block(metrics_of(_locate(project_id, home, sandbox)).lines())


def _locate(project_id: str, home: Home, sandbox: Home) -> AutomationTarget:
    return places.locate(Workspace.find(home).project(project_id), _path(sandbox))


def _path(folder: Home) -> Path | None:
    return None if folder is None else Path(folder)


def _lines(head: str, *rest: str) -> str:
    return "<br>".join([f"<b>{escape(head)}</b>", *map(escape, rest)])


def _block(lines: Sequence[str]) -> str:
    """Steps, or rows of figures: each stays on its line."""
    text = escape("\n".join(lines))
    return f"<pre style='white-space: pre; overflow-x: auto; font-size: 12px'>{text}</pre>"
