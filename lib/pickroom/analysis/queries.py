"""The library of named queries: `sql/*.sql`, each beginning with what one of its rows is."""

from __future__ import annotations

from functools import cache

from pickroom.analysis.engine import SQL, read_sql
from pickroom.core.errors import UsageError

_NO_QUERIES = ("macros",)


@cache
def names() -> tuple[str, ...]:
    """Every named query, sorted."""
    files = (file.name for file in SQL.iterdir() if file.name.endswith(".sql"))
    return tuple(sorted(name for file in files if (name := file.removesuffix(".sql")) not in _NO_QUERIES))


def text(name: str) -> str:
    """The SQL of a named query; raises UsageError when there is none of this name."""
    if name not in names():
        hint = f"there are: {', '.join(names())}"
        raise UsageError(f"there is no query {name!r}", doing="asking a named query", hint=hint)
    return read_sql(name)


def says(name: str) -> str:
    """What one row of a named query is, in its own words."""
    lines = []
    for line in text(name).splitlines():
        if not line.startswith("--"):
            break
        lines.append(line.removeprefix("--").strip())
    return " ".join(lines)
