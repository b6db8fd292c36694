"""The perceptual hashes and colours of previews, kept by content: made once, and read back the next time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.groups.image_features import fingerprint
from pickroom.images import decode, thumbnails
from pickroom.storage import append_log
from pickroom.store.workspace import Workspace

Progress = Callable[[int, int], None]  # (done, of)
_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time


_TILES = 4  # a side: colours of so many squares tell two pictures of one shape apart, and survive a trim


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What a preview is compared by.

    Attributes:
        phash: 64 bits of the brightness alone.
        colours: 32 signed bytes, Cb and Cr of 4x4 squares, row by row.
    """

    phash: int
    colours: bytes


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
    known = _read(log_path(workspace))
    found = {sha256: known[sha256] for sha256 in places if sha256 in known}
    missing = [sha256 for sha256 in places if sha256 not in known]
    if not missing:
        return found

    def make(sha256: str) -> Fingerprint | None:
        try:
            thumbnails.read(workspace.thumbnails, sha256, places[sha256])
            rgb = decode.read_rgb(thumbnails.thumbnail_path(workspace.thumbnails, sha256), draft=_DRAFT)
            return Fingerprint(fingerprint(rgb), colours_of(rgb))
        except (ImageError, OSError):
            return None  # judged by its vector alone, or by its content alone

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for done, (sha256, seen) in enumerate(zip(missing, pool.map(make, missing), strict=True), start=1):
            if seen is not None:
                found[sha256] = seen
            if progress:
                progress(done, len(missing))
    made = (
        {"sha256": sha256, "phash": f"{found[sha256].phash:016x}", "colours": found[sha256].colours.hex()}
        for sha256 in missing
        if sha256 in found
    )
    append_log.append(log_path(workspace), made)
    return found


def _read(path: Path) -> dict[str, Fingerprint]:
    """What the log holds; a line torn by a crash, or of before the colours were kept, is made anew."""
    found = {}
    for values in append_log.read(path):
        try:
            seen = Fingerprint(int(values["phash"], 16), bytes.fromhex(values["colours"]))
            found[str(values["sha256"])] = seen
        except (ValueError, TypeError, KeyError):
            continue
    size = 2 * _TILES * _TILES
    return {sha256: seen for sha256, seen in found.items() if 0 <= seen.phash < 1 << 64 and len(seen.colours) == size}
