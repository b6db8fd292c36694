"""The order of review: the groups most likely to be overridden first. Pure.

Of ten groups seven come by 1 - confidence, two are conflicts between stage and defect (a pick below the highest stage,
or an anomaly flag), where models err with high confidence (LESSONS.md, Picking), and one is drawn at random.
"""

from collections.abc import Collection, Iterator, Sequence
from itertools import cycle, islice
from typing import Literal, get_args

from pickroom.core.errors import UsageError
from pickroom.core.naming import sampling_key
from pickroom.store.recommendations import Waiting

Order = Literal["worth", "folder"]
_Way = Literal["worth", "conflict", "random"]
# the cost of these three in ten, in overrides found: benchmarks/order.py
PATTERN: tuple[_Way, ...] = (
    *("worth", "conflict", "worth", "worth", "random"),
    *("worth", "conflict", "worth", "worth", "worth"),
)


def next_groups(
    waiting: Sequence[Waiting],
    touched: Collection[str],
    count: int,
    *,
    order: Order = "worth",
    blind: bool = False,
    seed: str = "",
) -> list[str]:
    """The ids of the next `count` groups to review.

    A group with a choice stays among them, even if recommendations change. Skipped groups come after all others. Blind
    decisions calibrate the guarantee, so they come at random. Without any confidence the order is that of the folder.

    Args:
        waiting: in folder order. touched: ids with a choice. seed: any text that stays the same for a project.

    Raises:
        UsageError: no such order.
    """
    if order not in get_args(Order):
        raise UsageError(f"groups come in no order {order!r}", doing="ordering the review", hint="worth or folder")
    ranked: list[str] = []
    for deferrals in sorted({group.deferrals for group in waiting}):
        some = [group for group in waiting if group.deferrals == deferrals]
        if order == "folder" or all(group.confidence is None for group in waiting):
            ranked += [group.group_id for group in some]
        elif blind:
            ranked += [group.group_id for group in _at_random(some, seed)]
        else:
            ranked += by_worth(some, seed)
    chosen = ranked[:count]
    taken = set(chosen)
    # in folder order, which does not depend on the number of waiting groups
    staying = [one.group_id for one in waiting if one.group_id in touched and one.group_id not in taken]
    giving_way = [group_id for group_id in chosen if group_id not in touched][-len(staying) :] if staying else []
    return [g for g in chosen if g not in set(giving_way)] + staying[: len(giving_way)]


def by_worth(waiting: Sequence[Waiting], seed: str = "") -> list[str]:
    """All ids in the order of PATTERN; `worth` takes the turns of a kind that has run out. Unknown ones last."""
    ranked = sorted(waiting, key=_certainty)
    ways: dict[_Way, Iterator[Waiting]] = {
        "worth": iter(ranked),
        "conflict": iter([group for group in ranked if group.conflict]),
        "random": iter(_at_random(waiting, seed)),
    }
    taken: dict[str, None] = {}
    for way in islice(cycle(PATTERN), len(waiting)):  # `worth` has every group, so that each turn finds one
        left = (group for one in (ways[way], ways["worth"]) for group in one if group.group_id not in taken)
        taken[next(left).group_id] = None
    return list(taken)


def shuffled(ids: Sequence[str], those: Collection[str], seed: str = "") -> list[str]:
    """The ids in their order, with `those` among them shuffled within their places, as `guarantee.watch` needs."""
    mixed = iter(sorted((one for one in ids if one in those), key=lambda one: sampling_key(one, seed)))
    return [next(mixed) if one in those else one for one in ids]


def _certainty(group: Waiting) -> tuple[float, float]:
    """Sort key: least confident pick first, then least confident crop. Unknown picks come last, in their order."""
    if group.confidence is None:
        return 2.0, 0.0
    return group.confidence, 1.0 if group.crop_confidence is None else group.crop_confidence


def _at_random(waiting: Sequence[Waiting], seed: str) -> list[Waiting]:
    """Random order that is the same at every call, also when some groups are decided."""
    return sorted(waiting, key=lambda group: sampling_key(group.group_id, seed))
