"""An import reports first and writes last; whatever happens, there is all of it or nothing, and nothing twice."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.errors import ConflictError, LockedError, ProjectError, StoreError, UsageError
from pickroom.files.preflight import project_lock
from pickroom.history import skip_reasons
from pickroom.history.importing import read_logs
from pickroom.history.report import EXAMPLES
from pickroom.history.staging import StagedImport
from pickroom.indexing import projects
from pickroom.storage import atomic
from pickroom.store import legacy
from pickroom.store.connect import open_read_only
from pickroom.store.legacy import legacy_path
from pickroom.store.workspace import Workspace

from .logs import (
    CROP_TRAINING,
    DECISIONS,
    SELECTION,
    TIME,
    content,
    decision,
    rows_of,
    run_import,
    selection,
    write_log,
)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    rows = [selection(f"mojo1/a{n}.png", [f"mojo1/b{n}.png"]) for n in range(5)]
    return write_log(tmp_path / "log.csv", SELECTION, [*rows, selection("mojo1/")])


def test_nothing_is_written_before_it_is_asked_for(workspace: Workspace, log: Path) -> None:
    with read_logs(workspace, [log], "mojo1") as found:
        assert (found.report.rows, found.report.imported) == (6, 5)
        assert not workspace.root.exists()
        found.write()
    assert [path.name for path in workspace.decisions.iterdir() if path.suffix == ".db"] == [
        "mojo1.db",
        "mojo1_legacy.db",
    ]
    assert workspace.project("mojo1").manifest.status == "finished"


def test_importing_twice_adds_nothing(workspace: Workspace, log: Path, tmp_path: Path) -> None:
    run_import(workspace, log)
    before = content(workspace)
    with read_logs(workspace, [log], "mojo1") as found:
        assert dict(found.report.skipped) == {skip_reasons.IMPORTED: 5, skip_reasons.NO_FILE_NAME: 1}
        assert found.write() == []
    elsewhere = tmp_path / "copy of log.csv"
    elsewhere.write_bytes(log.read_bytes().replace(b"\r\n", b"\n"))
    assert run_import(workspace, elsewhere, log).imported == 0
    assert content(workspace) == before


def test_a_second_log_is_added_to_what_there_is(workspace: Workspace, log: Path, tmp_path: Path) -> None:
    run_import(workspace, log)
    rows = [selection("mojo1/a0.png", ["mojo1/b0.png"]), selection("mojo1/new.png")]
    report = run_import(workspace, write_log(tmp_path / "second.csv", SELECTION, rows))
    assert (report.imported, dict(report.skipped)) == (1, {skip_reasons.IMPORTED: 1})
    assert [row["chosen"] for row in rows_of(workspace, "legacy_selections")][-1] == "new.png"


def test_the_order_of_the_others_makes_no_other_pick(workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection(others=["b.png", "c.png"]), selection(others=["c.png", "b.png"]), selection(others=["b.png"])]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    assert (report.imported, dict(report.skipped)) == (2, {skip_reasons.REPEATED: 1})


def test_what_pickroom_decided_itself_is_not_imported_again(make_project, open_database, tmp_path: Path) -> None:
    project = make_project([(1, 2)], project_id="mojo1")
    columns = DECISIONS[:3]
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute(
            """INSERT INTO ai_decisions (group_id, timestamp, project_id, images, user_selected_index, user_action,
            image_width, image_height) VALUES ('g', ?, 'mojo1', '["a.png", "b.png"]', 1, 'approve', 9, 9)""",
            (TIME,),
        )
    assert columns[0] == "group_id"
    rows = [selection("mojo1/b.png", ["mojo1/a.png"]), selection("mojo1/a.png", ["mojo1/b.png"])]
    report = run_import(project.workspace, write_log(tmp_path / "log.csv", SELECTION, rows))
    assert (report.imported, dict(report.skipped)) == (1, {skip_reasons.DECIDED: 1})
    with open_read_only(project.database) as connection:
        assert connection.execute("SELECT count(*) FROM ai_decisions").fetchone()[0] == 1


def test_the_legacy_database_opens_like_any_other(workspace: Workspace, tmp_path: Path) -> None:
    run_import(workspace, write_log(tmp_path / "log.csv", DECISIONS, [decision(), decision(group_id="", timestamp="")]))
    with open_read_only(legacy_path(workspace, "mojo1")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        assert connection.execute("SELECT total_decisions, correct_crops FROM ai_performance").fetchone()[:] == (1, 1)
        (selected,) = legacy.selections(connection)
        assert (selected.chosen, selected.others, selected.source_line) == ("b.png", ("a.png",), 3)
        assert list(legacy.crops(connection)) == []  # the same crop stands in the decision
        assert list(legacy.matches(connection)) == []


def test_examples_are_few_and_shown_by_repr(workspace: Workspace, tmp_path: Path) -> None:
    rows = [selection(f"mojo1/\tx{n}", time="é") for n in range(50)]
    report = run_import(workspace, write_log(tmp_path / "log.csv", SELECTION, rows), write=False)
    shown = report.files[0].examples[skip_reasons.NOT_AN_IMAGE]
    assert len(shown) == EXAMPLES
    assert shown[0].startswith("line 2: ['s', 'g', 'mojo1/\\tx0'")
    assert all(line.isprintable() for line in report.lines())


def test_every_file_is_looked_at_before_the_first_row_is_read(workspace: Workspace, log: Path, tmp_path: Path) -> None:
    other = write_log(tmp_path / "other.csv", ("x", "y"), [(1, 2)])
    with pytest.raises(UsageError, match="not a known header"):
        read_logs(workspace, [log, other], "mojo1")


def test_bad_names_of_projects(workspace: Workspace, log: Path) -> None:
    with pytest.raises(ProjectError):
        read_logs(workspace, [log], "../mojo1")
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "broken.json").write_text("{")
    with pytest.raises(ProjectError, match="damaged"):
        read_logs(workspace, [log], "mojo1")


def test_a_column_of_as_many_projects_as_rows_is_none(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pickroom.history.staging.MAX_PROJECTS", 20)
    rows = [(TIME, f"p{n}", "a.png", 0, 0, 5, 5, 9, 9) for n in range(30)]
    with pytest.raises(UsageError, match="30 projects"):
        run_import(workspace, write_log(tmp_path / "log.csv", CROP_TRAINING, rows), by_folder=True)


# --- what can go wrong ------------------------------------------------------------------------------------------


def test_a_failure_while_writing_leaves_nothing(
    workspace: Workspace, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(legacy, "take_staged", full)
    with read_logs(workspace, [log], "mojo1") as found, pytest.raises(StoreError, match="disk is full"):
        found.write()
    assert [name for name in read_tree(workspace.root) if not name.endswith(".lock")] == []


def test_a_failure_while_adding_leaves_what_there_was(
    workspace: Workspace, log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_import(workspace, log)
    before = content(workspace)
    second = write_log(tmp_path / "second.csv", CROP_TRAINING, [(TIME, "mojo1", "a.png", 0, 0, 5, 5, 9, 9)])
    broken = (*legacy._TAKE, "INSERT INTO nowhere SELECT ? ")
    monkeypatch.setattr(legacy, "_TAKE", broken)
    with read_logs(workspace, [second], "mojo1") as found, pytest.raises(StoreError):
        found.write()
    assert content(workspace) == before


def test_what_a_killed_import_left_is_swept_by_the_next(workspace: Workspace, log: Path) -> None:
    workspace.decisions.mkdir(parents=True)
    partial = workspace.decisions / ".mojo1_legacy.db.partial"
    partial.write_bytes(b"half of something")
    run_import(workspace, log)
    assert not partial.exists()
    assert len(rows_of(workspace, "legacy_selections")) == 5


def test_two_imports_at_once(workspace: Workspace, log: Path) -> None:
    with read_logs(workspace, [log], "mojo1") as one, read_logs(workspace, [log], "mojo1") as two:
        one.write()
        with pytest.raises(ConflictError, match="import again"):
            two.write()
    assert len(rows_of(workspace, "legacy_selections")) == 5


def test_a_project_being_worked_on_is_left_alone(workspace: Workspace, log: Path) -> None:
    project = workspace.planned("mojo1", workspace.root)
    with (
        read_logs(workspace, [log], "mojo1") as found,
        project_lock(project, "reviewing"),
        pytest.raises(LockedError, match="reviewing"),
    ):
        found.write()
    assert not legacy_path(workspace, "mojo1").exists()


def test_a_damaged_database_of_the_project_is_named(workspace: Workspace, log: Path) -> None:
    workspace.decisions.mkdir(parents=True)
    legacy_path(workspace, "mojo1").write_bytes(b"no database at all, but long enough to be read as one" * 50)
    with pytest.raises(StoreError, match=r"mojo1_legacy\.db"):
        read_logs(workspace, [log], "mojo1")


def test_several_projects_are_written_all_or_none(
    workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [(TIME, name, "a.png", 0, 0, 5, 5, 9, 9) for name in ("one", "two")]
    log = write_log(tmp_path / "log.csv", CROP_TRAINING, rows)
    rename = atomic.rename_noreplace

    def training_lock(source: Path, destination: Path) -> None:
        if destination.name == "two_legacy.db":
            assert legacy_path(workspace, "one").exists()
            raise OSError(28, "No space left on device")
        rename(source, destination)

    with monkeypatch.context() as patch:
        patch.setattr(atomic, "rename_noreplace", training_lock)
        with pytest.raises(StoreError, match=r"two_legacy\.db"):
            run_import(workspace, log, project=None)
    assert [path.name for path in sorted(workspace.decisions.iterdir())] == ["one.lock", "two.lock"]
    assert run_import(workspace, log, project=None).imported == 2
    assert [len(rows_of(workspace, "legacy_crops", name)) for name in ("one", "two")] == [1, 1]


def test_a_refusing_database_keeps_the_others_unchanged(workspace: Workspace, tmp_path: Path) -> None:
    first = [(TIME, name, "a.png", 0, 0, 5, 5, 9, 9) for name in ("one", "two")]
    run_import(workspace, write_log(tmp_path / "log.csv", CROP_TRAINING, first), project=None)
    before = [content(workspace, name) for name in ("one", "two")]
    second = [(TIME, name, "b.png", 0, 0, 5, 5, 9, 9) for name in ("new", "one", "two")]
    log = write_log(tmp_path / "log.csv", CROP_TRAINING, second)
    with read_logs(workspace, [log]) as found:
        with closing(sqlite3.connect(legacy_path(workspace, "two"))) as connection:
            connection.execute("ALTER TABLE legacy_crops ADD COLUMN another TEXT")
        with pytest.raises(StoreError, match=r"10 columns .*two_legacy\.db"):
            found.write()
        with closing(sqlite3.connect(legacy_path(workspace, "two"))) as connection:
            connection.execute("ALTER TABLE legacy_crops DROP COLUMN another")
    assert [content(workspace, name) for name in ("one", "two")] == before
    assert not legacy_path(workspace, "new").exists()
    assert run_import(workspace, log, project=None).projects == {name: {"crops": 1} for name in ("new", "one", "two")}


def test_staging_leaves_no_file_behind(
    workspace: Workspace, log: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    run_import(workspace, log)
    monkeypatch.setattr(StagedImport, "finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read_logs(workspace, [log], "mojo1")
    assert os.listdir(temporary) == []


def test_aliases_of_a_started_project_are_found(make_project, tmp_path: Path) -> None:
    project = make_project([(1, 2)], project_id="anna")
    project.with_manifest(aliases=("old/anna",))
    assert projects.status(project)["groups"] == 1
    rows = [selection("P/old/anna/a.png", ["P/old/anna/b.png"])]
    report = run_import(project.workspace, write_log(tmp_path / "log.csv", SELECTION, rows), project=None)
    assert report.projects == {"anna": {"selections": 1}}
