"""The baselines of crops: each does what its name says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from learn.crops.crop_rows import spotted
from pickroom.core.geometry import CONSTANT_CROP
from pickroom.learn.crops.model import baseline_boxes, best_constant, nearest_past
from pickroom.learn.metrics import ious


def test_best_constant_beats_mean_median_and_every_single_box() -> None:
    rng = np.random.default_rng(0)
    start = rng.beta(1, 4, (80, 2))
    boxes = np.concatenate([start, start + (1 - start) * rng.uniform(0.4, 1, (80, 2))], axis=1).astype(np.float32)
    best = best_constant(boxes)

    def score(box: np.ndarray) -> float:
        return float(ious(np.repeat(box[None], 80, axis=0), boxes).mean())

    others = [boxes.mean(axis=0), np.median(boxes, axis=0), *boxes]
    assert score(best) >= max(score(box) for box in others)


def test_the_constant_of_no_crops_is_the_known_one() -> None:
    np.testing.assert_allclose(best_constant(np.zeros((0, 4))), CONSTANT_CROP.to_list(), atol=1e-6)


def test_the_nearest_past_crop_is_that_of_the_most_similar_image() -> None:
    train, boxes = spotted(50)
    again = replace(train, vector=train.vector * 3)  # longer, not another direction once the mean is small
    train = replace(train, vector=train.vector - train.vector.mean(axis=0))
    again = replace(again, vector=train.vector * 3)
    np.testing.assert_array_equal(nearest_past(train, boxes, again), boxes)


@pytest.mark.parametrize("rows", [0, 1])
def test_every_baseline_answers_with_zero_or_one_row(rows: int) -> None:
    train, boxes = spotted(5)
    asked, _ = spotted(7, seed=1)
    found = baseline_boxes(train.take(range(rows)), boxes[:rows], asked)
    assert set(found) == {"constant", "full_frame", "nearest"}
    for name, some in found.items():
        assert some.shape == (7, 4) and np.isfinite(some).all(), name
