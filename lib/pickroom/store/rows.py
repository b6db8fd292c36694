"""Records from rows and rows from records, the errors of damaged rows, and what a database must hold."""

import functools
import json
import re
import sqlite3
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import fields
from datetime import datetime
from functools import cache
from importlib import resources
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
                hint = "restore the database from a backup, as in: pickroom restore ~/pickroom-backup.zip"
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


_NUMBERED = re.compile(r"(\d{3})-[\w-]+\.sql")

_LISTED = """SELECT m.type, m.name, m.sql, t.strict FROM sqlite_master AS m
    LEFT JOIN pragma_table_list AS t ON t.schema = 'main' AND t.name = m.name
    WHERE m.type IN ('table', 'view', 'trigger')"""


@cache
def migrations() -> list[str]:
    """The migrations' SQL texts in order; number N is the N-th. Raises StoreError when a number is missing."""
    folder = resources.files("pickroom.store") / "migrations"
    files = sorted((f for f in folder.iterdir() if _NUMBERED.fullmatch(f.name)), key=lambda f: f.name)
    numbers = [int(f.name[:3]) for f in files]
    if numbers != list(range(1, len(files) + 1)):
        raise StoreError("the migrations are not numbered 1, 2, 3, ...", doing="reading them", subject=folder)
    return [f.read_text(encoding="utf-8") for f in files]


def has_tables(connection: sqlite3.Connection, named: str | None = None) -> bool:
    """Whether a database holds any table, or the one of this name."""
    sql = "SELECT count(*) FROM sqlite_master WHERE type = 'table' AND name = coalesce(?, name)"
    return number(connection, sql, named) > 0


def find_foreign_object(connection: sqlite3.Connection, scripts: Sequence[str]) -> str | None:
    """What in an open database of the present schema is not Pickroom's and would run, in words; None when all is well.

    SQLite runs triggers and views that a file brings with it. Pickroom makes no trigger, and knows the text of its
    views: a file with others was written by somebody else, and is not opened (https://sqlite.org/security.html, 1.2).
    Tables and views of other names are the user's own: nothing here reads them.

    Args:
        scripts: the migrations' SQL texts in order.
    """
    own = _own(tuple(scripts))
    found = {name: (kind, sql or "", strict) for kind, name, sql, strict in connection.execute(_LISTED)}
    for name, (kind, sql, strict) in found.items():
        if kind == "trigger":
            return f"it holds a trigger ({name}), and Pickroom makes none"
        if name not in own:
            continue
        own_kind, own_sql, own_strict = own[name]
        if kind != own_kind or sql.lstrip().upper().startswith("CREATE VIRTUAL"):
            return f"its {name} is no {own_kind} of Pickroom's"
        if kind == "view" and sql != own_sql:
            return f"its view {name} is not Pickroom's"
        if own_strict and not strict:
            return f"its {name} takes values of any type, as no table of Pickroom's does"
    missing = sorted(set(own) - set(found))
    return f"it has no {missing[0]}, which every database of Pickroom's has" if missing else None


@cache
def _own(scripts: tuple[str, ...]) -> Mapping[str, tuple[str, str, int | None]]:
    """Name -> (table or view, its SQL, whether its types are kept), as the migrations make them from nothing."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for script in scripts:
            connection.executescript(script)
        listed = connection.execute(_LISTED)
        return {name: (kind, sql, strict) for kind, name, sql, strict in listed if not name.startswith("sqlite_")}
