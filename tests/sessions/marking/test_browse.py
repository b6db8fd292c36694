"""What only the folder viewer does: which folders it shows in which order, the row, clearing, the next marked image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from conftest import write_image
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.session import BrowseSession, mark_word
from pickroom.store.workspace import Project
from support.boards import with_results


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return with_results(tmp_path)


@pytest.fixture
def session(project: Project) -> Iterator[BrowseSession]:
    write_image(project.root / "crop_cropped" / "c.png", seed=1)
    write_image(project.root / "selected" / "anna" / "a.png", seed=2)
    opened = BrowseSession(project)
    yield opened
    opened.close()


def test_results_are_listed_first_and_then_sources_only(session: BrowseSession) -> None:
    sections = session.board.layout.sections
    assert [section.folder for section in sections] == ["selected", "selected/anna", "crop_cropped", "shoot"]
    assert [len(section.paths) for section in sections] == [5, 1, 1, 2]
    assert sections[3].note == "2 images cannot be marked: waiting for review in a group"
    assert session.header() == "9 images in 4 folders - 0 marked"


def test_a_folder_of_sources_is_shown_with_all_that_is_in_it(project: Project) -> None:
    for folder in ("shoot/selected", "shoot/crop"):
        write_image(project.root / folder / f"{folder[6:]}.png")
    opened = BrowseSession(project, ["shoot"])
    try:
        folders = {item.directory for item in opened.listing.items}
    finally:
        opened.close()
    assert folders == {"shoot", "shoot/selected", "shoot/crop"}


def test_the_row_and_the_next_marked_image(session: BrowseSession) -> None:
    session.board = replace(session.board, columns=3)
    session.press("Shift+x")
    assert len(session.board.marks) == 3 and session.board.cursor == 3
    assert session.press("m").cursor == 0
    assert session.press("m").cursor == 1
    session.press("k")
    assert len(session.board.marks) == 2
    assert session.press("5").message == "5 does nothing here; ? shows the keys"


def test_an_image_sent_to_be_cropped_waits_on_the_crop_desk(project: Project, session: BrowseSession) -> None:
    marked = session.listing.find(Path(session.board.active or "").name).rpartition("/")[2]
    for key in ("c", "Shift+Enter", "Shift+Enter"):
        session.press(key)
    desk = CropSession(project)
    try:
        assert [card.filename for card in desk.state.cards] == [marked]
    finally:
        desk.close()


def test_words_of_marks() -> None:
    assert mark_word("keep") == "keep"
    with pytest.raises(ValueError, match='not "keep"'):
        mark_word("burn")
