"""The tables of a project's database as DuckDB sees them, copied out of the file in one short look.

FORMATS.md, The project database. A column or table that an older schema lacks is NULL, or empty. Texts stay texts here;
`sql/views/*.sql` give them their types.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Container, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from pickroom.analysis.engine import quoted
from pickroom.core import naming
from pickroom.core.errors import StoreError
from pickroom.integrity.checks import FAULTS, Fault
from pickroom.store.snapshot import attachable

_TEXT, _WHOLE, _REAL = "VARCHAR", "BIGINT", "DOUBLE"
_ARROW = {_TEXT: pyarrow.string(), _WHOLE: pyarrow.int64(), _REAL: pyarrow.float64()}
_WORDS = {_TEXT: "text", _WHOLE: "whole number", _REAL: "number"}
_PYTHON = {_TEXT: (str,), _WHOLE: (int,), _REAL: (float, int)}
_BUSY_MS = 2000  # a writer keeps a reader waiting only in exclusive mode, which Pickroom never uses
_CHUNK = 20_000  # rows held at a time when they come through Python


def _columns(text: str = "", *, whole: str = "", real: str = "") -> dict[str, str]:
    kinds = {_TEXT: text, _WHOLE: whole, _REAL: real}
    return {name: kind for kind, names in kinds.items() for name in names.split()}


PROJECT_TABLES = {
    "ai_decisions": _columns(
        "group_id timestamp project_id directory images ai_crop_coords user_action final_crop_coords crop_timestamp",
        whole="batch_number ai_selected_index user_selected_index ai_crop_accepted image_width image_height "
        "selection_match crop_match",
        real="ai_confidence",
    ),
    "decision_context": _columns(
        "group_id input outcome source versions crop_input dropped_at decided_at", whole="batch milliseconds"
    ),
    "images": _columns(
        "directory filename taken_at sha256 reason", whole="width height file_size mtime_ns", real="stage"
    ),
    "groups": _columns("group_id directory method", whole="sequence batch_number deferrals"),
    "group_members": _columns("group_id directory filename", whole="position"),
    "recommendations": _columns(
        "group_id source crop_coords reasons anomaly_flags versions made_at",
        whole="selected_index crop_needed",
        real="confidence crop_confidence",
    ),
    "review_state": _columns("group_id action held_reason updated_at"),
    "file_operations": _columns(
        "kind unit op source destination sha256 state error planned_at finished_at", whole="id batch undoes"
    ),
    "crops": _columns("filename group_id box input sha256 made_at box_source", whole="batch"),
}
LEGACY_TABLES = {
    "ai_decisions": PROJECT_TABLES["ai_decisions"],
    "decision_context": PROJECT_TABLES["decision_context"],
    "legacy_selections": _columns("project_id chosen others timestamp source_file", whole="source_line"),
    "legacy_crops": _columns(
        "project_id filename box timestamp source_file", whole="width height source_line", real="stage"
    ),
}
# rows that are left out of their table, each with what is wrong (integrity.unsound)
_UNSOUND = {"unsound_rows": _columns("table_name failed_check row_of what")}
# what every schema has had; the rest came with migrations
_EVER = {"ai_decisions": frozenset(PROJECT_TABLES["ai_decisions"]) - {"ai_crop_accepted"}}


class _NoProject(Exception):
    """The file is a database, but none of Pickroom's."""


def load(
    engine: duckdb.DuckDBPyConnection,
    database: Path | None,
    prefix: str,
    tables: dict[str, dict[str, str]],
    *,
    attach: bool,
) -> list[str]:
    """Copy a database's tables into the engine as `<prefix><table>`; None makes them empty.

    Unsound rows are left out, and stand in `<prefix>unsound_rows` instead.

    Args:
        attach: by DuckDB's own reader; else, or where that refuses, through `sqlite3`, which knows what to do with a
            text in a column of numbers.

    Returns:
        what is to be known of them: an earlier schema, values that could not be read.

    Raises:
        StoreError: the file is missing, damaged, locked, or no project's database.
    """
    _make_empty(engine, prefix, _UNSOUND)
    if database is None:
        _make_empty(engine, prefix, tables)
        return []
    doing = "reading a project for analysis"
    with attachable(database) as path:
        try:
            if attach and not _faults_in(path, tables):
                with contextlib.suppress(duckdb.Error):  # sqlite3 says what is wrong, or copes with it
                    return _attached(engine, path, prefix, tables)
            _make_empty(engine, prefix, tables)
            return _through_python(engine, path, prefix, tables)
        except (sqlite3.Error, _NoProject) as error:
            raise StoreError(str(error), doing=doing, subject=database) from None


def _faults_in(path: Path, tables: dict[str, dict[str, str]]) -> bool:
    """Whether any row is unsound: then the tables come through Python, which leaves such rows out."""
    with contextlib.closing(_opened(path)) as connection:
        present = _present(connection)
        return any(True for table in FAULTS if table in tables for _ in _faults(connection, table, tables, present))


def _faults(
    connection: sqlite3.Connection, table: str, tables: dict[str, dict[str, str]], present: set[tuple[str, str]]
) -> Iterator[tuple[int, Fault]]:
    """(rowid, what is wrong) of every unsound row of a table, as far as its schema has it."""
    shared = [name for name in tables[table] if (table, name) in present]
    if len(shared) < len(tables[table]) - (table in _EVER):  # not a schema that the checks know
        return
    lacking = dict.fromkeys(tables[table])
    for number, *values in connection.execute(f"SELECT rowid, {', '.join(map(_name, shared))} FROM {table}"):
        fault = FAULTS[table](lacking | dict(zip(shared, values, strict=True)))
        if fault is not None:
            yield number, fault


def _opened(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_BUSY_MS / 1000)
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")
    connection.isolation_level = None
    return connection


def _present(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    return set(connection.execute("SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c"))


def _make_empty(engine: duckdb.DuckDBPyConnection, prefix: str, tables: dict[str, dict[str, str]]) -> None:
    for table, columns in tables.items():
        listed = ", ".join(f"{_name(name)} {kind}" for name, kind in columns.items())
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {prefix}{table} ({listed})")


def _name(column: str) -> str:
    return f'"{column}"'


def _attached(
    engine: duckdb.DuckDBPyConnection, path: Path, prefix: str, tables: dict[str, dict[str, str]]
) -> list[str]:
    engine.execute(f"ATTACH {quoted(path)} AS attached (TYPE sqlite, READ_ONLY, busy_timeout {_BUSY_MS})")
    try:
        rows = engine.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE database_name = 'attached'"
        ).fetchall()
        present = set(rows)
        notes = _missing(tables, present)
        known = {table for table, _ in present}
        _make_empty(engine, prefix, {table: columns for table, columns in tables.items() if table not in known})
        for table, columns in tables.items():
            if table in known:
                selected = ", ".join(
                    f"{_name(name) if (table, name) in present else 'NULL'}::{kind} AS {_name(name)}"
                    for name, kind in columns.items()
                )
                engine.execute(
                    f"CREATE OR REPLACE TEMP TABLE {prefix}{table} AS SELECT {selected} FROM attached.{table}"
                )
        return notes
    finally:
        engine.execute("DETACH attached")


def _through_python(
    engine: duckdb.DuckDBPyConnection, path: Path, prefix: str, tables: dict[str, dict[str, str]]
) -> list[str]:
    connection = _opened(path)
    try:
        connection.execute("BEGIN")  # every table as of one moment
        present = _present(connection)
        notes = _missing(tables, present)
        unsound = {t: dict(_faults(connection, t, tables, present)) for t in FAULTS if t in tables}
        _keep(engine, f"{prefix}unsound_rows", unsound)
        connection.text_factory = lambda text: text.decode(errors="backslashreplace")
        for table, columns in tables.items():
            shared = [name for name in columns if (table, name) in present]
            if not shared:
                continue
            strange = dict.fromkeys(shared, 0)
            for chunk in _chunks(connection, table, shared, unsound.get(table, {})):
                arrays = [_array(values, columns[name], strange, name) for name, values in chunk.items()]
                engine.register("chunk", pyarrow.table(arrays, names=shared))
                listed = ", ".join(_name(name) for name in shared)
                engine.execute(f"INSERT INTO {prefix}{table} ({listed}) SELECT {listed} FROM chunk")
                engine.unregister("chunk")
            notes += [
                f"{count} values of {table}.{name} are no {_WORDS[columns[name]]}: read as NULL"
                for name, count in strange.items()
                if count
            ]
        return notes
    finally:
        connection.close()


def _keep(engine: duckdb.DuckDBPyConnection, name: str, unsound: Mapping[str, Mapping[int, Fault]]) -> None:
    rows = [
        (table, fault.check, fault.of, fault.what) for table, faults in unsound.items() for fault in faults.values()
    ]
    texts = [[text.encode(errors="backslashreplace").decode() for text in column] for column in zip(*rows, strict=True)]
    if texts:
        engine.register("found", pyarrow.table(texts, names=list(_UNSOUND["unsound_rows"])))
        engine.execute(f"INSERT INTO {name} SELECT * FROM found")
        engine.unregister("found")


def _chunks(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], without: Container[int]
) -> Iterator[dict[str, tuple[Any, ...]]]:
    """Columns of some rows at a time; of the rows that are not in `without`, by rowid, which not every table has."""
    number = "rowid" if table in FAULTS else "NULL"
    cursor = connection.execute(f"SELECT {', '.join([number, *map(_name, columns)])} FROM {table}")
    while rows := cursor.fetchmany(_CHUNK):
        if kept := [row[1:] for row in rows if row[0] not in without]:
            yield dict(zip(columns, zip(*kept, strict=True), strict=True))


def _array(values: tuple[Any, ...], kind: str, strange: dict[str, int], name: str) -> pyarrow.Array:
    """A column of one type; values of another one become NULL and are counted."""
    try:
        return pyarrow.array(values, _ARROW[kind])
    except (pyarrow.ArrowException, TypeError, OverflowError):
        wanted = _PYTHON[kind]
        kept = [value if isinstance(value, wanted) else None for value in values]
        strange[name] += sum(old is not None and new is None for old, new in zip(values, kept, strict=True))
        return pyarrow.array(kept, _ARROW[kind])


def _missing(tables: dict[str, dict[str, str]], present: set[tuple[str, str]]) -> list[str]:
    """Notes on what an earlier schema lacks; raises _NoProject where even the earliest has more."""
    lacking = sorted(
        f"{table}.{name}" for table, names in _EVER.items() for name in names if (table, name) not in present
    )
    if lacking:
        raise _NoProject(f"it is no project's database, it has no {lacking[0]}")
    known = {table for table, _ in present}
    absent = sorted(set(tables) - known)
    absent += sorted(f"{t}.{c}" for t in tables if t in known for c in tables[t] if (t, c) not in present)
    return [f"an earlier schema, without {', '.join(absent)}: read as it is"] if absent else []


def load_stages(engine: duckdb.DuckDBPyConnection) -> None:
    """`src_stages`: file name -> stage, of every image named anywhere; one parser for all, that of `naming`."""
    unknown = engine.execute(
        """WITH named AS (
            SELECT unnest(texts(images)) AS filename FROM src_ai_decisions
            UNION SELECT unnest(texts(images)) FROM old_ai_decisions
            UNION SELECT chosen FROM old_legacy_selections
            UNION SELECT filename FROM old_legacy_crops
            UNION SELECT filename FROM src_crops
            UNION SELECT filename FROM src_group_members
        )
        SELECT filename FROM named WHERE filename IS NOT NULL
        AND filename NOT IN (SELECT filename FROM src_images WHERE sha256 IS NOT NULL)"""
    ).fetchall()
    names = [name for (name,) in unknown]
    stages = [naming.stage_of(name) for name in names]
    parsed = pyarrow.table(
        {"filename": pyarrow.array(names, pyarrow.string()), "stage": pyarrow.array(stages, pyarrow.float64())}
    )
    engine.register("parsed", parsed)
    engine.execute(
        """CREATE OR REPLACE TEMP TABLE src_stages AS
        SELECT filename, any_value(stage) AS stage FROM src_images WHERE sha256 IS NOT NULL GROUP BY filename
        UNION ALL SELECT filename, stage FROM parsed"""
    )
    engine.unregister("parsed")
