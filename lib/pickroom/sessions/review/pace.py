"""How long the looks take: the time between keys, and the figures of the header."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import Pace
from pickroom.store.choices import MAX_DWELL_S, SavedChoice, looks_s


class LookClock:
    """The time since the last key that was saved.

    Args:
        clock: seconds, rising.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """What went before was no look at a group."""
        self._since = self._clock()

    def take(self) -> int:
        """Milliseconds since the last time, and start anew; 0 after a pause (LONGEST_LOOK_S)."""
        before, self._since = self._since, self._clock()
        spent = self._since - before
        return int(1000 * spent) if 0 < spent < MAX_DWELL_S else 0


def pace_of(state: ReviewState, saved: Mapping[str, SavedChoice]) -> Pace:
    """The figures over the groups of this batch that are decided.

    Args:
        saved: group id -> what is saved of it.
    """
    choices = state.choices
    decided = [card for card in state.cards if card.group_id in choices and choices[card.group_id].decided]
    times = looks_s(saved[card.group_id].milliseconds for card in decided if card.group_id in saved)
    agreed = [
        state.choice(card).index == card.ai_index
        for card in decided
        if card.by_model and card.ai_index is not None and state.choice(card).index is not None
    ]
    return Pace(
        seconds_per_group=sum(times) / len(times) if times else None,
        agreement=sum(agreed) / len(agreed) if agreed else None,
    )
