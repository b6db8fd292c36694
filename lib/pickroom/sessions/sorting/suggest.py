"""Suggestions by nearest neighbours: what lies nearest among the images already sorted, and how far to trust it. Pure.

A confidence is a product of three: the share of the nearest neighbours' votes; how often the same vote was right on the
images that the person has sorted so far, each left out in its turn (few sorted images cannot give a high one, since it
begins at one half); and how near the image lies to the folder, from 0 where any two images are that near by chance to 1
where the folder's own are: what resembles nothing that was sorted belongs to a folder that has no name yet.
"""

from __future__ import annotations

from collections import Counter, defaultdict
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
        chance: the cosine that two images have by chance (see `chance`).
    """

    def __init__(self, matrix: np.ndarray, names: Sequence[str], chance: float) -> None:
        counts = Counter(names)
        kept = [i for i, name in enumerate(names) if counts[name] >= LEAST_EACH]
        self.matrix = unit(matrix[kept]) if kept else np.zeros((0, matrix.shape[1]), np.float32)
        self.names = [names[i] for i in kept]
        self._places: dict[str, list[int]] = {}
        for place, name in enumerate(self.names):
            self._places.setdefault(name, []).append(place)
        self.ready = len(self._places) >= LEAST_FOLDERS
        self.chance = chance
        self.reliability, self.kinship = self._check() if self.ready else (0.0, chance)

    def ask(self, matrix: np.ndarray) -> list[Suggestion | None]:
        """A suggestion for each row of (N, D) float32; None where it would be no better than a guess."""
        if not self.ready:
            return [None] * len(matrix)
        found = []
        for similarities in unit(matrix) @ self.matrix.T:
            vote = self._vote(similarities, self.names)
            confidence = vote.confidence * self.reliability * self._near(self._nearest(similarities, vote.name))
            found.append(replace(vote, confidence=confidence) if confidence >= LEAST_CONFIDENCE else None)
        return found

    def _near(self, similarity: float) -> float:
        """Where a cosine to a folder's nearest image lies between chance (0) and what is usual in a folder (1)."""
        if self.kinship <= self.chance:
            return 0.0
        return min(max((similarity - self.chance) / (self.kinship - self.chance), 0.0), 1.0)

    def _nearest(self, similarities: np.ndarray, name: str, but: int | None = None) -> float:
        """The largest of (M,) cosines among the images of one folder, one of them left out."""
        return max(float(similarities[i]) for i in self._places[name] if i != but)

    def _vote(self, similarities: np.ndarray, names: Sequence[str]) -> Suggestion:
        """The vote of the nearest, given the cosine to each sorted image (M,); its confidence is the share of votes."""
        count = min(NEIGHBOURS, len(similarities) - 1)
        nearest = np.argpartition(-similarities, count)[: count + 1]
        nearest = nearest[np.argsort(-similarities[nearest], kind="stable")].tolist()
        floor = similarities[nearest[count]]
        votes: dict[str, float] = defaultdict(float)
        for place in nearest[:count]:
            # how much nearer than the first that has no vote; the small part lets equals count
            votes[names[place]] += float(similarities[place] - floor) + 1e-3
        name, weight = max(votes.items(), key=lambda vote: vote[1])
        agreeing = sum(names[place] == name for place in nearest[:count])
        return Suggestion(name, weight / sum(votes.values()), agreeing, count)

    def _check(self) -> tuple[float, float]:
        """On sorted images, each left out in turn: the share that the others sort right, with one right and one wrong
        added, and the usual cosine to the nearest other image of their folder.
        """
        kin = []
        checked = np.unique(np.linspace(0, len(self.names) - 1, min(len(self.names), _CHECKED)).astype(int)).tolist()
        right = 0
        for place in checked:
            similarities = self.matrix @ self.matrix[place]
            kin.append(self._nearest(similarities, self.names[place], but=place))
            others = np.delete(similarities, place)  # itself has no vote
            right += self._vote(others, self.names[:place] + self.names[place + 1 :]).name == self.names[place]
        return (right + 1) / (len(checked) + 2), float(np.median(kin))


def chance(matrix: np.ndarray) -> float:
    """The median cosine between two of (N, D) float32 images, over a sample of 300 of them; 0 for fewer than two."""
    if len(matrix) < 2:
        return 0.0
    some = unit(matrix[np.unique(np.linspace(0, len(matrix) - 1, 300).astype(int))])
    return float(np.median((some @ some.T)[np.triu_indices(len(some), 1)]))


def by_similarity(matrix: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(N,) int: the rows of (N, D) ordered by their cosine to (D,), the most similar first; ties stay in order."""
    return np.argsort(-(unit(matrix) @ unit(to[None])[0]), kind="stable")


def unit(matrix: np.ndarray) -> np.ndarray:
    """(N, D) rows at unit length; a row of zeros stays."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)
