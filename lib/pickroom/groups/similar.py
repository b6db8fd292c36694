"""Groups by similarity (FORMATS.md): no stages needed. Pure.

Two images are linked when they are copies of each other (perceptual hashes a few bits apart: Zauner, "Implementation
and Benchmarking of Perceptual Image Hash Functions", 2010) or alike (cosine of their vectors). Groups grow by complete
linkage: the two nearest groups are joined while every image of one is linked to every image of the other, up to four.
So a chain of small changes never ties its two ends together. Agreement with a user's own groups is counted in pairs.
"""

import heapq
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import combinations

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.records import MAX_GROUP, MIN_GROUP, Image, Ungrouped

LEAST_GROUPS = 30  # with fewer, a threshold would depend on single groups
# candidates: cosines from mere likeness to near-duplicates for the present encoders, and hashes of copies
COSINES = tuple(round(0.70 + 0.02 * step, 2) for step in range(15))
BITS = (0, 4, 8, 12)
_NEIGHBOURS = 32  # the nearest links kept of each image: bounds the work where hundreds of images are alike
_ROWS = 256  # images compared with all others at a time: bounds memory, changes no result


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When two images are linked; raises UsageError for a number out of its range."""

    # of their vectors, at least, in [-1, 1]. With the bundled encoder the takes of one photograph have .92 at the
    # median and .86 at the lowest, other photographs of the same thing .66 and .97 at the highest, of other things .25.
    # Complete linkage allows a threshold below the best for pairs (benchmarks/similar.py, on 30 things photographed
    # four times each)
    cosine: float = 0.85
    # of 64 by which the perceptual hashes of copies may differ, at most; photographs of different things differ in 14
    # or more
    bits: int = 8
    # the longest time between two images of a group, None: any. An image without a timestamp is never too far
    gap: timedelta | None = None

    def __post_init__(self) -> None:
        doing = "grouping by similarity"
        if not -1 <= self.cosine <= 1:
            raise UsageError(f"a cosine lies in [-1, 1], not {self.cosine!r}", doing=doing)
        if not 0 <= self.bits <= 64:
            raise UsageError(f"two hashes differ in 0-64 bits, not {self.bits!r}", doing=doing)
        if self.gap is not None and self.gap <= timedelta(0):
            raise UsageError("the gap must be longer than nothing", doing=doing)


THRESHOLDS = Thresholds()


@dataclass(frozen=True, slots=True)
class ImageFeatures:
    """The hash and vector of an image."""

    fingerprint: int | None  # its 64-bit perceptual hash; None when it could not be made
    vector: np.ndarray | None  # (D,) float32, raw; None without one
    missing: str = ""  # why no vector exists, "" when there is one


def group_by_similarity(
    images: Iterable[Image], looks: Mapping[str, ImageFeatures], thresholds: Thresholds = THRESHOLDS
) -> tuple[list[tuple[Image, ...]], list[Ungrouped]]:
    """Groups of 2-4 images of one folder that look alike, and every other image with its reason.

    The groups come by folder and then by their first image, their images in the order of stage, time and name. `looks`
    is by file name, its vectors all of one encoder.
    """
    by_folder: dict[str, list[Image]] = defaultdict(list)
    for image in images:
        by_folder[image.directory].append(image)
    groups: list[tuple[Image, ...]] = []
    left_out: list[Ungrouped] = []
    for folder in sorted(by_folder):
        own = sorted(by_folder[folder], key=lambda i: i.filename)
        alike = _Alike(own, [looks.get(i.filename, _UNSEEN) for i in own], thresholds)
        members = alike.grouped()
        made = [tuple(sorted((own[i] for i in group), key=_in_group)) for group in members]
        groups += sorted(made, key=lambda g: (g[0].taken_at or datetime.max, g[0].filename))
        group_of = {i: group for group in members for i in group}
        alone = [i for i in range(len(own)) if i not in group_of]
        left_out += [Ungrouped(folder, own[i].filename, alike.why_not(i, group_of)) for i in alone]
    return groups, left_out


_UNSEEN = ImageFeatures(None, None, "it has not been looked at")


def _in_group(image: Image) -> tuple[float, datetime, str]:
    """Stage order where stages are known, else the order of taking; the name decides between equals."""
    unknown = float("inf")
    return (unknown if image.stage is None else image.stage, image.taken_at or datetime.max, image.filename)


class _Alike:
    """The images of one folder, and which of them are linked.

    `links[i][j]` is how far apart two linked images are: bits / 1000 for copies, 1 - cosine for others.
    """

    def __init__(self, images: Sequence[Image], looks: Sequence[ImageFeatures], thresholds: Thresholds) -> None:
        self.images, self.looks, self.thresholds = images, looks, thresholds
        self.links: list[dict[int, float]] = [{} for _ in images]
        self.nearest: list[tuple[float, int] | None] = [None] * len(images)  # the highest cosine, linked or not
        size = next((len(look.vector) for look in looks if look.vector is not None), 1)
        nothing = np.zeros(size, np.float32)
        unit = unit_rows(np.array([nothing if look.vector is None else look.vector for look in looks]))
        seen = np.array([look.vector is not None for look in looks])
        hashes = np.array([look.fingerprint or 0 for look in looks], np.uint64)
        hashed = np.array([look.fingerprint is not None for look in looks])
        taken = np.array([image.taken_at for image in images], "datetime64[us]")
        for first in range(0, len(images), _ROWS):
            rows = np.arange(first, min(first + _ROWS, len(images)))
            cosine = np.where(seen[rows, None] & seen, unit[rows] @ unit.T, -np.inf)
            bits = np.bitwise_count(hashes[rows, None] ^ hashes).astype(np.float32)
            copies = (bits <= thresholds.bits) & hashed[rows, None] & hashed
            apart = np.where(cosine >= thresholds.cosine, 1 - cosine, np.inf)
            apart = np.where(copies, np.minimum(apart, bits / 1000), apart)
            apart[np.arange(len(rows)), rows] = np.inf
            cosine[np.arange(len(rows)), rows] = -np.inf
            if thresholds.gap is not None:  # NaT, an unknown time, is never too far
                apart[np.abs(taken[rows, None] - taken) > np.timedelta64(thresholds.gap)] = np.inf
            for place, row in enumerate(rows):
                best = int(cosine[place].argmax())
                if np.isfinite(cosine[place, best]):
                    self.nearest[row] = (float(cosine[place, best]), best)
                near = np.flatnonzero(np.isfinite(apart[place]))
                # the nearest ones, the earlier name first between equals
                near = near[np.argsort(apart[place, near], kind="stable")[:_NEIGHBOURS]]
                self.links[row] |= {int(j): float(apart[place, j]) for j in near}
        for i, links in enumerate(self.links):  # a link kept by one end is one for both
            for j, distance in list(links.items()):
                self.links[j].setdefault(i, distance)

    def grouped(self) -> list[tuple[int, ...]]:
        """Complete linkage of at most four, the nearest two first."""
        clusters: dict[int, tuple[int, ...]] = {i: (i,) for i in range(len(self.images))}
        between = {i: dict(near) for i, near in enumerate(self.links)}
        heap = [(d, i, j) for i, near in between.items() for j, d in near.items() if i < j]
        heapq.heapify(heap)
        fresh = len(self.images)  # a joined cluster gets a number of its own, so that stale pairs are known
        while heap:
            _, a, b = heapq.heappop(heap)
            if a not in clusters or b not in clusters or len(clusters[a]) + len(clusters[b]) > MAX_GROUP:
                continue
            near_a, near_b = between.pop(a), between.pop(b)
            clusters[fresh] = tuple(sorted(clusters.pop(a) + clusters.pop(b)))
            between[fresh] = {}
            for other in (near_a.keys() | near_b.keys()) - {a, b}:
                if other not in clusters:
                    continue
                between[other].pop(a, None)
                between[other].pop(b, None)
                if other in near_a and other in near_b:
                    farthest = max(near_a[other], near_b[other])
                    between[fresh][other] = between[other][fresh] = farthest
                    heapq.heappush(heap, (farthest, other, fresh))
            fresh += 1
        return sorted(members for members in clusters.values() if len(members) >= MIN_GROUP)

    def why_not(self, place: int, group_of: Mapping[int, tuple[int, ...]]) -> str:
        """Why an image is in no group."""
        if self.links[place]:
            _, other = min((distance, j) for j, distance in self.links[place].items())
            full = len(group_of.get(other, ())) == MAX_GROUP
            why = f"its group has {MAX_GROUP} images already" if full else "not like all images of a group"
            return f"{why}: most like {self.images[other].filename}"
        look, nearest = self.looks[place], self.nearest[place]
        if look.vector is None:
            return f"no vector: {look.missing}"
        if nearest is None:
            return "no other image with a vector in its folder"
        cosine, other = nearest
        name = self.images[other].filename
        if cosine >= self.thresholds.cosine:
            minutes = self.thresholds.gap.total_seconds() / 60 if self.thresholds.gap else 0
            return f"no similar image within {minutes:g} minutes: most like {name}"
        return f"no similar image: most like {name}"


def unit_rows(matrix: np.ndarray) -> np.ndarray:
    """(N, D) float32, the rows at unit length; a row of zeros stays."""
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return (matrix / np.where(lengths > 0, lengths, 1)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Pairs of images in one group: of both groupings, of the computed one only, of the user's only.

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
        scores = {"precision": self.precision, "recall": self.recall, "F1": self.f1}
        shown = [f"{name} {'unknown' if value is None else f'{value:.3f}'}" for name, value in scores.items()]
        return f"pairs: {', '.join(shown)} ({self.both} of {self.both + self.person_only} found)"


def compare(made: Iterable[Iterable[str]], wanted: Iterable[Iterable[str]]) -> Agreement:
    """Count the pairs of names that two groupings put together."""
    ours, theirs = ({pair for group in groups for pair in combinations(sorted(group), 2)} for groups in (made, wanted))
    return Agreement(len(ours & theirs), len(ours - theirs), len(theirs - ours))


def agreement(
    images: Sequence[Image], looks: Mapping[str, ImageFeatures], wanted: Sequence[Sequence[str]], thresholds: Thresholds
) -> Agreement:
    """How well grouping these images at these thresholds agrees with the user's groups, `wanted`, by file name.

    An image in none of them belongs to no other.
    """
    made, _ = group_by_similarity(images, looks, thresholds)
    return compare([[image.filename for image in group] for group in made], wanted)


def tune(
    images: Sequence[Image],
    looks: Mapping[str, ImageFeatures],
    wanted: Sequence[Sequence[str]],
    thresholds: Thresholds = THRESHOLDS,
) -> Thresholds:
    """The thresholds whose groups agree best (F1 over pairs) with the user's; as given with fewer than 30 groups.

    Whole groups are made and compared, since complete linkage allows a lower cosine than separate pairs do. Of equal
    ones, the nearest to `thresholds` are taken. Arguments as of `agreement`.
    """
    if len(wanted) < LEAST_GROUPS:
        return thresholds

    def score(at: Thresholds) -> tuple[float, float, int]:
        f1 = agreement(images, looks, wanted, at).f1 or 0.0
        return f1, -abs(at.cosine - thresholds.cosine), -abs(at.bits - thresholds.bits)

    cosines, bits = {thresholds.cosine, *COSINES}, {thresholds.bits, *BITS}
    return max((replace(thresholds, cosine=c, bits=b) for c in cosines for b in bits), key=score)
