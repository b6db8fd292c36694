"""The technical block: what can be measured of one image without knowing what it shows."""

import numpy as np
from PIL import Image as PillowImage

LONG_SIDE = 512  # pixels of the image measured: the same for a file, a reduced decode and a preview
_CELLS = 12  # a side, of the grid that "centre", "edge" and "best part" are told by
_CENTRE = slice(3, 9)  # the middle half of that grid, each way
_WHITE, _BLACK = 250, 5  # of 255: at these levels and beyond a pixel's brightest channel is clipped
_LIGHT = np.array((0.299, 0.587, 0.114), dtype=np.float32) / 255  # ITU-R BT.601
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
    bytes_ = _planes(image)
    highest, lowest = bytes_.max(axis=0), bytes_.min(axis=0)
    # colour changes slowly: a quarter of the pixels says as much
    red, green, blue = (_halved(plane.astype(np.float32) / 255) for plane in bytes_)
    red_weight, green_weight, blue_weight = _LIGHT
    light = bytes_[0] * red_weight + bytes_[1] * green_weight + bytes_[2] * blue_weight
    scales = [light]
    for _ in range(3):
        scales.append(_halved(scales[-1]))
    energies = [_cells(_laplacian(level) ** 2) for level in scales]
    logs = [np.log(cells + _TINY) for cells in energies]
    small = scales[1]
    brightness = _cells(small)
    squares = _cells(small**2)
    dark, median, bright = np.quantile(small[::2, ::2], (0.05, 0.5, 0.95))
    across, down = (float(np.mean(np.diff(small, axis=axis) ** 2)) for axis in (1, 0))
    edge = np.ones((_CELLS, _CELLS), dtype=bool)
    edge[_CENTRE, _CENTRE] = False
    share = energies[1] / max(energies[1].sum(), _TINY)
    places = (np.arange(_CELLS) + 0.5) / _CELLS
    red_green, yellow_blue = red - green, (red + green) / 2 - blue
    colour = np.hypot(red_green.std(), yellow_blue.std()) + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean())
    values = (
        *(float(np.log(cells.mean() + _TINY)) for cells in energies),
        *(float(np.log(cells[_CENTRE, _CENTRE].mean() + _TINY)) for cells in energies[:3]),
        *(float(np.log(cells[edge].mean() + _TINY)) for cells in energies[:3]),
        float(np.quantile(logs[1], 0.95)),
        float(np.quantile(logs[1], 0.25)),
        float(np.log((across + _TINY) / (down + _TINY))),
        float(small.mean()),
        float(brightness[_CENTRE, _CENTRE].mean()),
        float(brightness[edge].mean()),
        float(dark),
        float(median),
        float(bright),
        float(small.std()),
        float(np.sqrt(np.maximum(squares - brightness**2, 0)).mean()),
        float(bright - dark),
        float((highest >= _WHITE).mean()),
        float((highest <= _BLACK).mean()),
        _noise(light),
        _noise(red_green),
        float((highest - lowest).mean()) / 255,
        float(colour),
        float((red - blue).mean()),
        float((green - (red + blue) / 2).mean()),
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


def _halved(level: np.ndarray) -> np.ndarray:
    """(height, width) at half the size, means of four; an odd row or column at the end is left out."""
    rows, cols = level.shape[-2] // 2 * 2, level.shape[-1] // 2 * 2
    cut = level[..., :rows, :cols]
    return np.asarray((cut[..., ::2, ::2] + cut[..., 1::2, ::2] + cut[..., ::2, 1::2] + cut[..., 1::2, 1::2]) / 4)


def _laplacian(level: np.ndarray) -> np.ndarray:
    inner = level[1:-1, 1:-1]
    return 4 * inner - level[:-2, 1:-1] - level[2:, 1:-1] - level[1:-1, :-2] - level[1:-1, 2:]


def _cells(values: np.ndarray) -> np.ndarray:
    """(_CELLS, _CELLS): the mean of each cell of a grid over the image."""
    rows, cols = (np.linspace(0, side, _CELLS + 1).astype(int)[:-1] for side in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, axis=0), cols, axis=1)
    heights, widths = (np.diff(np.append(start, side)) for start, side in zip((rows, cols), values.shape, strict=True))
    return sums / np.outer(heights, widths)


def _noise(values: np.ndarray) -> float:
    """Standard deviation of noise in the smoothest tenth of the image; edges and slopes do not count."""
    second = values[:, 2:] - 2 * values[:, 1:-1] + values[:, :-2]
    both = np.abs(second[2:] - 2 * second[1:-1] + second[:-2])
    return float(np.sqrt(np.pi / 2) / 6 * np.quantile(_cells(both), 0.1))
