"""Which images of a board resemble each other, by the vectors of the project; without vectors it says why it cannot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from pickroom.core.errors import StoreError
from pickroom.core.naming import filename_of
from pickroom.features.vectors import Vectors, load_vectors
from pickroom.sessions.sorting.suggest import Neighbours, Suggestion, by_similarity, chance
from pickroom.store.workspace import Project


class Similarity:
    """The vectors of a project's images, by their paths.

    A finished crop has no vector of its own: that of the image it was cut from, which has the same name, serves.

    Attributes:
        missing: why there are no vectors, "" when there are.
        taught: what the caller calls the state that was taught last, None before.
    """

    def __init__(self, project: Project) -> None:
        self.missing = ""
        self._vectors: Vectors | None = None
        self._rows: dict[str, int] = {}
        self._chance: float | None = None
        self.taught: object = None
        self._neighbours: Neighbours | None = None
        try:
            self._vectors = load_vectors(project)
        except StoreError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.missing = f"no suggestions: {error.what}{hint}"
        else:
            self._rows = {name: row for row, name in enumerate(self._vectors.filenames.tolist())}

    def has(self, path: str) -> bool:
        """Whether an image has a vector."""
        return filename_of(path) in self._rows

    def ordered(self, paths: Sequence[str], to: str) -> list[str]:
        """The most similar to `to` first, those without a vector last in their order; unchanged when it has none."""
        if self._vectors is None or not self.has(to):
            return list(paths)
        known = [path for path in paths if self.has(path)]
        order = by_similarity(self._matrix(known), self._matrix([to])[0]).tolist() if known else []
        return [known[i] for i in order] + [path for path in paths if not self.has(path)]

    def teach(self, named: Mapping[str, str], board: Iterable[str]) -> None:
        """The images that are sorted now: path -> character.

        Args:
            board: every path of the board, to know how near two images are by chance.
        """
        known = [path for path in named if self.has(path)]
        if known and self._chance is None:
            self._chance = chance(self._matrix([path for path in board if self.has(path)]))
        names = [named[path] for path in known]
        self._neighbours = Neighbours(self._matrix(known), names, self._chance or 0.0) if known else None

    def suggest(self, paths: Iterable[str]) -> dict[str, Suggestion]:
        """Path -> what its nearest sorted neighbours suggest, for those with a suggestion."""
        known = [path for path in paths if self.has(path)]
        if self._neighbours is None or not known:
            return {}
        found = self._neighbours.ask(self._matrix(known))
        return {path: one for path, one in zip(known, found, strict=True) if one is not None}

    def _matrix(self, paths: Sequence[str]) -> np.ndarray:
        """(N, D) float32, a row a path."""
        assert self._vectors is not None
        return self._vectors.matrix[[self._rows[filename_of(path)] for path in paths]]
