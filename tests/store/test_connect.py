"""Opening a database: its schema to the letter, migrations of older ones, and refusals of what is none."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pickroom.core.errors import StoreError
from pickroom.store import connect as module
from pickroom.store import copies
from pickroom.store.connect import backup, connect, create, migrations, open_read_only, transaction

# FORMATS.md, table ai_decisions: name, type, NOT NULL, primary key; in this order
AI_DECISIONS = [
    ("group_id", "TEXT", 0, 1),
    ("timestamp", "TEXT", 1, 0),
    ("project_id", "TEXT", 1, 0),
    ("directory", "TEXT", 0, 0),
    ("batch_number", "INTEGER", 0, 0),
    ("images", "TEXT", 1, 0),
    ("ai_selected_index", "INTEGER", 0, 0),
    ("ai_crop_coords", "TEXT", 0, 0),
    ("ai_confidence", "REAL", 0, 0),
    ("user_selected_index", "INTEGER", 1, 0),
    ("user_action", "TEXT", 1, 0),
    ("ai_crop_accepted", "BOOLEAN", 0, 0),
    ("final_crop_coords", "TEXT", 0, 0),
    ("crop_timestamp", "TEXT", 0, 0),
    ("image_width", "INTEGER", 1, 0),
    ("image_height", "INTEGER", 1, 0),
    ("selection_match", "BOOLEAN", 0, 0),
    ("crop_match", "BOOLEAN", 0, 0),
]
INDEXES = {
    "idx_project_id": ["project_id"],
    "idx_timestamp": ["timestamp"],
    "idx_selection_match": ["selection_match"],
    "idx_crop_match": ["crop_match"],
    "idx_user_action": ["user_action"],
    "idx_batch_number": ["batch_number"],
}
AI_PERFORMANCE = [
    "project_id",
    "total_decisions",
    "correct_selections",
    "correct_crops",
    "selection_accuracy",
    "crop_accuracy",
]
# FORMATS.md names these columns; the tables are ours to shape beyond them
PROMISED = {
    "decision_context": {"group_id", "milliseconds", "dropped_at", "input"},
    "file_operations": {"id", "batch", "op", "source", "destination", "sha256", "state", "error"},
}
# the table as the earlier system made it: no ai_crop_accepted, user_version 0, fewer checks
EARLIER = """
CREATE TABLE ai_decisions (
    group_id TEXT PRIMARY KEY, timestamp TEXT NOT NULL, project_id TEXT NOT NULL, directory TEXT,
    batch_number INTEGER, images TEXT NOT NULL, ai_selected_index INTEGER, ai_crop_coords TEXT, ai_confidence REAL,
    user_selected_index INTEGER NOT NULL, user_action TEXT NOT NULL, final_crop_coords TEXT, crop_timestamp TEXT,
    image_width INTEGER NOT NULL, image_height INTEGER NOT NULL, selection_match BOOLEAN, crop_match BOOLEAN{more}
);
CREATE INDEX idx_project_id ON ai_decisions (project_id);
CREATE INDEX idx_timestamp ON ai_decisions (timestamp);
CREATE VIEW ai_performance AS SELECT project_id, count(*) AS total_decisions FROM ai_decisions GROUP BY project_id;
CREATE VIEW "odd ""name" AS SELECT 1;
CREATE VIEW recent AS SELECT * FROM ai_decisions ORDER BY timestamp DESC LIMIT 10;
"""
EARLIER_ROWS = [
    (
        "p_group_20250803T065406Z_batch001_img001",
        "2025-08-03T06:54:06Z",
        "p",
        "anna",
        1,
        '["a.png", "b.png"]',
        1,
        "[0.1, 0.1, 0.9, 0.9]",
        0.87,
        1,
        "approve",
        None,
        None,
        1024,
        2048,
        1,
        None,
    ),
    # what the earlier system really left: sizes of 0, an index beyond the images, a text where a number belongs
    (
        "p_group_20250803T065406Z_batch001_img002",
        "2025-08-03T06:55:06Z",
        "p",
        None,
        None,
        '["c.png", "d.png"]',
        None,
        None,
        None,
        3,
        "crop",
        "[0, 0, 1, 1]",
        "2025-08-03T07:00:00Z",
        0,
        0,
        None,
        0,
    ),
    ("odd id", "yesterday", "p", "", "one", "c.png", 9, "none", 87.0, 0, "Approve", "", "", -1, 2048, 7, 1),
]


def make_earlier(path: Path, more: str = "", values: tuple[object, ...] = ()) -> None:
    old = sqlite3.connect(path)
    old.executescript(EARLIER.format(more=more))
    marks = ", ".join("?" * (17 + len(values)))
    old.executemany(f"INSERT INTO ai_decisions VALUES ({marks})", [(*row, *values) for row in EARLIER_ROWS])
    old.commit()
    old.close()


def rows_of(connection: sqlite3.Connection, sql: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.execute(sql)]


def columns_of(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row["name"] for row in connection.execute(f"PRAGMA table_info({table})")]


def insert_row(connection: sqlite3.Connection, **changes: object) -> None:
    """One valid row of ai_decisions, changed."""
    values: dict[str, object] = {
        "group_id": "g",
        "timestamp": "2025-08-03T06:54:06Z",
        "project_id": "p",
        "images": '["a.png", "b.png"]',
        "user_selected_index": 1,
        "user_action": "approve",
        "image_width": 48,
        "image_height": 64,
    } | changes
    names, marks = ", ".join(values), ", ".join("?" * len(values))
    connection.execute(f"INSERT INTO ai_decisions ({names}) VALUES ({marks})", tuple(values.values()))


# ------------------------------------------------------------------------------------------------ the schema


def test_ai_decisions_has_exactly_its_columns_types_and_order(connection: sqlite3.Connection) -> None:
    found = rows_of(connection, 'SELECT name, type, "notnull", pk FROM pragma_table_info("ai_decisions")')
    assert found == AI_DECISIONS


def test_ai_decisions_has_exactly_its_indexes(connection: sqlite3.Connection) -> None:
    found = {
        name: [column for (column,) in rows_of(connection, f"SELECT name FROM pragma_index_info('{name}')")]
        for (name,) in rows_of(connection, "SELECT name FROM pragma_index_list('ai_decisions') WHERE origin = 'c'")
    }
    assert found == INDEXES


@pytest.mark.parametrize(
    ("view", "columns"),
    [
        ("ai_performance", AI_PERFORMANCE),
        ("incomplete_crops", [name for name, *_ in AI_DECISIONS]),
        ("ai_mistakes", [name for name, *_ in AI_DECISIONS]),
    ],
)
def test_view_has_exactly_its_columns(connection: sqlite3.Connection, view: str, columns: list[str]) -> None:
    assert connection.execute("SELECT type FROM sqlite_master WHERE name = ?", (view,)).fetchone()["type"] == "view"
    assert columns_of(connection, view) == columns


@pytest.mark.parametrize("table", sorted(PROMISED))
def test_promised_columns_are_there(connection: sqlite3.Connection, table: str) -> None:
    assert PROMISED[table] <= set(columns_of(connection, table))


def test_every_other_table_is_strict(connection: sqlite3.Connection) -> None:
    # one text in an INTEGER column would fail a whole analysis query later; ai_decisions has BOOLEAN, and checks
    sql = "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND strict = 0"
    assert {name for (name,) in rows_of(connection, sql)} - {"sqlite_schema", "sqlite_sequence"} == {"ai_decisions"}


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="as few as needed"),
        pytest.param({"user_action": "crop", "final_crop_coords": "[0, 0, 1, 1]"}, id="cropped"),
        pytest.param({"user_action": "reject", "user_selected_index": 0}, id="rejected"),
        pytest.param({"ai_selected_index": 0, "ai_confidence": 0, "selection_match": 0}, id="no confidence at all"),
        pytest.param({"ai_selected_index": 1, "ai_confidence": 1.0, "selection_match": 1}, id="full confidence"),
        pytest.param(
            {"images": '["a", "b", "c", "d"]', "user_selected_index": 3, "ai_selected_index": 3}, id="four images"
        ),
        pytest.param({"ai_crop_coords": "[0.1, 0.1, 0.9, 0.9]", "ai_crop_accepted": 1, "crop_match": 0}, id="AI crop"),
    ],
)
def test_true_row_is_taken(connection: sqlite3.Connection, changes: dict[str, object]) -> None:
    insert_row(connection, **changes)
    (row,) = connection.execute("SELECT * FROM ai_decisions").fetchall()
    assert {name: row[name] for name in changes} == changes


@pytest.mark.parametrize(
    "changes",
    [
        {"user_action": "keep"},
        {"user_action": "Approve"},
        {"user_action": None},
        {"user_selected_index": None},
        {"user_selected_index": -1},
        {"user_selected_index": 2},
        {"user_selected_index": "one"},
        {"user_selected_index": 0.5},
        {"images": '["a", "b", "c", "d", "e"]', "user_selected_index": 4},
        {"ai_selected_index": -1},
        {"ai_selected_index": 2},
        {"ai_selected_index": "one"},
        {"ai_confidence": 87},
        {"ai_confidence": -0.1},
        {"ai_confidence": "high"},
        {"image_width": 0},
        {"image_height": 0},
        {"image_width": None},
        {"image_height": -5},
        {"image_width": "wide"},
        {"image_width": 10.5},
        {"images": '["a"]', "user_selected_index": 0},
        {"images": "[]"},
        {"images": "a.png"},
        {"images": '{"a": 1, "b": 2}'},
        {"images": None},
        {"ai_crop_coords": "0.1,0.1,0.9,0.9"},
        {"ai_crop_coords": "[0.1, 0.1]"},
        {"final_crop_coords": "full"},
        {"final_crop_coords": "{}"},
        {"batch_number": "one"},
        {"ai_crop_accepted": 2},
        {"selection_match": "yes"},
        {"crop_match": -1},
        {"timestamp": None},
        {"project_id": None},
    ],
    ids=str,
)
def test_untrue_row_is_refused(connection: sqlite3.Connection, changes: dict[str, object]) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert_row(connection, **changes)


def test_one_group_has_one_decision(connection: sqlite3.Connection) -> None:
    insert_row(connection)
    with pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        insert_row(connection, user_selected_index=0)


# ------------------------------------------------------------------------------------------------ the connection


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)]
)
def test_connection_has_its_pragmas(connection: sqlite3.Connection, pragma: str, value: object) -> None:
    assert connection.execute(f"PRAGMA {pragma}").fetchone()[0] == value


def test_checks_are_on_again_after_a_migration(database: Path) -> None:
    make_earlier(database)
    connection = connect(database)
    with pytest.raises(sqlite3.IntegrityError):
        insert_row(connection, image_width=0)
    assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
    connection.close()


def test_transaction_takes_all_or_nothing(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError), transaction(connection):
        insert_row(connection, group_id="a")
        insert_row(connection, group_id="b", image_width=0)
    assert rows_of(connection, "SELECT group_id FROM ai_decisions") == []
    assert not connection.in_transaction


def test_transaction_is_rolled_back_by_any_exception(connection: sqlite3.Connection) -> None:
    with pytest.raises(KeyboardInterrupt), transaction(connection):
        insert_row(connection)
        raise KeyboardInterrupt
    assert rows_of(connection, "SELECT group_id FROM ai_decisions") == []


def test_second_writer_is_refused_in_one_line_at_the_start(connection: sqlite3.Connection, database: Path) -> None:
    second = connect(database)
    second.execute("PRAGMA busy_timeout = 0")
    with transaction(connection):
        insert_row(connection)
        with pytest.raises(StoreError, match=r"locked.*try again") as refused, transaction(second):
            raise AssertionError("the second writer was let in")
    assert str(database) in refused.value.line
    assert len(rows_of(second, "SELECT group_id FROM ai_decisions")) == 1
    second.close()


def test_reader_sees_one_state_while_another_writes(connection: sqlite3.Connection, database: Path) -> None:
    with open_read_only(database) as reader, transaction(reader, writing=False):
        assert rows_of(reader, "SELECT group_id FROM ai_decisions") == []
        insert_row(connection)
        assert rows_of(reader, "SELECT group_id FROM ai_decisions") == []


def test_committed_row_survives_a_process_that_dies(database: Path) -> None:
    script = (
        "import os, sys; from pathlib import Path; from pickroom.store.connect import create, transaction\n"
        "c = create(Path(sys.argv[1]))\n"
        "with transaction(c):\n"
        "    c.execute(\"INSERT INTO review_cursor VALUES (1, 'kept')\")\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute(\"UPDATE review_cursor SET group_id = 'lost'\")\n"
        "os._exit(9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(database)], check=False).returncode == 9
    with open_read_only(database) as connection:
        assert rows_of(connection, "SELECT group_id FROM review_cursor") == [("kept",)]


@pytest.mark.parametrize("name", ["a b.db", "what?.db", "50%41.db", "a#b.db", "ä.db", "file:x.db"])
def test_odd_file_names_are_opened_for_writing_and_reading(tmp_path: Path, name: str) -> None:
    connection = create(tmp_path / name)
    insert_row(connection)
    connection.close()
    with open_read_only(tmp_path / name) as reader:
        assert rows_of(reader, "SELECT group_id FROM ai_decisions") == [("g",)]
    assert {path.name for path in tmp_path.iterdir() if path.suffix == ".db"} == {name}


def test_read_only_connection_cannot_write(connection: sqlite3.Connection, database: Path) -> None:
    with pytest.raises(StoreError, match="readonly"), open_read_only(database) as reader:
        insert_row(reader)
    assert rows_of(connection, "SELECT group_id FROM ai_decisions") == []


def test_creating_makes_the_database_and_its_folders(tmp_path: Path) -> None:
    create(tmp_path / "a" / "b" / "p.db").close()
    assert (tmp_path / "a" / "b" / "p.db").is_file()


def test_reading_makes_no_database(database: Path) -> None:
    with pytest.raises(StoreError, match="the database does not exist"), open_read_only(database):
        raise AssertionError("it was opened")
    assert not database.exists()


# ------------------------------------------------------------------------------------------------ migrations


def test_schema_version_counts_the_migrations(connection: sqlite3.Connection) -> None:
    assert connection.execute("PRAGMA user_version").fetchone()[0] == len(migrations())


def test_every_migration_starts_with_why() -> None:
    assert all(text.startswith("-- ") and len(text.splitlines()[0]) > 30 for text in migrations())


def test_opening_again_changes_nothing_and_makes_no_backup(database: Path) -> None:
    create(database).close()
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    connect(database).close()
    with open_read_only(database):
        pass
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before
    assert not (database.parent / "backups").exists()


@pytest.mark.parametrize("version", range(1, len(migrations())))
def test_database_of_any_earlier_version_is_brought_up_to_date(database: Path, version: int) -> None:
    old = sqlite3.connect(database)
    for script in migrations()[:version]:
        old.executescript(script)
    insert_row(old)
    old.execute(f"PRAGMA user_version = {version}")
    old.commit()
    old.close()

    connection = connect(database)
    fresh = create(database.with_name("fresh.db"))
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    assert rows_of(connection, schema) == rows_of(fresh, schema)
    assert rows_of(connection, "SELECT group_id, images FROM ai_decisions") == [("g", '["a.png", "b.png"]')]
    connection.close()
    fresh.close()
    assert len(copies.newest(database)) == 1


def open_by_writing(path: Path) -> None:
    connect(path).close()


def open_by_reading(path: Path) -> None:
    with open_read_only(path):
        pass


@pytest.mark.parametrize("open_it", [open_by_writing, open_by_reading])
def test_earlier_schema_keeps_every_row_as_it_stands(database: Path, open_it: Callable[[Path], None]) -> None:
    make_earlier(database)
    open_it(database)
    connection = connect(database)
    names = [name for name, *_ in AI_DECISIONS if name != "ai_crop_accepted"]
    assert rows_of(connection, f"SELECT {', '.join(names)} FROM ai_decisions ORDER BY rowid") == EARLIER_ROWS
    assert rows_of(connection, "SELECT DISTINCT ai_crop_accepted FROM ai_decisions") == [(None,)]
    connection.close()


def test_earlier_schema_becomes_todays_to_the_letter(database: Path) -> None:
    make_earlier(database)
    connection, fresh = connect(database), create(database.with_name("fresh.db"))
    schema = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
    assert rows_of(connection, schema) == rows_of(fresh, schema)
    connection.close()
    fresh.close()


def test_earlier_schema_is_copied_before_it_is_touched(database: Path) -> None:
    make_earlier(database)
    connect(database).close()
    (copy,) = copies.newest(database)
    old = sqlite3.connect(copy)
    assert rows_of(old, "SELECT * FROM ai_decisions ORDER BY rowid") == EARLIER_ROWS
    assert old.execute("PRAGMA user_version").fetchone()[0] == 0
    assert "ai_crop_accepted" not in [row[1] for row in old.execute("PRAGMA table_info(ai_decisions)")]
    old.close()


def test_earlier_column_that_we_do_not_know_is_kept_aside(database: Path) -> None:
    make_earlier(database, more=", mood TEXT", values=("good",))
    connection = connect(database)
    assert len(rows_of(connection, "SELECT * FROM ai_decisions")) == len(EARLIER_ROWS)
    assert rows_of(connection, "SELECT DISTINCT mood FROM ai_decisions_earlier") == [("good",)]
    connection.close()


def test_unversioned_database_with_newer_column_keeps_values(database: Path) -> None:
    make_earlier(database, more=", ai_crop_accepted BOOLEAN", values=(1,))
    connection = connect(database)
    assert rows_of(connection, "SELECT DISTINCT ai_crop_accepted FROM ai_decisions") == [(1,)]
    connection.close()


def test_migration_that_fails_leaves_the_database_as_it_was(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_earlier(database)
    real = migrations()
    monkeypatch.setattr(module, "migrations", lambda: [*real, "-- Wrong.\nCREATE TABLE x (y INTEGER);\nNONSENSE;\n"])
    with pytest.raises(StoreError, match="NONSENSE"):
        connect(database)
    old = sqlite3.connect(database)
    assert old.execute("PRAGMA user_version").fetchone()[0] == 0
    assert rows_of(old, "SELECT * FROM ai_decisions ORDER BY rowid") == EARLIER_ROWS
    assert rows_of(old, "SELECT name FROM sqlite_master WHERE name IN ('x', 'groups', 'ai_decisions_earlier')") == []
    old.close()


def test_newer_schema_is_refused_and_left_alone(database: Path) -> None:
    connection = create(database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    before = hashlib.sha256(database.read_bytes()).hexdigest()
    with pytest.raises(StoreError, match=r"schema 999.*update pickroom"):
        connect(database)
    assert hashlib.sha256(database.read_bytes()).hexdigest() == before


def test_newer_schema_is_refused_for_reading_too(database: Path) -> None:
    connection = create(database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(StoreError, match=r"schema 999.*update pickroom"), open_read_only(database):
        raise AssertionError("it was opened")


# ------------------------------------------------------------------------------------------------ what is none


@pytest.mark.parametrize("open_it", [open_by_writing, open_by_reading])
def test_file_that_is_no_database_is_refused_and_left_alone(database: Path, open_it: Callable[[Path], None]) -> None:
    database.write_text("these are my notes, and no database at all\n" * 100)
    before = database.read_bytes()
    with pytest.raises(StoreError, match=r"not a database.*restore it from a backup") as caught:
        open_it(database)
    assert str(database) in caught.value.line
    assert database.read_bytes() == before


def test_folder_in_the_databases_place_is_one_line(database: Path) -> None:
    database.mkdir()
    with pytest.raises(StoreError, match="unable to open"):
        create(database)


def test_file_in_the_folders_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    with pytest.raises(StoreError, match="data"):
        create(tmp_path / "data" / "p.db")


def test_damaged_pages_are_one_line(connection: sqlite3.Connection, database: Path) -> None:
    connection.executemany(
        "INSERT INTO images (directory, filename, file_size, mtime_ns) VALUES ('', ?, 1, 1)",
        [(f"{n:05d}.png" * 5,) for n in range(2000)],
    )
    connection.close()
    data = bytearray(database.read_bytes())
    data[8192:] = b"\xa5" * (len(data) - 8192)
    database.write_bytes(data)
    with pytest.raises(StoreError, match=r"malformed.*restore"), open_read_only(database) as reader:
        reader.execute("SELECT count(*) FROM images WHERE filename > 'a'").fetchone()


# ------------------------------------------------------------------------------------------------ backups


def test_backup_holds_what_was_committed_and_no_more(connection: sqlite3.Connection, tmp_path: Path) -> None:
    insert_row(connection, group_id="committed")
    second = connect(tmp_path / "p.db")
    with transaction(second):
        insert_row(second, group_id="under way")
        backup(connection, tmp_path / "copy.db")
    second.close()
    copy = connect(tmp_path / "copy.db")
    assert rows_of(copy, "SELECT group_id FROM ai_decisions") == [("committed",)]
    assert copy.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    copy.close()


def test_backup_never_replaces_a_file(connection: sqlite3.Connection, tmp_path: Path) -> None:
    (tmp_path / "copy.db").write_text("mine")
    with pytest.raises(StoreError, match="exists already"):
        backup(connection, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").read_text() == "mine"


def test_values_are_found_by_json_functions(connection: sqlite3.Connection) -> None:
    insert_row(connection, images=json.dumps(["ä.png", 'b"c.png'], ensure_ascii=False))
    found = rows_of(connection, "SELECT json_extract(images, '$[0]'), json_extract(images, '$[1]') FROM ai_decisions")
    assert found == [("ä.png", 'b"c.png')]
