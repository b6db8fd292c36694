"""Where images go: inside the stage, in order, never over each other, their shape kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.app.widgets.overlay import CAPTION, MARGIN, ROWS_GAIN, arrange, common_height, rows_of

SIZES = st.lists(st.tuples(st.integers(60, 6000), st.integers(60, 6000)), min_size=1, max_size=4)


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_every_image_is_inside_undistorted_and_apart_from_the_others(sizes, width, height):
    slots = arrange(sizes, width, height)
    for (w, h), slot in zip(sizes, slots, strict=True):
        x, y, box_width, box_height = slot.box
        assert x >= MARGIN - 0.01 and y >= MARGIN - 0.01
        assert x + box_width <= width - MARGIN + 0.01
        assert y + box_height + CAPTION <= height - MARGIN + 0.01
        assert box_width * h == pytest.approx(box_height * w, rel=1e-6)
    for number, slot in enumerate(slots):
        for other in slots[number + 1 :]:
            same_row = abs(slot.window[1] - other.window[1]) < 1
            assert (slot.box[0] + slot.box[2] < other.box[0]) if same_row else (slot.box[1] < other.box[1])


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_all_have_one_height_and_no_other_rows_would_show_them_much_larger(sizes, width, height):
    slots = arrange(sizes, width, height)
    tall = slots[0].box[3]
    assert [slot.box[3] for slot in slots] == pytest.approx([tall] * len(sizes))
    aspects = [w / h for w, h in sizes]
    every = {way: common_height(aspects, way, width, height) for way in rows_of(len(sizes))}
    assert len(every) == 2 ** (len(sizes) - 1)
    side_by_side = every[(len(sizes),)]
    assert tall == pytest.approx(side_by_side) or tall == pytest.approx(max(every.values()))
    assert tall**2 * ROWS_GAIN >= max(every.values()) ** 2 * (1 - 1e-9)
    assert tall >= side_by_side * (1 - 1e-9)


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_the_images_are_shown_in_their_order(sizes, width, height):
    slots = arrange(sizes, width, height)
    corners = [(round(slot.box[1], 6), slot.box[0]) for slot in slots]
    assert corners == sorted(corners)


@pytest.mark.parametrize(("stage", "rows"), [((1252, 636), [2, 1]), ((1252, 400), [3]), ((1900, 560), [3])])
def test_three_wide_images_take_two_rows_where_that_shows_them_larger(stage: tuple[int, int], rows: list[int]):
    slots = arrange([(1920, 1080)] * 3, *stage)
    tops = [slot.window[1] for slot in slots]
    assert [tops.count(top) for top in dict.fromkeys(tops)] == rows


def test_a_row_of_portraits_uses_the_whole_height():
    slots = arrange([(768, 1024)] * 3, 1300, 560)
    assert [slot.box[3] for slot in slots] == pytest.approx([560 - 2 * MARGIN - CAPTION] * 3)
    assert len({slot.box[1] for slot in slots}) == 1
    assert [slot.box[0] for slot in slots] == sorted(slot.box[0] for slot in slots)


def test_four_wide_images_take_two_rows_and_four_tall_ones_do_not():
    wide = arrange([(1200, 800)] * 4, 1200, 560)
    assert len({slot.window[1] for slot in wide}) == 2
    assert wide[0].window[1] == wide[1].window[1] < wide[2].window[1] == wide[3].window[1]
    assert len({slot.window[1] for slot in arrange([(600, 900)] * 4, 1200, 560)}) == 1


def test_a_stage_without_room_is_still_laid_out():
    assert all(slot.box[2] > 0 and slot.box[3] > 0 for slot in arrange([(768, 1024)] * 4, 0, 0))
    assert arrange([], 800, 600) == ()
