"""The perceptual hashes of previews, kept by content: made once, and read back the next time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    _append(log_path(workspace), {sha256: found[sha256] for sha256 in missing if sha256 in found})
    return found


def _read(path: Path) -> dict[str, int]:
    """What the log holds; a line torn by a crash is made anew."""
    found = {}
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return {}
    for line in text.splitlines():
        try:
            values = json.loads(line)
            found[str(values["sha256"])] = int(values["phash"], 16)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue
    return {sha256: bits for sha256, bits in found.items() if 0 <= bits < 1 << 64}


def _append(path: Path, made: Mapping[str, int]) -> None:
    if not made:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = "".join(json.dumps({"sha256": s, "phash": f"{bits:016x}"}) + "\n" for s, bits in made.items())
    # the newline in front ends a line that a crash tore, so that it cannot swallow the first of these
    with path.open("a", encoding="utf-8") as log:
        log.write(f"\n{lines}")
