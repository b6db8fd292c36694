"""JSON text and files as typed records: dataclasses, msgspec structs, or plain types.

Strict: a number is not text, true is not a number, no object has a key twice, NaN is not a number. Fields that a record
does not have are ignored, since a later version may write them.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, NoReturn, TypeVar

import msgspec

from pickroom.core.errors import PickroomError, StoreError
from pickroom.storage import atomic

T = TypeVar("T")
NonEmpty = Annotated[str, msgspec.Meta(min_length=1, pattern=r"\S")]
Probability = Annotated[float, msgspec.Meta(ge=0, le=1)]
_PLACE = re.compile(r" - at `\$\.?(.+)`$")  # as msgspec ends a message
_MOST_BYTES = 1 << 20  # of a file that holds one small record


def from_json(kind: type[T], text: str | bytes) -> T:
    """The record that JSON text holds.

    Raises:
        ValueError: it is not JSON, a field is missing or of another type, or the record refuses its value; one line.
    """
    try:
        values = json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON ({error.msg})") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return from_values(kind, values)


def from_values(kind: type[T], values: object) -> T:
    """The record that lists, dicts, texts and numbers make up; raises ValueError, as `from_json`."""
    try:
        return msgspec.convert(values, kind)
    except msgspec.ValidationError as error:
        # "Expected `str`, got `int` - at `$.root`" -> "Expected 'str', got 'int' in field 'root'"
        raise ValueError(_PLACE.sub(r" in field `\1`", str(error)).replace("`", "'")) from None


def parse_lines(parse: Callable[[str], T], text: str) -> Iterator[tuple[int, T]]:
    """(line number from 1, record) of each line that is not blank. Raises ValueError naming the line."""
    # JSON's own line ends only: a text may hold any other separator
    for number, line in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        if line.strip():
            try:
                yield number, parse(line)
            except ValueError as error:
                raise ValueError(f"line {number}: {error}") from None


def read(
    kind: type[T],
    path: Path,
    *,
    doing: str,
    hint: str,
    what: str = "it cannot be read",
    error: type[PickroomError] = StoreError,
) -> T | None:
    """The record that a small file holds; None where no file exists.

    Args:
        what, doing, hint: of the error; the reason is added to `what`.

    Raises:
        PickroomError: an `error`: the file is not a plain file, cannot be read, or holds something else.
    """
    try:
        return from_json(kind, atomic.read_small(path, _MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as failure:
        raise error(f"{what} ({failure})", doing=doing, subject=path, hint=hint) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ValueError("an object has a key twice")
    return values


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
