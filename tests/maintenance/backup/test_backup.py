"""A backup holds what cannot be made again, as of one moment; restored into an empty place, the work goes on."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from contextlib import closing
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.errors import ConflictError, FileOperationError, LockedError, PickroomError, ProjectError, UsageError
from pickroom.files.preflight import project_lock
from pickroom.indexing import projects
from pickroom.maintenance.backup import reading, restoring, writing
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.backing_up import kept, used_project
from support.commands import run_command
from support.reviewing import (
    FINALISE,
    child,
    decisions,
    exit_code_of,
    fill,
    hear,
    review,
    rows,
    small_disk,
    snapshot,
    without_renames,
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return used_project(tmp_path)


VECTORS = "data/ai_data/embeddings/encoder/p/part-0.parquet"


@pytest.fixture
def saved(project: Project, tmp_path: Path) -> Path:
    return writing.write(project.workspace, tmp_path / "saved.zip").file


def names(file: Path) -> set[str]:
    return {one.name for one in reading.check(file).files}


def test_a_restore_that_was_killed_over_a_claim_is_finished(
    project: Project, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, one = Workspace(tmp_path / "restored"), project.database.relative_to(project.workspace.root)
    (home.root / one).parent.mkdir(parents=True)
    (home.root / one).touch()  # as on exFAT: an empty file claims the name
    with pytest.raises(ConflictError):
        restoring.restore(home, saved)
    without_renames(monkeypatch)
    restoring.restore(home, saved)
    assert decisions(Project(home, project.manifest)) == decisions(project)


def test_restored_into_an_empty_place_the_review_goes_on(project: Project, saved: Path) -> None:
    before, files = snapshot(project), kept(project.workspace.root)
    shutil.rmtree(project.workspace.root)
    done = restoring.restore(project.workspace, saved)
    assert done.aside is None and done.projects == {"p": str(project.root)}
    assert kept(project.workspace.root) == files
    again = project.workspace.project("p")
    assert snapshot(again) == before
    with closing(ReviewSession(again)) as session:  # the choice made since the last finalise stands
        assert [choice.index for choice in session.state.choices.values()] == [1]
        for key in ("End", "1", *FINALISE):
            session.press(key)
        assert session.last_result is not None and session.last_result.batch == 2
    assert len(decisions(again)) == 4
    assert {row["state"] for row in rows(again, "SELECT state FROM file_operations")} == {"done"}


def test_backup_holds_irreplaceable_files_and_lists_the_others(project: Project, tmp_path: Path) -> None:
    made = writing.write(project.workspace, tmp_path / "saved.zip")
    assert names(made.file) == {
        "data/projects/p.json",
        "data/training/ai_training_decisions/p.db",
        "data/training/ai_training_decisions/p_legacy.db",
        "data/ai_data/models/ranker_v1.pt",
        "data/ai_data/models/ranker_v1_metadata.json",
        "data/ai_data/models/ranker_current.json",
        "data/ai_data/logs/reclaimed.jsonl",
        "data/daily_summaries/training.md",
        VECTORS,
    }
    assert {"data/ai_data/cache", "sandbox"} == set(made.left_out)


def test_vectors_are_left_out_on_request_with_their_size(project: Project, tmp_path: Path) -> None:
    made = writing.write(project.workspace, tmp_path / "saved.zip", vectors=False)
    assert VECTORS not in names(made.file)
    said = made.left_out["data/ai_data/embeddings"]
    assert "left out by --no-vectors" in said and said[0].isdigit()


def test_vectors_and_features_come_back_from_a_backup(project: Project, tmp_path: Path) -> None:
    root, features = project.workspace.root, "data/ai_data/cache/consistency/x/p.parquet"
    (root / features).parent.mkdir(parents=True)
    (root / features).write_bytes(b"numbers")
    made = writing.write(project.workspace, tmp_path / "saved.zip")
    fresh = Workspace(tmp_path / "fresh")
    restoring.restore(fresh, made.file)
    for name in (features, VECTORS):
        assert (fresh.root / name).read_bytes() == (root / name).read_bytes()


def raise_all_deferrals(pipe: Connection, project: Project) -> None:
    """Commits, one after the other, each of them of several rows, until it is told to stop."""
    with closing(connect(project.database)) as connection:
        count = 0
        while not pipe.poll():
            connection.execute("UPDATE groups SET deferrals = deferrals + 1")
            count += 1
            if count == 1:
                pipe.send("writing")
        pipe.send(count)


def test_each_database_is_saved_consistently_during_writes(project: Project, tmp_path: Path) -> None:
    with child(raise_all_deferrals, project) as pipe:
        hear(pipe)
        files = [writing.write(project.workspace, tmp_path / f"{number}.zip").file for number in range(3)]
        pipe.send("stop")
        last = hear(pipe)
    seen = []
    for number, file in enumerate(files):
        place = Workspace(tmp_path / f"place{number}")
        restoring.restore(place, file)
        (found,) = {row["deferrals"] for row in rows(place.project("p"), "SELECT deferrals FROM groups")}
        seen.append(found)
    assert seen[0] >= 1 and seen == sorted(seen) and seen[-1] <= last


def test_what_is_not_committed_is_not_in_it(project: Project, tmp_path: Path) -> None:
    before = rows(project, "SELECT * FROM groups")
    with closing(connect(project.database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM recommendations")
        file = writing.write(project.workspace, tmp_path / "saved.zip").file
        connection.execute("ROLLBACK")
    place = Workspace(tmp_path / "place")
    restoring.restore(place, file)
    assert rows(place.project("p"), "SELECT * FROM groups") == before
    assert rows(place.project("p"), "SELECT count(*) AS n FROM recommendations")[0]["n"] > 0


def test_database_of_an_earlier_schema_is_saved_as_it_is(project: Project, tmp_path: Path) -> None:
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("PRAGMA user_version = 3")
    file = writing.write(project.workspace, tmp_path / "saved.zip").file
    with closing(sqlite3.connect(project.database)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (3,)
    restoring.restore(Workspace(tmp_path / "place"), file)


def test_a_file_from_the_far_future_is_saved(project: Project, tmp_path: Path) -> None:
    manifest, later = project.manifest_file, datetime(2150, 1, 1, tzinfo=UTC).timestamp()
    os.utime(manifest, (later, later))
    file = writing.write(project.workspace, tmp_path / "saved.zip").file
    assert "data/projects/p.json" in names(file)


def test_backups_never_overwrite_and_get_timestamped_names(project: Project, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    first = writing.write(project.workspace, folder)
    assert first.file.parent == folder and first.file.name.startswith("pickroom-2")
    content = first.file.read_bytes()
    with pytest.raises(UsageError, match="this file exists already"):
        writing.write(project.workspace, first.file)
    assert first.file.read_bytes() == content and list(read_tree(folder)) == [first.file.name]


@pytest.mark.parametrize(
    ("file", "error"),
    [("home/data/saved.zip", UsageError), ("no/such/folder/saved.zip", UsageError), ("home/data", UsageError)],
)
def test_place_that_will_not_do_is_refused(
    project: Project, tmp_path: Path, file: str, error: type[PickroomError]
) -> None:
    before = read_tree(tmp_path)
    with pytest.raises(error):
        writing.write(project.workspace, tmp_path / file)
    assert read_tree(tmp_path) == before


def test_nothing_to_back_up_is_said(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="nothing to back up"):
        writing.write(Workspace(tmp_path), tmp_path / "saved.zip")
    assert read_tree(tmp_path) == {}


def test_full_disk_leaves_no_backup(project: Project, tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        fill(disk).write_bytes(b"\0" * 900_000)
        with pytest.raises(PickroomError, match="make room"):
            writing.write(project.workspace, disk / "saved.zip")
        assert list(read_tree(disk)) == [".filler"]


def test_full_disk_restores_nothing(project: Project, saved: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path, "1m") as disk:
        fill(disk).write_bytes(b"\0" * 900_000)
        with pytest.raises(FileOperationError, match="nothing was restored"):
            restoring.restore(Workspace(disk), saved)
        assert set(read_tree(disk)) == {".filler", "data/.restore.lock"}


def test_damaged_project_is_left_out_and_others_are_saved(project: Project, tmp_path: Path) -> None:
    other = used_project(tmp_path, "other")
    other.database.write_bytes(b"SQLite format 3\0" + b"nonsense" * 1000)
    made = writing.write(project.workspace, tmp_path / "saved.zip")
    assert list(made.damaged) == ["data/training/ai_training_decisions/other.db"]
    assert {"data/projects/p.json"} == {name for name in names(made.file) if name.startswith("data/projects/")}
    assert "data/training/ai_training_decisions/other_legacy.db" in names(made.file)


# ------------------------------------------------------------------------------------------ what is in the way


def test_workspace_with_projects_is_left_alone(project: Project, saved: Path) -> None:
    review(project, "End", "1")
    before = read_tree(project.workspace.root)
    with pytest.raises(ConflictError, match="not the backup's") as refused:
        restoring.restore(project.workspace, saved)
    assert "data/training/ai_training_decisions/p.db" in refused.value.items
    after = read_tree(project.workspace.root)
    assert {name: sha for name, sha in after.items() if name != "data/.restore.lock"} == before


def test_replacing_sets_aside_whole_and_never_deletes(project: Project, saved: Path, tmp_path: Path) -> None:
    used_project(tmp_path, "other")
    review(project, *FINALISE)
    decided = len(decisions(project))
    before = read_tree(project.workspace.root)
    planned = restoring.plan(project.workspace, saved)
    assert read_tree(project.workspace.root) == before
    done = restoring.restore(project.workspace, saved, replace=True)
    assert done.in_the_way == planned.in_the_way and done.aside is not None
    assert project.workspace.project_ids() == ["p"]
    assert len(decisions(project)) < decided
    found = set(read_tree(project.workspace.root).values())
    assert {sha for name, sha in before.items() if not name.endswith(".lock")} <= found  # a note of who holds it
    aside = Workspace(done.aside)
    assert aside.project_ids() == ["other"]  # the manifest of p is the same in both, and stayed
    shutil.copy(project.manifest_file, aside.manifests)
    assert len(decisions(aside.project("p"))) == decided


def test_a_project_at_work_is_not_set_aside(project: Project, saved: Path) -> None:
    review(project, "End", "1")
    with project_lock(project, "moving files"), pytest.raises(LockedError):
        restoring.restore(project.workspace, saved, replace=True)
    assert len(decisions(project)) == 2


def test_leftover_wal_is_never_read_into_a_restored_database(project: Project, saved: Path) -> None:
    shutil.rmtree(project.workspace.root)
    log = project.database.with_name("p.db-wal")
    log.parent.mkdir(parents=True)
    log.write_bytes(b"of a database that is gone")
    with pytest.raises(ConflictError):
        restoring.restore(project.workspace, saved)
    done = restoring.restore(project.workspace, saved, replace=True)
    assert done.in_the_way == ("data/training/ai_training_decisions/p.db-wal",)
    assert len(decisions(project)) == 2


def press_and_die(project: Project) -> None:
    """A deck that is killed: its key stays in the log next to the database, whose own file is as it was."""
    ReviewSession(project).press("x")
    os.kill(os.getpid(), signal.SIGKILL)


def test_keys_that_only_the_log_holds_are_set_aside_with_it(project: Project, saved: Path, tmp_path: Path) -> None:
    restoring.restore(project.workspace, saved, replace=True)
    before, queued = project.database.read_bytes(), rows(project, "SELECT * FROM review_state")
    assert exit_code_of(press_and_die, project) == -signal.SIGKILL
    assert project.database.read_bytes() == before
    done = restoring.restore(project.workspace, saved, replace=True)
    assert rows(project, "SELECT * FROM review_state") == queued
    assert done.aside is not None and {"p.db", "p.db-wal"} <= {Path(name).name for name in done.in_the_way}
    aside = Workspace(done.aside)
    aside.manifests.mkdir(parents=True, exist_ok=True)
    shutil.copy(project.manifest_file, aside.manifests)
    assert "reject" in {row["action"] for row in rows(aside.project("p"), "SELECT * FROM review_state")}


# ------------------------------------------------------------------------------------------ the commands


def pickroom(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, "--home", str(home))


def test_commands_move_a_workspace_to_another_machine(project: Project, tmp_path: Path) -> None:
    home, file, new = project.workspace.root, tmp_path / "saved.zip", tmp_path / "new"
    made = pickroom(home, "backup", str(file), "--json")
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["files"] == 9 and json.loads(made.stdout)["damaged"] == {}
    project.root.rename(tmp_path / "elsewhere")
    done = pickroom(new, "restore", str(file))
    assert done.returncode == 0, done.stderr
    assert "NOT THERE; from where they are now: pickroom relocate p ." in done.stdout
    assert pickroom(new, "relocate", "p", str(tmp_path / "elsewhere")).returncode == 0
    moved = Workspace(new).project("p")
    assert projects.rescan(moved).missing == ()
    review(moved, *FINALISE)
    assert len(decisions(moved)) == 3


def test_command_replaces_only_when_it_is_told_twice(project: Project, saved: Path) -> None:
    home = project.workspace.root
    review(project, *FINALISE)
    refused = pickroom(home, "restore", str(saved))
    assert refused.returncode == 1 and "in the way: data/training" in refused.stderr
    dry = pickroom(home, "restore", str(saved), "--replace", "--json")
    assert dry.returncode == 0 and not json.loads(dry.stdout)["done"] and json.loads(dry.stdout)["in_the_way"]
    assert len(decisions(project)) == 3
    assert pickroom(home, "restore", str(saved), "--execute").returncode == 2
    done = pickroom(home, "restore", str(saved), "--replace", "--execute")
    assert done.returncode == 0 and "remove it when you are sure" in done.stdout
    assert len(decisions(project)) == 2
