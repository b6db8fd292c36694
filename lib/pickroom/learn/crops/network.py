"""The network of the crop proposer and its gradient: where the four edges of a crop lie on the patch grid. Pure.

Each edge is a soft-argmax: a softmax over the cells and the expected place under it (Chapelle & Wu 2010; for
coordinates, Luvizon et al. 2019), so that an edge may lie between cells and the loss reaches every cell. The softmax is
taken of one hidden layer in each cell and a 3x3 convolution of it. Linear terms of the extra columns are added.
"""

from functools import cache
from typing import NamedTuple, Self

import numpy as np

Weights = dict[str, np.ndarray]  # name -> float32 values, see `new_weights`
_KERNEL = 3  # cells a side
_FIRST_KERNEL = 0.01  # standard deviation of its first values
_LEAST = 0.02  # of the image: no user crops to less
# edges -> box of the image's own aspect ratio: the middle stays, both sides become their mean
_SQUARED = np.array([[3, 1, 1, -1], [1, 3, -1, 1], [1, -1, 3, 1], [-1, 1, 1, 3]], dtype=np.float32) / 4


class Inputs(NamedTuple):
    """What the network sees of N images.

    Attributes:
        grid: (N, rows, cols, C) float32, scaled; None without one.
        cover: (N, 2), see `CropFeatures.cover`.
        extra: (N, B), scaled: the vector's main directions and the shape.
    """

    grid: np.ndarray | None
    cover: np.ndarray
    extra: np.ndarray

    def take(self, rows: np.ndarray) -> Self:
        """Copies of some rows, by number or mask."""
        grid = None if self.grid is None else self.grid[rows]
        return self._replace(grid=grid, cover=self.cover[rows], extra=self.extra[rows])


class Outputs(NamedTuple):
    """What the network says of N images.

    Attributes:
        edges: (N, 4) as fractions of the image, not yet in order or inside the frame.
        hidden: (N, rows, cols, H) >= 0; None without a grid, like the rest.
        chances: (4, N, cells), of each edge to lie in a cell.
        places: (N, 4), the expected places, from the middle of the grid, as fractions of it.
    """

    edges: np.ndarray
    hidden: np.ndarray | None = None
    chances: np.ndarray | None = None
    places: np.ndarray | None = None


def new_weights(
    grid: tuple[int, int, int] | None, hidden: int, extra: int, mean_box: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, Weights]:
    """Weights of a network that predicts about `mean_box` (4,) for every image; `grid` is (rows, cols, C).

    Returns:
        All values in one float32 array, and the weights by name: views of it.
    """
    drawn: Weights = {"base": mean_box, "move": np.zeros((extra, 4))}
    if grid is not None:
        rows, cols, channels = grid
        drawn["enter"] = rng.normal(0, channels**-0.5, (channels, hidden))
        drawn["kernel"] = rng.normal(0, _FIRST_KERNEL, (hidden, 4 * _KERNEL**2))
        drawn |= {"threshold": np.zeros(hidden), "prior": np.zeros((4, 1, rows * cols)), "scale": np.ones(4)}
    flat = np.concatenate([values.ravel() for values in drawn.values()]).astype(np.float32)
    ends = np.cumsum([values.size for values in drawn.values()])[:-1]
    parts = zip(drawn.items(), np.split(flat, ends), strict=True)
    return flat, {name: part.reshape(values.shape) for (name, values), part in parts}


def forward(weights: Weights, inputs: Inputs) -> Outputs:
    """The edges of N images."""
    edges = weights["base"] + inputs.extra @ weights["move"]
    if inputs.grid is None:
        return Outputs(edges)
    hidden = inputs.grid @ weights["enter"]
    hidden += weights["threshold"]
    np.maximum(hidden, 0, out=hidden)
    chances = _convolved(hidden, weights["kernel"]) + weights["prior"]
    chances -= chances.max(axis=2, keepdims=True)
    np.exp(chances, out=chances)
    chances /= chances.sum(axis=2, keepdims=True)
    places = (chances @ _cells(*hidden.shape[1:3])[:, :, None])[:, :, 0].T
    edges = edges + weights["scale"] * places * np.tile(inputs.cover, 2)
    return Outputs(edges, hidden, chances, places)


def gradient(weights: Weights, inputs: Inputs, found: Outputs, edges: np.ndarray) -> Weights:
    """The gradient of a loss in every weight, by name in their order, from its gradient in `found.edges` (N, 4)."""
    slopes = {"base": edges.sum(axis=0), "move": inputs.extra.T @ edges}
    _, hidden, chances, places = found
    if inputs.grid is None or hidden is None or chances is None or places is None:
        return slopes
    moved = edges * np.tile(inputs.cover, 2)
    logits = _cells(*hidden.shape[1:3])[:, None] - places.T[:, :, None]
    logits *= chances
    logits *= (moved * weights["scale"]).T[:, :, None]
    flat, windows = hidden.reshape(-1, hidden.shape[3]), _windows(logits.reshape(4, *hidden.shape[:3]))
    below = windows.T @ weights["kernel"].T
    below *= flat > 0
    slopes |= {"enter": inputs.grid.reshape(len(flat), -1).T @ below, "kernel": (windows @ flat).T}
    slopes |= {"threshold": below.sum(axis=0), "prior": logits.sum(axis=1, keepdims=True)}
    return slopes | {"scale": (moved * places).sum(axis=0)}


def need_inputs(inputs: Inputs, found: Outputs) -> np.ndarray:
    """(N, B + 2 H): the inputs for whether a crop is needed: extra columns, mean and maximum of hidden channels."""
    if found.hidden is None:
        return inputs.extra
    pooled = (found.hidden.mean(axis=(1, 2)), found.hidden.max(axis=(1, 2)))
    return np.concatenate([inputs.extra, *pooled], axis=1)


def to_boxes(edges: np.ndarray, keep_aspect: bool) -> np.ndarray:
    """(N, 4) edges as boxes inside the frame, at least `_LEAST` wide and tall.

    With `keep_aspect` a box is as wide as it is tall in fractions of the image, which is the image's own aspect
    ratio: its side is the mean of both, its middle stays, and it is moved, not cut, where it leaves the frame.
    """
    edges = edges @ _SQUARED if keep_aspect else edges
    first, second = edges[:, :2], edges[:, 2:]
    if not keep_aspect:
        first = np.clip(first, 0, 1 - _LEAST)
        return np.concatenate([first, np.clip(second, first + _LEAST, 1)], axis=1)
    side = np.clip(second - first, _LEAST, 1)
    first = np.clip((first + second - side) / 2, 0, 1 - side)
    return np.concatenate([first, first + side], axis=1)


def mirror_boxes(boxes: np.ndarray) -> np.ndarray:
    """(N, 4) boxes, or edges, of the same images seen in a mirror."""
    return np.stack([1 - boxes[:, 2], boxes[:, 1], 1 - boxes[:, 0], boxes[:, 3]], axis=1)


def box_loss(edges: np.ndarray, meant: np.ndarray, l1: float, keep_aspect: bool) -> tuple[np.ndarray, np.ndarray]:
    """Losses (N,) of predicted (N, 4) edges against the true boxes, and their (N, 4) gradients in the edges.

    1 - generalised IoU (Rezatofighi et al. 2019), plus `l1` times the mean distance of the edges. Edges outside the
    frame count as they are.
    """
    boxes = edges @ _SQUARED if keep_aspect else edges
    signs = np.array([-1, -1, 1, 1])  # of an edge in the size of its box
    size, own = (some[:, 2:] - some[:, :2] for some in (boxes, meant))
    narrow, size = np.tile(size < _LEAST, 2), size.clip(min=_LEAST)
    inner = np.minimum(boxes[:, 2:], meant[:, 2:]) - np.maximum(boxes[:, :2], meant[:, :2])
    outer = np.maximum(boxes[:, 2:], meant[:, 2:]) - np.minimum(boxes[:, :2], meant[:, :2])
    inside = (boxes - meant) * signs < 0  # this edge is the one that bounds the overlap, else the hull
    overlap = inner.clip(min=0).prod(axis=1)
    hull, union = outer.prod(axis=1), size.prod(axis=1) + own.prod(axis=1) - overlap
    overlap_slope = np.tile(inner[:, ::-1], 2) * signs * inside * (inner > 0).all(axis=1, keepdims=True)
    hull_slope = np.tile(outer[:, ::-1], 2) * signs * ~inside
    union_slope = np.tile(size[:, ::-1], 2) * signs * ~narrow - overlap_slope
    losses = 2 - overlap / union - union / hull + l1 * np.abs(boxes - meant).mean(axis=1)
    overlap, union, hull = overlap[:, None], union[:, None], hull[:, None]
    slopes = (
        -overlap_slope / union + overlap * union_slope / union**2 - union_slope / hull + union * hull_slope / hull**2
    )
    slopes = slopes + l1 / 4 * np.sign(boxes - meant)
    slopes = slopes.astype(np.float32)  # so that the whole gradient is computed in it
    return losses, slopes @ _SQUARED.T if keep_aspect else slopes


@cache
def _cells(rows: int, cols: int) -> np.ndarray:
    """(4, cells): for each edge the middle of each cell, from the middle of the grid: x, y, x, y."""
    y, x = ((np.arange(count, dtype=np.float32) + 0.5) / count - 0.5 for count in (rows, cols))
    return np.tile(np.stack(np.meshgrid(x, y)).reshape(2, -1), (2, 1))


def _convolved(hidden: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """(4, N, cells): a 3x3 convolution of (N, rows, cols, H), zeros around the grid."""
    count, rows, cols, channels = hidden.shape
    each = (kernel.T @ hidden.reshape(-1, channels).T).reshape(_KERNEL, _KERNEL, 4, count, rows, cols)
    padded = np.zeros((4, count, rows + _KERNEL - 1, cols + _KERNEL - 1), dtype=each.dtype)
    for down in range(_KERNEL):
        for across in range(_KERNEL):
            padded[:, :, down : down + rows, across : across + cols] += each[down, across]
    return padded[:, :, 1:-1, 1:-1].reshape(4, count, rows * cols)


def _windows(slopes: np.ndarray) -> np.ndarray:
    """(36, N cells): the gradients (4, N, rows, cols) in the results of `_convolved` that each cell has a part in."""
    rows, cols = slopes.shape[2:]
    padded = np.pad(slopes, ((0, 0), (0, 0), (1, 1), (1, 1)))
    places = [(down, across) for down in range(_KERNEL) for across in range(_KERNEL)]
    parts = [padded[:, :, down : down + rows, across : across + cols] for down, across in places]
    return np.stack(parts).reshape(4 * _KERNEL**2, -1)
