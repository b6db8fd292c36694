"""The process in which `pickroom sql` runs a statement: it has the views and nothing else.

It reads one JSON object on stdin and writes JSON lines on stdout. DuckDB's own locks keep it from writing a file,
attaching a database, loading an extension, or reading any file but those of the views; the kernel refuses it every
write to a file, and bounds its memory and time.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from typing import Any

import duckdb

from pickroom.analysis.engine import open_engine
from pickroom.analysis.values import plain
from pickroom.analysis.views import Catalogue, define
from pickroom.core.errors import UsageError
from pickroom.core.naming import is_text

_CHUNK = 1000  # rows
_MOST_MEMORY = 4 << 30  # bytes of address space
_MOST_THREADS = 8  # each takes up address space of its own
_MOST_SECONDS = 3600  # of all processors together: whoever asked may be killed, and then nobody ends this process
_MOST_TEXT = 256 << 20  # characters of a result, as JSON
_HINT = "one SELECT, or EXPLAIN of one, over the views; `pickroom sql` only reads"


def main() -> None:
    """Run the statement of the request on stdin; every outcome is a line on stdout."""
    request = json.loads(sys.stdin.read())
    try:
        engine = open_sealed(Catalogue.from_json(request["catalogue"]), request["memory"])
        limit_process()
        _run(engine, request["statement"], request["most_rows"])
    except UsageError as error:
        _say({"refused": [error.what, error.doing, error.hint]})
    except duckdb.Error as error:
        _say({"refused": [str(error).strip().partition("\n")[0], "running a query", ""]})
    except MemoryError:
        _say({"refused": ["it needs too much memory", "running a query", "ask for less at a time"]})


def open_sealed(catalogue: Catalogue, memory: str) -> duckdb.DuckDBPyConnection:
    """DuckDB with the views, its settings locked, closed to every file but the views'."""
    engine = open_engine(
        python_enable_replacements=False,
        allow_community_extensions=False,
        memory_limit=memory,
        threads=min(os.cpu_count() or 1, _MOST_THREADS),
    )
    define(engine, catalogue)
    engine.execute("SET allowed_paths = ?", [catalogue.paths])
    engine.execute("SET enable_external_access = false")
    engine.execute("SET lock_configuration = true")
    return engine


def limit_process() -> None:
    """Let this process write no file, and end before it takes the machine's memory or time.

    Texts that a query builds are outside DuckDB's own limit of memory.
    """
    for name, most in (("FSIZE", 0), ("CORE", 0), ("CPU", _MOST_SECONDS)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit but does not keep it
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if hard < 0 else min(_MOST_MEMORY, hard), hard))


def execute(engine: duckdb.DuckDBPyConnection, text: str) -> duckdb.DuckDBPyConnection:
    """Run exactly one SELECT or EXPLAIN; raises UsageError for anything else, duckdb.Error as DuckDB does."""
    if not is_text(text):
        raise UsageError("it is not valid UTF-8", doing="reading a query", hint=_HINT)
    statements = engine.extract_statements(text)
    what = f"it is {len(statements) or 'no'} statement{'s' * (len(statements) > 1)}"
    if len(statements) == 1:
        kind = statements[0].type
        if kind in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
            return engine.execute(statements[0])
        what = f"it is a {kind.name} statement"
    raise UsageError(what, doing="reading a query", hint=_HINT)


def _run(engine: duckdb.DuckDBPyConnection, text: str, most_rows: int) -> None:
    result = execute(engine, text)
    _say({"columns": [column[0] for column in result.description]})
    count = size = 0
    while rows := result.fetchmany(_CHUNK):
        count += len(rows)
        size += _say({"rows": [[plain(value) for value in row] for row in rows]})
        if count > most_rows or size > _MOST_TEXT:
            what = f"it gives more than {most_rows:,} rows" if count > most_rows else "it gives too much text"
            raise UsageError(what, doing="running a query", hint="add a LIMIT, or count in SQL")
    _say({"end": count})


def _say(values: dict[str, Any]) -> int:
    """Write a line; its length."""
    return sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
