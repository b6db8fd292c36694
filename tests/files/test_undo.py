"""`undo --batch N` puts everything back, or refuses and moves nothing; `recover` finishes what was begun."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree, write_image
from pickroom.core.errors import ConflictError, PickroomError, UsageError
from pickroom.core.records import CropBox, FileOp
from pickroom.files.batch import recover, undo_batch
from pickroom.files.cropping import Order, submit
from pickroom.files.journal import Outcome
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import decisions as decisions_table
from pickroom.store import groups as groups_table
from pickroom.store import operations
from pickroom.store.connect import connect, transaction
from pickroom.store.workspace import Project, Workspace
from support.reviewing import (
    FINALISE,
    another_disk,
    decisions,
    in_child,
    obey_permissions,
    places,
    queue,
    recommend,
    review,
    rows,
    snapshot,
)

Make = Callable[..., Project]
BOX = (0.1, 0.05, 0.9, 0.85)
GROUPS = [(1, 2), (1, 1.5, 2), (1, 2), (2, 3), (1, 2), (1, 2)]
# pick, crop by hand, reject, keep, AI's crop, undecided
KEYS = ("1", "w", "x", "k", "a")


def undo(project: Project, batch: int = 1) -> Outcome:
    with closing(connect(project.database)) as connection:
        return undo_batch(project, connection, batch)


@pytest.fixture
def project(make_project: Make) -> Project:
    made = make_project(GROUPS, "anna/sub")
    recommend(made, queue(made)[4], 0, BOX, crop_needed=True)
    return made


def without_journal(found: dict) -> dict:
    return {key: value for key, value in found.items() if key != "journal"}


def test_undo_restores_files_rows_choices_and_queue(project: Project) -> None:
    review(project, *KEYS)
    before = snapshot(project)
    review(project, *FINALISE)
    assert set(read_tree(project.root).values()) > set(before["tree"].values())  # sidecars came
    assert len(decisions(project)) == 4

    outcome = undo(project)

    assert sorted(outcome.done) == sorted(group.group_id for group in queue(project)[:5])
    after = snapshot(project)
    assert without_journal(after) == without_journal(before)
    assert {row["state"] for row in after["journal"] if not row["undoing"]} == {"undone"}
    assert {row["state"] for row in after["journal"] if row["undoing"]} == {"done"}


def test_only_the_batch_that_is_named_is_undone(project: Project) -> None:
    first, second, third, *_ = queue(project)
    for keys in (("1",), ("w",), ("x",)):
        review(project, *keys, *FINALISE)
    undo(project, 2)
    assert places(project, first) == ("selected", "delete_staging")
    assert places(project, second) == ("anna/sub",) * 3
    assert places(project, third) == ("delete_staging",) * 2
    assert set(decisions(project)) == {first.group_id, third.group_id}
    assert queue(project)[0] == second  # back at its place in the queue
    undo(project, 3)
    undo(project, 1)
    assert decisions(project) == {}


def test_undone_groups_can_be_finalised_again_under_a_new_number(project: Project) -> None:
    groups = queue(project)
    review(project, *KEYS, *FINALISE)
    finalised = snapshot(project)
    undo(project)
    result = review(project, *FINALISE).last_result
    assert result is not None
    assert result.batch == 2
    again = snapshot(project)
    assert again["tree"] == finalised["tree"]
    assert again["decisions"] == finalised["decisions"]
    assert {row["batch"] for row in again["context"]} == {2}
    undo(project, 2)
    assert [group.group_id for group in queue(project)] == [group.group_id for group in groups]


def test_undoing_twice_is_one_clear_line(project: Project) -> None:
    review(project, "1", *FINALISE)
    undo(project)
    before = snapshot(project)
    with pytest.raises(UsageError) as refused:
        undo(project)
    assert refused.value.line == "batch 1 is already undone while undoing in p"
    assert snapshot(project) == before


def test_unknown_batch_is_refused_with_a_list_of_batches(project: Project) -> None:
    with pytest.raises(UsageError, match=r"no batch has the number 7 .*none yet"):
        undo(project, 7)
    review(project, "1", *FINALISE)
    with pytest.raises(UsageError) as refused:
        undo(project, 7)
    assert refused.value.line == "no batch has the number 7 while undoing in p (batches: 1)"


# --- what came meanwhile -----------------------------------------------------------------------------------------


def names_of(project: Project) -> list[tuple[str, ...]]:
    """The file names of every group ever made, in queue order."""
    with closing(connect(project.database)) as connection:
        return [group.filenames for group in groups_table.every(connection, project.id)]


def companion_of(project: Project, group: int, image: int, suffix: str) -> Path:
    """The path next to an image now that a companion of it has."""
    name = names_of(project)[group][image]
    where = {Path(path).name: Path(path).parent for path in read_tree(project.root)}[name]
    return project.root / where / name.replace(".png", suffix)


def test_a_companion_edited_meanwhile_goes_back_with_its_edit(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    companion_of(project, 0, 0, ".yaml").write_text("a better caption")
    undo(project)
    assert companion_of(project, 0, 0, ".yaml") == project.root / "anna/sub" / names_of(project)[0][0].replace(
        ".png", ".yaml"
    )
    assert companion_of(project, 0, 0, ".yaml").read_text() == "a better caption"


@pytest.mark.parametrize("group", [0, 1, 2, 3, 4], ids=["selected", "crop", "rejected", "kept", "crop_auto"])
def test_a_companion_that_came_meanwhile_goes_back_too(project: Project, group: int) -> None:
    review(project, *KEYS, *FINALISE)
    for suffix in (".xmp", ".hands.json"):
        companion_of(project, group, 1, suffix).write_text(suffix)
    undo(project)
    for suffix in (".xmp", ".hands.json"):
        path = project.root / "anna/sub" / names_of(project)[group][1].replace(".png", suffix)
        assert path.read_text() == suffix
    assert {Path(path).parent.as_posix() for path in read_tree(project.root)} == {"anna/sub"}


def test_other_files_of_the_folders_stay(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    (project.root / "selected" / "notes.txt").write_text("mine")
    write_image(project.root / "selected" / "another.png", 9)
    undo(project)
    assert {path for path in read_tree(project.root) if path.startswith("selected/")} == {
        "selected/notes.txt",
        "selected/another.png",
    }


def edit_the_image(project: Project) -> str:
    path = companion_of(project, 2, 1, ".png")
    write_image(path, 99)
    return f"delete_staging/{path.name} has been changed since"


def remove_the_image(project: Project) -> str:
    path = companion_of(project, 0, 0, ".png")
    path.unlink()
    return f"selected/{path.name} is gone"


def edit_the_sidecar(project: Project) -> str:
    path = companion_of(project, 1, 1, ".decision")
    path.write_text("{}")
    return f"crop/{path.name} has been changed by hand"


def take_its_place(project: Project) -> str:
    path = f"anna/sub/{names_of(project)[3][0]}"
    write_image(project.root / path, 98)
    return f"{path} exists already"


def take_its_stem(project: Project) -> str:
    write_image((project.root / f"anna/sub/{names_of(project)[3][0]}").with_suffix(".jpg"), 98)
    return f"another image with the stem {names_of(project)[3][0].removesuffix('.png')} is in anna/sub/ already"


def take_the_place_of_a_companion(project: Project) -> str:
    path = f"anna/sub/{names_of(project)[0][1].replace('.png', '.yaml')}"
    (project.root / path).write_text("of something else")
    return f"{path} exists already"


def make_the_folder_a_file(project: Project) -> str:
    (project.root / "anna").rename(project.root / "elsewhere")
    (project.root / "anna").write_text("no folder")
    return "anna/sub/ cannot be listed: Not a directory"


def lay_a_link_beside_an_image(project: Project) -> str:
    path = companion_of(project, 0, 0, ".xmp")
    path.symlink_to("nowhere")
    return f"{path} cannot be read: not a plain file"


MEANWHILE = [
    edit_the_image,
    remove_the_image,
    edit_the_sidecar,
    take_its_place,
    take_its_stem,
    take_the_place_of_a_companion,
    make_the_folder_a_file,
    lay_a_link_beside_an_image,
]


@pytest.mark.parametrize("meanwhile", MEANWHILE, ids=lambda function: function.__name__)
def test_change_since_finalise_refuses_whole_undo_with_reason(
    project: Project, meanwhile: Callable[[Project], str]
) -> None:
    review(project, *KEYS, *FINALISE)
    reason = meanwhile(project)
    before = snapshot(project)
    with pytest.raises(ConflictError) as refused:
        undo(project)
    assert reason in refused.value.items
    assert "nothing was moved; put the files right, then undo again" in refused.value.line
    assert snapshot(project) == before


def test_every_reason_is_listed_not_only_the_first(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    reasons = {edit_the_image(project), remove_the_image(project), edit_the_sidecar(project)}
    with pytest.raises(ConflictError, match=r", and 2 more while undoing batch 1") as refused:
        undo(project)
    assert set(refused.value.items) == reasons


def crop_made(project: Project, group_id: str) -> None:
    with closing(connect(project.database)) as connection, transaction(connection):
        connection.execute(
            "UPDATE ai_decisions SET final_crop_coords = '[0.1, 0.1, 0.9, 0.9]' WHERE group_id = ?", (group_id,)
        )


def dropped(project: Project, group_id: str) -> None:
    with closing(connect(project.database)) as connection, transaction(connection):
        decisions_table.set_dropped(connection, group_id, "2025-08-04T06:00:00Z")


@pytest.mark.parametrize("change", [crop_made, dropped], ids=lambda function: function.__name__)
@pytest.mark.parametrize("group", [1, 4], ids=["by hand", "the AI's"])
def test_crop_made_or_dropped_refuses_undo_of_its_batch_only(
    project: Project, group: int, change: Callable[[Project, str], None]
) -> None:
    group_id = queue(project)[group].group_id
    review(project, *KEYS, *FINALISE)
    review(project, "1", *FINALISE)
    change(project, group_id)
    before = snapshot(project)
    with pytest.raises(ConflictError, match="batch 1 has 1 crop made or dropped since") as refused:
        undo(project)
    assert refused.value.items == (group_id,)
    assert snapshot(project) == before
    undo(project, 2)


def test_a_folder_that_has_gone_is_made_again(project: Project) -> None:
    before = read_tree(project.root)
    review(project, *KEYS, "1", *FINALISE)
    (project.root / "anna/sub").rmdir()
    (project.root / "anna").rmdir()
    undo(project)
    assert read_tree(project.root) == before


def test_files_come_back_from_another_disk(make_project: Make, tmp_path: Path, project: Project) -> None:
    with another_disk(tmp_path) as disk:
        (project.root / "delete_staging").symlink_to(disk)
        before = read_tree(project.root)
        review(project, *KEYS, *FINALISE)
        assert read_tree(disk)
        undo(project)
        assert read_tree(disk) == {}
        assert read_tree(project.root) == before


def test_read_only_source_folder_leaves_the_batch_finalised(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    (project.root / "anna/sub").chmod(0o555)
    before = without_journal(snapshot(project))

    def failed() -> dict[str, str]:
        obey_permissions()
        return undo(project).failed

    reasons = in_child(failed)
    (project.root / "anna/sub").chmod(0o755)
    assert len(reasons) == 5
    assert all("Permission denied while moving a file" in reason for reason in reasons.values())
    assert without_journal(snapshot(project)) == before  # still finalised, all of it
    assert len(undo(project).done) == 5


def test_a_rescan_between_finalise_and_undo_changes_nothing(project: Project) -> None:
    review(project, *KEYS)
    before = snapshot(project)
    review(project, *FINALISE)
    projects.rescan(project)
    undo(project)
    projects.rescan(project)
    assert without_journal(snapshot(project)) == without_journal(before)


# --- recover -----------------------------------------------------------------------------------------------------


def test_recovering_when_nothing_was_begun_does_nothing(project: Project) -> None:
    review(project, *KEYS, *FINALISE)
    before = snapshot(project)
    with closing(connect(project.database)) as connection:
        assert recover(project, connection) == Outcome()
    assert snapshot(project) == before


def plan_without_moving(project: Project) -> None:
    """Leave what a process leaves that dies right after its commit."""
    review(project, *KEYS, *FINALISE)
    for row in reversed(rows(project, "SELECT * FROM file_operations")):
        if row["op"] == "move":
            (project.root / row["source"]).parent.mkdir(parents=True, exist_ok=True)
            (project.root / row["destination"]).rename(project.root / row["source"])
        else:
            (project.root / row["destination"]).unlink()
    with closing(connect(project.database)) as connection, transaction(connection):
        connection.execute("UPDATE file_operations SET state = 'planned', finished_at = NULL")


def recover_it(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        recover(project, connection)


def undo_it(project: Project) -> None:
    undo(project)


def finalise_more(project: Project) -> None:
    review(project, "1", *FINALISE)


def review_it(project: Project) -> None:
    assert review(project).state.message == "interrupted work was completed: 5 done"


@pytest.mark.parametrize("act", [recover_it, projects.rescan, review_it], ids=lambda function: function.__name__)
def test_whoever_moves_files_next_finishes_what_was_begun(project: Project, act: Callable[[Project], None]) -> None:
    plan_without_moving(project)
    act(project)
    assert projects.status(project)["planned_operations"] == 0
    assert {Path(path).parent.as_posix() for path in read_tree(project.root)} == {
        "anna/sub",  # the undecided group
        "selected",
        "crop",
        "crop_auto",
        "delete_staging",
    }
    assert len(decisions(project)) == 4


def test_undo_completes_an_interrupted_batch_then_reverts_it(project: Project) -> None:
    before = snapshot(project)
    plan_without_moving(project)
    undo(project)
    after = snapshot(project)
    assert (after["tree"], after["queue"]) == (before["tree"], before["queue"])
    assert decisions(project) == {}


def test_reading_never_finishes_what_was_begun(project: Project) -> None:
    plan_without_moving(project)
    before = read_tree(project.root)
    assert projects.status(project)["planned_operations"] > 0
    assert read_tree(project.root) == before


def test_recovery_puts_back_a_group_whose_file_has_changed(project: Project) -> None:
    plan_without_moving(project)
    group_id = rows(project, "SELECT unit FROM file_operations ORDER BY id LIMIT 1")[0]["unit"]
    write_image(project.root / "anna/sub" / names_of(project)[0][1], 97)
    with closing(connect(project.database)) as connection:
        outcome = recover(project, connection)
    assert list(outcome.failed) == [group_id]
    assert "has changed since it was decided on" in outcome.failed[group_id]
    assert group_id not in decisions(project)
    assert projects.status(project)["held"] == outcome.failed
    assert queue(project)[0].group_id == group_id
    assert places(project, queue(project)[0]) == ("anna/sub", "anna/sub")


def test_open_window_completes_interrupted_work_before_finalise(project: Project) -> None:
    with closing(ReviewSession(project)) as session:
        plan_without_moving(project)
        write_image(project.root / "anna/sub" / names_of(project)[0][1], 97)
        for key in ("Home", "1", *FINALISE):
            session.press(key)
    # what was begun is checked before it is moved, however long ago that was
    (reason,) = projects.status(project)["held"].values()
    assert "has changed since it was decided on" in reason
    batches = projects.status(project)["batches"]
    assert [(b["batch"], b["done"] > 0, b["planned"]) for b in batches] == [(1, True, 0), (2, True, 0)]


def test_a_missing_image_folder_is_one_clear_line_for_both(project: Project) -> None:
    review(project, "1", *FINALISE)
    project.root.rename(project.root.with_name("unplugged"))
    for act in (undo_it, recover_it):
        with pytest.raises(PickroomError, match="the image folder is not there"):
            act(project)


# --- names that are as long as the disk takes ---------------------------------------------------------------------


def with_long_names(workspace: Workspace, folder: Path, length: int) -> Project:
    """A project of two groups; the names of the second have so many bytes."""
    for number, size in enumerate((60, length), start=1):
        for stage in (1, 2):
            stem = f"2025010{number}_10000{stage}_stage{stage}_" + "字" * 80
            write_image(folder / (stem.encode()[: size - 4].decode(errors="ignore") + ".png"), number * 10 + stage)
    return projects.start(workspace, "p", folder)[0]


def longest(folder: Path) -> int:
    return os.pathconf(folder, "PC_NAME_MAX")


def test_a_group_whose_sidecar_has_no_name_is_held_back(workspace: Workspace, images_folder: Path) -> None:
    project = with_long_names(workspace, images_folder, longest(images_folder))
    before = read_tree(project.root)
    held = review(project, "w", "w", *FINALISE).last_result
    assert held is not None and held.counts == {"crop": 1} and held.stuck == {}
    (reason,) = held.held.values()
    assert f"and names in crop/ may have {longest(images_folder)}: give the image and its companions" in reason
    with closing(connect(project.database)) as connection:
        assert recover(project, connection) == Outcome()
    assert len(undo(project).done) == 1
    assert read_tree(project.root) == before
    picked = review(project, "1", "1", *FINALISE).last_result
    assert picked is not None and picked.counts == {"approve": 2}  # without a sidecar there is nothing in its way


def test_a_crop_taken_back_gets_a_name_that_fits(workspace: Workspace, images_folder: Path) -> None:
    project = with_long_names(workspace, images_folder, longest(images_folder) - 5)
    review(project, "w", "w", *FINALISE)
    names = sorted(path.name for path in (project.root / "crop").glob("*.png"))
    waiting = read_tree(project.root)
    with closing(connect(project.database)) as connection:
        box = CropBox(0.1, 0.1, 0.9, 0.9)
        assert len(submit(project, connection, [Order("crop", name, box) for name in names]).done) == 2
    assert len(undo(project, 2).done) == 2
    shelved = [path.name for path in (project.root / "delete_staging").glob("*.undone-2.png")]
    assert sorted(name[:15] for name in shelved) == [name[:15] for name in names]
    assert all(len(name.encode()) <= longest(images_folder) for name in shelved)
    assert set(waiting.items()) < set(read_tree(project.root).items())


def test_a_crop_taken_back_gets_a_path_that_fits(workspace: Workspace, tmp_path: Path) -> None:
    name = "20250101_10000{0}_stage{0}_" + "a" * 60 + ".png"
    most = os.pathconf(tmp_path, "PC_PATH_MAX") - 1  # without the byte that ends it
    folder = tmp_path
    while (room := most - len(os.fsencode(folder)) - len(f"/delete_staging/{name.format(1)}")) > 1:
        folder /= "f" * min(room - 1, 200)
    for stage in (1, 2):
        write_image(folder / name.format(stage), stage)
    project = projects.start(workspace, "p", folder)[0]
    before = read_tree(folder)
    review(project, "w", *FINALISE)
    with closing(connect(project.database)) as connection:
        assert submit(project, connection, [Order("crop", name.format(2), CropBox(0.1, 0.1, 0.9, 0.9))]).done
    assert len(undo(project, 2).done) == len(undo(project, 1).done) == 1
    assert before.items() < read_tree(folder).items()


def test_a_journal_of_before_that_leads_to_too_long_names_ends(workspace: Workspace, images_folder: Path) -> None:
    project = with_long_names(workspace, images_folder, longest(images_folder))
    before = read_tree(project.root)
    group = queue(project)[1]
    too_long = group.filenames[0].replace(".png", ".decision")
    with closing(connect(project.database)) as connection:
        with transaction(connection):
            ops = [
                FileOp(1, "review", group.group_id, "move", image.filename, f"crop/{image.filename}", image.sha256)
                for image in group.images
            ]
            ops.append(FileOp(1, "review", group.group_id, "write", None, f"crop/{too_long}", "aa", content="{}"))
            operations.plan(connection, ops)
        outcome = recover(project, connection)
        assert "File name too long" in outcome.failed[group.group_id] and outcome.stuck == {}
        assert recover(project, connection) == Outcome()
    assert read_tree(project.root) == before
