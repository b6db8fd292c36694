"""The features a crop is learned from and proposed by: one function for both (DESIGN.md, invariant 5).

LESSONS.md, Cropping: an earlier proposer was trained on raw embeddings and served normalised ones. Here nothing is
scaled; a model does the scaling that it needs.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.features.encoder import EncoderSpec, reduce_channels
from pickroom.features.sources import FeatureSources
from pickroom.learn.examples import UncroppedImage

_VERSION = 2  # of the features; a change makes every older checkpoint useless
SHAPE_NAMES = ("log_aspect", "log_size", "stage_known", "stage")
_SIZE = 2048.0  # pixels of the long side at which log_size is 0; only a scale
_HIGHEST_STAGE = 3.0  # FORMATS.md, File names; only a scale
# of a checkpoint: what its features are, and their version
FEATURE_HASH = hashlib.sha256(json.dumps({"shape": SHAPE_NAMES, "version": _VERSION}).encode()).hexdigest()
_MOST_LOG = 2.0  # of either logarithm: no image beyond 7:1 was in the training data


@dataclass(frozen=True, slots=True)
class CropFeatures:
    """Features of N images."""

    # (N, rows, cols, C) float16, the patch grid as it is stored, or reduced where some project's is; None for an
    # encoder without one
    grid: np.ndarray | None
    vector: np.ndarray  # (N, D) float32, the global vector, raw
    # (N, len(SHAPE_NAMES)) float32: ln(width / height), ln(long side / 2048), 1 if the stage is known, stage / 3 (0 if
    # unknown)
    shape: np.ndarray
    # (N, 2) float32: the share of the image's width and height that the grid spans, around the image's middle: 1 is the
    # whole, less where the encoder crops the middle, more where it pads
    cover: np.ndarray
    mask: np.ndarray  # (N,) bool: rows with features; all values of the others are 0
    missing: dict[int, str] = field(default_factory=dict)  # row -> why it has none

    def __len__(self) -> int:
        return len(self.mask)

    @property
    def sizes(self) -> dict[str, list[int]]:
        """The shapes a model fits: of a grid ([] without one) and of a vector."""
        return {"grid": list(self.grid.shape[1:]) if self.grid is not None else [], "vector": [self.vector.shape[1]]}

    def take(self, rows: Sequence[int] | np.ndarray) -> CropFeatures:
        """Some rows, in the order given."""
        places = np.asarray(rows, dtype=np.int64)
        missing = {new: self.missing[old] for new, old in enumerate(places.tolist()) if old in self.missing}
        parts = {name: getattr(self, name)[places] for name in ("vector", "shape", "cover", "mask")}
        return replace(self, grid=None if self.grid is None else self.grid[places], missing=missing, **parts)


def crop_features(items: Sequence[UncroppedImage], sources: FeatureSources) -> CropFeatures:
    """The features of some images, cropped before or not; only the files of vectors are opened.

    Raises:
        UsageError: the images' projects are embedded by different encoders.
        StoreError: a project has no vectors, or damaged ones.
        ProjectError: a project was not opened.
    """
    by_project: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        by_project.setdefault(item.project_id, []).append(row)
    spec: EncoderSpec | None = None
    grid, vector = None, np.zeros((len(items), 0), dtype=np.float32)
    shape, cover = np.zeros((len(items), len(SHAPE_NAMES)), np.float32), np.ones((len(items), 2), np.float32)
    mask, missing = np.zeros(len(items), dtype=bool), {}
    for project_id, rows in by_project.items():
        vectors = sources.vectors(project_id, patches=True)
        if spec is None:
            spec = vectors.spec
            vector = np.zeros((len(items), spec.dim), dtype=np.float32)
            if spec.patch_size:
                grid = np.zeros((len(items), spec.patch_rows, spec.patch_cols, spec.patch_dim), dtype=np.float16)
        elif spec.encoder_id != vectors.spec.encoder_id:
            raise UsageError(
                f"the projects were embedded by different encoders ({spec.words}; {project_id}: {vectors.spec.words})",
                doing="making features",
                hint="embed them by one encoder, or train on those of one encoder only",
            )
        if grid is not None and vectors.spec.patch_dim < grid.shape[-1]:
            grid = reduce_channels(grid)
        for row in rows:
            item = items[row]
            place = vectors.place(item.filename, item.sha256)
            if place is None:
                why = f": {vectors.errors[item.filename]}" if item.filename in vectors.errors else ""
                missing[row] = f"{item.filename} has no vector{why}"
                continue
            if vectors.patches is not None and np.isnan(vectors.patches[place]).all():
                missing[row] = f"the vector of {item.filename} was imported without a patch grid"
                continue
            vector[row] = vectors.matrix[place]
            if grid is not None and vectors.patches is not None:
                own = vectors.patches[place]
                grid[row] = own if own.shape == grid.shape[1:] else reduce_channels(own)
            shape[row], cover[row] = shape_values(item), covered(spec, item.width, item.height)
            mask[row] = True
    return CropFeatures(grid, vector, shape, cover, mask, missing)


def shape_values(item: UncroppedImage) -> np.ndarray:
    """(len(SHAPE_NAMES),) float32; see `CropFeatures.shape`."""
    aspect = math.log(item.width / item.height)
    size = math.log(max(item.width, item.height) / _SIZE)
    logs = [min(_MOST_LOG, max(-_MOST_LOG, value)) for value in (aspect, size)]
    stage = [0.0, 0.0] if item.stage is None else [1.0, item.stage / _HIGHEST_STAGE]
    return np.array([*logs, *stage], dtype=np.float32)


def covered(spec: EncoderSpec, width: int, height: int) -> tuple[float, float]:
    """The share of an image's width and height that an encoder's input spans; see `CropFeatures.cover`."""
    own = spec.preprocessing
    if own is None or own.resize == "squash":
        return 1.0, 1.0
    scales = (own.width / width, own.height / height)
    # "shortest": the side that needs the larger scale fills the input, the other is cut; "longest": it is padded
    scale = max(scales) if own.resize == "shortest" else min(scales)
    return scales[0] / scale, scales[1] / scale
