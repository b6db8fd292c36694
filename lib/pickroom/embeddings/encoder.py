"""What an encoder is: its whole specification, hashed into one id, and the class that runs any network by it."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from PIL import Image as PillowImage

if TYPE_CHECKING:
    import torch

DTYPES = ("float32", "bfloat16", "float16")
PATCH_CHANNELS = 64  # FORMATS.md: patches are reduced to at most this many channels
_PROJECTION_SEED = 20250803
_ID_DIGITS = 16  # hex digits kept of the SHA-256: 64 bits, no clash among any number of encoders a person has

Pixels = np.ndarray  # (height, width, 3) uint8, sRGB
Geometry = Callable[[PillowImage.Image], PillowImage.Image]


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """From an upright sRGB image to the network's input.

    Attributes:
        height, width: pixels of the input.
        resize: "shortest" scales the short side and crops the middle, "longest" pads, "squash" keeps the whole
            frame and gives up its aspect ratio.
        mean, std: per channel, of pixels scaled to 0..1.
        fill: grey level 0..255 of the padding.
        oversample: an image may be decoded at a reduced scale, or its preview taken, as long as its short side
            is at least this many times the input's longer side.
    """

    height: int
    width: int
    resize: str
    interpolation: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fill: int = 0
    oversample: int = 2

    @property
    def least_side(self) -> int:
        """Pixels that the short side of a reduced decode, or of a preview, must have."""
        return self.oversample * max(self.height, self.width)


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """Everything that decides a vector's numbers. Two specifications with one id give the same vectors.

    Attributes:
        kind: "openclip", "bundled", or "legacy" (imported: it can encode nothing).
        model: the architecture's name.
        weights: SHA-256 (hex) of the image tower's float32 weights; "" where unknown (legacy).
        dim: floats of a vector.
        patch_rows, patch_cols, patch_dim: the patch grid as stored; all 0 for an encoder without one.
        projection: how patches were reduced, e.g. "signs seed=1 768->64"; "" for not at all.
        dtype: what the forward pass computes in.
        storage: what vectors are stored in; patches are always float16.
    """

    kind: str
    model: str
    weights: str
    preprocessing: Preprocessing | None
    dim: int
    patch_rows: int
    patch_cols: int
    patch_dim: int
    projection: str
    dtype: str
    storage: str = "float16"

    @property
    def encoder_id(self) -> str:
        """The first 16 hex digits of the SHA-256 of the specification's canonical JSON."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:_ID_DIGITS]

    @property
    def patch_size(self) -> int:
        """Floats of one image's flattened patch grid."""
        return self.patch_rows * self.patch_cols * self.patch_dim

    @property
    def words(self) -> str:
        """The encoder in a few words, for the person."""
        weights = f", weights {self.weights[:8]}" if self.weights else ""
        return f"{self.kind} {self.model} ({self.dtype}{weights})"

    def same_but_dtype(self, other: EncoderSpec) -> bool:
        """Whether only the precision of the forward pass differs."""
        return replace(self, dtype=other.dtype) == other

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """A specification from its JSON object; raises TypeError or KeyError on anything else."""
        given = dict(values)
        if given["preprocessing"] is not None:
            parts = given["preprocessing"]
            given["preprocessing"] = Preprocessing(
                **{**parts, "mean": tuple(parts["mean"]), "std": tuple(parts["std"])}
            )
        return cls(**given)


@dataclass(frozen=True, slots=True)
class Features:
    """What one forward pass gives for N images.

    Attributes:
        vectors: (N, dim) float32, raw: not normalised.
        patches: (N, patch_rows, patch_cols, patch_dim) float32 of the same pass, None without a grid.
    """

    vectors: np.ndarray
    patches: np.ndarray | None


class Encoder(Protocol):
    """What the pipeline asks of an encoder; it may be called from several threads."""

    @property
    def spec(self) -> EncoderSpec: ...

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """An upright sRGB image as (height, width, 3) uint8 pixels of the input's size."""
        ...

    def encode(self, pixels: Sequence[Pixels]) -> Features:
        """One forward pass over prepared images, at least one."""
        ...


@dataclass(frozen=True, slots=True)
class Tower:
    """A loaded network before a device and a precision are chosen: float32, on the CPU, never changed in place.

    Attributes:
        network: (N, 3, height, width) -> ((N, dim), (N, channels, rows, cols) or None).
        geometry: resizes and crops an RGB image to the input's size.
        channels_last: whether its convolutions run faster in that memory format.
        source: where the weights came from, in words.
    """

    kind: str
    model: str
    network: torch.nn.Module
    geometry: Geometry
    preprocessing: Preprocessing
    channels_last: bool
    source: str

    def prepare(self, image: PillowImage.Image) -> Pixels:
        """An upright sRGB image as (height, width, 3) uint8 pixels of the input's size."""
        return np.asarray(self.geometry(image), dtype=np.uint8)

    def spec(self, dtype: str = "float32") -> EncoderSpec:
        """The specification in one precision; one blank image goes through the network to learn its shapes."""
        import torch

        blank = torch.zeros(1, 3, self.preprocessing.height, self.preprocessing.width)
        with torch.inference_mode():
            vectors, maps = self.network(blank)
        rows, cols, channels = (maps.shape[2], maps.shape[3], maps.shape[1]) if maps is not None else (0, 0, 0)
        kept = min(channels, PATCH_CHANNELS)
        return EncoderSpec(
            kind=self.kind,
            model=self.model,
            weights=weights_hash(self.network),
            preprocessing=self.preprocessing,
            dim=vectors.shape[1],
            patch_rows=rows,
            patch_cols=cols,
            patch_dim=kept,
            projection=f"signs seed={_PROJECTION_SEED} {channels}->{kept}" if kept < channels else "",
            dtype=dtype,
        )


class TorchEncoder:
    """A tower on one device in one precision."""

    def __init__(self, tower: Tower, spec: EncoderSpec, device: str) -> None:
        import torch

        self.spec, self.device, self._prepare = spec, device, tower.prepare
        self._dtype = getattr(torch, spec.dtype)
        self._format = torch.channels_last if tower.channels_last else torch.contiguous_format
        as_it_is = (spec.dtype, device, tower.channels_last) == ("float32", "cpu", False)
        network = tower.network if as_it_is else copy.deepcopy(tower.network)
        self.network = network.to(device=device, dtype=self._dtype).to(memory_format=self._format).eval()
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
        import torch

        with self._turn, torch.inference_mode():
            # bytes cross to the device, a quarter of what floats would be; the batch is normalised there at once
            batch = torch.from_numpy(np.stack(pixels)).to(self.device).permute(0, 3, 1, 2).float()
            batch = ((batch - self._mean) / self._std).to(dtype=self._dtype, memory_format=self._format)
            vectors, maps = self.network(batch)
            patches = None
            if maps is not None:
                patches = maps.float().permute(0, 2, 3, 1)
                patches = patches @ self._projection if self._projection is not None else patches
                patches = patches.cpu().numpy()
            return Features(vectors.float().cpu().numpy(), patches)


def projection(channels: int, kept: int, seed: int = _PROJECTION_SEED) -> np.ndarray:
    """A (channels, kept) float32 matrix of random signs over sqrt(kept): it keeps inner products on average.

    Source: Achlioptas, "Database-friendly random projections" (2003). Signs from RandomState, whose stream NumPy
    has frozen (NEP 19), so that the same seed gives the same bits everywhere.
    """
    signs = np.random.RandomState(seed).randint(0, 2, (channels, kept)) * 2 - 1
    return (signs / np.sqrt(kept)).astype(np.float32)


def weights_hash(network: torch.nn.Module) -> str:
    """Hex SHA-256 over the names, shapes and float32 bytes of a network's weights, in name order."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        values = tensor.detach().cpu()
        values = values.float() if values.is_floating_point() else values
        digest.update(f"{name} {tuple(values.shape)}\n".encode())
        digest.update(values.contiguous().reshape(-1).numpy().data)
    return digest.hexdigest()
