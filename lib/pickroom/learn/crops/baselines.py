"""What a crop proposer is held against: one box for all, the full frame, the nearest past crop, the earlier network.

Each learns from the same rows as the proposer and is asked about the same others.
"""

from __future__ import annotations

import itertools

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from pickroom.core.geometry import CONSTANT_CROP
from pickroom.features import threads
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.metrics import ious

_FIRST_STEP, _LAST_STEP = 0.08, 0.0005  # fractions of the image, of the search for the best constant box
_SAMPLE = 2000  # crops it is searched on: the mean of more moves it by less than the last step
_CHUNK = 1024  # rows of the similarity matrix at a time

# The earlier system's network and training (LESSONS.md: 514 inputs were 512 floats and 2 sizes): layers, Adam's rate
_HIDDEN = (512, 256, 128)
_RATE, _STEPS, _BATCH, _DROPOUT = 1e-3, 400, 64, 0.2


def every(train: CropFeatures, boxes: np.ndarray, features: CropFeatures, seed: int = 1) -> dict[str, np.ndarray]:
    """Name -> (N, 4) float32 boxes of each baseline for N images.

    Args:
        train: features of M images, and their crops (M, 4) float32 as fractions, none NaN.
    """
    return {
        "constant": np.repeat(best_constant(boxes)[None], len(features), axis=0),
        "full_frame": np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (len(features), 1)),
        "nearest": nearest_past(train, boxes, features),
        "historic": historic_network(train, boxes, features, seed),
    }


def best_constant(boxes: np.ndarray) -> np.ndarray:
    """(4,) float32: the one box with the highest mean IoU to (M, 4) boxes; LESSONS.md's where there are none.

    A pattern search (Hooke & Jeeves 1961) from the median box: the mean IoU has no gradient worth the name at its top.
    """
    if not len(boxes):
        return np.array(CONSTANT_CROP.to_list(), dtype=np.float32)
    known = np.asarray(boxes, dtype=np.float64)
    if len(known) > _SAMPLE:
        known = known[np.random.RandomState(0).permutation(len(known))[:_SAMPLE]]
    best = np.median(known, axis=0)
    score = _mean_iou(best, known)
    step = _FIRST_STEP
    while step >= _LAST_STEP:
        moves = [sign * step * row for row in _MOVES for sign in (-1, 1)]
        tried = [np.clip(best + move, 0, 1) for move in moves]
        scores = [_mean_iou(box, known) for box in tried]
        place = int(np.argmax(scores))
        if scores[place] > score:
            best, score = tried[place], scores[place]
        else:
            step /= 2
    return best.astype(np.float32)


def nearest_past(train: CropFeatures, boxes: np.ndarray, features: CropFeatures) -> np.ndarray:
    """(N, 4) float32: the crop of the image whose vector is most similar (cosine, the mean vector taken out)."""
    mean = torch.from_numpy(train.vector).mean(dim=0) if len(train) else 0
    past = functional.normalize(torch.from_numpy(train.vector) - mean, dim=1)
    found = np.tile(best_constant(boxes), (len(features), 1))
    for start in range(0, len(features) if len(train) else 0, _CHUNK):
        here = functional.normalize(torch.from_numpy(features.vector[start : start + _CHUNK]) - mean, dim=1)
        found[start : start + _CHUNK] = np.asarray(boxes, np.float32)[(here @ past.T).argmax(dim=1).numpy()]
    return found


def historic_network(train: CropFeatures, boxes: np.ndarray, features: CropFeatures, seed: int = 1) -> np.ndarray:
    """(N, 4) float32: the earlier system's network on the vector and the size, 514-512-256-128-4 for 512 floats.

    Trained as it was meant to be (LESSONS.md: it was trained on other features than it was served): vectors of unit
    length and sizes over 2048 on both sides, mean squared error of the edges, the edges through a sigmoid.
    """
    if not len(train):
        return np.tile(best_constant(boxes), (len(features), 1))
    with torch.random.fork_rng(devices=[]), threads.limit_torch_threads(len(train)):
        torch.manual_seed(seed)
        sizes = (train.vector.shape[1] + 2, *_HIDDEN)
        layers: list[nn.Module] = []
        for inside, outside in itertools.pairwise(sizes):
            layers += [nn.Linear(inside, outside), nn.ReLU(), nn.Dropout(_DROPOUT)]
        network = nn.Sequential(*layers, nn.Linear(_HIDDEN[-1], 4), nn.Sigmoid())
        optimiser = torch.optim.Adam(network.parameters(), lr=_RATE)
        inputs, meant = _historic_inputs(train), torch.from_numpy(np.asarray(boxes, dtype=np.float32))
        for _ in range(_STEPS):
            rows = torch.randint(len(inputs), (_BATCH,))
            loss = functional.mse_loss(network(inputs[rows]), meant[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.inference_mode():
        found = network.eval()(_historic_inputs(features)).numpy()
    first, second = found[:, :2], found[:, 2:]
    return np.concatenate([np.minimum(first, second), np.maximum(first, second)], axis=1)


def _historic_inputs(features: CropFeatures) -> torch.Tensor:
    vectors = functional.normalize(torch.from_numpy(features.vector), dim=1) * features.vector.shape[1] ** 0.5
    return torch.cat([vectors, torch.from_numpy(features.shape[:, :2])], dim=1)


def _mean_iou(box: np.ndarray, boxes: np.ndarray) -> float:
    if (box[:2] >= box[2:]).any():
        return 0.0
    return float(ious(np.broadcast_to(box, boxes.shape), boxes).mean())


# one edge at a time, both edges of an axis, the size about its middle
_MOVES = np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, -1, -1]],
    dtype=np.float64,
)
