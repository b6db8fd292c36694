"""Real photographs, small, and a small OpenCLIP checkpoint with seeded random weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as PillowImage
from PIL import ImageFilter, ImageOps

from conftest import SCANNED_AT, stage_name
from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features.choice import EncoderConfig
from pickroom.indexing import projects
from pickroom.indexing.engines import EmbedConfig
from pickroom.store.workspace import Project, Workspace

# The configuration of a real model, only smaller: same code path, no wait.
MODEL = {
    "embed_dim": 48,
    "vision_cfg": {"image_size": 64, "layers": 2, "width": 96, "patch_size": 16, "head_width": 32},
    "text_cfg": {"context_length": 8, "vocab_size": 64, "width": 32, "heads": 2, "layers": 1},
}


def photograph(number: int, size: tuple[int, int]) -> PillowImage.Image:
    """A window of a real photograph, another one for each number; size is (width, height)."""
    whole = load(PHOTOGRAPHS[number % len(PHOTOGRAPHS)])
    rng = np.random.default_rng(number)
    share = rng.uniform(0.6, 1.0)
    width = int(min(whole.width, whole.height * size[0] / size[1]) * share)
    height = int(width * size[1] / size[0])
    left, top = rng.integers(0, whole.width - width + 1), rng.integers(0, whole.height - height + 1)
    return whole.crop((left, top, left + width, top + height)).resize(size, PillowImage.Resampling.LANCZOS)


def write_photographs(
    folder: Path, groups: int, size: tuple[int, int] = (120, 160), extension: str = "jpg"
) -> list[str]:
    """Stage series of real photographs: a soft stage 1, and a sharp stage 2 with two local defects, far apart."""
    folder.mkdir(parents=True, exist_ok=True)
    names = []
    for number in range(groups):
        start = datetime(2025, 8, 3, 6) + timedelta(hours=number)
        first = photograph(number, size)
        second = first.copy()
        width, height = size[0] // 4, size[1] // 4
        for left, top in ((width // 4, height // 4), (size[0] // 2, size[1] // 2)):
            piece = second.crop((left, top, left + width, top + height))
            second.paste(ImageOps.invert(piece), (left, top))
        for place, (stage, image) in enumerate(((1.0, first.filter(ImageFilter.GaussianBlur(0.6))), (2.0, second))):
            names.append(stage_name(start + timedelta(minutes=place), stage, extension))
            image.save(folder / names[-1])
    return names


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as OpenCLIP's `local-dir:` form wants it."""
    from open_clip.model import CLIP

    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(7)
    torch.save(CLIP(**MODEL).state_dict(), folder / "open_clip_pytorch_model.bin")
    preprocess = {"size": 64, "mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "interpolation": "bicubic"}
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": MODEL, "preprocess_cfg": preprocess}))
    return folder


@pytest.fixture
def config(checkpoint: Path) -> Callable[..., EmbedConfig]:
    """A configuration of the small OpenCLIP encoder, in float32 so that no measurement decides."""

    def make(**changes: object) -> EmbedConfig:
        encoder = EncoderConfig("openclip", checkpoint=checkpoint)
        return EmbedConfig(**{"encoder": encoder, "batch": 4, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def photo_project(workspace: Workspace, images_folder: Path) -> Callable[..., Project]:
    """A started project of stage series of real photographs."""

    def make(groups: int = 3, folder: str = "", project_id: str = "p", **changes: object) -> Project:
        write_photographs(images_folder / folder, groups, **changes)  # type: ignore[arg-type]
        return projects.start(workspace, project_id, images_folder, at=SCANNED_AT)[0]

    return make
