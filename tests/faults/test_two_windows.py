"""Two people, two windows: the same project open in two processes. The second sees the first's choices or is told."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from faults.launcher import Plan, end_all, start
from pickroom.automation.decisions_file import read_approved
from pickroom.core.errors import ConflictError, PickroomError
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.session import BoardSession, BrowseSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.workspace import Project
from support.automating import proposed
from support.boards import with_results
from support.reviewing import FINALISE, child, hear, queue, review, rows

Open = Callable[[Project], Any]
Told = tuple[str, dict[str, Any]]  # what the window says, and what it has of each group or image


class Window:
    """A session in a process of its own."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def press(self, *keys: str) -> Told:
        """Press keys; what the window shows after the last of them."""
        return self._ask("press", keys)

    def add_name(self, text: str) -> Told:
        return self._ask("add_name", (text,))

    def _ask(self, what: str, arguments: tuple[str, ...]) -> Told:
        self._pipe.send((what, arguments))
        return hear(self._pipe)


def _serve(pipe: Connection, opening: Open, project: Project) -> None:
    session = opening(project)
    try:
        while True:
            what, arguments = pipe.recv()
            refused = ""
            try:
                for argument in arguments:
                    getattr(session, what)(argument)
            except PickroomError as error:
                refused = error.line
            state = session.board if isinstance(session, BoardSession) else session.state
            if isinstance(session, ReviewSession):
                has = {g: (c.action, c.index) for g, c in state.choices.items() if c.action != "undecided"}
            elif isinstance(session, BoardSession):
                has = dict(state.marks)
            else:
                has = {card.filename: state.box(card).to_list() for card in state.cards}
            pipe.send((refused or state.message, has))
    except EOFError:
        session.close()  # the test is over


@pytest.fixture
def windows() -> Iterator[Callable[[Open, Project], tuple[Window, Window]]]:
    """Two processes that each have a session open on a project, one opened after the other."""
    with ExitStack() as open_ones:

        def open_two(opening: Open, project: Project) -> tuple[Window, Window]:
            pipes = [open_ones.enter_context(child(_serve, opening, project)) for _ in range(2)]
            first, second = (Window(pipe) for pipe in pipes)
            first.press(), second.press()  # both are open before either goes on
            return first, second

        yield open_two


def test_each_review_sees_the_others_choices_with_its_next_key(
    make_project: Callable[..., Project], windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = make_project([(1, 2)] * 4)
    ids = [group.group_id for group in queue(project)]
    one, two = windows(ReviewSession, project)
    one.press("1")
    _, has = two.press("ArrowDown")  # looking is enough
    assert has == {ids[0]: ("approve", 0)}
    one.press("x")
    told, has = two.press("k")  # the second group too is not as this window shows it
    assert "look, and press again" in told and has == {ids[0]: ("approve", 0), ids[1]: ("reject", None)}
    _, has = two.press("k")
    assert has == one.press("End")[1] == {ids[0]: ("approve", 0), ids[1]: ("keep", None)}


def test_two_reviews_pressing_in_any_order_lose_no_key_and_agree(
    make_project: Callable[..., Project], windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = make_project([(1, 1.5, 2)] * 6)
    both = windows(ReviewSession, project)
    rng = random.Random(20250803)
    keys = ("1", "2", "3", "q", "w", "x", "k", "s", "u", "Shift+u", "ArrowDown", "ArrowUp", "Home")
    for _ in range(60):
        window = rng.choice(both)
        before = {row["group_id"]: row["action"] for row in rows(project, "SELECT * FROM review_state")}
        told, has = window.press(rng.choice(keys))
        after = {
            row["group_id"]: (row["action"], row["selected_index"])
            for row in rows(project, "SELECT * FROM review_state")
            if row["action"] != "undecided"
        }
        assert has == after, f"a window shows other than what is saved: {told}"
        changed = [
            g for g in after.keys() | before.keys() if before.get(g, "undecided") != after.get(g, ["undecided"])[0]
        ]
        assert len(changed) <= 1, "one key changes one group"
    assert both[0].press("Home")[1] == both[1].press("Home")[1]


def test_finalise_in_one_window_keeps_choices_of_the_other(
    make_project: Callable[..., Project], windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = make_project([(1, 2)] * 3)
    ids = [group.group_id for group in queue(project)]
    one, two = windows(ReviewSession, project)
    two.press("ArrowDown", "2")
    one.press("Home", "1", *FINALISE)
    told, has = two.press("x")  # on the third group, which alone still waits
    assert has == {ids[2]: ("reject", None)} or "has just changed" in told or "another window" in told
    decided = {row["group_id"]: row["user_selected_index"] for row in rows(project, "SELECT * FROM ai_decisions")}
    assert decided == {ids[0]: 0, ids[1]: 1}


@pytest.mark.parametrize("opening", [BrowseSession, SortSession], ids=["browse", "sort"])
def test_two_boards_show_one_set_of_marks(
    tmp_path: Path, windows: Callable[..., tuple[Window, Window]], opening: Open
) -> None:
    project = with_results(tmp_path, 4)
    one, two = windows(opening, project)
    if opening is SortSession:
        assert one.add_name("anna")[0] == "anna has key 1"
        assert two.add_name("bo")[0] == "bo has key 2"
        assert "look, and press again" in one.press("2")[0]  # to it, key 2 was nobody's when it was pressed
    keys = ("1", "2") if opening is SortSession else ("c", "x")
    rng = random.Random(20250803)
    for _ in range(30):
        window = rng.choice((one, two))
        told, has = window.press(rng.choice((*keys, "ArrowRight", "ArrowLeft", "u", "Shift+u", "End")))
        saved = rows(project, "SELECT directory, filename, folder FROM image_marks WHERE batch IS NULL")
        assert has == {f"{row['directory']}/{row['filename']}": row["folder"] for row in saved}, told
    assert one.press("ArrowLeft")[1] == two.press("ArrowLeft")[1]


def test_key_moved_by_another_window_needs_a_second_press(
    tmp_path: Path, windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = with_results(tmp_path, 2)
    one, two = windows(SortSession, project)
    for name in ("anna", "bo"):
        one.add_name(name)
    two.press("Home")
    one.add_name("-anna")  # unused: bo moves up to key 1
    told, has = two.press("1")  # meant for anna, as this window shows it
    assert "look, and press again" in told and has == {}
    assert list(two.press("1")[1].values()) == ["selected/bo"]


def test_set_marks_names_missing_images_and_marks_none(tmp_path: Path) -> None:
    project = with_results(tmp_path, 3)
    session = BrowseSession(project, ["selected"])
    paths = list(session.board.layout.places)
    (project.root / paths[1]).unlink()
    with closing(session), pytest.raises(ConflictError, match="1 of 3 images went elsewhere meanwhile") as refused:
        session.set_marks(dict.fromkeys(paths, "crop"))
    assert refused.value.items == (paths[1],) and "look again" in refused.value.line
    assert rows(project, "SELECT * FROM image_marks") == []


def test_an_apply_in_one_window_is_told_in_the_other(
    tmp_path: Path, windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = with_results(tmp_path, 3)
    one, two = windows(lambda project: BrowseSession(project, ["selected"]), project)
    two.press("Home", "c")
    one.press("End", "x", "Shift+Enter", "Shift+Enter")
    told, has = two.press("Shift+Enter")
    assert has == {} and ("look again" in told or "nothing is marked" in told), told
    batches = rows(project, "SELECT batch, folder FROM image_marks ORDER BY folder")
    assert {row["folder"] for row in batches} == {"crop", "delete_staging"} and len({r["batch"] for r in batches}) == 1


def test_second_crop_desk_names_taken_images_and_keeps_its_boxes(
    make_project: Callable[..., Project], windows: Callable[..., tuple[Window, Window]]
) -> None:
    project = make_project([(1, 2)] * 4)
    review(project, "q", "q", "q", "q", *FINALISE)
    one, two = windows(CropSession, project)
    _, drawn = two.press("n", "[", "Tab", "n", "Tab", "n", "[", "[")  # boxes of its own, on the same three images
    _, left = one.press("[", "Enter", "[", "Enter", "[", "Enter")
    assert len(rows(project, "SELECT * FROM crops")) == 3 and len(left) == 1
    told, has = two.press("Enter")
    assert len(rows(project, "SELECT * FROM crops")) == 3  # nothing is cropped twice
    assert f"{list(drawn)[2]}: no such image waits" in told
    assert has == left
    told, back = two.press("b")  # whoever submitted it: the image comes back with its box, and is named
    assert "is back" in told and set(back) > set(left)


def test_two_automation_reviews_writing_at_once_lose_no_line(
    make_project: Callable[..., Project], tmp_path: Path
) -> None:
    project = make_project([(1, 2)] * 2)
    place = proposed(project)
    ids = [group.group_id for group in queue(project)]
    keys, commands = {"first": "a\n", "second": "ArrowDown\nr\n"}, {}
    for name, pressed in keys.items():
        path = tmp_path / f"{name}.keys"
        path.write_text(pressed + "Shift+Enter\nShift+Enter\n")
        home = ["--home", str(project.workspace.root)]
        commands[name] = ["auto", "review", "p", "--keys", str(path), "--order", "folder", *home]
    try:
        first = start(commands["first"], tmp_path / "first.txt", Plan(stop_at=1, only="decisions written: "))
        assert first.wait_stopped()  # it has read what stands in the file, and is about to write it anew
        second = start(commands["second"], tmp_path / "second.txt")
        assert second.wait() == 1 and f"process {first.pid} (writing what was chosen) is at work" in second.said
        first.go_on()
        assert first.wait() == 0
        assert list(read_approved(place.approved)) == [ids[0]]
        again = start(["auto", "review", *commands["second"][2:]], tmp_path / "again.txt")  # its choice was saved
        (tmp_path / "second.keys").write_text("Shift+Enter\nShift+Enter\n")
        assert again.wait() == 0
        assert {g: line.action for g, line in read_approved(place.approved).items()} == {
            ids[0]: "approved",
            ids[1]: "rejected",
        }
    finally:
        end_all()
