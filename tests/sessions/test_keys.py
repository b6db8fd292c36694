"""Which keys there are, how they are spelled, and what a file of keys may hold."""

from __future__ import annotations

import pytest

from pickroom.core.errors import UsageError
from pickroom.sessions.bindings import REVIEW
from pickroom.sessions.keys import Command, normalise, read_keys

# REVIEW.md, The review deck: every key of the table
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
    "z": Command("zoom"),
    "i": Command("info"),
    "?": Command("help"),
    "Escape": Command("back"),
    "u": Command("undo"),
    "Shift+u": Command("redo"),
    "Shift+Enter": Command("finalise"),
}


def test_keys_of_the_deck_are_exactly_those_of_the_table() -> None:
    assert REVIEW.commands == TABLE


def test_legend_names_every_key() -> None:
    spoken = " ".join(keys for keys, _ in REVIEW.legend)
    shown = {"ArrowDown": "↓", "ArrowRight": "→", "ArrowUp": "↑", "ArrowLeft": "←", "Escape": "Esc"}
    told = spoken + " ".join(effect for _, effect in REVIEW.legend)
    missing = [key for key in REVIEW.commands if shown.get(key, key).lower() not in told.lower()]
    assert missing == []
    assert len(REVIEW.legend) == len({keys for keys, _ in REVIEW.legend})


@pytest.mark.parametrize("key", sorted(REVIEW.commands))
def test_tables_spell_their_keys_as_they_are_read(key: str) -> None:
    assert normalise(key) == key


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
    with pytest.raises(UsageError, match="is no key"):
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
    with pytest.raises(UsageError, match=r"^line 4: 'Return' is no key"):
        read_keys("a\n# comment\n\nReturn\n")
