"""Find the place of a cropped image in its original by template matching.

Method: normalised cross-correlation (Lewis 1995, "Fast Normalized Cross-Correlation") of the crop with the original,
both small; then the best places are followed through larger and larger versions of the two to the pixel. The crop is
cut anew from the original there and compared with the file.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.signal import fftconvolve

from pickroom.core.geometry import PixelBox

MIN_SCORE = 0.8  # FORMATS.md: below this a place is not a match
# 8-bit units, mean over all pixels: a JPEG saved again is off by 1-4, a retouched or recoloured picture by more
MAX_DIFFERENCE = 10.0
TOLERANCE = 2  # pixels: two places no farther apart count as one
# Another place counts as equally good when the crop there differs hardly more than at the best one.
_ALIKE_RATIO, _ALIKE_UNITS = 1.2, 0.1

_COARSE_SIDE = 48  # pixels of the crop's shorter side where the search begins
_CANDIDATES = 3  # places followed to full size
_WORTH = 0.15  # below the best score by more than this, a place is not followed
_SAMPLES = 250_000  # pixels compared at full size; more change nothing
_EVEN = 1e-4  # variance in 8-bit units: below it a place has only rounding errors to compare
_FLAT = 1.0  # standard deviation in 8-bit units: a picture below it is too uniform to be found


@dataclass(frozen=True, slots=True)
class CropLocation:
    """What the search found."""

    pixels: PixelBox | None  # the crop's edges in the original; None when unknown, with the `reason`
    score: float | None  # correlation in [-1, 1] at the best place, None for a flat picture
    difference: float | None  # mean absolute difference there, 8-bit units
    runner_up: float | None  # the correlation at the next best place more than TOLERANCE away, None without one
    reason: str | None


class _Candidate(NamedTuple):
    x: int
    y: int
    score: float
    difference: float


def find_crop(original: np.ndarray, crop: np.ndarray) -> CropLocation:
    """Find a crop in its original, both at the size they were saved in.

    Args:
        original: (H, W) grey, 8-bit units in any number type.
        crop: (h, w) likewise, no side longer than the original's.

    Raises:
        ValueError: the crop does not fit into the original.
    """
    height, width = crop.shape
    if height > original.shape[0] or width > original.shape[1]:
        raise ValueError(f"a crop of {width} x {height} is larger than its original")
    if crop.std() < _FLAT:
        return CropLocation(None, None, None, None, "the picture is too even to be found in its original")
    # at full size, at half of it, and so on until the crop is small
    levels = [(original.astype(np.float32), crop.astype(np.float32))]
    while min(levels[-1][1].shape) >= 2 * _COARSE_SIDE:
        levels.append((_halved(levels[-1][0]), _halved(levels[-1][1])))
    found: list[_Candidate] = []
    for x, y in _coarse(*levels[-1]):
        candidate = _best_around(*levels[-1], x, y)
        for larger in reversed(levels[:-1]):
            candidate = _best_around(*larger, 2 * candidate.x, 2 * candidate.y)
        if all(max(abs(candidate.x - one.x), abs(candidate.y - one.y)) > TOLERANCE for one in found):
            found.append(candidate)
    found.sort(key=lambda candidate: candidate.score, reverse=True)
    best = found[0]
    # places just outside of TOLERANCE: where these fit equally well, the place is unknown
    steps = (-TOLERANCE - 1, 0, TOLERANCE + 1)
    ring = [(best.x + dx, best.y + dy) for dy in steps for dx in steps if dx or dy]
    others = [*found[1:], *_compare(*levels[0], ring, clip=False)]
    runner_up = max(others, key=lambda candidate: candidate.score, default=None)
    closest = min((candidate.difference for candidate in others), default=math.inf)
    reason = None
    if best.score < MIN_SCORE:
        reason = f"score {best.score:.2f} below {MIN_SCORE}"
    elif best.difference > MAX_DIFFERENCE:
        reason = f"the original cropped anew differs by {best.difference:.1f} of 255 on average"
    elif closest <= best.difference * _ALIKE_RATIO + _ALIKE_UNITS:
        reason = "ambiguous: it fits as well in another place"
    pixels = None if reason else (best.x, best.y, best.x + width, best.y + height)
    return CropLocation(pixels, best.score, best.difference, runner_up.score if runner_up else None, reason)


def _halved(image: np.ndarray) -> np.ndarray:
    """Means of 2 x 2 pixels; an odd last row or column is left out."""
    height, width = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    halved: np.ndarray = image[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3))
    return halved


def _coarse(original: np.ndarray, crop: np.ndarray) -> Iterator[tuple[int, int]]:
    """The best places (x, y) of a small crop in its small original, best first, apart from each other.

    By normalised cross-correlation with every place where it fits, in [-1, 1]; 0 where all is even.
    """
    ones = np.ones(crop.shape)
    original = original - original.mean(dtype=np.float64)  # sums of squares keep more digits
    centred = crop - crop.mean(dtype=np.float64)
    total, squares = fftconvolve(original, ones, "valid"), fftconvolve(original**2, ones, "valid")
    spread = squares - total**2 / crop.size
    product = fftconvolve(original, centred[::-1, ::-1], "valid")
    norm = np.sqrt(np.maximum(spread, 0) * np.vdot(centred, centred))
    scores: np.ndarray = np.divide(product, norm, out=np.zeros_like(product), where=spread > _EVEN * crop.size)
    scores = scores.clip(-1, 1)
    best = float(scores.max())
    for _ in range(_CANDIDATES):
        y, x = np.unravel_index(int(np.argmax(scores)), scores.shape)
        if not scores[y, x] > best - _WORTH:
            return
        yield int(x), int(y)
        scores[max(0, y - TOLERANCE) : y + TOLERANCE + 1, max(0, x - TOLERANCE) : x + TOLERANCE + 1] = -1


def _best_around(original: np.ndarray, crop: np.ndarray, x: int, y: int) -> _Candidate:
    """The best place within three pixels: each level doubles the error of the last one, and rounds."""
    around = [(x + dx, y + dy) for dy in range(-3, 4) for dx in range(-3, 4)]
    return max(_compare(original, crop, around), key=lambda candidate: candidate.score)


def _compare(
    original: np.ndarray, crop: np.ndarray, places: list[tuple[int, int]], *, clip: bool = True
) -> list[_Candidate]:
    """Compare the crop with the original at each place.

    Args:
        clip: push places outside the original to its edge; else leave them out.
    """
    height, width = crop.shape
    most_x, most_y = original.shape[1] - width, original.shape[0] - height
    if clip:
        places = list({(min(max(x, 0), most_x), min(max(y, 0), most_y)) for x, y in places})
    step = max(1, math.isqrt(height * width // _SAMPLES))
    wanted = np.ascontiguousarray(crop[::step, ::step])
    centred = wanted - wanted.mean()
    norm = float(np.linalg.norm(centred))
    found = []
    for x, y in places:
        if not (0 <= x <= most_x and 0 <= y <= most_y):
            continue
        cut = np.ascontiguousarray(original[y : y + height : step, x : x + width : step])
        shifted = cut - cut.mean()
        product = norm * float(np.linalg.norm(shifted))
        score = float(np.vdot(centred, shifted)) / product if product > 0 else 0.0
        found.append(_Candidate(x, y, score, float(np.abs(cut - wanted).mean())))
    return found
