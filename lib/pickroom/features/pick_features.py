"""The features a pick is learned from and recommended by: one function for both (DESIGN.md, invariant 5).

Every value is relative to the candidate's own siblings, so that what a project's pictures show cancels out.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.records import MAX_GROUP
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES, Consistency, ConsistencyConfig
from pickroom.features.consistency_store import consistency_of, members_key
from pickroom.features.encoder import reduce_channels
from pickroom.features.sources import FeatureSources
from pickroom.features.vectors import Vectors

_VERSION = 1  # of the features; another one makes every checkpoint of the older one useless
STAGE_NAMES = ("is_highest", "steps_below", "is_lowest", "unknown")
REGIONS = 2  # per group, at most: embeddings.regions.RegionConfig.count
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class PickFeatureConfig:
    """Which features, and how they are made.

    Attributes:
        consistency: how siblings are compared.
        embeddings: whether vectors, regions and patches are used beside it.
    """

    consistency: ConsistencyConfig = field(default_factory=ConsistencyConfig)
    embeddings: bool = True

    @property
    def hash(self) -> str:
        """Hex SHA-256 over these settings, those of the comparison, and the versions of both."""
        values = {**asdict(self), "consistency": self.consistency.hash, "version": _VERSION, "stage": STAGE_NAMES}
        return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PickFeatures:
    """Features of N groups of up to 4 candidates.

    Attributes:
        values: (N, 4, F) float32: each candidate's minus the mean of its siblings', but for the block
            "consistency", which is relative to the siblings by itself. 0 where masked.
        stage: (N, 4, len(STAGE_NAMES)) float32.
        mask: (N, 4) bool: which candidates there are; a row of `missing` has none.
        missing: row -> why the group has no features.
        blocks: name -> (start, stop) of the values; see `pick_features`.
        peaks: (N, 4, 4) float32: the box (fractions) where a candidate departs most from its siblings.
        encoder: id of the encoder whose vectors these are; None without embeddings or without rows.
        config_hash: of the configuration that made them.
    """

    values: np.ndarray
    stage: np.ndarray
    mask: np.ndarray
    missing: dict[int, str]
    blocks: dict[str, tuple[int, int]]
    peaks: np.ndarray
    encoder: str | None
    config_hash: str

    def __len__(self) -> int:
        return len(self.mask)

    def take(self, rows: Sequence[int] | np.ndarray) -> PickFeatures:
        """Some rows, in the order given."""
        places = np.asarray(rows, dtype=np.int64)
        missing = {new: self.missing[old] for new, old in enumerate(places.tolist()) if old in self.missing}
        parts = {name: getattr(self, name)[places] for name in ("values", "stage", "mask", "peaks")}
        return replace(self, missing=missing, **parts)


def pick_features(
    items: Sequence[Candidates], sources: FeatureSources, config: PickFeatureConfig, progress: Progress | None = None
) -> PickFeatures:
    """The features of some groups, decided or not.

    Blocks: "consistency" (see consistency.NAMES); then "global" (the vector, unit norm), "region0" and "region1" (the
    vectors of the two places where members differ most, unit norm; 0 where there is none), "patch" (the patch grid
    averaged over the candidate's own peak and over the group's), each minus the siblings' mean.

    Args:
        progress: called after each group that had to be read from its files.

    Raises:
        UsageError: the groups' projects are embedded by different encoders.
        StoreError: a project has no vectors, or damaged ones.
        ProjectError: a project was not opened, or its image folder is not there.
    """
    found = consistency_of(items, sources, config.consistency, progress)
    missing = dict(found.reasons)
    by_project: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        if row not in missing:
            by_project.setdefault(item.project_id, []).append(row)
    encoder, blocks = _layout(by_project, sources, config)
    width = max(stop for _, stop in blocks.values())
    features = PickFeatures(
        np.zeros((len(items), MAX_GROUP, width), dtype=np.float32),
        np.zeros((len(items), MAX_GROUP, len(STAGE_NAMES)), dtype=np.float32),
        np.zeros((len(items), MAX_GROUP), dtype=bool),
        missing,
        blocks,
        np.zeros((len(items), MAX_GROUP, 4), dtype=np.float32),
        encoder,
        config.hash,
    )
    for project_id, rows in by_project.items():
        for row in rows:
            reason = _fill(features, row, items[row], found.consistency[row], sources, config)
            if reason:
                missing[row] = reason
        if config.embeddings:
            sources.vectors(project_id, patches=True)
    return features


def _layout(
    projects: Sequence[str] | dict[str, list[int]], sources: FeatureSources, config: PickFeatureConfig
) -> tuple[str | None, dict[str, tuple[int, int]]]:
    sizes = {"consistency": len(NAMES)}
    encoder = None
    if config.embeddings and projects:
        specs = {project_id: sources.vectors(project_id, patches=True).spec for project_id in projects}
        ids = {spec.encoder_id for spec in specs.values()}
        if len(ids) > 1:
            words = ", ".join(f"{project_id}: {spec.words}" for project_id, spec in specs.items())
            raise UsageError(
                f"the projects were embedded by different encoders ({words})",
                doing="making features",
                hint="embed them by one encoder, or train on those of one encoder only",
            )
        encoder = ids.pop()
        spec = next(iter(specs.values()))
        sizes |= {"global": spec.dim, **{f"region{rank}": spec.dim for rank in range(REGIONS)}}
        sizes |= {"patch": 2 * spec.reduced.patch_dim} if spec.patch_size else {}
    blocks, at = {}, 0
    for name, size in sizes.items():
        blocks[name] = (at, at + size)
        at += size
    return encoder, blocks


def _fill(
    features: PickFeatures,
    row: int,
    item: Candidates,
    consistency: Consistency,
    sources: FeatureSources,
    config: PickFeatureConfig,
) -> str:
    """Write one group's features; the reason when it has none."""
    n = len(item.filenames)
    parts: dict[str, np.ndarray] = {"consistency": consistency.values}
    if config.embeddings:
        vectors = sources.vectors(item.project_id, patches=True)
        places = []
        for name, digest in zip(item.filenames, item.hashes, strict=True):
            place = vectors.place(name, digest)
            if place is None:
                return f"{name} has no vector" + (f": {vectors.errors[name]}" if name in vectors.errors else "")
            places.append(place)
        parts["global"] = relative(_unit(vectors.matrix[places]))
        parts |= _regions(item, sources)
        if "patch" in features.blocks:
            parts["patch"] = relative(_patches(vectors, places, consistency))
    for name, values in parts.items():
        start, stop = features.blocks[name]
        features.values[row, :n, start:stop] = values
    features.stage[row, :n] = stage_values(item.stages)
    features.mask[row, :n] = True
    features.peaks[row, :n] = consistency.peaks
    return ""


def stage_values(stages: Sequence[float | None]) -> np.ndarray:
    """(n, len(STAGE_NAMES)) float32: whether a candidate is the highest, how many steps below it is, is it the lowest.

    Stages are ranked within the group: 1, 1.5, 2 and 1, 2, 3 mean the same. An unknown stage says only that.
    """
    found = np.zeros((len(stages), len(STAGE_NAMES)), dtype=np.float32)
    known = sorted({stage for stage in stages if stage is not None}, reverse=True)
    for place, stage in enumerate(stages):
        if stage is None:
            found[place, 3] = 1
        else:
            below = known.index(stage)
            found[place, :3] = (below == 0, below / max(1, len(known) - 1), below == len(known) - 1)
    return found


def relative(values: np.ndarray) -> np.ndarray:
    """(n, D): each row minus the mean of the others; n is 2 or more."""
    n = len(values)
    return (values - values.mean(axis=0)) * (n / (n - 1))


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)


def _regions(item: Candidates, sources: FeatureSources) -> dict[str, np.ndarray]:
    regions, places = sources.regions(item.project_id)
    key = members_key(item)
    found = {}
    for rank in range(REGIONS):
        rows = [row for name in item.filenames if (row := places.get((key or "", name, rank))) is not None]
        if len(rows) == len(item.filenames):
            found[f"region{rank}"] = relative(_unit(regions.matrix[rows]))
    return found


def _patches(vectors: Vectors, places: Sequence[int], consistency: Consistency) -> np.ndarray:
    """(n, 2 x patch_dim): patch vectors, unit norm, where the candidate departs most, and where any does."""
    assert vectors.patches is not None
    grids = _unit(reduce_channels(vectors.patches[places].astype(np.float32)))
    strongest = consistency.peaks[int(np.argmax(consistency.maps.max(axis=(1, 2))))]
    at_own = [_patch(grid, box) for grid, box in zip(grids, consistency.peaks, strict=True)]
    others = [np.mean([_patch(g, box) for g in grids], axis=0) for box in consistency.peaks]
    at_group = [_patch(grid, strongest) for grid in grids]
    return np.concatenate([np.stack(at_own) - np.stack(others), np.stack(at_group)], axis=1)


def _patch(grid: np.ndarray, box: np.ndarray) -> np.ndarray:
    rows, cols = grid.shape[:2]
    row = min(rows - 1, int((box[1] + box[3]) / 2 * rows))
    col = min(cols - 1, int((box[0] + box[2]) / 2 * cols))
    return grid[row, col]
