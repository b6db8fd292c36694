"""A database where the write-ahead log cannot be used: it opens, keeps what is committed, and takes its log in."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from pickroom.analysis.connection import connect as connect_analysis
from pickroom.core.errors import LockedError
from pickroom.indexing import projects
from pickroom.maintenance.backup import restoring, writing
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect, create, open_read_only, open_unchecked, transaction
from pickroom.store.connections import exclusive_access, shares_memory
from pickroom.store.rows import migrations, number
from pickroom.store.workspace import Project, Workspace
from support.boards import with_results
from support.reviewing import FINALISE, child, decisions, hear, review

INSERT = "INSERT INTO review_cursor VALUES (1, 'g')"
SELECT = "SELECT group_id FROM review_cursor"


def as_a_folder(database: Path) -> None:
    """Where the shared memory would be is a folder: SQLite can read without it, and not write."""
    database.parent.mkdir(parents=True, exist_ok=True)
    database.with_name(f"{database.name}-shm").mkdir()


def as_a_link(database: Path) -> None:
    """Where the shared memory would be is a link to nowhere: SQLite cannot even read."""
    database.parent.mkdir(parents=True, exist_ok=True)
    database.with_name(f"{database.name}-shm").symlink_to(database.parent / "nowhere" / "shm")


@pytest.fixture(params=[as_a_folder, as_a_link])
def without_memory(request: pytest.FixtureRequest) -> Callable[[Path], None]:
    """Makes SQLite fail for a database as it does on a disk that shares no memory."""
    return request.param


def mode_of(database: Path) -> tuple[str, bool]:
    """(the journal mode that is written in a database, whether it has a log)."""
    data = database.read_bytes()[18:20]
    return {b"\x01\x01": "delete", b"\x02\x02": "wal"}[data], database.with_name(f"{database.name}-wal").exists()


def test_a_new_database_has_a_rollback_journal(tmp_path: Path, without_memory: Callable[[Path], None]) -> None:
    database = tmp_path / "p.db"
    without_memory(database)
    for _ in range(2):  # the second time it is one that left WAL before
        with closing(create(database)) as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
            assert connection.execute("PRAGMA synchronous").fetchone()[0] == 3  # EXTRA
            assert connection.execute("PRAGMA foreign_keys").fetchone()[0] == 1
            with transaction(connection):
                connection.execute("DELETE FROM review_cursor")
                connection.execute(INSERT)
        assert mode_of(database) == ("delete", False)
    with open_read_only(database) as connection:
        assert connection.execute(SELECT).fetchone()[0] == "g"


def in_wal_with_a_log(tmp_path: Path) -> Path:
    """A copy of a database whose last commit is in its log alone, as a killed process leaves it."""
    (tmp_path / "far").mkdir()
    (tmp_path / "near").mkdir()
    with closing(create(tmp_path / "far" / "p.db")) as connection:
        connection.execute("PRAGMA wal_autocheckpoint = 0")
        with transaction(connection):
            connection.execute(INSERT)
        for end in ("", "-wal"):
            shutil.copy(tmp_path / "far" / f"p.db{end}", tmp_path / "near" / f"p.db{end}")
    return tmp_path / "near" / "p.db"


@pytest.mark.parametrize("reading_first", [False, True])
def test_a_database_from_another_disk_keeps_what_its_log_has(
    tmp_path: Path, without_memory: Callable[[Path], None], reading_first: bool
) -> None:
    database = in_wal_with_a_log(tmp_path)
    without_memory(database)
    if reading_first:
        with open_unchecked(database) as connection:
            assert number(connection, "PRAGMA user_version") == len(migrations())
        with open_read_only(database) as connection:
            assert connection.execute(SELECT).fetchone()[0] == "g"
    with closing(connect(database)) as connection:
        assert connection.execute(SELECT).fetchone()[0] == "g"
    assert mode_of(database) == ("delete", False)


def test_back_on_a_disk_that_shares_memory_it_has_a_log_again(tmp_path: Path) -> None:
    as_a_link(tmp_path / "p.db")
    create(tmp_path / "p.db").close()
    (tmp_path / "p.db-shm").unlink()
    assert shares_memory(tmp_path)
    with closing(connect(tmp_path / "p.db")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2  # FULL
    assert sorted(path.name for path in tmp_path.iterdir()) == ["p.db", "p.db.lock"]


def test_two_connections_see_each_others_commits(tmp_path: Path, without_memory: Callable[[Path], None]) -> None:
    without_memory(tmp_path / "p.db")
    with closing(create(tmp_path / "p.db")) as one, closing(create(tmp_path / "p.db")) as other:
        with transaction(one):
            one.execute(INSERT)
        assert other.execute(SELECT).fetchone()[0] == "g"
        with transaction(other):
            other.execute("UPDATE review_cursor SET group_id = 'h'")
        assert one.execute(SELECT).fetchone()[0] == "h"


def hold_open(pipe: Connection, database: Path) -> None:
    with closing(create(database)):
        pipe.send("open")
        pipe.poll(None)


def test_nobody_moves_away_a_database_that_is_open(tmp_path: Path, without_memory: Callable[[Path], None]) -> None:
    without_memory(tmp_path / "p.db")
    with child(hold_open, tmp_path / "p.db") as pipe:
        hear(pipe)
        with pytest.raises(LockedError, match="another process"), exclusive_access(tmp_path / "p.db", "testing"):
            pass
    with exclusive_access(tmp_path / "p.db", "testing"):
        pass
    with (
        pytest.raises(LockedError),
        closing(connect(tmp_path / "p.db")),
        exclusive_access(tmp_path / "p.db", "testing"),
    ):
        pass


def test_review_analysis_backup_and_restore_work(tmp_path: Path, without_memory: Callable[[Path], None]) -> None:
    without_memory(Workspace(tmp_path / "home").decisions / "p.db")
    project = with_results(tmp_path, 2)
    assert mode_of(project.database) == ("delete", False)
    with closing(ReviewSession(project)) as deck, connect_analysis(project.workspace) as analysis:
        assert analysis.execute("SELECT count(*) FROM decisions").fetchone() == (2,)
        deck.press("1")
        assert analysis.execute("SELECT count(*) FROM operations").fetchone()[0] > 0
    review(project, *FINALISE)
    saved = writing.write(project.workspace, tmp_path / "saved.zip")
    assert saved.damaged == {}
    restored = Workspace(tmp_path / "elsewhere")
    without_memory(restored.decisions / "p.db")
    shm = restored.decisions / "p.db-shm"
    shm.rmdir() if shm.is_dir() else shm.unlink()  # as it is on such a disk: nothing
    restoring.restore(restored, saved.file)
    without_memory(restored.decisions / "p.db")
    assert decisions(Project(restored, project.manifest)) == decisions(project)
    projects.status(restored.project("p"))


def test_an_analysis_reads_a_database_that_nobody_has_opened(tmp_path: Path) -> None:
    project = with_results(tmp_path, 1)
    with closing(sqlite3.connect(project.database)) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    for end in ("-shm", "-wal"):
        project.database.with_name(f"p.db{end}").unlink(missing_ok=True)
    as_a_link(project.database)
    assert mode_of(project.database) == ("wal", False)
    with connect_analysis(project.workspace) as analysis:
        assert analysis.execute("SELECT count(*) FROM decisions").fetchone() == (1,)
