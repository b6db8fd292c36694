"""How a project's images look: their perceptual hashes and vectors, and what the person's decisions say of likeness."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations, pairwise

import imagehash
import numpy as np
from PIL import Image as PillowImage

from pickroom.embeddings.vectors import load_vectors
from pickroom.errors import ImageError
from pickroom.groups.agreement import JudgedPair
from pickroom.groups.similar import Look
from pickroom.images import decode, thumbnails
from pickroom.images.scan import Progress
from pickroom.records import Group, Image
from pickroom.store import decisions, groups
from pickroom.workspace import Project

_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time


def fingerprint(rgb: PillowImage.Image) -> int:
    """The 64-bit perceptual hash (DCT) of an upright image."""
    return int.from_bytes(np.packbits(imagehash.phash(rgb).hash).tobytes(), "big")


def looks_of(project: Project, images: Sequence[Image], progress: Progress | None = None) -> dict[str, Look]:
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

    found: dict[str, Look] = {}
    with ThreadPoolExecutor() as pool:
        for done, (image, bits) in enumerate(zip(images, pool.map(hashed, images), strict=True), start=1):
            place = vectors.place(image.filename, image.sha256)
            missing = vectors.errors.get(image.filename, f"not embedded yet: pickroom embed {project.id}")
            found[image.filename] = Look(bits, None, missing) if place is None else Look(bits, vectors.matrix[place])
            if progress:
                progress(done, len(images))
    return found


def decided_groups(connection: sqlite3.Connection, project_id: str) -> tuple[list[Group], set[str]]:
    """Every group that a person decided, in folder order; and the ids of those taken apart (key K)."""
    outcomes = decisions.outcomes_by_person(connection)
    apart = {group_id for group_id, outcome in outcomes.items() if outcome == "keep"}
    return [g for g in groups.every(connection, project_id) if g.group_id in outcomes], apart


def judged_pairs(decided: Sequence[Group], apart: Iterable[str], looks: Mapping[str, Look]) -> list[JudgedPair]:
    """What the person said of pairs of images: those of a decided group belong together, those of a group taken apart
    do not, nor do two groups that follow each other in one folder (of these one pair: their last and first image).
    """
    split = set(apart)
    found = []
    for group in decided:
        for a, b in combinations(group.filenames, 2):
            found.append(_pair(a, b, looks, together=group.group_id not in split))
    for before, after in pairwise(decided):
        if before.directory == after.directory:
            found.append(_pair(before.filenames[-1], after.filenames[0], looks, together=False))
    return [pair for pair in found if pair.cosine is not None or pair.bits is not None]


def _pair(a: str, b: str, looks: Mapping[str, Look], *, together: bool) -> JudgedPair:
    one, other = looks[a], looks[b]
    cosine = bits = None
    if one.vector is not None and other.vector is not None:
        lengths = float(np.linalg.norm(one.vector) * np.linalg.norm(other.vector))
        cosine = float(one.vector @ other.vector) / lengths if lengths else None
    if one.fingerprint is not None and other.fingerprint is not None:
        bits = (one.fingerprint ^ other.fingerprint).bit_count()
    return JudgedPair(cosine, bits, together)
