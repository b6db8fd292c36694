"""Copies of a database: verified, the newest three of each, made by the hour and before a migration."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pickroom.core.errors import StoreError
from pickroom.store import copies, snapshot
from pickroom.store.connect import backup, connect, create
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review, small_disk


def publish(database: Path) -> Path:
    with closing(connect(database)) as connection:
        return copies.publish(database, lambda copy: backup(connection, copy))


def aged(copy: Path, by: timedelta) -> Path:
    """The copy as if it had been made earlier."""
    moment = copies.made_at(copy) - by
    return copy.rename(copy.with_name(f"{copy.name.rpartition('-')[0]}-{moment:%Y%m%dT%H%M%S%fZ}.db"))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """With one batch, of which a copy is due."""
    made = make_project([(1, 2), (1, 2)])
    copies.asked()
    review(made, "1", *FINALISE)
    return made


def test_copy_lies_in_the_workspace_by_project_and_time(workspace: Workspace) -> None:
    database = workspace.decisions / "p.db"
    create(database).close()
    imported = workspace.decisions / "p_legacy.db"
    create(imported).close()
    made = publish(database), publish(imported)
    folder = workspace.root / "data" / "backups" / "p"
    assert names(folder) == sorted(copy.name for copy in made)
    assert made[0].name.startswith("p-2") and made[1].name.startswith("p_legacy-2")
    assert copies.of_project(database) == [made[1], made[0]]
    assert abs(copies.made_at(made[0]) - datetime.now(UTC)) < timedelta(minutes=1)


def test_newest_three_copies_of_each_database_stay(workspace: Workspace) -> None:
    database, imported = workspace.decisions / "p.db", workspace.decisions / "p_legacy.db"
    create(database).close()
    create(imported).close()
    other = publish(imported)
    (other.parent / "notes.txt").write_text("the user's")
    made = [publish(database) for _ in range(5)]
    assert copies.newest(database) == [made[4], made[3], made[2]]
    assert names(other.parent) == sorted([other.name, "notes.txt", *(copy.name for copy in made[2:])])


def test_name_that_a_killed_process_only_claimed_is_no_copy(workspace: Workspace) -> None:
    database = workspace.decisions / "p.db"
    create(database).close()
    copy = publish(database)
    copy.with_name("p-29990101T000000000000Z.db").touch()
    assert copies.newest(database) == copies.of_project(database) == [copy]


def test_unsound_copy_is_not_kept_and_replaces_none(workspace: Workspace) -> None:
    database = workspace.decisions / "p.db"
    create(database).close()
    sound = publish(database)
    for wrong in (b"no database at all" * 100, bytes(8192)):
        with pytest.raises(StoreError, match=r"not sound.*pickroom restore --project p"):
            copies.publish(database, lambda copy, wrong=wrong: copy.write_bytes(wrong))
    assert names(sound.parent) == [sound.name]


def test_batch_that_moves_files_asks_for_a_copy(project: Project) -> None:
    assert copies.asked() == {project.database}
    assert copies.asked() == set()
    review(project, "j")
    assert copies.asked() == set()


def test_copy_is_kept_once_an_hour(project: Project) -> None:
    assert snapshot.keep([project.database]) == []
    (first,) = copies.newest(project.database)
    assert (copies.look_at(first).groups, copies.look_at(first).decisions) == (2, 1)
    assert copies.look_at(first).problem is None
    assert snapshot.keep([project.database]) == []
    assert copies.newest(project.database) == [first]
    older = aged(first, copies.EVERY)
    assert snapshot.keep([project.database]) == []
    assert len(copies.newest(project.database)) == 2 and copies.newest(project.database)[1] == older


def test_copy_from_the_future_does_not_stop_others(project: Project) -> None:
    snapshot.keep([project.database])
    aged(copies.newest(project.database)[0], timedelta(days=-400))
    snapshot.keep([project.database])
    assert len(copies.newest(project.database)) == 2


def test_copy_is_made_while_another_window_is_writing(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("UPDATE groups SET batch_number = 77")
        assert snapshot.keep([project.database]) == []
        connection.execute("ROLLBACK")
    with closing(sqlite3.connect(copies.newest(project.database)[0])) as copy:
        assert copy.execute("SELECT count(*) FROM groups WHERE batch_number = 77").fetchone() == (0,)


@pytest.mark.parametrize("fault", ["full", "no folder"])
def test_copy_that_cannot_be_made_is_one_line(project: Project, fault: str, tmp_path: Path) -> None:
    backups = copies.folder_of(project.database).parent
    if fault == "no folder":
        backups.write_text("a file lies here")
        said = snapshot.keep([project.database])
    else:
        with small_disk(tmp_path, "64k") as disk:
            backups.symlink_to(disk)
            said = snapshot.keep([project.database])
            assert [path for path in disk.rglob("*") if path.is_file()] == []
    assert len(said) == 1 and "\n" not in said[0]
    assert "no copy of the database was made (all decisions are saved)" in said[0]
