"""Sibling consistency: a local defect stands out; what is done to a whole picture does not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import ndimage

from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features.consistency import NAMES, ConsistencyConfig, compare, shape_for

CONFIG = ConsistencyConfig(side=512)
ASTRONAUT = PHOTOGRAPHS[0]


def ycbcr(rgb: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).convert("YCbCr"))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.asarray(load(ASTRONAUT).convert("RGB").resize((512, 512)), dtype=np.float32)


def stages(picture: np.ndarray) -> list[np.ndarray]:
    """Soft, cleaner, and sharp with a grade: three stages without a defect."""
    rng = np.random.default_rng(1)
    soft = ndimage.gaussian_filter(picture, (1.0, 1.0, 0)) + rng.normal(0, 2, picture.shape)
    clean = ndimage.gaussian_filter(picture, (0.6, 0.6, 0))
    sharp = (picture + 0.8 * (picture - ndimage.gaussian_filter(picture, (1.5, 1.5, 0)))) * 1.08 - 6
    return [soft, clean, sharp]


def column(name: str, values: np.ndarray) -> np.ndarray:
    return values[:, NAMES.index(name)]


def smeared(image: np.ndarray, place: tuple[slice, slice]) -> np.ndarray:
    made = image.copy()
    made[place] = ndimage.gaussian_filter(image[place], (7, 7, 0))
    return made


@pytest.mark.parametrize("member", [0, 1, 2])
def test_defective_member_departs_most_and_defect_is_located(picture: np.ndarray, member: int) -> None:
    members = stages(picture)
    members[member] = smeared(members[member], (slice(90, 170), slice(190, 270)))  # the face
    found = compare([ycbcr(one) for one in members], CONFIG)
    assert int(column("own_departure", found.values).argmax()) == member
    x1, y1, x2, y2 = found.peaks[member] * 512
    assert x1 < 270 and x2 > 190 and y1 < 170 and y2 > 90


def test_what_is_done_to_the_whole_is_no_departure(picture: np.ndarray) -> None:
    sound = stages(picture)
    graded = [sound[0] * 0.8 + 30, sound[1] * (1.1, 1.0, 0.9), sound[2] * 1.1 - 12]
    damaged = [*graded[:2], smeared(graded[2], (slice(90, 170), slice(190, 270)))]
    peaks = [
        column("own_departure", compare([ycbcr(one) for one in some], CONFIG).values)[2]
        for some in (sound, graded, damaged)
    ]
    # a grade clips here and there, which does depart a little
    assert peaks[1] < 1.6 * peaks[0]
    assert peaks[2] > 1.5 * peaks[1]


def test_two_members_depart_alike_but_lost_detail_is_known(picture: np.ndarray) -> None:
    sound = [ycbcr(one) for one in stages(picture)[1:]]
    found = compare([sound[0], ycbcr(smeared(stages(picture)[2], (slice(90, 170), slice(190, 270))))], CONFIG)
    departures = column("structure_peak", found.values)
    assert departures[0] == pytest.approx(departures[1], rel=0.3)
    details = column("group_detail1", found.values)
    assert details[1] < -0.3 and details[0] == pytest.approx(-details[1], abs=1e-4)


def test_identical_members_do_not_depart(picture: np.ndarray) -> None:
    found = compare([ycbcr(picture)] * 3, CONFIG)
    assert np.abs(column("own_departure", found.values)).max() < 0.05


def test_the_order_of_members_does_not_matter(picture: np.ndarray) -> None:
    members = [ycbcr(one) for one in stages(picture)]
    there, back = compare(members, CONFIG), compare(members[::-1], CONFIG)
    np.testing.assert_allclose(there.values, back.values[::-1], atol=1e-3)


@settings(max_examples=15, deadline=None)
@given(
    n=st.integers(2, 4),
    height=st.integers(64, 150),
    width=st.integers(64, 150),
    level=st.sampled_from(["flat", "noise", "one differs"]),
)
def test_values_are_finite_for_any_members(n: int, height: int, width: int, level: str) -> None:
    rng = np.random.default_rng(n)
    members = [np.full((height, width, 3), 128, dtype=np.uint8) for _ in range(n)]
    if level == "noise":
        members = [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(n)]
    elif level == "one differs":
        members[-1][:, :, 0] = 255
    found = compare(members, ConsistencyConfig())
    assert found.values.shape == (n, len(NAMES)) and np.isfinite(found.values).all()
    assert (found.peaks[:, :2] < found.peaks[:, 2:]).all() and found.peaks.min() >= 0 and found.peaks.max() <= 1


@given(
    sizes=st.lists(st.tuples(st.integers(1, 9000), st.integers(1, 9000)), min_size=2, max_size=4),
    scale=st.floats(1, 3),
)
def test_members_are_compared_at_the_smallest_ones_shape(sizes: list[tuple[int, int]], scale: float) -> None:
    shape = shape_for(sizes, ConsistencyConfig())
    aspects = [w / h for w, h in sizes]
    assert (shape is None) == (max(aspects) / min(aspects) > 1.02)
    if shape is not None:
        assert min(shape) >= 64 and (max(shape) <= 1024 or min(shape) == 64)


def test_settings_are_in_the_hash() -> None:
    assert ConsistencyConfig().hash == ConsistencyConfig().hash
    assert ConsistencyConfig(block=8).hash != ConsistencyConfig().hash
