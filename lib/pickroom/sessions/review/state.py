"""The review as a pure state machine: a state and a key give the next state. No files, no SQL, no clock."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from pickroom.core.quantities import plural
from pickroom.core.records import Action, Choice, Recommendation, ReviewStep
from pickroom.groups import rounds
from pickroom.sessions.keys import REVIEW, KeyTable, normalise
from pickroom.sessions.session import Zoom

NOTHING = Recommendation("", "baseline", None)


@dataclass(frozen=True, slots=True)
class Card:
    """The properties of one group that the state machine needs."""

    group_id: str
    count: int  # number of images
    recommended: Recommendation = NOTHING  # what can be accepted: nothing where it is hidden, or there is none

    def places(self, choice: Choice) -> tuple[int, ...]:
        """The places in the group of the images on screen (`groups.rounds`)."""
        return rounds.shown(self.count, choice.rounds, self.recommended.ranking)


@dataclass(frozen=True, slots=True)
class ReviewState:
    """Everything the deck shows."""

    cards: tuple[Card, ...]  # the groups of this batch, in queue order
    # group id -> what is chosen; a group not in it has `first_choice`
    choices: Mapping[str, Choice] = field(default_factory=dict)
    position: int = 0  # index of the group shown; 0 when there is none
    # zoom, info, help, summary: which views are open
    zoom: Zoom = ""
    info: bool = False
    help: bool = False
    summary: bool = False
    confirmed: bool = False  # Shift+Enter was pressed on the summary: finalise now
    # undo, redo: steps, the latest last
    undo: tuple[ReviewStep, ...] = ()
    redo: tuple[ReviewStep, ...] = ()
    message: str = ""  # one line about the last key, "" when there is nothing to say

    @property
    def card(self) -> Card | None:
        """The group shown, None when the batch is empty."""
        return self.cards[self.position] if self.cards else None

    def choice(self, card: Card) -> Choice:
        return self.choices.get(card.group_id, first_choice(card))

    @property
    def decided(self) -> int:
        """How many groups finalise would act on."""
        # only groups with a choice can be decided; with thousands of cards this runs at every key
        chosen = (self.choices.get(card.group_id) for card in self.cards)
        return sum(choice is not None and choice.decided for choice in chosen)


def first_choice(card: Card) -> Choice:
    """The choice of an untouched group: undecided, with the overlay on where a crop is recommended."""
    return Choice(overlay=card.recommended.offered_crop is not None and card.recommended.crop_needed is True)


def with_choice(state: ReviewState, group_id: str, choice: Choice) -> ReviewState:
    return replace(state, choices={**state.choices, group_id: choice})


def press(state: ReviewState, key: str, keys: KeyTable = REVIEW) -> ReviewState:
    """The state after a key (REVIEW.md's table); a key that means nothing here only leaves a message.

    Raises UsageError where the text is not a key, KeyError where the machine does not have the command bound to it.
    """
    command = keys.commands.get(normalise(key))
    state = replace(state, message="", confirmed=False)
    if command is None:
        return replace(state, message=f"{key} does nothing here; ? shows the keys")
    if state.summary:
        told = "not finalised" if command.name == "back" else "Shift+Enter again finalises, Esc returns"
        told, confirmed = ("", True) if command.name == "finalise" else (told, False)
        return replace(state, summary=command.name not in ("finalise", "back"), confirmed=confirmed, message=told)
    if command.name in ("undo", "redo"):
        return _replay(state, "undo" if command.name == "undo" else "redo", keys)
    if command.name in _VIEWS:
        return _VIEWS[command.name](state)
    if state.card is None:
        return replace(state, message="no group is left to review")
    if command.name in _MOVES:
        return _go(state, key, _MOVES[command.name](state))
    return _choose(state, state.card, key, command.name, command.index)


def destinations(state: ReviewState, keys: KeyTable = REVIEW) -> dict[str, int]:
    """Key -> the position it would lead to, for every key that moves: lets the browser swap frames at once."""
    if state.summary:
        return {}
    after = {key: press(state, key, keys).position for key in keys.commands}
    return {key: position for key, position in after.items() if position != state.position}


def _choose(state: ReviewState, card: Card, key: str, name: str, index: int | None) -> ReviewState:
    before, advice = state.choice(card), card.recommended
    places = card.places(before)
    if name == "overlay":
        if advice.offered_crop is None or advice.selected_index not in places:
            return replace(state, message="no crop was proposed for this group")
        return _record(state, card, key, replace(before, overlay=not before.overlay), state.position)
    if name == "accept":
        index = rounds.best(places, advice.selected_index, advice.ranking)
        if index is None and not advice.keep_all:
            return replace(state, message="nothing is recommended for this group")
        name = "keep" if advice.keep_all else "pick"
    elif index is not None:
        if index >= len(places):
            return replace(state, message=f"this group has {len(places)} images")
        index = places[index]
    if name in _MARKS:
        assert index is not None
        return _record(state, card, key, _MARKS[name](before, index), state.position)
    open_again = replace(before, action="undecided", index=None)
    if name == "round before":
        if not before.rounds:
            return replace(state, message="no round comes before this")
        return _record(state, card, key, replace(open_again, rounds=before.rounds[:-1]), state.position)
    if index is not None and len(before.rounds) + 1 < rounds.total(card.count):
        if name == "crop":
            return replace(state, message="other images come first: pick it now, crop it in the last round")
        after = replace(open_again, rounds=rounds.won(before.rounds, places, index))
        return _record(state, card, key, after, state.position)
    action = _CHOICES[name]
    if (before.action, before.index) == (action, index):
        return _record(state, card, key, open_again, state.position)
    # an overlay left on in another window is not on this screen (blind, or no crop is proposed any more): picking here
    # accepts nothing unseen
    overlay = before.overlay and advice.offered_crop is not None
    after = replace(before, action=action, index=index, overlay=overlay)
    after = replace(after, kept=()) if action == "reject" else after
    chosen = _record(state, card, key, after, min(state.position + 1, len(state.cards) - 1))
    return chosen if chosen.position != state.position else replace(chosen, message=open_before(chosen))


def _keep_also(choice: Choice, place: int) -> Choice:
    kept = tuple(sorted({place}.symmetric_difference(choice.kept)))
    # a rejected group keeps no image: keeping one makes it another choice
    return replace(choice, kept=kept, action="undecided" if choice.action == "reject" else choice.action)


def _star(choice: Choice, place: int) -> Choice:
    """One star more; after five, none."""
    stars = dict(choice.stars)
    stars[place] = (stars.get(place, 0) + 1) % (MOST_STARS + 1)
    return replace(choice, stars=tuple(sorted((one, count) for one, count in stars.items() if count)))


def _record(state: ReviewState, card: Card, key: str, after: Choice, position: int) -> ReviewState:
    step = ReviewStep(normalise(key), card.group_id, state.cards[position].group_id, state.choice(card), after)
    changed = state if after == step.before else with_choice(state, card.group_id, after)
    zoom = state.zoom if position == state.position else ""
    return replace(changed, position=position, undo=(*state.undo, step), redo=(), zoom=zoom, help=False)


def _go(state: ReviewState, key: str, position: int | None) -> ReviewState:
    if position is None:
        return replace(state, message="every group is decided; Shift+Enter to finalise")
    position = max(0, min(position, len(state.cards) - 1))
    if position == state.position or state.card is None:
        return state
    return _record(state, state.card, key, state.choice(state.card), position)


def first_open(state: ReviewState) -> int:
    """The first group of the batch that is undecided; 0 when all are decided."""
    return _first_undecided(state, range(len(state.cards))) or 0


def open_before(state: ReviewState) -> str:
    """A line about undecided groups before the one shown, with the key that leads there; "" without any."""
    count = sum(state.choice(card).action == "undecided" for card in state.cards[: state.position])
    if not count:
        return ""
    return f"{plural(count, 'group')} before this {'are' if count > 1 else 'is'} open: G goes to the next"


def _first_undecided(state: ReviewState, places: Sequence[int]) -> int | None:
    for wanted in ("undecided", "skip"):  # the skipped ones once nothing else is left
        for position in places:
            if state.choice(state.cards[position]).action == wanted:
                return position
    return None


def _replay(state: ReviewState, way: Literal["undo", "redo"], keys: KeyTable) -> ReviewState:
    steps = state.undo if way == "undo" else state.redo
    if not steps:
        return replace(state, message=f"nothing to {way}")
    step = steps[-1]
    shown, choice = (step.from_group, step.before) if way == "undo" else (step.to_group, step.after)
    position = next(place for place, card in enumerate(state.cards) if card.group_id == shown)
    state = state if step.before == step.after else with_choice(state, step.from_group, choice)
    message = f"{'undone' if way == 'undo' else 'redone'}: {_said(step, keys)}"
    state = replace(state, position=position, zoom="", help=False, message=message)
    if way == "undo":
        return replace(state, undo=steps[:-1], redo=(*state.redo, step))
    return replace(state, undo=(*state.undo, step), redo=steps[:-1])


def _said(step: ReviewStep, keys: KeyTable) -> str:
    """What a step did, in short: its command and the number of the image; the key where that was rebound since."""
    command = keys.commands.get(step.key)
    if command is None:
        return step.key
    return command.name if command.index is None else f"{command.name} {command.index + 1}"


def _open_summary(state: ReviewState) -> ReviewState:
    # skips count: a batch in which every group is skipped can be finalised, too, and the next one follows
    if all(state.choice(card).action == "undecided" for card in state.cards):
        return replace(state, message="nothing is decided yet")
    return replace(state, summary=True, zoom="", info=False, help=False)


def _back(state: ReviewState) -> ReviewState:
    if state.zoom:
        return replace(state, zoom="")
    return replace(state, help=False) if state.help else replace(state, info=False)


def _zoom(state: ReviewState, wanted: Zoom) -> ReviewState:
    return replace(state, zoom="" if state.zoom == wanted or state.card is None else wanted)


MOST_STARS = 5
_MARKS: dict[str, Callable[[Choice, int], Choice]] = {"keep also": _keep_also, "star": _star}
# what each command that chooses makes of its group
_CHOICES: dict[str, Action] = {"pick": "approve", "crop": "crop", "reject": "reject", "keep": "keep", "skip": "skip"}
_VIEWS: dict[str, Callable[[ReviewState], ReviewState]] = {
    "zoom": lambda state: _zoom(state, "full"),
    "faces": lambda state: _zoom(state, "faces"),
    "info": lambda state: replace(state, info=not state.info),
    "help": lambda state: replace(state, help=not state.help),
    "back": _back,
    "finalise": _open_summary,
    "filter": lambda state: state,  # the automation's review does it
}
_MOVES: dict[str, Callable[[ReviewState], int | None]] = {
    "next": lambda state: state.position + 1,
    "previous": lambda state: state.position - 1,
    "first": lambda state: 0,
    "last": lambda state: len(state.cards) - 1,
    "next undecided": lambda state: _first_undecided(
        state, [(state.position + step) % len(state.cards) for step in range(1, len(state.cards) + 1)]
    ),
}
