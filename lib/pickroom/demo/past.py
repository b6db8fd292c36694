"""A past for the demo: its hidden reviewer has decided the first groups, with everyone's own keys and crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from pickroom.core.errors import ConflictError
from pickroom.core.records import Group
from pickroom.demo.config import stream
from pickroom.demo.truth import Truth
from pickroom.files import cropping
from pickroom.files.cropping import Order
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project

BATCH = 50  # groups to a finalise
_FINALISE = ("Shift+Enter", "Shift+Enter")
_SECONDS = (1.0, 0.5)  # mean and spread of the logarithm of the seconds a look takes: about 3, a few of them 8
_PAST = 0x9A57  # a stream of its own: a demo with a past has the pictures of one without

Progress = Callable[[int, int], None]  # groups decided, of all that are to be


def decide(project: Project, truths: Sequence[Truth], count: int, seed: int, progress: Progress | None = None) -> None:
    """Decide the first `count` groups of the queue as the hidden reviewer would, blind, and make the crops.

    Blind, because the reviewer looks at nothing but the pictures: so the decisions may be measured by.

    Raises:
        ConflictError: a batch was held back, a crop not made, or a group not there or not known to the reviewer; what
            was decided before stays.
    """
    by_names = {frozenset(known.images): known for known in truths}
    pace = _Pace(stream(seed, _PAST))
    done = 0
    while done < count:
        session = ReviewSession(project, batch_size=min(BATCH, count - done), blind=True, clock=pace)
        try:
            groups = list(session.groups)
            _require_done(project, bool(groups), f"group {done + 1}")
            orders = []
            for group in groups:
                pace.look()
                known = by_names.get(frozenset(group.filenames))
                if known is None:
                    raise ConflictError(
                        f"the hidden reviewer knows nothing of group {group.group_id}",
                        doing="giving the demo a past",
                        subject=project.root,
                        hint="make the demo anew in an empty folder",
                    )
                session.press(_key(group, known))
                if known.box is not None:
                    orders.append(Order("crop", known.images[known.pick], known.box))
            for key in _FINALISE:
                session.press(key)
            _require_done(project, session.last_result is not None and not session.last_result.held, "a batch")
        finally:
            session.close()
        _crop(project, orders)
        done += len(groups)
        if progress is not None:
            progress(done, count)


class _Pace:
    """A clock that goes on by the time that a person would have looked at a group."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random, self._now = random, 0.0

    def look(self) -> None:
        self._now += float(self._random.lognormal(*_SECONDS))

    def __call__(self) -> float:
        return self._now


def _key(group: Group, known: Truth) -> str:
    if known.action == "reject":
        return "x"
    index = group.filenames.index(known.images[known.pick])
    return ("1234" if known.action == "approve" else "qwer")[index]


def _crop(project: Project, orders: Sequence[Order]) -> None:
    connection = connect(project.database)
    try:
        made = cropping.submit(project, connection, orders) if orders else None
    finally:
        connection.close()
    _require_done(project, made is None or len(made.done) == len(orders), "a crop")


def _require_done(project: Project, done: bool, what: str) -> None:
    if not done:
        raise ConflictError(
            f"{what} was not made whole",
            doing="giving the demo a past",
            subject=project.root,
            hint="see what waits: pickroom status demo",
        )
