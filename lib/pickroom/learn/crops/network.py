"""The network of the crop proposer: where the four edges of a crop lie on the patch grid, and whether one is needed.

Each edge is a soft-argmax: a softmax over the cells and the expected place under it (Chapelle & Wu 2010; for
coordinates, Luvizon et al. 2019), so that an edge may lie between cells and the loss reaches every cell.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

EDGES = 4  # x1, y1, x2, y2
_ACROSS = (1.0, 0.0, 1.0, 0.0)  # the edges that a mirror moves
MIRRORED = (2, 1, 0, 3)  # the edge that each becomes in a mirror


class NetworkInputs(NamedTuple):
    """What the network sees of N images.

    Attributes:
        grid: (N, C, rows, cols), scaled; None without one.
        cover: (N, 2), see `CropFeatures.cover`.
        beside: (N, B), scaled: the vector's main directions, shape, and the boxes of the nearest past crops.
        side: (N,) 1 for an image as it is, -1 for one in a mirror.
    """

    grid: Tensor | None
    cover: Tensor
    beside: Tensor
    side: Tensor

    def each(self, change: Callable[[Tensor], Tensor]) -> NetworkInputs:
        """The same with a change made to each tensor."""
        return NetworkInputs(*(None if part is None else change(part) for part in self))  # type: ignore[arg-type]  # only the grid may be None


class CropNetwork(nn.Module):
    """Inputs of N images -> (N, 4) edges as fractions, not yet in order or inside the frame, and (N,) logits of need.

    The edges start at the mean box; without a grid they are moved only by what stands beside.
    """

    def __init__(self, channels: int, beside: int, hidden: int, layers: int, mean_box: Tensor) -> None:
        super().__init__()
        self.channels = channels
        if channels:
            self.enter = nn.Conv2d(channels, hidden, 1)
            self.convolutions = nn.ModuleList(nn.Conv2d(hidden, hidden, 3, padding=1) for _ in range(layers))
            self.norms = nn.ModuleList(nn.GroupNorm(1, hidden) for _ in range(layers + 1))
            self.leave = nn.Conv2d(hidden, EDGES, 3, padding=1)
            self.scale = nn.Parameter(torch.ones(EDGES))
            # strided convolutions pad one side more, so cells lie a little beside their middles: the other way round
            # in a map that is turned round afterwards
            self.shift = nn.Parameter(torch.zeros(1))
        self.base = nn.Parameter(mean_box.clone())
        self.aside = nn.Linear(beside, hidden)
        self.move = nn.Linear(hidden, EDGES)
        self.need = nn.Linear(hidden + (2 * hidden if channels else 0), 1)
        for layer in (self.move, self.need):  # what stands beside starts without a say
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: NetworkInputs, kept: list[Tensor] | None = None) -> tuple[Tensor, Tensor]:
        """Args: kept: dropout masks of `dropout_masks`, None for none."""
        aside = functional.gelu(self.aside(inputs.beside))
        aside = aside * kept[0][..., 0, 0] if kept else aside
        edges = self.base + self.move(aside)
        if inputs.grid is None:
            return edges, self.need(aside)[:, 0]
        seen = functional.gelu(self.norms[0](self.enter(inputs.grid)))
        seen = seen * kept[1] if kept else seen
        for place, convolution in enumerate(self.convolutions):
            added = functional.gelu(self.norms[place + 1](convolution(seen)))
            seen = seen + (added * kept[place + 2] if kept else added)
        edges = edges + self.scale * (self._places(self.leave(seen), inputs.cover) - 0.5)
        edges = edges + self.shift * inputs.side[:, None] * edges.new_tensor(_ACROSS)
        pooled = torch.cat([aside, seen.mean(dim=(2, 3)), seen.amax(dim=(2, 3))], dim=1)
        return edges, self.need(pooled)[:, 0]

    def dropout_masks(self, count: int, share: float, generator: torch.Generator) -> list[Tensor]:
        """What is kept of the channels of each hidden layer, per image: (count, hidden, 1, 1), drawn on the CPU."""
        layers = 2 + len(self.convolutions) if self.channels else 1
        draws = torch.rand(layers, count, self.aside.out_features, 1, 1, generator=generator)
        return list((draws >= share).float() / (1 - share))

    def _places(self, logits: Tensor, cover: Tensor) -> Tensor:
        """(N, 4): the expected place of each edge, x edges over the columns and y edges over the rows."""
        rows, cols = logits.shape[2:]
        chances = logits.flatten(2).softmax(dim=2).unflatten(2, (rows, cols))
        x = (chances[:, 0::2].sum(dim=2) * _centres(cols, logits)).sum(dim=2)
        y = (chances[:, 1::2].sum(dim=3) * _centres(rows, logits)).sum(dim=2)
        on_grid = torch.stack([x[:, 0], y[:, 0], x[:, 1], y[:, 1]], dim=1)
        return 0.5 + (on_grid - 0.5) * cover.repeat(1, 2)


def to_boxes(edges: Tensor, keep_aspect: bool) -> Tensor:
    """(N, 4) edges as boxes inside the frame, at least `_LEAST` wide and tall.

    With `keep_aspect` a box is as wide as it is tall in fractions of the image, which is the image's own aspect
    ratio: its side is the mean of both, its middle stays, and it is moved, not cut, where it leaves the frame.
    """
    first, second = edges[:, :2], edges[:, 2:]
    nothing, whole = torch.zeros_like(first), torch.ones_like(first)
    if not keep_aspect:
        first = _within(first, nothing, whole - _LEAST)
        return torch.cat([first, _within(second, first.detach() + _LEAST, whole)], dim=1)
    side = (second - first).mean(dim=1, keepdim=True).expand(-1, 2)
    side = _within(side, nothing + _LEAST, whole)
    first = _within((first + second - side) / 2, nothing, (whole - side).detach())
    return torch.cat([first, first + side], dim=1)


def mirror_boxes(boxes: Tensor) -> Tensor:
    """(N, 4) boxes, or edges, of the same images seen in a mirror."""
    turned = boxes[:, MIRRORED]
    return torch.stack([1 - turned[:, 0], turned[:, 1], 1 - turned[:, 2], turned[:, 3]], dim=1)


def box_loss(boxes: Tensor, meant: Tensor, l1: float) -> Tensor:
    """(N,): 1 - generalised IoU (Rezatofighi et al. 2019), plus `l1` times the mean distance of the edges."""
    inner = (torch.minimum(boxes[:, 2:], meant[:, 2:]) - torch.maximum(boxes[:, :2], meant[:, :2])).clamp(min=0)
    outer = torch.maximum(boxes[:, 2:], meant[:, 2:]) - torch.minimum(boxes[:, :2], meant[:, :2])
    overlap, hull = inner.prod(dim=1), outer.prod(dim=1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(dim=1) + (meant[:, 2:] - meant[:, :2]).prod(dim=1) - overlap
    giou = overlap / union.clamp(min=_TINY) - (hull - union) / hull.clamp(min=_TINY)
    return 1 - giou + l1 * (boxes - meant).abs().mean(dim=1)


_LEAST = 0.02  # of the image: no person cuts out less
_TINY = 1e-6


def _within(values: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Values held between two bounds; the loss still reaches what lies outside.

    Source: the straight-through estimator, Bengio et al. (2013).
    """
    held = torch.minimum(torch.maximum(values, low), high)
    return values + (held - values).detach()


def _centres(count: int, like: Tensor) -> Tensor:
    """The middles of `count` cells between 0 and 1."""
    return (torch.arange(count, device=like.device, dtype=like.dtype) + 0.5) / count
