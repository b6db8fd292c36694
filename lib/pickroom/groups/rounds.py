"""Which images of a group are on screen: a burst of more than four is met round by round. Pure.

The winner of a round meets the next three images until one is left. The first round has two to four, so that every
later one has four, the last one too: that is the one a decision row holds (FORMATS.md, Bursts). Images meet by rising
recommendation, the best last, else in time order. Places are 0-based, in the group's order.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pickroom.core.records import MAX_GROUP, MIN_GROUP, Recommendation, Rounds

Standing = Literal["out", "on", "coming"]
_NEW = MAX_GROUP - 1  # images that a winner meets


def shown(count: int, rounds: Rounds, order: Sequence[int] = ()) -> tuple[int, ...]:
    """The places on screen of a group of `count` images after some rounds: the winner first, the others in order.

    Args:
        order: of meeting, of all places; () is the group's own. The images of the last round do not depend on it.
    """
    met = {place for one in rounds for place in one}
    coming = [place for place in (order if len(order) == count else range(count)) if place not in met]
    if rounds:
        return rounds[-1][0], *sorted(coming[:_NEW])
    return tuple(sorted(coming[: (count - MIN_GROUP) % _NEW + MIN_GROUP]))


def total(count: int) -> int:
    """How many rounds a group of `count` images has."""
    return -(-(count - 1) // _NEW)


def won(rounds: Rounds, places: Sequence[int], winner: int) -> Rounds:
    """The rounds after the one on screen, won by one of its places."""
    return *rounds, (winner, *(place for place in places if place != winner))


def standings(count: int, rounds: Rounds, places: Sequence[int]) -> tuple[Standing, ...]:
    """Of every place whether its image is out, on screen, or still to come."""
    met = {place for one in rounds for place in one}
    return tuple("on" if place in places else "out" if place in met else "coming" for place in range(count))


def finalists(order: Sequence[int]) -> tuple[int, ...]:
    """The places of the last round, where every round goes as an order of meeting says."""
    return order[-MAX_GROUP], *sorted(order[-_NEW:])


def best(places: Sequence[int], picked: int | None, order: Sequence[int]) -> int | None:
    """The place on screen that is recommended, where `picked` is that of the whole group."""
    if picked is None or picked in places:
        return picked
    return max(places, key=order.index) if order else None


def advice(recommendation: Recommendation, places: Sequence[int]) -> Recommendation:
    """What is recommended of the images on screen.

    A model was asked about the last four: of other images its order is known, and not how sure it is.
    """
    one, index = recommendation, best(places, recommendation.selected_index, recommendation.ranking)
    if index == one.selected_index and (not one.ranking or tuple(places) == finalists(one.ranking)):
        return one
    found = replace(one, selected_index=index, confidence=None, anomaly_flags=(), reasons=_WHY[index is None])
    return found if index == one.selected_index else replace(found, crop=None, crop_needed=None, crop_confidence=None)


_WHY = {False: ("the likeliest of this round",), True: ("no recommendation in this round",)}
