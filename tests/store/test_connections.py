"""A database file that goes from under a connection is noticed; one that is open is nobody's to move away."""

from __future__ import annotations

import os
import shutil
import sqlite3
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

from pickroom.core.errors import LockedError, StoreError
from pickroom.store.connect import connect, create, data_version, open_read_only, transaction
from pickroom.store.connections import exclusive_access
from support.reviewing import child, hear, in_child, is_locked


@pytest.fixture
def database(tmp_path: Path) -> Path:
    create(tmp_path / "p.db").close()
    return tmp_path / "p.db"


def moved_away(database: Path) -> Path:
    return database.rename(database.with_name("aside.db"))


def test_nothing_is_written_to_a_file_that_was_replaced(database: Path, connection: sqlite3.Connection) -> None:
    shutil.copy(moved_away(database), database)
    told = r"replaced after it was opened here while writing.*open the project again"
    with pytest.raises(StoreError, match=told), transaction(connection):
        raise AssertionError("nobody gets this far")
    for look in (lambda: data_version(connection), transaction(connection, writing=False).__enter__):
        with pytest.raises(StoreError, match=str(database)):
            look()
    assert not connection.in_transaction


def test_transaction_fails_if_its_database_is_moved_away(database: Path, connection: sqlite3.Connection) -> None:
    with pytest.raises(StoreError, match="is gone"), transaction(connection):
        moved_away(database)


def test_a_file_that_is_swapped_while_sqlite_opens_it_is_refused(
    database: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opening = sqlite3.connect

    def open_and_swap(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened = opening(*arguments, **options)
        shutil.copy(moved_away(database), database)
        return opened

    monkeypatch.setattr(sqlite3, "connect", open_and_swap)
    with pytest.raises(StoreError, match="replaced after it was opened here while opening"):
        connect(database)


def test_an_empty_file_gets_its_inode_with_its_first_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As FAT has it on macOS: until then every empty file has the same one."""
    asking = os.stat

    def as_on_fat(path: Any, *arguments: Any, **options: Any) -> os.stat_result:
        found = asking(path, *arguments, **options)
        return found if found.st_size else os.stat_result((found[0], 999_999_999, *found[2:10]))

    monkeypatch.setattr(os, "stat", as_on_fat)
    opened = create(tmp_path / "p.db")
    with transaction(opened):
        opened.execute("INSERT INTO review_cursor VALUES (1, 'g')")
    shutil.copy(moved_away(tmp_path / "p.db"), tmp_path / "p.db")
    with pytest.raises(StoreError, match="replaced after it was opened here"), transaction(opened):
        raise AssertionError("nobody gets this far")
    opened.close()


def open_it(pipe: Connection, database: Path, how: str) -> None:
    if how == "writing":
        connection = connect(database)
        pipe.send("open")
        pipe.recv()
        connection.close()
    else:
        with open_read_only(database):
            pipe.send("open")
            pipe.recv()
    pipe.send("closed")


@pytest.mark.parametrize("how", ["writing", "reading"])
def test_exclusive_access_is_refused_until_other_process_closes(database: Path, how: str) -> None:
    with child(open_it, database, how) as pipe:
        hear(pipe)
        told = "another process has this database open while moving"
        with pytest.raises(LockedError, match=told), exclusive_access(database, "moving"):
            raise AssertionError("nobody gets this far")
        pipe.send("close")
        hear(pipe)
        with exclusive_access(database, "moving"):
            assert in_child(is_locked, database), "whoever comes now waits"
    assert not in_child(is_locked, database)


def test_own_open_database_is_not_moved_and_its_locks_stay(database: Path, connection: sqlite3.Connection) -> None:
    with transaction(connection):
        with (
            pytest.raises(LockedError, match="this process has this database open"),
            exclusive_access(database, "moving"),
        ):
            raise AssertionError("nobody gets this far")
        assert in_child(is_locked, database)


def test_a_damaged_database_and_none_at_all_are_nobodys(tmp_path: Path) -> None:
    (tmp_path / "p.db").write_bytes(os.urandom(100))
    for path in (tmp_path / "p.db", tmp_path / "none.db", tmp_path):
        with exclusive_access(path, "moving"):
            pass
    assert not (tmp_path / "none.db").exists()
