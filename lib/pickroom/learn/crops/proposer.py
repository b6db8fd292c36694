"""The crop proposer: a user's crop of an image, from its patch grid, its vector and its shape.

LESSONS.md, Cropping: every real crop kept the image's own aspect ratio, so this does too, unless the user's own crops
do not. `fitting` trains it.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import erf, expit

from pickroom.core.errors import StoreError, UsageError
from pickroom.core.geometry import CORNER_TOLERANCE
from pickroom.features.encoder import reduce_channels
from pickroom.learn.blas import one_blas_thread
from pickroom.learn.crops.features import SHAPE_NAMES, CropFeatures
from pickroom.learn.crops.network import Inputs, Weights, forward, mirror_boxes, need_inputs, to_boxes
from pickroom.learn.examples import NO_CROP_AREA

VERSION = 3  # 1 was kept as PyTorch tensors, 2 as an ONNX graph
_FREE_SHAPE = 0.02  # |ln(width / height)|, in fractions of the image: above it a crop left the image's aspect ratio
_FREE_SHARE = 0.1  # of the crops: with more, the user does not keep the aspect ratio
_CHUNK = 256  # images at a time when proposing
_CLIP = 6.0  # standard deviations
_ERROR = 0.025  # typical error of an edge that all predictions agree on; calibration corrects the confidence
FULL_FRAME = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class CropConfig:
    """How a proposer is trained."""

    members: int = 2  # networks of the ensemble
    hidden: int = 32  # channels of the hidden layer
    components: int = 16  # main directions of the vector that are used in addition to the grid
    # steps, batch: steps of the optimiser a member, images a step
    steps: int = 400
    least_epochs: int = 4  # fewest passes over the images, so that many crops get more steps
    batch: int = 32
    # learning_rate, weight_decay: of AdamW; the rate rises to this and falls to 0 along a half cosine
    learning_rate: float = 8e-3
    weight_decay: float = 0.05
    dropout: float = 0.3  # share of the grid's channels left out at random
    l1: float = 10.0  # weight of the edges' distance next to the IoU
    keep_aspect: bool | None = None  # None measures it on the user's crops
    seed: int = 1  # of the weights, the order, what is mirrored and left out


class CropProposer:
    """A trained ensemble, for patch grids as they were learned from and for reduced ones.

    Attributes:
        arrays: the scales of `extra` and `scaled`, and the weights `<channels>.<member>.<name>` of each network.
        sizes: shapes of the features it fits, see `CropFeatures.sizes`.
        description: what `from_state` needs besides the arrays, as JSON.
        keep_aspect: whether its boxes have the aspect ratio of their images.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> None:
        self.arrays, self.description = dict(arrays), dict(description)
        self.sizes: dict[str, list[int]] = self.description["sizes"]
        self.keep_aspect = bool(self.description["keep_aspect"])
        self._networks: dict[str, dict[str, Weights]] = {}
        for name, values in self.arrays.items():
            channels, _, rest = name.partition(".")
            member, _, weight = rest.partition(".")
            if weight:
                self._networks.setdefault(channels, {}).setdefault(member, {})[weight] = values

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> Self:
        """A proposer as it was saved; raises StoreError for one of an earlier version, or a damaged one."""
        try:
            if description["version"] != VERSION:
                raise _unusable("an earlier version of Pickroom made it")
            found = cls(state, description)
            for channels in found._networks:  # fails here where an array is missing or has another size
                grid = [*found.sizes["grid"][:2], int(channels)]
                shapes = ((1, *grid), (1, *found.sizes["vector"]), (1, len(SHAPE_NAMES)), (1, 2))
                zeros, vector, shape, cover = (np.zeros(values, dtype=np.float32) for values in shapes)
                given = zeros if found.sizes["grid"] else None
                found.predict(CropFeatures(given, vector, shape, cover, np.ones(1, dtype=bool)))
            if not found._networks:
                raise ValueError("it has no weights")
        except (IndexError, KeyError, TypeError, UsageError, ValueError) as error:
            raise _unusable(f"the crop proposer's file does not fit this version ({error})") from error
        return found

    @one_blas_thread
    def predict(self, features: CropFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Boxes, chances and confidences for N images; rows without features get NaN in all three.

        Returns:
            boxes (N, 4) float32: [x1, y1, x2, y2] as fractions: where the crop lies if one is made.
            needed (N,) float32: the chance that the user crops at all; below 0.5, or with a box of 98 % of the
                image or more, none is needed.
            confidence (N,) float32: a raw chance that every corner is within 5 %, from how far the predictions
                disagree; to be calibrated on rows that were not trained on.

        Raises:
            UsageError: the features are of another shape than those it was trained on.
        """
        boxes, needed, sure = (np.full((len(features), *size), np.nan, np.float32) for size in ((4,), (), ()))
        rows = np.flatnonzero(features.mask)
        for start in range(0, len(rows), _CHUNK):
            here = rows[start : start + _CHUNK]
            boxes[here], needed[here], sure[here] = self._predict(features.take(here))
        return boxes, needed, sure

    def _predict(self, features: CropFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        grid = features.grid
        if grid is not None and str(grid.shape[-1]) not in self._networks:
            grid = reduce_channels(grid)
        channels = grid.shape[-1] if grid is not None else 0
        sizes = {"grid": list(grid.shape[1:3]) if grid is not None else [], "vector": [features.vector.shape[1]]}
        if str(channels) not in self._networks or sizes != {**self.sizes, "grid": self.sizes["grid"][:2]}:
            raise UsageError("the features are of another shape than those it was trained on", doing="proposing crops")
        inputs = Inputs(scaled(grid, self.arrays), features.cover, extra(features, self.arrays))
        # a vector alone does not tell what its image looks like in a mirror
        turned = None if inputs.grid is None else inputs._replace(grid=inputs.grid[:, :, ::-1])
        edges, needs = [], []
        for weights in self._networks[str(channels)].values():
            for some in (inputs, turned):
                if some is not None:
                    found = forward(weights, some)
                    edges.append(mirror_boxes(found.edges) if some is turned else found.edges)
                    needs.append(expit(weights["always"] + need_inputs(some, found) @ weights["need"]))
        every = np.stack([to_boxes(one, self.keep_aspect) for one in edges])
        # corners err together, so the widest edge decides rather than the product of all
        deviation = np.sqrt(every.var(axis=0) + _ERROR**2).max(axis=1)
        sure = erf(CORNER_TOLERANCE / (deviation * math.sqrt(2)))
        return to_boxes(np.mean(edges, axis=0), self.keep_aspect), np.mean(needs, axis=0), sure


def fit_scales(features: CropFeatures, components: int) -> dict[str, np.ndarray]:
    """The scales of vectors and shapes: arrays for `extra`; all rows have features."""
    vectors = unit(features.vector)
    mean = vectors.mean(axis=0)
    kept = max(1, min(components, features.vector.shape[1], len(features) - 1))
    _, spreads, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    spreads = np.maximum(spreads[:kept] / math.sqrt(len(features)), max(spreads[0] * 1e-3, 1e-9))
    shape_scale = np.maximum(features.shape.std(axis=0), 1e-3)  # a value that hardly varied must not become huge later
    parts = (mean, directions[:kept].T / spreads, features.shape.mean(axis=0), shape_scale)
    names = ("vector_mean", "directions", "shape_mean", "shape_scale")
    return {name: part.astype(np.float32) for name, part in zip(names, parts, strict=True)}


def fit_grid_scales(grid: np.ndarray) -> dict[str, np.ndarray]:
    """The scales of the channels of (N, rows, cols, C) patch grids: arrays for `scaled`."""
    flat = grid.reshape(-1, grid.shape[-1])
    mean = flat.mean(axis=0, dtype=np.float64)
    squares = np.square(flat, dtype=np.float32).mean(axis=0, dtype=np.float64)
    scale = np.maximum(np.sqrt(np.maximum(squares - mean**2, 0)), 1e-3)
    channels = grid.shape[-1]
    return {f"{channels}.mean": mean.astype(np.float32), f"{channels}.scale": scale.astype(np.float32)}


def scaled(grid: np.ndarray | None, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Patch grids as the network sees them, float32."""
    if grid is None:
        return None
    channels = grid.shape[-1]
    values: np.ndarray = grid.astype(np.float32)
    values -= arrays[f"{channels}.mean"]
    values /= arrays[f"{channels}.scale"]
    return np.clip(values, -_CLIP, _CLIP, out=values)


def extra(features: CropFeatures, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, B) float32: the network's inputs besides the grid: the vector's main directions, and the shape."""
    seen = (unit(features.vector) - arrays["vector_mean"]) @ arrays["directions"]
    shape = (features.shape - arrays["shape_mean"]) / arrays["shape_scale"]
    return np.concatenate([seen, shape], axis=1).clip(-_CLIP, _CLIP)


def keeps_aspect(boxes: np.ndarray) -> bool:
    """Whether a user's crops (N, 4), NaN rows aside, keep their images' own aspect ratio."""
    drawn = boxes[is_crop(boxes)]
    free = np.abs(np.log((drawn[:, 2] - drawn[:, 0]) / (drawn[:, 3] - drawn[:, 1]))) > _FREE_SHAPE
    return bool(free.mean() <= _FREE_SHARE) if len(drawn) else True


def is_crop(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: rows of (N, 4) boxes that cut something away; NaN rows and those of 98 % or more do not."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.nan_to_num(area, nan=1.0) < NO_CROP_AREA


def unit(vectors: np.ndarray) -> np.ndarray:
    """(N, D) vectors of length 1; zeros stay."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _unusable(what: str) -> StoreError:
    hint = "train again: pickroom train crop_proposer"
    return StoreError(what, doing="loading a crop proposer", hint=hint)
