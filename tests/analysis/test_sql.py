"""`pickroom sql`: a person's statement runs where it can only read the views, whatever it says."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest

from conftest import read_tree
from pickroom.analysis import safe_sql, sealed
from pickroom.analysis.connection import connect
from pickroom.core.errors import StoreError, UsageError
from pickroom.store.workspace import Project, Workspace
from support.reviewing import in_child, rows

# {file} is a file that is really there, {folder} a folder that may be written to
NOT_READING = """
ATTACH '{file}' (TYPE sqlite)
ATTACH '{folder}/new.db'
ATTACH ':memory:' AS other
DETACH memory
COPY decisions TO '{folder}/out.csv'
COPY (SELECT 1) TO '{folder}/out.parquet' (FORMAT parquet)
EXPLAIN ANALYZE COPY decisions TO '{folder}/out.csv'
EXPLAIN (ANALYZE, FORMAT json) COPY decisions TO '{folder}/out.csv'
EXPLAIN /* a */ ANALYZE -- b
 COPY decisions TO '{folder}/out.csv'
EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1
EXPORT DATABASE '{folder}/out'
IMPORT DATABASE '{folder}'
INSTALL sqlite
LOAD sqlite
FORCE INSTALL httpfs
UPDATE EXTENSIONS
PRAGMA database_list
PRAGMA enable_external_access=true
PRAGMA table_info('decisions')
SET enable_external_access = true
RESET lock_configuration
SET VARIABLE x = 1
CALL pragma_version()
CHECKPOINT
VACUUM
USE memory
BEGIN
PREPARE v AS SELECT 1
EXECUTE v
CREATE TABLE t AS SELECT 1
CREATE OR REPLACE VIEW decisions AS SELECT 1
CREATE MACRO m() AS 1
CREATE SECRET s (TYPE http)
INSERT INTO projects VALUES (1)
UPDATE models SET name = 'x'
DELETE FROM models
DROP VIEW decisions
ALTER TABLE models ADD COLUMN x INTEGER
TRUNCATE models
COMMENT ON TABLE models IS 'x'
MERGE INTO models USING models AS m ON true WHEN MATCHED THEN DELETE
SELECT 1; SELECT 2
SELECT 1; DROP VIEW decisions
PIVOT decisions ON user_action USING count(*)
SELECT * FROM read_text('{file}')
SELECT * FROM read_blob('{file}')
SELECT * FROM read_csv('{file}')
SELECT * FROM read_csv_auto('{file}')
SELECT * FROM read_json('{file}')
SELECT * FROM read_parquet('{file}')
SELECT * FROM parquet_metadata('{file}')
SELECT * FROM read_duckdb('{file}')
SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
SELECT * FROM glob('{folder}/*')
SELECT * FROM '{file}'
FROM '{file}'
DESCRIBE '{file}'
SUMMARIZE SELECT * FROM read_text('{file}')
WITH a AS (SELECT * FROM read_text('{file}')) SELECT * FROM a
SELECT (SELECT max(content) FROM read_text('{file}'))
SELECT * FROM decisions WHERE group_id IN (SELECT content FROM read_text('{file}'))
SELECT * FROM decisions, LATERAL (SELECT * FROM read_text('{file}'))
(SELECT 1) UNION ALL (SELECT content FROM read_text('{file}'))
SELECT * FROM main.read_text('{file}')
SELECT * FROM "read_text"('{file}')
SELECT * FROM query('SELECT * FROM read_text(''{file}'')')
SELECT * FROM query_table('{file}')
SELECT * FROM duckdb_settings()
SELECT * FROM duckdb_secrets()
SELECT * FROM pragma_database_list()
SELECT * FROM json_execute_serialized_sql('x')
SELECT * FROM force_checkpoint('memory')
"""
ONE_A_LINE = [line for line in NOT_READING.strip().split("\n") if not line.startswith(" ")]
ONE_A_LINE[ONE_A_LINE.index("EXPLAIN /* a */ ANALYZE -- b")] += "\n COPY decisions TO '{folder}/out.csv'"

READING = [
    "SELECT count(*) FROM decisions",
    "-- a comment\nSELECT 1;",
    "/* a /* nested */ comment */ SELECT ';' AS text;",
    "WITH a AS (SELECT * FROM decisions) SELECT * FROM a",
    "FROM decisions",
    "TABLE decisions",
    "VALUES (1), (2)",
    "(SELECT 1) UNION (SELECT 2)",
    "DESCRIBE decisions",
    "SUMMARIZE decisions",
    "SHOW TABLES",
    "EXPLAIN SELECT 1",
    "EXPLAIN (SELECT 1)",
    "EXPLAIN ANALYZE SELECT count(*) FROM decisions",
    "EXPLAIN (FORMAT json) SELECT 1",
    "SELECT * FROM range(3)",
    "SELECT unnest(images) FROM decisions",
    "SELECT * FROM main.decisions",
    "SELECT column_name FROM information_schema.columns",
    "SELECT * FROM duckdb_views()",
]


# statements of NOT_READING that only say what DuckDB itself is set to, or change what ends with the process
HARMLESS = {
    "EXPLAIN ANALYZE CREATE TABLE t AS SELECT 1",
    "PRAGMA database_list",
    "PRAGMA table_info('decisions')",
    "PIVOT decisions ON user_action USING count(*)",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_list()",
}


@pytest.fixture
def engine(reviewed: Project, workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with connect(workspace) as analysis, sealed.open_sealed(analysis.catalogue, "200MB") as opened:
        yield opened


@pytest.mark.parametrize("raw", [False, True], ids=["as a query", "as it is"])
def test_statement_that_does_more_than_read_does_nothing(
    reviewed: Project, workspace: Workspace, tmp_path: Path, raw: bool
) -> None:
    """As a query of `pickroom sql`, and past its check of the statement, with DuckDB's own locks alone."""
    secret, folder = tmp_path / "secret.csv", tmp_path / "open"
    secret.write_text("a,b\nhush,1\n")
    folder.mkdir()
    with connect(workspace) as analysis:
        catalogue = analysis.catalogue
    before = read_tree(tmp_path)
    told, let_through = [], set()
    for text in ONE_A_LINE:
        with sealed.open_sealed(catalogue, "200MB") as engine:
            for file in (secret, reviewed.database):
                filled = text.format(file=file, folder=folder)
                try:
                    told.append(str((engine.execute(filled) if raw else sealed.execute(engine, filled)).fetchall()))
                    let_through.add(text)
                except (duckdb.Error, UsageError) as error:
                    told.append(str(error))
    assert read_tree(tmp_path) == before
    assert "hush" not in "".join(told)
    assert sum("disabled" in text or "locked" in text for text in told) > 40
    assert raw or let_through <= HARMLESS


@pytest.mark.parametrize("text", READING)
def test_statement_that_reads_is_let_through(engine: duckdb.DuckDBPyConnection, text: str) -> None:
    sealed.execute(engine, text).fetchall()


@pytest.mark.parametrize(
    "text", ["", " ", ";", "-- nothing", "SELEC 1", "SELECT '", "SELECT \x00", "\\", "EXPLAIN", "🙂", "\udc80"]
)
def test_what_is_no_statement_is_one_clear_line(workspace: Workspace, inside: None, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        safe_sql.run(workspace, text)
    assert "\n" not in refused.value.line


def test_the_kernel_refuses_the_sealed_process_every_write(tmp_path: Path) -> None:
    def write() -> str:
        sealed.limit_process()
        try:
            (tmp_path / "out").write_text("x")
        except OSError as error:
            return str(error.strerror)
        return "written"

    assert in_child(write) == "File too large"
    assert (tmp_path / "out").read_bytes() == b""


@pytest.fixture
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sealed process does, done in this one: starting it takes a second or two."""

    def run(command: list[str], *, input: str, **_: object) -> subprocess.CompletedProcess[str]:
        out = io.StringIO()
        with monkeypatch.context() as patched, contextlib.redirect_stdout(out):
            patched.setattr(sys, "stdin", io.StringIO(input))
            patched.setattr(sealed, "limit_process", lambda: None)  # it would hold for the tests that follow
            sealed.main()
        return subprocess.CompletedProcess(command, 0, out.getvalue(), "")

    monkeypatch.setattr(safe_sql.subprocess, "run", run)


def test_result_is_what_the_database_holds(reviewed: Project, workspace: Workspace, inside: None) -> None:
    result = safe_sql.run(
        workspace,
        """SELECT group_id, timestamp, images, ai_crop_coords, selection_match, versions, ai_confidence
        FROM decisions ORDER BY group_id""",
    )
    assert result.columns[:2] == ("group_id", "timestamp")
    plain = rows(reviewed, "SELECT * FROM ai_decisions ORDER BY group_id")
    for ours, theirs in zip(result.rows, plain, strict=True):
        assert ours[0] == theirs["group_id"]
        assert ours[1] == theirs["timestamp"]
        assert ours[2] == json.loads(theirs["images"])
        assert ours[3] == (json.loads(theirs["ai_crop_coords"]) if theirs["ai_crop_coords"] else None)
        assert ours[4] is (None if theirs["selection_match"] is None else bool(theirs["selection_match"]))
        assert ours[6] == theirs["ai_confidence"]
    assert result.rows[2][5] == {"ranker": "v2"}
    # whatever a query gives is JSON
    odd = """SELECT 'nan'::DOUBLE, 1.5, INTERVAL 1 DAY, 'x'::BLOB, DATE '2025-08-03', 2::HUGEINT ** 80,
        {'a': [TIME '06:00']}"""
    assert json.loads(json.dumps(safe_sql.run(workspace, odd).to_dict(), allow_nan=False))["rows"] == [
        [None, 1.5, "1 day, 0:00:00", "78", "2025-08-03", 2.0**80, {"a": ["06:00:00"]}]
    ]


def test_the_statement_runs_in_a_process_of_its_own(
    reviewed: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    real = subprocess.run

    def watched(command: list[str], **options: object) -> object:
        started.append(command)
        return real(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(safe_sql.subprocess, "run", watched)
    assert safe_sql.run(workspace, "SELECT count(*) FROM decisions").rows == ((5,),)
    assert started == [[sys.executable, "-m", "pickroom.analysis.sealed"]]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("SELECT * FROM decision", "Table with name decision does not exist"),
        ("SELECT nothing FROM decisions", "nothing"),
        ("SELECT * FROM range(10000)", "more than 1,000 rows"),
        ("SELECT a.i FROM range(20000000) AS a(i) ORDER BY hash(a.i)", "Out of Memory"),
        ("DROP VIEW decisions", "it is a DROP statement"),
    ],
)
def test_what_cannot_be_answered_is_one_clear_line(
    workspace: Workspace, inside: None, monkeypatch: pytest.MonkeyPatch, text: str, reason: str
) -> None:
    monkeypatch.setattr(safe_sql, "_MEMORY", "50MB")
    monkeypatch.setattr(safe_sql, "MOST_ROWS", 1000)
    with pytest.raises(UsageError, match=reason) as refused:
        safe_sql.run(workspace, text)
    assert "\n" not in refused.value.line


def test_a_statement_without_end_is_stopped(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="not done after 3 seconds"):
        safe_sql.run(
            workspace, "SELECT sum(hash(a.i + b.i)) FROM range(1000000) a(i), range(1000000) b(i)", longest_s=3
        )


def test_a_process_that_dies_is_one_clear_line() -> None:
    killed = subprocess.CompletedProcess([], -9, stdout='{"columns": ["a"]}\n', stderr="")
    with pytest.raises(StoreError, match="the query's process died"):
        safe_sql._result(killed, ())


@pytest.fixture
def command(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable:
    """Run `pickroom ...` in this process: (exit code, stdout, stderr)."""
    from pickroom import cli

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(workspace.root)])
        capsys.readouterr()
        try:
            cli.main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
        return code, *capsys.readouterr()

    return run


def test_command_prints_one_json_object(reviewed: Project, command: Callable, inside: None) -> None:
    reviewed.database.with_name("other_legacy.db").write_bytes(b"nonsense")
    code, out, err = command(
        "sql", "SELECT user_action, count(*) AS n FROM decisions GROUP BY ALL ORDER BY ALL", "--json"
    )
    assert code == 1  # a project is left out: the answer is not that of all
    assert json.loads(out) == {"columns": ["user_action", "n"], "rows": [["approve", 3], ["crop", 1], ["reject", 1]]}
    assert "other: left out: file is not a database" in err  # the exception is named, apart from the result
    code, out, _ = command("sql", "SELECT user_action, count(*) AS n FROM decisions GROUP BY ALL ORDER BY ALL")
    assert out.splitlines()[:3] == ["user_action  n", "-----------  -", "approve      3"]
    assert "PROJECTION" in command("sql", "EXPLAIN SELECT 1")[1]
    code, out, err = command("sql", "COPY decisions TO 'x.csv'")
    assert (code, out) == (2, "") and err.startswith("pickroom: it is a COPY statement while reading a query")
    assert not os.path.exists("x.csv")
