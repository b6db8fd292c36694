"""The device and the precision, through their choice logic."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from embeddings.conftest import photograph
from pickroom.embeddings import openclip
from pickroom.embeddings.device import DEVICES, Trial, cosines, measure, pick_device, pick_dtype, present
from pickroom.errors import UsageError


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
    with pytest.raises(UsageError, match="this machine has no cuda"):
        pick_device(("cpu",), "cuda")
    with pytest.raises(UsageError, match="'tpu' is no device"):
        pick_device(("cpu",), "tpu")


def test_devices_present_end_with_the_cpu() -> None:
    assert present()[-1] == "cpu" and set(present()) <= set(DEVICES)


@pytest.mark.parametrize(
    ("trials", "expected"),
    [
        ([Trial("bfloat16", 0.5, 0.9995)], "bfloat16"),
        ([Trial("bfloat16", 0.9, 0.9999)], "float32"),  # not clearly faster
        ([Trial("bfloat16", 0.4, 0.998)], "float32"),  # faster, but other vectors
        ([Trial("bfloat16", 0.5, 0.9995), Trial("float16", 0.4, 0.9999)], "float16"),
        ([Trial("bfloat16", float("inf"), 0.9999)], "float32"),
        ([], "float32"),
    ],
)
def test_a_precision_must_be_faster_and_keep_the_vectors(trials: list[Trial], expected: str) -> None:
    assert pick_dtype(1.0, trials).dtype == expected


def test_measuring_tries_the_devices_precisions(checkpoint: Path) -> None:
    tower = openclip.load(checkpoint=checkpoint)
    seconds, trials = measure(tower, tower.spec(), "cpu", [tower.prepare(photograph(0, (300, 300)))])
    assert seconds > 0
    assert [trial.dtype for trial in trials] == ["bfloat16"]
    assert 0.9 < trials[0].cosine < 1


def test_cosines() -> None:
    a = np.array([[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    b = np.array([[0.0, 2.0], [6.0, 8.0], [1.0, 1.0]])
    np.testing.assert_allclose(cosines(a, b), [0, 1, 0])
