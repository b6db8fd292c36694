"""Whether a text is one statement that can only read what the views hold: SELECT, or EXPLAIN of one."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import duckdb

from pickroom.core.errors import UsageError

_OPENINGS = frozenset(
    ("select", "with", "from", "values", "table", "describe", "desc", "summarize", "show", "explain", "(")
)
# what a query may read besides the views: no files, no settings, no secrets
_TABLE_FUNCTIONS = frozenset(
    (
        *("range", "generate_series", "unnest", "repeat", "repeat_row", "json_each", "json_tree"),
        *("duckdb_columns", "duckdb_functions", "duckdb_keywords", "duckdb_tables", "duckdb_types", "duckdb_views"),
        *("pragma_table_info", "show_tables", "show_tables_expanded"),
    )
)
_WORD = re.compile(rb"\w+|.", re.DOTALL)
_DOING = "reading a query"
_HINT = "one SELECT, or EXPLAIN of one, over the views; `pickroom sql` only reads"


def check(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    """Raise UsageError unless `text` is exactly one statement that only reads."""
    if not text.isascii() and text != text.encode(errors="replace").decode():
        raise _refused("it is not valid UTF-8")
    tokens = _tokens(text)
    statement = _only_statement(engine, text)
    opening = tokens[0][1] if tokens else ""
    if opening not in _OPENINGS:
        raise _refused(f"it begins with {opening.upper() or 'nothing'}")
    if statement.type == duckdb.StatementType.EXPLAIN:
        text = _explained(text, tokens)
        if not _tokens(text) or _tokens(text)[0][1] not in _OPENINGS - {"explain"}:
            raise _refused("it explains something else than a SELECT")
        statement = _only_statement(engine, text)
    if statement.type != duckdb.StatementType.SELECT:
        raise _refused(f"it is a {statement.type.name} statement")
    row = engine.execute("SELECT json_serialize_sql(?)", [text]).fetchone()
    try:
        tree = json.loads(row[0]) if row else {"error": True}
        sources = list(_sources(tree))
    except RecursionError:
        raise _refused("it is nested too deeply") from None
    if tree["error"]:
        raise _refused("it cannot be checked")
    for kind, name in sources:
        if kind == "TABLE_FUNCTION" and name not in _TABLE_FUNCTIONS:
            raise _refused(f"it reads from {name}()")
        if kind == "BASE_TABLE" and not all(character.isalnum() or character in "_-" for character in name):
            raise _refused(f"it reads from {name!r}")


def _only_statement(engine: duckdb.DuckDBPyConnection, text: str) -> duckdb.Statement:
    try:
        statements = engine.extract_statements(text)
    except duckdb.Error as error:
        raise UsageError(first_line(error), doing=_DOING, hint=_HINT) from None
    if len(statements) != 1:
        raise _refused(f"it is {len(statements) or 'no'} statement{'s' if len(statements) > 1 else ''}")
    return statements[0]


def _tokens(text: str) -> list[tuple[int, str]]:
    """(offset in bytes, word or sign in lower case) of a text's tokens, comments left out."""
    data = text.encode()
    words = []
    for offset, _ in duckdb.tokenize(text):
        found = _WORD.match(data, offset)
        words.append((offset, found[0].decode(errors="replace").lower() if found else ""))
    return words


def _explained(text: str, tokens: list[tuple[int, str]]) -> str:
    """What comes after EXPLAIN, ANALYZE and options in brackets."""
    place, depth = 1, 0
    while place < len(tokens):
        word = tokens[place][1]
        # a bracket may hold options, or open the query itself: EXPLAIN (SELECT 1)
        if word == "(" and depth == 0 and place + 1 < len(tokens) and tokens[place + 1][1] in _OPENINGS:
            break
        depth += (word == "(") - (word == ")")
        if depth == 0 and word not in (")", "analyze", "analyse"):
            break
        place += 1
    return text.encode()[tokens[place][0] :].decode() if place < len(tokens) else ""


def _sources(tree: Any) -> Iterator[tuple[str, str]]:
    """(kind, name in lower case) of every table and table function that a parsed query names."""
    if isinstance(tree, dict):
        kind = tree.get("type")
        if kind == "BASE_TABLE":
            yield kind, str(tree.get("table_name", "")).lower()
        elif kind == "TABLE_FUNCTION":
            yield kind, str((tree.get("function") or {}).get("function_name", "")).lower()
        for value in tree.values():
            yield from _sources(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _sources(value)


def _refused(what: str) -> UsageError:
    return UsageError(what, doing=_DOING, hint=_HINT)


def first_line(error: Exception) -> str:
    """DuckDB's message without its drawing of where."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
