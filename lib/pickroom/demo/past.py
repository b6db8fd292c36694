"""A demo with decisions: its hidden reviewer has decided the first groups, with the review's keys and crops."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing

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
_SECONDS = (1.0, 0.5)  # mean and spread of the logarithm of the seconds a look takes: about 3, a few of them 8
_PAST = 0x9A57  # a stream of its own: a demo with decisions has the pictures of one without

Progress = Callable[[int, int], None]  # groups decided, of all that are to be


def decide(project: Project, truths: Sequence[Truth], count: int, seed: int, progress: Progress | None = None) -> None:
    """Decide the first `count` groups of the queue as the hidden reviewer would, blind, and make the crops.

    Raises:
        ConflictError: a batch was held back, a crop not made, or a group not there or not known to the reviewer; what
            was decided before stays.
    """
    by_names = {frozenset(known.images): known for known in truths}
    pace = _Pace(stream(seed, _PAST))
    done = 0
    while done < count:
        with closing(ReviewSession(project, batch_size=min(BATCH, count - done), blind=True, clock=pace)) as session:
            groups = list(session.groups)
            _require(bool(groups), project, f"group {done + 1} was not made whole")
            orders = []
            for group in groups:
                pace.look()
                known = by_names.get(frozenset(group.filenames))
                _require(known is not None, project, f"the hidden reviewer knows nothing of group {group.group_id}")
                assert known is not None
                session.press(_key(group, known))
                if known.box is not None:
                    orders.append(Order("crop", known.images[known.pick], known.box))
            for key in ("Shift+Enter", "Shift+Enter"):
                session.press(key)
            finalised = session.last_result is not None and not session.last_result.held
            _require(finalised, project, "a batch was not made whole")
        if orders:
            with closing(connect(project.database)) as connection:
                made = cropping.submit(project, connection, orders)
            _require(len(made.done) == len(orders), project, "a crop was not made whole")
        done += len(groups)
        if progress is not None:
            progress(done, count)


class _Pace:
    """A clock that goes on by the time that a user would have looked at a group."""

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


def _require(holds: bool, project: Project, what: str) -> None:
    if not holds:
        hint = "see what waits: pickroom status demo; or make the demo again in an empty folder"
        raise ConflictError(what, doing="deciding groups of the demo", subject=project.root, hint=hint)
