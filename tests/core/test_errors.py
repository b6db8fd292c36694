"""Every expected failure speaks one line: what, doing what, to what, what next; and knows its exit code."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core import errors
from pickroom.core.errors import ConflictError, FileOperationError, ImageError, PickroomError


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({}, "it broke"),
        ({"doing": "reading"}, "it broke while reading"),
        ({"subject": Path("/a/b.png")}, "it broke: /a/b.png"),
        ({"hint": "mend it"}, "it broke (mend it)"),
        ({"doing": "reading", "subject": "b.png", "hint": "mend it"}, "it broke while reading: b.png (mend it)"),
        ({"subject": 0}, "it broke: 0"),
    ],
)
def test_line_says_what_doing_what_to_what_and_what_next(fields: dict[str, object], line: str) -> None:
    error = PickroomError("it broke", **fields)  # type: ignore[arg-type]
    assert error.line == line
    assert str(error) == line


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_line_stays_one_printable_line_whatever_a_file_is_called(what: str, subject: str) -> None:
    line = PickroomError(what, subject=subject).line
    assert len(line.splitlines()) <= 1
    assert line.isprintable()
    line.encode()


@pytest.mark.parametrize(
    ("subject", "shown"),
    [("a\nb", r"a\nb"), ("\x1b[2Ja", r"\x1b[2Ja"), ("bad\udcff.png", r"bad\udcff.png"), ("käse.png", "käse.png")],
)
def test_control_characters_are_shown_not_obeyed(subject: str, shown: str) -> None:
    assert PickroomError("odd name", subject=subject).line == f"odd name: {shown}"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("PickroomError", 2),
        ("UsageError", 2),
        ("ProjectError", 2),
        ("StoreError", 1),
        ("ImageError", 1),
        ("FileOperationError", 1),
        ("LockedError", 1),
        ("ConflictError", 1),
    ],
)
def test_wrong_use_exits_with_2_and_a_failed_check_with_1(name: str, code: int) -> None:
    assert getattr(errors, name).exit_code == code


def test_every_error_is_caught_as_a_pickroom_error() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 11
    assert all(issubclass(kind, PickroomError) for kind in kinds)


def test_image_error_carries_its_path_and_reason() -> None:
    error = ImageError(Path("/a/b.png"), "zero bytes")
    assert (error.path, error.reason) == (Path("/a/b.png"), "zero bytes")
    assert error.line == "zero bytes while reading an image: /a/b.png"


def test_file_operation_error_names_every_path_source_first() -> None:
    error = FileOperationError("no space left", "moving a file", [Path("/a"), Path("/b")], "make room")
    assert error.paths == (Path("/a"), Path("/b"))
    assert error.line == "no space left while moving a file: /a -> /b (make room)"


def test_conflict_error_lists_what_stands_in_the_way() -> None:
    error = ConflictError("crops were made", items=["g1", "g2"], doing="undoing")
    assert error.items == ("g1", "g2")
    assert error.line == "crops were made while undoing"
