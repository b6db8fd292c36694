"""Edges to boxes, mirrors, the loss and the gradient of the crop network: they hold for any numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.learn.crops.network import Inputs, box_loss, forward, gradient, mirror_boxes, new_weights, to_boxes
from pickroom.learn.metrics import ious

EDGE = st.floats(-2, 3, width=32)
EDGES = st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), min_size=1, max_size=8)
PLACES = st.tuples(st.floats(0, 0.7), st.floats(0, 0.7), st.floats(0.1, 1), st.floats(0.1, 1))
MEAN = np.array([0.1, 0.2, 0.8, 0.9])


def box_of(place: tuple[float, float, float, float]) -> np.ndarray:
    x, y, wide, tall = place
    return np.array([[x, y, x + (1 - x) * wide, y + (1 - y) * tall]])


def made(channels: int, count: int = 6) -> tuple[Any, Inputs]:
    """Weights that are all drawn at random, and inputs of a few images."""
    rng = np.random.default_rng(5)
    _, weights = new_weights((4, 7, channels) if channels else None, 5, 3, MEAN, rng)
    weights = {name: rng.normal(0, 0.3, values.shape) for name, values in weights.items()} | {"base": MEAN.copy()}
    grid = rng.normal(0, 1, (count, 4, 7, channels)) if channels else None
    return weights, Inputs(grid, rng.uniform(0.5, 1, (count, 2)), rng.normal(0, 1, (count, 3)))


@given(EDGES, st.booleans())
def test_any_edges_give_boxes_inside_the_frame(edges: list[tuple[float, ...]], keep: bool) -> None:
    boxes = to_boxes(np.array(edges), keep)
    assert (boxes[:, :2] >= -1e-6).all() and (boxes[:, 2:] <= 1 + 1e-6).all()
    size = boxes[:, 2:] - boxes[:, :2]
    assert (size >= 0.0199).all()
    if keep:
        np.testing.assert_allclose(size[:, 0], size[:, 1], atol=1e-5)


@given(PLACES)
def test_a_box_inside_the_frame_stays_as_it_is(place: tuple[float, float, float, float]) -> None:
    box = box_of(place)
    np.testing.assert_allclose(to_boxes(box, False), box, atol=1e-5)


@given(EDGES)
def test_a_mirror_twice_is_no_mirror(edges: list[tuple[float, ...]]) -> None:
    np.testing.assert_allclose(mirror_boxes(mirror_boxes(np.array(edges))), edges, atol=1e-5)


@given(PLACES, PLACES)
def test_the_loss_falls_as_the_overlap_rises(a: tuple[Any, ...], b: tuple[Any, ...]) -> None:
    one, other = box_of(a), box_of(b)
    loss, overlap = box_loss(one, other, 0.0, False)[0][0], ious(one, other)[0]
    assert 1 - overlap - 1e-4 <= loss <= 2  # generalised IoU is at most the IoU, at least -1
    assert box_loss(one, one, 4.0, False)[0][0] == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("keep", [False, True])
@pytest.mark.parametrize("channels", [0, 6])
def test_the_gradient_is_that_of_the_loss(channels: int, keep: bool) -> None:
    weights, inputs = made(channels)
    meant, rng = np.tile([0.2, 0.3, 0.9, 0.7], (6, 1)), np.random.default_rng(0)

    def loss() -> float:
        return float(box_loss(forward(weights, inputs).edges, meant, 3.0, keep)[0].sum())

    found = forward(weights, inputs)
    slopes = gradient(weights, inputs, found, box_loss(found.edges, meant, 3.0, keep)[1])
    assert list(slopes) == list(weights)
    for name in weights:
        for place in rng.choice(weights[name].size, min(4, weights[name].size), replace=False):
            where = np.unravel_index(place, weights[name].shape)
            before, ends = weights[name][where], []
            for step in (1e-5, -1e-5):
                weights[name][where] = before + step
                ends.append(loss())
            weights[name][where] = before
            assert slopes[name][where] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=2e-3), name


def test_the_loss_reaches_edges_outside_the_frame() -> None:
    slopes = box_loss(np.array([[-0.4, 0.2, 0.6, 0.9]]), np.array([[0.2, 0.2, 0.6, 0.9]]), 1.0, False)[1]
    assert slopes[0, 0] < 0  # further right is better


def test_soft_argmax_finds_a_bright_cell_in_the_image() -> None:
    _, weights = new_weights((5, 9, 1), 4, 2, np.full(4, 0.5), np.random.default_rng(0))
    weights["prior"][:, 0, 1 * 9 + 7] = 50.0
    # the first image is covered whole; of the second the encoder saw the middle half of the width
    inputs = Inputs(np.zeros((2, 5, 9, 1)), np.array([[1.0, 1.0], [0.5, 1.0]]), np.zeros((2, 2)))
    edges = forward(weights, inputs).edges
    x, y = 7.5 / 9, 1.5 / 5
    np.testing.assert_allclose(edges[0], [x, y, x, y], atol=1e-5)
    np.testing.assert_allclose(edges[1], [0.5 + (x - 0.5) / 2, y, 0.5 + (x - 0.5) / 2, y], atol=1e-5)


@pytest.mark.parametrize("channels", [0, 6])
def test_an_untrained_network_says_about_the_mean_box(channels: int) -> None:
    _, inputs = made(channels)
    rng = np.random.default_rng(0)
    _, weights = new_weights((4, 7, channels) if channels else None, 5, 3, MEAN, rng)
    np.testing.assert_allclose(forward(weights, inputs).edges, np.tile(MEAN, (6, 1)), atol=0.05)
