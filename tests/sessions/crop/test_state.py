"""The crop desk's keys and drags, without a file in sight."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.core.geometry import from_pixels, to_pixels
from pickroom.sessions.crop import state as machine
from pickroom.sessions.crop.state import FREE, OWN, CropCard, CropState, press
from pickroom.sessions.keys import CROP

SIZE = (1000, 800)
START = from_pixels((200, 160, 600, 480), *SIZE)
REACH = (0.02, 0.02)


def desk(count: int = 2) -> CropState:
    return CropState(tuple(CropCard(f"{i}.png", "crop", SIZE, START) for i in range(count)))


def pixels(state: CropState) -> tuple[int, int, int, int]:
    assert state.card is not None
    return to_pixels(state.box(state.card), *SIZE)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("ArrowLeft", (199, 160, 599, 480)),
        ("ArrowRight", (201, 160, 601, 480)),
        ("ArrowUp", (200, 159, 600, 479)),
        ("ArrowDown", (200, 161, 600, 481)),
        ("Shift+ArrowLeft", (190, 160, 590, 480)),
        ("Shift+ArrowDown", (200, 170, 600, 490)),
        ("]", (190, 152, 610, 488)),
        ("[", (210, 168, 590, 472)),
        ("n", (0, 0, 1000, 800)),
    ],
)
def test_a_key_edits_the_active_box(key, expected):
    assert pixels(press(desk(), key)) == expected


def test_tab_and_digits_choose_the_active_image():
    state = press(desk(3), "Tab")
    assert state.active == 1
    assert press(state, "3").active == 2
    assert press(press(state, "3"), "Tab").active == 0
    assert press(desk(2), "Shift+Tab").active == 1
    assert press(desk(2), "3").message == "this page has 2 images"


def test_f_frees_the_shape_and_keeps_it_again():
    state = press(desk(), "f")
    assert state.card is not None
    assert (state.shaped(state.card)[1], state.ratio(state.card)) == (FREE, None)
    again = press(state, "f")
    assert again.card is not None
    assert (again.shaped(again.card)[1], again.ratio(again.card)) == (OWN, 1.25)


def test_p_walks_through_the_presets_and_back_to_the_images_own():
    state, seen = desk(), []
    for _ in range(5):
        state = press(state, "p")
        assert state.card is not None
        seen.append(state.shaped(state.card)[1])
    assert seen == ["1:1", "4:5", "3:2", "16:9", OWN]


def test_a_preset_gives_the_box_its_shape():
    x1, y1, x2, y2 = pixels(machine.set_shape(desk(), "1:1"))
    assert x2 - x1 == y2 - y1


def test_drag_inside_moves_outside_draws_and_handle_resizes():
    moved = machine.drag_to(machine.drag_start(desk(), 0, (0.4, 0.4), REACH), (0.5, 0.45))
    assert pixels(moved) == (300, 200, 700, 520)
    drawn = machine.drag_to(machine.drag_start(desk(), 0, (0.7, 0.1), REACH), (0.9, 0.2))
    assert pixels(drawn) == (700, 80, 900, 240)
    resized = machine.drag_to(machine.drag_start(desk(), 0, (0.6, 0.6), REACH), (0.7, 0.6))
    assert pixels(resized) == (200, 160, 700, 560)


def test_a_drag_over_a_full_frame_draws():
    state = press(desk(), "n")
    drawn = machine.drag_to(machine.drag_start(state, 0, (0.1, 0.1), REACH), (0.5, 0.5))
    assert pixels(drawn) == (100, 80, 500, 400)


def test_a_whole_drag_is_one_step_to_undo():
    state = machine.drag_start(desk(), 1, (0.4, 0.4), REACH)
    for x in (0.41, 0.42, 0.43):
        state = machine.drag_to(state, (x, 0.4))
    state = machine.drag_end(state)
    assert (len(state.undo), state.active) == (1, 1)
    back = press(state, "u")
    assert pixels(back) == to_pixels(START, *SIZE)
    assert pixels(press(back, "Shift+u")) == pixels(state)


def test_a_click_without_a_drag_is_no_step():
    state = machine.drag_end(machine.drag_start(desk(), 1, (0.9, 0.9), REACH))
    assert (state.undo, state.active) == ((), 1)


def test_apply_all_ai_crops_asks_first():
    asked = press(desk(), "Shift+a")
    assert asked.confirming and asked.pending_action is None
    assert press(asked, "Escape").pending_action is None
    assert press(asked, "Enter").pending_action == "apply ai"


def test_enter_on_a_default_box_asks_and_a_second_submits():
    asked = press(desk(), "Enter")
    assert asked.asked and asked.pending_action is None and "press Enter again" in asked.message
    assert press(asked, "Enter").pending_action == "submit"
    for other in (
        press(asked, "Tab"),
        machine.drag_start(asked, 0, (0.9, 0.9), REACH),
        machine.set_shape(asked, "1:1"),
    ):
        assert not other.asked
    assert press(press(desk(), "]"), "Enter").pending_action == "submit"


@pytest.mark.parametrize(("key", "pending_action"), [("d", "delete"), ("s", "skip"), ("b", "back")])
def test_a_key_that_touches_files_only_wishes(key, pending_action):
    assert press(desk(), key).pending_action == pending_action


def test_an_empty_desk_answers_every_key_with_words():
    for key in CROP.commands:
        state = press(CropState(()), key)
        assert state.message or state.help or state.confirming or state.pending_action == "back" or key == "Escape"


def test_a_text_that_is_no_key_is_refused():
    with pytest.raises(UsageError):
        press(desk(), "Hyper+q")


@given(st.lists(st.sampled_from([k for k in CROP.commands if k not in ("u", "Shift+u")]), max_size=30))
def test_undoing_everything_gives_the_first_boxes_back(keys):
    state = desk(3)
    for key in keys:
        state = press(state, key)
    state = press(state, "Escape")
    edited = dict(state.boxes)
    steps = len(state.undo)
    for _ in range(steps):
        state = press(state, "u")
    assert all(state.box(card) == START for card in state.cards)
    for _ in range(steps):
        state = press(state, "Shift+u")
    assert {n: b for n, (b, _) in state.boxes.items() if b != START} == {
        n: b for n, (b, _) in edited.items() if b != START
    }


def test_a_handle_keeps_its_distance_from_the_pointer():
    taken = machine.drag_start(desk(), 0, (0.61, 0.59), REACH)  # next to the corner at (0.6, 0.6)
    assert pixels(machine.drag_to(taken, (0.61, 0.59))) == to_pixels(START, *SIZE)
    assert pixels(machine.drag_to(taken, (0.71, 0.59))) == (200, 160, 700, 560)


def test_escape_takes_a_drag_back_and_any_other_key_ends_it():
    dragged = machine.drag_to(machine.drag_start(desk(), 0, (0.4, 0.4), REACH), (0.5, 0.45))
    back = press(dragged, "Escape")
    assert (pixels(back), back.drag, back.undo) == (to_pixels(START, *SIZE), None, ())
    nudged = press(dragged, "ArrowRight")
    assert (pixels(nudged), nudged.drag, len(nudged.undo)) == ((301, 200, 701, 520), None, 2)
