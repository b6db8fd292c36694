"""`pickroom sql`: a statement on the views of every project, run in a process that can only read (`sealed`)."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

from pickroom.analysis.cache import Problem
from pickroom.analysis.connection import connect
from pickroom.core.errors import StoreError, UsageError
from pickroom.store.workspace import Workspace

LONGEST_S = 300  # seconds a statement may take
MOST_ROWS = 1_000_000  # that it may give
_MEMORY = "2GB"


@dataclass(frozen=True, slots=True)
class Result:
    """What a statement gave.

    Attributes:
        rows: plain values: None, bool, int, float, str, list, dict; times as ISO 8601 UTC.
        problems: projects that are left out, or had to be read in a special way.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    problems: tuple[Problem, ...] = ()

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
    with connect(workspace) as analysis:
        request = {"statement": text, "memory": _MEMORY, "most_rows": MOST_ROWS}
        request["catalogue"] = analysis.catalogue.to_json()
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pickroom.analysis.sealed"],
                input=json.dumps(request),
                capture_output=True,
                encoding="utf-8",
                timeout=longest_s,
            )
        except subprocess.TimeoutExpired:
            what = f"it was not done after {longest_s:g} seconds"
            raise UsageError(what, doing="running a query", hint="ask for less at a time") from None
        return _result(done, analysis.problems)


def _result(done: subprocess.CompletedProcess[str], problems: tuple[Problem, ...]) -> Result:
    columns: tuple[str, ...] = ()
    rows: list[tuple[Any, ...]] = []
    for line in done.stdout.splitlines():
        values = json.loads(line)
        if "refused" in values:
            what, doing, hint = values["refused"]
            raise UsageError(what, doing=doing, hint=hint)
        columns = tuple(values.get("columns", columns))
        rows += map(tuple, values.get("rows", ()))
        if "end" in values:
            return Result(columns, tuple(rows), problems)
    last = (done.stderr.strip().splitlines() or [f"it ended with code {done.returncode}"])[-1]
    raise StoreError(f"the query's process died ({last})", doing="running a query", hint="ask for less at a time")
