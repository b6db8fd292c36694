"""The features a pick is learned from and recommended by: one function for both (DESIGN.md, invariant 5)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from pickroom.core.errors import ProjectError, UsageError
from pickroom.core.records import MAX_GROUP
from pickroom.features.blocks import BLOCKS
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES, ConsistencyConfig
from pickroom.features.consistency_store import consistency_of
from pickroom.features.sources import FeatureSources

_VERSION = 2  # of the features; another one makes every checkpoint of the older one useless
STAGE_NAMES = ("is_highest", "steps_below", "is_lowest", "unknown")
Progress = Callable[[int, int], None]


def feature_hash() -> str:
    """Hex SHA-256 over the versions of all blocks and how siblings are compared."""
    own = {"consistency": ConsistencyConfig().hash, "version": _VERSION, "stage": STAGE_NAMES}
    values = {**own, "blocks": [spec.hash for spec in BLOCKS]}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class PickFeatures:
    """Features of N groups of up to 4 candidates."""

    # name -> (N, 4, d) float32, of each image by itself but for "stage" and "consistency": "stage" (see STAGE_NAMES),
    # "vector" (unit norm), those of `blocks.BLOCKS`, and "consistency" (`consistency.NAMES`). NaN where there is no
    # such number
    blocks: dict[str, np.ndarray]
    present: dict[str, np.ndarray]  # name -> (N, 4) bool: the candidates that have values in a block
    mask: np.ndarray  # (N, 4) bool: which candidates there are; a row of `missing` has none
    missing: dict[int, str]  # row -> why the group has no features: an image without a vector
    projects: np.ndarray  # (N,) object array of ids
    images: np.ndarray  # (N, 4) object array: what names each candidate's content, "" where masked
    peaks: np.ndarray  # (N, 4, 4) float32: the box (fractions) where a candidate departs most from its siblings
    encoder: str | None  # id of the encoder whose vectors these are; None without rows

    def __len__(self) -> int:
        return len(self.mask)

    def take(self, rows: Sequence[int] | np.ndarray) -> PickFeatures:
        """Some rows, in the order given."""
        places = np.asarray(rows, dtype=np.int64)
        missing = {new: self.missing[old] for new, old in enumerate(places.tolist()) if old in self.missing}
        return replace(
            self,
            blocks={name: values[places] for name, values in self.blocks.items()},
            present={name: there[places] for name, there in self.present.items()},
            missing=missing,
            **{name: getattr(self, name)[places] for name in ("mask", "projects", "images", "peaks")},
        )


def pick_features(
    items: Sequence[Candidates], sources: FeatureSources, progress: Progress | None = None
) -> PickFeatures:
    """The features of some groups, decided or not.

    A group needs its images' vectors. Whatever else is not there, such as the comparison of images that are gone, is
    not present in its block.

    Args:
        progress: called after each group that had to be read from its files.

    Raises:
        UsageError: the groups' projects are embedded by different encoders.
        StoreError: a project has no vectors, or damaged ones.
        ProjectError: a project was not opened.
    """
    projects = np.array([item.project_id for item in items], dtype=object)
    specs = {project_id: sources.vectors(project_id).spec for project_id in dict.fromkeys(projects.tolist())}
    if len({spec.encoder_id for spec in specs.values()}) > 1:
        words = ", ".join(f"{project_id}: {spec.words}" for project_id, spec in specs.items())
        raise UsageError(
            f"the projects were embedded by different encoders ({words})",
            doing="making features",
            hint="embed them by one encoder, or train on those of one encoder only",
        )
    spec = next(iter(specs.values()), None)
    sizes = {"stage": len(STAGE_NAMES), "vector": spec.dim if spec else 0, "consistency": len(NAMES)}
    sizes |= {block.name: len(block.columns) for block in BLOCKS}
    shape = (len(items), MAX_GROUP)
    features = PickFeatures(
        {name: np.full((*shape, size), np.nan, dtype=np.float32) for name, size in sizes.items()},
        {name: np.zeros(shape, dtype=bool) for name in sizes},
        np.zeros(shape, dtype=bool),
        {},
        projects,
        np.full(shape, "", dtype=object),
        np.zeros((*shape, 4), dtype=np.float32),
        spec.encoder_id if spec else None,
    )
    for project_id in specs:  # project by project, so that what sources dropped is seldom read again
        rows = np.flatnonzero(projects == project_id).tolist()
        _fill_images(features, rows, items, sources)
        rows = [row for row in rows if row not in features.missing]
        some = [items[row] for row in rows]
        try:
            compared = consistency_of(some, sources, ConsistencyConfig(), progress)
        except ProjectError:  # the image folder is not there: what was stored is used
            compared = consistency_of(some, sources, ConsistencyConfig(), stored_only=True)
        for place, consistency in compared.consistency.items():
            row, n = rows[place], len(some[place].filenames)
            features.blocks["consistency"][row, :n] = consistency.values
            features.present["consistency"][row, :n] = True
            features.peaks[row, :n] = consistency.peaks
    return features


def _fill_images(
    features: PickFeatures, rows: Sequence[int], items: Sequence[Candidates], sources: FeatureSources
) -> None:
    """Write what is known of each image by itself."""
    for row in rows:
        item, n = items[row], len(items[row].filenames)
        vectors, blocks = sources.vectors(item.project_id), sources.blocks(item.project_id)
        images = list(zip(item.filenames, item.hashes, strict=True))
        found_at = [vectors.place(*image) for image in images]
        places = [place for place in found_at if place is not None]
        if len(places) < n:
            name = item.filenames[found_at.index(None)]
            why = f": {vectors.errors[name]}" if name in vectors.errors else ""
            features.missing[row] = f"{name} has no vector{why}"
            continue
        features.mask[row, :n] = True
        features.images[row, :n] = [digest or f"{item.project_id}/{name}" for name, digest in images]
        found = {"stage": stage_values(item.stages), "vector": _unit(vectors.matrix[places])}
        for name, values in found.items():
            features.blocks[name][row, :n], features.present[name][row, :n] = values, True
        for name, block in blocks.items():
            for member, image in enumerate(images):
                place = block.place(*image)
                if place is not None and block.present[place]:
                    features.blocks[name][row, member] = block.values[place]
                    features.present[name][row, member] = True


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


def _unit(vectors: np.ndarray) -> np.ndarray:
    norms = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.divide(vectors, norms, out=np.zeros_like(vectors), where=norms > 0)
