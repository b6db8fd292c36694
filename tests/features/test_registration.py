"""Siblings laid onto each other: a drift is taken out, a defect is not, and what was only bent is bent back."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.features import registration
from pickroom.features.consistency import NAMES, ConsistencyConfig, compare

SIDE = 320


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    """(3, SIDE, SIDE) float32, brightness first."""
    image = load(PHOTOGRAPHS[0]).convert("YCbCr").resize((SIDE, SIDE))
    return np.asarray(image, dtype=np.float32).transpose(2, 0, 1)


def taken_from(picture: np.ndarray, across: np.ndarray | float, down: np.ndarray | float) -> np.ndarray:
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    return np.stack([ndimage.map_coordinates(one, [y + down, x + across], order=3, mode="nearest") for one in picture])


def drifted(picture: np.ndarray) -> np.ndarray:
    """A shift, and slow waves, of a pixel or two."""
    wave = np.sin(np.linspace(0, 5, SIDE, dtype=np.float32))
    return taken_from(picture, 1.2 + 0.8 * wave[:, None], -0.7 + 0.6 * wave[None, :])


def bump(reach: float) -> np.ndarray:
    """(SIDE, SIDE): 1 in the middle, 0 outside a circle."""
    y, x = np.mgrid[0:SIDE, 0:SIDE] - SIDE / 2
    return np.clip(1 - np.hypot(x, y) / reach, 0, 1).astype(np.float32)


def apart(one: np.ndarray, other: np.ndarray) -> float:
    inner = (0, slice(16, -16), slice(16, -16))
    return float(np.abs(one[inner] - other[inner]).mean())


def test_a_drift_is_taken_out(picture: np.ndarray) -> None:
    moved = drifted(picture)
    found = registration.without_drift(np.stack([picture, moved, picture]))
    assert apart(found[1], picture) < 0.35 * apart(moved, picture)
    np.testing.assert_array_equal(found[0], picture)


def test_a_defect_stays_where_everything_drifts(picture: np.ndarray) -> None:
    torn = picture.copy()
    torn[:, 150:190, 150:190] = torn[:, 150:190, 150:190][:, ::-1, ::-1]
    members = [drifted(picture), picture, drifted(torn)]
    found = compare([one.transpose(1, 2, 0).clip(0, 255).astype(np.uint8) for one in members], ConsistencyConfig())
    departure = found.values[:, NAMES.index("own_departure")]
    assert departure.argmax() == 2 and departure[2] > 1.3 * departure[:2].max()
    x1, y1, x2, y2 = found.peaks[2] * SIDE
    assert x1 < 190 and x2 > 150 and y1 < 190 and y2 > 150


def test_what_was_bent_is_bent_back_and_what_is_torn_is_not(picture: np.ndarray) -> None:
    smooth = taken_from(picture, 6 * bump(60), -4 * bump(60))
    torn = picture.copy()
    torn[:, 140:180, 140:180] = torn[:, 140:180, 140:180][:, ::-1, ::-1]
    shares = []
    for changed in (smooth, torn):
        found, flows = registration.bent(np.stack([picture, picture, changed]))
        assert flows.shape == (3, 2, SIDE // 2, SIDE // 2)
        middle = (0, slice(130, 190), slice(130, 190))
        shares.append(
            np.abs(found[2][middle] - picture[middle]).mean() / np.abs(changed[middle] - picture[middle]).mean()
        )
    assert shares[0] < 0.45
    assert shares[1] > 1.5 * shares[0]


def test_a_flow_is_enlarged_with_its_lengths() -> None:
    flow = np.ones((2, 8, 10), dtype=np.float32)
    wide = registration.enlarged(flow, (16, 30))
    assert wide.shape == (2, 16, 30)
    np.testing.assert_allclose(wide[0], 3)
    np.testing.assert_allclose(wide[1], 2)


def test_nothing_moves_where_there_is_nothing_to_see() -> None:
    flat = np.full((2, 3, 64, 80), 128, dtype=np.float32)
    np.testing.assert_allclose(registration.without_drift(flat), flat, atol=1e-3)
    found, flows = registration.bent(flat)
    np.testing.assert_allclose(found, flat, atol=1e-3)
    assert not flows.any()
