"""The rows that DuckDB sorts out as certainly sound are sound to `integrity.checks`, whatever stands in them."""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from pickroom.analysis.queries import identifier, read_sql
from pickroom.analysis.tables import CHECKS, ERRORS, TABLES, load_sqlite, open_engine
from pickroom.integrity.checks import FAULTS
from pickroom.store.workspace import Project

Row = dict[str, Any]
SOUND: dict[str, Row] = {
    "ai_decisions": {
        **{"group_id": "p_group_1", "timestamp": "2025-08-03T06:00:00Z", "project_id": "p", "directory": "a/b"},
        **{"images": '["a.png", "b.png", "é.png"]', "ai_crop_coords": "[0.1, 0, 0.9, 1]", "user_action": "crop"},
        **{"final_crop_coords": "[0.25,0.5,0.75,1.0]", "crop_timestamp": None, "batch_number": 1},
        **{"ai_selected_index": 2, "user_selected_index": 0, "ai_crop_accepted": None, "image_width": 48},
        **{"image_height": 64, "selection_match": 0, "crop_match": 1, "ai_confidence": 0.5},
    },
    "images": {
        **{"directory": "", "filename": "a.png", "taken_at": "2025-08-03T06:00:00", "sha256": "0" * 64, "reason": None},
        **{"width": 48, "height": 64, "file_size": 1, "mtime_ns": 1, "stage": 1.5},
    },
    "crops": {
        **{"filename": "a.png", "group_id": None, "box": "[0.1, 0.2, 0.3, 0.4]", "input": "desk", "sha256": "0" * 64},
        **{"made_at": "2025-08-03T06:00:00Z", "box_source": "drawn", "batch": 1, "directory": ""},
    },
    "comparisons": {
        **{"group_id": "p_group_1", "round": 1, "images": '["a.png", "b.png", "é.png"]', "chosen": 2},
        **{"made_at": "2025-08-03T06:00:00Z"},
    },
    "legacy_selections": {
        **{"project_id": "p", "chosen": "a.png", "others": '["b.png", "é.png"]', "timestamp": "2025-08-03T06:00:00Z"},
        **{"source_file": "log.csv", "source_line": 2},
    },
    "legacy_crops": {
        **{"project_id": "p", "filename": "a.png", "box": "[0.1, 0.2, 0.3, 0.4]", "width": 48, "height": 64},
        **{"stage": None, "timestamp": None, "source_file": "log.csv", "source_line": 2},
    },
}
TEXTS = [
    *("", " ", "a", "é", ".", "..", "/", "a/b", "../a", "a//b", "/a", "a/.", "a\\b", "a\nb", "a\0b", "[]", "null"),
    *("[0, 0, 1, 1]", "[0.1, 0, 0.9, 1.5]", "[0.9, 0, 0.1, 1]", "[0, 0, 1]", "[0, 0, 1, 1, 1]", "[true, 0, 1, 1]"),
    *("[-0.1, 0, 1, 1]", "[1e-3, 0, 1, 1]", "[NaN, 0, 1, 1]", "[.1, 0, 1, 1]", "[00.1, 0, 1, 1]", "[01, 0, 1, 1]"),
    *("[ 0, 0, 1, 1 ]", '["a", "b"]', '["a", "a"]', '["a"]', '["a", "."]', '["..", "b"]', '["a/b", "c"]', '["a", ""]'),
    *('["a", 1]', '["\\u0061", "a"]', '["a","b","c","d","e"]', '["a", "b"', '["a" "b"]', '["a", "b"]]', '{"a": "b"}'),
    *("approve", "keep", "2025-08-03", "2025-02-30T06:00:00", "2025-08-03T25:00:00", "0000-01-01T00:00:00"),
    *("2025-08-03T06:00:00+02:00", "yesterday", "2025-08-03T06:00:00ZZ"),
]
OTHERS = [None, -1, 0, 1, 2, 3, 4, 2**40, 0.5, 1.5]
STRICT = ("images", "crops", "comparisons", "legacy_selections", "legacy_crops")  # SQLite keeps other types out of them


def fill(connection: sqlite3.Connection, table: str, rows: list[Row]) -> None:
    """Make a table with the columns of the project's database, and no checks."""
    columns = ", ".join(f"{identifier(name)} {kind}" for name, kind in TABLES[table].items())
    connection.execute(f"DROP TABLE IF EXISTS {table}")
    connection.execute(f"CREATE TABLE {table} ({columns.replace('VARCHAR', 'TEXT')})")
    places = ", ".join("?" for _ in TABLES[table])
    connection.executemany(
        f"INSERT INTO {table} VALUES ({places})", [[row[name] for name in TABLES[table]] for row in rows]
    )


def stored(table: str, rows: list[Row]) -> list[Row]:
    """The rows as SQLite hands them out: in a column of numbers a text that is one becomes a number."""
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.text_factory = lambda text: text.decode(errors="surrogateescape")
        connection.row_factory = sqlite3.Row
        fill(connection, table, rows)
        return [dict(row) for row in connection.execute(f"SELECT * FROM {table} ORDER BY rowid")]


@pytest.fixture(scope="module")
def engine() -> Iterator[duckdb.DuckDBPyConnection]:
    with open_engine() as opened:
        load_sqlite(opened)
        yield opened


def suspects_in(engine: duckdb.DuckDBPyConnection, database: object, table: str) -> set[int]:
    """The suspect rows, by rowid; raises duckdb.Error where DuckDB cannot read the file."""
    engine.execute(f"ATTACH '{database}' AS one (TYPE sqlite, READ_ONLY)")
    try:
        rows = f"WITH rows AS (SELECT rowid AS number, * FROM one.{table})"
        return {number for (number,) in engine.execute(f"{rows} {read_sql(f'suspects/{table}')}").fetchall()}
    finally:
        engine.execute("DETACH one")


def passed_over(engine: duckdb.DuckDBPyConnection, path: Path, table: str, rows: list[Row]) -> list[Row]:
    """The rows that are not suspect. A file that DuckDB cannot read is read through sqlite3, and each row checked."""
    with closing(sqlite3.connect(path)) as connection, connection:
        fill(connection, table, rows)
    try:
        found = suspects_in(engine, path, table)
        return [row for number, row in enumerate(rows, start=1) if number not in found]
    except ERRORS:
        half = len(rows) // 2
        return [row for part in (rows[:half], rows[half:]) if half for row in passed_over(engine, path, table, part)]


@pytest.mark.parametrize("table", CHECKS)
def test_plain_rows_are_not_suspect(engine: duckdb.DuckDBPyConnection, tmp_path: Path, table: str) -> None:
    assert CHECKS[table](SOUND[table]) is None
    assert len(passed_over(engine, tmp_path / "rows.db", table, [SOUND[table]] * 3)) == 3


@pytest.mark.parametrize("table", FAULTS)
def test_rows_of_a_review_are_not_suspect(engine: duckdb.DuckDBPyConnection, reviewed: Project, table: str) -> None:
    assert suspects_in(engine, reviewed.database, table) == set()


@pytest.mark.parametrize("table", CHECKS)
def test_row_that_a_check_fails_is_suspect(engine: duckdb.DuckDBPyConnection, tmp_path: Path, table: str) -> None:
    rng = random.Random(table)
    # a text in a column of numbers makes DuckDB refuse the whole file: one is enough
    values = {name: [*TEXTS, None] if kind == "VARCHAR" else [*OTHERS, "a"] for name, kind in TABLES[table].items()}
    rows = [SOUND[table] | {name: value} for name in values for value in values[name]]
    for _ in range(400):
        names = rng.sample(list(TABLES[table]), 2)
        rows.append(SOUND[table] | {name: rng.choice(values[name][:-1]) for name in names})
    if table in STRICT:
        kinds = {name: type(SOUND[table][name]) for name in TABLES[table] if SOUND[table][name] is not None}
        rows = [row for row in rows if all(isinstance(row[name], kind) for name, kind in kinds.items())]
    wrong = passed_over(engine, tmp_path / "rows.db", table, rows)
    assert len(wrong) > 50
    assert [row for row in wrong if CHECKS[table](stored(table, [row])[0]) is not None] == []
