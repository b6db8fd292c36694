"""The technical block: each number follows what it is named after, whatever the size of the image."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageEnhance, ImageFilter

from pickroom.features.technical import COLUMNS, measure
from support.encoding import photograph

PHOTOGRAPH = photograph(1, (480, 360))
RED, GREEN, BLUE = PHOTOGRAPH.split()


def numbers(image: PillowImage.Image) -> dict[str, float]:
    return dict(zip(COLUMNS, measure(image).tolist(), strict=True))


def noisy(image: PillowImage.Image, colour: bool) -> PillowImage.Image:
    levels = np.asarray(image, dtype=np.float64)
    shape = levels.shape if colour else (*levels.shape[:2], 1)
    made = levels + np.random.default_rng(1).normal(0, 12, shape)
    return PillowImage.fromarray(made.clip(0, 255).astype(np.uint8))


def half_blurred() -> PillowImage.Image:
    """Blurred, but for the middle."""
    made = PHOTOGRAPH.filter(ImageFilter.GaussianBlur(3))
    box = (120, 90, 360, 270)
    made.paste(PHOTOGRAPH.crop(box), box)
    return made


@pytest.mark.parametrize(
    ("column", "more"),
    [
        ("sharpness_finest", PHOTOGRAPH.filter(ImageFilter.UnsharpMask(2, 200))),
        ("sharpness_worst_part", PHOTOGRAPH.filter(ImageFilter.UnsharpMask(2, 200))),
        ("brightness", ImageEnhance.Brightness(PHOTOGRAPH).enhance(1.2)),
        ("brightness_median", ImageEnhance.Brightness(PHOTOGRAPH).enhance(1.2)),
        ("highlights_clipped", ImageEnhance.Brightness(PHOTOGRAPH).enhance(2)),
        ("shadows_clipped", ImageEnhance.Brightness(PHOTOGRAPH).enhance(0.02)),
        ("contrast", ImageEnhance.Contrast(PHOTOGRAPH).enhance(1.5)),
        ("tonal_range", ImageEnhance.Contrast(PHOTOGRAPH).enhance(1.5)),
        ("saturation", ImageEnhance.Color(PHOTOGRAPH).enhance(1.5)),
        ("colourfulness", ImageEnhance.Color(PHOTOGRAPH).enhance(1.5)),
        ("noise_light", noisy(PHOTOGRAPH, colour=False)),
        ("noise_colour", noisy(PHOTOGRAPH, colour=True)),
        ("warmth", PillowImage.merge("RGB", (RED, GREEN, BLUE.point(lambda level: level // 2)))),
        ("tint", PillowImage.merge("RGB", (RED, GREEN, BLUE.point(lambda level: level // 2)))),
    ],
)
def test_a_number_rises_with_what_it_measures(column: str, more: PillowImage.Image) -> None:
    assert numbers(more)[column] > numbers(PHOTOGRAPH)[column]


def test_blur_lowers_sharpness_finest_first() -> None:
    sharp, soft = numbers(PHOTOGRAPH), numbers(PHOTOGRAPH.filter(ImageFilter.GaussianBlur(1.5)))
    losses = [
        sharp[f"sharpness_{scale}"] - soft[f"sharpness_{scale}"] for scale in ("finest", "fine", "medium", "coarse")
    ]
    assert losses == sorted(losses, reverse=True) and losses[-1] > 0


def test_centre_and_edge_are_told_apart() -> None:
    sharp, soft = numbers(PHOTOGRAPH), numbers(half_blurred())
    assert abs(sharp["sharpness_fine_centre"] - soft["sharpness_fine_centre"]) < 0.4
    assert sharp["sharpness_fine_edge"] - soft["sharpness_fine_edge"] > 1


def test_motion_blur_shows_its_direction() -> None:
    levels = np.asarray(PHOTOGRAPH, dtype=np.float32)
    moved = np.mean([np.roll(levels, shift, axis=1) for shift in range(9)], axis=0).astype(np.uint8)
    assert numbers(PillowImage.fromarray(moved))["blur_direction"] < numbers(PHOTOGRAPH)["blur_direction"] - 0.5


def test_a_reduced_decode_gives_nearly_the_same_numbers() -> None:
    large = photograph(1, (1600, 1200))
    whole, half = numbers(large), numbers(large.resize((800, 600), PillowImage.Resampling.BICUBIC))
    for column in COLUMNS:
        assert whole[column] == pytest.approx(half[column], abs=0.15), column


@pytest.mark.parametrize("number", range(6))
def test_numbers_are_those_of_the_plain_formulas(number: int) -> None:
    image = photograph(number, [(512, 384), (301, 257)][number % 2])
    found, wanted = numbers(image), plain(np.asarray(image) / 255)
    assert found == pytest.approx(wanted, rel=1e-5, abs=1e-6)


def plain(rgb: np.ndarray) -> dict[str, float]:
    """Every number by its formula, without what makes it fast; of (height, width, 3) levels that need no resize."""

    def half(level: np.ndarray) -> np.ndarray:
        rows, cols = (side // 2 for side in level.shape[:2])
        return level[: 2 * rows, : 2 * cols].reshape(rows, 2, cols, 2, -1).mean(axis=(1, 3)).squeeze()

    def cells(values: np.ndarray) -> np.ndarray:
        rows, cols = (np.linspace(0, side, 13).astype(int) for side in values.shape)
        pieces = (values[a:b, c:d] for a, b in pairwise(rows) for c, d in pairwise(cols))
        return np.array([piece.mean() for piece in pieces]).reshape(12, 12)

    def noise(level: np.ndarray) -> float:
        both = np.diff(level, 2, axis=0)
        return float(np.sqrt(np.pi / 2) / 6 * np.quantile(cells(np.abs(np.diff(both, 2, axis=1))), 0.1))

    def mean(values: np.ndarray) -> dict[str, float]:
        edge = (values.sum() - values[3:9, 3:9].sum()) / (144 - 36)
        return {"": values.mean(), "_centre": values[3:9, 3:9].mean(), "_edge": edge}

    light = rgb @ (0.299, 0.587, 0.114)
    small, red, green, blue = half(light), *np.moveaxis(half(rgb), 2, 0)
    levels = {"finest": light, "fine": small, "medium": half(small), "coarse": half(half(small))}
    found, detail = {}, np.zeros(0)
    for scale, level in levels.items():
        energy = cells((np.diff(level, 2, axis=0)[:, 1:-1] + np.diff(level, 2, axis=1)[1:-1]) ** 2)
        found |= {f"sharpness_{scale}{part}": np.log(value + 1e-6) for part, value in mean(energy).items()}
        detail = energy if scale == "fine" else detail
    found |= {f"brightness{part}": value for part, value in mean(cells(small)).items()} | {"brightness": small.mean()}
    dark, median, bright = np.quantile(small[::2, ::2], (0.05, 0.5, 0.95))
    across, down = ((np.diff(small, axis=axis) ** 2).mean() + 1e-6 for axis in (1, 0))
    high, low, red_green, yellow_blue = rgb.max(axis=2), rgb.min(axis=2), red - green, (red + green) / 2 - blue
    places = (np.arange(12) + 0.5) / 12
    found |= {
        "sharpness_best_part": np.quantile(np.log(detail + 1e-6), 0.95),
        "sharpness_worst_part": np.quantile(np.log(detail + 1e-6), 0.25),
        "blur_direction": np.log(across / down),
        "brightness_dark_end": dark,
        "brightness_median": median,
        "brightness_light_end": bright,
        "contrast": small.std(),
        "contrast_local": np.sqrt(cells(small**2) - cells(small) ** 2).mean(),
        "tonal_range": bright - dark,
        "highlights_clipped": (high >= 250 / 255).mean(),
        "shadows_clipped": (high <= 5 / 255).mean(),
        "noise_light": noise(light),
        "noise_colour": noise(red_green),
        "saturation": (high - low).mean(),
        "colourfulness": np.hypot(red_green.std(), yellow_blue.std())
        + 0.3 * np.hypot(red_green.mean(), yellow_blue.mean()),
        "warmth": (red - blue).mean(),
        "tint": (green - (red + blue) / 2).mean(),
        "detail_across": detail.sum(axis=0) @ places / detail.sum(),
        "detail_down": detail.sum(axis=1) @ places / detail.sum(),
    }
    return {column: float(found[column]) for column in COLUMNS}


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2000, 3), (96, 96)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_any_image_has_finite_numbers(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    found = measure(PillowImage.new("RGB", size, colour))
    assert found.shape == (len(COLUMNS),) and found.dtype == np.float32 and np.isfinite(found).all()
