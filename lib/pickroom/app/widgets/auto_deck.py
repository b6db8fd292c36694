"""The automation in a notebook: the review deck over what is proposed, and what generate and apply say in desk_html.

What the user sees and presses is REVIEW.md's, Automation review.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path

import ipywidgets

from pickroom.app.widgets import desk_html
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.desk import Home, reopen, shown
from pickroom.automation import apply as executor
from pickroom.automation import interrupted
from pickroom.automation import sandbox as places
from pickroom.automation.generate import generate, recommend_first
from pickroom.automation.guarantee import RISK_TARGET, RiskTarget
from pickroom.automation.metrics import metrics_of
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, UsageError
from pickroom.core.quantities import plural
from pickroom.sessions.review.auto_session import FILTERS, AutoSession
from pickroom.store.workspace import Workspace

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
        note = interrupted.finish_first(place) if execute else interrupted.unfinished_note(place)
        plan = executor.dry_run(place)
        done = executor.apply(place, plan).line if execute and plan.items else ""
    except ConflictError as error:
        return "<br>".join([desk_html.notice(error.line), *map(escape, error.items[1:_STEPS_SHOWN])])
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
