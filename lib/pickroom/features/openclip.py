"""OpenCLIP's image towers: any `model/pretrained` it knows, or a local checkpoint folder in its `local-dir:` form."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlparse
from urllib.request import getproxies

from torch import Tensor, nn

from pickroom.core.errors import UsageError
from pickroom.features.encoder import Preprocessing
from pickroom.features.torch_encoder import TorchTower

DEFAULT_MODEL = "ViT-B-32/laion2b_s34b_b79k"
CHECKPOINT_VARIABLE = "PICKROOM_OPENCLIP"  # a checkpoint folder, where --checkpoint is not given
_CONFIG = "open_clip_config.json"
_ARCHITECTURE_KEYS = ("embed_dim", "vision_cfg", "quick_gelu")  # what decides the image tower
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


class _InTurn:
    """Transforms of a PIL image, one after the other; a class of the module so that it can be pickled."""

    def __init__(self, transforms: list[Any]) -> None:
        self.transforms = transforms

    def __call__(self, image: Any) -> Any:
        for transform in self.transforms:
            image = transform(image)
        return image


def load(model: str = DEFAULT_MODEL, checkpoint: Path | str | None = None) -> TorchTower:
    """An OpenCLIP image tower with its own preprocessing, float32 on the CPU; the text tower is dropped.

    Args:
        model: "architecture/pretrained tag"; downloaded by OpenCLIP unless its cache holds it.
        checkpoint: a folder with open_clip_config.json and a weight file, in place of `model`; else
            $PICKROOM_OPENCLIP, where set.

    Raises:
        UsageError: unknown names, no weights within reach, a folder that is not a checkpoint; the line says how
            to go on.
    """
    given = checkpoint or os.environ.get(CHECKPOINT_VARIABLE)
    folder = Path(given).expanduser() if given else None
    name, _, tag = model.partition("/")
    source = f"checkpoint {folder.name}" if folder else model
    if folder:
        _check_folder(folder)
    elif not tag:
        raise UsageError(f"{model!r} names no weights", doing="loading OpenCLIP", hint=f"write {name}/TAG; or {_HINT}")
    else:
        _fail_fast_without_network()
    import open_clip

    # one model, or tag, of the registry that was trained with QuickGELU gives wrong vectors without it
    quick = bool(tag) and not folder and bool((open_clip.get_pretrained_cfg(name, tag) or {}).get("quick_gelu"))
    try:
        with _quiet():
            clip, _, transform = open_clip.create_model_and_transforms(
                f"local-dir:{folder.resolve()}" if folder else name,
                pretrained=None if folder else tag,
                force_quick_gelu=quick,
                require_pretrained=True,  # without it, missing weights would be random ones
            )
    except Exception as error:  # OpenCLIP and its loaders raise almost anything on a foreign file
        raise UsageError(
            f"no usable OpenCLIP weights ({_reason(error)})",
            doing="loading the encoder",
            subject=folder or model,
            hint=_HINT,
        ) from error
    if folder:
        name = _architecture(folder)
    elif quick and "quickgelu" not in name:
        name = f"{name}-quickgelu"  # as the registry names it: the activation leaves no trace in the weights
    return adapt(clip, transform, name, source)


def adapt(clip: nn.Module, transform: Any, name: str, source: str) -> TorchTower:
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
    return TorchTower("openclip", name, tower, _InTurn(geometry), preprocessing, source)


def _reason(error: Exception) -> str:
    first = (str(error) or type(error).__name__).splitlines()[0]
    if "download" in first.lower():
        return "they are not in its cache, and cannot be downloaded"
    return first[:160]


def _check_folder(folder: Path) -> None:
    doing = "loading an OpenCLIP checkpoint"
    if folder.is_file():
        # OpenCLIP would take the file, and silently assume the preprocessing of another model
        what = "this is a bare weight file: it does not say its model or preprocessing"
        raise UsageError(what, doing=doing, subject=folder, hint=f"put it in a folder with {_CONFIG}; or {_HINT}")
    if not (folder / _CONFIG).is_file():
        what = f"the folder has no {_CONFIG}" if folder.is_dir() else "there is no such folder"
        raise UsageError(what, doing=doing, subject=folder, hint=_HINT)


def _architecture(folder: Path) -> str:
    """The registry's name of a checkpoint's architecture, so that its id does not hang on a folder's name.

    An architecture that the registry does not have is named by a hash of its configuration: the number of heads,
    or the activation, leaves no trace in the weights.
    """
    import open_clip

    config = json.loads((folder / _CONFIG).read_text(encoding="utf-8"))["model_cfg"]
    for name in open_clip.list_models():
        known = open_clip.get_model_config(name)
        if known and all(known.get(key) == config.get(key) for key in _ARCHITECTURE_KEYS):
            return str(name)
    text = json.dumps([config.get(key) for key in _ARCHITECTURE_KEYS], sort_keys=True)
    return f"unnamed-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def _fail_fast_without_network() -> None:
    """Tell the download library when there is no network: it would retry for most of a minute otherwise."""
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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
