"""How a project's images look: their perceptual hashes and vectors, and what the person's decisions say of likeness.

Perceptual hashes and colours of previews are kept by content: made once, and read back the next time.
"""

import os
import sqlite3
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagehash
import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.core.records import Group, Image
from pickroom.features.vectors import load_vectors
from pickroom.groups.similar import ImageFeatures
from pickroom.images import decode, thumbnails
from pickroom.images.scan import Progress
from pickroom.storage import append_log
from pickroom.store import decisions, groups
from pickroom.store.workspace import Project, Workspace

_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time
_TILES = 4  # a side: colours of so many squares tell two pictures of one shape apart, and survive a trim
# what a preview is compared by: 64 bits of the brightness alone; 32 signed bytes, Cb and Cr of 4x4 squares, row by row
Fingerprint = tuple[int, bytes]


def fingerprint(rgb: PillowImage.Image) -> int:
    """The 64-bit perceptual hash (DCT) of an upright image."""
    return int.from_bytes(np.packbits(imagehash.phash(rgb).hash).tobytes(), "big")


def colours_of(rgb: PillowImage.Image) -> bytes:
    """The mean Cb and Cr of 4x4 squares, as signed bytes about grey."""
    small = np.asarray(rgb.convert("YCbCr").resize((_TILES, _TILES), PillowImage.Resampling.BOX), np.int16)
    return (small[:, :, 1:] - 128).astype(np.int8).tobytes()


def log_path(workspace: Workspace) -> Path:
    """The append log: one JSON line a content: `sha256`, `phash` (16 hex digits), `colours` (64)."""
    return workspace.thumbnails.parent / "fingerprints.jsonl"


def fingerprints(
    workspace: Workspace, places: Mapping[str, Path], progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """The fingerprint of each content (sha256 -> a file that has it); one that cannot be read is left out.

    Those not in the log yet are made of the previews and appended.
    """
    known = _read_log(log_path(workspace))
    found = {sha256: known[sha256] for sha256 in places if sha256 in known}
    missing = [sha256 for sha256 in places if sha256 not in known]
    if not missing:
        return found

    def make(sha256: str) -> Fingerprint | None:
        try:
            thumbnails.read(workspace.thumbnails, sha256, places[sha256])
            rgb = decode.read_rgb(thumbnails.thumbnail_path(workspace.thumbnails, sha256), draft=_DRAFT)
            return fingerprint(rgb), colours_of(rgb)
        except (ImageError, OSError):
            return None  # judged by its vector alone, or by its content alone

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for done, (sha256, seen) in enumerate(zip(missing, pool.map(make, missing), strict=True), start=1):
            if seen is not None:
                found[sha256] = seen
            if progress:
                progress(done, len(missing))
    made = (
        {"sha256": sha256, "phash": f"{found[sha256][0]:016x}", "colours": found[sha256][1].hex()}
        for sha256 in missing
        if sha256 in found
    )
    append_log.append(log_path(workspace), made)
    return found


def _read_log(path: Path) -> dict[str, Fingerprint]:
    """What the log holds; a line torn by a crash, or of before the colours were kept, is made anew."""
    found = {}
    for values in append_log.read(path):
        try:
            seen = int(values["phash"], 16), bytes.fromhex(values["colours"])
            found[str(values["sha256"])] = seen
        except (ValueError, TypeError, KeyError):
            continue
    size = 2 * _TILES * _TILES
    return {sha256: seen for sha256, seen in found.items() if 0 <= seen[0] < 1 << 64 and len(seen[1]) == size}


def looks_of(project: Project, images: Sequence[Image], progress: Progress | None = None) -> dict[str, ImageFeatures]:
    """How each image looks, by file name; one that cannot be read still has the vector it has, and the reverse.

    Raises:
        StoreError: the project has no vectors yet.
    """
    vectors = load_vectors(project)
    places = {image.sha256: project.path(image.directory, image.filename) for image in images}
    hashes = fingerprints(project.workspace, places, progress)
    found: dict[str, ImageFeatures] = {}
    for image in images:
        bits, _ = hashes.get(image.sha256, (None, None))
        place = vectors.place(image.filename, image.sha256)
        missing = vectors.errors.get(image.filename, f"not embedded yet: pickroom embed {project.id}")
        looks = (None, missing) if place is None else (vectors.matrix[place],)
        found[image.filename] = ImageFeatures(bits, *looks)
    return found


def decided_groups(connection: sqlite3.Connection, project_id: str) -> tuple[list[Group], list[Group]]:
    """The groups that a person decided, in folder order: those that stood, and those taken apart (key K)."""
    outcomes = decisions.outcomes_by_person(connection)
    decided = [group for group in groups.every(connection, project_id) if group.group_id in outcomes]
    apart = [group for group in decided if outcomes[group.group_id] == "keep"]
    return [group for group in decided if outcomes[group.group_id] != "keep"], apart
