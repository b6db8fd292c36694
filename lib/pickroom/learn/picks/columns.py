"""The columns that utilities are linear in: each block of features, scaled, rotated or curved. Pure.

`Columns` is fitted on groups once and then kept with the weights. A curved block has random Fourier features (Rahimi
and Recht 2008), with which a linear model is one of smooth functions: neither a dark nor a bright picture is the best.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import eigh

from pickroom.features.pick_features import PickFeatures

_CLIP = 5.0  # standard deviations: one extreme value must not decide alone
_LEAST_SCALE = 1e-3  # a value that hardly varied must not become huge later
_SAMPLE = 4096  # candidates that scales and directions are found from
PROJECT = "project "  # before the name of a block of deviations
HIGHEST = "consistency, highest stage"  # the block of deviations in the image of the highest stage
OF_TWO = "consistency, highest of two"  # the same in groups of two
_ROOM = 2  # for projects that come later
OWN = "own"  # the block with a column for each image that is met in several groups


@dataclass(frozen=True, slots=True)
class ColumnsConfig:
    """How columns are made.

    Attributes:
        directions: of the vector, those in which siblings differ most; deviating: of these, how many each project has
            weights of its own for.
        curved: blocks that are curved too, each with the length scale in standard deviations, and how many random
            Fourier features it has.
        projects: with deviations of their own, at most: those with the most picks.
        images: with a weight of their own, at most, of those met in several groups.
        seed: of the Fourier features and of the sample.
    """

    directions: int = 128
    deviating: int = 8
    curved: tuple[tuple[str, float, int], ...] = (
        ("technical", 1.5, 128),
        ("faces", 1.5, 128),
    )
    projects: int = 16
    images: int = 256
    seed: int = 1


@dataclass(frozen=True, slots=True)
class Columns:
    """Features to columns. Everything it needs is in `arrays` and `describe()`.

    Attributes:
        blocks: name -> (first column, one after the last); a curved block is called "NAME, curved". HIGHEST has the
            numbers of `consistency` a second time, for images of the highest stage only: these always deviate, and a
            larger deviation than usual has another meaning than in a lower stage. OF_TWO has them a third time, in
            groups of two images: both deviate alike, whichever is the odd one.
        projects: ids with deviations of their own; slots: how many there is room for.
        images: hashes of images with a weight of their own.
    """

    arrays: dict[str, np.ndarray]
    blocks: dict[str, tuple[int, int]]
    projects: tuple[str, ...]
    slots: int
    images: tuple[str, ...]

    @property
    def size(self) -> int:
        return max((stop for _, stop in self.blocks.values()), default=0)

    def describe(self) -> dict[str, Any]:
        blocks = {name: list(ends) for name, ends in self.blocks.items()}
        own = {"projects": list(self.projects), "slots": self.slots, "images": list(self.images)}
        return {"columns": blocks, **own}

    def with_projects(self, ids: Sequence[str]) -> Columns:
        """The same with columns for new projects, as long as there is room for them."""
        new = [project_id for project_id in dict.fromkeys(ids) if project_id not in self.projects]
        return replace(self, projects=(*self.projects, *new)[: self.slots])

    def of(self, features: PickFeatures) -> np.ndarray:
        """(N, 4, size) float32; 0 where a block has no values."""
        found = np.zeros((*features.mask.shape, self.size), dtype=np.float32)
        for name, values in _raw(features, self.arrays, self._plain()).items():
            first, stop = self.blocks[name]
            found[..., first:stop] = values * self.arrays[f"{name}/size"]
        for name in ("stage", "vector"):
            deviations = self.blocks.get(PROJECT + name)
            if deviations is None:
                continue
            width = (deviations[1] - deviations[0]) // self.slots
            source = found[..., self.blocks[name][0] :][..., :width]
            for number, project_id in enumerate(self.projects):
                own = features.projects == project_id
                at = deviations[0] + number * width
                found[own, :, at : at + width] = source[own]
        if self.images:
            place = {image: self.blocks[OWN][0] + number for number, image in enumerate(self.images)}
            for row, member in np.argwhere(np.isin(features.images, self.images)):
                found[row, member, place[features.images[row, member]]] = 1
        return found

    def doubt(self, features: PickFeatures, variances: Mapping[str, float]) -> np.ndarray:
        """(N, 4) variance of each utility due to blocks without values, given prior variances."""
        found = np.zeros(features.mask.shape)
        for name in self._plain():
            absent = features.mask & ~features.present[source_of(name)]
            if name in (HIGHEST, OF_TWO):
                absent &= _is_highest(features, name)
            found[absent] += variances[name]
        if self.images:
            found[features.mask & ~np.isin(features.images, self.images)] += variances[OWN]
        return found

    def _plain(self) -> list[str]:
        return [name for name in self.blocks if not name.startswith(PROJECT) and name != OWN]


def fit_columns(features: PickFeatures, config: ColumnsConfig) -> Columns:
    """Scales, directions and waves of the blocks that have values in these groups."""
    rng = np.random.RandomState(config.seed)  # whose stream NumPy has frozen (NEP 19)
    arrays: dict[str, np.ndarray] = {}
    curved = {name: (reach, waves) for name, reach, waves in config.curved}
    names: list[str] = []
    for name, values in features.blocks.items():
        there = features.present[name] & features.mask
        if not there.any() or (name == "stage" and not np.ptp(values[there], axis=0).any()):
            continue
        names.append(name)
        if name == "vector":
            arrays["vector/directions"] = _directions(values, features.mask, config, rng)
            continue
        if name != "stage":
            _fit_scale(arrays, name, values[there], rng)
        highest = there & _is_highest(features, HIGHEST)
        if name == "consistency" and highest.any():
            names.append(HIGHEST)
            _fit_scale(arrays, HIGHEST, values[highest], rng)
            if (there & _is_highest(features, OF_TWO)).any():
                names.append(OF_TWO)
        if name in curved:
            reach, waves = curved[name]
            names.append(f"{name}, curved")
            width = values.shape[2]
            arrays[f"{name}, curved/in"] = rng.standard_normal((width, waves)) / (reach * width**0.5)
            arrays[f"{name}, curved/turn"] = rng.uniform(0, 2 * np.pi, waves)
    blocks, at = {}, 0
    for name, values in _raw(features, arrays, names).items():
        blocks[name] = (at, at + values.shape[2])
        at += values.shape[2]
        # together the columns of a block vary by 1 within a group
        here = features.mask & features.present[source_of(name)]
        count = np.maximum(here.sum(axis=1), 1)[:, None, None]
        apart = (values - (values * here[..., None]).sum(axis=1, keepdims=True) / count)[here]
        arrays[f"{name}/size"] = np.asarray(1 / max(float(np.sqrt((apart**2).sum(axis=1).mean())), 1e-6))
    ids, counts = np.unique(features.projects.astype(str), return_counts=True)
    projects = tuple(ids[np.argsort(-counts, kind="stable")][: config.projects].tolist())
    slots = min(config.projects, len(projects) + _ROOM)
    for name in ("stage", "vector"):
        if name in blocks:
            width = min(blocks[name][1] - blocks[name][0], config.deviating)
            blocks[PROJECT + name] = (at, at + width * slots)
            at += width * slots
    contents, times = np.unique(features.images[features.mask].astype(str), return_counts=True)
    images = tuple(contents[np.argsort(-times, kind="stable")][: min(config.images, int((times > 1).sum()))].tolist())
    if images:
        blocks[OWN] = (at, at + len(images))
    exact = {name: np.asarray(values, dtype=np.float64) for name, values in arrays.items()}
    return Columns(exact, blocks, projects, slots, images)


def _fit_scale(arrays: dict[str, np.ndarray], name: str, values: np.ndarray, rng: np.random.RandomState) -> None:
    """Write mean and scale of each of a block's numbers, NaN left out, from (n, d) values."""
    sample = values[rng.permutation(len(values))[:_SAMPLE]].astype(np.float64)
    known = np.isfinite(sample)
    count = np.maximum(known.sum(axis=0), 1)
    mean = np.where(known, sample, 0).sum(axis=0) / count
    spread = np.sqrt((np.where(known, sample - mean, 0) ** 2).sum(axis=0) / count)
    arrays[f"{name}/mean"], arrays[f"{name}/scale"] = mean, np.maximum(spread, _LEAST_SCALE)


def _directions(values: np.ndarray, mask: np.ndarray, config: ColumnsConfig, rng: np.random.RandomState) -> np.ndarray:
    """(D, K): the directions in which siblings differ most, each scaled by the fourth root of its variance.

    A compromise between raw columns, where a few directions decide, and whitened ones, where noise counts equally.
    """
    count = np.maximum(mask.sum(axis=1), 1)[:, None, None]
    mean = np.where(mask[..., None], values, 0).sum(axis=1, keepdims=True) / count
    places = np.argwhere(mask)
    rows, members = places[rng.permutation(len(places))[:_SAMPLE]].T
    sample = (values[rows, members] - mean[rows, 0]).astype(np.float64)
    size = min(config.directions, *sample.shape)
    if len(sample) < sample.shape[1]:  # the same directions from the smaller of the two products
        spreads, left = eigh(sample @ sample.T / len(sample), subset_by_index=(len(sample) - size, len(sample) - 1))
        directions = sample.T @ left / np.sqrt(np.maximum(spreads * len(sample), 1e-12))
    else:
        square = sample.T @ sample / len(sample)
        spreads, directions = eigh(square, subset_by_index=(len(square) - size, len(square) - 1))
    kept = spreads[::-1] > 1e-9 * spreads[-1]
    scaled = directions[:, ::-1] / np.maximum(spreads[::-1], 1e-12) ** 0.25
    found: np.ndarray = scaled[:, kept]
    return found


def _raw(features: PickFeatures, arrays: Mapping[str, np.ndarray], names: Sequence[str]) -> dict[str, np.ndarray]:
    """Name -> (N, 4, d) float32 before a block is scaled as a whole; 0 where it has no values."""
    found: dict[str, np.ndarray] = {}
    for name in names:
        block = source_of(name)
        here = (features.mask & features.present[block])[..., None]
        if name == "stage":
            values = features.blocks[block]
        elif name == "vector":
            values = np.where(here, features.blocks[block], 0) @ arrays["vector/directions"].astype(np.float32)
        else:
            scales = HIGHEST if name in (HIGHEST, OF_TWO) else block
            scaled = (features.blocks[block] - arrays[f"{scales}/mean"]) / arrays[f"{scales}/scale"]
            values = np.clip(np.nan_to_num(scaled, nan=0.0, posinf=_CLIP, neginf=-_CLIP), -_CLIP, _CLIP)
            if name in (HIGHEST, OF_TWO):
                here = here & _is_highest(features, name)[..., None]
            elif name != block:
                values = np.cos(values @ arrays[f"{name}/in"] + arrays[f"{name}/turn"])
        found[name] = np.where(here, values, 0).astype(np.float32)
    return found


def source_of(name: str) -> str:
    """The block of features that a block of columns is made from: `vector` for `project vector`."""
    return name.removeprefix(PROJECT).partition(", ")[0]


def _is_highest(features: PickFeatures, name: str) -> np.ndarray:
    """(N, 4) bool, see `pick_features.STAGE_NAMES`."""
    found: np.ndarray = features.mask & (features.blocks["stage"][..., 0] > 0)
    return found & (features.mask.sum(axis=1) == 2)[:, None] if name == OF_TWO else found
