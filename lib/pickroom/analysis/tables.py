"""DuckDB without downloads or files in the home folder; and the tables of a project's database that analysis reads.

FORMATS.md, The project database. A column or table that an older schema lacks is NULL, or empty. Texts stay texts here;
`sql/views/*.sql` give them their types.
"""

import json
import shutil
import sqlite3
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import duckdb
import pyarrow

from pickroom.analysis.queries import identifier, quoted, read_sql
from pickroom.core import naming
from pickroom.integrity.checks import FAULTS, IMPORT_FAULTS, Fault
from pickroom.storage.leftovers import Folder

_TEXT, _WHOLE, _REAL = "VARCHAR", "BIGINT", "DOUBLE"
_ARROW = {_TEXT: pyarrow.string(), "JSON": pyarrow.string(), "BOOLEAN": pyarrow.bool_()}
_ARROW |= {_WHOLE: pyarrow.int64(), _REAL: pyarrow.float64()}
WORDS = {_TEXT: "text", _WHOLE: "whole number", _REAL: "number"}
_PYTHON: dict[str, tuple[type, ...]] = {_TEXT: (str,), _WHOLE: (int,), _REAL: (float, int)}
BUSY_MS = 2000  # a writer blocks a reader only in exclusive mode, which Pickroom never uses
Present = Mapping[str, Sequence[str]]  # table -> those of its columns that a file has
# types of columns in every table; the others are texts
_NUMBERS = {
    _WHOLE: (
        "ai_crop_accepted ai_selected_index batch batch_number bracketed crop_match crop_needed deferrals "
        "file_size height id image_height image_width iso kept milliseconds mtime_ns position round "
        "selected_index selection_match sequence source_line stars undoes user_selected_index utc_offset width"
    ),
    _REAL: "ai_confidence aperture confidence crop_confidence exposure_s stage",
}
_TYPES = {name: kind for kind, names in _NUMBERS.items() for name in names.split()}
_COLUMNS = {
    "ai_decisions": "group_id timestamp project_id directory images ai_crop_coords user_action final_crop_coords "
    "crop_timestamp batch_number ai_selected_index user_selected_index ai_crop_accepted image_width image_height "
    "selection_match crop_match ai_confidence",
    "decision_context": "group_id input outcome source versions crop_input dropped_at decided_at batch milliseconds",
    "images": "directory filename taken_at sha256 reason width height file_size mtime_ns stage",
    "captures": "sha256 captured_at captured_by camera serial utc_offset iso bracketed exposure_s aperture",
    "groups": "group_id directory method kind sequence batch_number deferrals",
    "group_members": "group_id directory filename position",
    "recommendations": "group_id source crop_coords reasons anomaly_flags versions made_at selected_index crop_needed "
    "confidence crop_confidence",
    "comparisons": "group_id images made_at round chosen",
    "kept_images": "group_id filename kept stars",
    "image_marks": "room directory filename folder batch",
    "review_state": "group_id action held_reason updated_at",
    "file_operations": "kind unit op source destination sha256 state error planned_at finished_at id batch undoes",
    "sandbox_decisions": "group_id source versions decided_at batch milliseconds",
    "crops": "directory filename group_id box input sha256 made_at box_source batch",
    "legacy_selections": "project_id chosen others timestamp source_file source_line",
    "legacy_crops": "project_id filename box timestamp source_file width height source_line stage",
}
TABLES = {table: {name: _TYPES.get(name, _TEXT) for name in names.split()} for table, names in _COLUMNS.items()}
TABLES["comparisons"]["chosen"] = _WHOLE  # a place; in an imported selection it is a name
CHECKS = {**FAULTS, **IMPORT_FAULTS}
_OF_IMPORTS = ("legacy_selections", "legacy_crops")
TABLES_OF = {
    "project": tuple(table for table in TABLES if table not in _OF_IMPORTS),
    "legacy": ("ai_decisions", "decision_context", *_OF_IMPORTS),
}
# columns of every schema; the others came with migrations
_EVER = {"ai_decisions": frozenset(TABLES["ai_decisions"]) - {"ai_crop_accepted"}}


def present_in(connection: sqlite3.Connection, origin: str) -> dict[str, list[str]]:
    """Table -> its columns; raises sqlite3.Error where columns of the earliest schema are missing."""
    wanted = ", ".join(f"'{table}'" for table in TABLES_OF[origin])
    query = f"SELECT m.name, c.name FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.name IN ({wanted})"
    found = set(connection.execute(query))
    gone = sorted(f"{table}.{name}" for table, names in _EVER.items() for name in names if (table, name) not in found)
    if gone:
        raise sqlite3.DatabaseError(f"it is not a project's database, it has no {gone[0]}")
    named = {table: [name for name in TABLES[table] if (table, name) in found] for table in TABLES_OF[origin]}
    return {table: names for table, names in named.items() if names}


def lacking(present: Present, origin: str) -> list[str]:
    """The tables and columns that an older schema lacks."""
    tables = TABLES_OF[origin]
    absent = sorted(table for table in tables if table not in present)
    return absent + sorted(f"{t}.{c}" for t in tables if t in present for c in TABLES[t] if c not in present[t])


def cells(present: Present, table: str) -> str:
    """A table's columns for a SELECT, NULL for those that the file lacks."""
    missing = set(TABLES[table]) - set(present[table])
    return ", ".join(f"NULL AS {identifier(n)}" if n in missing else identifier(n) for n in TABLES[table])


def are_checked(present: Present, table: str) -> bool:
    """Whether the checks of a table's rows fit its schema."""
    return table in CHECKS and len(present.get(table, ())) >= len(TABLES[table]) - (table in _EVER)


def read_rows(
    connection: sqlite3.Connection, present: Present, table: str, numbers: Sequence[int] | None = None
) -> tuple[list[tuple[Any, ...]], list[Fault]]:
    """The sound rows of a table with all columns, and what is wrong with the others; or only of some rowids."""
    where, values = "", list[str]()
    if numbers is not None:
        where, values = " WHERE rowid IN (SELECT value FROM json_each(?))", [json.dumps(numbers)]
    rows = connection.execute(f"SELECT {cells(present, table)} FROM {table}{where}", values).fetchall()
    if not are_checked(present, table):
        return rows, []
    names, check = list(TABLES[table]), CHECKS[table]
    faults = [check(dict(zip(names, row, strict=True))) for row in rows]
    sound = [row for row, fault in zip(rows, faults, strict=True) if fault is None]
    return sound, [fault for fault in faults if fault is not None]


def fill(
    engine: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]] = ()
) -> None:
    """Create a table of rows, or replace it."""
    structure = ", ".join(f"{identifier(name)} {kind}" for name, kind in types.items())
    engine.execute(f"CREATE OR REPLACE TABLE {table} ({structure})")
    insert(engine, table, types, rows)


def insert(
    engine: duckdb.DuckDBPyConnection, table: str, types: Mapping[str, str], rows: Sequence[Sequence[Any]]
) -> dict[str, list[int]]:
    """Add rows to a table; returns column -> the places of values of another type, which became NULL."""
    if not rows:
        return {}
    strange: dict[str, list[int]] = {}
    arrays = []
    for (name, kind), values in zip(types.items(), zip(*rows, strict=True), strict=True):
        try:
            arrays.append(pyarrow.array(values, _ARROW[kind]))
        except (pyarrow.ArrowException, TypeError, OverflowError, UnicodeError):
            kept = [_plain(value) if isinstance(value, _PYTHON[kind]) else None for value in values]
            strange[name] = [n for n, (v, k) in enumerate(zip(values, kept, strict=True)) if k is None is not v]
            arrays.append(pyarrow.array(kept, _ARROW[kind]))
    engine.register("rows_read", pyarrow.table(arrays, list(types)))
    engine.execute(f"INSERT INTO {table} SELECT * FROM rows_read")
    engine.unregister("rows_read")
    return strange


def _plain(value: Any) -> Any:
    """A text with bytes that are not UTF-8 written as escapes."""
    return value.encode(errors="surrogateescape").decode(errors="backslashreplace") if type(value) is str else value


# DuckDB 1.5 takes two scans of tables with the same columns for one and gives the first one's rows for both, and
# projects' tables all have the same columns (https://github.com/duckdb/duckdb/issues/24781, also 25819)
_UNSOUND = "common_subplan"
# the error about a text that is not UTF-8 contains it, and Python cannot read the message
ERRORS = (duckdb.Error, UnicodeDecodeError)


def open_engine(spill: Path | None = None, **settings: str | int) -> duckdb.DuckDBPyConnection:
    """A new DuckDB in memory, times in UTC, the macros of `sql/macros.sql` defined.

    Args:
        spill: a private folder for what does not fit into memory; None refuses such a query instead.
        settings: more of DuckDB's configuration.
    """
    offline: dict[str, str | int] = {
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "disabled_optimizers": _UNSOUND,
        "temp_directory": "" if spill is None else str(spill),
    }
    if spill is not None:  # the next decisions need room on that disk too
        offline["max_temp_directory_size"] = f"{shutil.disk_usage(spill).free // 2} B"
    connection = duckdb.connect(config={**offline, **settings})
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(read_sql("macros"))
    # one pattern of file names for Python and SQL (LESSONS.md: two parsers gave two results)
    staged = naming.STAGED.pattern.replace(r"\d", r"\p{Nd}")
    stem = r"regexp_replace(filename, '(?s)^(.+)\.[^.]*$', '\1')"
    found = f"regexp_extract({stem}, {quoted(f'(?s)^(?:{staged})$')}, 2)"
    connection.execute(f"CREATE MACRO stage_of(filename) AS TRY_CAST({found} AS DOUBLE)")
    return connection


@cache
def sqlite_extension() -> Path | None:
    """The file of DuckDB's SQLite extension that came with the packages, None where it is missing.

    It is never installed from the network, nor into the home folder as `INSTALL` would.
    """
    spec = find_spec("duckdb_extension_sqlite")
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(next(iter(spec.submodule_search_locations)))
    file = folder / "extensions" / f"v{duckdb.__version__}" / "sqlite.duckdb_extension"
    return file if file.is_file() else None


def load_sqlite(connection: duckdb.DuckDBPyConnection) -> bool:
    """Let a connection attach SQLite databases; False where the extension is missing, or of another version."""
    file = sqlite_extension()
    if file is None:
        return False
    # DuckDB expects an extension's own name as file name, and the package's file has another
    with Folder("pickroom-extension-") as folder:
        link = folder / "sqlite_scanner.duckdb_extension"
        try:
            link.symlink_to(file)
        except OSError:  # a temporary folder on a disk without links
            shutil.copyfile(file, link)
        try:
            connection.load_extension(str(link))
        except duckdb.Error:
            return False
    return True
