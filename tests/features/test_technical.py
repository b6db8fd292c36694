"""The technical block: each number follows what it is named after, whatever the size of the image."""

from __future__ import annotations

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


@pytest.mark.parametrize("size", [(1, 1), (3, 200), (2000, 3), (96, 96)])
@pytest.mark.parametrize("colour", [(0, 0, 0), (255, 255, 255), (10, 200, 30)])
def test_any_image_has_finite_numbers(size: tuple[int, int], colour: tuple[int, int, int]) -> None:
    found = measure(PillowImage.new("RGB", size, colour))
    assert found.shape == (len(COLUMNS),) and found.dtype == np.float32 and np.isfinite(found).all()
