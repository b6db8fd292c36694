"""Suggestions by nearest neighbours: what lies nearest among the images already sorted, and how far to trust it. Pure.

A confidence is the share of the nearest neighbours' votes, times how often the same vote was right on the images that
the person has sorted so far, each left out in its turn. Few sorted images cannot give a high one: the second factor
begins at one half.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

NEIGHBOURS = 7
LEAST_FOLDERS = 2  # with one folder there is nothing to tell apart
LEAST_EACH = 2  # sorted images a folder needs before anything is suggested for it
LEAST_CONFIDENCE = 0.5  # below it a suggestion would be wrong more often than right: none is made
_CHECKED = 300  # sorted images at the most on which the votes are checked


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A folder for one image; confidence in (0, 1). `agreeing` of `asked` neighbours are in that folder."""

    name: str
    confidence: float
    agreeing: int
    asked: int


class Neighbours:
    """The sorted images, ready to be asked.

    Args:
        matrix: (M, D) float32, one row a sorted image, of any length.
        names: (M,) the folder of each.
    """

    def __init__(self, matrix: np.ndarray, names: Sequence[str]) -> None:
        counts = Counter(names)
        kept = [i for i, name in enumerate(names) if counts[name] >= LEAST_EACH]
        self.matrix = unit(matrix[kept]) if kept else np.zeros((0, matrix.shape[1]), np.float32)
        self.names = [names[i] for i in kept]
        self.ready = len(set(self.names)) >= LEAST_FOLDERS
        self.reliability = self._check() if self.ready else 0.0

    def ask(self, matrix: np.ndarray) -> list[Suggestion | None]:
        """A suggestion for each row of (N, D) float32; None where it would be no better than a guess."""
        if not self.ready:
            return [None] * len(matrix)
        found = [self._vote(row, self.names) for row in unit(matrix) @ self.matrix.T]
        sure = [replace(one, confidence=one.confidence * self.reliability) for one in found]
        return [one if one.confidence >= LEAST_CONFIDENCE else None for one in sure]

    def _vote(self, similarities: np.ndarray, names: Sequence[str]) -> Suggestion:
        """The vote of the nearest, given the cosine to each sorted image (M,); its confidence is the share of votes."""
        count = min(NEIGHBOURS, len(similarities) - 1)
        nearest = np.argpartition(-similarities, count)[: count + 1]
        nearest = nearest[np.argsort(-similarities[nearest], kind="stable")].tolist()
        floor = similarities[nearest[count]]
        votes: Counter[str] = Counter()
        for place in nearest[:count]:
            # how much nearer than the first that has no vote; the small part lets equals count
            votes[names[place]] += float(similarities[place] - floor) + 1e-3
        name, weight = votes.most_common(1)[0]
        agreeing = sum(names[place] == name for place in nearest[:count])
        return Suggestion(name, weight / sum(votes.values()), agreeing, count)

    def _check(self) -> float:
        """The share of sorted images that the others would have sorted right, with one right and one wrong added."""
        checked = np.unique(np.linspace(0, len(self.names) - 1, min(len(self.names), _CHECKED)).astype(int)).tolist()
        right = 0
        for place in checked:
            others = np.delete(self.matrix @ self.matrix[place], place)  # itself has no vote
            right += self._vote(others, self.names[:place] + self.names[place + 1 :]).name == self.names[place]
        return (right + 1) / (len(checked) + 2)


def by_similarity(matrix: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(N,) int: the rows of (N, D) ordered by their cosine to (D,), the most similar first; ties stay in order."""
    return np.argsort(-(unit(matrix) @ unit(to[None])[0]), kind="stable")


def unit(matrix: np.ndarray) -> np.ndarray:
    """(N, D) rows at unit length; a row of zeros stays."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)
