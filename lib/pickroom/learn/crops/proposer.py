"""The crop proposer: a person's crop of an image, from the patch grid, the vector and the nearest past crops.

It is kept as an ONNX graph, which ONNX Runtime runs; training it (`fitting`) needs PyTorch. LESSONS.md, Cropping: every
real crop kept the image's own aspect ratio, so this does too, unless the person's own crops do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pickroom.core.errors import PickroomError, StoreError, UsageError, require_extra
from pickroom.features.onnx_session import open_session
from pickroom.learn.crops.features import CropFeatures
from pickroom.learn.examples import NO_CROP_AREA

_VERSION, _TENSORS = 2, 1  # version 1 was kept as tensors, which PyTorch turns into a graph
_FREE_SHAPE = 0.02  # |ln(width / height)|, in fractions of the image: above it a crop left the image's aspect ratio
_FREE_SHARE = 0.1  # of the crops: with more, the person does not keep the aspect ratio
_CHUNK = 512  # images at a time when proposing
FULL_FRAME = (0.0, 0.0, 1.0, 1.0)


@dataclass(frozen=True, slots=True)
class CropConfig:
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


class CropProposer:
    """A trained ensemble as an ONNX graph: vector, shape, cover and grid of N images -> boxes, needed, sure."""

    def __init__(self, graph: bytes, sizes: Mapping[str, list[int]], description: Mapping[str, Any]) -> None:
        self._graph, self._description, self.sizes = graph, dict(description), dict(sizes)
        self._session = open_session(graph)
        self._inputs = [given.name for given in self._session.get_inputs()]  # the exporter drops what has no effect

    @property
    def keep_aspect(self) -> bool:
        """Whether its boxes have the aspect ratio of their images."""
        return bool(self._description["keep_aspect"])

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
        for start in range(0, len(rows), _CHUNK):
            here = rows[start : start + _CHUNK]
            some = features.take(here)
            given = {name: getattr(some, name) for name in self._inputs}
            for whole, part in zip(found, self._session.run(None, given), strict=True):
                whole[here] = part
        return found[0], found[1], found[2]

    def state(self) -> dict[str, np.ndarray]:
        """{"graph": the bytes of the ONNX graph}."""
        return {"graph": np.frombuffer(self._graph, dtype=np.uint8)}

    def describe(self) -> dict[str, Any]:
        """What `from_state` needs besides the graph, as JSON."""
        return dict(self._description)

    @classmethod
    def from_graph(cls, graph: bytes, config: dict[str, Any], sizes: dict[str, list[int]], keep: bool) -> CropProposer:
        """A proposer that was trained just now."""
        return cls(graph, sizes, {"version": _VERSION, "config": config, "sizes": sizes, "keep_aspect": keep})

    @classmethod
    def from_state(cls, state: Mapping[str, np.ndarray], description: Mapping[str, Any]) -> CropProposer:
        """A proposer as it was saved, by this version of the program or an earlier one.

        Raises:
            StoreError: another version of this code made it, or a part is missing.
            MissingExtraError: an earlier version made it, and PyTorch is not installed.
        """
        try:
            if description["version"] == _TENSORS:
                require_extra("learn", "loading a crop proposer of version 0.1", instead="train it again")
                from pickroom.learn.crops.fitting import from_tensors

                return from_tensors(state, CropConfig(**description["config"]), description)
            if description["version"] != _VERSION:
                raise ValueError(f"version {description['version']}, not {_VERSION}")
            return cls(state["graph"].tobytes(), description["sizes"], description)
        except PickroomError:
            raise
        except Exception as error:  # ONNX Runtime, and PyTorch, raise almost anything on a damaged graph
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise StoreError(
                f"the crop proposer's file does not fit this version ({reason})",
                doing="loading a crop proposer",
                hint="train again: pickroom train crop_proposer PROJECT",
            ) from error


def keeps_aspect(boxes: np.ndarray) -> bool:
    """Whether a person's crops (N, 4), NaN rows aside, keep their images' own aspect ratio."""
    drawn = boxes[is_crop(boxes)]
    free = np.abs(np.log((drawn[:, 2] - drawn[:, 0]) / (drawn[:, 3] - drawn[:, 1]))) > _FREE_SHAPE
    return bool(free.mean() <= _FREE_SHARE) if len(drawn) else True


def is_crop(boxes: np.ndarray) -> np.ndarray:
    """(N,) bool: rows of (N, 4) boxes that cut something away; NaN rows and those of 98 % or more do not."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return np.nan_to_num(area, nan=1.0) < NO_CROP_AREA
