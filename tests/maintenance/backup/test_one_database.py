"""A copy of a project's database comes back in its place; nothing is lost, and no log of another is read into it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from cli.test_cli import Ran, pickroom  # noqa: F401 (a fixture)
from conftest import read_tree
from pickroom.core.errors import LockedError, ProjectError, StoreError, UsageError
from pickroom.files.preflight import project_lock
from pickroom.maintenance.backup import restoring
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import copies, snapshot
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, decisions, review


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    """One batch, then a copy, then another batch."""
    made = make_project([(1, 2)] * 3)
    review(made, "1", *FINALISE)
    assert snapshot.keep([made.database]) == []
    review(made, "1", *FINALISE)
    return made


def copy_of(project: Project) -> Path:
    return copies.newest(project.database)[0]


def test_restored_copy_is_what_it_was(project: Project) -> None:
    copy, before = copy_of(project), read_tree(project.root)
    assert len(decisions(project)) == 2
    found, aside = restoring.restore_copy(project.workspace, "p", copy.name)
    assert len(decisions(project)) == 1
    assert aside is not None and found.database == project.database
    set_aside = aside / project.database.relative_to(project.workspace.root)
    with closing(sqlite3.connect(set_aside)) as connection:
        assert connection.execute("SELECT count(*) FROM ai_decisions").fetchone() == (2,)
    assert copy.is_file() and read_tree(project.root) == before


@pytest.mark.parametrize("lost", ["missing", "empty", "folder", "broken link"])
def test_copy_takes_the_place_of_a_lost_database(project: Project, lost: str) -> None:
    for path in project.database.parent.glob("p.db*"):
        path.unlink()
    if lost == "empty":
        project.database.touch()
    elif lost == "folder":
        project.database.mkdir()
    elif lost == "broken link":
        project.database.symlink_to("elsewhere")
    _, aside = restoring.restore_copy(project.workspace, "p", copy_of(project).name)
    assert len(decisions(project)) == 1
    assert (aside is None) == (lost == "missing")


def test_log_of_the_replaced_database_is_set_aside(project: Project, tmp_path: Path) -> None:
    name = project.database.name
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE groups SET batch_number = 77")
        files = {end: project.database.with_name(name + end).read_bytes() for end in ("", "-wal", "-shm")}
    for end, content in files.items():  # as a process that was killed leaves them
        project.database.with_name(name + end).write_bytes(content)
    assert len(files["-wal"]) > 0
    found, aside = restoring.restore_copy(project.workspace, "p", copy_of(project).name)
    assert [path.name for path in found.in_the_way] == ["p.db", "p.db-wal", "p.db-shm"]
    with closing(connect(project.database)) as connection:
        assert connection.execute("SELECT count(*) FROM groups WHERE batch_number = 77").fetchone()[0] == 0
    assert aside is not None
    with closing(sqlite3.connect(next(aside.rglob("p.db")))) as connection:
        assert connection.execute("SELECT count(*) FROM groups WHERE batch_number = 77").fetchone() == (3,)


def test_restore_is_refused_while_the_database_is_in_use(project: Project) -> None:
    before = read_tree(project.workspace.root)
    name = copy_of(project).name
    with closing(ReviewSession(project)), pytest.raises(LockedError, match="close the windows"):
        restoring.restore_copy(project.workspace, "p", name)
    with project_lock(project, "cropping"), pytest.raises(LockedError, match="cropping"):
        restoring.restore_copy(project.workspace, "p", name)
    assert len(decisions(project)) == 2
    gone = {path for path in before if path not in read_tree(project.workspace.root)}
    assert {path for path in gone if not path.endswith(("-wal", "-shm"))} == set()


def test_unsound_or_unknown_copy_changes_nothing(project: Project) -> None:
    copy = copy_of(project)
    data = bytearray(copy.read_bytes())
    data[8192:32768] = b"\xff" * (32768 - 8192)
    copy.write_bytes(data)
    with pytest.raises(StoreError, match=r"not sound.*choose another"):
        restoring.restore_copy(project.workspace, "p", copy.name)
    with pytest.raises(UsageError, match="no copy"):
        restoring.restore_copy(project.workspace, "p", "../p.db")
    with pytest.raises(ProjectError, match="no project"):
        restoring.listed(project.workspace, "q")
    assert len(decisions(project)) == 2
    assert not list((project.workspace.root / "data").glob("before-restore-*"))


def test_command_lists_copies_and_restores_one(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    project: Project,
) -> None:
    earlier = project.database.with_name("p.db.schema3-20250101T000000000000Z.backup")
    earlier.write_bytes(copy_of(project).read_bytes())
    damaged = project.database.with_name("p.db.backfill-20240101T000000000000Z.backup")
    damaged.write_bytes(b"nothing")
    listed = pickroom("restore", "--project", "p", "--json")
    found = listed.json["copies"]
    assert [copy["name"] for copy in found] == [copy_of(project).name, earlier.name, damaged.name]
    assert [copy["sound"] for copy in found] == [True, True, False]
    assert (found[0]["groups"], found[0]["decisions"], listed.code) == (3, 1, 0)
    dry = pickroom("restore", "--project", "p", "--copy", earlier.name)
    assert (dry.code, "Nothing has been done" in dry.out, len(decisions(project))) == (0, True, 2)
    done = pickroom("restore", "--project", "p", "--copy", earlier.name, "--execute")
    assert (done.code, len(decisions(project))) == (0, 1)
    assert "`pickroom recover p`, then `pickroom check p`" in done.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("saved.zip", "--project", "p"),
        ("saved.zip", "--copy", "a"),
        ("--project", "p", "--replace"),
        ("--project", "p", "--execute"),
        ("--copy", "a"),
    ],
)
def test_restore_of_nothing_clear_is_wrong_use(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    project: Project,
    arguments: tuple[str, ...],
) -> None:
    assert pickroom("restore", *arguments).code == 2


def test_copy_comes_back_though_the_manifest_is_lost(project: Project) -> None:
    manifest = project.manifest_file.read_text()
    project.manifest_file.unlink()
    project.database.unlink()
    restoring.restore_copy(project.workspace, "p", copy_of(project).name)
    project.manifest_file.write_text(manifest)
    assert len(decisions(project)) == 1
