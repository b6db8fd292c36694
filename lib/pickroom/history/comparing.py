"""One final image held against its original: the same size, cropped (and where), or something else."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from pickroom.core.errors import ImageError
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.core.records import CropBox
from pickroom.history.pairing import Pair
from pickroom.history.sources import Source
from pickroom.history.template import MAX_DIFFERENCE, find_crop
from pickroom.images import decode
from pickroom.store.legacy import Match
from pickroom.store.workspace import utc_now

Progress = Callable[[int, int], None]  # pairs compared, pairs in all


@dataclass(frozen=True, slots=True)
class Compared:
    """What the pixels of one pair say.

    Attributes:
        change: "same" size, "smaller" (cropped), "larger" in a side, or "unreadable" for the reason `problem`.
        size: (width, height) in pixels of the upright original, None when it cannot be read.
        match: what template matching found, for a smaller one that was looked for.
    """

    pair: Pair
    change: Literal["same", "smaller", "larger", "unreadable"]
    size: tuple[int, int] | None = None
    match: Match | None = None
    problem: str = ""


def compare_all(
    originals: Source,
    finals: Source,
    pairs: Sequence[Pair],
    project_id: str,
    boxed: frozenset[str],
    progress: Progress | None = None,
) -> Iterator[Compared]:
    """Compare every pair, in order.

    Args:
        boxed: names whose crop is known: their pixels are not searched.
    """

    def compare(pair: Pair) -> Compared:
        return _compare(originals, finals, pair, project_id, search=pair.original.filename not in boxed)

    # NumPy and Pillow let go of the interpreter; each pair at work holds some 150 MB at 3,000 x 3,000 pixels
    with ThreadPoolExecutor(min(os.cpu_count() or 2, 8)) as pool:
        for done, found in enumerate(pool.map(compare, pairs), start=1):
            yield found
            if progress:
                progress(done, len(pairs))


def _compare(originals: Source, finals: Source, pair: Pair, project_id: str, *, search: bool) -> Compared:
    try:
        with originals.as_file(pair.original) as original, finals.as_file(pair.final) as final:
            size, final_size = _size_of(original), _size_of(final)
            if size == final_size:
                return Compared(pair, "same", size)
            if final_size[0] > size[0] or final_size[1] > size[1]:
                return Compared(pair, "larger", size)
            if not search:
                return Compared(pair, "smaller", size)
            return Compared(pair, "smaller", size, match_files(original, final, project_id, pair.original.filename))
    except ImageError as error:
        return Compared(pair, "unreadable", problem=error.reason)
    except OSError as error:
        return Compared(pair, "unreadable", problem=error.strerror or str(error))


def match_files(original: Path, final: Path, project_id: str, filename: str) -> Match:
    """Find a cropped file in its original by template matching, and check the box by cutting it anew.

    Raises:
        ImageError: the pixels of one of them cannot be read.
    """
    whole, part = _grey(original), _grey(final)
    place = find_crop(whole, part)
    box, difference, reason = None, place.difference, place.reason
    if place.pixels is not None:
        size = whole.shape[1], whole.shape[0]
        candidate = from_pixels(place.pixels, *size)
        difference = _difference(whole, part, candidate)
        if difference is None or difference > MAX_DIFFERENCE:
            reason = "the original cropped anew is not this picture"
        else:
            box = candidate
    return Match(project_id, filename, box, place.score, place.runner_up, difference, reason, utc_now())


def _difference(original: np.ndarray, final: np.ndarray, box: CropBox) -> float | None:
    """Mean absolute difference, 8-bit units, of the final image from its original cropped to the box; None if the
    crop comes out in another size."""
    x1, y1, x2, y2 = to_pixels(box, original.shape[1], original.shape[0])
    again = original[y1:y2, x1:x2]
    if again.shape != final.shape:
        return None
    return float(np.abs(again.astype(np.int16) - final).mean())


def _size_of(path: Path) -> tuple[int, int]:
    with decode.open_image(path) as image:
        return decode.upright_size(image)


def _grey(path: Path) -> np.ndarray:
    """(H, W) uint8, upright."""
    return np.asarray(decode.read_rgb(path).convert("L"))
