"""Which keys there are, what each is bound to, how they are spelled, and what a file of keys may hold."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pickroom import app
from pickroom.core.errors import UsageError
from pickroom.core.records import Origin
from pickroom.sessions.crop import state as crop
from pickroom.sessions.crop.editing import FULL
from pickroom.sessions.duplicates.session import DuplicatesSession
from pickroom.sessions.keys import (
    AUTOMATION,
    CROP,
    REVIEW,
    TOOLS,
    Command,
    KeyTable,
    bind,
    normalise,
    read_keys,
    show_key,
)
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.review.state import ReviewState, press
from pickroom.sessions.sorting.session import SortSession
from pickroom.store.review_state import SavedChoice
from sessions.duplicates.test_session import with_duplicates
from support.boards import drive, with_results
from support.reviewing import card_of

# keys that users know: another command under one of them would decide what they did not mean
TABLE = {
    "1": Command("pick", 0),
    "2": Command("pick", 1),
    "3": Command("pick", 2),
    "4": Command("pick", 3),
    "q": Command("crop", 0),
    "w": Command("crop", 1),
    "e": Command("crop", 2),
    "r": Command("crop", 3),
    "a": Command("accept"),
    "c": Command("overlay"),
    "x": Command("reject"),
    "s": Command("skip"),
    "k": Command("keep"),
    "Enter": Command("next"),
    "ArrowDown": Command("next"),
    "ArrowRight": Command("next"),
    "ArrowUp": Command("previous"),
    "ArrowLeft": Command("previous"),
    "Home": Command("first"),
    "End": Command("last"),
    "g": Command("next undecided"),
    "f": Command("faces"),
    "z": Command("zoom"),
    "i": Command("info"),
    "?": Command("help"),
    "Escape": Command("back"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "Shift+Enter": Command("finalise"),
}


def test_known_keys_of_the_deck_keep_their_commands() -> None:
    assert TABLE.items() <= REVIEW.commands.items()


def test_legend_of_the_deck_names_each_line_once() -> None:
    assert len(REVIEW.legend) == len({keys for keys, _ in REVIEW.legend})


@pytest.mark.parametrize("tool", TOOLS)
def test_every_key_is_in_the_help_of_its_tool(tool: str) -> None:
    table = TOOLS[tool]
    told = {text: keys for keys, text in table.legend}
    for binding in table.bindings:
        shown = binding.shown or show_key(binding.key)
        assert shown in told[binding.help], binding.key


@pytest.mark.parametrize("tool", TOOLS)
def test_browser_can_send_every_key(tool: str) -> None:
    (script,) = Path(app.__file__).parent.rglob("keys.js")
    (names,) = re.findall(r"NAMED = \[(.*?)\]", script.read_text(encoding="utf-8"))
    named = {*re.findall(r'"(\w+)"', names), "Space"}
    for key in TOOLS[tool].commands:
        plain = key.removeprefix("Shift+")
        assert plain in named or len(plain) == 1, key


@pytest.mark.parametrize("table", [REVIEW, AUTOMATION], ids=["review", "automation"])
def test_review_knows_the_command_of_every_key(table: KeyTable) -> None:
    cards = (card_of("a", 4, 1, True), card_of("b", 2))
    for key in table.commands:
        press(ReviewState(cards), key, table)


def test_crop_desk_knows_the_command_of_every_key() -> None:
    for key in CROP.commands:
        crop.press(crop.CropState((crop.CropCard("a.png", "crop", (90, 60), FULL),)), key)


def test_tools_of_marks_know_the_command_of_every_key(tmp_path: Path) -> None:
    projects = (with_results(tmp_path / "boards"), with_duplicates(tmp_path / "pairs"))
    for session in (BrowseSession(projects[0]), SortSession(projects[0]), DuplicatesSession(projects[1])):
        drive(session, *(key for key in session.keys.commands if key != "Shift+Enter"), "Shift+Enter")
        assert session.board.message or session.board.summary


@pytest.mark.parametrize(
    "lines",
    [
        (bind("a", "accept", "accept", "looks"), bind("a", "again", "again", "looks")),
        (bind("A", "accept", "accept", "looks"),),
        (bind("a", "accept", "", "looks"),),
    ],
    ids=["bound twice", "misspelled", "without help"],
)
def test_table_of_keys_that_is_wrong_is_refused(lines: tuple[tuple[Command, ...], ...]) -> None:
    with pytest.raises(ValueError, match="keys bound twice, misspelled or without help"):
        KeyTable(*lines)


def test_neighbours_with_one_help_share_its_line() -> None:
    table = KeyTable(bind("Home End", "first, last", "first, last", "looks"), bind("1 2", "pick #", "pick", "decides"))
    assert table.legend == (("Home End", "first, last"), ("1 2", "pick"))
    assert table.commands["2"] == Command("pick", 1) and table.key_of("pick", 1) == "2"
    with pytest.raises(KeyError, match="no key is bound to crop"):
        table.key_of("crop")


def test_origin_of_a_choice_is_saved_whole() -> None:
    assert {one.name for one in fields(Origin)} <= {one.name for one in fields(SavedChoice)}


def test_tables_spell_their_keys_as_they_are_read() -> None:
    for table in TOOLS.values():
        assert [normalise(key) for key in table.commands] == list(table.commands)


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("A", "a"),
        ("a", "a"),
        (" a ", "a"),
        ("Shift+A", "Shift+a"),
        ("Shift+1", "Shift+1"),
        ("Esc", "Escape"),
        ("Up", "ArrowUp"),
        ("Down", "ArrowDown"),
        ("Left", "ArrowLeft"),
        ("Right", "ArrowRight"),
        ("Shift+Left", "Shift+ArrowLeft"),
        ("?", "?"),
        ("Shift+?", "?"),
        ("[", "["),
        ("]", "]"),
        ("Tab", "Tab"),
        ("Space", "Space"),
        ("0", "0"),
    ],
)
def test_key_has_one_spelling(written: str, key: str) -> None:
    assert normalise(written) == key


@pytest.mark.parametrize(
    "text", ["", " ", "aa", "enter", "Ctrl+a", "Shift+", "Shift+Shift+a", "F5", "é", "shift+a", "?[", "10", "a b", "٣"]
)
def test_text_that_is_no_key_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(UsageError, match="is not a key"):
        normalise(text)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("", []),
        ("a\n1\nEnter\nShift+Enter\n", ["a", "1", "Enter", "Shift+Enter"]),
        ("a\r\n1\r\n", ["a", "1"]),
        ("# first pick\n\n  \na\n  # then\n2", ["a", "2"]),
        ("A\nQ\nEsc\n", ["a", "q", "Escape"]),
    ],
)
def test_file_of_keys_has_one_a_line(text: str, keys: list[str]) -> None:
    assert read_keys(text) == keys


def test_line_that_is_no_key_is_named_by_its_number() -> None:
    with pytest.raises(UsageError, match=r"^line 4: 'Return' is not a key"):
        read_keys("a\n# comment\n\nReturn\n")
