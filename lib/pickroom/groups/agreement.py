"""How well groups by similarity agree with a person's, pair by pair, and the thresholds that agree best. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from pickroom.groups.similar import THRESHOLDS, Thresholds

LEAST_PAIRS = 30  # of each kind; with fewer a threshold would follow single groups


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of images put together: by both, by the grouping alone, by the person alone.

    Precision, recall and F1 over pairs; None where there is nothing to divide by.
    """

    both: int
    grouping_only: int
    person_only: int

    @property
    def precision(self) -> float | None:
        made = self.both + self.grouping_only
        return self.both / made if made else None

    @property
    def recall(self) -> float | None:
        wanted = self.both + self.person_only
        return self.both / wanted if wanted else None

    @property
    def f1(self) -> float | None:
        """The harmonic mean of the two, which is 2 both / (made + wanted)."""
        total = 2 * self.both + self.grouping_only + self.person_only
        return 2 * self.both / total if total else None

    @property
    def words(self) -> str:
        shown = [f"{name} {'unknown' if value is None else f'{value:.3f}'}" for name, value in self._scores()]
        return f"pairs: {', '.join(shown)} ({self.both} of {self.both + self.person_only} found)"

    def _scores(self) -> tuple[tuple[str, float | None], ...]:
        return ("precision", self.precision), ("recall", self.recall), ("F1", self.f1)


def compare(made: Iterable[Iterable[str]], wanted: Iterable[Iterable[str]]) -> Agreement:
    """Count the pairs of names that two groupings put together."""
    ours, theirs = _pairs(made), _pairs(wanted)
    return Agreement(len(ours & theirs), len(ours - theirs), len(theirs - ours))


def _pairs(groups: Iterable[Iterable[str]]) -> set[tuple[str, str]]:
    return {pair for group in groups for pair in combinations(sorted(group), 2)}


@dataclass(frozen=True, slots=True)
class JudgedPair:
    """Two images that the person kept together (a decided group) or apart (a group taken apart, or two groups).

    Attributes:
        cosine: of their vectors; bits: by which their perceptual hashes differ. None when unknown.
    """

    cosine: float | None
    bits: int | None
    together: bool


def linked(pair: JudgedPair, thresholds: Thresholds) -> bool:
    """Whether the pair would be linked."""
    alike = pair.cosine is not None and pair.cosine >= thresholds.cosine
    return alike or (pair.bits is not None and pair.bits <= thresholds.bits)


def judged(pairs: Sequence[JudgedPair], thresholds: Thresholds) -> Agreement:
    """How well linking at these thresholds agrees with what the person did."""
    both = sum(p.together and linked(p, thresholds) for p in pairs)
    only = sum(not p.together and linked(p, thresholds) for p in pairs)
    return Agreement(both, only, sum(p.together for p in pairs) - both)


def tune(pairs: Sequence[JudgedPair], thresholds: Thresholds = THRESHOLDS) -> Thresholds:
    """The thresholds with the highest F1 on the person's own pairs; as they were with fewer than 30 of a kind.

    Between equals the ones nearest to `thresholds` win. The cosine lies halfway between two pairs, so that neither
    is on the edge.
    """
    together = sum(pair.together for pair in pairs)
    if min(together, len(pairs) - together) < LEAST_PAIRS:
        return thresholds
    known = np.unique([pair.cosine for pair in pairs if pair.cosine is not None])
    cosines = {thresholds.cosine, *(float(c) for c in np.round((known[1:] + known[:-1]) / 2, 4))}
    wanted = np.array([pair.together for pair in pairs])
    cosine = np.array([-np.inf if pair.cosine is None else pair.cosine for pair in pairs])
    bits = np.array([65 if pair.bits is None else pair.bits for pair in pairs])

    def score(at: tuple[float, int]) -> tuple[float, float, int]:
        made = (cosine >= at[0]) | (bits <= at[1])
        f1 = 2 * (made & wanted).sum() / (made.sum() + wanted.sum())
        return float(f1), -abs(at[0] - thresholds.cosine), -abs(at[1] - thresholds.bits)

    best = max(((c, b) for c in cosines for b in range(0, 13)), key=score)
    return replace(thresholds, cosine=best[0], bits=best[1])
