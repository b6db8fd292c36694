"""The board of thumbnails as a pure machine: what each key and click does, and what holds for any of them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.sessions.keys import Command
from pickroom.sessions.marking import board as machine
from pickroom.sessions.marking.board import Board, Layout, Section

# two folders of 7 and 3 images with an empty one between them; four columns: rows of 4, 3 and 3
A = tuple(f"a/{i}.png" for i in range(7))
B = tuple(f"b/{i}.png" for i in range(3))
LAYOUT = Layout([Section("a", "a", A), Section("empty", "e", ()), Section("b", "b", B)])
MOVES = ("left", "right", "up", "down", "first", "last")


def board(**fields: object) -> Board:
    return Board(layout=LAYOUT, columns=4, **fields)  # type: ignore[arg-type]


def after(start: Board, *names: str) -> Board:
    for name in names:
        start = machine.command(start, Command(name))
    return start


def put(start: Board, folder: str, *paths: str) -> Board:
    return machine.mark(start, "c", dict.fromkeys(paths or start.targets, folder))


# ------------------------------------------------------------------------------------------------ cursor, selection


@pytest.mark.parametrize(
    ("cursor", "name", "place"),
    [
        (0, "left", 0),
        (0, "right", 1),
        (1, "down", 5),
        (3, "down", 6),  # the row below is shorter
        (5, "down", 8),  # into the next folder that has images
        (8, "up", 5),
        (9, "right", 9),
        (9, "down", 9),
        (2, "up", 2),
        (5, "first", 0),
        (5, "last", 9),
    ],
)
def test_arrows_go_where_the_eye_expects(cursor: int, name: str, place: int) -> None:
    assert after(board(cursor=cursor), name).cursor == place


def test_the_row_of_the_active_image() -> None:
    assert board(cursor=5).row == A[4:7]
    assert board(cursor=8).row == B
    assert Board().row == ()


def test_clicks_select_as_in_a_file_manager() -> None:
    one = machine.click(board(), 2)
    assert one.targets == (A[2],) and one.selected == frozenset()
    assert machine.click(one, 5, extend=True).selected == set(A[2:6])
    two = machine.click(machine.click(one, 2, toggle=True), 8, toggle=True)
    assert two.selected == {A[2], B[1]} and two.targets == (A[2], B[1])
    assert machine.click(two, 8, toggle=True).selected == {A[2]}
    assert machine.click(two, 0).selected == frozenset()
    assert machine.click(two, 99) == two


def test_a_rubber_band_and_a_header() -> None:
    caught = machine.band(board(), [(1, 2), (5, 6)])
    assert caught.selected == {A[1], A[2], A[5], A[6]} and caught.cursor == 6
    assert machine.band(caught, [(7, 50)], add=True).selected == caught.selected | set(B)
    assert machine.band(caught, []).selected == frozenset()
    assert machine.band(caught, [], add=True) == caught
    assert machine.select_section(board(), 2).selected == set(B)
    assert machine.select_section(board(), 1) == board()  # an empty folder


def test_shift_and_an_arrow_select_on_the_way_and_back() -> None:
    extended = after(machine.click(board(), 1), "extend down")
    assert extended.selected == set(A[1:6])
    assert after(extended, "extend left").selected == set(A[1:5])
    assert after(extended, "left").selected == extended.selected
    assert after(board(), "toggle", "right", "right", "toggle").targets == (A[0], A[2])
    assert after(board(), "toggle", "right", "back").selected == frozenset()


# ------------------------------------------------------------------------------------------------ marks


def test_a_mark_goes_on_and_the_same_again_clears() -> None:
    marked = put(board(), "crop")
    assert dict(marked.marks) == {A[0]: "crop"} and marked.cursor == 1
    again = put(replace(marked, cursor=0), "crop")
    assert dict(again.marks) == {} and again.cursor == 0
    other = put(replace(marked, cursor=0), "delete_staging")
    assert dict(other.marks) == {A[0]: "delete_staging"}


def test_selection_is_one_step_and_clears_only_if_all_are_marked() -> None:
    some = put(machine.band(put(board(), "crop"), [(0, 2)]), "crop")
    assert set(some.marks) == set(A[:3]) and some.selected == frozenset()
    assert after(some, "undo").marks == {A[0]: "crop"}
    cleared = put(machine.band(some, [(0, 2)]), "crop")
    assert dict(cleared.marks) == {}


def test_blocked_or_already_placed_images_are_reported_unmarked() -> None:
    start = machine.band(board(blocked={A[1]: "waiting for review in a group"}), [(0, 1)])
    marked = put(start, "crop")
    assert set(marked.marks) == {A[0]}
    assert marked.message == "1 image not marked: waiting for review in a group"
    home = put(board(), "a")
    assert dict(home.marks) == {} and home.message == "1 image in a/ already"
    back = put(put(board(), "crop"), "a", A[0])
    assert dict(back.marks) == {}  # sent back to where it lies: no mark is left


def test_clear_is_a_step_too() -> None:
    marked = put(board(), "crop")
    cleared = machine.unmark(marked, "k", (A[0], A[1]))
    assert dict(cleared.marks) == {} and after(cleared, "undo").marks == marked.marks
    assert machine.unmark(cleared, "k", (A[0],)).message == "nothing is marked there"


def test_apply_takes_a_summary_and_a_second_key() -> None:
    assert after(board(), "finalise").message == "nothing is marked yet"
    asked = after(put(board(), "crop"), "finalise")
    assert asked.summary and not asked.confirmed
    assert after(asked, "right").summary
    assert not after(asked, "back").summary
    done = after(asked, "finalise")
    assert done.confirmed and not done.summary
    assert machine.click(asked, 3) == asked  # behind the summary nothing is touched


def test_new_layout_keeps_the_active_image_or_the_next_one() -> None:
    start = machine.click(board(), 3)
    fewer = Layout([Section("a", "a", A[:3] + A[5:])])
    moved = machine.with_layout(start, fewer)
    assert moved.active == A[5] and moved.selected == frozenset()
    assert machine.with_layout(start, Layout()).active is None


def test_an_empty_board_bears_every_key() -> None:
    for name in (*MOVES, "toggle", "large", "info", "back", "undo", "redo", "finalise", "smaller"):
        assert machine.command(Board(), Command(name)).marks == {}


ACTIONS = st.one_of(
    st.tuples(st.just("key"), st.sampled_from((*MOVES, "toggle", "undo", "redo", "back", "extend down"))),
    st.tuples(st.just("mark"), st.sampled_from(("crop", "delete_staging", "a"))),
    st.tuples(st.just("click"), st.integers(0, 9)),
    st.tuples(st.just("add"), st.integers(0, 9)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=25))
def test_undo_returns_to_no_marks_and_redo_restores_them(actions: list) -> None:
    now = board(blocked={A[4]: "busy"})
    for kind, what in actions:
        if kind == "key":
            now = machine.command(now, Command(what))
        elif kind == "mark":
            now = put(now, what)
        else:
            now = machine.click(now, what, toggle=kind == "add")
        assert now.active in LAYOUT.places and now.selected <= set(LAYOUT.order)
        assert A[4] not in now.marks
        assert all(path.rpartition("/")[0] != folder for path, folder in now.marks.items())
    while now.redo:
        now = after(now, "redo")
    here = dict(now.marks)
    count = len(now.undo)
    now = after(now, *["undo"] * count)
    assert dict(now.marks) == {}
    assert dict(after(now, *["redo"] * count).marks) == here
