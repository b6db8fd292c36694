"""The fields of a JSON line that others may have written, each checked; ValueError says what is wrong. Pure."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from pickroom.core.naming import is_file_name, is_text, stays_inside
from pickroom.core.records import CropBox


def json_object(text: str) -> dict[str, Any]:
    """One line as a JSON object: no field twice, no NaN."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            raise ValueError("a field stands twice")
        return found

    def no_number(text: str) -> NoReturn:
        raise ValueError(f"{text} is no number")

    try:
        values = json.loads(text, object_pairs_hook=once, parse_constant=no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON ({error.msg})") from None
    if not isinstance(values, dict):
        raise ValueError("it is no JSON object")
    return values


def part(values: dict[str, Any], name: str) -> dict[str, Any]:
    """An object within the object."""
    part = values.get(name)
    if not isinstance(part, dict):
        raise ValueError(f"{name} is missing or no object")
    return part


def text_of(values: dict[str, Any], name: str) -> str:
    """A text with something in it."""
    value = values.get(name)
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{name} is missing or no text")
    return value


def words(value: Any) -> str:
    """A text that may be missing."""
    if value is not None and not isinstance(value, str):
        raise ValueError("reason is no text")
    return value or ""


def flag(value: Any, name: str) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is neither true nor false")
    return value


def share(value: Any, name: str) -> float | None:
    """A number in [0, 1], None when it is not known."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise ValueError(f"{name} is {value!r}, not from 0 to 1")
    return float(value)


def box(value: Any) -> CropBox | None:
    """Four numbers as a box, None without one."""
    return None if value is None else CropBox.of(value)


def plain_name(value: Any) -> str:
    """A file name without any path."""
    if not is_file_name(value):
        raise ValueError(f"{value!r} is no file name")
    return value


def directory(value: Any) -> str:
    """A folder inside the project's root, "" for the root itself."""
    if value == "":
        return value
    if not isinstance(value, str) or not is_text(value) or not stays_inside(value):
        raise ValueError(f"directory {value!r} leads out of the project's folder")
    return value
