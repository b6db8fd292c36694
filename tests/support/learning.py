"""What the tests of learning share: projects decided by a known rule, with pictures and vectors of their own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageFilter, ImageOps

from conftest import SCANNED_AT, stage_name
from pickroom.core.records import CropBox
from pickroom.features.choice import bind_spec
from pickroom.features.encoder import EncoderSpec
from pickroom.features.store import VectorRow, VectorStore, save_spec
from pickroom.files.cropping import Order, submit
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.encoding import photograph
from support.reviewing import FINALISE, queue, review

SIDE = 3  # of the patch grid
SPEC = EncoderSpec("legacy", "colours", "", None, 3 * SIDE * SIDE, SIDE, SIDE, 3, "", "float32")
STAGES = (1.0, 1.5, 2.0)
CROPS_EVERY = 3  # groups; the picked image is cropped there
DEFECT_EVERY = 2
SIZE = (96, 128)


def has_defect(number: int) -> bool:
    """Whether the highest stage of a group is spoilt: then the user picks the one below."""
    return number % DEFECT_EVERY == 1


def crop_of(number: int) -> CropBox | None:
    """The user's crop of a group's pick, None where none is needed."""
    if number % CROPS_EVERY:
        return None
    shift = (number % 5) / 50
    return CropBox(0.1 + shift, 0.05, 0.8 + shift, 0.75)


def write_groups(folder: Path, count: int, seed: int = 0) -> list[list[str]]:
    """Series of three stages, softer the lower; in some the highest has a piece turned upside down in colour."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        start = datetime(2025, 8, 3, 6) + timedelta(hours=number)
        sharp = photograph(seed + number, SIZE)
        names = []
        for place, (stage, blur) in enumerate(zip(STAGES, (0.9, 0.5, 0.0), strict=True)):
            image = sharp.filter(ImageFilter.GaussianBlur(blur)) if blur else sharp.copy()
            if place == 2 and has_defect(number):
                rng = np.random.default_rng(seed + number)
                left, top = int(rng.integers(0, SIZE[0] - 32)), int(rng.integers(0, SIZE[1] - 32))
                piece = image.crop((left, top, left + 32, top + 32))
                image.paste(ImageOps.invert(piece), (left, top))
            names.append(stage_name(start + timedelta(minutes=place), stage))
            image.save(folder / names[-1])
        made.append(names)
    return made


def embed_colours(project: Project, spec: EncoderSpec = SPEC) -> Project:
    """Vectors of an encoder that is a thumbnail: quick, and as real to the store as any."""
    store = VectorStore(project.workspace, spec, project.id)
    rows = []
    for group in queue(project):
        for image in group.images:
            with PillowImage.open(project.path(image.directory, image.filename)) as opened:
                small = opened.convert("RGB").resize((SIDE, SIDE), PillowImage.Resampling.BOX)
            grid = np.asarray(small, dtype=np.float32) / 255
            size = (image.width, image.height, image.file_size, image.mtime_ns)
            rows.append(VectorRow(image.filename, image.sha256, *size, grid.reshape(-1), grid, None))
    with store.writing("making vectors for a test"):
        save_spec(project.workspace, spec, {"source": "a test"})
        store.append(rows)
    return bind_spec(project, spec)


def decide(project: Project, numbers: Sequence[int], *, crop: bool = True, blind: bool = False) -> None:
    """Review the next groups by the rule, `numbers` being their places in the folder; finalise, and make the crops."""
    waiting = queue(project)[: len(numbers)]
    keys, orders = [], []
    for number, group in zip(numbers, waiting, strict=True):
        index = 1 if has_defect(number) else 2
        box = crop_of(number)
        keys.append("qwer"[index] if box else str(index + 1))
        if box is not None:
            orders.append(Order("crop", group.filenames[index], box))
    review(project, *keys, *FINALISE, batch_size=len(keys), blind=blind)
    if crop and orders:
        with closing(connect(project.database)) as connection:
            done = submit(project, connection, orders)
        assert len(done.done) == len(orders), done


def make_learned(root: Path, project_id: str, count: int, decided: int, seed: int = 0) -> Project:
    """A started project of `count` groups with vectors, the first ones decided and cropped."""
    folder = root / f"images_{project_id}"
    write_groups(folder, count, seed)
    workspace = Workspace(root / "home")
    project = embed_colours(projects.start(workspace, project_id, folder, at=SCANNED_AT)[0])
    decide(project, range(decided))
    return project
