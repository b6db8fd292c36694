"""Keys of several views, each taken once and in order: the kernel's side of keys.js."""

from __future__ import annotations

from typing import Any, Literal

VIEWS_KEPT = 32  # views whose key numbers are remembered; each reload of the page makes a new one


class KeyQueue:
    """The number of the last key taken from each view; go-back-N, with the page as the one that repeats."""

    def __init__(self) -> None:
        self.applied: dict[str, int] = {}

    def take(self, view: str, number: int, oldest: Any) -> Literal["new", "again", "lost"]:
        """Whether a key is to be applied now, was applied before, or one before it did not arrive.

        Args:
            number: of the key, from 1 in each view; oldest: the first that the page still has to hear of.
        """
        expected = self.expected(view)
        if number < expected:  # repeated by a page that has not heard our answer yet
            return "again"
        if number > expected and number != oldest:
            return "lost"
        self.applied.pop(view, None)
        self.applied[view] = number
        while len(self.applied) > VIEWS_KEPT:
            del self.applied[next(iter(self.applied))]
        return "new"

    def expected(self, view: str) -> int:
        """The number of the next key of a view."""
        return self.applied.get(view, 0) + 1
