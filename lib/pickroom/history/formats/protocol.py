"""What every old format is: a name, the columns that give it away, and how one row becomes facts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pickroom.core.naming import is_image_name
from pickroom.history.logged_paths import split_path
from pickroom.history.parsed_rows import ParsedRows
from pickroom.history.values import is_missing

# One row (its fields, its line) becomes facts; raises Skip when it cannot.
Convert = Callable[[list[str], int], None]

BOX_COLUMNS = ("crop_x1", "crop_y1", "crop_x2", "crop_y2")


@dataclass(frozen=True, slots=True)
class Format:
    """One old format.

    Attributes:
        required: columns without which a file is not of this format.
        converter: (column names, facts to add to) -> the function that takes one row.
    """

    name: str
    required: frozenset[str]
    converter: Callable[[Sequence[str], ParsedRows], Convert]


def places(header: Sequence[str], *names: str) -> list[int]:
    """Where columns lie; a missing one lies at -1, so that `cell` finds nothing there."""
    return [header.index(name) if name in header else -1 for name in names]


def cell(fields: Sequence[str], place: int) -> str:
    """A field, "" for a column that this file does not have."""
    return fields[place] if place >= 0 else ""


def folder_cell(fields: Sequence[str], place: int) -> str:
    """A field that holds a folder, with `/` between its parts; "" where it says none, or names an image instead."""
    text = cell(fields, place)
    return "" if is_missing(text) or is_image_name(text) else split_path(f"{text}/")[0]
