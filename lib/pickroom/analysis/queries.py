"""The library of SQL: named queries are `sql/*.sql`, views `sql/views/*.sql`, each beginning with what one row is; how
names and texts are spelled in SQL; and what a connection says of the views.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path

from pickroom.core.errors import UsageError

SQL = Path(__file__).parent / "sql"
VIEWS = (
    *("decisions", "comparisons", "outcomes", "crops", "groups", "images", "recommendations"),
    *("operations", "legacy_selections"),
    *("unsound_rows", "ai_decisions", "ai_performance", "incomplete_crops", "ai_mistakes", "sessions"),
)


def read_sql(name: str) -> str:
    """The text of `sql/<name>.sql`."""
    return (SQL / f"{name}.sql").read_text(encoding="utf-8")


@cache
def names() -> tuple[str, ...]:
    """Every named query, sorted."""
    return tuple(sorted(path.stem for path in SQL.glob("*.sql") if path.stem != "macros"))


def text(name: str) -> str:
    """The SQL of a named query; raises UsageError when there is none of this name."""
    if name not in names():
        hint = f"there are: {', '.join(names())}"
        raise UsageError(f"no query is named {name!r}", doing="asking a named query", hint=hint)
    return read_sql(name)


def says(name: str) -> str:
    """What one row of a named query is, from its first comment."""
    lines = takewhile(lambda line: line.startswith("--"), text(name).splitlines())
    return " ".join(line.removeprefix("--").strip() for line in lines)


@cache
def needed_by(text: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The views that a statement may use, after those that they use; and the tables of `source` below them.

    A word that only looks like a view's name counts; for the catalogue all views count.
    """
    views: dict[str, None] = {}

    def add(found: Iterable[str]) -> None:
        for name in found:
            if name in VIEWS and name not in views:
                add(re.findall(r"\b(?:FROM|JOIN) (\w+)\b(?!\.)", view_sql(name)))
                views[name] = None

    words = set(re.findall(r"\w+", text.lower()))
    add(VIEWS if words & {"information_schema", "duckdb_columns", "duckdb_tables"} else sorted(words))
    tables = re.findall(r"\bsource\.(\w+)", "\n".join([text, *map(view_sql, views)]))
    return tuple(views), tuple(dict.fromkeys(tables))


def view_sql(name: str) -> str:
    """The query of a view, which is a file of its own or a named query."""
    return read_sql(name if name in names() else f"views/{name}")


def quoted(value: object) -> str:
    """A text, or a path, as an SQL literal."""
    return "'" + str(value).replace("'", "''") + "'"


def identifier(name: str) -> str:
    """A name of a view or column, whatever is in it."""
    return '"' + name.replace('"', '""') + '"'


@dataclass(frozen=True, slots=True)
class Problem:
    """A note on one project: why it is left out, or how it had to be read."""

    project_id: str
    what: str
    left_out: bool
    unsound: int = 0  # rows that are left out of its views

    @property
    def line(self) -> str:
        return f"{self.project_id}: {'left out: ' if self.left_out else ''}{self.what}"


@dataclass(frozen=True, slots=True)
class Encoder:
    """The vectors of one encoder: floats in each, and the Parquet files that hold them."""

    encoder_id: str
    dimension: int
    files: tuple[str, ...]
