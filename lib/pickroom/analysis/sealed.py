"""The process in which `pickroom sql` runs a person's statement: it has the views and nothing else.

It reads one JSON object on stdin, writes JSON lines on stdout, and cannot write a file, attach a database, load an
extension or read any file but those of the views: DuckDB's own locks are set before the statement is looked at, the
statement is checked (statement.py), and the kernel refuses the process every write to a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import sys
from typing import Any

import duckdb

from pickroom.analysis import statement
from pickroom.analysis.engine import open_engine
from pickroom.analysis.values import plain
from pickroom.analysis.views import Catalogue, define
from pickroom.core.errors import UsageError

_CHUNK = 1000  # rows
_MOST_MEMORY = 4 << 30  # bytes of address space
_MOST_THREADS = 8  # each takes up address space of its own
_MOST_SECONDS = 3600  # of all processors together: whoever asked may be killed, and then nobody ends this process
_MOST_TEXT = 256 << 20  # characters of a result, as JSON


def main() -> None:
    """Run the statement of the request on stdin; every outcome is a line on stdout."""
    request = json.loads(sys.stdin.read())
    catalogue = Catalogue.from_json(request["catalogue"])
    try:
        engine = open_sealed(catalogue, request["memory"])
        _write_nothing()
        _stay_small()
        statement.check(engine, request["statement"])
        _run(engine, request["statement"], request["most_rows"])
    except UsageError as error:
        _say({"refused": [error.what, error.doing, error.hint]})
    except duckdb.Error as error:
        _say({"refused": [statement.first_line(error), "running a query", ""]})
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


def _write_nothing() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _stay_small() -> None:
    """Texts that a query builds are outside DuckDB's own limit: let this process run out, not the machine."""
    resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):  # macOS knows the limit but does not keep it
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if most < 0 else min(_MOST_MEMORY, most), most))


def _run(engine: duckdb.DuckDBPyConnection, text: str, most_rows: int) -> None:
    result = engine.execute(text)
    _say({"columns": [column[0] for column in result.description]})
    count = size = 0
    while rows := result.fetchmany(_CHUNK):
        count += len(rows)
        if count > most_rows:
            hint = "add a LIMIT, or count in SQL"
            raise UsageError(f"it gives more than {most_rows:,} rows", doing="running a query", hint=hint)
        size += _say({"rows": [[plain(value) for value in row] for row in rows]})
        if size > _MOST_TEXT:
            raise UsageError("it gives too much text", doing="running a query", hint="ask for fewer columns or rows")
    _say({"end": count})


def _say(values: dict[str, Any]) -> int:
    """Write a line; its length."""
    return sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")


if __name__ == "__main__":
    main()
