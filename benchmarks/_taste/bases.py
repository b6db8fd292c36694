"""The photographs that everything is made from, and which of them show one subject."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image

from pickroom.core.errors import ImageError, UsageError
from pickroom.core.naming import is_image_name
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.images.decode import read_rgb

LEAST_BASES = 100
_LEAST_SIDE = 300  # pixels of the short side: less is not a picture to be picked from
_SAME = 10  # of 64 bits: photographs this close are taken for one subject


@dataclass(frozen=True)
class Base:
    """One photograph; those of one subject never meet on two sides of a split."""

    name: str
    subject: int
    path: Path | None  # None for one of the built-in ones

    def read(self) -> Image.Image:
        if self.path is not None:
            return read_rgb(self.path)
        return load(next(photograph for photograph in PHOTOGRAPHS if photograph.name == self.name)).convert("RGB")


def find(folders: Sequence[Path]) -> list[Base]:
    """Every photograph below the folders that is large enough; the built-in ones where no folder is given.

    Photographs of one sub-folder show one subject, and so do those whose perceptual hashes are close.

    Raises:
        UsageError: a folder is not there.
    """
    if not folders:
        return [Base(photograph.name, number, None) for number, photograph in enumerate(PHOTOGRAPHS)]
    found: list[tuple[Path, str]] = []
    for folder in folders:
        if not folder.is_dir():
            raise UsageError("no such folder", doing="looking for photographs", subject=folder)
        for path in sorted(folder.rglob("*")):
            if is_image_name(path.name) and path.is_file():
                own = path.parent.relative_to(folder).as_posix()
                found.append((path, f"{folder.name}/{own}" if own != "." else f"{folder.name}/{path.name}"))
    kept, hashes = [], []
    for path, subject in found:
        try:
            image = read_rgb(path)
        except ImageError:
            continue
        if min(image.size) >= _LEAST_SIDE:
            kept.append((path, subject))
            hashes.append(imagehash.phash(image).hash.ravel())
    return _merged(kept, np.array(hashes))


def _merged(kept: Sequence[tuple[Path, str]], hashes: np.ndarray) -> list[Base]:
    leader = list(range(len(kept)))

    def first(place: int) -> int:
        while leader[place] != place:
            place = leader[place]
        return place

    of_subject: dict[str, list[int]] = defaultdict(list)
    for place, (_, subject) in enumerate(kept):
        of_subject[subject].append(place)
    pairs = [(some[0], other) for some in of_subject.values() for other in some[1:]]
    near = (hashes[:, None, :] != hashes[None, :, :]).sum(axis=2) <= _SAME
    pairs += [(int(a), int(b)) for a, b in zip(*np.nonzero(np.triu(near, 1)), strict=True)]
    for a, b in pairs:
        leader[first(b)] = first(a)
    return [Base(f"{place:04d}_{path.stem}", first(place), path) for place, (path, _) in enumerate(kept)]


def deal(bases: Sequence[Base], hands: int, rng: np.random.Generator) -> list[list[Base]]:
    """The photographs dealt to so many projects, whole subjects at a time, about as many to each."""
    subjects: dict[int, list[Base]] = defaultdict(list)
    for base in bases:
        subjects[base.subject].append(base)
    piles = list(subjects.values())
    rng.shuffle(piles)  # type: ignore[arg-type]
    dealt: list[list[Base]] = [[] for _ in range(hands)]
    for pile in sorted(piles, key=len, reverse=True):
        min(dealt, key=len).extend(pile)
    return dealt
