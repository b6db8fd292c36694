"""Character folders: names, sorting by a text field, and suggestions by nearest neighbours.

A suggestion's confidence is a product of three: the share of the nearest neighbours' votes; how often the same vote was
right on the images that the user has sorted so far, each left out in turn (few sorted images cannot give a high one,
since it begins at one half); and how near the image is to the folder, from 0 (as near as two random images) to 1 (as
near as the folder's own images): an image unlike all sorted ones belongs to a folder that has no name yet.
"""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pickroom.core.errors import StoreError, UsageError
from pickroom.core.naming import OWNED_FOLDERS, filename_of, folder_meant, folder_of
from pickroom.features.store import Vectors, load_vectors
from pickroom.groups.similar import unit_rows
from pickroom.store.workspace import Project

LONGEST = 64  # characters
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{number}" for port in ("com", "lpt") for number in range(1, 10))}
_UNSAFE = re.compile(r"[^\w .()+&'-]+")  # \w: letters and digits of every script, and _


def folder_name(text: str) -> str:
    """A name as it was typed, without spaces around it.

    Raises UsageError where it cannot be a folder name on every system, or has another meaning here.
    """
    name = unicodedata.normalize("NFC", text).strip()
    problem = _problem(name)
    if problem:
        hint = f"up to {LONGEST} letters, digits, spaces and _ - . ( ) + & '"
        raise UsageError(f"{text!r} {problem}", doing="naming a folder", hint=hint)
    return name


def folder_for(value: str) -> str | None:
    """A folder name from a field's value: unsafe characters become _; None when nothing usable is left."""
    plain = unicodedata.normalize("NFC", " ".join(value.split()))
    name = _UNSAFE.sub("_", plain)[:LONGEST].strip(" ._")
    return None if _problem(name) else name


def same(name: str, known: Iterable[str]) -> str:
    """The known name that differs only in case, else the name itself: some disks ignore case."""
    return next((other for other in known if other.casefold() == name.casefold()), name)


def _problem(name: str) -> str:
    if not name:
        return "is not a name"
    if len(name) > LONGEST:
        return f"has {len(name)} characters"
    if unsafe := _UNSAFE.search(name):
        return f"holds {unsafe[0]!r}"
    if name[0] == "." or name[-1] in ". ":
        return "begins or ends with a dot"
    if name.casefold() in OWNED_FOLDERS:
        return "is a folder of Pickroom's own"
    if name.casefold().partition(".")[0] in _DEVICES:
        return "is a device on Windows"
    return ""


MOST_VALUES = 60  # a field with more values is a prompt or a seed, and not offered


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One value of a field: the folder that its images would go to (None: no name can be made of it)."""

    value: str
    folder: str | None
    paths: tuple[str, ...]


Texts = Mapping[str, Mapping[str, str]]  # path -> field -> text of what is written about an image


def choices(written: Texts) -> dict[str, list[tuple[str, int]]]:
    """Field -> its values and how many images have each, most frequent first; only fields that tell images apart."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for fields in written.values():
        for name, text in fields.items():
            counts[name][text] += 1
    useful = {name: values for name, values in counts.items() if 1 < len(values) <= MOST_VALUES}
    useful = {name: values for name, values in useful.items() if len(values) < sum(values.values())}
    return {name: values.most_common() for name, values in sorted(useful.items())}


def group_by(written: Texts, field: str, known: Iterable[str]) -> tuple[list[GroupRow], list[str]]:
    """(one row per value, the paths without that field): what sorting by a field would do.

    Args:
        known: folders there are; a value that is one of them but for case goes there.

    Raises:
        UsageError: no image has such a field.
    """
    found: dict[str, list[str]] = defaultdict(list)
    without = []
    for path, fields in written.items():
        if fields.get(field, "").strip():
            found[fields[field]].append(path)
        else:
            without.append(path)
    if not found:
        fields_there = sorted({name for fields in written.values() for name in fields})
        hint = f"fields there: {', '.join(fields_there[:20])}" if fields_there else "nothing is written about them"
        raise UsageError(f"no image has a field {field!r}", doing="grouping by a field", hint=hint)
    names = list(known)
    rows = []
    for value, paths in sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0])):
        name = folder_for(value)
        if name is not None:
            name = same(name, names)
            names.append(name)
        rows.append(GroupRow(value, name, tuple(paths)))
    return rows, without


NEIGHBOURS = 7
LEAST_FOLDERS = 2  # with one folder there is nothing to tell apart
LEAST_EACH = 2  # sorted images a folder needs before anything is suggested for it
LEAST_CONFIDENCE = 0.5  # below it a suggestion would be wrong more often than right
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
        self.matrix, self.names = unit_rows(matrix[kept]), np.array([names[i] for i in kept], str)
        self.ready = len(set(self.names.tolist())) >= LEAST_FOLDERS
        self.chance = chance
        self.reliability, self.kinship = self._check() if self.ready else (0.0, chance)

    def ask(self, matrix: np.ndarray) -> list[Suggestion | None]:
        """A suggestion for each row of (N, D) float32; None below the lowest confidence."""
        if not self.ready:
            return [None] * len(matrix)
        found = []
        for similarities in unit_rows(matrix) @ self.matrix.T:
            vote = _vote(similarities, self.names)
            near = float(similarities[self.names == vote.name].max())  # 0 as near as by chance, 1 as is usual there
            scale = self.kinship - self.chance
            near = min(max((near - self.chance) / scale, 0.0), 1.0) if scale > 0 else 0.0
            confidence = vote.confidence * self.reliability * near
            found.append(replace(vote, confidence=confidence) if confidence >= LEAST_CONFIDENCE else None)
        return found

    def _check(self) -> tuple[float, float]:
        """On sorted images, each left out in turn: the share that the others sort right, with one right and one wrong
        added, and the usual cosine to the nearest other image of their folder.
        """
        kin, right = [], 0
        checked = np.unique(np.linspace(0, len(self.names) - 1, min(len(self.names), _CHECKED)).astype(int)).tolist()
        for place in checked:
            own, names = self.names[place], np.delete(self.names, place)  # an image has no vote on itself
            similarities = np.delete(self.matrix @ self.matrix[place], place)
            kin.append(float(similarities[names == own].max()))
            right += _vote(similarities, names).name == own
        return (right + 1) / (len(checked) + 2), float(np.median(kin))


def _vote(similarities: np.ndarray, names: np.ndarray) -> Suggestion:
    """The vote of the nearest, given the cosine to each sorted image (M,); its confidence is the share of votes."""
    count = min(NEIGHBOURS, len(similarities) - 1)
    nearest = np.argpartition(-similarities, count)[: count + 1]
    nearest = nearest[np.argsort(-similarities[nearest], kind="stable")].tolist()
    floor = similarities[nearest[count]]
    votes: dict[str, float] = defaultdict(float)
    for place in nearest[:count]:
        # how much nearer than the first that has no vote; the small part lets equals count
        votes[str(names[place])] += float(similarities[place] - floor) + 1e-3
    name, weight = max(votes.items(), key=lambda vote: vote[1])
    return Suggestion(name, weight / sum(votes.values()), int((names[nearest[:count]] == name).sum()), count)


def chance(matrix: np.ndarray) -> float:
    """The median cosine between two of (N, D) float32 images, over a sample of 300 of them; 0 for fewer than two."""
    if len(matrix) < 2:
        return 0.0
    some = unit_rows(matrix[np.unique(np.linspace(0, len(matrix) - 1, 300).astype(int))])
    return float(np.median((some @ some.T)[np.triu_indices(len(some), 1)]))


def by_similarity(matrix: np.ndarray, to: np.ndarray) -> np.ndarray:
    """(N,) int: the rows of (N, D) ordered by their cosine to (D,), the most similar first; ties stay in order."""
    return np.argsort(-(unit_rows(matrix) @ unit_rows(to[None])[0]), kind="stable")


class Similarity:
    """The vectors of a project's images, by their paths.

    A finished crop has no vector of its own: the vector of its original, which has the same name, is used.
    """

    def __init__(self, project: Project) -> None:
        self.missing = ""  # why there are no vectors, "" when there are
        self._vectors: Vectors | None = None
        self._rows: dict[str, dict[str, int]] = {}  # name -> folder below Pickroom's, "" where nobody knows it -> row
        self._chance: float | None = None
        self.taught: object = None  # the caller's key of the state taught last, None before
        self._neighbours: Neighbours | None = None
        try:
            self._vectors = load_vectors(project)
        except StoreError as error:
            hint = f" ({error.hint})" if error.hint else ""
            self.missing = f"no suggestions: {error.what}{hint}"
        else:
            known = self._vectors.directories.tolist() or [None] * len(self._vectors)
            for row, name in enumerate(self._vectors.filenames.tolist()):
                self._rows.setdefault(name, {})[known[row] or ""] = row

    def has(self, path: str) -> bool:
        """Whether an image has a vector."""
        return self._row(path) is not None

    def _row(self, path: str) -> int | None:
        """The row of an image; of a name in several folders the one that its path ends in, None where none is."""
        rows = self._rows.get(filename_of(path), {})
        return next(iter(rows.values())) if len(rows) == 1 else rows.get(folder_meant(folder_of(path), rows) or "")

    def ordered(self, paths: Sequence[str], to: str) -> list[str]:
        """The most similar to `to` first, those without a vector last in their order; unchanged when it has none."""
        if self._vectors is None or not self.has(to):
            return list(paths)
        known = [path for path in paths if self.has(path)]
        order = by_similarity(self._matrix(known), self._matrix([to])[0]).tolist() if known else []
        return [known[i] for i in order] + [path for path in paths if not self.has(path)]

    def teach(self, named: Mapping[str, str], board: Iterable[str]) -> None:
        """The images that are sorted now: path -> character.

        Every path of the board tells how near two images are by chance.
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
        return self._vectors.matrix[[row for row in map(self._row, paths) if row is not None]]
