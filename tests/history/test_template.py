"""A crop is found in its original to the pixel, or it is said why not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFilter

from pickroom.core.geometry import to_pixels
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import IMAGES_FOLDER, make_images
from pickroom.history.pairing import match_files
from pickroom.history.template import MIN_SCORE, TOLERANCE, find_crop

DEMO = DemoConfig(groups=40, seed=11, long_side=256, crop_rate=1.0, reject_rate=0.0, full_frame_rate=0.0)


def textured(size: tuple[int, int] = (220, 300), seed: int = 0) -> np.ndarray:
    """A picture-like array: large shapes and fine grain."""
    rng = np.random.default_rng(seed)
    image = PillowImage.fromarray(rng.integers(0, 255, (12, 16), dtype=np.uint8))
    smooth = image.resize((size[1], size[0]), PillowImage.Resampling.BICUBIC)
    return np.clip(np.asarray(smooth, dtype=float) + rng.normal(0, 4, size), 0, 255).astype(np.uint8)


def test_the_demo_s_crops_are_found_within_two_pixels(tmp_path: Path) -> None:
    truths = make_images(tmp_path, DEMO)
    files = {path.name: path for path in (tmp_path / IMAGES_FOLDER).rglob("*.*")}
    missed, right, count = [], 0, 0
    for truth in truths:
        if truth.box is None:
            continue
        original = files[truth.images[truth.pick]]
        image = PillowImage.open(original).convert("RGB")
        pixels = to_pixels(truth.box, *image.size)
        if pixels == (0, 0, *image.size):
            continue
        final = tmp_path / f"final{original.suffix}"
        image.crop(pixels).save(final, quality=92)
        match = match_files(original, final, "demo", original.name)
        count += 1
        found = None if match.box is None else to_pixels(match.box, *image.size)
        if found is not None and max(abs(a - b) for a, b in zip(found, pixels, strict=True)) <= TOLERANCE:
            assert match.score is not None and match.score >= MIN_SCORE
            right += 1
        else:
            missed.append(f"{original.name}: {pixels} -> {found} ({match.reason})")
    print(f"{right} of {count} within {TOLERANCE} px", *missed, sep="\n")
    assert count >= 35
    assert right >= 0.99 * count


@pytest.mark.parametrize("corner", [(0, 0), (37, 53), (60, 100)])
@pytest.mark.parametrize("quality", [None, 60])
def test_a_crop_at_any_place_also_saved_as_jpeg(corner: tuple[int, int], quality: int | None) -> None:
    original = textured()
    y, x = corner
    crop = original[y : y + 160, x : x + 200]
    if quality:
        buffer = io.BytesIO()
        PillowImage.fromarray(crop).save(buffer, "JPEG", quality=quality)
        crop = np.asarray(PillowImage.open(buffer))
    place = find_crop(original, crop)
    assert place.pixels == (x, y, x + 200, y + 160)
    assert place.score is not None and place.score > 0.95


def test_only_one_side_was_cropped() -> None:
    original = textured()
    assert find_crop(original, original[:, 20:200]).pixels == (20, 0, 200, 220)
    assert find_crop(original, original[5:, :]).pixels == (0, 5, 300, 220)


def test_another_picture_has_a_low_score() -> None:
    place = find_crop(textured(seed=1), textured(seed=2)[:150, :200])
    assert place.pixels is None
    assert place.reason is not None and "below 0.8" in place.reason
    assert place.score is not None and place.score < MIN_SCORE


def test_a_picture_that_repeats_itself_is_ambiguous() -> None:
    tile = textured((50, 50))
    original = np.tile(tile, (5, 6))
    place = find_crop(original, original[:150, :150])
    assert place.pixels is None
    assert place.reason is not None and "ambiguous" in place.reason
    assert place.runner_up == pytest.approx(place.score)


def test_a_picture_even_in_one_direction_is_ambiguous() -> None:
    original = np.repeat(np.linspace(0, 255, 220)[:, None], 300, axis=1).astype(np.uint8)
    place = find_crop(original, original[40:190, 30:230])
    assert place.pixels is None
    assert place.reason is not None and "ambiguous" in place.reason


def test_an_even_picture_cannot_be_found() -> None:
    place = find_crop(np.full((200, 200), 40, np.uint8), np.full((90, 90), 40, np.uint8))
    assert (place.pixels, place.score) == (None, None)
    assert place.reason is not None and "too even" in place.reason


def test_a_recoloured_crop_correlates_but_is_not_this_picture() -> None:
    original = textured()
    place = find_crop(original, np.clip(original[20:180, 30:240].astype(int) + 40, 0, 255).astype(np.uint8))
    assert place.score is not None and place.score > MIN_SCORE
    assert place.pixels is None
    assert place.reason is not None and "cropped anew" in place.reason


def test_a_smaller_copy_is_no_crop() -> None:
    original = textured()
    smaller = PillowImage.fromarray(original).resize((150, 110), PillowImage.Resampling.LANCZOS)
    assert find_crop(original, np.asarray(smaller)).pixels is None


def test_a_sharpened_crop_is_found() -> None:
    original = textured()
    crop = PillowImage.fromarray(original[30:190, 40:250]).filter(ImageFilter.UnsharpMask(2, 60, 2))
    assert find_crop(original, np.asarray(crop)).pixels == (40, 30, 250, 190)


def test_a_tiny_crop_and_one_that_is_too_large() -> None:
    original = textured()
    assert find_crop(original, original[50:60, 70:85]).pixels in ((70, 50, 85, 60), None)
    with pytest.raises(ValueError, match="larger than its original"):
        find_crop(original[:100], original)


def test_a_turned_photograph_is_searched_upright(tmp_path: Path) -> None:
    upright = textured((300, 220))
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # shown turned by a quarter
    stored = PillowImage.fromarray(np.rot90(upright).copy()).convert("RGB")
    stored.save(tmp_path / "a.png", exif=exif)
    PillowImage.fromarray(upright[30:250, 20:190]).save(tmp_path / "b.png")
    match = match_files(tmp_path / "a.png", tmp_path / "b.png", "p", "a.png")
    assert match.box is not None
    assert to_pixels(match.box, 220, 300) == (20, 30, 190, 250)
    assert match.difference == 0
