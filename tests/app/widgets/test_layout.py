"""Where images go: inside the stage, in order, never over each other, their shape kept."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.app.widgets.overlay import CAPTION, LINE, MARGIN, ROWS_GAIN, WIDE, arrange, heights, rows_of

SIZES = st.lists(st.tuples(st.integers(60, 6000), st.integers(60, 6000)), min_size=1, max_size=4)
PORTRAIT, LANDSCAPE = (800, 1200), (1200, 800)
# of a review in the app, in windows of 1280 x 800 and 1600 x 1000
SMALL, LARGE = (1264, 649), (1584, 849)


def rows_shown(slots) -> list[int]:
    bottoms = [round(slot.bottom, 3) for slot in slots]
    return [bottoms.count(bottom) for bottom in dict.fromkeys(bottoms)]


def covered(slots) -> float:
    """CSS pixels, squared."""
    return sum(slot.box[2] * slot.box[3] for slot in slots)


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_images_fit_undistorted_without_overlap(sizes, width, height):
    slots = arrange(sizes, width, height)
    for (w, h), slot in zip(sizes, slots, strict=True):
        x, y, box_width, box_height = slot.box
        assert x >= MARGIN - 0.01 and y >= MARGIN - 0.01
        assert x + box_width <= width - MARGIN + 0.01
        assert y + box_height + LINE <= slot.bottom + 0.01 <= height - MARGIN + 0.02
        assert box_width * h == pytest.approx(box_height * w, rel=1e-6)
    for number, slot in enumerate(slots):
        for other in slots[number + 1 :]:
            same_row = abs(slot.window[1] - other.window[1]) < 1
            assert (slot.box[0] + slot.box[2] < other.box[0]) if same_row else (slot.bottom < other.box[1])


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_no_other_rows_would_show_much_more_of_the_images(sizes, width, height):
    slots = arrange(sizes, width, height)
    aspects = [w / h for w, h in sizes]
    ways = list(rows_of(len(sizes)))
    assert len(ways) == 2 ** (len(sizes) - 1)
    for way in ways:
        other = heights(aspects, way, width, height, LINE if len(way) > 1 else CAPTION)
        area = sum(aspect * tall**2 for aspect, tall in zip(aspects, other, strict=True))
        assert covered(slots) * ROWS_GAIN >= area * (1 - 1e-6)


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_images_of_one_shape_have_one_size(sizes, width, height):
    slots = arrange([*sizes[:2], *sizes[:2]], width, height)
    for one, other in zip(slots[: len(slots) // 2], slots[len(slots) // 2 :], strict=True):
        assert one.box[2:] == pytest.approx(other.box[2:])


@given(SIZES, st.integers(600, 2400), st.integers(300, 1400))
def test_the_images_are_shown_in_their_order(sizes, width, height):
    slots = arrange(sizes, width, height)
    corners = [(round(slot.bottom, 6), slot.box[0]) for slot in slots]
    assert corners == sorted(corners)


@pytest.mark.parametrize(
    ("sizes", "stage", "rows", "share"),
    [
        ([PORTRAIT] * 2, LARGE, [2], 0.52),
        ([PORTRAIT] * 3, LARGE, [3], 0.75),
        ([PORTRAIT] * 4, LARGE, [4], 0.55),
        ([LANDSCAPE] * 2, LARGE, [2], 0.50),
        ([LANDSCAPE] * 3, LARGE, [2, 1], 0.42),
        ([LANDSCAPE] * 4, LARGE, [2, 2], 0.56),
        ([PORTRAIT, LANDSCAPE] * 2, LARGE, [2, 2], 0.40),
        ([PORTRAIT] * 4, SMALL, [4], 0.54),
        ([LANDSCAPE] * 3, SMALL, [2, 1], 0.36),
        ([LANDSCAPE] * 4, SMALL, [2, 2], 0.48),
        ([PORTRAIT, LANDSCAPE], SMALL, [2], 0.69),
    ],
)
def test_images_cover_their_share_of_the_window(sizes, stage, rows, share):
    slots = arrange(sizes, *stage)
    window = (1280 * 800) if stage == SMALL else (1600 * 1000)
    assert rows_shown(slots) == rows
    assert covered(slots) / window >= share


def test_a_tall_image_next_to_a_wide_one_uses_the_whole_height():
    tall, wide = arrange([PORTRAIT, LANDSCAPE], *LARGE)
    assert tall.box[3] == pytest.approx(849 - 2 * MARGIN - LINE, abs=CAPTION - LINE)
    assert wide.box[0] + wide.box[2] == pytest.approx(1584 - MARGIN)
    assert tall.box[1] + tall.box[3] == pytest.approx(wide.box[1] + wide.box[3])  # the words are on one line


def test_a_row_of_portraits_uses_the_whole_height():
    slots = arrange([(768, 1024)] * 3, 1400, 560)
    assert [slot.box[3] for slot in slots] == pytest.approx([560 - 2 * MARGIN - CAPTION] * 3)
    assert len({slot.box[1] for slot in slots}) == 1
    assert [slot.box[0] for slot in slots] == sorted(slot.box[0] for slot in slots)


def test_wide_images_side_by_side_need_one_line_of_words():
    (slot, _) = arrange([(1000, 1000)] * 2, 1600, 800)
    assert slot.box[2] > WIDE and slot.box[3] == pytest.approx(800 - 2 * MARGIN - LINE)


def test_what_is_left_over_is_room_for_words():
    slots = arrange([PORTRAIT] * 4, 1264, 800)
    assert {slot.bottom for slot in slots} == {800 - MARGIN}


def test_a_stage_without_room_is_still_laid_out():
    assert all(slot.box[2] > 0 and slot.box[3] > 0 for slot in arrange([(768, 1024)] * 4, 0, 0))
    assert arrange([], 800, 600) == ()
