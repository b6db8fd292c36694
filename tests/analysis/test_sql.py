"""`pickroom sql`: a person's statement runs where it can only read the views, whatever it says."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import duckdb
import pytest

from conftest import read_tree
from pickroom.analysis import connection, safe_sql, server
from pickroom.analysis.server import Sealed, limit_process
from pickroom.core.errors import StoreError, UsageError
from pickroom.store.workspace import Project, Workspace
from support.analysing import change
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
def sealed(reviewed: Project, workspace: Workspace) -> Iterator[Sealed]:
    with closing(Sealed(workspace, "200MB")) as opened:
        yield opened


@pytest.mark.parametrize("raw", [False, True], ids=["as a query", "as it is"])
def test_statement_that_does_more_than_read_does_nothing(
    reviewed: Project, workspace: Workspace, tmp_path: Path, raw: bool
) -> None:
    """As a query of `pickroom sql`, and past its check of the statement, with DuckDB's own locks alone."""
    secret, folder = tmp_path / "secret.csv", tmp_path / "open"
    secret.write_text("a,b\nhush,1\n")
    folder.mkdir()
    with closing(Sealed(workspace, "200MB")):  # SQLite makes what it needs next to the database
        pass
    before = read_tree(tmp_path)
    told, let_through = [], set()
    with ExitStack() as opened:
        sealed = opened.enter_context(closing(Sealed(workspace, "200MB")))
        for text in ONE_A_LINE:
            # DuckDB's locks do not hold the SQLite extension: the check of the statement does
            if raw and "sqlite" in text:
                continue
            ran = False
            for file in (secret, reviewed.database):
                filled = text.format(file=file, folder=folder)
                try:
                    told.append(str((sealed.engine.execute(filled) if raw else sealed.execute(filled)).fetchall()))
                    let_through.add(text)
                except (duckdb.Error, UsageError) as error:
                    told.append(str(error))
                    ran |= isinstance(error, duckdb.Error)
            if ran or text in let_through:  # it may have changed what the next one finds; one refused unread has not
                opened.close()
                sealed = opened.enter_context(closing(Sealed(workspace, "200MB")))
    assert read_tree(tmp_path) == before
    assert "hush" not in "".join(told)
    assert sum("disabled" in text or "locked" in text for text in told) > 40
    assert raw or let_through <= HARMLESS


HIDDEN = """
SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
SELECT * FROM system.main.SQLITE_SCAN('{file}', 'ai_decisions')
SELECT * FROM "sqlite_scan"('{file}', 'ai_decisions')
SELECT * FROM sqlite_attach('{file}')
SELECT * FROM sqlite_query('file_0', 'SELECT 1')
SELECT (SELECT count(*) FROM sqlite_scan('{file}', 'ai_decisions'))
WITH a AS (FROM sqlite_scan('{file}', 'ai_decisions')) SELECT 1 WHERE EXISTS (FROM a)
SELECT * FROM range(3) AS r(i), LATERAL (FROM sqlite_scan('{file}', 'ai_decisions'))
SELECT 1 UNION ALL SELECT count(*) FROM sqlite_scan('{file}', 'ai_decisions')
DESCRIBE SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
SUMMARIZE FROM sqlite_scan('{file}', 'ai_decisions')
EXPLAIN ANALYZE SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
EXPLAIN /* a */ ANALYZE -- b
 SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
EXPLAIN (ANALYZE, FORMAT json) SELECT * FROM sqlite_scan('{file}', 'ai_decisions')
EXPLAIN (FORMAT json) (SELECT * FROM sqlite_scan('{file}', 'ai_decisions'))
EXPLAIN ANALYZE CREATE TABLE t AS FROM sqlite_scan('{file}', 'ai_decisions')
EXPLAIN ANALYZE WITH a AS (FROM sqlite_scan('{file}', 'ai_decisions')) INSERT INTO models SELECT 1
SELECT * FROM query('FROM sqlite_scan(''{file}'', ''ai_decisions'')')
PIVOT (FROM sqlite_scan('{file}', 'ai_decisions')) ON user_action IN ('crop') USING count(*)
"""


def test_no_way_leads_to_the_functions_of_the_sqlite_extension(
    sealed: Sealed, reviewed: Project, tmp_path: Path
) -> None:
    elsewhere = shutil.copy(reviewed.database, tmp_path / "elsewhere.db")
    for text in re.split(r"\n(?=\S)", HIDDEN.strip()):
        with pytest.raises((UsageError, duckdb.ParserException)):
            sealed.execute(text.format(file=elsewhere))


@pytest.mark.parametrize("text", READING)
def test_statement_that_reads_is_let_through(sealed: Sealed, text: str) -> None:
    sealed.execute(text).fetchall()


@pytest.mark.parametrize(
    "text", ["", " ", ";", "-- nothing", "SELEC 1", "SELECT '", "SELECT \x00", "\\", "EXPLAIN", "🙂", "\udc80"]
)
def test_what_is_no_statement_is_one_clear_line(workspace: Workspace, inside: None, text: str) -> None:
    with pytest.raises(UsageError) as refused:
        safe_sql.run(workspace, text)
    assert "\n" not in refused.value.line


def test_the_kernel_refuses_the_sealed_process_every_write(tmp_path: Path) -> None:
    def write() -> str:
        limit_process()
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

    class Inside:
        def ask(self, request: dict[str, Any], *, rows: bool) -> tuple[dict[str, Any], connection.Rows | None]:
            assert rows
            with monkeypatch.context() as patched:
                patched.setattr(server, "limit_process", lambda: None)  # it would hold for the tests that follow
                answer, table = server.respond(request, {})
            if "refused" in answer:
                what, doing, hint = answer["refused"]
                raise UsageError(what, doing=doing, hint=hint)
            return json.loads(json.dumps(answer)), None if table is None else connection.Rows(table)

        def end(self) -> None: ...

        stop = end

    monkeypatch.setattr(safe_sql, "Helper", Inside)


def test_result_is_what_the_database_holds(storage: str, reviewed: Project, workspace: Workspace, inside: None) -> None:
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


# SQL -> as JSON has it. The first of each kind is ordinary, the others are at the end of what the type can say
TYPES = {
    "'2025-01-01T10:00:00Z'::TIMESTAMPTZ": "2025-01-01T10:00:00Z",
    "'2025-01-01 10:00:00+02'::TIMESTAMPTZ": "2025-01-01T08:00:00Z",
    "'infinity'::TIMESTAMPTZ": "infinity",
    "'9999-12-31 23:59:59.999999+00'::TIMESTAMPTZ": "9999-12-31T23:59:59.999999Z",
    "TIMESTAMP '0044-03-15 (BC) 10:00:00.5'": "-0043-03-15T10:00:00.500000Z",
    "TIMESTAMP '12025-06-07'": "+12025-06-07T00:00:00Z",
    "'-infinity'::TIMESTAMP_NS": "-infinity",
    "TIMESTAMP_NS '2025-01-01 10:00:00.123456789'": "2025-01-01T10:00:00.123456789Z",
    "DATE '0001-01-01'": "0001-01-01",
    "DATE '0001-12-31 (BC)'": "0000-12-31",
    "'-infinity'::DATE": "-infinity",
    "DATE '290000-02-29'": "+290000-02-29",
    "TIME '10:11:12.5'": "10:11:12.500000",
    "TIME '24:00:00'": "24:00:00",
    "'10:11:12+02'::TIMETZ": "10:11:12+02",
    "INTERVAL '7 days 3 hours'": "7 days, 3:00:00",
    "INTERVAL '1 year 2 months 3 days'": "14 months, 3 days, 0:00:00",
    "170141183460469231731687303715884105727::HUGEINT": 2**127 - 1,
    "340282366920938463463374607431768211455::UHUGEINT": str(2**128 - 1),
    "'12345678901234567890123456789012345678901234567890'::BIGNUM": "1234567890" * 5,
    "1.25::DECIMAL(18, 2)": 1.25,
    "'a8b57b1a-9d3e-4ef0-8b0c-1a2b3c4d5e6f'::UUID": "a8b57b1a-9d3e-4ef0-8b0c-1a2b3c4d5e6f",
    "'\\xAA\\x00'::BLOB": "aa00",
    "'10101'::BIT": "10101",
    "'b'::ENUM('a', 'b')": "b",
    "['101'::BIT]": "[101]",
    "[DATE '0044-03-15 (BC)', NULL]": ["-0043-03-15", None],
    "[2::HUGEINT]": [2],
    "{'a': 1, 'b': [INTERVAL 1 DAY]}": {"a": 1, "b": ["1 day, 0:00:00"]},
    "ROW(1, 'x')": [1, "x"],
    "MAP {DATE '2025-01-01': NULL}": {"2025-01-01": None},
    "MAP {[1, 2]: 3}": [[[1, 2], 3]],
    "union_value(number := 2)": 2,
    "'7'::VARIANT": "7",
    "[1, 2]::FLOAT[2]": [1.0, 2.0],
    "NULL::TIMESTAMPTZ": None,
    "'inf'::DOUBLE": None,
}


def test_a_value_of_every_type_is_json(workspace: Workspace, inside: None) -> None:
    result = safe_sql.run(workspace, f"SELECT {', '.join(TYPES)};  -- all of them")
    assert dict(zip(TYPES, json.loads(json.dumps(result.to_dict(), allow_nan=False))["rows"][0], strict=True)) == TYPES


def test_a_moment_of_a_cameras_clock_has_no_zone(workspace: Workspace, inside: None) -> None:
    moment = "'2025-01-01T10:00:00'::TIMESTAMP"
    (row,) = safe_sql.run(workspace, f"SELECT {moment} AS captured_at, {moment} AS made_at, NULL AS taken_at").rows
    assert row == ("2025-01-01T10:00:00", "2025-01-01T10:00:00Z", None)


def test_a_value_of_every_type_is_in_a_data_frame(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pytz", None)  # DuckDB's own data frames need it
    with connection.connect(workspace) as analysis:
        rows = analysis.execute(f"SELECT {', '.join(f'{sql} AS c{n}' for n, sql in enumerate(TYPES))}, ? AS last", [7])
        frame = rows.df()
        assert frame.shape == (1, len(TYPES) + 1) and len(str(frame.to_dict())) > 500
        cells = dict(zip(TYPES, frame.iloc[0], strict=False))
        assert cells["'infinity'::TIMESTAMPTZ"] == "infinity"
        assert cells["'2025-01-01T10:00:00Z'::TIMESTAMPTZ"].isoformat() == "2025-01-01T10:00:00+00:00"
        assert cells["DATE '290000-02-29'"] == "+290000-02-29"
        assert cells["MAP {[1, 2]: 3}"] == [[[1, 2], 3]]
        assert cells["'10101'::BIT"] == "10101"
        assert rows.fetchone()[-1] == 7


def test_columns_of_one_name_stay_apart_as_text(workspace: Workspace, inside: None) -> None:
    result = safe_sql.run(workspace, "WITH t AS (SELECT 'é') SELECT '1'::BIT AS a, * FROM t ORDER BY 2; -- b;")
    assert (result.columns, result.rows) == (("a", "'é'"), (("1", "é"),))
    result = safe_sql.run(workspace, "SELECT '1'::BIT AS a, 2 AS a")
    assert (result.columns, result.rows) == (("a", "a"), (("1", 2),))


def test_the_statement_runs_in_a_process_of_its_own(
    reviewed: Project, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []

    class Watched(subprocess.Popen):
        def __init__(self, command: tuple[str, ...], **options: Any) -> None:
            started.append((self, command))
            super().__init__(command, **options)

    monkeypatch.setattr(connection.subprocess, "Popen", Watched)
    for _ in range(2):  # a sealed process serves one statement
        assert safe_sql.run(workspace, "SELECT count(*) FROM decisions").rows == ((5,),)
    assert [command for _, command in started] == [(sys.executable, "-m", "pickroom.analysis.server")] * 2
    assert all(process.returncode is not None for process, _ in started)


def test_value_that_duckdb_cannot_read_is_read_another_way(
    storage: str, reviewed: Project, workspace: Workspace
) -> None:
    change(reviewed, "UPDATE decision_context SET versions = CAST(X'7bff7d' AS TEXT) WHERE outcome = 'crop'")
    result = safe_sql.run(workspace, "SELECT count(*), count(versions) FROM decisions")
    assert result.rows == ((5, 4),)


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
    helper = connection.Helper()
    helper.stop()
    with pytest.raises(StoreError, match="the query's process died"):
        helper.ask({"do": "sealed"}, rows=True)


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
    code, out, _ = command("sql", "SELECT range(1280)::FLOAT[1280] AS vector, [0.1, 0.9] AS box, {'v': range(17)} AS s")
    _, _, row, said = out.splitlines()
    assert row.split("  ") == ["[1,280 values]", "[0.1, 0.9]", '{"v": "[17 values]"}'] and "--json has them" in said
    assert len(json.loads(command("sql", "SELECT range(1280) AS vector", "--json")[1])["rows"][0][0]) == 1280
    code, out, err = command("sql", "COPY decisions TO 'x.csv'")
    assert (code, out) == (2, "") and err.startswith("pickroom: it is a COPY statement while reading a query")
    assert not os.path.exists("x.csv")
