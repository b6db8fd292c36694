"""What the automation's review shows: the deck's own records, in the words of what an apply will do. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pickroom.automation.decisions_file import ApprovedDecision, AutomationDecision, Verdict
from pickroom.core.naming import CROP_ORIGINALS, CROPPED
from pickroom.core.quantities import plural
from pickroom.core.records import Choice, Group, Recommendation
from pickroom.sessions.review import view
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import GroupView, Pace

UNCERTAIN = 0.8  # a pick, or a crop that is proposed, of less confidence than this, or of none, is uncertain
# name -> what its button says; REVIEW.md, Automation review: only uncertain, only crops, only flagged. One choice of
# the user's counts whichever of them shows the group.
FILTERS: Mapping[str, str] = {
    "waiting": "Needs you",
    "uncertain": "Uncertain",
    "crops": "Crops",
    "flagged": "Flagged",
    "unseen": "Approved unseen",
}
ELSEWHERE = "no group here: F, or a button above, shows others"


def filters_of(proposal: AutomationDecision, *, drawn: bool) -> frozenset[str]:
    """The filters that show a proposal. One drawn for a blind look is in no filter that would tell what is proposed."""
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


def approved_line(
    group: Group, choice: Choice, proposal: AutomationDecision, timestamp: str, *, blind: bool
) -> ApprovedDecision | None:
    """The line that a choice becomes in approved_decisions.jsonl; None for one that is not written.

    Args:
        blind: the proposal was hidden: a crop that was not seen is neither accepted nor asked for.
    """

    def line(action: Verdict, name: str | None, needs_crop: bool = False, crop: bool = False) -> ApprovedDecision:
        box = proposal.crop if crop else None
        return ApprovedDecision(group.group_id, action, name, needs_crop, box, "person", timestamp)

    if choice.action == "reject":
        return line("rejected", None)
    if choice.action == "keep":
        return line("overridden", None)
    if choice.action not in ("approve", "crop") or choice.index is None:
        return None
    name = group.filenames[choice.index]
    if choice.action == "crop":
        return line("overridden", name, needs_crop=True)
    if name != proposal.chosen:
        return line("overridden", name)
    if blind:
        return line("approved", name)
    crop = choice.overlay and proposal.crop is not None
    by_hand = proposal.needs_crop is True and proposal.crop is None  # needed, and no box is proposed: the crop desk's
    return line("approved", name, crop or by_hand, crop)


def group_view(
    group: Group, choice: Choice, recommendation: Recommendation | None, line: ApprovedDecision | None, *, hidden: bool
) -> GroupView:
    """One group as the deck draws it, with the words of what an apply will do."""
    # a rejected group keeps every image: nothing of it is marked as going
    drawn = Choice("undecided", None, choice.overlay) if choice.action == "reject" else choice
    shown = view.group_view(group, drawn, recommendation, hidden=hidden)
    return replace(shown, route=_route(group, choice, line), decided=choice.decided)


def _route(group: Group, choice: Choice, line: ApprovedDecision | None) -> str:
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
        how = f"{picked + 1} → cropped into {CROPPED}/, the original → {CROP_ORIGINALS}/"
    elif line.needs_crop:
        how = f"{picked + 1} → crop/ to be cropped by hand"
    return f"{line.action.capitalize()}: {how}   ·   {others} → delete_staging/"


def header(state: ReviewState, pace: Pace, name: str, total: int) -> str:
    """The deck's header, with the filter in words where one is on.

    Args:
        total: groups in the decisions, whatever the filter.
    """
    if state.cards:
        text = view.header(state, pace, 0)
        return text if name == "waiting" else f"Only {FILTERS[name].lower()} - {text}"
    return (
        f"{FILTERS[name]}: none of {plural(total, 'group')}" if total else "No group is undecided: nothing to look at"
    )


def summary(lines: Sequence[ApprovedDecision], left: int, unseen: int) -> tuple[str, ...]:
    """What Shift+Enter will write, one line a kind, counts first.

    Args:
        left: groups that wait for the user and are not decided; unseen: approved without a look.
    """
    kinds = Counter(_kind(line) for line in lines)
    found = [f"{plural(kinds[kind], 'group')}: {text}" for kind, text in _KINDS.items() if kinds[kind]]
    if left:
        found.append(f"{plural(left, 'group')}: skipped or not decided, not written")
    if unseen:
        found.append(f"{plural(unseen, 'group')}: approved unseen, carried out by the same apply")
    return tuple(found)


_KINDS = {
    "approved": "approved as proposed",
    "cropped": "approved with the crop, rendered at apply",
    "by hand": "to crop/ for the crop desk",
    "overridden": "overridden: another image",
    "kept": "overridden: not a group, every image kept",
    "rejected": "rejected: nothing is done",
}


def _kind(line: ApprovedDecision) -> str:
    if line.action == "rejected":
        return "rejected"
    if line.final_choice is None:
        return "kept"
    if line.crop is not None:
        return "cropped"
    return "by hand" if line.needs_crop else line.action
