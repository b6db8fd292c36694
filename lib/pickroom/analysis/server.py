"""The helper process: the only one in which DuckDB opens the projects' databases (DESIGN.md, invariant 10).

It reads one JSON object a line on stdin and answers each with one on stdout; after the answer to a query comes the
result as an Arrow stream. A process that was asked to seal itself runs one statement of `pickroom sql` and can only
read (docs/decisions/150).
"""

import contextlib
import json
import os
import re
import resource
import shutil
import sys
from collections.abc import Collection, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow
import pyarrow.ipc

from pickroom.analysis import queries
from pickroom.analysis.catalogue import Catalogue, collect, define, define_tables, list_files
from pickroom.analysis.queries import Problem
from pickroom.analysis.sources import Source, Sources
from pickroom.analysis.tables import ERRORS, open_engine
from pickroom.core import quiet
from pickroom.core.errors import PickroomError, UsageError
from pickroom.core.naming import is_text
from pickroom.storage.leftovers import Folder
from pickroom.store.workspace import Workspace

SPILL = ".duckdb-"
EVERY_VIEW = "information_schema"  # a word in statements that may use any view
_MOST_FILES = 1 << 16  # open files, where the system allows it: each database of a query takes three
_MOST_MEMORY = 4 << 30  # bytes of address space
_MOST_THREADS = 8  # each takes up address space of its own
_MOST_SECONDS = 3600  # CPU seconds: if the calling process is killed, nothing else ends this one
_MOST_BYTES = 256 << 20  # of a result
_NOT_IN_ARROW = re.compile(r"\b(BIT|UHUGEINT|BIGNUM|VARINT|VARIANT|GEOMETRY|TIME WITH TIME ZONE)\b")
_HINT = "one SELECT, or EXPLAIN of one, over the views; `pickroom sql` only reads"
# errors for which reading a file in another way does not help
_MISTAKES = (
    *(duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException),
    *(duckdb.PermissionException, duckdb.OutOfMemoryException),
)
# table functions that read no file; those of the SQLite extension open any file in spite of DuckDB's settings
_TABLE_FUNCTIONS = frozenset(("range", "generate_series", "unnest", "repeat", "repeat_row", "pragma_table_info"))
_TABLE_FUNCTIONS |= {f"duckdb_{what}" for what in ("columns", "functions", "keywords", "tables", "types", "views")}


def _readable(text: str) -> str:
    """A statement as DuckDB can run it: SHOW TABLES would parse the views of the attached databases."""
    shows = re.fullmatch(r"\s*SHOW\s+(ALL\s+)?TABLES\s*;?\s*", text, re.IGNORECASE)
    return "SELECT view_name AS name FROM duckdb_views()" if shows else text


def run_select(
    engine: duckdb.DuckDBPyConnection, statement: duckdb.Statement, parameters: Any = None
) -> duckdb.DuckDBPyConnection:
    """Run one statement; columns whose type Arrow does not have are read as text, as DuckDB writes it."""
    found = engine.execute(statement, parameters)
    columns = found.description or []
    is_odd = [bool(_NOT_IN_ARROW.search(str(kind))) for _, kind, *_ in columns]
    if not any(is_odd):
        return found
    cells = [f"c{n}::VARCHAR" if odd else f"c{n}" for n, odd in enumerate(is_odd)]
    named = [f"{cell} AS {queries.identifier(column[0])}" for cell, column in zip(cells, columns, strict=True)]
    places = ", ".join(f"c{n}" for n in range(len(columns)))
    raw = statement.query.encode()
    end = duckdb.tokenize(statement.query)[-1][0]  # counted in bytes; a comment is not a token
    text = (raw[:end] if raw[end : end + 1] == b";" else raw).decode()
    return engine.execute(f"SELECT {', '.join(named)} FROM ({text}\n) AS t({places})", parameters)


class Session:
    """The views over one workspace, in an engine of its own."""

    def __init__(self, workspace: Workspace, **settings: str | int) -> None:
        """`settings` are those of an engine that keeps nothing on the disk."""
        self.workspace = workspace
        self._spill = None if settings else _spill_folder(workspace)
        self.engine = open_engine(self._spill.path if self._spill else None, **settings)
        self.sources = Sources(self.engine, workspace)
        self.catalogue = Catalogue((), (), ())
        self._made_of: object = None
        self._views: set[str] = set()  # those made since
        self.problems: list[Problem] = []

    def close(self) -> None:
        self.engine.close()
        if self._spill is not None:
            self._spill.close()

    def refresh(self, pinned: Collection[Source] = ()) -> None:
        """Read what was decided, added or repaired since; `pinned` as in `Sources.refresh`."""
        self.sources.refresh(pinned)
        found, problems = collect(self.workspace)
        self.problems = [*self.sources.problems, *problems]
        made_of = (self.sources.shape(), found)
        if made_of != self._made_of:
            define_tables(self.engine, found)
            self._made_of, self.catalogue, self._views = made_of, found, set()

    def prepare(self, text: str) -> None:
        """Create the views that a statement uses, unless they are those of the current files."""
        views, tables = queries.needed_by(text)
        for table in tables:
            if f"source.{table}" not in self._views:
                self.sources.define(table)
        for view in views:
            if view not in self._views:
                define(self.engine, view, self.catalogue)
        self._views |= {*views, *(f"source.{table}" for table in tables)}

    def state(self) -> dict[str, Any]:
        """The state of the views: problems, projects, and the encoders with their files of vectors."""
        encoders = [asdict(encoder) for encoder in self.catalogue.encoders]
        return {"problems": [asdict(p) for p in self.problems], "stamps": self.sources.stamps, "encoders": encoders}

    def run(self, text: str, parameters: Any = None) -> pyarrow.Table:
        """Run statements on the live databases; one that only reads sees no change during its run.

        Raises:
            duckdb.Error: as DuckDB does.
        """
        text = _readable(text)
        statements = self.engine.extract_statements(text)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            self.refresh()
            self.prepare(text)
            return self.engine.execute(text, parameters).to_arrow_table()
        moving: set[Source] = set()
        for last in (False, False, True):
            self.refresh(moving if last else ())
            before = self.sources.state()
            try:
                with self._transaction():  # each file is opened once, for its views and for the query
                    self.prepare(text)
                    found = run_select(self.engine, statements[0], parameters).to_arrow_table()
            except ERRORS as error:
                if isinstance(error, _MISTAKES) or last or not self.sources.demote():
                    raise
                continue
            now = self.sources.state()
            changed = {source for source, was in before.items() if now[source] != was}
            if not changed:
                break
            moving |= changed
        return found

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self.engine.execute("BEGIN")
        try:
            yield
        except BaseException:
            self.engine.execute("ROLLBACK")
            self._views = set()
            raise
        self.engine.execute("COMMIT")


def _spill_folder(workspace: Workspace) -> Folder:
    """A private folder for data that does not fit into memory: in the workspace, if its disk is writable."""
    folder = workspace.processed_log.parent / "analysis"
    try:
        if not (workspace.root / "data").is_dir():  # reading must not create a workspace
            raise FileNotFoundError
        folder.mkdir(parents=True, exist_ok=True)
        for copies in folder.glob("[!.]*"):  # of version 0.1
            shutil.rmtree(copies, ignore_errors=True)
        return Folder(SPILL, folder)
    except OSError:
        return Folder("pickroom-analysis-")


class Sealed(Session):
    """One statement of `pickroom sql`, in a process that can only read.

    DuckDB's settings prevent writing files and reading other files than those of the views; the check of the statement
    prevents calls of the SQLite extension's functions, which ignore those settings; the kernel refuses every write to a
    file, and limits memory and time.
    """

    def __init__(self, workspace: Workspace, memory: str, text: str = EVERY_VIEW, *, thorough: bool = False) -> None:
        """Create the views that `text` uses; `thorough`: read unreadable and changing databases into memory."""
        settings: dict[str, Any] = {"python_enable_replacements": False, "allow_community_extensions": False}
        super().__init__(workspace, memory_limit=memory, threads=min(os.cpu_count() or 1, _MOST_THREADS), **settings)
        self.refresh()
        if thorough:
            self.sources.demote()
            self.refresh(self.sources.young())
        # the transaction keeps each database open: SQLite could not open its log after `limit_process`
        self.engine.execute("BEGIN")
        self.sources.touch()
        self.prepare(text)
        files = [file for encoder in self.catalogue.encoders for file in encoder.files]
        self.engine.execute("SET allowed_paths = ?", [files])
        self.engine.execute("SET enable_external_access = false")
        self.engine.execute("SET lock_configuration = true")

    def answer(self, text: str, most_rows: int) -> tuple[pyarrow.Table, bool]:
        """The rows of exactly one SELECT or EXPLAIN, and whether no database has changed meanwhile.

        Raises:
            UsageError: it is anything else. duckdb.Error: as DuckDB does.
        """
        for _ in range(3):
            before = self.sources.state()
            reader = self.execute(text).to_arrow_reader(10_000)
            batches, rows, size = [], 0, 0
            for batch in reader:
                batches.append(batch)
                rows, size = rows + batch.num_rows, size + batch.nbytes
                if rows > most_rows or size > _MOST_BYTES:
                    what = f"it gives more than {most_rows:,} rows" if rows > most_rows else "it gives too much text"
                    raise UsageError(what, doing="running a query", hint="add a LIMIT, or count in SQL")
            settled = self.sources.state() == before
            if settled:
                break
        return pyarrow.Table.from_batches(batches, reader.schema), settled

    def execute(self, text: str) -> duckdb.DuckDBPyConnection:
        """Run a statement that passed the check, in the locked engine."""
        if not is_text(text):
            raise UsageError("it is not valid UTF-8", doing="reading a query", hint=_HINT)
        text = _readable(text)
        statements = self.engine.extract_statements(text)
        what = f"it is {len(statements) or 'no'} statement{'s' * (len(statements) > 1)}"
        if len(statements) == 1:
            kind = statements[0].type
            if kind in (duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN):
                self._check(_explained(text) if kind == duckdb.StatementType.EXPLAIN else text)
                return run_select(self.engine, statements[0])
            what = f"it is a {kind.name} statement"
        raise UsageError(what, doing="reading a query", hint=_HINT)

    def _check(self, text: str) -> None:
        """Refuse a query that calls, anywhere in it, a table function that is not known to read no file."""
        (serialised,) = self.engine.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone() or ("{}",)
        tree = json.loads(serialised)
        if tree.get("error", True):
            raise UsageError(str(tree.get("error_message", "it cannot be read")), doing="reading a query", hint=_HINT)
        if unknown := sorted(set(_table_functions(tree)) - _TABLE_FUNCTIONS):
            raise UsageError(f"it calls {unknown[0]}, which is disabled here", doing="reading a query", hint=_HINT)


def _table_functions(node: Any) -> Iterator[str]:
    """The names of the table functions that a parsed query calls."""
    todo = [node]
    while todo:
        one = todo.pop()
        if isinstance(one, dict):
            if one.get("type") == "TABLE_FUNCTION":
                yield str(one["function"]["function_name"]).lower()
            todo += one.values()
        elif isinstance(one, list):
            todo += one


def _explained(text: str) -> str:
    """The query behind EXPLAIN [ANALYZE] or EXPLAIN (options)."""
    starts = [start for start, _ in duckdb.tokenize(text)]
    place = 2 if re.match(r"analy[sz]e\b", text[starts[1] :], re.IGNORECASE) else 1
    rest = text[starts[place] :] if place < len(starts) else ""
    options = re.match(r"\(\s*(analy[sz]e|format)\b[^()]*\)", rest, re.IGNORECASE)
    return rest[options.end() :] if options else rest


def limit_process() -> None:
    """Prevent this process from writing files, and limit its memory and CPU time.

    DuckDB's own limit of memory does not cover texts that a query builds.
    """
    for name, most in (("FSIZE", 0), ("CORE", 0), ("CPU", _MOST_SECONDS)):
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (most, most))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(ValueError, OSError):  # macOS has this limit but does not enforce it
        resource.setrlimit(resource.RLIMIT_AS, (_MOST_MEMORY if hard < 0 else min(_MOST_MEMORY, hard), hard))


# ------------------------------------------------------------------------------------------------ requests


def main() -> None:
    """Answer the requests on stdin until it ends."""
    # output of libraries must not mix with the answers
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.meta_path.insert(0, quiet.NoPandas())
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (_MOST_FILES if hard < 0 else min(_MOST_FILES, hard), hard))
    sessions: dict[int, Session] = {}
    for line in sys.stdin.buffer:
        answer, table = respond(json.loads(line), sessions)
        out.write(json.dumps(answer).encode() + b"\n")
        if table is not None:
            with pyarrow.ipc.new_stream(out, table.schema) as stream:
                stream.write_table(table)
        out.flush()


def respond(request: dict[str, Any], sessions: dict[int, Session]) -> tuple[dict[str, Any], pyarrow.Table | None]:
    """The answer to one request, and the rows that follow it."""
    try:
        if request["do"] == "sealed":
            return _sealed(request)
        if request["do"] == "close":
            sessions.pop(request["session"]).close()
            return {}, None
        session = sessions.get(request["session"])
        if session is None:
            session = sessions[request["session"]] = Session(Workspace(Path(request["home"])))
        if request["do"] == "refresh":
            session.refresh()
            return session.state(), None
        if "listed" in request:
            list_files(session.engine, session.workspace, request["listed"])
        table = session.run(request["sql"], request["parameters"])
        return session.state(), table
    except UsageError as error:
        refused = [error.what, error.doing, error.hint]
    except PickroomError as error:
        refused = [error.line, "running a query", ""]
    except (MemoryError, *ERRORS) as error:
        short = isinstance(error, (MemoryError, duckdb.OutOfMemoryException))
        what = str(error).strip().partition("\n")[0] or "it needs too much memory"
        refused = [what, "running a query", "ask for less at a time" if short else ""]
    return {"refused": refused}, None


def _sealed(request: dict[str, Any]) -> tuple[dict[str, Any], pyarrow.Table | None]:
    made = Sealed(Workspace(Path(request["home"])), request["memory"], request["sql"], thorough=request["thorough"])
    with contextlib.closing(made) as sealed:
        limit_process()
        try:
            table, settled = sealed.answer(request["sql"], request["most_rows"])
            if settled or request["thorough"]:
                return sealed.state(), table
        except ERRORS as error:
            if request["thorough"] or isinstance(error, _MISTAKES):
                raise
        return {"again": True}, None


if __name__ == "__main__":
    main()
