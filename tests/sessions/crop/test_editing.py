"""Box edits: always inside the image, on whole pixels, in shape; the canvas mapping gives the same box back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.geometry import Placement, default_box, fit, from_pixels, to_pixels, with_ratio
from pickroom.core.records import CropBox
from pickroom.sessions.crop import editing
from pickroom.sessions.crop.editing import FULL, HANDLES, Size

SIZES = st.tuples(st.integers(16, 6000), st.integers(16, 6000))
POINTS = st.tuples(st.floats(-0.5, 1.5), st.floats(-0.5, 1.5))
RATIOS = st.one_of(st.none(), st.sampled_from([1.0, 0.8, 1.5, 16 / 9]))


@st.composite
def boxes(draw: st.DrawFn, size: Size, least: int = 8) -> CropBox:
    """A box on whole pixels, at least `least` pixels a side."""
    left, top = draw(st.integers(0, size[0] - least)), draw(st.integers(0, size[1] - least))
    right, bottom = draw(st.integers(left + least, size[0])), draw(st.integers(top + least, size[1]))
    return from_pixels((left, top, right, bottom), *size)


SIZED = SIZES.flatmap(lambda size: st.tuples(st.just(size), boxes(size)))


# well above the size under which a drag is taken for a click
MEANT = SIZES.flatmap(lambda size: st.tuples(st.just(size), boxes(size, least=16)))


def pixel_size(box: CropBox, size: Size) -> tuple[int, int]:
    x1, y1, x2, y2 = to_pixels(box, *size)
    return x2 - x1, y2 - y1


def assert_on_pixels(box: CropBox, size: Size) -> None:
    assert from_pixels(to_pixels(box, *size), *size) == box


def assert_in_shape(box: CropBox, size: Size, ratio: float) -> None:
    """Each edge is rounded to a pixel, so each side may be off by one."""
    wide, high = pixel_size(box, size)
    assert abs(wide - high * ratio) <= 1 + ratio


@given(SIZES, POINTS, POINTS, RATIOS)
def test_a_drawn_box_is_inside_on_pixels_and_in_shape(size, start, end, ratio):
    box = editing.draw(start, end, size, ratio)
    if box is not None:
        assert_on_pixels(box, size)
        if ratio:
            assert_in_shape(box, size, ratio)


def test_a_click_draws_nothing():
    assert editing.draw((0.5, 0.5), (0.5001, 0.5001), (1000, 1000), None) is None


def test_drawing_beyond_the_edge_stops_at_it():
    assert editing.draw((0.5, 0.5), (2, 2), (100, 100), None) == CropBox(0.5, 0.5, 1, 1)


@given(
    SIZES.flatmap(lambda size: st.tuples(st.just(size), boxes(size))), st.sampled_from(list(HANDLES)), POINTS, RATIOS
)
def test_a_resized_box_is_inside_on_pixels_and_in_shape(sized, handle, point, ratio):
    size, box = sized
    if ratio:
        box = with_ratio(box, ratio, size)
    resized = editing.resize(box, handle, point, size, ratio)
    assert_on_pixels(resized, size)
    if ratio and min(pixel_size(resized, size)) > 1:
        assert_in_shape(resized, size, ratio)


@pytest.mark.parametrize(("handle", "corner"), [("nw", (2, 3)), ("ne", (0, 3)), ("se", (0, 1)), ("sw", (2, 1))])
def test_a_corner_handle_keeps_the_opposite_corner(handle, corner):
    box = CropBox(0.2, 0.3, 0.6, 0.7)
    resized = editing.resize(box, handle, (0.5, 0.5), (1000, 1000), None)
    assert [resized.to_list()[i] for i in corner] == [box.to_list()[i] for i in corner]


def test_an_edge_handle_moves_one_edge_of_a_free_box():
    box = CropBox(0.2, 0.2, 0.6, 0.6)
    assert editing.resize(box, "e", (0.8, 0.1), (1000, 1000), None) == CropBox(0.2, 0.2, 0.8, 0.6)
    assert editing.resize(box, "n", (0.9, 0.1), (1000, 1000), None) == CropBox(0.2, 0.1, 0.6, 0.6)


@given(
    SIZES.flatmap(lambda size: st.tuples(st.just(size), boxes(size))),
    st.integers(-9000, 9000),
    st.integers(-9000, 9000),
)
def test_moving_keeps_the_size_in_pixels(sized, dx, dy):
    size, box = sized
    moved = editing.move(box, dx, dy, size)
    assert_on_pixels(moved, size)
    assert pixel_size(moved, size) == pixel_size(box, size)


def test_a_nudge_is_one_pixel():
    box = from_pixels((10, 20, 110, 120), 1000, 1000)
    assert to_pixels(editing.move(box, -1, 1, (1000, 1000)), 1000, 1000) == (9, 21, 109, 121)


@given(SIZED, st.floats(0.2, 5))
def test_scaling_stays_inside_and_keeps_the_shape(sized, factor):
    size, box = sized
    scaled = editing.scale(box, factor, size)
    assert_on_pixels(scaled, size)
    wide, high = pixel_size(box, size)
    if min(pixel_size(scaled, size)) > 1:
        assert_in_shape(scaled, size, wide / high)


def test_scaling_up_and_down_is_about_the_centre():
    box = from_pixels((400, 400, 600, 600), 1000, 1000)
    assert to_pixels(editing.scale(box, 1.5, (1000, 1000)), 1000, 1000) == (350, 350, 650, 650)


@given(SIZES)
def test_the_constant_box_has_the_images_own_shape(size):
    box = default_box(size)
    assert_on_pixels(box, size)
    assert_in_shape(box, size, size[0] / size[1])


def test_handles_are_found_nearest_first_and_only_in_reach():
    box = CropBox(0.2, 0.2, 0.8, 0.8)
    assert editing.handle_at(box, (0.21, 0.19), (0.02, 0.02)) == "nw"
    assert editing.handle_at(box, (0.5, 0.81), (0.02, 0.02)) == "s"
    assert editing.handle_at(box, (0.5, 0.5), (0.02, 0.02)) is None
    assert editing.handle_at(FULL, (1, 1), (0.02, 0.02)) == "se"
    assert editing.handle_at(box, (0.3, 0.81), (0.02, 0.02)) == "s"  # an edge, anywhere along it
    assert editing.handle_at(box, (0.79, 0.3), (0.02, 0.02)) == "e"
    assert editing.handle_at(box, (0.85, 0.3), (0.02, 0.02)) is None


@given(
    MEANT,
    st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(64, 3000), st.floats(64, 3000)),
)
def test_box_drawn_on_letterboxed_preview_matches_full_image(sized, cell):
    size, box = sized
    place = fit(*size, cell)
    x, y, wide, high = place.rectangle(box)
    drawn = editing.draw(place.to_image(x, y), place.to_image(x + wide, y + high), size, None)
    assert drawn is not None
    assert to_pixels(drawn, *size) == to_pixels(box, *size)


@given(
    MEANT,
    st.floats(0.05, 8),
    st.floats(-4000, 4000),
    st.floats(-4000, 4000),
)
def test_zoom_and_pan_do_not_change_what_is_drawn(sized, scale, left, top):
    size, box = sized
    place = Placement(left, top, scale, *size)
    x1, y1 = place.to_canvas(box.x1, box.y1)
    x2, y2 = place.to_canvas(box.x2, box.y2)
    drawn = editing.draw(place.to_image(x1, y1), place.to_image(x2, y2), size, None)
    assert drawn is not None
    assert to_pixels(drawn, *size) == to_pixels(box, *size)
