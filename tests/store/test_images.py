"""What the last scan met: images in = readable + left out, and images of groups stay."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

import pytest

from pickroom.core.errors import StoreError
from pickroom.core.records import Group, Image, Ungrouped
from pickroom.store import images

FULL = Image("a.png", "anna", 48, 64, 1.5, datetime(2025, 8, 3, 6, 54, 6), "ab" * 32, 1234, 1_754_204_046_123_456_789)
BARE = replace(FULL, filename="b.png", directory="", stage=None, taken_at=None)


@pytest.mark.parametrize("image", [FULL, BARE], ids=["staged", "unknown stage and time"])
def test_image_comes_back_as_it_was_scanned(connection: sqlite3.Connection, image: Image) -> None:
    images.replace_scan(connection, [image], [], {})
    assert images.readable(connection) == [image]


@pytest.mark.parametrize("directory", ["../other", "/etc", "anna/../..", "anna//b"])
def test_a_row_that_leads_out_of_the_project_is_damage(connection: sqlite3.Connection, directory: str) -> None:
    images.replace_scan(connection, [replace(FULL, directory=directory)], [], {})  # as an enemy's database has it
    assert images.readable(connection) == []
    (row,) = connection.execute(f"SELECT {images.COLUMNS} FROM images AS i")
    with pytest.raises(StoreError, match=r"a row of images is damaged .*leads out of the project"):
        images.from_row(row)


def test_images_come_by_folder_and_name(connection: sqlite3.Connection) -> None:
    scanned = [replace(FULL, directory=d, filename=f) for d, f in (("b", "a"), ("", "z"), ("a", "c"), ("a", "b"))]
    images.replace_scan(connection, scanned, [], {})
    assert [(i.directory, i.filename) for i in images.readable(connection)] == [
        ("", "z"),
        ("a", "b"),
        ("a", "c"),
        ("b", "a"),
    ]


def test_left_out_images_keep_their_reason_and_are_not_readable(connection: sqlite3.Connection) -> None:
    gone = Ungrouped("anna", "bad.png", "truncated")
    images.replace_scan(connection, [FULL], [gone], {("anna", "bad.png"): (77, 5)})
    assert images.left_out(connection) == [gone]
    assert images.readable(connection) == [FULL]
    row = connection.execute("SELECT * FROM images WHERE reason IS NOT NULL").fetchone()
    assert (row["file_size"], row["mtime_ns"], row["width"], row["sha256"]) == (77, 5, None, None)


def test_readable_ungrouped_image_is_stored_with_its_reason(connection: sqlite3.Connection) -> None:
    alone = Ungrouped(FULL.directory, FULL.filename, "alone")
    images.replace_scan(connection, [FULL], [alone], {})
    assert images.readable(connection) == [FULL]
    assert images.left_out(connection) == [alone]


def test_next_scan_takes_the_place_of_the_last(connection: sqlite3.Connection) -> None:
    images.replace_scan(connection, [FULL, BARE], [Ungrouped("", "bad.png", "truncated")], {})
    images.replace_scan(connection, [BARE], [], {})
    assert images.readable(connection) == [BARE]
    assert images.left_out(connection) == []


def test_changed_image_is_stored_anew_without_its_old_reason(connection: sqlite3.Connection) -> None:
    images.replace_scan(connection, [], [Ungrouped("anna", "a.png", "truncated")], {})
    images.replace_scan(connection, [FULL], [], {})
    assert images.readable(connection) == [FULL]
    assert images.left_out(connection) == []


def test_images_of_groups_stay_when_a_scan_no_longer_meets_them(
    connection: sqlite3.Connection, make_groups: Callable[..., list[Group]]
) -> None:
    (group,) = make_groups(1)
    images.replace_scan(connection, [FULL], [], {})
    assert {image.filename for image in images.readable(connection)} == {*group.filenames, "a.png"}


@pytest.mark.parametrize(
    ("directory", "filename", "stored"),
    [("anna", "bad\udcff.png", ("anna", r"bad\xff.png")), ("odd\udcfe", "a.png", (r"odd\xfe", "a.png"))],
)
def test_non_utf8_names_are_stored_with_escaped_bytes(
    connection: sqlite3.Connection, directory: str, filename: str, stored: tuple[str, str]
) -> None:
    images.replace_scan(connection, [], [Ungrouped(directory, filename, "name is not valid UTF-8")], {})
    assert images.left_out(connection) == [Ungrouped(*stored, "name is not valid UTF-8")]
