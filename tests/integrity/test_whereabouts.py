"""Images in Pickroom's folders against the journal and the rows: what a lost log leaves, and what never is an alarm."""

from __future__ import annotations

import json
import shutil
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from conftest import write_image, write_series
from pickroom import cli, integrity
from pickroom.automation import apply, sandbox
from pickroom.automation.generate import generate
from pickroom.cli.doctor import workspaces
from pickroom.core.naming import OWNED_FOLDERS
from pickroom.files.batch import recover, undo_batch
from pickroom.indexing import projects
from pickroom.integrity.whereabouts import Whereabouts, compare, origins, replay
from pickroom.maintenance.backup import restoring, writing
from pickroom.maintenance.reclaim import delete, planning
from pickroom.sessions.crop.session import CropSession
from pickroom.store.connect import connect
from pickroom.store.legacy import connect_legacy, legacy_path
from pickroom.store.workspace import Project, Workspace
from support.automating import BOX, approve_all, proposed
from support.boards import sort, with_results
from support.reclaiming import finished_project
from support.reviewing import FINALISE, queue, recommend, review

Make = Callable[..., Project]
KEYS = ("1", "w", "x", "k", "a")  # picked, to crop, rejected, kept, the AI's crop


@contextmanager
def losing_the_log(project: Project, folder: Path) -> Iterator[None]:
    """What is committed in the block is lost, as with the write-ahead log; files stay where they were moved."""
    saved = folder / "saved.db"
    shutil.copy(project.database, saved)
    yield
    for path in project.database.parent.glob(f"{project.id}.db*"):
        path.unlink()
    shutil.copy(saved, project.database)


@pytest.fixture
def project(make_project: Make) -> Project:
    made = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2), (1, 2)], folder="anna")
    recommend(made, queue(made)[4], 0, BOX, crop_needed=True)
    return made


def in_folders(project: Project) -> list[str]:
    """Every image in Pickroom's folders."""
    root = project.root
    return sorted(p.relative_to(root).as_posix() for name in OWNED_FOLDERS for p in (root / name).rglob("*.png"))


def pickroom(project: Project, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """(exit code, stdout) of a command, in this process."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["pickroom", *arguments, "--home", str(project.workspace.root)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
    return int(ended.value.code or 0), capsys.readouterr().out  # type: ignore[arg-type]


def crop_all(project: Project) -> None:
    with closing(CropSession(project)) as session:
        while session.view().images:
            session.press("Enter")


# ------------------------------------------------------------------------------------------------ what is found


def test_images_of_a_lost_log_are_listed_and_exit_1(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with losing_the_log(project, tmp_path):
        review(project, *KEYS, *FINALISE)
    lost = in_folders(project)
    assert len(lost) == 11
    for command in ("status", "check"):
        code, out = pickroom(project, capsys, command, "p", "--json")
        assert code == 1 and json.loads(out)["unexplained"] == lost
        code, out = pickroom(project, capsys, command, "p")
        assert code == 1 and "11 images lie in Pickroom's folders" in out and lost[0] in out
        assert "pickroom recover p --unexplained" in out
    code, out = pickroom(project, capsys, "status", "--json")
    assert code == 1 and json.loads(out)["projects"][0]["unexplained"] == lost
    found = workspaces.project(project.workspace, "p")
    assert (found.state, found.todo, found.items) == ("fail", "pickroom recover p --unexplained", tuple(lost))


def test_a_lost_crop_leaves_original_and_crop_unexplained(project: Project, tmp_path: Path) -> None:
    review(project, *KEYS, *FINALISE)
    with losing_the_log(project, tmp_path):
        crop_all(project)
    found = integrity.whereabouts(project)
    assert {path.partition("/")[0] for path in found.unexplained} == {"crop_cropped", "crop_originals"}
    assert len(found.unexplained) == 4
    assert {expected.partition("/")[0] for expected, _ in found.misplaced} == {"crop", "crop_auto"}


def test_a_lost_sort_is_found_in_its_sub_folder(tmp_path: Path) -> None:
    project = with_results(tmp_path, 2)
    with losing_the_log(project, tmp_path):
        sort(project, "1", "1", "Shift+Enter", "Shift+Enter", names=("bo",), folders=["selected"])
    found = integrity.whereabouts(project)
    assert [path.rpartition("/")[0] for path in found.unexplained] == ["selected/bo"] * 2
    assert found.misplaced == tuple((path.replace("bo/", ""), path) for path in found.unexplained)


def test_a_database_newer_than_its_files_names_them(project: Project, tmp_path: Path) -> None:
    shutil.copytree(project.root, tmp_path / "older")
    review(project, *KEYS, *FINALISE)
    shutil.rmtree(project.root)
    (tmp_path / "older").rename(project.root)
    found = integrity.whereabouts(project)
    assert found.unexplained == () and not found.is_sound
    assert all(there == f"anna/{expected.rpartition('/')[2]}" for expected, there in found.misplaced)
    assert {expected.partition("/")[0] for expected, _ in found.misplaced} == {"selected", "crop", "crop_auto"}


def test_an_image_that_was_taken_away_is_missing_not_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    review(project, *KEYS, *FINALISE)
    (gone, *_) = (project.root / "selected").glob("*.png")
    gone.unlink()
    next((project.root / "delete_staging").glob("*.png")).unlink()  # emptied by hand: as it should be
    found = integrity.whereabouts(project)
    assert found.is_sound and found.missing == (f"selected/{gone.name}",)
    code, out = pickroom(project, capsys, "status", "p")
    assert code == 0 and f"1 images are gone from where the journal has them: selected/{gone.name}" in out


def test_files_that_are_no_images_are_ignored(project: Project) -> None:
    for name in ("notes.txt", ".DS_Store", "._a.png", ".hidden/b.png", "best/readme.md"):
        path = project.root / "selected" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    (project.root / "selected" / "link.png").symlink_to(next((project.root / "anna").glob("*.png")))
    assert integrity.whereabouts(project).is_sound
    write_image(project.root / "selected" / "theirs.png")
    assert integrity.whereabouts(project).unexplained == ("selected/theirs.png",)


def test_without_the_image_folder_nothing_is_amiss(project: Project, tmp_path: Path) -> None:
    review(project, *KEYS, *FINALISE)
    project.root.rename(tmp_path / "unplugged")
    assert integrity.whereabouts(project) == Whereabouts()


def test_both_ends_of_a_planned_step_are_explained(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE file_operations SET state = 'planned'")
    assert integrity.whereabouts(project).is_sound


# ------------------------------------------------------------------------------------------------ no false alarm


def clean(project: Project) -> bool:
    found = integrity.whereabouts(project)
    assert (found.unexplained, found.misplaced, found.missing) == ((), (), ())
    return bool(in_folders(project))


def test_nothing_is_amiss_after_crops_drops_and_undo(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    with closing(CropSession(project)) as session:
        session.press("Enter")
        session.press("d")
        session.press("d")
    assert clean(project)
    with closing(connect(project.database)) as connection:
        for (batch,) in connection.execute("SELECT DISTINCT batch FROM file_operations ORDER BY 1 DESC").fetchall():
            undo_batch(project, connection, batch)
            clean(project)


def test_nothing_is_amiss_after_finish_reclaim_and_demo(workspace: Workspace) -> None:
    project = finished_project(workspace)
    assert clean(project)
    plan = planning.plan(workspace)
    assert plan.items
    delete.execute(plan, workspace, hard=True)
    assert clean(project)


def test_nothing_is_amiss_after_a_restore_and_a_move(project: Project, tmp_path: Path) -> None:
    review(project, *KEYS, *FINALISE)
    file = writing.write(project.workspace, tmp_path / "saved.zip").file
    restoring.restore(Workspace(tmp_path / "new"), file)
    assert clean(Workspace(tmp_path / "new").project("p"))
    project.root.rename(tmp_path / "moved")
    assert clean(projects.relocate(project.workspace, "p", tmp_path / "moved"))


def test_nothing_is_amiss_in_a_copy_and_in_production(project: Project) -> None:
    review(project, "1", *FINALISE)
    place = proposed(project)
    approve_all(place)
    apply.apply(place)
    assert clean(place.project) and clean(project)
    apply.undo_last(place)
    assert clean(place.project)
    own = sandbox.locate(project, production=True)
    generate(own)
    approve_all(own)
    apply.apply(own)
    assert clean(project)


def test_nothing_is_amiss_after_renamed_duplicates(workspace: Workspace, images_folder: Path) -> None:
    for folder in ("a", "b"):
        write_series(images_folder / folder, [(1, 2)])
    project, report = projects.start(workspace, "p", images_folder, rename_duplicates=True)
    assert report.renamed
    review(project, "1", "x", *FINALISE)
    assert clean(project)


def test_rows_of_an_earlier_system_explain_their_images(workspace: Workspace, images_folder: Path) -> None:
    """It moved files without a journal: only the names in its rows, own or imported, say anything of them."""
    names = [f"20250101_00000{n}_stage{n}_x.png" for n in (1, 2, 3)]
    for folder, name in zip(("selected", "delete_staging", "crop_cropped"), names, strict=True):
        write_image(images_folder / folder / name)
    write_series(images_folder, [(1, 2)])
    project = projects.start(workspace, "p", images_folder)[0]
    assert len(integrity.whereabouts(project).unexplained) == 3
    values = ("g", "2025-01-01T00:00:00Z", "p", json.dumps(names[:2]), 0, "approve", 10, 10)
    columns = "group_id, timestamp, project_id, images, user_selected_index, user_action, image_width, image_height"
    with closing(connect(project.database)) as connection:
        connection.execute(f"INSERT INTO ai_decisions ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    assert integrity.whereabouts(project).unexplained == (f"crop_cropped/{names[2]}",)
    with closing(connect_legacy(legacy_path(workspace, "p"))) as imports:
        imports.execute(
            "INSERT INTO legacy_crops (project_id, filename, source_file) VALUES ('p', ?, 'log.csv')", (names[2],)
        )
    assert integrity.whereabouts(project).is_sound


def test_an_imported_name_explains_no_image_that_was_scanned(project: Project, tmp_path: Path) -> None:
    name = queue(project)[0].filenames[0]
    with closing(connect_legacy(legacy_path(project.workspace, "p"))) as imports:
        imports.execute("INSERT INTO legacy_crops (project_id, filename, source_file) VALUES ('p', ?, 'x')", (name,))
    with losing_the_log(project, tmp_path):
        review(project, "1", *FINALISE)
    assert len(integrity.whereabouts(project).unexplained) == 2


def test_a_row_that_is_no_json_stops_nothing(project: Project) -> None:
    write_image(project.root / "selected" / "theirs.png")
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(
            """INSERT INTO ai_decisions (group_id, timestamp, project_id, images, user_selected_index, user_action,
            image_width, image_height) VALUES ('g', 't', 'p', '{[', 0, 'approve', 1, 1)"""
        )
        connection.commit()
    assert integrity.whereabouts(project).unexplained == ("selected/theirs.png",)


def test_recover_of_a_sound_project_changes_nothing(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    with closing(connect(project.database)) as connection:
        assert recover(project, connection).done == []
    assert clean(project)


# ------------------------------------------------------------------------------------------------ the comparison


def test_replay_follows_moves_and_their_undoing() -> None:
    moves = [(1, "a/x", "selected/x"), (2, "selected/x", "selected/bo/x"), (3, "selected/bo/x", "selected/x")]
    assert replay(moves) == {"selected/x": 3}
    assert origins(moves) == {"selected/x": "a/x"}
    assert replay([*moves, (4, "selected/x", "a/x")]) == {"a/x": 4}


def test_compare_asks_rows_only_about_what_the_journal_leaves() -> None:
    def never() -> set[str]:
        raise AssertionError("asked")

    found = compare({"selected/x"}, {"selected/x": 1}, set(), never, lambda path: None)
    assert found.is_sound
    found = compare({"crop/x", "crop/y"}, {"selected/x": 1}, {"crop/z"}, lambda: {"y"}, lambda path: None)
    assert (found.unexplained, found.misplaced, found.missing) == (("crop/x",), (("selected/x", "crop/x"),), ())
