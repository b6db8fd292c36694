"""SQL on the views of all projects, for the command line and notebooks.

`pickroom sql` runs a statement in a process that can only read (`server.Sealed`). In a notebook, after `%load_ext
pickroom`, `%sql` and `%%sql` answer with a data frame, and `%%sql NAME` also keeps it as NAME; `%sql_home DIR` asks
another workspace than the one found from here.
"""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING, Any

from pickroom.analysis.connection import Analysis, Helper, Rows, connect, read_state
from pickroom.analysis.queries import Problem
from pickroom.core.errors import StoreError, UsageError
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas
    from IPython.core.interactiveshell import InteractiveShell

LONGEST_S = 300  # seconds a statement may take
MOST_ROWS = 1_000_000  # rows that it may return
_MEMORY = "2GB"
_CAMERA_CLOCK = {"captured_at", "taken_at"}  # columns of what a camera, or the name of a file, says


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a statement."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]  # plain values: None, bool, int, float, str, list, dict; times as ISO 8601 UTC
    problems: tuple[Problem, ...] = ()  # projects that are left out, or had to be read in a special way

    def to_dict(self) -> dict[str, Any]:
        """The JSON of `pickroom sql --json` (FORMATS.md)."""
        unsound = sum(problem.unsound for problem in self.problems)
        values = {"columns": list(self.columns), "rows": [list(row) for row in self.rows]}
        return values | {"unsound_rows": unsound} if unsound else values


def run(workspace: Workspace, text: str, *, longest_s: float = LONGEST_S) -> Result:
    """Run one SELECT, or EXPLAIN of one, in a process of its own.

    Raises:
        UsageError: the text is anything else, is not valid SQL, or takes too long, too much memory, or too many rows.
        StoreError: the process died.
    """
    request: dict[str, Any] = {"do": "sealed", "home": str(workspace.root.absolute()), "sql": text}
    request |= {"memory": _MEMORY, "most_rows": MOST_ROWS}
    for thorough in (False, True):  # again where a database holds values that DuckDB cannot read
        answer, rows = _ask({**request, "thorough": thorough}, longest_s)
        if rows is not None:
            break
    assert rows is not None
    values = tuple(tuple(map(_cell, rows.columns, row)) for row in rows.fetchall())
    return Result(tuple(rows.columns), values, read_state(answer)[0])


def _ask(request: dict[str, Any], longest_s: float) -> tuple[dict[str, Any], Rows | None]:
    helper, end = Helper(), monotonic() + longest_s
    timer = threading.Timer(longest_s, helper.stop)
    timer.daemon = True
    try:
        timer.start()
        return helper.ask(request, rows=True)
    except StoreError:
        if monotonic() < end:
            raise
        what = f"it was not done after {longest_s:g} seconds"
        raise UsageError(what, doing="running a query", hint="ask for less at a time") from None
    finally:
        timer.cancel()
        helper.end()


def _cell(column: str, value: Any) -> Any:
    """As `plain`, but a moment on a camera's clock is in no known zone: it has no Z."""
    shown = plain(value)
    return shown.removesuffix("Z") if column in _CAMERA_CLOCK and isinstance(value, datetime) else shown


def plain(value: Any) -> Any:
    """A value as JSON has it: times as ISO 8601 UTC, NaN and infinity as null, bytes as hex."""
    match value:
        case None | str() | bool() | int():
            return value
        case float() | Decimal():
            return float(value) if math.isfinite(value) else None
        case datetime():
            utc = value if value.tzinfo is None else value.astimezone(UTC).replace(tzinfo=None)
            return utc.isoformat() + "Z"
        case date() | time():
            return value.isoformat()
        case list() | tuple():
            return [plain(one) for one in value]
        case dict():
            return {str(key): plain(one) for key, one in value.items()}
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
    return str(value)


class SqlMagics:
    """The SQL magics of an IPython shell, with one connection."""

    def __init__(self, shell: InteractiveShell) -> None:
        self._shell = shell
        self._analysis: Analysis | None = None

    def home(self, line: str) -> None:
        """`%sql_home DIR`: set the workspace; without DIR the one found from the current folder."""
        if self._analysis is not None:
            self._analysis.close()
        self._analysis = connect(Workspace.find(line.strip() or None))

    def sql(self, line: str, cell: str | None = None) -> pandas.DataFrame:
        """The rows of the cell's, or the line's, query; raises PickroomError where it cannot be answered."""
        if self._analysis is None:
            self.home("")
        assert self._analysis is not None
        rows = self._analysis.execute(line if cell is None else cell).df()
        for problem in self._analysis.problems:
            print(f"pickroom: {problem.line}")
        if cell is not None and line.strip():
            self._shell.user_ns[line.strip()] = rows
        return rows


def load_magics(shell: Any) -> None:
    """Register the magics with a shell of IPython."""
    magics = SqlMagics(shell)
    shell.register_magic_function(magics.sql, "line_cell", "sql")
    shell.register_magic_function(magics.home, "line", "sql_home")
