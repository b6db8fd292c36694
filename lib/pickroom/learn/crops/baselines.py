"""What a crop proposer is compared with: one box for all, the full frame, the nearest past crop.

Each learns from the same rows as the proposer and is asked about the same others.
"""

import numpy as np

from pickroom.core.geometry import CONSTANT_CROP
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.metrics import ious

_FIRST_STEP, _LAST_STEP = 0.08, 0.0005  # fractions of the image, of the search for the best constant box
_SAMPLE = 2000  # crops it is searched on: the mean of more moves it by less than the last step
_CHUNK = 1024  # rows of the similarity matrix at a time


def every(train: CropFeatures, boxes: np.ndarray, features: CropFeatures) -> dict[str, np.ndarray]:
    """Name -> (N, 4) float32 boxes of each baseline for N images.

    Args:
        train: features of M images, and their crops (M, 4) float32 as fractions, none NaN.
    """
    return {
        "constant": np.repeat(best_constant(boxes)[None], len(features), axis=0),
        "full_frame": np.tile(np.array([0, 0, 1, 1], dtype=np.float32), (len(features), 1)),
        "nearest": nearest_past(train, boxes, features),
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
    if not len(train):
        return np.tile(best_constant(boxes), (len(features), 1))
    mean = train.vector.mean(axis=0)
    past, here = (_unit(vectors - mean) for vectors in (train.vector, features.vector))
    starts = range(0, len(here), _CHUNK)
    nearest = [(here[start : start + _CHUNK] @ past.T).argmax(axis=1) for start in starts]
    return np.asarray(boxes, np.float32)[np.concatenate([np.zeros(0, dtype=np.int64), *nearest])]


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def _mean_iou(box: np.ndarray, boxes: np.ndarray) -> float:
    if (box[:2] >= box[2:]).any():
        return 0.0
    return float(ious(np.broadcast_to(box, boxes.shape), boxes).mean())


# one edge at a time, both edges of an axis, the size about its middle
_MOVES = np.array(
    [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 1, 0], [0, 1, 0, 1], [1, 1, -1, -1]],
    dtype=np.float64,
)
