"""Siblings laid onto each other before they are compared. Pure: arrays in, arrays out.

Stages are drawn anew one from the other, and everything drifts a little: a pixel is enough for fine texture to have
nothing in common any more, and then a defect drowns in what is usual. So the drift, which is slow, is measured and
taken out. A second, freer registration bends a member onto its siblings as far as a smooth flow can: what was moved on
purpose (a face turned a little) is then where its siblings have it, what is torn, doubled or gone is not. Both measure
at half the size, in which fractions of a pixel are still to be seen, and noise is not.
Source of the method: Lucas and Kanade (1981), from coarse to fine (Bouguet 2001).
"""

from functools import cache
from typing import Any

import numpy as np
from scipy import ndimage

from pickroom.features.onnx_session import open_session

_HALF = 2  # times: all is measured at half the size, and lengths below are in its pixels
_WIDE = 12  # what changes over more is light, and left out
_SPREAD, _MOST_SPREAD = 12.0, 60.0  # of the contours after scaling, and where they are cut
_NOISE = 3.0  # squared gradient below which nothing pulls: flat places follow their surroundings
_STEP = 1.0  # that one round moves anything by, at the most
_DRIFT = ((16, 2), (8, 3))  # radius of the windows, and rounds
_MOST_DRIFT = 3.0  # more was done on purpose, or is a defect
_BEND_SCALES, _BEND_RADIUS, _BEND_ROUNDS = (4, 2, 1), 4, 3
_LEAST_SIDE = 8  # a coarser picture than this says nothing


def without_drift(levels: np.ndarray) -> np.ndarray:
    """Members laid onto the one that is most like all of them.

    Args:
        levels: (n, channels, height, width) float32, the first channel is brightness.

    Returns:
        the same, each member but one moved by a slow flow of a few pixels.
    """
    small = contours(levels[:, 0])
    pairs = np.einsum("ahw,bhw->ab", small, small)
    norms = np.sqrt(np.maximum(np.diagonal(pairs), 1e-9))
    base = int(np.argmax((pairs / norms / norms[:, None]).sum(axis=1)))
    found = levels.copy()
    for member in range(len(levels)):
        if member == base:
            continue
        flow = np.zeros((2, *small.shape[1:]), dtype=np.float32)
        for radius, rounds in _DRIFT:
            flow = _improved(flow, small[base], small[member], radius, rounds, _MOST_DRIFT)
        found[member] = moved(levels[member], enlarged(flow, levels.shape[2:]))
    return found


def bent(levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each member as far onto the mean of its siblings as a smooth flow brings it.

    Args:
        levels: as of `without_drift`, and without drift.

    Returns:
        the members so bent, and (n, 2, height / 2, width / 2) the flows: how far (x, y) each place is taken from, in
        pixels of that size.
    """
    lines = contours(levels[:, 0])
    total, shape = lines.sum(axis=0), lines.shape[1:]
    scales = [scale for scale in _BEND_SCALES if min(shape) // scale >= _LEAST_SIDE]
    found, flows = np.empty_like(levels), np.zeros((len(levels), 2, *shape), dtype=np.float32)
    for member, own in enumerate(lines):
        both = np.stack([(total - own) / (len(lines) - 1), own])
        flow = flows[member]
        for scale in scales:
            siblings, small = _reduced(both, scale)
            flow = _improved(enlarged(flow, small.shape), siblings, small, _BEND_RADIUS, _BEND_ROUNDS, None)
        flows[member] = enlarged(flow, shape)
        found[member] = moved(levels[member], enlarged(flow, levels.shape[2:]))
    return found, flows


def contours(light: np.ndarray) -> np.ndarray:
    """(n, height, width) brightness at half the size, without light, and of a contrast that all members share."""
    small = _reduced(light, _HALF)
    lines = small - _windowed(_windowed(small, _WIDE), _WIDE)
    usual = np.sqrt(np.square(np.clip(lines, -30, 30)).mean(axis=(1, 2), keepdims=True)) + 2
    return np.clip(lines * (_SPREAD / usual), -_MOST_SPREAD, _MOST_SPREAD).astype(np.float32)


def moved(picture: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """(channels, height, width) whose pixel (x, y) is taken from (x, y) + flow, by bicubic interpolation."""
    height, width = picture.shape[1:]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    places = np.stack([(x + flow[0]) * (2 / (width - 1)) - 1, (y + flow[1]) * (2 / (height - 1)) - 1], axis=-1)
    given = {"picture": np.ascontiguousarray(picture)[None], "places": places.astype(np.float32)[None]}
    found: np.ndarray = _sampler().run(None, given)[0][0]
    return found


def enlarged(flow: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A flow at another (height, width), in that one's pixels."""
    height, width = flow.shape[1:]
    if (height, width) == tuple(shape):
        return flow
    for axis, (old, new) in enumerate(((height, shape[0]), (width, shape[1])), start=1):
        # linear between the middles of the old cells, as PyTorch's `interpolate` without aligned corners
        places = np.clip((np.arange(new, dtype=np.float32) + 0.5) * (old / new) - 0.5, 0, old - 1)
        before = places.astype(np.int64)
        share = (places - before).astype(np.float32).reshape((-1, 1) if axis == 1 else (1, -1))
        near, far = flow.take(before, axis), flow.take(np.minimum(before + 1, old - 1), axis)
        flow = near + share * (far - near)
    return flow * np.array([shape[1] / width, shape[0] / height], dtype=np.float32)[:, None, None]


@cache
def _sampler() -> Any:
    """Bicubic interpolation (Keys 1981, a = -0.75) of a picture at places from -1 to 1, as PyTorch's `grid_sample`.

    SciPy's cubic splines give other values, with which models trained before could not be used.
    """
    from onnx import TensorProto, helper

    names = ("picture", "places", "moved")
    given, places, moved = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * 4) for name in names)
    node = helper.make_node("GridSample", names[:2], names[2:], mode="bicubic", padding_mode="border", align_corners=1)
    graph = helper.make_graph([node], "moved", [given, places], [moved])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 16)], ir_version=8)
    return open_session(model.SerializeToString())


def _improved(
    flow: np.ndarray, still: np.ndarray, moving: np.ndarray, radius: int, rounds: int, most: float | None
) -> np.ndarray:
    """The flow after some rounds of Lucas and Kanade's step; all (height, width), the flow (2, height, width)."""
    for _ in range(rounds):
        now = moved(moving[None], flow)[0]
        down, across = np.gradient((now + still) / 2)
        left = still - now
        xx, yy, xy, xt, yt = _windowed(
            np.stack([across * across, down * down, across * down, across * left, down * left]), radius
        )
        xx, yy = xx + _NOISE, yy + _NOISE
        determinant = xx * yy - xy * xy
        step = np.stack([(yy * xt - xy * yt) / determinant, (xx * yt - xy * xt) / determinant])
        flow = flow + np.clip(step, -_STEP, _STEP)
        if most is not None:
            flow = np.clip(flow, -most, most)
        flow = _windowed(flow, max(1, radius // 2)).astype(np.float32)
    return flow


def _windowed(maps: np.ndarray, radius: int) -> np.ndarray:
    """Means over square windows, at a cost that the radius is not in."""
    for axis in (-1, -2):
        maps = ndimage.uniform_filter1d(maps, 2 * radius + 1, axis=axis, mode="nearest")
    return maps


def _reduced(maps: np.ndarray, times: int) -> np.ndarray:
    """(n, height, width) at a fraction of the size, means of squares; what does not fill one is left out."""
    height, width = (length // times for length in maps.shape[1:])
    cut = maps[:, : height * times, : width * times]
    return cut.reshape(len(maps), height, times, width, times).mean(axis=(2, 4))
