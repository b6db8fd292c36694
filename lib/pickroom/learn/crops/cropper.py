"""The crop proposer: a person's crop of an image, from the patch grid, the vector and the nearest past crops.

A small ensemble: members differ by their weights at the start and by the order of the rows, and their disagreement
tells how sure the box is. LESSONS.md, Cropping: every real crop kept the image's own aspect ratio, so this does too,
unless the person's own crops do not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pickroom.core.errors import StoreError, UsageError
from pickroom.core.geometry import CORNER_TOLERANCE
from pickroom.features import threads
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.crops.inputs import BESIDE, Scales, make_inputs, mirror_inputs
from pickroom.learn.crops.network import CropNetwork, mirror_boxes, to_boxes
from pickroom.learn.examples import NO_CROP_AREA

_VERSION = 1
_FREE_SHAPE = 0.02  # |ln(width / height)|, in fractions of the image: above it a crop left the image's aspect ratio
_FREE_SHARE = 0.1  # of the crops: with more, the person does not keep the aspect ratio
_ERROR = 0.025  # typical error of an edge that all members agree on; calibration corrects what it gets wrong
_CHUNK = 512  # images at a time when proposing
FULL_FRAME = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class CropperConfig:
    """How a proposer is trained.

    Attributes:
        members: networks of the ensemble.
        hidden, layers: channels, and 3x3 convolutions between entrance and exit.
        components: main directions of the vector that are seen beside the grid.
        neighbours: nearest past crops whose mean box is seen; 0 for none.
        steps, batch: steps of the optimiser a member, images a step.
        least_epochs: passes over the images at the least, so that many crops get more steps.
        learning_rate, weight_decay: of AdamW; the rate rises to this and falls to 0 along a half cosine.
        dropout: share of channels left out at random.
        l1: weight of the edges' distance beside the IoU.
        keep_aspect: None measures it on the person's crops.
        seed: of the weights, the order, what is mirrored and left out.
    """

    members: int = 4
    hidden: int = 32
    layers: int = 1
    components: int = 16
    neighbours: int = 5
    steps: int = 1000
    least_epochs: int = 4
    batch: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    dropout: float = 0.15
    l1: float = 4.0
    keep_aspect: bool | None = None
    seed: int = 1


class Cropper:
    """A trained ensemble. Everything it needs is in `state()` and `describe()`; nothing in it is pickled."""

    def __init__(
        self,
        members: list[dict[str, Tensor]],
        scales: Scales,
        config: CropperConfig,
        sizes: Mapping[str, list[int]],
        keep_aspect: bool,
    ) -> None:
        self.scales, self.config, self.sizes, self.keep_aspect = scales, config, dict(sizes), keep_aspect
        self._networks = []
        for number, weights in enumerate(members):
            network = new_network(config, self.sizes, scales, number)
            network.load_state_dict(weights)
            self._networks.append(network.eval())

    def predict(self, features: CropFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What it proposes for N images; rows without features get NaN in all three.

        Returns:
            boxes (N, 4) float32: [x1, y1, x2, y2] as fractions: where the crop lies if one is made.
            needed (N,) float32: the chance that the person crops at all; below 0.5, or with a box of 98 % of the
                image or more, none is needed.
            confidence (N,) float32: a raw chance that every corner is within 5 %, from how far the members
                disagree; to be calibrated on rows that were not trained on.

        Raises:
            UsageError: the features are of another shape than those it was trained on.
        """
        if len(features) and features.sizes != self.sizes:
            raise UsageError("the features are of another shape than those it was trained on", doing="proposing crops")
        found = [np.full((len(features), *size), np.nan, dtype=np.float32) for size in ((4,), (), ())]
        rows = np.flatnonzero(features.mask)
        with threads.limit_torch_threads(_CHUNK):
            for start in range(0, len(rows), _CHUNK):
                here = rows[start : start + _CHUNK]
                for whole, part in zip(found, self._propose(features.take(here)), strict=True):
                    whole[here] = part
        return found[0], found[1], found[2]

    def state(self) -> dict[str, Tensor]:
        """Tensors only: fit for `torch.load(weights_only=True)`."""
        weights = {
            f"member{number}.{name}": tensor.detach().cpu()
            for number, network in enumerate(self._networks)
            for name, tensor in network.state_dict().items()
        }
        return {**weights, **{f"scales.{field.name}": getattr(self.scales, field.name) for field in fields(Scales)}}

    def describe(self) -> dict[str, Any]:
        """What `from_state` needs beside the tensors, as JSON."""
        return {
            "version": _VERSION,
            "config": asdict(self.config),
            "sizes": self.sizes,
            "keep_aspect": self.keep_aspect,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Tensor], description: Mapping[str, Any]) -> Cropper:
        """A proposer as it was saved.

        Raises:
            StoreError: another version of this code made it, or a part is missing.
        """
        try:
            if description["version"] != _VERSION:
                raise ValueError(f"version {description['version']}, not {_VERSION}")
            config = CropperConfig(**description["config"])
            parts = [under(f"member{number}.", state) for number in range(config.members)]
            scales = Scales(**under("scales.", state))
            return cls(parts, scales, config, description["sizes"], description["keep_aspect"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise StoreError(
                f"the crop proposer's file does not fit this version ({reason})",
                doing="loading a crop proposer",
                hint="train again: pickroom train crop_proposer PROJECT",
            ) from error

    def _propose(self, features: CropFeatures) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `predict`, of rows that have features. Each image is seen as it is and in a mirror."""
        inputs = make_inputs(features, self.scales, self.config.neighbours)
        turned = mirror_inputs(inputs)
        edges, needs = [], []
        with torch.inference_mode():
            for network in self._networks:
                plain, mirrored = network(inputs), network(turned)
                edges += [plain[0], mirror_boxes(mirrored[0])]
                needs += [torch.sigmoid(plain[1]), torch.sigmoid(mirrored[1])]
            every = torch.stack([to_boxes(one, self.keep_aspect) for one in edges])
            boxes = to_boxes(torch.stack(edges).mean(dim=0), self.keep_aspect)
            needed = torch.stack(needs).mean(dim=0)
            deviation = (every.std(dim=0).square() + _ERROR**2).sqrt()
            # corners err together, so the widest edge decides rather than the product of all
            sure = torch.erf(CORNER_TOLERANCE / (deviation.amax(dim=1) * math.sqrt(2)))
        return boxes.numpy(), needed.numpy(), sure.numpy()


def keeps_aspect(boxes: np.ndarray) -> bool:
    """Whether a person's crops (N, 4), NaN rows aside, keep their images' own aspect ratio."""
    drawn = boxes[is_crop(boxes)]
    free = np.abs(np.log((drawn[:, 2] - drawn[:, 0]) / (drawn[:, 3] - drawn[:, 1]))) > _FREE_SHAPE
    return bool(free.mean() <= _FREE_SHARE) if len(drawn) else True


def is_crop(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: rows of (N, 4) boxes that cut something away; NaN rows and those of 98 % or more do not."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.nan_to_num(area, nan=1.0) < NO_CROP_AREA


def new_network(config: CropperConfig, sizes: Mapping[str, list[int]], scales: Scales, member: int) -> CropNetwork:
    """A network with the random weights of one member, which the seed decides."""
    channels = sizes["grid"][2] if sizes["grid"] else 0
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed * 1_000 + member)
        return CropNetwork(channels, BESIDE + scales.kept, config.hidden, config.layers, scales.mean_box)


def under(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): tensor for name, tensor in state.items() if name.startswith(prefix)}
