"""The simulated projects and their people: which groups there are, and which image of each its person picks.

A person picks the highest stage, unless it carries a local defect; then the highest stage without one. A clean local
edit in the highest stage is what they asked for, so they pick it. A defect that only a lower stage has, mended by the
next one, changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import torch

from _taste import local_changes as local
from _taste import stages as whole
from _taste.bases import Base, deal
from _taste.pixels import Picture, finish

LOW, HIGH = (0.02, 0.03, 0.04, 0.05), (0.40, 0.47, 0.53, 0.60)  # shares of anomalies: the 2-5 and 40-60 %
_EDITS = 0.25  # share of the groups without an anomaly whose highest stage was edited on purpose
_MENDED = 0.06  # share of the same whose lower stage has a defect that the next stage mended
# LESSONS.md: groups are of three nearly always
_SERIES: tuple[tuple[float, tuple[tuple[float, ...], ...]], ...] = (
    (0.88, ((1.0, 1.5, 2.0),)),
    (0.04, ((1.0, 2.0, 3.0), (1.5, 2.0, 3.0))),
    (0.05, ((1.0, 1.5), (1.5, 2.0), (1.0, 2.0))),
    (0.03, ((1.0, 1.5, 2.0, 3.0),)),
)
_WORDS = {1.0: "generated", 1.5: "face_swapped", 2.0: "upscaled", 3.0: "enhanced"}
_SIDES = (672, 768, 832)  # pixels of the long side of the first stages
_ENLARGED = (1.25, 1.5)  # of the last stages over the first ones
_PNG = 0.25  # share of groups kept as PNG; the others are JPEG


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of one group: nothing of this but the names is on disk.

    Attributes:
        filenames: in stage order; picked: the index its person picks.
        defect, edit: the kind of local change in the highest stage, None without one; place: its box (fractions).
        mended: a lower stage has a defect.
        base: the photograph.
    """

    project_id: str
    filenames: tuple[str, ...]
    picked: int
    defect: str | None
    edit: str | None
    mended: bool
    place: tuple[float, float, float, float] | None
    base: str

    @property
    def anomaly(self) -> bool:
        return self.picked < len(self.filenames) - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """One project to be simulated."""

    project_id: str
    anomaly_rate: float
    bases: tuple[Base, ...]
    groups: int


def plan(bases: Sequence[Base], groups: int, seed: int, *, quick: bool = False) -> list[Plan]:
    """The projects, alternating few and many anomalies; each photograph, and each subject, is in one only."""
    rates = (LOW[2], HIGH[1]) * 2 if quick else tuple(rate for both in zip(LOW, HIGH, strict=True) for rate in both)
    hands = deal(bases, len(rates), np.random.default_rng((seed, 1)))
    return [
        Plan(f"taste{number}", rate, tuple(hand), groups)
        for number, (rate, hand) in enumerate(zip(rates, hands, strict=True), start=1)
    ]


def make(project: Plan, folder: Path, seed: int, threads: int = 2) -> list[Truth]:
    """Write every group's files into the folder, and say what they are."""
    folder.mkdir(parents=True, exist_ok=True)
    number = int(project.project_id.removeprefix("taste"))
    rng = np.random.default_rng((seed, number))
    # exactly the rate, rounded, at random places; then edits and mended defects among the others
    order = rng.permutation(project.groups)
    anomalies = round(project.groups * project.anomaly_rate)
    others = project.groups - anomalies
    kinds = np.array(["plain"] * project.groups, dtype=object)
    kinds[order[:anomalies]] = "defect"
    edits, mended = round(others * _EDITS), round(others * _MENDED)
    kinds[order[anomalies : anomalies + edits]] = "edit"
    kinds[order[anomalies + edits : anomalies + edits + mended]] = "mended"

    def one(group: int) -> Truth:
        return _group(project, folder, group, str(kinds[group]), np.random.default_rng((seed, number, group)))

    torch.set_num_threads(1)
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(one, range(project.groups)))


def _group(project: Plan, folder: Path, number: int, kind: str, rng: np.random.Generator) -> Truth:
    base = project.bases[number % len(project.bases)]
    shares, families = zip(*_SERIES, strict=True)
    family = families[int(rng.choice(len(shares), p=shares))]
    tokens = family[int(rng.integers(len(family)))]
    small = int(rng.choice(_SIDES))
    scene = whole.compose(base.read(), round(small * float(rng.choice(_ENLARGED)) / 8) * 8, rng)
    pictures = _series(scene, tokens, small, rng)
    change, edit, place = None, None, None
    if kind == "defect":
        pictures[-1], change, place = local.change(pictures[-1], local.DEFECTS, rng)
    elif kind == "edit":
        pictures[-1], edit, place = local.change(pictures[-1], local.EDITS, rng)
    elif kind == "mended":
        lower = int(rng.integers(len(pictures) - 1))
        pictures[lower], _, _ = local.change(pictures[lower], local.DEFECTS, rng)
    names = _save(pictures, tokens, folder, number, rng)
    picked = len(tokens) - (2 if kind == "defect" else 1)
    return Truth(project.project_id, names, picked, change, edit, kind == "mended", place, base.name)


def _series(scene: Picture, tokens: Sequence[float], small: int, rng: np.random.Generator) -> list[Picture]:
    full = (scene.shape[1], scene.shape[0])
    factor = small / max(full)
    size = (round(full[0] * factor / 8) * 8, round(full[1] * factor / 8) * 8)
    now = whole.first(scene, size, rng)
    pictures = []
    for token in (1.0, 1.5, 2.0, 3.0):
        if token > tokens[-1]:
            break
        if token == 1.5:
            now = whole.refined(now, rng)
        elif token >= 2:
            now = whole.enlarged(now, full, rng) if token == 2 else whole.refined(now, rng)
        if token in tokens:
            pictures.append(now)
    return pictures


def _save(
    pictures: Sequence[Picture], tokens: Sequence[float], folder: Path, number: int, rng: np.random.Generator
) -> tuple[str, ...]:
    png, quality = rng.random() < _PNG, int(rng.integers(86, 96))
    taken = datetime(2026, 3, 1) + timedelta(minutes=10 * number)
    names = []
    for picture, token in zip(pictures, tokens, strict=True):
        taken += timedelta(seconds=int(rng.integers(20, 150)))
        name = f"{taken:%Y%m%d_%H%M%S}_stage{token:g}_{_WORDS[token]}.{'png' if png else 'jpg'}"
        if png:
            finish(picture).save(folder / name, compress_level=1)
        else:
            finish(picture).save(folder / name, quality=quality, subsampling=int(rng.choice((0, 2))))
        names.append(name)
    return tuple(names)
