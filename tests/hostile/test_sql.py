"""Hostile SQL: whatever `pickroom sql` is given, it writes, attaches and reads nothing but the views; and what is made
of project names is quoted.

`tests/analysis/test_sql.py` tries the list of known ways; here are some through the real process, and statements that
no list has.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from hostile.guard import survive
from pickroom.analysis import safe_sql
from pickroom.analysis.queries import identifier, quoted
from pickroom.analysis.server import Sealed
from pickroom.analysis.tables import open_engine
from pickroom.core.errors import PickroomError
from pickroom.core.naming import is_project_id
from pickroom.store.workspace import Project, Workspace

# one for each kind of way: through the real process, so that nothing of it can be switched off by a mistake in a test
THROUGH = """
ATTACH '{database}' AS x (TYPE sqlite)
COPY (SELECT 42) TO '{folder}/out.csv'
INSTALL httpfs
LOAD sqlite_scanner
PRAGMA database_list
SET enable_external_access = true
SELECT * FROM read_text('{secret}')
SELECT * FROM read_csv('{secret}')
SELECT * FROM read_blob('{secret}')
SELECT * FROM glob('{folder}/*')
SELECT * FROM sqlite_scan('{database}', 'ai_decisions')
SELECT sqlite_attach('{database}')
SELECT getenv('PICKROOM_SECRET')
SELECT 1; SELECT 2
SELECT 1 /* */; COPY (SELECT 1) TO '{folder}/out.csv' --
WITH a AS (INSERT INTO projects VALUES (1) RETURNING 1) SELECT * FROM a
WITH a AS MATERIALIZED (SELECT content FROM read_text('{secret}')) SELECT * FROM a
SELECT * FROM '{secret}'
SELECT current_setting('allowed_paths'), * FROM read_text('{secret}')
""".strip().split("\n")
WORDS = (
    *(
        "SELECT",
        "FROM",
        "WITH",
        "AS",
        "(",
        ")",
        ",",
        "*",
        "decisions",
        "images",
        "1",
        "''",
        "'{secret}'",
        ";",
        "--",
        "/*",
    ),
    *(
        "*/",
        "EXPLAIN",
        "ANALYZE",
        "COPY",
        "TO",
        "ATTACH",
        "read_text",
        "read_csv",
        "glob",
        "'{folder}/*'",
        "UNION",
        "ALL",
    ),
    *(
        "PRAGMA",
        "SET",
        "x",
        "=",
        "JOIN",
        "LATERAL",
        "VALUES",
        "PIVOT",
        "ON",
        "query",
        "query_table",
        "DESCRIBE",
        "TABLE",
    ),
    *(
        "\0",
        "\n",
        "$1",
        "?",
        "$$",
        "INTO",
        "INSERT",
        "getenv",
        "main",
        ".",
        '"',
        "[",
        "]",
        "{{",
        "}}",
        "::",
        "BLOB",
        "é",
    ),
)


@pytest.fixture
def ground(make_project: Callable[..., Project], tmp_path: Path) -> dict[str, str]:
    project = make_project([(1, 2)])
    secret, folder = tmp_path / "secret.csv", tmp_path / "open"
    secret.write_text("hush,1\n")
    folder.mkdir()
    return {"secret": str(secret), "folder": str(folder), "database": str(project.database)}


def test_the_real_process_reads_writes_and_attaches_nothing(
    ground: dict[str, str], workspace: Workspace, tmp_path: Path
) -> None:
    """Without the check of the statement, but for the functions of the SQLite extension, which nothing else stops."""
    safe_sql.run(workspace, "SELECT 1")  # SQLite makes what it needs next to the database
    before = read_tree(tmp_path)
    # one process for them all; a statement that is let through says what it gave
    program = (
        "import json, sys\n"
        "from pathlib import Path\n"
        "from pickroom.analysis.server import Sealed, limit_process\n"
        "from pickroom.store.workspace import Workspace\n"
        "request = json.load(sys.stdin)\n"
        "sealed = Sealed(Workspace(Path(request['home'])), '200MB')\n"
        "limit_process()\n"
        "for text in request['texts']:\n"
        "    run = sealed.execute if 'sqlite_' in text else sealed.engine.execute\n"
        "    try: print(json.dumps([text, str(run(text).fetchall())]))\n"
        "    except Exception as error: print(json.dumps([text, None, str(error)]))\n"
    )
    texts = [text.format(**ground) for text in THROUGH]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps({"home": str(workspace.root), "texts": texts}),
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PICKROOM_SECRET": "whisper"},
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(told) == len(texts), done.stderr
    assert read_tree(tmp_path) == before
    for text, *gave in told:
        assert "hush" not in str(gave) and "whisper" not in str(gave), text


def test_statements_of_chance_are_refused_or_only_read(
    ground: dict[str, str], workspace: Workspace, tmp_path: Path
) -> None:
    safe_sql.run(workspace, "SELECT 1")  # SQLite makes what it needs next to the database
    before = read_tree(tmp_path)

    def case(rng: random.Random) -> str:
        words = [rng.choice(WORDS) for _ in range(rng.randint(1, 14))]
        text = " ".join([rng.choice(("SELECT", "WITH a AS (", "FROM", "EXPLAIN", "(")), *words]).format(**ground)
        try:
            gave = str(sealed.execute(text).fetchmany(100))
        except PickroomError as error:
            assert "\n" not in error.line and error.line.isprintable()
            return "refused"
        except Exception as error:  # noqa: BLE001 (DuckDB's own refusal; the process says its first line)
            gave = str(error)
            assert "INTERNAL" not in gave
        assert "hush" not in gave
        return "read"

    with closing(Sealed(workspace, "200MB")) as sealed:
        survive("sql/chance", 300, case)
    assert read_tree(tmp_path) == before


ENDLESS = {
    "cross join": "SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE hash(a.range + b.range) < 0",
    "texts": "SELECT repeat('x', 1000000000) FROM range(100)",
    "recursion": "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "calls": "SELECT " + "abs(" * 5000 + "1" + ")" * 5000,
    "brackets": "SELECT " + "(" * 100_000 + "1" + ")" * 100_000,
}


@pytest.mark.parametrize("name", ENDLESS if "PICKROOM_FUZZ" in os.environ else list(ENDLESS)[:2])
def test_endless_statement_is_stopped_in_time_and_memory(workspace: Workspace, name: str) -> None:
    with pytest.raises(PickroomError) as refused:
        safe_sql.run(workspace, ENDLESS[name], longest_s=3)
    assert "\n" not in refused.value.line


def test_ctrl_c_ends_the_statement_and_its_process(ground: dict[str, str], workspace: Workspace) -> None:
    endless = "SELECT sum(hash(a.i + b.i)) FROM range(100000000) a(i), range(100000000) b(i)"
    command = [sys.executable, "-m", "pickroom.cli", "sql", endless, "--home", str(workspace.root)]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        sealed_pid = _child_of(process.pid)
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode not in (0, None) and "Traceback" not in err
    # interrupted while it starts, the helper ends by itself when it finds nobody at its input
    while _runs(sealed_pid):  # the test's own time limit ends this
        os.sched_yield()


def _child_of(pid: int) -> int:
    """The process that runs the statement, once it is there."""
    if not Path("/proc/self/task").is_dir():
        pytest.skip("children are looked up in /proc")
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    while True:  # the test's own time limit ends this
        for child in listed.read_text().split():
            if b"pickroom.analysis.server" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(
    "name",
    [
        "p'; DROP TABLE x; --",
        'p"',
        "p\n",
        "p\\",
        "ｐ",
        "p.q",
        "p q",
        "../p",
        "p\0",
        "",
        "-p",
        "p" * 65,
        "p_legacy",
        "١",
    ],
)
def test_no_project_name_is_sql_a_path_or_an_option(workspace: Workspace, name: str) -> None:
    assert not is_project_id(name)
    with pytest.raises(PickroomError) as refused:
        workspace.project(name)
    assert "\n" not in refused.value.line and refused.value.line.isprintable()


@pytest.mark.parametrize("text", ["it's", '"', "\\'", "a''b", "'); DROP TABLE t; --", "é\n"])
def test_what_is_put_into_sql_is_quoted(text: str) -> None:
    with open_engine() as engine:
        assert engine.execute(f"SELECT {quoted(text)}").fetchall() == [(text,)]
        assert engine.execute(f"SELECT 1 AS {identifier(text)}").description[0][0] == text
