"""Rounds of a burst: which images of a group are on screen. Pure.

The winner of a round is shown with the next three images until one is left. The first round has two to four images, so
that every later one has four, the last one too: the decision row holds that one (FORMATS.md, Bursts). Images come by
rising utility, the best last, else in time order. Places are 0-based, in the group's order.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from pickroom.core.records import MAX_GROUP, MIN_GROUP, Recommendation, Rounds

Standing = Literal["out", "on", "coming"]
_NEW = MAX_GROUP - 1  # images that are shown with a winner


def shown(count: int, rounds: Rounds, order: Sequence[int] = ()) -> tuple[int, ...]:
    """The places on screen of a group of `count` images after some rounds: the winner first, the others in order.

    `order` is that in which all places are shown, () the group's own; the images of the last round do not depend on it.
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
    """The rounds, with the one on screen won by one of its places."""
    return *rounds, (winner, *(place for place in places if place != winner))


def standings(count: int, rounds: Rounds, places: Sequence[int]) -> tuple[Standing, ...]:
    """For every place, whether its image is out, on screen, or still to come."""
    met = {place for one in rounds for place in one}
    return tuple("on" if place in places else "out" if place in met else "coming" for place in range(count))


def finalists(order: Sequence[int]) -> tuple[int, ...]:
    """The places of the last round, if the later image of an order wins each round."""
    return order[-MAX_GROUP], *sorted(order[-_NEW:])


def best(places: Sequence[int], picked: int | None, order: Sequence[int]) -> int | None:
    """The recommended place on screen; `picked` is the one recommended for the whole group."""
    if picked is None or picked in places:
        return picked
    return max(places, key=order.index) if order else None


def advice(recommendation: Recommendation, places: Sequence[int]) -> Recommendation:
    """The recommendation for the images on screen.

    A model's confidence is that of the last four; for other images only its order is known.
    """
    one, index = recommendation, best(places, recommendation.selected_index, recommendation.ranking)
    if index == one.selected_index and (not one.ranking or tuple(places) == finalists(one.ranking)):
        return one
    found = replace(one, selected_index=index, confidence=None, anomaly_flags=(), reasons=_WHY[index is None])
    return found if index == one.selected_index else replace(found, crop=None, crop_needed=None, crop_confidence=None)


_WHY = {False: ("the likeliest of this round",), True: ("no recommendation in this round",)}
