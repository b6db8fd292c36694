"""Perceptual hashes of images, from their previews."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import imagehash
import numpy as np
from PIL import Image as PillowImage

from pickroom.errors import ImageError
from pickroom.images import decode, thumbnails
from pickroom.images.scan import Progress
from pickroom.records import Image
from pickroom.workspace import Project

_DRAFT = 128  # pixels: four times what the hash is computed on, and JPEG decodes so small in a tenth of the time


def fingerprint(rgb: PillowImage.Image) -> int:
    """The 64-bit perceptual hash (DCT) of an upright image."""
    bits = imagehash.phash(rgb).hash.ravel()
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def fingerprints(
    project: Project, images: Sequence[Image], progress: Progress | None = None
) -> tuple[dict[str, int], dict[str, str]]:
    """Each image's perceptual hash by file name, and why some have none.

    They are made anew from the previews each time: two milliseconds each, and no cache to go stale.
    """

    def one(image: Image) -> int | str:
        try:
            thumbnails.read(project.workspace.thumbnails, image.sha256, project.path(image.directory, image.filename))
            path = thumbnails.thumbnail_path(project.workspace.thumbnails, image.sha256)
            return fingerprint(decode.read_rgb(path, draft=_DRAFT))
        except (ImageError, OSError) as error:
            return error.reason if isinstance(error, ImageError) else f"unreadable: {error.strerror or error}"

    found: dict[str, int] = {}
    failed: dict[str, str] = {}
    with ThreadPoolExecutor() as pool:
        for done, (image, result) in enumerate(zip(images, pool.map(one, images), strict=True), start=1):
            if isinstance(result, int):
                found[image.filename] = result
            else:
                failed[image.filename] = result
            if progress:
                progress(done, len(images))
    return found, failed
