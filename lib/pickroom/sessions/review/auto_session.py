"""The automation's review: the review's own session over automation_decisions.jsonl. It moves nothing.

Every key is saved in the database of the project's copy; `Shift+Enter` writes what was chosen to
approved_decisions.jsonl. Groups drawn at random from those approved unseen are shown blind among the others.
"""

import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from pickroom.automation import decisions_file as files
from pickroom.automation.order import Order, next_groups, shuffled
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.naming import CROP_ORIGINALS, CROPPED, RAW_EXTENSIONS, extension_of
from pickroom.core.quantities import plural
from pickroom.core.records import Choice, Group, InputKind
from pickroom.files.preflight import project_lock
from pickroom.sessions.keys import AUTOMATION, normalise
from pickroom.sessions.review import view
from pickroom.sessions.review.session import ReviewSession, pace_of
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import DeckView, GroupView
from pickroom.store import groups, recommendations, review_state
from pickroom.store.connect import transaction
from pickroom.store.workspace import utc_now

UNCERTAIN = 0.8  # a pick or proposed crop with a lower confidence, or without one, is uncertain
# name -> what its button says; REVIEW.md, Automation review: only uncertain, only crops, only flagged. One choice of
# the user's counts whichever of them shows the group.
FILTERS: Mapping[str, str] = {
    "waiting": "Needs you",
    "uncertain": "Uncertain",
    "crops": "Crops",
    "flagged": "Flagged",
    "unseen": "Approved unseen",
}
_ELSEWHERE = "no group here: F, or a button above, shows others"
_KINDS = {
    "approved": "approved as proposed",
    "cropped": "approved with the crop, rendered at apply",
    "by hand": "to crop/ for the crop desk",
    "overridden": "overridden: another image",
    "kept": "overridden: not a group, every image kept",
    "rejected": "rejected: nothing is done",
}


class AutoSession(ReviewSession):
    """A user who looks at what the automation proposes; `press` is all they do. Arguments as of `ReviewSession`.

    Raises UsageError where there are no decisions yet or a line of them is damaged, else as `ProjectSession`.
    """

    keys = AUTOMATION
    store = review_state.AUTOMATION

    def __init__(
        self, place: AutomationTarget, *, order: Order = "worth", clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.place = place
        self.only = "waiting"  # the filter that is on, one of FILTERS
        self.last_written = ""  # what Shift+Enter wrote, in one line; "" before
        self._read()
        super().__init__(place.project, order=order, clock=clock)
        self.previews = place.origin.workspace.thumbnails

    def press(self, key: str) -> ReviewState:
        """Apply one key and save what it changed; a confirmed summary writes approved_decisions.jsonl.

        Raises:
            UsageError: the text is not a key, or a file of decisions has been damaged meanwhile.
            LockedError: another window is writing that file, or an apply is at work; every choice stays saved.
            FileOperationError, StoreError: writing failed; the file is as it was.
        """
        command = self.keys.commands.get(normalise(key))
        if command is not None and not self.state.summary:
            if command.name == "filter":
                names = list(FILTERS)
                return self.show_only(names[(names.index(self.only) + 1) % len(names)])
            if command.name in ("undo", "redo"):  # on the group of the step, also where the filter leaves it out
                undo, redo = self.store.steps(self._connection)
                steps = undo if command.name == "undo" else redo
                both = {steps[-1].from_group, steps[-1].to_group} if steps else set()
                if not both <= {card.group_id for card in self.state.cards}:
                    for wider in ("waiting", "unseen"):
                        if all(wider in self._filters.get(group_id, ()) for group_id in both):
                            self.show_only(wider)
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
        """Read what other windows chose, and decisions that were generated again."""
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
        shown, only = super().view(), FILTERS[self.only]
        if self.state.cards:
            text = view.header(self.state, pace_of(self.state, self._saved), 0)
            return replace(shown, header=text if self.only == "waiting" else f"Only {only.lower()} - {text}")
        if not self._filters:
            return replace(shown, header="No group is undecided: nothing to look at")
        text = f"{only}: none of {plural(len(self._filters), 'group')}"
        return replace(shown, header=text, progress=0.0, message=shown.message or _ELSEWHERE)

    def summary(self) -> tuple[str, ...]:
        """What Shift+Enter would write, one line a kind, counts first, whatever the filter shows."""
        lines = self._lines()
        waiting = {g for g, names in self._filters.items() if "waiting" in names}
        unseen = {g for g, names in self._filters.items() if "unseen" in names}
        written = {line.group_id for line in lines}
        kinds = Counter(map(_kind, lines))
        found = [f"{plural(kinds[kind], 'group')}: {text}" for kind, text in _KINDS.items() if kinds[kind]]
        if left := len(waiting - written):
            found.append(f"{plural(left, 'group')}: skipped or not decided, not written")
        if others := len(unseen - written):
            found.append(f"{plural(others, 'group')}: approved unseen, carried out by the same apply")
        return tuple(found)

    def is_blind(self, group_id: str) -> bool:
        """Whether the group was drawn from those approved unseen; drift of the guarantee is measured on these."""
        proposal = self._proposals.get(group_id)
        drawn = self._approval is not None and self._approval.drawn(group_id)
        return proposal is not None and proposal.auto_approve and drawn

    def _read(self) -> None:
        stamp = self._stamp()  # before the files: what is written after this shows at the next key
        self._proposals: dict[str, files.AutomationDecision] = files.read_decisions(self.place.decisions)
        self._approval = files.read_approval(self.place.guarantee)
        self._seen_stamp = stamp  # a damaged file is reported at every key, until it can be read

    def _stamp(self) -> tuple[int, int]:
        """A value that changes whenever the decisions are written again."""
        try:
            info = os.stat(self.place.decisions)
        except FileNotFoundError:
            return (0, 0)
        return (info.st_mtime_ns, info.st_ino)

    def _fetch(self) -> None:
        known = groups.load(self._connection, self.project.id, list(self._proposals))
        by_id = {group.group_id: group for group in known}
        files.require_matching(self.place.decisions, self._proposals.values(), by_id, self.project.id)
        undecided = groups.waiting_among(self._connection, by_id)
        self._every = {group.group_id: group for group in known if group.group_id in undecided}
        self._filters = {
            group_id: filters_of(self._proposals[group_id], drawn=self.is_blind(group_id)) for group_id in self._every
        }
        waiting = [one for one in recommendations.waiting(self._connection) if one.group_id in self._every]
        ids = next_groups(waiting, (), len(waiting), order=self.order, seed=self.project.id)
        ids = shuffled(ids, {group_id for group_id in ids if self.is_blind(group_id)}, self.project.id)
        self.groups = [self._every[group_id] for group_id in ids if self.only in self._filters[group_id]]
        self.recommendations = {
            group.group_id: self._proposals[group.group_id].recommendation(group.filenames) for group in self.groups
        }
        self._beyond = 0

    def _drawn(self, group: Group, choice: Choice, hidden: bool) -> GroupView:
        # a rejected group keeps every image: nothing of it is marked as going
        drawn = Choice("undecided", None, choice.overlay) if choice.action == "reject" else choice
        shown = view.group_view(group, drawn, self.recommendations.get(group.group_id), hidden=hidden)
        return replace(shown, route=_route(group, choice, self._line(group, choice)), decided=choice.decided)

    def _line(self, group: Group, choice: Choice) -> files.ApprovedDecision | None:
        """The line that a choice becomes in approved_decisions.jsonl; None for one that is not written."""
        proposal = self._proposals[group.group_id]
        picked = choice.action in ("approve", "crop") and choice.index is not None
        name = group.filenames[choice.index or 0] if picked else None
        action: files.Verdict = "overridden"
        needs_crop, crop = choice.action == "crop", False
        if choice.action == "reject":
            action = "rejected"
        elif choice.action != "keep" and not picked:
            return None
        elif choice.action == "approve" and name == proposal.chosen:
            action = "approved"
            if not self.is_blind(group.group_id):  # a crop that was not shown is neither accepted nor requested
                crop = choice.overlay and proposal.crop is not None
                # needed, but no box is proposed: for the crop desk
                needs_crop = crop or (proposal.needs_crop is True and proposal.crop is None)
        box = proposal.crop if crop else None
        return files.ApprovedDecision(group.group_id, action, name, needs_crop, box, "person", utc_now())

    def _lines(self) -> list[files.ApprovedDecision]:
        """What was chosen for every group that waits, whatever the filter shows."""
        saved = self.store.load(self._connection, self._every)
        made = (self._line(self._every[group_id], one.choice) for group_id, one in saved.items() if one.choice)
        return [line for line in made if line is not None]

    def _input(self, group_id: str) -> InputKind:
        return "blind" if self.is_blind(group_id) else "automation_review"

    def _finalise(self) -> None:
        # another window that writes the file now, or an apply, would write back what it read before this
        with project_lock(self.project, "writing what was chosen"):
            lines = self._write_chosen()
        counts = sorted(Counter(line.action for line in lines).items())
        said = ", ".join(f"{count} {action}" for action, count in counts) or "nothing"
        name = self.place.approved.name
        self.last_written = f"Written to {name}: {said}; apply carries it out"
        self._since = self._clock()  # the summary was not the next group
        self._load(message=self.last_written)

    def _write_chosen(self) -> list[files.ApprovedDecision]:
        """Add the choices to the lines of the file; returns the lines of all choices made here."""
        with transaction(self._connection, writing=False):
            lines, looked_at = self._lines(), self.store.load(self._connection, self._every)
        before = files.read_approved(self.place.approved)
        # the line of an undone choice is removed; lines of groups without a choice here stay
        chosen = {group_id for group_id, one in looked_at.items() if one.choice is not None}
        stand = {group_id: line for group_id, line in before.items() if group_id not in chosen}
        for line in lines:
            old = before.get(line.group_id)
            same = old is not None and replace(old, timestamp=line.timestamp) == line
            stand[line.group_id] = old if same and old is not None else line
        files.write_lines(self.place.approved, stand.values())
        return lines


def filters_of(proposal: files.AutomationDecision, *, drawn: bool) -> frozenset[str]:
    """The filters that show a proposal; for one drawn for a blind look, none that would reveal it."""
    if proposal.auto_approve:
        return frozenset(("waiting",) if drawn else ("unseen",))
    found = {"waiting"}
    if _unsure(proposal.confidence) or (proposal.needs_crop is not False and _unsure(proposal.crop_confidence)):
        found.add("uncertain")
    if proposal.needs_crop or proposal.crop is not None:
        found.add("crops")
    if proposal.anomaly_flags:
        found.add("flagged")
    return frozenset(found)


def _unsure(confidence: float | None) -> bool:
    return confidence is None or confidence < UNCERTAIN


def _route(group: Group, choice: Choice, line: files.ApprovedDecision | None) -> str:
    if choice.action == "reject":
        return "Rejected: every image stays where it is, nothing is done"
    if choice.action == "keep":
        return "Overridden, not a group: every image → selected/"
    if line is None:
        return "Skipped: nothing is written" if choice.action == "skip" else "Undecided: nothing is written"
    assert line.final_choice is not None
    picked = group.filenames.index(line.final_choice)
    others = ", ".join(str(i + 1) for i in range(len(group.images)) if i != picked)
    how = f"{picked + 1} → selected/"
    if line.crop is not None:
        negative = extension_of(line.final_choice) in RAW_EXTENSIONS
        how = f"{picked + 1} → cropped into {CROPPED}/, " + (
            "the crop in its XMP sidecar" if negative else f"the original → {CROP_ORIGINALS}/"
        )
    elif line.needs_crop:
        how = f"{picked + 1} → crop/ to be cropped by hand"
    return f"{line.action.capitalize()}: {how}   ·   {others} → delete_staging/"


def _kind(line: files.ApprovedDecision) -> str:
    if line.action == "rejected":
        return "rejected"
    if line.final_choice is None:
        return "kept"
    if line.crop is not None:
        return "cropped"
    return "by hand" if line.needs_crop else line.action
