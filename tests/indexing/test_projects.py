"""A project's life around the review: started, scanned again, looked at, moved; and no choice ever lost."""

from __future__ import annotations

import json
import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import read_tree, write_image, write_series
from pickroom.core.errors import ConflictError, LockedError, PickroomError, ProjectError, StoreError, UsageError
from pickroom.core.naming import EARLIER_EXTENSIONS, OWNED_FOLDERS, STAGING
from pickroom.files.preflight import project_lock
from pickroom.images import decode
from pickroom.indexing import projects
from pickroom.indexing.regrouping import ScanReport
from pickroom.store import recommendations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace
from support.damaged import write_truncated
from support.reviewing import FINALISE, queue, review, rows, without_renames

MakeProject = Callable[..., Project]


def tree(folder: Path) -> dict[str, str]:
    """Every file but what SQLite lays next to a database while it is read."""
    return {path: sha for path, sha in read_tree(folder).items() if not path.endswith((".db-wal", ".db-shm"))}


def ids(report: ScanReport) -> list[str]:
    return [group.group_id for group in report.groups]


def stages(report: ScanReport) -> list[list[float | None]]:
    return [[image.stage for image in group.images] for group in report.groups]


def reasons(report: ScanReport) -> dict[str, str]:
    return {f"{item.directory}/{item.filename}".lstrip("/"): item.reason for item in report.ungrouped}


def accounted_for(report: ScanReport) -> bool:
    """FORMATS.md: every scan reports images in = grouped + ungrouped."""
    return report.images == sum(len(g.images) for g in report.groups) - len(report.missing) + len(report.ungrouped)


# ------------------------------------------------------------------------------------------------ start


def test_start_scans_groups_and_publishes_the_project(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder / "anna", [(1, 1.5, 2), (1, 2)])
    write_image(images_folder / "holiday.jpg")
    project, report = projects.start(workspace, "p", images_folder, title="Anna")
    assert (report.images, stages(report)) == (6, [[1, 1.5, 2], [1, 2]])
    assert reasons(report) == {"holiday.jpg": "no stage in its name"}
    assert accounted_for(report)
    assert workspace.project("p") == project
    manifest = project.manifest
    assert (manifest.title, manifest.image_count, manifest.group_count) == ("Anna", 6, 2)
    assert (manifest.root, manifest.status) == (str(images_folder), "active")


def test_equal_names_in_two_folders_are_grouped_and_mirrored(workspace: Workspace, images_folder: Path) -> None:
    for folder in ("anna", "bob"):
        write_series(images_folder / folder, [(1, 2)])
    before = read_tree(images_folder)
    project, report = projects.start(workspace, "p", images_folder)
    assert ([group.directory for group in report.groups], report.ungrouped) == (["anna", "bob"], ())
    assert (report.layout, workspace.project("p").is_mirrored, report.renamed) == ("mirror", True, ())
    (note,) = report.notes
    assert "lies in anna/ and in bob/" in note
    assert read_tree(images_folder) == before
    assert projects.rescan(project) == replace(report, notes=())


def test_start_leaves_the_images_alone(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder / "anna", [(1, 2)], companions=(".yaml", ".caption"))
    before = read_tree(images_folder)
    projects.start(workspace, "p", images_folder)
    assert read_tree(images_folder) == before


def test_group_ids_hold_project_second_block_and_place(make_project: MakeProject) -> None:
    groups = queue(make_project([(1, 2)] * 3, project_id="mojo1"))
    heads = {group.group_id.rpartition("_batch")[0] for group in groups}
    assert len(heads) == 1
    assert heads.pop().startswith("mojo1_group_20")
    assert [group.group_id.rpartition("_batch")[2] for group in groups] == ["001_img001", "001_img002", "001_img003"]


def test_every_group_has_the_baselines_recommendation(make_project: MakeProject) -> None:
    project = make_project([(1, 1.5, 2), (1, 2)])
    names = [group.group_id for group in queue(project)]
    with open_read_only(project.database) as connection:
        found = recommendations.of_groups(connection, names)
    assert [(found[name].source, found[name].selected_index) for name in names] == [("baseline", 2), ("baseline", 1)]


def test_no_absolute_path_is_stored_but_the_root(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)], folder="anna")
    review(project, "q", *FINALISE)
    for path in sorted(project.workspace.root.rglob("*")):
        if path.is_file() and path != project.manifest_file:
            assert str(tmp_path).encode() not in path.read_bytes(), path
    values = json.loads(project.manifest_file.read_text())
    assert [key for key, value in values.items() if str(tmp_path) in str(value)] == ["root"]


def make_another_project(workspace: Workspace, root: Path) -> None:
    write_series(root / "taken" / "inner", [(1, 2)])
    projects.start(workspace, "other", root / "taken" / "inner")


@pytest.mark.parametrize(
    ("project_id", "folder", "error", "says"),
    [
        pytest.param("", "good", ProjectError, "cannot be a project's name", id="no name"),
        pytest.param("a/b", "good", ProjectError, "cannot be a project's name", id="a path as name"),
        pytest.param("p_legacy", "good", ProjectError, "cannot be a project's name", id="the imports' name"),
        pytest.param("other", "good", ProjectError, "is there already", id="a name in use"),
        pytest.param("p", "gone", ProjectError, "does not exist", id="a missing folder"),
        pytest.param("p", "good/file.txt", UsageError, "a file, not a folder", id="a file"),
        pytest.param("p", "empty", ProjectError, "holds no images", id="an empty folder"),
        pytest.param("p", "texts", ProjectError, "holds no images", id="a folder without images"),
        pytest.param("p", "sorted", ProjectError, "holds no images", id="images in owned folders alone"),
        pytest.param("p", "taken/inner", ProjectError, "'other' has this folder", id="another project's folder"),
        pytest.param("p", "taken", ProjectError, "'other' has this folder", id="a folder above another project's"),
        pytest.param("p", "taken/inner/deep", ProjectError, "'other' has this folder", id="a folder in another's"),
    ],
)
def test_wrong_start_is_one_line_and_writes_nothing_at_all(
    workspace: Workspace, tmp_path: Path, project_id: str, folder: str, error: type[PickroomError], says: str
) -> None:
    write_series(tmp_path / "good", [(1, 2)])
    (tmp_path / "good" / "file.txt").write_text("x")
    write_image(tmp_path / "sorted" / "selected" / "a.png")
    for name in ("empty", "texts", "taken/inner/deep"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "texts" / "a.yaml").write_text("x")
    make_another_project(workspace, tmp_path)
    before = sorted(str(path) for path in tmp_path.rglob("*")), read_tree(tmp_path)
    with pytest.raises(error, match=says) as caught:
        projects.start(workspace, project_id, tmp_path / folder)
    assert "\n" not in caught.value.line
    assert (sorted(str(path) for path in tmp_path.rglob("*")), read_tree(tmp_path)) == before


def test_wrong_start_in_a_new_home_does_not_even_make_the_home(workspace: Workspace, images_folder: Path) -> None:
    with pytest.raises(ProjectError):
        projects.start(workspace, "p", images_folder)
    assert not workspace.root.exists()


def test_folder_of_unreadable_images_is_a_project_with_reasons(workspace: Workspace, images_folder: Path) -> None:
    write_truncated(images_folder / "a.png")
    _, report = projects.start(workspace, "p", images_folder)
    assert (report.images, report.groups, reasons(report)) == (1, (), {"a.png": "truncated"})


def test_folder_given_through_a_link_is_stored_as_it_really_lies(
    workspace: Workspace, images_folder: Path, tmp_path: Path
) -> None:
    write_series(images_folder, [(1, 2)])
    (tmp_path / "link").symlink_to(images_folder)
    project, _ = projects.start(workspace, "p", tmp_path / "link")
    assert project.root == images_folder


def test_workspace_that_lies_among_the_images_is_no_source(tmp_path: Path) -> None:
    write_series(tmp_path, [(1, 2)])
    for folder in ("data", "sandbox/p", "reports", "archives"):
        write_image(tmp_path / folder / f"{folder[:3]}.png")
    project, report = projects.start(Workspace(tmp_path), "p", tmp_path)
    assert (report.images, len(report.groups)) == (2, 1)
    assert projects.rescan(project).images == 2  # the previews in data/ are no images either


def test_start_that_was_killed_over_its_claim_is_started_again(
    workspace: Workspace, images_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(images_folder, [(1, 2)])
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "p.json").touch()  # as on exFAT: an empty file claims the name
    with pytest.raises(ProjectError, match="is there already"):
        projects.start(workspace, "p", images_folder)
    without_renames(monkeypatch)
    projects.start(workspace, "p", images_folder)
    assert workspace.project("p").root == images_folder


def test_start_that_was_interrupted_is_simply_started_again(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    project, first = projects.start(workspace, "p", images_folder)
    project.manifest_file.unlink()
    _, second = projects.start(workspace, "p", images_folder)
    assert ids(second) == ids(first)


def test_names_with_odd_bytes_are_listed_and_stop_nothing(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    write_image(images_folder / "odd\udcff" / "a\udcfe.png")
    write_image(images_folder / "b\udcfd.png")
    project, report = projects.start(workspace, "p", images_folder)
    assert accounted_for(report)
    assert set(reasons(report).values()) == {"name is not valid UTF-8: rename it"}
    json.dumps(report.to_dict())
    assert projects.status(project)["ungrouped"] == 2


# ------------------------------------------------------------------------------------------------ scan again


def test_scan_of_an_unchanged_folder_changes_nothing(make_project: MakeProject) -> None:
    project = make_project([(1, 2), (1, 1.5, 2)])
    before = rows(project, "SELECT * FROM groups"), rows(project, "SELECT * FROM images")
    report = projects.rescan(project)
    assert (rows(project, "SELECT * FROM groups"), rows(project, "SELECT * FROM images")) == before
    assert ids(report) == [group.group_id for group in queue(project)]


def test_unreadable_file_is_opened_once_and_listed_by_every_scan(
    workspace: Workspace, images_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_series(images_folder, [(1, 2)])
    bad = write_truncated(images_folder / "bad.png")
    project, first = projects.start(workspace, "p", images_folder)
    opened: list[Path] = []
    real = decode.open_image
    monkeypatch.setattr(decode, "open_image", lambda path, **options: opened.append(path) or real(path, **options))
    assert projects.rescan(project).ungrouped == first.ungrouped
    assert opened == []
    write_image(bad)
    assert {item.reason for item in projects.rescan(project).ungrouped} == {"no stage in its name"}
    assert set(opened) == {bad}


def test_new_images_become_new_groups_behind_the_old_ones(make_project: MakeProject, images_folder: Path) -> None:
    project = make_project([(1, 2)])
    old = [group.group_id for group in queue(project)]
    write_series(images_folder / "bob", [(1, 2, 3)])
    for path in (images_folder / "bob").iterdir():  # the same names as the first folder's would be duplicates
        path.rename(path.with_name(path.name.replace("20250803", "20250901")))
    report = projects.rescan(project)
    assert ids(report)[: len(old)] == old
    assert stages(report) == [[1, 2], [1, 2, 3]]
    assert len(set(ids(report))) == 2


def test_rescan_updates_manifest_counts_and_nothing_else(make_project: MakeProject, images_folder: Path) -> None:
    project = make_project([(1, 2), (1, 2)], folder="anna")
    changed = project.with_manifest(notes="of the summer")  # since this project was opened
    before = project.manifest_file.stat()
    projects.rescan(project)
    after = project.manifest_file.stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)  # the same counts: not written
    write_series(images_folder / "bob", [(1, 1.5, 2)])
    for path in (images_folder / "bob").iterdir():
        path.rename(path.with_name(path.name.replace("20250803", "20250901")))
    projects.rescan(project)
    assert project.workspace.project("p") == replace(
        changed, manifest=replace(changed.manifest, image_count=7, group_count=3)
    )
    review(project, "q", *FINALISE)  # its images leave the folders of sources
    projects.rescan(project)
    manifest = project.workspace.project("p").manifest
    assert (manifest.image_count, manifest.group_count) == (7, 3)


def test_group_whose_image_is_gone_is_made_anew(make_project: MakeProject) -> None:
    project = make_project([(1, 1.5, 2), (1, 2)])
    first, second = queue(project)
    project.path("", first.filenames[1]).unlink()
    report = projects.rescan(project)
    assert sorted(group.filenames for group in report.groups) == sorted(
        [(first.filenames[0], first.filenames[2]), second.filenames]
    )
    assert second.group_id in ids(report)
    assert first.group_id not in ids(report)
    assert accounted_for(report)


def test_ids_are_never_given_twice_even_within_one_second(make_project: MakeProject) -> None:
    # several scans a second; each dissolves groups of the scan before and makes others
    project = make_project([(1, 1.5, 2, 3)] * 3)
    given = {group.group_id: group.filenames for group in queue(project)}
    for gap in (5, 1, 5, 1, 5, 1):
        project.path("", queue(project)[0].filenames[0]).unlink()
        report = projects.rescan(project, gap=timedelta(minutes=gap))
        assert accounted_for(report)
        for group in report.groups:
            assert given.setdefault(group.group_id, group.filenames) == group.filenames


def test_another_gap_keeps_ids_of_unchanged_groups(make_project: MakeProject) -> None:
    project = make_project([(1, 2), (1, 1.5, 2)])
    far = queue(project)[1].filenames[2]
    later = far.replace("_060200_", "_060400_").replace("_070200_", "_070400_")
    project.path("", far).rename(project.path("", later))
    kept, stretched = projects.rescan(project).groups
    report = projects.rescan(project, gap=timedelta(minutes=2))
    assert stages(report) == [[1, 2], [1, 1.5]]
    assert report.groups[0] == kept
    assert report.groups[1].group_id != stretched.group_id
    assert reasons(report) == {later: "no higher stage within 2 minutes"}


def test_choice_is_kept_by_a_scan_that_would_group_otherwise(make_project: MakeProject) -> None:
    project = make_project([(1, 1.5, 2), (1, 2)])
    chosen, other = queue(project)
    review(project, "3")
    report = projects.rescan(project, gap=timedelta(seconds=1))
    assert report.groups == (chosen,)
    assert set(reasons(report)) == set(other.filenames)
    assert accounted_for(report)
    assert rows(project, "SELECT action, selected_index FROM review_state WHERE action <> 'undecided'") == [
        {"action": "approve", "selected_index": 2}
    ]


@pytest.mark.parametrize(
    "harm",
    [
        pytest.param(lambda path: path.unlink(), id="gone"),
        pytest.param(write_truncated, id="truncated"),
        pytest.param(lambda path: write_image(path, seed=99), id="changed"),
        pytest.param(lambda path: shutil.copy(path, path.with_suffix(".jpg")), id="ambiguous"),
        pytest.param(
            lambda path: write_image(path.parent / "bob" / path.name, seed=98),
            id="met again elsewhere",
        ),
    ],
)
def test_choice_is_kept_whatever_happens_to_its_images(
    make_project: MakeProject, harm: Callable[[Path], object]
) -> None:
    project = make_project([(1, 1.5, 2), (1, 2)])
    group = queue(project)[0]
    review(project, "3")
    harm(project.path("", group.filenames[0]))
    report = projects.rescan(project)
    assert group.group_id in ids(report)
    assert accounted_for(report)
    assert rows(project, "SELECT action FROM review_state WHERE selected_index = 2") == [{"action": "approve"}]


def test_missing_member_of_a_chosen_group_is_listed(make_project: MakeProject) -> None:
    project = make_project([(1, 2)], folder="anna")
    review(project, "1")
    name = queue(project)[0].filenames[1]
    project.path("anna", name).unlink()
    assert projects.rescan(project).missing == (f"anna/{name}",)


def test_decided_groups_are_no_sources_and_keep_their_rows(make_project: MakeProject) -> None:
    project = make_project([(1, 2), (1, 1.5)])
    decided, waiting = queue(project)
    review(project, "2", *FINALISE)
    report = projects.rescan(project)
    assert report.groups == (waiting,)
    assert (report.images, accounted_for(report)) == (2, True)
    assert rows(project, "SELECT group_id, user_selected_index FROM ai_decisions") == [
        {"group_id": decided.group_id, "user_selected_index": 1}
    ]


def test_name_of_a_decided_image_in_a_new_folder_mirrors(make_project: MakeProject, images_folder: Path) -> None:
    project = make_project([(1, 2)])
    decided = queue(project)[0]
    review(project, "2", *FINALISE)
    for name in decided.filenames:
        write_image(images_folder / "again" / name, seed=50)
    report = projects.rescan(project)
    assert [group.directory for group in report.groups] == ["again"]
    assert reasons(report) == {}
    (note,) = report.notes
    assert note.startswith(f"{decided.filenames[0]} lies in {STAGING}/ and in again/: selected/ and the others hold")
    review(project, "1", *FINALISE)
    first, second = decided.filenames
    assert {path for path in read_tree(images_folder) if path.endswith("png")} == {
        f"{STAGING}/{first}",
        f"selected/{second}",
        f"selected/again/{first}",
        f"{STAGING}/again/{second}",
    }


def test_new_image_in_place_of_a_decided_one_keeps_decided_rows(make_project: MakeProject, images_folder: Path) -> None:
    project = make_project([(1, 2), (1, 2)])
    (name, _), _ = (group.filenames for group in queue(project))
    review(project, "2", *FINALISE)
    query = "SELECT * FROM images ORDER BY filename"
    decided_on = rows(project, query)
    write_image(images_folder / name, seed=50, size=(20, 30))
    report = projects.rescan(project)
    told = {name: "duplicate name: an image of this name is in a decided group"}
    assert reasons(report) == told
    assert [{**row, "reason": None} for row in map(dict, rows(project, query))] == [dict(row) for row in decided_on]
    assert {row["filename"]: row["reason"] for row in rows(project, query) if row["reason"]} == told
    (images_folder / name).unlink()
    assert reasons(projects.rescan(project)) == {}
    assert rows(project, query) == decided_on


def test_image_moved_out_of_a_chosen_group_is_listed_with_reason(
    make_project: MakeProject, images_folder: Path
) -> None:
    project = make_project([(1, 2)])
    name = queue(project)[0].filenames[0]
    review(project, "2")
    (images_folder / "bob").mkdir()
    (images_folder / name).rename(images_folder / "bob" / name)
    report = projects.rescan(project)
    assert list(reasons(report)) == [f"bob/{name}"]
    assert report.layout == "flat"
    assert report.missing == (f"./{name}",)


def test_scan_without_the_folder_changes_nothing(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    project.root.rename(tmp_path / "unplugged")
    before = rows(project, "SELECT * FROM images")
    with pytest.raises(ProjectError, match="pickroom relocate p"):
        projects.rescan(project)
    assert rows(project, "SELECT * FROM images") == before


def test_scan_is_refused_while_files_are_being_moved(make_project: MakeProject) -> None:
    project = make_project([(1, 2)])
    with project_lock(project, "finalising"), pytest.raises(LockedError, match="finalising"):
        projects.rescan(project)


# ------------------------------------------------------------------------------------------------ relocate


def test_project_follows_its_folder(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2), (1, 2)], folder="anna")
    review(project, "2", *FINALISE)
    project.root.rename(tmp_path / "moved")
    moved = projects.relocate(project.workspace, "p", tmp_path / "moved")
    assert moved.root == tmp_path / "moved"
    assert project.workspace.project("p") == moved
    review(moved, "1", *FINALISE)
    assert len(list((tmp_path / "moved" / "selected").glob("*.png"))) == 2


def test_relocating_changes_one_field_of_one_file(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    shutil.copytree(project.root, tmp_path / "copy")
    before = json.loads(project.manifest_file.read_text())
    projects.relocate(project.workspace, "p", tmp_path / "copy")
    after = json.loads(project.manifest_file.read_text())
    assert {key for key in after if after[key] != before[key]} == {"root"}


@pytest.mark.parametrize(
    ("folder", "error", "says"),
    [
        ("gone", ProjectError, "does not exist"),
        ("file.txt", UsageError, "a file, not a folder"),
        ("empty", ConflictError, "none of the project's images"),
        ("others", ConflictError, "none of the project's images"),
        ("taken/inner", ProjectError, "'other' has this folder"),
        ("taken", ProjectError, "'other' has this folder"),
    ],
)
def test_wrong_relocation_is_one_line_and_changes_nothing(
    make_project: MakeProject, tmp_path: Path, folder: str, error: type[PickroomError], says: str
) -> None:
    project = make_project([(1, 2)])
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.txt").write_text("x")
    write_image(tmp_path / "others" / "a.png")
    make_another_project(project.workspace, tmp_path)
    shutil.copytree(project.root, tmp_path / "taken", dirs_exist_ok=True)
    shutil.copytree(project.root, tmp_path / "taken" / "inner", dirs_exist_ok=True)
    before = tree(tmp_path)
    with pytest.raises(error, match=says):
        projects.relocate(project.workspace, "p", tmp_path / folder)
    assert tree(tmp_path) == before


def test_unknown_project_cannot_be_relocated(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="no project is named 'p'"):
        projects.relocate(workspace, "p", tmp_path)


# ------------------------------------------------------------------------------------------------ status


def test_status_of_a_new_project(make_project: MakeProject) -> None:
    project = make_project([(1, 2), (1, 1.5, 2)])
    write_image(project.root / "holiday.jpg")
    projects.rescan(project)
    assert projects.status(project) == {
        "project_id": "p",
        "title": "p",
        "status": "active",
        "root": str(project.root),
        "root_exists": True,
        "in_place": None,
        "groups": 2,
        "waiting": 2,
        "imported": 0,
        "chosen": 0,
        "decided": {},
        "ungrouped": 1,
        "unseen_singles": 1,
        "skipped": [],
        "incomplete_crops": [],
        "planned_operations": 0,
        "unfinished": [],
        "batches": [],
        "held": {},
        "performance": {},
        "unexplained": [],
        "misplaced": [],
        "missing": [],
    }


def test_status_after_a_finalise(make_project: MakeProject) -> None:
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2)])
    first, second, third, _ = queue(project)
    project.path("", third.filenames[0]).unlink()
    review(project, "2", "q", "1", *FINALISE)
    found = projects.status(project)
    assert (found["groups"], found["waiting"], found["decided"]) == (4, 2, {"approve": 1, "crop": 1})
    assert found["incomplete_crops"] == [second.filenames[0]]
    assert found["held"] == {third.group_id: f"{third.filenames[0]} has vanished since the scan"}
    (batch,) = found["batches"]
    assert (batch["batch"], batch["operations"], batch["done"]) == (1, 11, 11)
    assert found["performance"]["selection_accuracy"] == 0.5
    assert first.group_id not in {group.group_id for group in queue(project)}


def test_status_is_plain_json_and_writes_nothing(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    before = tree(tmp_path)
    json.dumps(projects.status(project))
    assert tree(tmp_path) == before


def test_status_says_when_the_folder_is_not_there(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    project.root.rename(tmp_path / "unplugged")
    assert projects.status(project)["root_exists"] is False


def test_status_without_a_database_is_one_line(make_project: MakeProject) -> None:
    project = make_project([(1, 2)])
    for path in project.database.parent.glob("p.db*"):
        path.unlink()
    with pytest.raises(StoreError, match="the database does not exist"):
        projects.status(project)
    assert not project.database.exists()


# ------------------------------------------------------------------------------------------------ any folder at all


STAGED = [
    f"2025080{day}_060{minute}00_stage{stage}_x.png"
    for day in (1, 2)
    for minute, stage in enumerate(("1", "1.5", "2", "3"))
]
ODD = ["20250801_060000_stage1_x.jpg", "IMG_1.png", "a.png", "A.PNG", "a.yaml", ".hidden.png", "b\udcff.png"]
NAMES = [*STAGED, *STAGED, *ODD]
FOLDERS = ["", "", "", "anna", "anna", "anna/deep", "selected", "anna/crop", ".git"]
KINDS = ["good"] * 20 + ["truncated", "empty", "text", "link", "pipe", "folder"]
FILES = st.lists(
    st.tuples(st.sampled_from(FOLDERS), st.sampled_from(NAMES), st.sampled_from(KINDS)), min_size=6, max_size=25
)


def put(root: Path, folder: str, name: str, kind: str, seed: int) -> None:
    path = root / folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(path):
        return
    if kind == "good":
        write_image(path, seed, (6, 8)) if not name.endswith("yaml") else path.write_text("x: 1")
    elif kind == "truncated":
        write_truncated(path) if not name.endswith("yaml") else path.write_text("")
    elif kind == "link":
        path.symlink_to(root / "nowhere")
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"" if kind == "empty" else b"text")


def images_on_disk(root: Path) -> int:
    """Every image in a source folder, counted by other means than the scan's."""
    count = 0
    for folder, folders, files in os.walk(root):
        inside = Path(folder).relative_to(root).parts
        folders[:] = [f for f in folders if not f.startswith(".") and (inside or f not in OWNED_FOLDERS)]
        links = [f for f in os.listdir(folder) if os.path.islink(os.path.join(folder, f)) and f not in files]
        for name in [*files, *links]:
            count += not name.startswith(".") and name.lower().endswith((".png", ".jpg"))
    return count


def check(project: Project, report: ScanReport, choices: dict[str, Any]) -> None:
    assert report.images == images_on_disk(project.root)
    assert accounted_for(report)
    grouped = [(i.directory, i.filename) for group in report.groups for i in group.images]
    alone = [(item.directory, item.filename) for item in report.ungrouped]
    assert len(set(grouped)) == len(grouped)
    assert len(set(alone)) == len(alone)
    assert set(grouped).isdisjoint(alone)
    assert all(item.reason for item in report.ungrouped)
    kept = {row["group_id"]: dict(row) for row in rows(project, CHOICES)}
    assert {group_id: kept[group_id] for group_id in choices} == choices


CHOICES = "SELECT group_id, action, selected_index, overlay FROM review_state WHERE action <> 'undecided'"


@settings(max_examples=30, deadline=None)
@given(FILES, FILES, st.lists(st.sampled_from("12qxksau"), max_size=4), st.booleans(), st.randoms())
def test_rescan_accounts_for_every_image_and_keeps_choices(
    first: list[tuple[str, str, str]],
    later: list[tuple[str, str, str]],
    keys: list[str],
    finalise: bool,
    chance: random.Random,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "images"
        write_image(root / "always.png", size=(6, 8))
        for seed, file in enumerate(first):
            put(root, *file, seed)
        project, report = projects.start(Workspace(Path(folder) / "home"), "p", root)
        check(project, report, {})

        session = review(project, *keys, *(FINALISE if finalise else ()))
        assert session.last_result is None or not session.last_result.stuck
        choices = {row["group_id"]: dict(row) for row in rows(project, CHOICES)}
        files = [path for path in sorted(root.rglob("*")) if path.is_file() and "selected" not in path.parts]
        for path in chance.sample(files, min(len(files), 4)):
            path.unlink()
        for seed, file in enumerate(later, start=100):
            put(root, *file, seed)
        check(project, projects.rescan(project), choices)
        again = projects.rescan(project)
        check(project, again, choices)
        assert projects.rescan(project) == again


def test_every_project_of_a_workspace_keeps_to_its_own_database(workspace: Workspace, tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_series(tmp_path / name, [(1, 2)])
        projects.start(workspace, name, tmp_path / name)
    review(workspace.project("a"), "1", *FINALISE)
    assert [projects.status(project)["waiting"] for project in workspace.projects()] == [0, 1]
    with closing(os.scandir(workspace.decisions)) as found:
        assert {entry.name for entry in found} >= {"a.db", "b.db"}


# ------------------------------------------------------------------------------------------------ projects of the past

EARLIER = {
    "schemaVersion": 1,
    "projectId": "mojo1",
    "title": "Mojo 1",
    "status": "active",
    "startedAt": "2025-10-01T00:00:00Z",
    "finishedAt": "2025-10-11T17:29:49Z",
    "paths": {"root": "../../mojo1"},
    "counts": {"initialImages": 19183, "finalImages": 6453},
}


def test_registered_project_is_finished_and_has_no_images(workspace: Workspace, images_folder: Path) -> None:
    made = projects.register(workspace, "mojo1", aliases=["training data/mojo1_final"])
    assert (made.manifest.status, made.manifest.root, made.manifest.finished_at) == ("finished", "", None)
    found = projects.status(workspace.project("mojo1"))
    assert (found["root"], found["root_exists"], found["groups"]) == ("", False, 0)
    with pytest.raises(ProjectError, match="there already"):
        projects.register(workspace, "mojo1")
    with pytest.raises(ProjectError, match=r"registered without images .* pickroom start mojo1 --images"):
        projects.rescan(made)
    write_series(workspace.root, [(1, 2)])  # a folder above its manifest is another project's to take
    projects.start(workspace, "other", workspace.root)


def test_registered_project_gets_images_later(workspace: Workspace, images_folder: Path) -> None:
    projects.register(workspace, "p", title="P", aliases=["old/p"])
    write_series(images_folder, [(1, 2)])
    made, report = projects.start(workspace, "p", images_folder, aliases=["q"])
    assert (made.manifest.status, made.manifest.title, made.manifest.aliases) == ("active", "P", ("old/p", "q"))
    assert (made.root, made.manifest.group_count, len(report.groups)) == (images_folder, 1, 1)
    with pytest.raises(ProjectError, match="there already"):
        projects.start(workspace, "p", images_folder)


def test_file_of_the_earlier_system_gives_title_and_dates(workspace: Workspace) -> None:
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "mojo1.project.json").write_text(json.dumps(EARLIER))
    (workspace.manifests / "mojo2.project.json").write_text(json.dumps(EARLIER))  # the name of another
    assert list(workspace.earlier_projects()) == ["mojo1"]
    assert workspace.project_ids() == []
    made = projects.register(workspace, "mojo1").manifest
    assert (made.title, made.status, made.root) == ("Mojo 1", "finished", "")
    assert (made.created_at, made.finished_at) == (EARLIER["startedAt"], EARLIER["finishedAt"])


@pytest.mark.parametrize("text", ["{}", "[]", '{"projectId": "mojo1", "allowedExtensions": ["png"]}', "3", "null"])
def test_files_of_other_programs_are_no_projects(workspace: Workspace, images_folder: Path, text: str) -> None:
    workspace.manifests.mkdir(parents=True)
    other = workspace.manifests / "mojo1_allowed_ext.json"
    other.write_text(text)
    assert (workspace.project_ids(), list(workspace.projects())) == ([], [])
    assert workspace.other_files() == ["mojo1_allowed_ext.json"]
    write_series(images_folder, [(1, 2)])
    with pytest.raises(ProjectError, match="no project"):
        workspace.project("mojo1_allowed_ext")
    with pytest.raises(ProjectError, match="a file of another program has this project's name"):
        projects.start(workspace, "mojo1_allowed_ext", images_folder)
    assert other.read_text() == text


@pytest.mark.parametrize("text", ["{", '{"project_id": "p"}', '{"schema_version": 1}', ""])
def test_damaged_manifest_is_never_ignored(workspace: Workspace, text: str) -> None:
    workspace.manifests.mkdir(parents=True)
    (workspace.manifests / "p.json").write_text(text)
    assert workspace.project_ids() == ["p"]
    with pytest.raises(ProjectError, match="damaged"):
        workspace.project("p")


def test_manifest_of_a_project_with_a_database_is_its_own(make_project: MakeProject) -> None:
    project = make_project([(1, 2)])
    project.manifest_file.write_text("{}")
    assert project.workspace.project_ids() == ["p"]
    with pytest.raises(ProjectError, match="damaged"):
        project.workspace.project("p")


def test_start_groups_and_status_count_what_is_skipped(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    for name in ("a.gif", "b.gif", "c.EXR"):
        (images_folder / name).write_bytes(b"x")
    project, report = projects.start(workspace, "p", images_folder)
    counted = [("." + extension, count) for extension, count in (("exr", 1), ("gif", 2))]
    for found in (report.to_dict(), projects.rescan(project).to_dict(), projects.status(project)):
        assert [(item["extension"], item["files"]) for item in found["skipped"]] == counted


def test_folder_of_nothing_but_skipped_files_says_so(workspace: Workspace, images_folder: Path) -> None:
    images_folder.mkdir(exist_ok=True)
    (images_folder / "a.EXR").write_bytes(b"x")
    with pytest.raises(ProjectError, match=r"holds no images, and 1 \.exr: the format is not read"):
        projects.start(workspace, "p", images_folder)


def test_project_of_version_0_1_reads_the_newer_formats(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    project, _ = projects.start(workspace, "p", images_folder)
    project.with_manifest(allowed_extensions=EARLIER_EXTENSIONS)
    write_image(images_folder / "new.avif")
    assert projects.rescan(workspace.project("p")).images == 3
    project.with_manifest(allowed_extensions=("png",))  # the user's own list stands
    assert workspace.project("p").manifest.allowed_extensions == ("png",)
