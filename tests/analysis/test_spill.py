"""What a query cannot keep in memory goes to a private folder of the workspace, and away again."""

from __future__ import annotations

import os
import signal
import stat
from pathlib import Path

import pytest

from pickroom.analysis.connection import connect
from pickroom.analysis.server import Session
from pickroom.analysis.tables import open_engine
from pickroom.store.workspace import Workspace
from support.reviewing import exit_code_of

# more than the memory that it is given, held until its end
HEAVY = "CREATE TABLE heavy AS SELECT range AS i, hash(range) AS h FROM range({}) ORDER BY h"


def spills(workspace: Workspace) -> list[Path]:
    return list((workspace.processed_log.parent / "analysis").glob(".duckdb-*"))


@pytest.fixture
def found(workspace: Workspace) -> Workspace:
    (workspace.root / "data").mkdir(parents=True)
    return workspace


def test_heavy_query_spills_into_the_workspace_and_no_further(
    found: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    with connect(found) as analysis:
        (folder,) = spills(found)
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        analysis.execute("SET memory_limit = '32MB'; SET threads = 1")
        analysis.execute(HEAVY.format(2_500_000))
        assert [path.name for path in folder.iterdir() if "duckdb_temp" in path.name]
        assert os.listdir(here) == []
    assert spills(found) == []


def test_spilled_data_takes_half_of_the_free_disk_at_most(found: Workspace) -> None:
    with connect(found) as analysis:
        limit = analysis.execute("SELECT current_setting('max_temp_directory_size')").fetchone()
    assert limit is not None and "%" not in limit[0]


def test_spilled_data_of_a_killed_process_goes_with_the_next(found: Workspace) -> None:
    def die() -> None:
        session = Session(found)
        session.run("SET memory_limit = '32MB'; SET threads = 1")
        session.run(HEAVY.format(2_500_000))
        os.kill(os.getpid(), signal.SIGKILL)

    assert exit_code_of(die) == -signal.SIGKILL
    (left,) = spills(found)
    with connect(found):
        assert not left.exists()
    assert spills(found) == []


def test_engine_without_a_folder_spills_nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    engine = open_engine(memory_limit="24MB", threads=1)
    with pytest.raises(Exception, match="no temporary directory"):
        engine.execute(HEAVY.format(2_500_000))
    engine.close()
    assert os.listdir(tmp_path) == []
