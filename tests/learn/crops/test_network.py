"""Edges to boxes, mirrors and the loss: geometry that holds for any numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.learn.crops.network import CropNetwork, NetworkInputs, box_loss, mirror_boxes, to_boxes
from pickroom.learn.metrics import ious

EDGE = st.floats(-2, 3, width=32)
EDGES = st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE), min_size=1, max_size=8)
PLACES = st.tuples(st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.05, 1), st.floats(0.05, 1))


def box_of(place: tuple[float, float, float, float]) -> list[float]:
    x, y, wide, tall = place
    return [x, y, x + (1 - x) * wide, y + (1 - y) * tall]


@settings(deadline=None)
@given(EDGES, st.booleans())
def test_any_edges_give_boxes_inside_the_frame(edges: list[tuple[float, ...]], keep: bool) -> None:
    boxes = to_boxes(torch.tensor(edges), keep)
    assert (boxes[:, :2] >= -1e-6).all() and (boxes[:, 2:] <= 1 + 1e-6).all()
    assert (boxes[:, 2:] - boxes[:, :2] >= 0.0199).all()
    if keep:
        size = boxes[:, 2:] - boxes[:, :2]
        torch.testing.assert_close(size[:, 0], size[:, 1], atol=1e-5, rtol=0)


@settings(deadline=None)
@given(PLACES)
def test_a_box_inside_the_frame_stays_as_it_is(place: tuple[float, float, float, float]) -> None:
    box = torch.tensor([box_of(place)])
    if (box[:, 2:] - box[:, :2]).min() > 0.021:
        torch.testing.assert_close(to_boxes(box, False), box, atol=1e-5, rtol=0)


@settings(deadline=None)
@given(EDGES)
def test_a_mirror_twice_is_no_mirror(edges: list[tuple[float, ...]]) -> None:
    boxes = torch.tensor(edges)
    torch.testing.assert_close(mirror_boxes(mirror_boxes(boxes)), boxes, atol=1e-5, rtol=1e-5)


@settings(deadline=None)
@given(PLACES, PLACES)
def test_the_loss_falls_as_the_overlap_rises(a: tuple[float, ...], b: tuple[float, ...]) -> None:
    one, other = torch.tensor([box_of(a)]), torch.tensor([box_of(b)])  # type: ignore[arg-type]
    loss = float(box_loss(one, other, l1=0.0))
    overlap = float(ious(one.numpy(), other.numpy())[0])
    assert 1 - overlap - 1e-4 <= loss <= 2  # generalised IoU is at most the IoU, at least -1
    assert float(box_loss(one, one, l1=4.0)) == pytest.approx(0, abs=1e-4)


def test_the_loss_reaches_edges_outside_the_frame() -> None:
    edges = torch.tensor([[-0.4, 0.2, 0.6, 0.9]], requires_grad=True)
    box_loss(to_boxes(edges, False), torch.tensor([[0.2, 0.2, 0.6, 0.9]]), l1=1.0).sum().backward()
    assert edges.grad is not None and edges.grad[0, 0] < 0  # further right is better


def test_soft_argmax_finds_a_bright_cell_where_the_grid_lies_in_the_image() -> None:
    network = CropNetwork(1, 2, 4, 0, torch.full((4,), 0.5))
    logits = torch.zeros(2, 4, 5, 9)
    logits[:, :, 1, 7] = 50.0
    # the first image is covered whole; of the second the encoder saw the middle half of the width
    places = network._places(logits, torch.tensor([[1.0, 1.0], [0.5, 1.0]]))
    x, y = 7.5 / 9, 1.5 / 5
    np.testing.assert_allclose(places[0].numpy(), [x, y, x, y], atol=1e-5)
    np.testing.assert_allclose(places[1].numpy(), [0.5 + (x - 0.5) / 2, y, 0.5 + (x - 0.5) / 2, y], atol=1e-5)


@pytest.mark.parametrize("channels", [0, 6])
def test_an_untrained_network_says_about_the_mean_box_with_and_without_a_grid(channels: int) -> None:
    mean = torch.tensor([0.1, 0.2, 0.8, 0.9])
    network = CropNetwork(channels, 3, 8, 1, mean).eval()
    grid = torch.zeros(2, channels, 4, 7) if channels else None
    with torch.no_grad():
        edges, need = network(NetworkInputs(grid, torch.ones(2, 2), torch.randn(2, 3), torch.ones(2)))
    np.testing.assert_allclose(edges.numpy(), mean.expand(2, 4).numpy(), atol=0.3)
    assert need.shape == (2,)
