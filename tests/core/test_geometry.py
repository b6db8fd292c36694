"""Box maths: exact pixels, overlaps, the match of corners, and the way between canvas and image."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pickroom.core.geometry import (
    CONSTANT_CROP,
    Placement,
    compose,
    corners_match,
    fit,
    from_pixels,
    round_half_up,
    to_pixels,
)
from pickroom.core.records import CropBox

FRACTIONS = st.floats(0, 1, allow_nan=False)
BOXES = (
    st.tuples(FRACTIONS, FRACTIONS, FRACTIONS, FRACTIONS)
    .filter(lambda v: abs(v[0] - v[2]) > 1e-6 and abs(v[1] - v[3]) > 1e-6)
    .map(lambda v: CropBox(min(v[0], v[2]), min(v[1], v[3]), max(v[0], v[2]), max(v[1], v[3])))
)
SIDES = st.integers(1, 20_000)
FULL = CropBox(0, 0, 1, 1)


@pytest.mark.parametrize(("value", "rounded"), [(0.5, 1), (1.5, 2), (2.5, 3), (2.49, 2), (-0.5, 0), (-1.5, -1), (7, 7)])
def test_halves_are_rounded_up(value: float, rounded: int) -> None:
    assert round_half_up(value) == rounded


def test_pixels_are_each_edge_times_the_size_rounded_half_up() -> None:
    assert to_pixels(CropBox(0.25, 0.5, 0.75, 1.0), 10, 5) == (3, 3, 8, 5)


@given(SIDES, SIDES, st.data())
def test_pixels_come_back_exactly(width: int, height: int, data: st.DataObject) -> None:
    x1, y1 = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    pixels = (x1, y1, data.draw(st.integers(x1 + 1, width)), data.draw(st.integers(y1 + 1, height)))
    assert to_pixels(from_pixels(pixels, width, height), width, height) == pixels


@given(BOXES, SIDES, SIDES)
def test_pixels_stay_within_the_image(box: CropBox, width: int, height: int) -> None:
    x1, y1, x2, y2 = to_pixels(box, width, height)
    assert 0 <= x1 <= x2 <= width
    assert 0 <= y1 <= y2 <= height


@pytest.mark.parametrize(
    ("other", "match"),
    [
        pytest.param((0.11, 0.09, 0.91, 0.88), True, id="the fixture that matches"),
        pytest.param((0.3, 0.0, 0.7, 0.6), False, id="the fixture that does not"),
        pytest.param((0.15, 0.15, 0.95, 0.95), True, id="every corner exactly at the tolerance"),
        pytest.param((0.1, 0.1, 0.9, 0.9502), False, id="one corner just beyond it"),
        pytest.param((0.1, 0.1, 0.9, 0.9), True, id="the same box"),
    ],
)
def test_crop_matches_when_every_corner_is_within_5_percent(other: tuple[float, ...], match: bool) -> None:
    assert corners_match(CropBox(0.1, 0.1, 0.9, 0.9), CropBox.of(other)) is match


@given(BOXES, BOXES)
def test_corner_match_does_not_depend_on_the_order(a: CropBox, b: CropBox) -> None:
    assert corners_match(a, b) == corners_match(b, a)


@given(BOXES)
def test_box_drawn_in_the_full_frame_is_itself(box: CropBox) -> None:
    assert compose(FULL, box) == box
    assert compose(box, FULL).to_list() == pytest.approx(box.to_list())


@pytest.mark.parametrize(
    ("outer", "inner", "composed"),
    [
        ((0.5, 0.0, 1.0, 0.5), (0.5, 0.5, 1.0, 1.0), (0.75, 0.25, 1.0, 0.5)),
        ((0.2, 0.1, 0.6, 0.9), (0.25, 0.25, 0.5, 0.75), (0.3, 0.3, 0.4, 0.7)),
    ],
)
def test_box_drawn_in_a_crop_is_known_in_the_originals_frame(
    outer: tuple[float, ...], inner: tuple[float, ...], composed: tuple[float, ...]
) -> None:
    assert compose(CropBox.of(outer), CropBox.of(inner)).to_list() == pytest.approx(composed)


@given(BOXES, BOXES)
def test_box_drawn_in_a_crop_never_leaves_it(outer: CropBox, inner: CropBox) -> None:
    box = compose(outer, inner)
    assert outer.x1 <= box.x1 < box.x2 <= outer.x2
    assert outer.y1 <= box.y1 < box.y2 <= outer.y2


def test_constant_crop_is_the_best_one_measured() -> None:
    assert CONSTANT_CROP.to_list() == [0.113, 0.0, 0.883, 0.764]


@given(SIDES, SIDES, st.floats(1, 5000), st.floats(1, 5000), st.floats(-100, 100), st.floats(-100, 100))
def test_fitted_image_is_centred_and_touches_two_sides(
    width: int, height: int, cell_width: float, cell_height: float, x: float, y: float
) -> None:
    placed = fit(width, height, (x, y, cell_width, cell_height))
    shown_width, shown_height = placed.size
    assert shown_width <= cell_width * (1 + 1e-9)
    assert shown_height <= cell_height * (1 + 1e-9)
    assert shown_width == pytest.approx(cell_width) or shown_height == pytest.approx(cell_height)
    assert shown_width / shown_height == pytest.approx(width / height)
    assert placed.left + shown_width / 2 == pytest.approx(x + cell_width / 2, abs=1e-6)
    assert placed.top + shown_height / 2 == pytest.approx(y + cell_height / 2, abs=1e-6)


@given(st.floats(-1e4, 1e4), st.floats(-1e4, 1e4), st.floats(0.01, 64), SIDES, SIDES, FRACTIONS, FRACTIONS)
def test_canvas_point_comes_back_to_its_image_point(
    left: float, top: float, scale: float, width: int, height: int, x: float, y: float
) -> None:
    assume(width * scale > 1 and height * scale > 1)
    placed = Placement(left, top, scale, width, height)
    assert placed.to_image(*placed.to_canvas(x, y)) == pytest.approx((x, y), abs=1e-6)


def test_box_is_drawn_with_the_letterbox_included() -> None:
    placed = fit(100, 50, (10, 20, 200, 200))  # scale 2: 200 x 100 with 50 above and below
    assert placed.rectangle(CropBox(0.25, 0.5, 0.75, 1.0)) == pytest.approx((60, 120, 100, 50))


def test_canvas_point_outside_image_is_outside_its_fractions() -> None:
    x, y = fit(100, 50, (0, 0, 200, 200)).to_image(100, 10)
    assert x == pytest.approx(0.5)
    assert y < 0
