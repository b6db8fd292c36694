"""Records from rows and rows from records, and the errors of rows that are damaged."""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from itertools import chain
from types import NoneType
from typing import Any, ParamSpec, TypeVar, cast, get_args, get_origin, get_type_hints

from pickroom.core.errors import StoreError
from pickroom.core.records import CropBox

Record = TypeVar("Record")
Result = TypeVar("Result")
Parameters = ParamSpec("Parameters")
_SIGNS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OverflowError)


def read_any_text(connection: sqlite3.Connection) -> None:
    """Let a connection read texts that are not UTF-8: one of them would end the reading of every row after it.

    Odd bytes become surrogates, as in Python's file names, so that `naming.is_text` knows them.
    """
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")


def wrap_row_errors(table: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Let a function that makes a record of a row of this table raise StoreError where the row makes none."""

    def wrap(read: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @functools.wraps(read)
        def reading(*arguments: Parameters.args, **named: Parameters.kwargs) -> Result:
            try:
                return read(*arguments, **named)
            except _SIGNS as error:
                what = f"a row of {table} is damaged ({(str(error) or type(error).__name__).splitlines()[0][:120]})"
                hint = "restore the database from a backup: pickroom restore FILE"
                raise StoreError(what, doing="reading the project", hint=hint) from error

        return reading

    return wrap


def record_of(kind: type[Record], row: sqlite3.Row, **named: str) -> Record:
    """A dataclass from the columns of its fields' names; lists, dicts and boxes are JSON there, flags 0 or 1.

    Args:
        named: field -> its column, where the two have other names.
    """
    return kind(*[convert(row[named.get(name, name)]) for name, convert in _converters(cast("Hashable", kind))])


@functools.cache
def _converters(kind: Hashable) -> list[tuple[str, Callable[[Any], Any]]]:
    return [(name, _converter(hint)) for name, hint in get_type_hints(kind).items()]


def _converter(hint: Any) -> Callable[[Any], Any]:
    given = [one for one in get_args(hint) if one is not NoneType]
    if len(given) == 1 and NoneType in get_args(hint):
        (hint,) = given
    kind = get_origin(hint) or hint
    if kind is tuple:
        return lambda text: tuple(json.loads(text))
    of: dict[Any, Callable[[Any], Any]] = {
        CropBox: CropBox.from_json,
        bool: lambda value: None if value is None else bool(value),
        dict: lambda value: dict(json.loads(value)),
        datetime: lambda value: datetime.fromisoformat(value) if value else None,
    }
    return of.get(kind, lambda value: value)


def row_of(record: Any) -> dict[str, Any]:
    """Column -> value of a dataclass, as `record_of` reads them."""
    return {field.name: _stored(getattr(record, field.name)) for field in fields(record)}


def _stored(value: object) -> object:
    if isinstance(value, CropBox):
        return value.to_json()
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, tuple | dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return value


def insert(connection: sqlite3.Connection, into: str, rows: Iterable[Mapping[str, Any]], then: str = "") -> None:
    """Add rows that have the same columns.

    Args:
        into: `INSERT INTO table`; then: what follows, as ON CONFLICT ... with `{updates}` for all columns.
    """
    rows = iter(rows)  # there may be a million
    first = next(rows, None)
    if first is not None:
        names = list(first)
        updates = ", ".join(f"{name} = excluded.{name}" for name in names)
        places = ", ".join(f":{name}" for name in names)
        sql = f"{into} ({', '.join(names)}) VALUES ({places}) {then.format(updates=updates)}"
        connection.executemany(sql, chain([first], rows))


def number(connection: sqlite3.Connection, sql: str, *values: object) -> int:
    """The one whole number that a query returns."""
    return int(connection.execute(sql, values).fetchone()[0])


def column(connection: sqlite3.Connection, sql: str, *values: object) -> list[Any]:
    """The first column of every row that a query returns."""
    return [row[0] for row in connection.execute(sql, values)]
