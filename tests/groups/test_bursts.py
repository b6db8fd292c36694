"""Groups by capture time: one burst is one stretch of one camera's time, judged by looks as pauses grow."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.records import Capture, Image
from pickroom.groups.bursts import ALONE, group_by_capture

START = datetime(2024, 5, 6, 12, 0, 0)
BLIND = (lambda image: None, lambda image: None)


def image(name: str, directory: str = "") -> Image:
    return Image(name, directory, 8, 6, None, None, f"sha of {directory}/{name}", 1, 1)


def taken(seconds: float, camera: str = "A", serial: str | None = None) -> Capture:
    return Capture(START + timedelta(seconds=seconds), "exif", None, camera, serial)


def grouped(
    shots: Mapping[str, Capture], looks: tuple = BLIND, directory: str = ""
) -> tuple[list[list[str]], dict[str, str]]:
    """The groups' names, and the reasons of the others."""
    made = {name: image(name, directory) for name in shots}
    groups, left_out = group_by_capture(
        made.values(), {made[name].sha256: said for name, said in shots.items()}, *looks
    )
    return [[one.filename for one in group] for group in groups], {one.filename: one.reason for one in left_out}


def seeing(cosines: Mapping[str, float]) -> tuple:
    """Every image by the angle of its vector: the cosine of two is that of the difference of theirs."""
    angle = {name: np.arccos(cosine) for name, cosine in cosines.items()}
    return (lambda one: np.array([np.cos(angle[one.filename]), np.sin(angle[one.filename])]), lambda one: None)


@pytest.mark.parametrize(
    ("pause", "cosine", "together"),
    [(1.9, 0.51, True), (1.9, 0.49, False), (29, 0.76, True), (29, 0.74, False), (299, 0.89, True), (301, 0.99, False)],
)
def test_longer_pauses_ask_for_more_likeness(pause: float, cosine: float, together: bool) -> None:
    groups, _ = grouped({"a.jpg": taken(0), "b.jpg": taken(pause)}, seeing({"a.jpg": 1.0, "b.jpg": cosine}))
    assert bool(groups) == together


@pytest.mark.parametrize(
    ("pause", "bits", "together"), [(1, 40, True), (10, 12, True), (10, 13, False), (200, 9, False)]
)
def test_without_vectors_time_decides_then_the_hash(pause: float, bits: int, together: bool) -> None:
    looks = (lambda one: None, lambda one: 0 if one.filename == "a.jpg" else (1 << bits) - 1)
    assert bool(grouped({"a.jpg": taken(0), "b.jpg": taken(pause)}, looks)[0]) == together


def test_a_long_burst_is_one_group() -> None:
    groups, left_out = grouped({f"{number:02d}.jpg": taken(number / 5) for number in range(10)})
    assert groups == [[f"{number:02d}.jpg" for number in range(10)]]
    assert left_out == {}


def test_two_cameras_at_once_make_two_bursts() -> None:
    shots = {f"{number}{c}.jpg": taken(number / 2, c) for number in range(3) for c in "AB"}
    assert grouped(shots)[0] == [["0A.jpg", "1A.jpg", "2A.jpg"], ["0B.jpg", "1B.jpg", "2B.jpg"]]
    same_model = {"1.jpg": taken(0, serial="1"), "2.jpg": taken(0.5, serial="2")}
    assert grouped(same_model) == ([], {"1.jpg": ALONE, "2.jpg": ALONE})


def test_no_capture_time_is_a_reason_of_its_own() -> None:
    assert grouped({"a.jpg": Capture(), "b.jpg": taken(0)})[1] == {
        "a.jpg": "no capture time in the file",
        "b.jpg": ALONE,
    }


@given(st.lists(st.floats(0, 100), max_size=30))
def test_every_image_is_in_one_group_or_left_out(seconds: list[float]) -> None:
    shots = {f"{number:02d}.jpg": taken(at) for number, at in enumerate(seconds)}
    groups, left_out = grouped(shots)
    assert sorted([name for group in groups for name in group] + list(left_out)) == sorted(shots)
    assert all(len(group) >= 2 for group in groups)
    times = [[shots[name].captured_at for name in group] for group in groups]
    assert sorted(times) == times  # type: ignore[type-var]
