"""The automation in a notebook: the review deck over what is proposed, and what generate and apply say in deck_html.

What the person sees and presses is REVIEW.md's, Automation review.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import deck_html
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.desk import reopen
from pickroom.app.widgets.stage import KeyPress
from pickroom.automation import apply as executor
from pickroom.automation import interrupted
from pickroom.automation import sandbox as places
from pickroom.automation.generate import generate, recommend_first
from pickroom.automation.guarantee import RISK_TARGET, RiskTarget
from pickroom.automation.metrics import metrics_of
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, PickroomError, UsageError
from pickroom.core.quantities import plural
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.sessions.review.auto_view import FILTERS
from pickroom.store.workspace import Workspace

ONLY = "only "  # before the name of a filter: what its button presses, since no keyboard has such a key
_STEPS_SHOWN = 24  # of a plan; the command line prints every one
_WIDE = "white-space: pre; overflow-x: auto; font-size: 12px"  # a step, or a row of figures, stays on its line


class AutoDeck(Deck):
    """The review deck on the automation's decisions, with its filters as buttons."""

    question = "Write approved_decisions.jsonl?"
    answer = "again writes the file; no image moves until you apply"
    busy = "Writing the file…"
    session: AutoSession

    def draw(self) -> None:
        self.tools.value = tools(self.session.counts(), self.session.only)
        super().draw()

    def key_pressed(self, press: KeyPress) -> None:
        name = press.key.removeprefix(ONLY)
        if not press.key.startswith(ONLY) or name not in FILTERS:
            super().key_pressed(press)
            return
        self.error = ""
        if not self.session.state.summary:
            self.attempt(lambda: self.session.show_only(name))
        self.redraw()


def tools(counts: dict[str, int], only: str) -> str:
    """The row of buttons: which groups are shown, each with its count, and the one that writes."""
    filters = "".join(
        deck_html.button(f"{ONLY}{name}", f"{text} {counts[name]}", kind="on" if name == only else "")
        for name, text in FILTERS.items()
    )
    write = deck_html.button("Shift+Enter", "Write", "⇧⏎", kind="main", title="A summary first; no image moves")
    return f'<div class="row"><span class="label">Show</span>{filters}<span class="space"></span>{write}</div>'


def open_auto_deck(
    project_id: str, home: Path | str | None = None, sandbox: Path | str | None = None
) -> ipywidgets.Widget:
    """The automation's review of a project for a notebook's cell, where it was left.

    What cannot be opened gives one line saying why. Calling it again in the same kernel closes the deck before.
    """
    return reopen("auto", project_id, lambda: AutoDeck(AutoSession(_locate(project_id, home, sandbox))))


def show_generate(
    project_id: str,
    home: Path | str | None = None,
    sandbox: Path | str | None = None,
    promise: RiskTarget = RISK_TARGET,
) -> ipywidgets.HTML:
    """Copy the project to its sandbox if it has no copy yet, write the decisions, and say what came of it."""
    try:
        project = Workspace.find(home).project(project_id)
        notes = recommend_first(project)
        made = generate(places.prepare(project, _path(sandbox)), promise)
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    head = (
        f"{plural(len(made.proposals), 'group')}: {made.approved} approved unseen, "
        f"{len(made.proposals) - made.approved} for you"
        f" ({made.looked} of them drawn at random, blind)"
    )
    return _page(
        [
            f"<b>{escape(head)}</b>",
            *map(escape, (*made.approval.explanation, *notes, *made.notes, str(made.target.decisions))),
        ]
    )


def show_apply(
    project_id: str, home: Path | str | None = None, sandbox: Path | str | None = None, *, execute: bool = False
) -> ipywidgets.HTML:
    """What an apply would do; with `execute` it is done, all of it or nothing. In the sandbox only."""
    try:
        place = _locate(project_id, home, sandbox)
        if execute and place.confirm:
            hint = f"use: pickroom auto apply {project_id} --execute"
            raise UsageError(
                "these are the project's own files", doing="applying", subject=place.project.root, hint=hint
            )
        note = interrupted.finish_first(place) if execute else interrupted.unfinished_note(place)
        plan = executor.dry_run(place)
        done = executor.apply(place, plan).line if execute and plan.items else ""
    except ConflictError as error:
        return _page([deck_html.notice(error.line), *map(escape, error.items[1:_STEPS_SHOWN])])
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    steps = plan.lines()
    shown = "".join(f"{escape(step)}\n" for step in steps[:_STEPS_SHOWN])
    if len(steps) > _STEPS_SHOWN:
        shown += f"… and {len(steps) - _STEPS_SHOWN} more: pickroom auto apply {project_id}\n"
    head = done or "Nothing was moved: this is what execute = True would do"
    return _page(
        [f"<b>{escape(head)}</b>", *map(escape, (*([note] if note else ()), *plan.summary()))],
        f"<pre style='{_WIDE}'>{shown}</pre>" if steps else "",
    )


def show_metrics(project_id: str, home: Path | str | None = None, sandbox: Path | str | None = None) -> ipywidgets.HTML:
    """What the automation is worth so far: approvals, overrides, crops taken, time saved, and the plan's gates."""
    try:
        lines = metrics_of(_locate(project_id, home, sandbox)).lines()
    except PickroomError as error:
        return ipywidgets.HTML(deck_html.notice(error.line))
    return _page([], f"<pre style='{_WIDE}'>{escape(chr(10).join(lines))}</pre>")


def _locate(project_id: str, home: Path | str | None, sandbox: Path | str | None) -> AutomationTarget:
    return places.locate(Workspace.find(home).project(project_id), _path(sandbox))


def _path(folder: Path | str | None) -> Path | None:
    return None if folder is None else Path(folder)


def _page(lines: Sequence[str], below: str = "") -> ipywidgets.HTML:
    """Lines that are HTML already, in JupyterLab's own style."""
    return ipywidgets.HTML(f'<div class="jp-RenderedHTMLCommon">{"<br>".join(lines)}{below}</div>')
