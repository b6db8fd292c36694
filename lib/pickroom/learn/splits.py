"""Split rows into training and held-out ones. Pure.

Rows that share a file (its name within a project, or its content anywhere) go to one side together, always. Each row
has a draw of its own, from a hash of its smallest key and not from the order or number of rows; linked rows share the
lowest draw. New rows can only lower it: a row once held out is held out from every later version, so that two versions
can be compared on rows that neither was trained on. (A held-out row may be trained on later only in three cases: there
were so few rows that more had to be held out, see `SplitConfig.least`; a row linked to it has gone; or a row without a
group got its content's hash. `seen` then shows that it was trained on.)
"""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from pickroom.core.naming import join
from pickroom.features.candidates import Candidates
from pickroom.learn.examples import CropExample, Pick

TRAIN, HELD_OUT, LEFT_OUT = 0, 1, 2
SIDES = ("train", "held_out", "left_out")
Example = Pick | CropExample
_GROUP = "#group "  # sorts before every other key, so that a family is named after its group if it has one


@dataclass(frozen=True, slots=True)
class SplitConfig:
    """How rows are divided."""

    holdout: str | None = None  # a project that is held out whole; None holds out a share of every project's groups
    # share of the groups held out, in (0, 1), of those that share files with others more; with `holdout`, all of that
    # project's instead
    held_out: float = 0.2
    # fewest families held out, as long as that is at most half of all: of 60 groups, a tenth of all draws would
    # otherwise hold out too few to judge by (8: training.LEAST_ROWS)
    least: int = 10
    seed: int = 1  # another seed gives other sides, and versions that cannot be compared


@dataclass(frozen=True, slots=True)
class Split:
    """Sides of N rows: (N,) int8, an index into SIDES. Rows `left_out` share a file with the held-out project."""

    sides: np.ndarray
    config: SplitConfig

    def rows(self, side: int) -> np.ndarray:
        """(n,) int64: the rows of one side, in order."""
        return np.flatnonzero(self.sides == side)

    @property
    def counts(self) -> dict[str, int]:
        return {name: int((self.sides == side).sum()) for side, name in enumerate(SIDES)}

    def to_dict(self) -> dict[str, Any]:
        by = "project" if self.config.holdout else "group"
        return {"by": by, **asdict(self.config), "counts": self.counts}


def _owner(example: Example) -> Candidates | CropExample:
    """What has the project, the group and the folder of an example."""
    return example.candidates if isinstance(example, Pick) else example


def project_of(example: Example) -> str:
    """The one project that an example belongs to."""
    return _owner(example).project_id


def file_keys(example: Example) -> frozenset[str]:
    """The keys of an example's files: its group, the name within its project, the content where known.

    The name has its folder in front where several folders of the project hold it.

    A pick and the crop of its image share the group's draw, each in its own training set, so that there are groups that
    neither model has seen.
    """
    own = _owner(example)
    parts = ((own.filename,), (own.sha256,)) if isinstance(own, CropExample) else (own.filenames, own.hashes)
    keys = {f"{_GROUP}{own.group_id}"} if own.group_id is not None else set()
    for name, sha256 in zip(*parts, strict=True):
        keys.add(f"{own.project_id}/{join(own.directory, name)}")
        if sha256 is not None:
            keys.add(f"sha256:{sha256}")
    return frozenset(keys)


def prints(keys: Sequence[str] | frozenset[str]) -> np.ndarray:
    """(n,) int64, sorted: 8 bytes of each key's SHA-256; what a version was trained on is kept as these."""
    digests = [hashlib.sha256(key.encode()).digest()[:8] for key in keys]
    return np.sort(np.frombuffer(b"".join(digests), dtype=np.int64)) if digests else np.zeros(0, np.int64)


def seen(examples: Sequence[Example], known: np.ndarray) -> np.ndarray:
    """(N,) bool: whether any file of an example is among those `known` (see `prints`)."""
    return np.array([bool(np.isin(prints(file_keys(e)), known).any()) for e in examples], dtype=bool)


def families(examples: Sequence[Example]) -> list[str]:
    """A name for each row's family, the rows that are linked by files they share: its smallest key."""
    parents: dict[str, str] = {}

    def root(key: str) -> str:
        parents.setdefault(key, key)
        while parents[key] != key:
            parents[key] = parents[parents[key]]
            key = parents[key]
        return key

    every = [sorted(file_keys(example)) for example in examples]
    for first, *others in every:
        for other in others:
            a, b = root(first), root(other)
            parents[max(a, b)] = min(a, b)  # the root of a family is its smallest key
    return [root(keys[0]) for keys in every]


def split(examples: Sequence[Example], config: SplitConfig) -> Split:
    """Divide rows into sides; raises AssertionError if that ever put one file on two of them."""
    named = families(examples)
    if config.holdout is not None:
        closed = {family for family, e in zip(named, examples, strict=True) if project_of(e) == config.holdout}
        sides = [
            HELD_OUT if project_of(example) == config.holdout else LEFT_OUT if family in closed else TRAIN
            for family, example in zip(named, examples, strict=True)
        ]
    else:
        lowest: dict[str, float] = {}  # family -> its draw, the lowest of its rows' own
        for family, example in zip(named, examples, strict=True):
            lowest[family] = min(lowest.get(family, 1.0), _draw(min(file_keys(example)), config.seed))
        draws, below = sorted(set(lowest.values())), config.held_out
        if 0 < config.least <= len(draws) // 2 and draws[config.least - 1] >= below:
            below = math.nextafter(draws[config.least - 1], 1)
        sides = [HELD_OUT if lowest[family] < below else TRAIN for family in named]
    made = Split(np.array(sides, dtype=np.int8), config)
    require_apart(examples, made.sides)
    return made


def folds(examples: Sequence[Example], count: int, seed: int) -> np.ndarray:
    """(N,) int64 in [0, count): rows of one family in one fold."""
    draws = np.array([_draw(family, seed + 1) for family in families(examples)], dtype=np.float64)
    return (draws * count).astype(np.int64)


def require_apart(examples: Sequence[Example], sides: np.ndarray) -> None:
    """Raise AssertionError when a file lies on two sides, those left out apart.

    LESSONS.md: pairs of one group sat on both sides of the split, and made a useless model look good.
    """
    where: dict[str, int] = {}
    for example, side in zip(examples, sides.tolist(), strict=True):
        if side == LEFT_OUT:
            continue
        for key in file_keys(example):
            if where.setdefault(key, side) != side:
                raise AssertionError(f"{key} is both in {SIDES[where[key]]} and in {SIDES[side]}")


def require_one_project(examples: Sequence[Example], projects: Sequence[str]) -> None:
    """Raise AssertionError when a row is of none of the projects, or two projects share a group (invariant 7)."""
    owner: dict[str, str] = {}
    for example in examples:
        project_id = project_of(example)
        if project_id not in projects:
            raise AssertionError(f"a row of project {project_id!r} in a training set of {', '.join(projects)}")
        group_id = _owner(example).group_id
        if group_id is not None and owner.setdefault(group_id, project_id) != project_id:
            raise AssertionError(f"group {group_id} is both of {owner[group_id]} and of {project_id}")


def _draw(key: str, seed: int) -> float:
    """A number in [0, 1) that depends only on the key and the seed."""
    digest = hashlib.sha256(f"{seed}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64
