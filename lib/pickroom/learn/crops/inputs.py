"""From crop features to what the crop network sees: scaled as the rows it is trained on, past crops at hand.

Needs PyTorch; all of it but `fit_scales` is traced into the ONNX graph that proposes crops.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pickroom.learn.crops.features import SHAPE_NAMES, CropFeatures
from pickroom.learn.crops.network import MIRRORED, NetworkInputs

BESIDE = len(SHAPE_NAMES) + 4  # values next to the grid besides the vector's directions: the shape, a past box
_LEAST_SCALE = 1e-3  # a value that hardly varied among the rows trained on must not blow up later
_CLIP = 6.0  # standard deviations
_SHARPNESS = 20.0  # of the weights of past crops: a cosine 0.05 lower weighs e times less
_CHUNK = 1024  # rows of the similarity matrix at a time


class FeatureTensors(NamedTuple):
    """The arrays of `CropFeatures` as tensors: (N, D), (N, S), (N, 2), and (N, rows, cols, C) or None."""

    vector: Tensor
    shape: Tensor
    cover: Tensor
    grid: Tensor | None = None

    @classmethod
    def of(cls, features: CropFeatures) -> FeatureTensors:
        grid = None if features.grid is None else torch.from_numpy(features.grid)
        vector, shape, cover = (torch.from_numpy(part) for part in (features.vector, features.shape, features.cover))
        return cls(vector, shape, cover, grid)


class Scales(NamedTuple):
    """What was learned of the features before the network was, and the person's past crops.

    Attributes:
        grid_mean, grid_scale: (C,), of the patch grid's channels; (0,) without a grid.
        shape_mean, shape_scale: (len(SHAPE_NAMES),).
        vector_mean: (D,), of vectors of unit length.
        directions: (D, K): main directions, whitened.
        mean_box: (4,): the mean of the crops.
        past: (M, K) unit length: images that were cropped, in the main directions.
        past_boxes: (M, 4): their crops.
    """

    grid_mean: Tensor
    grid_scale: Tensor
    shape_mean: Tensor
    shape_scale: Tensor
    vector_mean: Tensor
    directions: Tensor
    mean_box: Tensor
    past: Tensor
    past_boxes: Tensor


def fit_scales(features: CropFeatures, boxes: np.ndarray, components: int) -> Scales:
    """Scales of rows that all have features; crops (N, 4) float32 as fractions, NaN where none was drawn."""
    if features.grid is not None:
        flat = features.grid.reshape(-1, features.grid.shape[-1])
        grid_mean = flat.mean(axis=0, dtype=np.float64)
        squares = np.square(flat, dtype=np.float32).mean(axis=0, dtype=np.float64)
        grid_scale = np.sqrt(np.maximum(squares - grid_mean**2, 0))
    else:
        grid_mean = grid_scale = np.zeros(0)
    unit = functional.normalize(torch.from_numpy(features.vector), dim=1)
    mean = unit.mean(dim=0)
    kept = max(1, min(components, features.vector.shape[1], len(features) - 1))
    _, spreads, directions = torch.linalg.svd(unit - mean, full_matrices=False)
    spreads = spreads[:kept] / max(1, len(features)) ** 0.5
    directions = directions[:kept].T / spreads.clamp_min(spreads.max() * _LEAST_SCALE).clamp_min(1e-12)
    drawn = np.isfinite(boxes).all(axis=1)
    past = functional.normalize((unit - mean) @ directions, dim=1)[torch.from_numpy(drawn)]
    return Scales(
        _tensor(grid_mean),
        _tensor(grid_scale).clamp_min(_LEAST_SCALE),
        _tensor(features.shape.mean(axis=0)),
        _tensor(features.shape.std(axis=0)).clamp_min(_LEAST_SCALE),
        mean,
        directions.contiguous(),
        _tensor(boxes[drawn].mean(axis=0)),
        past,
        _tensor(boxes[drawn]),
    )


def make_inputs(
    features: FeatureTensors, scales: Scales, neighbours: int, drawn: np.ndarray | None = None
) -> NetworkInputs:
    """What the network sees of rows that have features.

    Args:
        neighbours: past crops whose mean is seen, 0 for none.
        drawn: (N,) bool where these rows are those that `scales` were fitted on: which of them have a crop. Each
            then sees the crops of the others only: its own would give the answer away.
    """
    grid = features.grid
    if grid is not None:
        grid = ((grid.float() - scales.grid_mean) / scales.grid_scale).clamp(-_CLIP, _CLIP)
        # channels stay last in memory, the faster way through convolutions on a CPU
        grid = grid.permute(0, 3, 1, 2)
    seen = (functional.normalize(features.vector, dim=1) - scales.vector_mean) @ scales.directions
    shape = (features.shape - scales.shape_mean) / scales.shape_scale
    unit = functional.normalize(seen, dim=1)
    if drawn is None:
        past = _past_boxes(unit, scales, min(neighbours, len(scales.past)), None)
    else:
        own = torch.from_numpy(np.where(drawn, np.cumsum(drawn) - 1, -1))
        count = min(neighbours, len(scales.past) - 1)
        parts = zip(unit.split(_CHUNK), own.split(_CHUNK), strict=True)
        past = torch.cat([_past_boxes(some, scales, count, theirs) for some, theirs in parts])
    beside = torch.cat([seen.clamp(-_CLIP, _CLIP), shape.clamp(-_CLIP, _CLIP), past - 0.5], dim=1)
    return NetworkInputs(grid, features.cover, beside, torch.ones_like(features.cover[:, 0]))


def mirror_inputs(inputs: NetworkInputs) -> NetworkInputs:
    """What the network sees of the same images in a mirror, as far as the stored features tell."""
    past = inputs.beside[:, -4:][:, MIRRORED] * inputs.beside.new_tensor([-1.0, 1.0, -1.0, 1.0])
    grid = inputs.grid.flip(3) if inputs.grid is not None else None
    return NetworkInputs(grid, inputs.cover, torch.cat([inputs.beside[:, :-4], past], dim=1), -inputs.side)


def _past_boxes(seen: Tensor, scales: Scales, count: int, own: Tensor | None) -> Tensor:
    """(N, 4): the mean box of the nearest past crops, the nearer ones weighing more; the mean of all where none is.

    Args:
        own: (N,) int64: the past crop that is a row's own, and is left out; -1 for none.
    """
    if count < 1:
        return scales.mean_box + torch.zeros_like(seen[:, :1])
    similar = seen @ scales.past.T
    if own is not None:
        rows = torch.nonzero(own >= 0)[:, 0]
        similar[rows, own[rows]] = -float("inf")
    nearest = similar.topk(count, dim=1)
    weights = (nearest.values * _SHARPNESS).softmax(dim=1)
    return (scales.past_boxes[nearest.indices] * weights[..., None]).sum(dim=1)


def _tensor(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))
