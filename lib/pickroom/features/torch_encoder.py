"""Networks of PyTorch as encoders: on any of its devices, in the precision that a project's vectors have."""

from __future__ import annotations

import contextlib
import copy
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image as PillowImage

from pickroom.core.errors import UsageError
from pickroom.features import device as devices
from pickroom.features.encoder import (
    FLOAT32,
    PATCH_CHANNELS,
    EncoderSpec,
    Features,
    Geometry,
    Pixels,
    Preprocessing,
    projection,
    projection_words,
    weights_hash,
)

DTYPES = (FLOAT32, "bfloat16", "float16")


@dataclass(frozen=True, slots=True)
class TorchTower:
    """A loaded network before a device is chosen (see `Tower`): float32, on the CPU, never changed in place."""

    kind: str
    model: str
    network: torch.nn.Module  # (N, 3, height, width) -> ((N, dim), (N, channels, rows, cols) or None)
    geometry: Geometry  # resizes and crops an RGB image to the input's size
    preprocessing: Preprocessing
    source: str  # where the weights came from, in words
    earlier_names: frozenset[str] = frozenset()  # what earlier versions called `model`

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """An upright sRGB image as (height, width, 3) uint8 pixels of the input's size."""
        return np.asarray(self.geometry(image), dtype=np.uint8)

    def devices(self) -> tuple[str, ...]:
        """See `Tower`."""
        return devices.present()

    def spec(self, dtype: str = FLOAT32) -> EncoderSpec:
        """See `Tower`; one blank image goes through the network to learn its shapes."""
        if dtype not in DTYPES:
            raise UsageError(f"{dtype!r} is not a precision", doing="choosing a precision", hint="use float32")
        blank = torch.zeros(1, 3, self.preprocessing.height, self.preprocessing.width)
        with torch.inference_mode():
            vectors, maps = self.network(blank)
        rows, cols, channels = (maps.shape[2], maps.shape[3], maps.shape[1]) if maps is not None else (0, 0, 0)
        return EncoderSpec(
            kind=self.kind,
            model=self.model,
            weights=weights_hash(_weights(self.network)),
            preprocessing=self.preprocessing,
            dim=vectors.shape[1],
            patch_rows=rows,
            patch_cols=cols,
            patch_dim=min(channels, PATCH_CHANNELS),
            projection=projection_words(channels),
            dtype=dtype,
        )

    def encoder(self, spec: EncoderSpec, device: str) -> TorchEncoder:
        """See `Tower`."""
        return TorchEncoder(self, spec, device)


class TorchEncoder:
    """A tower on one device in one precision."""

    def __init__(self, tower: TorchTower, spec: EncoderSpec, device: str) -> None:
        self.spec, self.device, self._prepare = spec, device, tower.prepare
        self._dtype = getattr(torch, spec.dtype)
        as_it_is = (spec.dtype, device) == (FLOAT32, "cpu")
        network = tower.network if as_it_is else copy.deepcopy(tower.network)
        self.network = network.to(device=device, dtype=self._dtype).eval()
        means = torch.tensor(tower.preprocessing.mean) * 255
        deviations = torch.tensor(tower.preprocessing.std) * 255
        self._mean, self._std = (t.reshape(1, -1, 1, 1).to(device) for t in (means, deviations))
        channels = int(spec.projection.rpartition(" ")[2].partition("->")[0]) if spec.projection else 0
        self._projection = torch.from_numpy(projection(channels, spec.patch_dim)).to(device) if channels else None
        # a GPU takes one pass at a time; on a CPU the passes of several threads run side by side
        self._turn = contextlib.nullcontext() if device == "cpu" else threading.Lock()

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """See `Encoder`."""
        return self._prepare(image)

    def encode(self, pixels: Sequence[Pixels]) -> Features:
        """See `Encoder`."""
        with self._turn, torch.inference_mode():
            # bytes cross to the device, a quarter of what floats would be; the batch is normalised there at once
            batch = torch.from_numpy(np.stack(pixels)).to(self.device).permute(0, 3, 1, 2).float()
            batch = ((batch - self._mean) / self._std).to(dtype=self._dtype)
            vectors, maps = self.network(batch)
            patches = None
            if maps is not None:
                patches = maps.float().permute(0, 2, 3, 1)
                patches = patches @ self._projection if self._projection is not None else patches
                patches = patches.cpu().numpy()
            return Features(vectors.float().cpu().numpy(), patches)

    @contextlib.contextmanager
    def threads(self, count: int) -> Iterator[None]:
        """See `Encoder`."""
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def _weights(network: torch.nn.Module) -> dict[str, np.ndarray]:
    """A network's weights by name, those with fractions as float32."""
    tensors = network.state_dict().items()
    values = {name: tensor.detach().cpu() for name, tensor in tensors}
    return {name: (v.float() if v.is_floating_point() else v).numpy() for name, v in values.items()}
