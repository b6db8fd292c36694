"""How a project's images look: their perceptual hashes and vectors, and what the person's decisions say of likeness."""

import sqlite3
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.core.records import Group, Image
from pickroom.features.store import load_vectors
from pickroom.groups.similar import ImageFeatures
from pickroom.images import decode, thumbnails
from pickroom.images.scan import Progress
from pickroom.store import decisions, groups
from pickroom.store.workspace import Project

_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time


def fingerprint(rgb: PillowImage.Image) -> int:
    """The 64-bit perceptual hash (DCT) of an upright image."""
    return int.from_bytes(np.packbits(imagehash.phash(rgb).hash).tobytes(), "big")


def looks_of(project: Project, images: Sequence[Image], progress: Progress | None = None) -> dict[str, ImageFeatures]:
    """How each image looks, by file name; one that cannot be read still has the vector it has, and the reverse.

    The hashes are made anew from the previews: a few milliseconds each, and no cache to go stale.

    Raises:
        StoreError: the project has no vectors yet.
    """
    vectors = load_vectors(project)

    def hashed(image: Image) -> int | None:
        folder = project.workspace.thumbnails
        try:
            thumbnails.read(folder, image.sha256, project.path(image.directory, image.filename))
            return fingerprint(decode.read_rgb(thumbnails.thumbnail_path(folder, image.sha256), draft=_DRAFT))
        except (ImageError, OSError):
            return None  # the vector's own error says why, or the image is judged by its vector alone

    found: dict[str, ImageFeatures] = {}
    with ThreadPoolExecutor() as pool:
        for done, (image, bits) in enumerate(zip(images, pool.map(hashed, images), strict=True), start=1):
            place = vectors.place(image.filename, image.sha256)
            missing = vectors.errors.get(image.filename, f"not embedded yet: pickroom embed {project.id}")
            found[image.filename] = (
                ImageFeatures(bits, None, missing) if place is None else ImageFeatures(bits, vectors.matrix[place])
            )
            if progress:
                progress(done, len(images))
    return found


def decided_groups(connection: sqlite3.Connection, project_id: str) -> tuple[list[Group], list[Group]]:
    """The groups that a person decided, in folder order: those that stood, and those taken apart (key K)."""
    outcomes = decisions.outcomes_by_person(connection)
    decided = [group for group in groups.every(connection, project_id) if group.group_id in outcomes]
    apart = [group for group in decided if outcomes[group.group_id] == "keep"]
    return [group for group in decided if outcomes[group.group_id] != "keep"], apart
