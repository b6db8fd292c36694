"""The choice of the device."""

from __future__ import annotations

import numpy as np
import pytest

from pickroom.core.errors import UsageError
from pickroom.features.device import DEVICES, pick_device, present
from pickroom.features.store import cosines


@pytest.mark.parametrize(
    ("available", "wanted", "expected"),
    [
        (("cuda", "cpu"), None, "cuda"),
        (("mps", "cpu"), None, "mps"),
        (("cpu",), None, "cpu"),
        (("cuda", "cpu"), "cpu", "cpu"),
    ],
)
def test_the_best_device_unless_another_is_asked_for(available: tuple[str, ...], wanted: str, expected: str) -> None:
    assert pick_device(available, wanted) == expected


def test_a_device_that_is_not_here_is_refused() -> None:
    with pytest.raises(UsageError, match="cannot run on cuda here"):
        pick_device(("cpu",), "cuda")
    with pytest.raises(UsageError, match="'tpu' is not a device"):
        pick_device(("cpu",), "tpu")


def test_devices_present_end_with_the_cpu() -> None:
    assert present()[-1] == "cpu" and set(present()) <= set(DEVICES)


def test_cosines() -> None:
    a = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    b = np.array([[0.0, 2.0], [6.0, 8.0], [1.0, 1.0]])
    np.testing.assert_allclose(cosines(a, b), [0, 1, 0])
