"""JSON values as the records that they were written from: every field as its annotation says, or ValueError. Pure."""

from __future__ import annotations

from dataclasses import is_dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_json(kind: type[T], values: object) -> T:
    """A dataclass of texts, numbers, None, tuples and dataclasses, from what `json.loads(json.dumps(asdict(...)))` is.

    Raises:
        ValueError: a field is missing, unknown, or of another type; or the dataclass refuses its value.
    """
    hints = _hints(cast("type", kind))
    if not isinstance(values, dict) or not set(values) <= set(hints):
        raise ValueError(f"it is no {kind.__name__}")
    try:
        return kind(**{name: _as(hints[name], value, name) for name, value in values.items()})
    except TypeError:
        raise ValueError(f"a field of {kind.__name__} is missing") from None


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _as(hint: Any, value: object, name: str) -> Any:
    if is_dataclass(hint):
        return from_json(cast("type", hint), value)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        if value is None and type(None) in arguments:
            return None
        (hint,) = (argument for argument in arguments if argument is not type(None))
        return _as(hint, value, name)
    if origin is tuple and isinstance(value, list):
        return tuple(_as(arguments[0], one, name) for one in value)
    if origin is Literal and any(value is one or (isinstance(value, str) and value == one) for one in arguments):
        return value
    if hint is float and type(value) is int and abs(value) < 1 << 53:
        return value  # a whole number in JSON
    if type(value) is hint:
        return value
    raise ValueError(f"its field {name} has a value of another kind")
