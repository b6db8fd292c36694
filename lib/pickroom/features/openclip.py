"""OpenCLIP's image towers: any `model/pretrained` it knows, or a local checkpoint folder in its `local-dir:` form."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import logging
import os
import socket
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

import numpy as np
import torch
from PIL import Image as PillowImage
from torch import Tensor, nn

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
        """The devices that it can run on here, best first."""
        return devices.present()

    def spec(self, dtype: str = FLOAT32) -> EncoderSpec:
        """The specification of its vectors, whose shapes one blank image that goes through the network tells.

        Raises:
            UsageError: it cannot compute in this precision.
        """
        if dtype not in DTYPES:
            raise UsageError(f"{dtype!r} is not a precision", doing="choosing a precision", hint="use float32")
        blank = torch.zeros(1, 3, self.preprocessing.height, self.preprocessing.width)
        with torch.inference_mode():
            vectors, maps = self.network(blank)
        channels, rows, cols = maps.shape[1:] if maps is not None else (0, 0, 0)
        tensors = {name: tensor.detach().cpu() for name, tensor in self.network.state_dict().items()}
        weights = {name: (v.float() if v.is_floating_point() else v).numpy() for name, v in tensors.items()}
        return EncoderSpec(
            kind=self.kind,
            model=self.model,
            weights=weights_hash(weights),
            preprocessing=self.preprocessing,
            dim=vectors.shape[1],
            patch_rows=rows,
            patch_cols=cols,
            patch_dim=min(channels, PATCH_CHANNELS),
            projection=projection_words(channels),
            dtype=dtype,
        )

    def encoder(self, spec: EncoderSpec, device: str) -> TorchEncoder:
        return TorchEncoder(self, spec, device)


class TorchEncoder:
    """A tower on one device in one precision."""

    def __init__(self, tower: TorchTower, spec: EncoderSpec, device: str) -> None:
        self.spec, self.device, self.prepare = spec, device, tower.prepare
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

    def encode(self, pixels: Sequence[Pixels]) -> Features:
        """One forward pass over prepared images, at least one."""
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
        """Compute with so many threads where this thread calls `encode`, until the end of the block."""
        before = torch.get_num_threads()
        torch.set_num_threads(count)
        try:
            yield
        finally:
            torch.set_num_threads(before)


DEFAULT_MODEL = "ViT-B-32/laion2b_s34b_b79k"
_CONFIG = "open_clip_config.json"
_HINT = (
    "point to a local checkpoint folder: --checkpoint FOLDER (it holds open_clip_config.json and the weights), "
    "or use --encoder bundled"
)


class _ImageTower(nn.Module):
    """(N, 3, H, W) -> OpenCLIP's own raw image features, and the last block's patch grid of the same pass."""

    def __init__(self, visual: nn.Module) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, batch: Tensor) -> tuple[Tensor, Tensor | None]:
        forward = getattr(self.visual, "forward_intermediates", None)
        if forward is None:
            return self.visual(batch), None
        found = forward(batch, indices=1, normalize_intermediates=True, output_fmt="NCHW")
        return found["image_features"], found["image_intermediates"][-1]


def load(model: str = DEFAULT_MODEL, checkpoint: Path | None = None, *, download: bool = True) -> TorchTower:
    """An OpenCLIP image tower with its own preprocessing, float32 on the CPU; the text tower is dropped.

    Args:
        model: "architecture/pretrained tag".
        checkpoint: a folder with open_clip_config.json and a weight file, in place of `model`.
        download: whether OpenCLIP may fetch weights that its cache does not hold.

    Raises:
        UsageError: unknown names, no weights within reach, a folder that is not a checkpoint; the line says how
            to go on.
    """
    name, _, tag = model.partition("/")
    if checkpoint:
        checkpoint = checkpoint.expanduser()
        _check_folder(checkpoint)
    elif not tag:
        raise UsageError(f"{model!r} names no weights", doing="loading OpenCLIP", hint=f"write {name}/TAG; or {_HINT}")
    else:
        _fail_fast_without_network()
    import open_clip

    pretrained = {} if checkpoint else open_clip.get_pretrained_cfg(name, tag) or {}
    if pretrained and not download and not _in_cache(pretrained):
        raise UsageError(
            f"the weights of {model} are not in OpenCLIP's cache, and are not downloaded unasked (some 600 MB)",
            doing="loading the encoder",
            hint=f"ask for them: --encoder openclip:{model}; or {_HINT}",
        )
    # one model, or tag, of the registry that was trained with QuickGELU gives wrong vectors without it
    quick = bool(pretrained.get("quick_gelu"))
    try:
        with _quiet():
            clip, _, transform = open_clip.create_model_and_transforms(
                f"local-dir:{checkpoint.resolve()}" if checkpoint else name,
                pretrained=None if checkpoint else tag,
                force_quick_gelu=quick,
                require_pretrained=True,  # without it, missing weights would be random ones
            )
            config = open_clip.get_model_config(name)
            if checkpoint:
                config = json.loads((checkpoint / _CONFIG).read_text(encoding="utf-8"))["model_cfg"]
            own, earlier = architecture(config, quick), _earlier_names(config, quick)
    except Exception as error:  # OpenCLIP and its loaders raise almost anything on a foreign file
        reason = (str(error) or type(error).__name__).splitlines()[0]
        if "download" in reason.lower():
            reason = "they are not in its cache, and cannot be downloaded"
        raise UsageError(
            f"no usable OpenCLIP weights ({reason[:160]})",
            doing="loading the encoder",
            subject=checkpoint or model,
            hint=_HINT,
        ) from error
    return adapt(clip, transform, own, f"checkpoint {checkpoint.name}" if checkpoint else model, earlier)


def adapt(
    clip: nn.Module, transform: Any, name: str, source: str, earlier_names: frozenset[str] = frozenset()
) -> TorchTower:
    """A tower from what `open_clip.create_model_and_transforms` returns: the model and its evaluation transform.

    The resizing steps are OpenCLIP's own; only the last two, to floats and normalised, are done here by batch.
    """
    *geometry, _to_tensor, normalize = transform.transforms
    visual: Any = clip.visual  # OpenCLIP has no types, and torch's take every attribute for a tensor or a module
    config = visual.preprocess_cfg
    size = config["size"]
    height, width = (size, size) if isinstance(size, int) else size
    preprocessing = Preprocessing(
        height,
        width,
        config["resize_mode"],
        config["interpolation"],
        tuple(float(value) for value in normalize.mean),
        tuple(float(value) for value in normalize.std),
        config["fill_color"],
    )
    tower = _ImageTower(visual).eval().requires_grad_(False)
    return TorchTower("openclip", name, tower, type(transform)(geometry), preprocessing, source, earlier_names)


def _check_folder(folder: Path) -> None:
    doing = "loading an OpenCLIP checkpoint"
    if folder.is_file():
        # OpenCLIP would take the file, and silently assume the preprocessing of another model
        what = "this is a bare weight file: it does not say its model or preprocessing"
        raise UsageError(what, doing=doing, subject=folder, hint=f"put it in a folder with {_CONFIG}; or {_HINT}")
    if not (folder / _CONFIG).is_file():
        what = f"the folder has no {_CONFIG}" if folder.is_dir() else "no such folder"
        raise UsageError(what, doing=doing, subject=folder, hint=_HINT)


def architecture(config: dict[str, Any], quick: bool = False) -> str:
    """A name of an image tower made of its own configuration: the same from a folder and from the registry.

    It ends in a hash of all that decides the tower, since the number of heads, or the activation, leaves no trace in
    the weights.

    Args:
        config: OpenCLIP's, with `embed_dim` and `vision_cfg`.
        quick: whether QuickGELU is forced, whatever the configuration says.
    """
    from open_clip import CLIPVisionCfg

    vision = asdict(CLIPVisionCfg(**config["vision_cfg"]))  # what a configuration leaves out has a default
    text = json.dumps([config["embed_dim"], vision, quick or bool(config.get("quick_gelu"))], sort_keys=True)
    kind = vision["timm_model_name"] or f"ViT-{vision['width']}x{vision['layers']}-{vision['patch_size']}"
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _earlier_names(config: dict[str, Any], quick: bool) -> frozenset[str]:
    """What earlier versions called this architecture: a name of the registry, or a hash."""
    import open_clip

    own = architecture(config, quick)
    text = json.dumps([config.get(key) for key in ("embed_dim", "vision_cfg", "quick_gelu")], sort_keys=True)
    names = {f"unnamed-{hashlib.sha256(text.encode()).hexdigest()[:8]}"}
    for name in open_clip.list_models():
        known = open_clip.get_model_config(name)
        if known and "vision_cfg" in known and architecture(known, "quickgelu" in name) == own:
            names.add(str(name))
    return frozenset(names)


def _in_cache(pretrained: dict[str, Any]) -> bool:
    """Whether weights of the registry are on this machine: in Hugging Face's cache, or in OpenCLIP's."""
    from open_clip.pretrained import hf_hub_download

    if "file" in pretrained:
        return True
    repository, _, filename = pretrained.get("hf_hub", "").rpartition("/")
    if repository:
        filename = filename or "open_clip_pytorch_model.bin"
        names = (filename, filename.rpartition(".")[0] + ".safetensors", "open_clip_model.safetensors")
        for name in names:
            with suppress(OSError, ValueError):  # it is not there
                hf_hub_download(repository, name, local_files_only=True)
                return True
        return False
    return (Path("~/.cache/clip").expanduser() / Path(pretrained.get("url", "")).name).is_file()


def _fail_fast_without_network() -> None:
    """Tell the download library when the network is missing: it would retry for most of a minute otherwise."""
    host = urlparse(os.environ.get("HF_ENDPOINT", "https://huggingface.co")).hostname
    if "huggingface_hub" in sys.modules or getproxies() or not host:
        return
    try:
        socket.getaddrinfo(host, 443)
    except OSError:
        os.environ.setdefault("HF_HUB_OFFLINE", "1")  # what is in its cache still loads


@contextmanager
def _quiet() -> Iterator[None]:
    # OpenCLIP logs each failed try to the root logger; the error raised at the end says it all
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(before)
