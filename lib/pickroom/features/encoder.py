"""What an encoder is: its whole specification, hashed into one id, and what the pipeline asks of it."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, Self, TypeAlias

import numpy as np
from PIL import Image as PillowImage

FLOAT32 = "float32"
PATCH_CHANNELS = 64  # of a reduced patch grid (FORMATS.md, Vectors)
_PROJECTION_SEED = 20250803
_ID_DIGITS = 16  # hex digits kept of the SHA-256: 64 bits, no clash among any number of encoders a person has

Pixels = np.ndarray  # (height, width, 3) uint8, sRGB
Geometry = Callable[[PillowImage.Image], PillowImage.Image]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From an upright sRGB image to the network's input."""

    # height, width: pixels of the input
    height: int
    width: int
    # "shortest" scales the short side and crops the middle, "longest" pads, "squash" keeps the whole frame and gives up
    # its aspect ratio
    resize: str
    interpolation: str
    # mean, std: per channel, of pixels scaled to 0..1
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fill: int = 0  # grey level 0..255 of the padding
    # an image may be decoded at a reduced scale, or its preview taken, as long as its short side is at least this many
    # times the input's longer side
    oversample: int = 2

    @property
    def least_side(self) -> int:
        """Pixels that the short side of a reduced decode, or of a preview, must have."""
        return self.oversample * max(self.height, self.width)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything that decides a vector's numbers. Two specifications with one id give the same vectors."""

    kind: str  # "openclip", "bundled", or "legacy" (imported: it can encode nothing)
    model: str  # the architecture's name; for OpenCLIP made of its configuration (`openclip.architecture`)
    weights: str  # SHA-256 (hex) of the image tower's float32 weights; "" where unknown (legacy)
    preprocessing: Preprocessing | None
    dim: int  # floats of a vector
    # patch_rows, patch_cols, patch_dim: the patch grid as stored; all 0 for an encoder without one
    patch_rows: int
    patch_cols: int
    patch_dim: int
    # how patches were reduced, e.g. "signs seed=1 768->64"; "" for not at all. Neither it nor `patch_dim` changes the
    # id of an encoder whose grid can be reduced: the vectors are the same
    projection: str
    dtype: str  # what the forward pass computes in: float32; version 0.1 also chose "bfloat16" and "float16"
    storage: str = "float16"  # what vectors are stored in; patches are always float16

    @property
    def encoder_id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the specification's canonical JSON, its patch grid reduced."""
        return _id_of(self)

    @property
    def patch_size(self) -> int:
        """Floats of one image's flattened patch grid."""
        return self.patch_rows * self.patch_cols * self.patch_dim

    @property
    def reduced(self) -> Self:
        """The same encoder with a patch grid of at most `PATCH_CHANNELS` channels."""
        words = projection_words(self.patch_dim)
        return replace(self, patch_dim=PATCH_CHANNELS, projection=words) if words else self

    @property
    def whole(self) -> Self:
        """The same encoder with all channels of its patch grid."""
        channels = int(self.projection.split()[-1].split("->")[0]) if self.projection else self.patch_dim
        return replace(self, patch_dim=channels, projection="")

    @property
    def words(self) -> str:
        """The encoder in a few words, for the user."""
        weights = f", weights {self.weights[:8]}" if self.weights else ""
        return f"{self.kind} {self.model} ({self.dtype}{weights})"


@cache
def _id_of(spec: EncoderSpec) -> str:
    text = json.dumps(asdict(spec.reduced), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]


@dataclass(frozen=True, slots=True)
class Features:
    """What one forward pass gives for N images."""

    vectors: np.ndarray  # (N, dim) float32, raw: not normalised
    patches: np.ndarray | None  # (N, patch_rows, patch_cols, patch_dim) float32 of the same pass, None without a grid


# Tower: a loaded network before a device is chosen; it can be pickled, for the processes of a cluster.
# Encoder: a tower on one device in one precision, which may be called from several threads.
if TYPE_CHECKING:
    from pickroom.features.bundled import OnnxEncoder, OnnxTower
    from pickroom.features.openclip import TorchEncoder, TorchTower

    Encoder: TypeAlias = OnnxEncoder | TorchEncoder
    Tower: TypeAlias = OnnxTower | TorchTower
else:  # PyTorch is loaded only where it is used
    Encoder = Tower = Any


def projection(channels: int, kept: int, seed: int = _PROJECTION_SEED) -> np.ndarray:
    """A (channels, kept) float32 matrix of random signs over sqrt(kept): it keeps inner products on average.

    Source: Achlioptas, "Database-friendly random projections" (2003). Signs from RandomState, whose stream NumPy
    has frozen (NEP 19), so that the same seed gives the same bits everywhere.
    """
    signs = np.random.RandomState(seed).randint(0, 2, (channels, kept)) * 2 - 1
    return (signs / np.sqrt(kept)).astype(np.float32)


def reduce_channels(grid: np.ndarray) -> np.ndarray:
    """A patch grid (..., C) with at most `PATCH_CHANNELS` channels, as `projection` reduces it; its dtype stays."""
    channels = grid.shape[-1]
    if channels <= PATCH_CHANNELS:
        return grid
    reduced: np.ndarray = (grid.astype(np.float32) @ projection(channels, PATCH_CHANNELS)).astype(grid.dtype)
    return reduced


def projection_words(channels: int) -> str:
    """How a map of so many channels is reduced, as `EncoderSpec.projection` says it; "" for not at all."""
    kept = min(channels, PATCH_CHANNELS)
    return f"signs seed={_PROJECTION_SEED} {channels}->{kept}" if kept < channels else ""


def weights_hash(weights: Mapping[str, np.ndarray]) -> str:
    """Hex SHA-256 over the names, shapes and bytes of a network's weights (float32, or integers), in name order."""
    digest = hashlib.sha256()
    for name, values in sorted(weights.items()):
        digest.update(f"{name} {values.shape}\n".encode())
        digest.update(np.ascontiguousarray(values).reshape(-1).data)
    return digest.hexdigest()
