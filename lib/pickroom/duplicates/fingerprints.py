"""The perceptual hashes of previews, kept by content: made once, and read back the next time."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pickroom import append_log
from pickroom.errors import ImageError
from pickroom.groups.looks import fingerprint
from pickroom.images import decode, thumbnails
from pickroom.workspace import Workspace

Progress = Callable[[int, int], None]  # (done, of)
_DRAFT = 128  # pixels: four times what the hash is computed on, and a JPEG decodes to that in a fraction of the time


def log_path(workspace: Workspace) -> Path:
    """The append log: one JSON line a content, `sha256` and `phash` (16 hex digits)."""
    return workspace.thumbnails.parent / "fingerprints.jsonl"


def fingerprints(workspace: Workspace, places: Mapping[str, Path], progress: Progress | None = None) -> dict[str, int]:
    """The 64-bit hash of each content (sha256 -> a file that has it); one that cannot be read is left out.

    Those not in the log yet are made of the previews and appended.
    """
    known = _read(log_path(workspace))
    found = {sha256: known[sha256] for sha256 in places if sha256 in known}
    missing = [sha256 for sha256 in places if sha256 not in known]
    if not missing:
        return found

    def make(sha256: str) -> int | None:
        try:
            thumbnails.read(workspace.thumbnails, sha256, places[sha256])
            return fingerprint(decode.read_rgb(thumbnails.thumbnail_path(workspace.thumbnails, sha256), draft=_DRAFT))
        except (ImageError, OSError):
            return None  # judged by its vector alone, or by its content alone

    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for done, (sha256, bits) in enumerate(zip(missing, pool.map(make, missing), strict=True), start=1):
            if bits is not None:
                found[sha256] = bits
            if progress:
                progress(done, len(missing))
    made = ({"sha256": sha256, "phash": f"{found[sha256]:016x}"} for sha256 in missing if sha256 in found)
    append_log.append(log_path(workspace), made)
    return found


def _read(path: Path) -> dict[str, int]:
    """What the log holds; a line torn by a crash is made anew."""
    found = {}
    for values in append_log.read(path):
        try:
            found[str(values["sha256"])] = int(values["phash"], 16)
        except (ValueError, TypeError, KeyError):
            continue
    return {sha256: bits for sha256, bits in found.items() if 0 <= bits < 1 << 64}
