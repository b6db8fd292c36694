"""Finalise, from the keys to the folders: make a tree, press keys, read the tree and the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image, write_series
from pickroom.core.errors import PickroomError, ProjectError, StoreError
from pickroom.core.records import Group
from pickroom.files.finalise import FinaliseResult, finalise, plan
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.analysing import change
from support.reviewing import (
    FINALISE,
    another_disk,
    decisions,
    fill,
    in_child,
    obey_permissions,
    places,
    queue,
    recommend,
    review,
    rows,
    small_disk,
    snapshot,
)

Make = Callable[..., Project]
BOX = (0.1, 0.05, 0.9, 0.85)
SELECTED, CROP, AUTO, STAGING, STAYS = "selected", "crop", "crop_auto", "delete_staging", "anna"


def finalised(project: Project, *keys: str) -> FinaliseResult:
    result = review(project, *keys, *FINALISE).last_result
    assert result is not None
    return result


def stem(filename: str) -> str:
    return filename.removesuffix(".png")


def the_stage_1_5_of(group: Group) -> Path:
    return Path(group.directory, group.filenames[1])


# --- where each key leads ----------------------------------------------------------------------------------------

# keys on one group of three whose AI pick is the second, with a crop that it calls needed:
# keys -> (folders, ai_route of the sidecar, (user_action, user_selected_index, ai_crop_accepted, selection_match))
KEYS = {
    ("a",): ((STAGING, AUTO, STAGING), "suggestion", ("approve", 1, 1, 1)),
    ("2",): ((STAGING, AUTO, STAGING), "suggestion", ("approve", 1, 1, 1)),
    ("c", "a"): ((STAGING, SELECTED, STAGING), None, ("approve", 1, 0, 1)),
    ("c", "c", "2"): ((STAGING, AUTO, STAGING), "suggestion", ("approve", 1, 1, 1)),
    ("1",): ((SELECTED, STAGING, STAGING), None, ("approve", 0, None, 0)),
    ("e",): ((STAGING, STAGING, CROP), "manual", ("crop", 2, None, 0)),
    ("w",): ((STAGING, CROP, STAGING), "manual", ("crop", 1, None, 1)),
    ("x",): ((STAGING, STAGING, STAGING), None, ("reject", 1, None, None)),
    ("k",): ((SELECTED, SELECTED, SELECTED), None, None),
    ("x", "ArrowUp", "x"): None,  # again: clear
    ("s",): None,
}


@pytest.mark.parametrize("keys", KEYS, ids=" ".join)
def test_every_key_leads_where_the_table_says(make_project: Make, keys: tuple[str, ...]) -> None:
    project = make_project([(1, 1.5, 2), (1, 2)], "anna")
    group, other = queue(project)
    recommend(project, group, 1, BOX, crop_needed=True)
    before = read_tree(project.root)

    session = review(project, *keys, "Home", "Enter", "1", *FINALISE)  # the other group, so that there is one to do

    expected = KEYS[keys]
    folders, ai_route, row = expected or ((STAYS,) * 3, None, None)
    assert places(project, group) == folders
    assert places(project, other) == (SELECTED, STAGING)
    # every file is where its image is, with its bytes; nothing new but the sidecar
    after = read_tree(project.root)
    sidecars = [path for path in after if path.endswith(".decision")]
    assert sorted(before.values()) == sorted(sha256 for path, sha256 in after.items() if path not in sidecars)
    for filename, folder in zip(group.filenames, folders, strict=True):
        assert after[f"{folder}/{stem(filename)}.yaml"] == before[f"anna/{stem(filename)}.yaml"]
    assert len(sidecars) == (ai_route is not None)
    if ai_route:
        place = row[1]
        box = list(BOX) if place == 1 else None
        assert sidecars == [f"{folders[place]}/{stem(group.filenames[place])}.decision"]
        assert json.loads((project.root / sidecars[0]).read_text()) == {
            "group_id": group.group_id,
            "project_id": "p",
            "needs_crop": True,
            "ai_route": ai_route,
            "ai_crop_coords": box,
            "filename": group.filenames[place],
            "directory": "anna",
        }
    stored = decisions(project).get(group.group_id)
    assert (stored is not None) == (row is not None)
    if stored:
        columns = ("user_action", "user_selected_index", "ai_crop_accepted", "selection_match")
        assert tuple(stored[name] for name in columns) == row
        assert (stored["ai_selected_index"], stored["ai_confidence"]) == (1, 0.87)
        assert json.loads(stored["ai_crop_coords"]) == list(BOX)
        assert json.loads(stored["images"]) == list(group.filenames)
        assert (stored["image_width"], stored["image_height"]) == (48, 64)
        assert (stored["directory"], stored["batch_number"]) == ("anna", 1)
    assert [g.group_id for g in queue(project)] == ([] if expected else [group.group_id])
    assert session.last_result is not None
    assert session.last_result.batch == 1


def test_a_kept_group_has_no_row_but_is_noted_and_waits_no_more(make_project: Make) -> None:
    project = make_project([(1, 2)])
    group = queue(project)[0]
    assert finalised(project, "k").line == "Batch 1: 1 kept whole · undo: pickroom undo p --batch 1"
    assert decisions(project) == {}
    assert [(row["group_id"], row["outcome"]) for row in rows(project, "SELECT * FROM decision_context")] == [
        (group.group_id, "keep")
    ]
    assert queue(project) == []


def test_context_records_input_source_versions_and_time(make_project: Make) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 0, versions={"ranker": "v3"})
    ticks = iter(range(100))
    review(project, "1", *FINALISE, clock=lambda: next(ticks) * 2.5)
    context = rows(project, "SELECT * FROM decision_context")[0]
    assert (context["input"], context["source"], context["milliseconds"]) == ("review", "model", 2500)
    assert json.loads(context["versions"]) == {"ranker": "v3"}
    assert context["decided_at"] == decisions(project)[context["group_id"]]["timestamp"]


def test_undecided_groups_stay_undecided(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 1.5), (2, 3)], "anna")
    groups = queue(project)
    finalised(project, "Enter", "1", "s")
    assert [places(project, group) for group in groups] == [(STAYS,) * 2, (SELECTED, STAGING), (STAYS,) * 2]
    assert [group.group_id for group in queue(project)] == [groups[0].group_id, groups[2].group_id]


def test_nothing_is_finalised_before_the_summary_was_confirmed(make_project: Make) -> None:
    project = make_project([(1, 2)])
    before = snapshot(project)
    session = review(project, "1", "Shift+Enter", "Escape")
    assert session.last_result is None
    assert {key: value for key, value in snapshot(project).items() if key != "choices"} == {
        key: value for key, value in before.items() if key != "choices"
    }


def test_summary_and_result_agree(make_project: Make) -> None:
    project = make_project([(1, 2)] * 6)
    groups = queue(project)
    recommend(project, groups[0], 1, BOX, crop_needed=True)
    with closing(ReviewSession(project)) as session:
        for key in ("a", "1", "q", "x", "k", "Shift+Enter"):
            session.press(key)
        assert session.view().summary == (
            "1 group: the AI's pick with its crop → crop_auto/, the others → delete_staging/",
            "1 group: the picked image → selected/, the others → delete_staging/",
            "1 group: the picked image → crop/ for the crop desk, the others → delete_staging/",
            "1 group: every image → delete_staging/",
            "1 group: every image → selected/",
            "1 group: undecided or skipped: stay where they are",
            "Images: 1 to crop/, 1 to crop_auto/, 5 to delete_staging/, 3 to selected/",
        )
        session.press("Shift+Enter")
    images = [path for path in read_tree(project.root) if path.endswith(".png")]
    counts = {
        folder: sum(path.startswith(f"{folder}/") for path in images) for folder in (CROP, AUTO, STAGING, SELECTED)
    }
    assert counts == {CROP: 1, AUTO: 1, STAGING: 5, SELECTED: 3}
    assert session.last_result is not None
    assert session.last_result.counts == {"approve": 2, "crop": 1, "reject": 1, "keep": 1}
    done = "Batch 1: 2 picked, 1 to crop, 1 kept whole, 1 rejected"
    after = "2 wait in 30_crop · undo: pickroom undo p --batch 1"
    assert session.last_result.line == f"{done} · {after}"


def test_batches_are_numbered_one_after_the_other(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    assert [finalised(project, "1").batch for _ in range(3)] == [1, 2, 3]


# --- what holds a group back -------------------------------------------------------------------------------------


def vanished(project: Project, group: Group) -> None:
    (project.root / the_stage_1_5_of(group)).unlink()


def changed(project: Project, group: Group) -> None:
    write_image(project.root / the_stage_1_5_of(group), seed=77)


def image_in_the_way(project: Project, group: Group) -> None:
    write_image(project.root / SELECTED / group.filenames[1], seed=78)


def companion_in_the_way(project: Project, group: Group) -> None:
    (project.root / STAGING).mkdir(exist_ok=True)
    (project.root / STAGING / f"{stem(group.filenames[2])}.yaml").write_text("of another image")


def stem_in_the_way(project: Project, group: Group) -> None:
    write_image(project.root / SELECTED / f"{stem(group.filenames[1])}.jpg", seed=79)


def companion_not_to_be_read(project: Project, group: Group) -> None:
    (project.root / group.directory / f"{stem(group.filenames[0])}.xmp").symlink_to("nowhere")


def folder_is_a_file(project: Project, group: Group) -> None:
    (project.root / CROP).write_text("not a folder")


HELD = {
    # what happened meanwhile: (the change, the key of the group, its reason)
    "an image vanished": (vanished, "2", "{1}.png has vanished since the scan"),
    "an image changed": (changed, "2", "{1}.png has changed since the scan: run `pickroom groups` to read it anew"),
    "an image is in the way": (image_in_the_way, "2", "selected/{1}.png exists already"),
    "a companion is in the way": (companion_in_the_way, "2", "delete_staging/{2}.yaml exists already"),
    "a stem is taken": (stem_in_the_way, "2", "another image with the stem {1} is in selected/ already"),
    "a companion cannot be read": (companion_not_to_be_read, "2", "{0}.xmp cannot be read: not a plain file"),
    "the destination is a file": (folder_is_a_file, "w", "crop/ cannot be listed: Not a directory"),
}


@pytest.mark.parametrize(("change", "key", "reason"), HELD.values(), ids=HELD)
def test_held_group_keeps_its_reason_and_others_are_finalised(
    make_project: Make, change: Callable[[Project, Group], None], key: str, reason: str
) -> None:
    project = make_project([(1, 2), (1, 1.5, 2), (2, 3)], "anna")
    first, held, last = queue(project)
    change(project, held)
    before = read_tree(project.root)

    session = review(project, "1", key, "x", *FINALISE)

    reason = reason.format(*(stem(name) for name in held.filenames))
    result = session.last_result
    assert result is not None
    (told,) = result.held.values()
    assert (list(result.held), told[-len(reason) :]) == ([held.group_id], reason)
    assert result.line == "Batch 1: 1 picked, 1 rejected; 1 held back · undo: pickroom undo p --batch 1"
    # nothing of it moved, and nothing of it was written down as done
    untouched = {
        path: sha256
        for path, sha256 in before.items()
        if not any(stem(name) in path for name in (*first.filenames, *last.filenames))
    }
    after = read_tree(project.root)
    assert {path: after[path] for path in untouched} == untouched
    assert sorted(before.values()) == sorted(after.values())
    assert places(project, first) == (SELECTED, STAGING)
    assert places(project, last) == (STAGING, STAGING)
    assert set(decisions(project)) == {first.group_id, last.group_id}
    assert rows(project, "SELECT * FROM file_operations WHERE unit = ?", held.group_id) == []
    # it waits, with its choice and its reason
    assert [group.group_id for group in queue(project)] == [held.group_id]
    shown = session.view().group
    assert shown is not None
    assert (shown.decided, shown.held_reason) == (True, told)
    assert projects.status(project)["held"] == {held.group_id: told}


def test_leftover_sidecar_holds_back_only_groups_that_write_one(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 2)], "anna")
    held, other = queue(project)
    (project.root / "anna" / f"{stem(held.filenames[0])}.decision").write_text("{}")
    result = finalised(project, "q", "1")
    assert result.held == {held.group_id: f"crop/{stem(held.filenames[0])}.decision exists already"}
    assert (places(project, held), places(project, other)) == (("anna", "anna"), (SELECTED, STAGING))
    assert not (project.root / CROP).exists()
    # where no sidecar is written it is a companion like any other
    assert finalised(project, "1").counts == {"approve": 1}
    assert (project.root / SELECTED / f"{stem(held.filenames[0])}.decision").read_text() == "{}"


def test_a_held_group_goes_through_once_its_reason_is_gone(make_project: Make) -> None:
    project = make_project([(1, 1.5, 2)], "anna")
    group = queue(project)[0]
    image_in_the_way(project, group)
    assert finalised(project, "2").batch is None
    (project.root / SELECTED / group.filenames[1]).unlink()
    assert finalised(project).counts == {"approve": 1}  # the choice was kept
    assert places(project, group) == (STAGING, SELECTED, STAGING)
    assert projects.status(project)["held"] == {}


def test_two_groups_that_want_one_place_do_not_both_get_it(workspace: Workspace, images_folder: Path) -> None:
    # not one name twice, yet one stem twice: their companions could not be told apart in one folder
    (names,) = write_series(images_folder / "a", [(1, 2)])
    for seed, name in enumerate(names):
        write_image(images_folder / "b" / name.replace(".png", ".webp"), seed=50 + seed)
    project = projects.start(workspace, "p", images_folder)[0]
    first, second = queue(project)
    result = finalised(project, "1", "1")
    assert result.counts == {"approve": 1}
    assert set(result.held) == {second.group_id}
    assert places(project, first) == (SELECTED, STAGING)
    assert places(project, second) == ("b", "b")


def test_when_every_group_is_held_back_there_is_no_batch(make_project: Make) -> None:
    project = make_project([(1, 1.5, 2)], "anna")
    vanished(project, queue(project)[0])
    result = finalised(project, "2")
    assert (result.batch, result.line) == (None, "Nothing moved: no group; 1 held back")
    assert projects.status(project)["batches"] == []


# --- what the system refuses on the way --------------------------------------------------------------------------


def lines_without(project: Project, *keys: str) -> tuple[dict[str, str], dict[str, int]]:
    obey_permissions()
    result = finalised(project, *keys)
    assert result.stuck == {}
    return result.held, result.counts


@pytest.mark.parametrize(
    ("folder", "mode", "reason"),
    [
        # the destination lets no file in: found out only when the move is tried
        (SELECTED, 0o555, "Permission denied while moving a file"),
        (STAGING, 0o555, "Permission denied while moving a file"),
        (CROP, 0o555, "Permission denied while"),
        (SELECTED, 0o000, "selected/ cannot be listed: Permission denied"),
        # the source lets none out
        ("anna", 0o555, "Permission denied while moving a file"),
        ("anna", 0o000, "cannot be read: Permission denied"),
    ],
)
def test_folder_without_permission_holds_back_only_its_groups(
    workspace: Workspace, images_folder: Path, folder: str, mode: int, reason: str
) -> None:
    write_series(images_folder / "anna", [(1, 2), (1, 2), (1, 2)])
    project = projects.start(workspace, "p", images_folder)[0]
    before = read_tree(images_folder)
    for name in (SELECTED, STAGING, CROP):
        (images_folder / name).mkdir()
    (images_folder / folder).chmod(mode)
    groups = queue(project)

    held, counts = in_child(lines_without, project, "k", "q", "x")

    (images_folder / folder).chmod(0o755)
    needs = {
        SELECTED: [groups[0]],
        STAGING: [groups[1], groups[2]],
        CROP: [groups[1]],
        "anna": groups,
    }[folder]
    assert set(held) == {group.group_id for group in needs}
    assert all(reason in told for told in held.values())
    assert sum(counts.values()) == 3 - len(needs)
    for group in groups:
        folders = set(places(project, group))
        assert folders == {"anna"} if group in needs else folders <= {SELECTED, STAGING, CROP}
    assert set(before.values()) <= set(read_tree(images_folder).values())
    assert set(decisions(project)) == {group.group_id for group in groups[1:] if group not in needs}
    # with the permission back, what was held goes through
    assert sum(finalised(project).counts.values()) == len(needs)
    assert queue(project) == []


def test_full_disk_holds_back_refused_groups_and_others_go_on(workspace: Workspace, tmp_path: Path) -> None:
    with small_disk(tmp_path, "512k") as disk:
        write_series(disk / "anna", [(1, 2), (1, 2)])
        project = projects.start(workspace, "p", disk)[0]
        needs_sidecar, moves_only = queue(project)
        for name in (CROP, SELECTED, STAGING):
            (disk / name).mkdir()
        filler = fill(disk)
        before = read_tree(disk / "anna")
        result = finalised(project, "q", "1")
        assert list(result.held) == [needs_sidecar.group_id]
        assert "No space left on device while writing a sidecar" in result.held[needs_sidecar.group_id]
        assert "make room on the disk, then try again" in result.held[needs_sidecar.group_id]
        assert places(project, needs_sidecar) == ("anna", "anna")
        assert places(project, moves_only) == (SELECTED, STAGING)
        assert read_tree(disk / "anna").items() <= before.items()
        assert [path for path in read_tree(disk) if ".pickroom-partial" in path] == []
        filler.unlink()
        assert finalised(project).counts == {"crop": 1}
        assert places(project, needs_sidecar) == (CROP, STAGING)


def test_full_database_disk_stops_finalise_before_files_move(tmp_path: Path, images_folder: Path) -> None:
    with small_disk(tmp_path, "2m") as disk:
        write_series(images_folder / "anna", [(1, 2)] * 30)
        project = projects.start(Workspace(disk / "home"), "p", images_folder)[0]
        review(project, *["1"] * 30)
        before = snapshot(project)
        with closing(ReviewSession(project)) as session:
            session.press("Shift+Enter")
            filler = fill(disk)
            with pytest.raises(StoreError, match="full"):
                session.press("Shift+Enter")
            assert read_tree(images_folder) == before["tree"]
            assert session.state.summary
            filler.unlink()
            session.press("Shift+Enter")
            assert session.last_result is not None
            assert session.last_result.counts == {"approve": 30}


def test_destinations_on_another_disk_are_copied_to_and_verified(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2), (1, 2)], "anna")
    groups = queue(project)
    with another_disk(tmp_path) as disk:
        for name in (SELECTED, CROP):
            (disk / name).mkdir()
            (project.root / name).symlink_to(disk / name)
        before = read_tree(project.root)
        result = finalised(project, "1", "q")
        assert (result.counts, result.held) == ({"approve": 1, "crop": 1}, {})
        after = {**read_tree(project.root), **read_tree(disk)}
        for group, folder in zip(groups, (SELECTED, CROP), strict=True):
            for suffix in (".png", ".yaml"):
                name = stem(group.filenames[0]) + suffix
                assert after[f"{folder}/{name}"] == before[f"anna/{name}"]
                assert not (project.root / "anna" / name).exists()


def test_missing_image_folder_is_one_line_and_changes_nothing(make_project: Make) -> None:
    project = make_project([(1, 2)])
    review(project, "1")
    project.root.rename(project.root.with_name("unplugged"))
    with closing(connect(project.database)) as connection:
        ids = [group.group_id for group in queue(project)]
        with pytest.raises(ProjectError, match="the image folder is not there"):
            finalise(project, connection, ids)
    assert decisions(project) == {}


def test_a_pick_beyond_the_images_is_no_recommendation(make_project: Make) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 3)
    finalised(project, "1")
    (row,) = decisions(project).values()
    assert (row["ai_selected_index"], row["ai_confidence"], row["selection_match"]) == (None, None, None)


def test_a_row_the_database_refuses_moves_no_file(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 2)])
    change(project, "UPDATE images SET width = 0 WHERE filename = ?", queue(project)[0].filenames[0])
    before = read_tree(project.root)
    with pytest.raises(PickroomError, match="no file was moved"):
        finalised(project, "1", "1")
    assert read_tree(project.root) == before
    assert decisions(project) == {}
    assert rows(project, "SELECT * FROM file_operations") == []


# --- other windows and later scans -------------------------------------------------------------------------------


def test_a_group_finalised_elsewhere_is_not_finalised_again(make_project: Make) -> None:
    project = make_project([(1, 2)])
    group = queue(project)[0]
    finalised(project, "1")
    before = snapshot(project)
    with closing(connect(project.database)) as connection:
        result = finalise(project, connection, [group.group_id])
    assert (result.batch, result.line) == (None, "Nothing moved: no group")
    assert snapshot(project) == before


def test_a_batch_skipped_from_end_to_end_makes_room_for_the_next(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    first, second, third = (group.group_id for group in queue(project))
    session = review(project, "s", "s", *FINALISE, batch_size=2)
    assert session.last_result is not None
    assert session.last_result.line == "Nothing moved: no group; 2 skipped"
    assert [group.group_id for group in queue(project)] == [third, first, second]


def test_decided_groups_never_come_back_with_a_rescan(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 2)])
    decided, waiting = queue(project)
    finalised(project, "1")
    report = projects.rescan(project)
    assert [group.group_id for group in report.groups] == [waiting.group_id]
    assert decided.group_id in decisions(project)


def test_choices_are_read_from_the_store_not_from_the_screen(make_project: Make) -> None:
    # what another window chose a moment before the confirmation is what counts, after a new look at the summary
    project = make_project([(1, 2), (1, 2)])
    first, second = queue(project)
    with closing(ReviewSession(project)) as session:
        for key in ("1", "Shift+Enter"):
            session.press(key)
        review(project, "End", "x")
        state = session.press("Shift+Enter")
        assert (state.confirmed, session.last_result) == (False, None)
        assert places(project, first) == ("", "")
        for key in FINALISE:
            session.press(key)
    assert places(project, first) == (SELECTED, STAGING)
    assert places(project, second) == (STAGING, STAGING)


def test_finalise_plan_changes_nothing_and_matches_finalise(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2)], "anna")
    groups = queue(project)
    vanished(project, groups[1])
    review(project, "q", "2", "x")
    before = snapshot(project)
    with closing(connect(project.database)) as connection:
        plans, deferred = plan(project, connection, [group.group_id for group in groups], 1, "2025-08-03T06:00:00Z")
    assert snapshot(project) == before
    assert deferred == []
    result = finalised(project)
    assert {item.group.group_id: item.held for item in plans if item.held} == result.held
    planned = [(op.op, op.source, op.destination, op.content) for item in plans for op in item.ops]
    done = rows(project, "SELECT op, source, destination, content FROM file_operations ORDER BY id")
    assert planned == [tuple(row.values()) for row in done]
    assert {item.row.group_id for item in plans if item.row and not item.held} == set(decisions(project))
