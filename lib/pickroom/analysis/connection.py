"""Query all projects from a notebook, a report or a command: typed views on the live databases.

The queries run in a helper process (`server`), one for all connections of this process: here the store may have the
same databases open (DESIGN.md, invariant 10).
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import json
import os
import re
import subprocess
import sys
import threading
from datetime import MAXYEAR, MINYEAR, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow
import pyarrow.compute
import pyarrow.ipc
from pyarrow import types

from pickroom.analysis import queries
from pickroom.analysis.queries import Encoder, Problem, quoted
from pickroom.core.errors import StoreError, UsageError
from pickroom.storage.leftovers import Folder
from pickroom.store import snapshot
from pickroom.store.workspace import Workspace

if TYPE_CHECKING:
    import pandas

COMMAND = (sys.executable, "-m", "pickroom.analysis.server")
_ATTACH = re.compile(
    r"\s*ATTACH\s+(?:DATABASE\s+)?(?:IF\s+NOT\s+EXISTS\s+)?'(?P<path>(?:[^']|'')+)'(?P<rest>[^;]*);?\s*", re.IGNORECASE
)


class Rows:
    """The result of a query, as Arrow (`table`)."""

    def __init__(self, table: pyarrow.Table) -> None:
        self.table = table

    @property
    def columns(self) -> list[str]:
        return list(self.table.column_names)

    def fetchall(self) -> list[tuple[Any, ...]]:
        """The rows as Python's values: NULL is None, a map is a dict; times that Python cannot hold are texts."""
        columns = [_python(column) for column in self.table.columns]
        return list(zip(*columns, strict=True)) if columns else []

    def fetchone(self) -> tuple[Any, ...] | None:
        return next(iter(Rows(self.table.slice(0, 1)).fetchall()), None)

    def dicts(self) -> list[dict[str, Any]]:
        """As `fetchall`, each row by its columns' names."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.fetchall()]

    def df(self) -> pandas.DataFrame:
        """The rows as a data frame; times are numpy's, and a column of numbers with NULL is of floats.

        A column with values that neither numpy nor pandas has (years before 1 and after 9999, infinite times, 24:00,
        maps, structures, unions) has Python's values, as from `fetchall`.
        """
        import pandas

        table, own = self.table, {}
        for place, (field, column) in enumerate(zip(table.schema, table.columns, strict=True)):
            if types.is_decimal(field.type) and field.type.scale == 0:  # DuckDB's sums of whole numbers
                table = table.set_column(place, field.name, column.cast(pyarrow.float64()))
            elif (types.is_nested(field.type) and _is_special(field.type)) or _is_beyond(column):
                own[place] = _python(column)
                table = table.set_column(place, field.name, pyarrow.nulls(len(column)))
        frame = table.to_pandas(date_as_object=False)
        for place, values in own.items():
            frame.isetitem(place, pandas.Series(values, dtype=object))
        return frame


_PER_DAY = {"s": 86_400, "ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}


def _python(column: pyarrow.ChunkedArray) -> list[Any]:
    return [_value(one) for one in column] if _is_special(column.type) else column.to_pylist()


def _is_special(kind: pyarrow.DataType) -> bool:
    """Whether values of this type differ from what pyarrow makes of them."""
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_special(kind.value_type)
    return bool(types.is_nested(kind) or types.is_temporal(kind) or (types.is_decimal(kind) and kind.scale == 0))


def _value(scalar: pyarrow.Scalar) -> Any:
    """A value in Python's types: a whole number is an int, a map a dict, or pairs where its keys cannot be a dict's."""
    kind = scalar.type
    if not scalar.is_valid:
        return None
    if not _is_special(kind):
        return scalar.as_py()
    if types.is_union(kind):
        return _value(scalar.value)
    if types.is_map(kind):
        pairs = [(_value(one[0]), _value(one[1])) for one in scalar.values]
        return [list(pair) for pair in pairs] if types.is_nested(kind.key_type) else dict(pairs)
    if types.is_struct(kind):
        names, values = [field.name for field in kind], [_value(scalar[n]) for n in range(kind.num_fields)]
        return dict(zip(names, values, strict=True)) if len(set(names)) == len(names) else values
    if types.is_nested(kind):
        return [_value(one) for one in scalar.values]
    if types.is_decimal(kind):
        return int(scalar.as_py())
    if types.is_interval(kind):
        span = scalar.as_py()
        rest = timedelta(days=span.days, microseconds=span.nanoseconds / 1000)
        return f"{span.months} months, {rest}" if span.months else rest  # a month has no length
    return _moment(kind, scalar.value) or scalar.as_py()


def _moment(kind: pyarrow.DataType, raw: int) -> str:
    """A date or time that Python cannot hold, as ISO 8601 with a sign before its year; "" where it can."""
    if types.is_time(kind):
        return "24:00:00" if raw >= _PER_DAY[kind.unit] else ""
    is_date = types.is_date(kind)
    if abs(raw) == (1 << 31 if is_date else 1 << 63) - 1:  # as DuckDB has them
        return "infinity" if raw > 0 else "-infinity"
    moment = np.datetime64(raw, "D" if is_date else kind.unit)
    day, year = moment.astype("M8[D]"), int(moment.astype("M8[Y]").astype(int)) + 1970
    if MINYEAR <= year <= MAXYEAR:
        return ""
    text = (f"{year:+05}" if year else "0000") + str(day)[-len("-12-31") :]
    rest = timedelta(microseconds=int((moment - day) / np.timedelta64(1, "us")))
    return text if is_date else f"{text}T{(datetime.min + rest).time().isoformat()}Z"


def _is_beyond(column: pyarrow.ChunkedArray) -> bool:
    """Whether a column holds a date or time that Python cannot hold."""
    kind = column.type
    if not (types.is_date32(kind) or types.is_timestamp(kind) or types.is_time64(kind)):
        return False
    ends = pyarrow.compute.min_max(column.cast(pyarrow.int32() if types.is_date32(kind) else pyarrow.int64())).as_py()
    return any(raw is not None and _moment(kind, raw) for raw in ends.values())


class Helper:
    """The helper process, which answers one request at a time."""

    def __init__(self) -> None:
        # a session of its own: an interrupt reaches this process only, which then ends the helper
        pipe = subprocess.PIPE
        self._process = subprocess.Popen(COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True)
        self._owner, self._lock = os.getpid(), threading.Lock()

    @property
    def is_usable(self) -> bool:
        """Whether it runs, and was started by this process and not by its parent before a fork."""
        return self._owner == os.getpid() and self._process.poll() is None

    def stop(self) -> None:
        """Kill it, from any thread; a waiting caller gets the error that it died."""
        self._process.kill()

    def end(self) -> None:
        if self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()

    def ask(self, request: dict[str, Any], *, rows: bool = False) -> tuple[dict[str, Any], Rows | None]:
        """Send a request; returns the answer, with the rows of a query.

        Raises:
            UsageError: the query cannot be answered. StoreError: the process died.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            try:
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                answer = json.loads(self._process.stdout.readline())
                found = None
                if rows and "stamps" in answer:
                    with pyarrow.ipc.open_stream(self._process.stdout) as stream:
                        found = Rows(stream.read_all())
            except (OSError, ValueError, pyarrow.ArrowException):  # it ended in the middle of its answer, or before
                self._process.kill()
                lines = self._process.communicate()[1].decode(errors="replace").strip().splitlines()
                last = lines[-1] if lines else f"it ended with code {self._process.returncode}"
                what, hint = f"the query's process died ({last})", "ask for less at a time"
                raise StoreError(what, doing="running a query", hint=hint) from None
            except BaseException:  # an interrupt: later answers would belong to no request
                self.end()
                raise
        if "refused" in answer:
            what, doing, hint = answer["refused"]
            raise UsageError(what, doing=doing, hint=hint)
        return answer, found


_shared: Helper | None = None
_starting = threading.Lock()
_numbers = itertools.count(1)


def _helper() -> Helper:
    """The helper that all connections of this process share."""
    global _shared
    with _starting:
        if _shared is None or not _shared.is_usable:
            _shared = Helper()
            atexit.register(_shared.end)
        return _shared


class Analysis(contextlib.AbstractContextManager["Analysis"]):
    """Typed views over every project: `decisions crops groups images recommendations operations models`, also `outcomes
    comparisons sessions projects legacy_selections unsound_rows`, and the databases' own `ai_decisions ai_performance
    incomplete_crops ai_mistakes`. A project that cannot be read is left out and named in `problems`.

    Attributes:
        problems: projects that are left out, or had to be read in a special way, each with its reason.
        encoders: those with vectors, the one with most files first.
        stamps: project id -> text that changes with its rows; of the projects that the views hold.
    """

    def __init__(self, workspace: Workspace) -> None:
        self.workspace = workspace
        self.problems: tuple[Problem, ...] = ()
        self.encoders: tuple[Encoder, ...] = ()
        self.stamps: dict[str, str] = {}
        self._number, self._snapshots = next(_numbers), contextlib.ExitStack()
        self.refresh()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if _shared is not None and _shared.is_usable:
            self._ask("close")
        self._snapshots.close()

    def vector_files(self, project_id: str) -> list[str]:
        """A project's files of vectors, of every encoder."""
        return [file for encoder in self.encoders for file in encoder.files if file.split("/")[-2] == project_id]

    def refresh(self) -> None:
        """Read what was decided, added or repaired since; every query does this itself."""
        self._ask("refresh")

    def execute(self, sql: str, parameters: Any = None) -> Rows:
        """Run SQL on the live databases. `ATTACH` of a project's database opens a snapshot of it.

        Raises:
            UsageError: the query cannot be answered. StoreError: the helper process died.
        """
        return self._execute(self._with_snapshot(sql), parameters)

    def query(self, name: str, project_id: str | None = None) -> pandas.DataFrame:
        """The rows of a named query (`queries.names()`), of one project or of all.

        Raises:
            UsageError: no query has this name.
        """
        return self._named(name, project_id).df()

    def rows(self, name: str, project_id: str | None = None) -> list[dict[str, Any]]:
        """As `query`, as plain rows: a missing value is None."""
        return self._named(name, project_id).dicts()

    def _named(self, name: str, project_id: str | None) -> Rows:
        text = queries.text(name)
        listed = {"listed": project_id} if name == "data_health" else {}
        if project_id is None:
            return self._execute(text, None, **listed)
        if project_id not in self.workspace.project_ids():
            raise UsageError(f"no project is named {project_id!r}", doing=f"asking {name}")
        return self._execute(f"SELECT * FROM ({text}) WHERE project_id = ?", [project_id], **listed)

    def _execute(self, sql: str, parameters: Any, **more: Any) -> Rows:
        rows = self._ask("query", sql=sql, parameters=parameters, **more)
        assert rows is not None
        return rows

    def _ask(self, do: str, **more: Any) -> Rows | None:
        request = {"do": do, "session": self._number, "home": str(self.workspace.root.absolute()), **more}
        answer, rows = _helper().ask(request, rows=do == "query")
        if "stamps" in answer:
            self.problems, self.encoders, self.stamps = read_state(answer)
        return rows

    def _with_snapshot(self, sql: str) -> str:
        """Replace the path in an `ATTACH` of a project's database by a snapshot made by SQLite's backup."""
        match = _ATTACH.fullmatch(sql)
        if match is None:
            return sql
        path = Path(match["path"].replace("''", "'")).expanduser()
        # of this workspace, another one, or a copy in a sandbox
        if path.absolute().parent.parts[-3:] != self.workspace.decisions.parts[-3:]:
            return sql
        copy = self._snapshots.enter_context(Folder("pickroom-snapshot-")) / path.name
        problem = snapshot.copy(path, copy)
        if problem is not None:
            raise UsageError(problem, doing="attaching a database", subject=path)
        named = re.match(r"\s+AS\s+(\w+|\"[^\"]+\")", match["rest"], re.IGNORECASE)
        name = named[1] if named else queries.identifier(path.stem)
        return f"ATTACH {quoted(copy)} AS {name} (TYPE sqlite, READ_ONLY)"


def read_state(answer: dict[str, Any]) -> tuple[tuple[Problem, ...], tuple[Encoder, ...], dict[str, str]]:
    """Read the views' problems, encoders and stamps from an answer."""
    encoders = tuple(Encoder(e["encoder_id"], e["dimension"], tuple(e["files"])) for e in answer["encoders"])
    return tuple(Problem(**problem) for problem in answer["problems"]), encoders, answer["stamps"]


connect = Analysis
