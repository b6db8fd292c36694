"""How well groups by similarity agree with a person's, pair by pair, and the thresholds that agree best. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from pickroom.core.records import Image
from pickroom.groups.similar import THRESHOLDS, ImageFeatures, Thresholds, group_by_similarity

LEAST_GROUPS = 30  # with fewer a threshold would follow single groups
# what is tried: cosines of near-duplicates and of mere likeness with the encoders there are, hashes of copies
COSINES = tuple(round(0.70 + 0.02 * step, 2) for step in range(15))
BITS = (0, 4, 8, 12)


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


def agreement(
    images: Sequence[Image], looks: Mapping[str, ImageFeatures], wanted: Sequence[Sequence[str]], thresholds: Thresholds
) -> Agreement:
    """How well grouping these images at these thresholds agrees with the person's groups.

    Args:
        wanted: the person's groups by file name; an image in none of them was put with no other.
    """
    made, _ = group_by_similarity(images, looks, thresholds)
    return compare([[image.filename for image in group] for group in made], wanted)


def tune(
    images: Sequence[Image],
    looks: Mapping[str, ImageFeatures],
    wanted: Sequence[Sequence[str]],
    thresholds: Thresholds = THRESHOLDS,
) -> Thresholds:
    """The thresholds whose groups agree best (F1 over pairs) with the person's; as given with fewer than 30 groups.

    Whole groups are made and compared, since complete linkage bears a lower cosine than pairs by themselves would.
    Between equals the ones nearest to `thresholds` win. Arguments as of `agreement`.
    """
    if len(wanted) < LEAST_GROUPS:
        return thresholds

    def score(at: Thresholds) -> tuple[float, float, int]:
        f1 = agreement(images, looks, wanted, at).f1 or 0.0
        return f1, -abs(at.cosine - thresholds.cosine), -abs(at.bits - thresholds.bits)

    cosines, bits = {thresholds.cosine, *COSINES}, {thresholds.bits, *BITS}
    return max((replace(thresholds, cosine=c, bits=b) for c in cosines for b in bits), key=score)
