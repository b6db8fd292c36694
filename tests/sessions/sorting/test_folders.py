"""Names of character folders: what may be one, and what a field's text becomes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.errors import UsageError
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.sessions.sorting.suggest import LONGEST, folder_for, folder_name, same


@pytest.mark.parametrize("text", ["anna", " Anna B. 2 ", "Ёлка", "a" * LONGEST, "Anna & Bo (2)", "o'neil", "v1.5"])
def test_a_name_is_taken_as_typed(text: str) -> None:
    assert folder_name(text) == text.strip()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "../x",
        "a\nb",
        "a\x00b",
        "x:y",
        "a.",
        "con",
        "LPT1.txt",
        "a" * 65,
        *list(OWNED_FOLDERS),
        "Selected",
    ],
)
def test_a_name_that_no_folder_should_have_is_one_line(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        folder_name(text)
    assert caught.value.line.count("\n") == 0 and "naming a folder" in caught.value.line


@pytest.mark.parametrize(
    ("value", "folder"),
    [
        ("Euler a", "Euler a"),
        ("DPM++ 2M / Karras", "DPM++ 2M _ Karras"),
        ("../../etc", "etc"),
        ("two\nlines", "two lines"),
        ("...", None),
        ("???", None),
        ("selected", None),
        ("x" * 200, "x" * LONGEST),
    ],
)
def test_what_a_field_says_becomes_a_folder(value: str, folder: str | None) -> None:
    assert folder_for(value) == folder


@given(st.text())
def test_whatever_a_field_says_the_folder_is_a_good_one_or_none(value: str) -> None:
    folder = folder_for(value)
    if folder is not None:
        assert folder_name(folder) == folder


def test_upper_and_lower_case_are_one_folder() -> None:
    assert same("ANNA", ["Anna", "bo"]) == "Anna"
    assert same("cleo", ["Anna"]) == "cleo"
