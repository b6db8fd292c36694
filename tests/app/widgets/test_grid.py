"""The messages between a page and the kernel for a grid, and the desks behind it, without a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write_image
from pickroom.app.widgets import desk_html
from pickroom.app.widgets.grid_desk import BrowseDesk, GridDesk, SortDesk, open_browse, open_sort
from pickroom.app.widgets.stage import Grid, runs, sequences
from pickroom.core.errors import PickroomError
from pickroom.indexing import projects
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.workspace import Project
from support.boards import selected, with_results

Messages = list[tuple[dict[str, Any], list[bytes]]]


class Page:
    """The browser's side of one view: numbers its keys, and says what it saw."""

    def __init__(self, desk: GridDesk, sent: Messages) -> None:
        self.desk, self.sent, self.number = desk, sent, 0
        desk.grid.on_message({"type": "hello", "view": "v", "columns": 4, "dark": False})

    @property
    def scene(self) -> dict[str, Any]:
        return next(message for message, _ in reversed(self.sent) if message["type"] == "scene")

    def press(self, *keys: str, seen: str | None = None) -> None:
        for key in keys:
            self.number += 1
            message = {"type": "key", "view": "v", "number": self.number, "oldest": self.number, "key": key}
            self.desk.grid.on_message({**message, "seen": self.scene["token"] if seen is None else seen})

    def want(self, **numbers: list[Any]) -> Messages:
        asked = {"type": "want", "page": "p", "version": 1, "texts": [], "thumbs": [], "large": [], **numbers}
        before = len(self.sent)
        self.desk.grid.on_message(asked)
        return self.sent[before:]


@pytest.fixture
def messages(monkeypatch: pytest.MonkeyPatch) -> Messages:
    """Every message that grids send, oldest first."""
    kept: Messages = []
    monkeypatch.setattr(Grid, "send", lambda self, content, buffers=(): kept.append((content, list(buffers))))
    return kept


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_results(tmp_path)


@pytest.fixture
def page(project: Project, messages: Messages) -> Iterator[Page]:
    desk = BrowseDesk(BrowseSession(project))
    yield Page(desk, messages)
    desk.close()


@pytest.fixture
def sorter(project: Project, messages: Messages) -> Iterator[Page]:
    desk = SortDesk(SortSession(project))
    yield Page(desk, messages)
    desk.close()


def test_first_scene_is_complete_and_later_ones_send_changes(page: Page) -> None:
    sections = page.scene["layout"]["sections"]
    assert [(one["title"], one["count"], one["ids"]) for one in sections] == [
        ("selected", 5, [[0, 5]]),
        ("shoot", 2, [[5, 2]]),
    ]
    page.press("c")
    assert "layout" not in page.scene
    assert page.scene["marks"] == {"names": [{"text": "crop", "kind": "keep"}], "runs": [[0, 0, 0]]}
    page.press("ArrowRight")
    assert "marks" not in page.scene and page.scene["cursor"] == 2 and page.scene["applied"] == {"v": 2}


def test_clicks_and_bands_are_keys_in_their_order(page: Page) -> None:
    page.press("click:3", "click+shift:1")
    assert page.scene["selected"] == [[1, 3]]
    page.press("band:0-1,4-4", "click+ctrl:4")
    assert page.scene["selected"] == [[0, 1]]
    page.press("section:0", "x")
    assert page.scene["marks"]["runs"] == [[0, 4, 0]]
    page.press("band:")
    assert page.scene["selected"] == []


@pytest.mark.parametrize("key", ["click:", "band:9", "band:x", "band:1-2-3", "nonsense", "click:99999", "section:77"])
def test_invalid_key_changes_nothing_and_is_answered(page: Page, key: str) -> None:
    before = page.desk.session.board
    page.press(key)
    after = page.desk.session.board
    assert (after.marks, after.cursor, after.selected) == (before.marks, before.cursor, before.selected)
    assert page.scene["applied"] == {"v": 1}


def test_a_mark_meant_for_another_board_is_not_made(page: Page, project: Project) -> None:
    seen = page.scene["token"]
    (project.root / "selected" / selected(project)[0]).rename(project.root / "selected" / "other.png")
    page.press("x", seen=seen)
    assert "too early" in page.desk.words.value and page.desk.session.board.marks == {}


def test_words_and_pictures_by_number(page: Page, project: Project) -> None:
    write_image(project.root / "selected" / "zz.png").write_bytes(b"nothing")
    page.desk.grid.on_message({"type": "focus", "view": "v", "on": True})
    numbers = [n for first, count in page.scene["layout"]["sections"][0]["ids"] for n in range(first, first + count)]
    (texts, _), (pictures, buffers) = page.want(texts=[*numbers, 999, "x"], thumbs=[*numbers, 999])
    assert [row[1] for row in texts["rows"]] == [*selected(project)]
    reasons = [reason for _, reason in pictures["rows"]]
    assert reasons[:5] == [None] * 5 and reasons[5] and reasons[6] == "not an image of this board"
    assert len(buffers) == 5 and all(one[:2] == b"\xff\xd8" for one in buffers)
    ((large, one),) = page.want(large=[numbers[0]])
    assert large["kind"] == "large" and len(one) == 1


def test_the_sorters_buttons_name_field_and_filter(sorter: Page, project: Project) -> None:
    desk = sorter.desk
    assert isinstance(desk, SortDesk)
    sorter.press("n")
    assert sorter.scene["asking"] is True
    desk.name.value = "anna <b>"
    assert "naming a folder" in desk.words.value and "<b>" not in desk.words.value
    desk.name.value = "anna"
    assert sorter.scene["asking"] is False and desk.session.names == ["anna"] and desk.name.value == ""
    desk._reading.join(30)
    assert desk.only.options[0] == ("Show only…", ("", "")) and desk.only.label == "Show only…"
    sorter.press("folder 0")
    assert list(desk.session.board.marks.values()) == ["selected/anna"]
    sorter.press("Shift+Enter")
    assert "selected/anna/" in desk.panel.value
    sorter.press("Shift+Enter")
    assert "Batch 2" in desk.words.value and len(desk.session.listing.items) == 5


def test_a_project_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    for open_it in (open_browse, open_sort):
        with pytest.raises(PickroomError, match="no project is named"):
            open_it("nowhere", tmp_path)


def test_other_peoples_text_is_escaped() -> None:
    bad = "<script>alert(1)</script>"
    shown = (
        desk_html.header(bad),
        desk_html.line(bad),
        desk_html.routes([(bad, bad)]),
        desk_html.texts(bad, {bad: bad}),
        desk_html.button(f'"{bad}', bad, bad, title=f'"{bad}'),
    )
    assert not any("<script" in html or '""' in html.replace('=""', "") for html in shown)


@given(st.lists(st.integers(0, 30)))
def test_numbers_survive_as_runs(numbers: list[int]) -> None:
    assert [n for first, count in sequences(numbers) for n in range(first, first + count)] == numbers


@given(st.lists(st.integers(-1, 2)))
def test_marks_survive_as_runs(values: list[int]) -> None:
    back = [-1] * len(values)
    for first, last, value in runs(values):
        back[first : last + 1] = [value] * (last + 1 - first)
    assert back == values


def test_fast_keys_all_count_while_the_shown_images_stay(sorter: Page) -> None:
    sorter.desk.session.add_name("anna")  # type: ignore[attr-defined]
    sorter.desk.redraw()
    sorter.press("1", "1", "1", seen=sorter.scene["token"])  # before the answer to the first is on screen
    assert len(sorter.desk.session.board.marks) == 3
    sorter.press("v")
    sorter.press("1", "1", seen=sorter.scene["token"])  # hidden when marked: other images are there after the first
    assert len(sorter.desk.session.board.marks) == 4 and "too early" in sorter.desk.words.value


def test_folder_viewer_offers_no_crop_where_images_stay(make_project: Callable[..., Project]) -> None:
    project = projects.set_in_place(make_project([(1, 2)]), "stem")
    write_image(project.root / "alone.png", seed=90)
    projects.rescan(project)
    with closing(BrowseSession(project, [""])) as session:
        desk = BrowseDesk(session)
        buttons = "".join(desk.buttons())
        assert "rated 3 (yellow)" in buttons and "rated -1 (red)" in buttons and "crop/" not in buttons
        session.set_marks({"alone.png": "selected"})
        session.press("Shift+Enter")
        desk.draw()
        assert "Write these ratings?" in desk.panel.value and "no image moves" in desk.panel.value
