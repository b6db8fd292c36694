"""How a crop proposer is trained: member by member, in steps of small batches; it can be stopped and resumed."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pickroom.core.errors import UsageError
from pickroom.features import threads
from pickroom.learn.crops.cropper import FULL_FRAME, Cropper, CropperConfig, is_crop, keeps_aspect, new_network, under
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.crops.inputs import fit_scales, make_inputs, mirror_inputs
from pickroom.learn.crops.network import CropNetwork, Inputs, box_loss, mirror_boxes, to_boxes
from pickroom.learn.examples import Progress, Step

_NEED_WEIGHT = 0.3  # of the cross-entropy of need beside the box loss
_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_ALWAYS = 4.0  # a logit: a chance of .98


def fit_cropper(
    features: CropFeatures,
    boxes: np.ndarray,
    config: CropperConfig | None = None,
    progress: Progress | None = None,
    *,
    resume: Mapping[str, Any] | None = None,
    device: str = "cpu",
) -> Cropper:
    """Train a proposer. The same features, configuration and device give the same proposer.

    Args:
        boxes: (N, 4) float32, the person's crops as fractions; NaN rows: approved as it is, no crop needed.
        progress: called after each epoch; KeyboardInterrupt from it stops there and comes out of this call.
        resume: a `Step.snapshot()` of the same features and configuration: training goes on after it.

    Raises:
        UsageError: no image has both features and a crop.
    """
    config = config or CropperConfig()
    boxes = np.asarray(boxes, dtype=np.float32)
    rows = np.flatnonzero(features.mask)
    cropped = is_crop(boxes[rows])
    if not cropped.any():
        what = "no image has both features and a crop"
        raise UsageError(what, doing="training a crop proposer", hint="see: pickroom check PROJECT")
    some, boxes = features.take(rows), boxes[rows]
    keep = keeps_aspect(boxes) if config.keep_aspect is None else config.keep_aspect
    scales = fit_scales(some, np.where(cropped[:, None], boxes, np.nan), config.components)
    inputs = _to(make_inputs(some, scales, config.neighbours, cropped), device)
    data = _Data(inputs, *_targets(boxes, cropped, device), keep)
    done = [] if resume is None else [under(f"member{n}.", resume["weights"]) for n in range(resume["member"])]
    clock = _Clock(config, len(rows), time.monotonic(), progress)
    # a step is of one small batch, however many rows there are: 7,000 took 61 s on one thread, over 400 s on two in use
    with threads.limit_torch_threads(config.batch):
        for member in range(len(done), config.members):
            start = resume if resume is not None and resume["member"] == member else None
            network = new_network(config, some.sizes, scales, member)
            done.append(_fit_member(data, network, member, clock, done, start, device))
    return Cropper(done, scales, config, some.sizes, keep)


@dataclass(frozen=True, slots=True)
class _Data:
    """Rows to train on: (N, 4) boxes, (N,) 1.0 where a crop was drawn; the boxes of others mean nothing."""

    inputs: Inputs
    boxes: Tensor
    cropped: Tensor
    keep_aspect: bool

    def batch(self, rows: Tensor, mirrored: Tensor) -> tuple[Inputs, Tensor, Tensor]:
        """Some rows, those of the (n,) bool `mirrored` in a mirror."""
        plain, boxes = self.inputs.take(rows), self.boxes[rows]
        turned = mirror_inputs(plain)
        grid = plain.grid
        if grid is not None and turned.grid is not None:
            grid = torch.where(mirrored[:, None, None, None], turned.grid, grid)
        beside = torch.where(mirrored[:, None], turned.beside, plain.beside)
        boxes = torch.where(mirrored[:, None], mirror_boxes(boxes), boxes)
        side = torch.where(mirrored, turned.side, plain.side)
        return Inputs(grid, plain.cover, beside, side), boxes, self.cropped[rows]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Epochs of the whole ensemble, and whom to tell."""

    config: CropperConfig
    rows: int
    started: float
    progress: Progress | None

    @property
    def per_epoch(self) -> int:
        return -(-self.rows // self.config.batch)

    @property
    def epochs(self) -> int:
        """Of one member."""
        return max(self.config.least_epochs, round(self.config.steps / self.per_epoch))

    def rate(self, step: int) -> float:
        """Share of the learning rate at a step of a member."""
        total = self.epochs * self.per_epoch
        warm = max(1, round(_WARM_UP * total))
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * (step - warm) / max(1, total - warm)))


def _fit_member(
    data: _Data,
    network: CropNetwork,
    member: int,
    clock: _Clock,
    done: list[dict[str, Tensor]],
    resume: Mapping[str, Any] | None,
    device: str,
) -> dict[str, Tensor]:
    config, first = clock.config, 0
    generator = torch.Generator()
    if resume is not None:
        network.load_state_dict(under(f"member{member}.", resume["weights"]))
    network = network.to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    if resume is not None:
        optimiser.load_state_dict(resume["optimiser"])
        first = resume["epoch"]
    both_kinds = bool(data.cropped.any()) and not bool(data.cropped.all())
    for epoch in range(first, clock.epochs):
        # a stream of its own for each epoch: a resumed fit draws the same
        generator.manual_seed((config.seed * 1_000 + member) * 100_000 + epoch)
        order = torch.randperm(clock.rows, generator=generator)
        mirrored = torch.rand(clock.rows, generator=generator) < 0.5
        total = 0.0
        for number, batch in enumerate(order.split(config.batch)):
            for group in optimiser.param_groups:
                group["lr"] = config.learning_rate * clock.rate(epoch * clock.per_epoch + number)
            kept = [k.to(device) for k in network.dropout_masks(len(batch), config.dropout, generator)]
            inputs, boxes, cropped = data.batch(batch.to(device), mirrored[batch].to(device))
            edges, need = network(inputs, kept)
            losses = box_loss(to_boxes(edges, data.keep_aspect), boxes, config.l1)
            loss = (losses * cropped).sum() / cropped.sum().clamp(min=1)
            if both_kinds:
                loss = loss + _NEED_WEIGHT * functional.binary_cross_entropy_with_logits(need, cropped)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += float(loss.detach()) * len(batch)
        if clock.progress:

            def snapshot(at: int = epoch + 1) -> dict[str, Any]:
                weights = [*done, {name: t.detach().cpu().clone() for name, t in network.state_dict().items()}]
                flat = {f"member{n}.{name}": t for n, one in enumerate(weights) for name, t in one.items()}
                return {"weights": flat, "optimiser": optimiser.state_dict(), "member": member, "epoch": at}

            at = member * clock.epochs + epoch + 1
            seconds = time.monotonic() - clock.started
            clock.progress(Step(at, config.members * clock.epochs, total / clock.rows, None, seconds, snapshot))
    if not both_kinds:  # nobody showed when to leave an image as it is
        with torch.no_grad():
            network.need.bias.fill_(_ALWAYS)
    return {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}


def _targets(boxes: np.ndarray, cropped: np.ndarray, device: str) -> tuple[Tensor, Tensor]:
    """(N, 4) boxes and (N,) 1.0 where a crop was drawn; elsewhere the full frame, which weighs nothing."""
    meant = np.where(cropped[:, None], boxes, np.asarray(FULL_FRAME, np.float32)).astype(np.float32)
    return torch.from_numpy(meant).to(device), torch.from_numpy(cropped).float().to(device)


def _to(inputs: Inputs, device: str) -> Inputs:
    return Inputs(
        inputs.grid.to(device) if inputs.grid is not None else None,
        inputs.cover.to(device),
        inputs.beside.to(device),
        inputs.side.to(device),
    )
