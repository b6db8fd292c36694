"""Whether a database holds Pickroom's own tables and views and nothing that runs by itself.

SQLite runs triggers and views that a file brings with it. Pickroom makes no trigger, and knows the text of its views: a
file with others was written by somebody else, and is not opened (https://sqlite.org/security.html, 1.2).
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import cache
from importlib import resources

from pickroom.core.errors import StoreError
from pickroom.store.rows import number

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
