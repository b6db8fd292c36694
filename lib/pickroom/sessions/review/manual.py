"""Picking without AI: the same review with no recommendation at all, so that none is recorded either."""

from __future__ import annotations

from pickroom.sessions.review.session import ReviewSession


class ManualSession(ReviewSession):
    """A person alone: decisions made here have NULL in every AI field (FORMATS.md, ai_decisions).

    Groups come in folder order, since what is worth a look is a recommendation too. A group that was decided with a
    recommendation, here or in another window, keeps it: what was shown is what is recorded.
    """

    def _fetch(self) -> None:
        super()._fetch()
        self.recommendations = {}
