"""The technical block: what can be measured of one image without knowing what it shows."""

from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise

import numpy as np
from PIL import Image as PillowImage

LONG_SIDE = 512  # pixels of the image measured: the same for a file, a reduced decode and a preview
_CELLS = 12  # a side, of the grid that "centre", "edge" and "best part" are told by
_CENTRE = slice(3, 9)  # the middle half of that grid, each way
_WHITE, _BLACK = 250, 5  # of 255: at these levels and beyond a pixel's brightest channel is clipped
_LIGHT = np.array((0.299, 0.587, 0.114), dtype=np.float32) / 255  # ITU-R BT.601
_CACHED = 1 << 17  # numbers of a level: larger ones are worked on a few rows at a time, to stay in the cache
_SUM = 4 * 255  # the sum of four pixels at their highest level
_TINY = 1e-6

COLUMNS = (
    *(f"sharpness_{scale}" for scale in ("finest", "fine", "medium", "coarse")),
    *(f"sharpness_{scale}_centre" for scale in ("finest", "fine", "medium")),
    *(f"sharpness_{scale}_edge" for scale in ("finest", "fine", "medium")),
    *("sharpness_best_part", "sharpness_worst_part", "blur_direction"),
    *(f"brightness{part}" for part in ("", "_centre", "_edge", "_dark_end", "_median", "_light_end")),
    *("contrast", "contrast_local", "tonal_range", "highlights_clipped", "shadows_clipped"),
    *("noise_light", "noise_colour", "saturation", "colourfulness", "warmth", "tint", "detail_across", "detail_down"),
)


def measure(image: PillowImage.Image) -> np.ndarray:
    """The numbers of `COLUMNS` for one upright sRGB image: (31,) float32.

    Sharpness is the logarithm of the mean squared Laplacian, from one-pixel detail ("finest") to eight-pixel detail
    ("coarse"); brightness, contrast, saturation, warmth (red minus blue) and tint (green minus the mean of both) are of
    levels 0..1; clipped is a fraction of the pixels; noise is the standard deviation of levels in the smoothest parts
    (Immerkaer 1996); colourfulness is Hasler and Suesstrunk's (2003); detail_across and detail_down say where detail
    lies, 0 left or top, 1 right or bottom; blur_direction is the logarithm of horizontal to vertical gradients.
    """
    planes = _planes(image)
    highest, lowest = planes.max(axis=0), planes.min(axis=0)
    # colour changes slowly: a quarter of the pixels says as much; whole numbers, so that no noise is of rounding
    colours = red, green, blue = _sums_of_four(planes)
    scales = [_light(planes), _light(colours) / 4]
    for _ in range(2):
        scales.append(_halved(scales[-1]))
    energies = np.array([_cells(level, _squared_laplacian, margin=2) for level in scales])
    small = scales[1]
    exact = small.astype(np.float64)  # the difference of two numbers that are nearly the same is taken
    brightness, squares = _cells(exact), _cells(np.square(exact))
    dark, median, bright = _quantiles(small[::2, ::2], 0.05, 0.5, 0.95)
    worst, best = _quantiles(np.log(energies[1] + _TINY), 0.25, 0.95)
    across, down = (float(np.square(np.diff(small, axis=axis)).mean()) for axis in (1, 0))
    edge = np.ones((_CELLS, _CELLS), dtype=bool)
    edge[_CENTRE, _CENTRE] = False
    share = energies[1] / max(energies[1].sum(), _TINY)
    places = (np.arange(_CELLS) + 0.5) / _CELLS
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    colour = np.hypot(red_green.std(), yellow_blue.std()) + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())
    values = (
        *np.log(energies.mean(axis=(1, 2)) + _TINY).tolist(),
        *np.log(energies[:3, _CENTRE, _CENTRE].mean(axis=(1, 2)) + _TINY).tolist(),
        *np.log(energies[:3, edge].mean(axis=1) + _TINY).tolist(),
        best,
        worst,
        float(np.log((across + _TINY) / (down + _TINY))),
        float(small.mean()),
        float(brightness[_CENTRE, _CENTRE].mean()),
        float(brightness[edge].mean()),
        dark,
        median,
        bright,
        float(small.std()),
        float(np.sqrt(np.maximum(squares - brightness**2, 0)).mean()),
        bright - dark,
        np.count_nonzero(highest >= _WHITE) / highest.size,
        np.count_nonzero(highest <= _BLACK) / highest.size,
        _noise(scales[0]),
        _noise(red_green) / _SUM,
        int((highest - lowest).sum(dtype=np.uint32)) / highest.size / 255,
        float(colour) / _SUM,
        float(red.mean() - blue.mean()) / _SUM,
        float(green.mean() - (red.mean() + blue.mean()) / 2) / _SUM,
        float(share.sum(axis=0) @ places),
        float(share.sum(axis=1) @ places),
    )
    return np.array(values, dtype=np.float32)


def _planes(image: PillowImage.Image) -> np.ndarray:
    """(3, height, width) uint8, the long side at most `LONG_SIDE`, each side at least `16 * _CELLS`."""
    scale = min(1.0, LONG_SIDE / max(image.size))
    width, height = (max(16 * _CELLS, round(side * scale)) for side in image.size)
    if image.size != (width, height):
        image = image.resize((width, height), PillowImage.Resampling.BILINEAR, reducing_gap=2.0)
    return np.stack([np.asarray(plane) for plane in image.split()])


def _sums_of_four(planes: np.ndarray) -> np.ndarray:
    """(planes, height, width) uint8 at half the size, as float32; an odd row or column at the end is left out."""
    rows, cols = planes.shape[1] // 2 * 2, planes.shape[2] // 2 * 2
    pairs = planes[:, :rows, :cols].view(np.uint16)  # two neighbours in one number: faster than every second one
    pairs = (pairs & 255) + (pairs >> 8)
    return (pairs[:, ::2] + pairs[:, 1::2]).astype(np.float32)


def _light(planes: np.ndarray) -> np.ndarray:
    """(height, width) float32: the brightness of red, green and blue."""
    red, green, blue = _LIGHT
    return np.asarray(red * planes[0] + green * planes[1] + blue * planes[2])


def _halved(level: np.ndarray) -> np.ndarray:
    """(height, width) at half the size, means of four; an odd row or column at the end is left out."""
    rows, cols = level.shape[0] // 2 * 2, level.shape[1] // 2 * 2
    pairs = level[:rows:2] + level[1:rows:2]
    return np.asarray((pairs[:, :cols:2] + pairs[:, 1:cols:2]) / 4)


def _squared_laplacian(level: np.ndarray) -> np.ndarray:
    laplacian = 4 * level[1:-1, 1:-1]
    for neighbours in (level[:-2, 1:-1], level[2:, 1:-1], level[1:-1, :-2], level[1:-1, 2:]):
        laplacian -= neighbours
    return np.square(laplacian, out=laplacian)


def _cells(level: np.ndarray, of: Callable[[np.ndarray], np.ndarray] = np.asarray, margin: int = 0) -> np.ndarray:
    """(_CELLS, _CELLS): the mean of each cell of a grid over what `of` makes of a level.

    Args:
        margin: rows and columns that `of` leaves out.
    """
    rows, cols, areas = _grid(level.shape[0] - margin, level.shape[1] - margin)
    if level.size < _CACHED:
        sums = np.add.reduceat(of(level), rows[:-1])
    else:
        sums = np.array([np.add.reduce(of(level[start : end + margin])) for start, end in pairwise(rows)])
    return np.asarray(np.add.reduceat(sums, cols[:-1], axis=1) / areas)


@lru_cache(64)
def _grid(height: int, width: int) -> tuple[list[int], list[int], np.ndarray]:
    """The first row and the first column of each cell, and their ends; the pixels of each cell."""
    rows, cols = (np.linspace(0, side, _CELLS + 1).astype(int) for side in (height, width))
    return rows.tolist(), cols.tolist(), np.outer(np.diff(rows), np.diff(cols)).astype(np.float32)


def _noise(level: np.ndarray) -> float:
    """Standard deviation of noise in the smoothest tenth of the image; edges and slopes do not count."""
    (smoothest,) = _quantiles(_cells(level, lambda rows: np.abs(_second(_second(rows).T)).T, margin=2), 0.1)
    return float(np.sqrt(np.pi / 2) / 6 * smoothest)


def _second(level: np.ndarray) -> np.ndarray:
    """Second differences down."""
    second = level[2:] + level[:-2]
    second -= level[1:-1]
    second -= level[1:-1]
    return np.asarray(second)


def _quantiles(values: np.ndarray, *shares: float) -> list[float]:
    """As `np.quantile`, which takes several times as long."""
    ordered, places = np.sort(values, axis=None), np.multiply(shares, values.size - 1)
    found: list[float] = np.interp(places, np.arange(values.size), ordered).tolist()
    return found
