"""The doctor's look at a workspace: real projects, each with one thing wrong, and nothing changed by looking."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.cli.doctor import workspaces
from pickroom.cli.doctor.workspaces import Finding
from pickroom.files.preflight import project_lock
from pickroom.store import copies, snapshot
from pickroom.store.connect import connect, create, migrations
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, in_child, obey_permissions, review


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    made = make_project([(1, 2)])
    review(made, "1", *FINALISE)
    assert snapshot.keep([made.database]) == []
    return made


def look(project: Project) -> Finding:
    return workspaces.project(project.workspace, project.id)


def run(project: Project, statement: str) -> None:
    with closing(connect(project.database)) as connection:
        connection.execute(statement)


def test_sound_project_is_ok_and_nothing_is_changed(project: Project) -> None:
    before = hashlib.sha256(project.database.read_bytes()).hexdigest()
    kept = copies.made_at(copies.newest(project.database)[0])
    said = f"active, images in {project.root}, copy of its database of {kept:%Y-%m-%d %H:%M}Z"
    assert look(project).line == f"ok    project p: {said}"
    for name in ("a.gif", "b.gif", "c.EXR"):
        (project.root / name).write_bytes(b"x")
    assert look(project).line == f"ok    project p: {said.replace(', copy', ', 1 .exr skipped, 2 .gif skipped, copy')}"
    assert hashlib.sha256(project.database.read_bytes()).hexdigest() == before


def test_decisions_without_a_copy_are_warned_of(project: Project) -> None:
    copies.newest(project.database)[0].unlink()
    found = look(project)
    assert (found.state, "no copy of its database" in found.found) == ("warn", True)


def test_database_that_lost_its_groups_fails(project: Project) -> None:
    for path in project.database.parent.glob("p.db*"):
        path.unlink()
    create(project.database).close()  # as version 0.1 did unasked
    found = look(project)
    assert (found.state, found.todo) == ("fail", "see its copies: pickroom restore --project p")
    assert "no groups, and its manifest counts 1" in found.found


def test_image_folder_that_went_away(project: Project, tmp_path: Path) -> None:
    shutil.move(project.root, tmp_path / "elsewhere")
    found = look(project)
    assert (found.state, found.todo) == (
        "fail",
        project.relocate_hint,
    )


def test_interrupted_operations_and_a_held_lock(project: Project) -> None:
    run(project, "UPDATE file_operations SET state = 'planned' WHERE id = 1")
    assert look(project).line == "warn  project p: 1 file operation was interrupted (pickroom recover p)"
    with project_lock(project, "cropping"):
        found = look(project)
    assert found.state == "warn"
    assert "(cropping) is at work on its files" in found.found


def test_schema_of_another_program_is_told_and_not_touched(project: Project) -> None:
    run(project, "PRAGMA user_version = 999")
    assert look(project).todo == "update pickroom"
    run_before = len(migrations()) - 1
    with closing(_plain(project)) as connection:
        connection.execute(f"PRAGMA user_version = {run_before}")
    before = project.database.read_bytes()
    found = look(project)
    assert found.state == "warn"
    assert "earlier Pickroom" in found.found
    assert project.database.read_bytes() == before
    assert list(project.database.parent.glob("*.backup")) == []


def _plain(project: Project):
    import sqlite3

    return sqlite3.connect(project.database, isolation_level=None)


@pytest.mark.parametrize("damage", ["nonsense", "missing", "torn"])
def test_database_that_cannot_be_read(project: Project, damage: str) -> None:
    if damage == "missing":
        project.database.unlink()
    elif damage == "nonsense":
        project.database.write_bytes(b"nonsense" * 1000)
    else:  # pages in the middle lost, as on a bad disk
        data = bytearray(project.database.read_bytes())
        data[8192:32768] = b"\xff" * (32768 - 8192)
        project.database.write_bytes(data)
    found = look(project)
    assert found.state == "fail", found
    assert "restore" in found.todo


def test_damaged_manifest(project: Project) -> None:
    project.manifest_file.write_text("{")
    assert (look(project).state, "manifest is damaged" in look(project).found) == ("fail", True)


def test_workspace_missing_or_closed(project: Project, tmp_path: Path) -> None:
    assert workspaces.folder(tmp_path / "none").state == "warn"
    assert workspaces.folder(project.workspace.root).state == "ok"

    def attempt() -> str:
        obey_permissions()
        return workspaces.folder(project.workspace.root).line

    project.workspace.root.chmod(0o500)
    line = in_child(attempt)
    project.workspace.root.chmod(0o700)
    assert line.startswith("fail  workspace:")


def test_disk_that_is_nearly_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert workspaces.room(tmp_path / "not" / "yet" / "there").state == "ok"
    monkeypatch.setattr(workspaces, "TIGHT", 1 << 60)
    assert workspaces.room(tmp_path).state == "warn"
    monkeypatch.setattr(workspaces, "FULL", 1 << 60)
    assert "pickroom reclaim" in workspaces.room(tmp_path).todo


def test_every_project_gets_a_line_past_a_damaged_one(project: Project, workspace: Workspace) -> None:
    (workspace.manifests / "broken.json").write_text("{")
    found = {finding.check: finding.state for finding in workspaces.look(workspace)}
    assert found == {
        **{"workspace": "ok", "disk": "ok", "file system": "ok"},
        **{"project broken": "fail", "project p": "ok", "images of p": "ok"},
    }
