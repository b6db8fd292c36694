"""Train a crop proposer with PyTorch: member by member, in small batches. A stopped one goes on with its next member.

Members differ by their weights at the start and by the order of the rows; their disagreement tells how sure a box is.
"""

from __future__ import annotations

import io
import math
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from pickroom.core.errors import UsageError
from pickroom.core.geometry import CORNER_TOLERANCE
from pickroom.features.device import limit_torch_threads
from pickroom.learn.crops.features import SHAPE_NAMES, CropFeatures
from pickroom.learn.crops.inputs import BESIDE, FeatureTensors, Scales, fit_scales, make_inputs, mirror_inputs
from pickroom.learn.crops.network import CropNetwork, NetworkInputs, box_loss, mirror_boxes, to_boxes
from pickroom.learn.crops.proposer import FULL_FRAME, CropConfig, CropProposer, is_crop, keeps_aspect
from pickroom.learn.examples import Progress, TrainingStep

_OUTPUTS = ("boxes", "needed", "sure")
_ERROR = 0.025  # typical error of an edge that all members agree on; calibration corrects what it gets wrong
_NEED_WEIGHT = 0.3  # of the cross-entropy of need beside the box loss
_WARM_UP = 0.1  # share of the steps in which the learning rate rises
_ALWAYS = 4.0  # a logit: a chance of .98


def fit_crops(
    features: CropFeatures,
    boxes: np.ndarray,
    config: CropConfig | None = None,
    progress: Progress | None = None,
    *,
    resume: Mapping[str, np.ndarray] | None = None,
    device: str = "cpu",
) -> CropProposer:
    """Train a proposer. The same features, configuration and device give the same proposer.

    Args:
        boxes: (N, 4) float32, the person's crops as fractions; NaN rows: approved as it is, no crop needed.
        progress: called after each epoch; what it raises stops the training and comes out of this call.
        resume: a `TrainingStep.snapshot()` of the same features and configuration: the members in it are kept.

    Raises:
        UsageError: no image has both features and a crop.
    """
    config = config or CropConfig()
    boxes = np.asarray(boxes, dtype=np.float32)
    rows = np.flatnonzero(features.mask)
    cropped = is_crop(boxes[rows])
    if not cropped.any():
        what = "no image has both features and a crop"
        raise UsageError(what, doing="training a crop proposer", hint="see: pickroom check PROJECT")
    some, boxes = features.take(rows), boxes[rows]
    keep = keeps_aspect(boxes) if config.keep_aspect is None else config.keep_aspect
    scales = fit_scales(some, np.where(cropped[:, None], boxes, np.nan), config.components)
    inputs = make_inputs(FeatureTensors.of(some), scales, config.neighbours, cropped)
    data = _TrainingRows(inputs.each(lambda part: part.to(device)), *_targets(boxes, cropped, device), keep)
    clock = _Clock(config, len(rows), time.monotonic(), progress)
    done: list[CropNetwork] = []
    # a step is of one small batch, however many rows there are: 7,000 took 61 s on one thread, over 400 s on two in use
    with limit_torch_threads(config.batch):
        for member in range(config.members):
            network = new_network(config, some.sizes, scales, member)
            weights = _under(f"member{member}.", resume or {})
            if weights:
                network.load_state_dict(weights)
            else:
                _fit_member(data, network, member, clock, done, device)
            done.append(network.cpu())
        graph = exported(_Ensemble(done, scales, config.neighbours, keep), some)
    return CropProposer.from_graph(graph, asdict(config), some.sizes, keep)


def from_tensors(state: Mapping[str, np.ndarray], config: CropConfig, description: Mapping[str, Any]) -> CropProposer:
    """A proposer that version 0.1 kept as tensors; raises what PyTorch does where they do not fit."""
    scales, sizes = Scales(**_under("scales.", state)), description["sizes"]
    networks = [new_network(config, sizes, scales, member) for member in range(config.members)]
    for member, network in enumerate(networks):
        network.load_state_dict(_under(f"member{member}.", state))
    grid = np.zeros((2, *sizes["grid"]), dtype=np.float16) if sizes["grid"] else None
    vector, shape, cover = (np.zeros((2, n), dtype=np.float32) for n in (*sizes["vector"], len(SHAPE_NAMES), 2))
    example = CropFeatures(grid, vector, shape, cover, np.ones(2, dtype=bool), {}, None, "")
    keep = bool(description["keep_aspect"])
    graph = exported(_Ensemble(networks, scales, config.neighbours, keep), example)
    return CropProposer.from_graph(graph, dict(description["config"]), sizes, keep)


def new_network(config: CropConfig, sizes: Mapping[str, list[int]], scales: Scales, member: int) -> CropNetwork:
    """A network with the random weights of one member, which the seed decides."""
    channels = sizes["grid"][2] if sizes["grid"] else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed * 1_000 + member)
        beside = BESIDE + scales.directions.shape[1]
        return CropNetwork(channels, beside, config.hidden, config.layers, scales.mean_box)


class _Ensemble(torch.nn.Module):
    """Features of N images, none missing -> what `CropProposer.predict` returns."""

    def __init__(self, networks: Sequence[CropNetwork], scales: Scales, neighbours: int, keep_aspect: bool) -> None:
        super().__init__()
        self.networks = torch.nn.ModuleList(networks)
        self.scales, self.neighbours, self.keep_aspect = scales, neighbours, keep_aspect

    def forward(
        self, vector: Tensor, shape: Tensor, cover: Tensor, grid: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        inputs = make_inputs(FeatureTensors(vector, shape, cover, grid), self.scales, self.neighbours)
        turned = mirror_inputs(inputs)
        edges, needs = [], []
        for network in self.networks:  # each image is seen as it is and in a mirror
            plain, mirrored = network(inputs), network(turned)
            edges += [plain[0], mirror_boxes(mirrored[0])]
            needs += [torch.sigmoid(plain[1]), torch.sigmoid(mirrored[1])]
        every = torch.stack([to_boxes(one, self.keep_aspect) for one in edges])
        deviation = (every.std(dim=0).square() + _ERROR**2).sqrt()
        # corners err together, so the widest edge decides rather than the product of all
        sure = torch.erf(CORNER_TOLERANCE / (deviation.amax(dim=1) * math.sqrt(2)))
        return to_boxes(torch.stack(edges).mean(dim=0), self.keep_aspect), torch.stack(needs).mean(dim=0), sure


def exported(ensemble: torch.nn.Module, features: CropFeatures) -> bytes:
    """The ensemble as an ONNX graph of any number of images; `features` are an example of its inputs."""
    given = FeatureTensors.of(features.take([0, 0]))
    names = list(FeatureTensors._fields[: 3 if given.grid is None else 4])
    buffer = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the newer exporter, which it recommends, needs one more package
        torch.onnx.export(
            ensemble.eval(),
            tuple(given)[: len(names)],
            buffer,  # type: ignore[arg-type]  # without dynamo it takes a buffer, which the stubs do not say
            dynamo=False,
            opset_version=17,
            input_names=names,
            output_names=list(_OUTPUTS),
            dynamic_axes={name: {0: "images"} for name in (*names, *_OUTPUTS)},
        )
    return buffer.getvalue()


@dataclass(frozen=True, slots=True)
class _TrainingRows:
    """Rows to train on: (N, 4) boxes, (N,) 1.0 where a crop was drawn; the boxes of others mean nothing."""

    inputs: NetworkInputs
    boxes: Tensor
    cropped: Tensor
    keep_aspect: bool

    def batch(self, rows: Tensor, mirrored: Tensor) -> tuple[NetworkInputs, Tensor, Tensor]:
        """Some rows, those of the (n,) bool `mirrored` in a mirror."""
        plain, boxes = self.inputs.each(lambda part: part[rows]), self.boxes[rows]
        turned = mirror_inputs(plain)
        grid = plain.grid
        if grid is not None and turned.grid is not None:
            grid = torch.where(mirrored[:, None, None, None], turned.grid, grid)
        beside = torch.where(mirrored[:, None], turned.beside, plain.beside)
        boxes = torch.where(mirrored[:, None], mirror_boxes(boxes), boxes)
        side = torch.where(mirrored, turned.side, plain.side)
        return NetworkInputs(grid, plain.cover, beside, side), boxes, self.cropped[rows]


@dataclass(frozen=True, slots=True)
class _Clock:
    """Epochs of the whole ensemble, and whom to tell."""

    config: CropConfig
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
    data: _TrainingRows,
    network: CropNetwork,
    member: int,
    clock: _Clock,
    done: Sequence[CropNetwork],
    device: str,
) -> None:
    config, generator = clock.config, torch.Generator()
    network.to(device).train()
    optimiser = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
    both_kinds = bool(data.cropped.any()) and not bool(data.cropped.all())
    for epoch in range(clock.epochs):
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
            at = member * clock.epochs + epoch + 1
            seconds = time.monotonic() - clock.started
            clock.progress(
                TrainingStep(
                    at, config.members * clock.epochs, total / clock.rows, None, seconds, lambda: _weights(done)
                )
            )
    if not both_kinds:  # nobody showed when to leave an image as it is
        with torch.no_grad():
            network.need.bias.fill_(_ALWAYS)


def _weights(networks: Sequence[CropNetwork]) -> dict[str, np.ndarray]:
    """The weights of finished members, each name with its member's before it."""
    return {
        f"member{number}.{name}": tensor.detach().cpu().numpy()
        for number, network in enumerate(networks)
        for name, tensor in network.state_dict().items()
    }


def _under(prefix: str, state: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {
        name.removeprefix(prefix): torch.from_numpy(np.array(values))
        for name, values in state.items()
        if name.startswith(prefix)
    }


def _targets(boxes: np.ndarray, cropped: np.ndarray, device: str) -> tuple[Tensor, Tensor]:
    """(N, 4) boxes and (N,) 1.0 where a crop was drawn; elsewhere the full frame, which weighs nothing."""
    meant = np.where(cropped[:, None], boxes, np.asarray(FULL_FRAME, np.float32)).astype(np.float32)
    return torch.from_numpy(meant).to(device), torch.from_numpy(cropped).float().to(device)
