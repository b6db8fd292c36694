"""The automation's review: the review's own session over automation_decisions.jsonl. It moves nothing.

Every key is saved in the database of the project's copy; `Shift+Enter` writes what was chosen to
approved_decisions.jsonl. Groups drawn at random from those approved unseen are shown blind among the others.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from pickroom.automation.decisions_file import (
    ApprovedDecision,
    AutomationDecision,
    read_approval,
    read_approved,
    read_decisions,
    require_matching,
    write_lines,
)
from pickroom.automation.order import Order, next_groups, shuffled
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.records import Choice, Group, InputKind, Recommendation
from pickroom.files.lock import project_lock
from pickroom.sessions.keys import AUTOMATION, normalise
from pickroom.sessions.review import auto_view
from pickroom.sessions.review.auto_view import FILTERS
from pickroom.sessions.review.pace import pace_of
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import DeckView, GroupView
from pickroom.store import automation_review, groups, recommendations
from pickroom.store.connect import transaction
from pickroom.store.workspace import utc_now


@dataclass(frozen=True, slots=True)
class Written:
    """What Shift+Enter wrote to approved_decisions.jsonl: action -> lines by the user about groups that wait."""

    counts: dict[str, int]
    path: Path

    @property
    def line(self) -> str:
        """One line for the user."""
        said = ", ".join(f"{count} {action}" for action, count in sorted(self.counts.items())) or "nothing"
        return f"Written to {self.path.name}: {said}; now apply: the next cell, or pickroom auto apply"


class AutoSession(ReviewSession):
    """A user who looks at what the automation proposes; `press` is all they do.

    Args:
        order: the groups most worth a look first, or as the folders hold them (see `automation.order`).
        clock: seconds, rising; for the time spent per group.

    Raises:
        UsageError: there are no decisions yet, or a line of them is damaged.
        ProjectError, StoreError: the project cannot be opened.
    """

    keys = AUTOMATION
    store = automation_review

    def __init__(
        self, place: AutomationTarget, *, order: Order = "worth", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self.only = "waiting"  # the filter that is on, one of `auto_view.FILTERS`
        self.last_written: Written | None = None
        self._read()
        super().__init__(place.project, order=order, clock=clock)
        self.previews = place.origin.workspace.thumbnails

    def press(self, key: str) -> ReviewState:
        """Apply one key and save what it changed; a confirmed summary writes approved_decisions.jsonl.

        Raises:
            UsageError: the text is no key, or a file of decisions has been damaged meanwhile.
            LockedError: another window is writing that file, or an apply is at work; every choice stays saved.
            FileOperationError, StoreError: writing was refused; what was there before still stands.
        """
        command = self.keys.commands.get(normalise(key))
        if command is not None and not self.state.summary:
            if command.name == "filter":
                names = list(FILTERS)
                return self.show_only(names[(names.index(self.only) + 1) % len(names)])
            if command.name in ("undo", "redo"):
                self._show_step(command.name)
        return super().press(key)

    def show_only(self, name: str) -> ReviewState:
        """Show the groups of one filter, staying at the group shown where it is among them."""
        here = self.state.card.group_id if self.state.card else None
        self.only = name
        self._load(message="")
        ids = [card.group_id for card in self.state.cards]
        open_ones = (i for i, c in enumerate(self.state.cards) if self.state.choice(c).action == "undecided")
        position = ids.index(here) if here in ids else next(open_ones, 0)
        self.state = replace(self.state, position=position)
        return self.state

    def refresh(self) -> bool:
        """Bring in what other windows chose, and decisions that were generated anew."""
        if self._stamp() != self._seen_stamp:
            self._read()
            self._seen_version = -1
        return super().refresh()

    def counts(self) -> dict[str, int]:
        """Filter -> how many groups it shows."""
        found = Counter(name for names in self._filters.values() for name in names)
        return {name: found[name] for name in FILTERS}

    def view(self) -> DeckView:
        """Everything the deck draws now."""
        pace = pace_of(self.state, self._saved)
        shown = replace(super().view(), header=auto_view.header(self.state, pace, self.only, len(self._filters)))
        if self.state.cards or not self._filters:
            return shown
        return replace(shown, progress=0.0, message=shown.message or auto_view.ELSEWHERE)

    def summary(self) -> tuple[str, ...]:
        """What Shift+Enter would write, in words, whatever the filter shows."""
        lines = self._lines()
        waiting = {g for g, names in self._filters.items() if "waiting" in names}
        unseen = {g for g, names in self._filters.items() if "unseen" in names}
        written = {line.group_id for line in lines}
        return auto_view.summary(lines, len(waiting - written), len(unseen - written))

    def is_blind(self, group_id: str) -> bool:
        """Whether the group was drawn from those approved unseen: the guarantee is watched on these."""
        proposal = self._proposals.get(group_id)
        drawn = self._approval is not None and self._approval.drawn(group_id)
        return proposal is not None and proposal.auto_approve and drawn

    def _read(self) -> None:
        stamp = self._stamp()  # before the files: what is written after this shows at the next key
        self._proposals: dict[str, AutomationDecision] = read_decisions(self.place.decisions)
        self._approval = read_approval(self.place.guarantee)
        self._seen_stamp = stamp  # a damaged file is told of at every key, until it can be read

    def _stamp(self) -> tuple[int, int]:
        """What changes whenever the decisions are written anew."""
        try:
            info = os.stat(self.place.decisions)
        except FileNotFoundError:
            return (0, 0)
        return (info.st_mtime_ns, info.st_ino)

    def _fetch(self) -> None:
        known = groups.load(self._connection, self.project.id, list(self._proposals))
        by_id = {group.group_id: group for group in known}
        require_matching(self.place.decisions, self._proposals.values(), by_id, self.project.id)
        undecided = groups.waiting_among(self._connection, by_id)
        self._every = {group.group_id: group for group in known if group.group_id in undecided}
        self._filters = {
            group_id: auto_view.filters_of(self._proposals[group_id], drawn=self.is_blind(group_id))
            for group_id in self._every
        }
        waiting = [one for one in recommendations.waiting(self._connection) if one.group_id in self._every]
        ids = next_groups(waiting, (), len(waiting), order=self.order, seed=self.project.id)
        ids = shuffled(ids, {group_id for group_id in ids if self.is_blind(group_id)}, self.project.id)
        self.groups = [self._every[group_id] for group_id in ids if self.only in self._filters[group_id]]
        self.recommendations = {
            group.group_id: self._proposals[group.group_id].recommendation(group.filenames) for group in self.groups
        }
        self._beyond = 0

    def _drawn(self, group: Group, choice: Choice, recommendation: Recommendation | None, hidden: bool) -> GroupView:
        return auto_view.group_view(group, choice, recommendation, self._line(group, choice), hidden=hidden)

    def _line(self, group: Group, choice: Choice) -> ApprovedDecision | None:
        proposal, blind = self._proposals[group.group_id], self.is_blind(group.group_id)
        return auto_view.approved_line(group, choice, proposal, utc_now(), blind=blind)

    def _lines(self) -> list[ApprovedDecision]:
        """What was chosen for every group that waits, whatever the filter shows."""
        saved = automation_review.load(self._connection, self._every)
        made = (self._line(self._every[group_id], one.choice) for group_id, one in saved.items() if one.choice)
        return [line for line in made if line is not None]

    def _input(self, group_id: str) -> InputKind:
        return "blind" if self.is_blind(group_id) else "automation_review"

    def _finalise(self) -> None:
        # another window that writes the file now, or an apply, would write back what it read before this
        with project_lock(self.project, "writing what was chosen"):
            lines = self._write_chosen()
        self.last_written = Written(dict(Counter(line.action for line in lines)), self.place.approved)
        self._look.restart()  # the summary was not the next group
        self._load(message=self.last_written.line)

    def _write_chosen(self) -> list[ApprovedDecision]:
        """Write what was chosen into the file, beside what stands there; returns every line that was chosen here."""
        with transaction(self._connection, writing=False):
            lines, looked_at = self._lines(), automation_review.load(self._connection, self._every)
        before = read_approved(self.place.approved)
        # a choice taken back takes its line back; lines about groups that nothing was chosen for here stay
        chosen = {group_id for group_id, one in looked_at.items() if one.choice is not None}
        stand = {group_id: line for group_id, line in before.items() if group_id not in chosen}
        for line in lines:
            old = before.get(line.group_id)
            same = old is not None and replace(old, timestamp=line.timestamp) == line
            stand[line.group_id] = old if same and old is not None else line
        write_lines(self.place.approved, stand.values())
        return lines

    def _show_step(self, name: str) -> None:
        """Undo and redo act on the group of the step, also where the filter leaves it out."""
        undo, redo = automation_review.steps(self._connection)
        steps = undo if name == "undo" else redo
        if not steps:
            return
        step = steps[-1]
        if {step.from_group, step.to_group} <= {card.group_id for card in self.state.cards}:
            return
        for wider in ("waiting", "unseen"):
            if wider in self._filters.get(step.from_group, ()) and wider in self._filters.get(step.to_group, ()):
                self.show_only(wider)
