"""Apply: the dry run is the journal, every verdict leads where it says, an error puts everything back, undo too."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PillowImage

from conftest import read_tree
from pickroom.automation import apply, sandbox
from pickroom.automation.decisions_file import read_approved, write_lines
from pickroom.automation.generate import generate
from pickroom.automation.planning import line_of
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ConflictError, FileOperationError, ImageError, PickroomError, StoreError, UsageError
from pickroom.core.records import CropBox, FileOp
from pickroom.files import cropping
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.storage import atomic
from pickroom.store import operations
from pickroom.store.connect import connect
from pickroom.store.crops import of_batch
from pickroom.store.workspace import Project
from support.automating import (
    BOX,
    approve_all,
    change_line,
    cover,
    groups_of,
    images_tree,
    person,
    proposals_of,
    proposed,
    review,
)
from support.reviewing import decisions, fill, in_child, obey_permissions, places, queue, rows, small_disk

Make = Callable[..., Project]
DRAWN = CropBox(0.1, 0.1, 0.9, 0.9)
STAGING, SELECTED, ORIGINALS, BY_HAND = "delete_staging", "selected", "crop_originals", "crop"


@pytest.fixture
def place(make_project: Make) -> AutomationTarget:
    """Six groups in a copy: the last image is proposed, with a crop for every second one."""
    return proposed(make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2), (1, 2), (1, 2)], folder="anna"))


def state_of(place: AutomationTarget) -> dict[str, Any]:
    """Everything an apply may change, but for times."""
    return {
        "tree": images_tree(place.project.root),
        "decisions": [{**row, "timestamp": ""} for row in decisions(place.project).values()],
        "context": rows(place.project, "SELECT group_id, batch, input, outcome FROM decision_context"),
        "crops": rows(place.project, "SELECT batch, filename FROM crops"),
        "queue": [group.group_id for group in queue(place.project)],
    }


def test_every_verdict_leads_where_it_says(place: AutomationTarget) -> None:
    one, two, three, four, five, six = groups_of(place)
    review(place, "a", "a", "1", "Shift+1", "k", "r", "Shift+Enter", "Shift+Enter")
    before = images_tree(place.folder)

    done = apply.apply(place)

    assert len(done.plan.items) == 5 and done.stuck == ""
    assert places(place.project, one) == (STAGING, SELECTED)
    assert places(place.project, three) == (SELECTED, STAGING)
    assert places(place.project, four) == (BY_HAND, STAGING)
    assert places(place.project, five) == (SELECTED, SELECTED)
    assert places(place.project, six) == ("anna", "anna")
    after = images_tree(place.folder)
    # the crop that was approved is rendered; its original and everything else is there to the byte
    crop = f"crop_cropped/{two.filenames[2]}"
    sidecar = f"crop/{four.filenames[0].removesuffix('.png')}.decision"
    assert sorted(v for k, v in after.items() if k not in (crop, sidecar)) == sorted(before.values())
    assert after[f"crop_originals/{two.filenames[2]}"] == before[f"anna/{two.filenames[2]}"]
    assert PillowImage.open(place.folder / crop).size == (38, 51)
    assert json.loads((place.folder / sidecar).read_text())["ai_route"] == "manual"

    found = decisions(place.project)
    assert set(found) == {g.group_id for g in (one, two, three, four)}
    wanted = {one: ("approve", 1, None), two: ("approve", 2, 1), three: ("approve", 0, None), four: ("crop", 0, None)}
    for group, expected in wanted.items():
        row = found[group.group_id]
        assert (row["user_action"], row["user_selected_index"], row["ai_crop_accepted"]) == expected
        assert (row["ai_selected_index"], row["ai_confidence"]) == (len(group.images) - 1, 0.87)
    assert json.loads(found[two.group_id]["final_crop_coords"]) == list(BOX) and found[two.group_id]["crop_match"] == 1
    context = {r["group_id"]: r for r in rows(place.project, "SELECT * FROM decision_context")}
    assert {r["input"] for r in context.values()} == {"automation_review"}
    assert context[five.group_id]["outcome"] == "keep" and context[two.group_id]["crop_input"] == "apply_ai"
    assert json.loads(context[one.group_id]["versions"]) == {"ranker": "v1"}
    assert [g.group_id for g in queue(place.project)] == [six.group_id]


def test_dry_run_matches_journal_and_changes_nothing(place: AutomationTarget) -> None:
    approve_all(place)
    before = read_tree(place.folder)
    plan = apply.dry_run(place)
    after = {path: sha256 for path, sha256 in read_tree(place.folder).items() if not path.endswith(("-wal", "-shm"))}
    assert after == {path: sha256 for path, sha256 in before.items() if not path.endswith(("-wal", "-shm"))}
    apply.apply(place, plan)
    with closing(connect(place.project.database)) as connection:
        steps = operations.of_batch(connection, plan.batch)
    assert [line_of(op) for op in steps if op.undoes is None] == plan.lines()
    assert len(plan.lines()) == len(steps) > 20
    assert {op.state for op in steps} == {"done"}


def test_the_dry_run_names_what_a_crop_cannot_have(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 2)], folder="anna")
    signed = queue(project)[1].filenames[1]
    file = project.root / "anna" / signed
    body = b"caBX" + b"a signature of all pixels"
    chunk = (len(body) - 4).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    file.write_bytes(file.read_bytes()[:-12] + chunk + file.read_bytes()[-12:])
    projects.rescan(project)
    place = proposed(project)
    approve_all(place)
    (told,) = [line for line in apply.dry_run(place).summary() if signed in line]
    assert told.startswith(f"{signed}: the crop is without its ")


def test_companion_missing_in_the_sandbox_is_noticed(make_project: Make) -> None:
    project = make_project([(1, 2), (1, 2)], folder="anna")
    image = queue(project)[0].filenames[0]
    (project.root / "anna" / f"{image.removesuffix('.png')}.caption").write_text("a cat")
    place = proposed(project)
    approve_all(place)
    (place.folder / "anna" / f"{image.removesuffix('.png')}.caption").unlink()
    before = images_tree(place.folder)
    with pytest.raises(ConflictError, match=r"\.caption, a companion of .*, is missing in the sandbox"):
        apply.apply(place)
    assert images_tree(place.folder) == before


def test_undo_puts_everything_back(place: AutomationTarget) -> None:
    approve_all(place)
    before = state_of(place)
    applied = apply.apply(place).plan.batch
    assert apply.undo_last(place) == (applied, 6)
    after = state_of(place)
    shelved = {path for path in after["tree"] if f".undone-{applied}." in path}
    assert len(shelved) == 3  # nothing is deleted outright: the crops that were made lie in delete_staging/
    assert all(path.startswith("delete_staging/") for path in shelved)
    after["tree"] = {path: sha256 for path, sha256 in after["tree"].items() if path not in shelved}
    assert after == before
    with pytest.raises(UsageError, match="no apply of the automation stands"):
        apply.undo_last(place)
    again = apply.apply(place)
    assert len(again.plan.items) == 6


def test_undo_is_refused_when_a_crop_was_made_since(place: AutomationTarget) -> None:
    review(place, "Shift+1", "Shift+Enter", "Shift+Enter")
    apply.apply(place)
    name = groups_of(place)[0].filenames[0]
    with closing(connect(place.project.database)) as connection:
        order = cropping.Order("crop", name, DRAWN)
        assert cropping.submit(place.project, connection, [order]).done == [name]
        with pytest.raises(ConflictError, match="1 crop made or dropped since"):
            undo_batch(place.project, connection, 1)
        undo_batch(place.project, connection, 2)
    assert apply.undo_last(place) == (1, 1)


def test_undo_is_refused_when_a_file_was_changed(place: AutomationTarget) -> None:
    approve_all(place)
    apply.apply(place)
    (place.folder / "selected" / groups_of(place)[0].filenames[1]).write_bytes(b"painted over")
    before = images_tree(place.folder)
    with pytest.raises(ConflictError, match="has been changed since"):
        apply.undo_last(place)
    assert images_tree(place.folder) == before


def test_a_crop_of_ones_own_counts_as_drawn_by_the_person(place: AutomationTarget) -> None:
    group = groups_of(place)[0]
    own = person(group.group_id, "overridden", group.filenames[0], needs_crop=True, crop=DRAWN)
    write_lines(place.approved, [own])
    apply.apply(place)
    row = decisions(place.project)[group.group_id]
    assert (row["user_action"], row["user_selected_index"], row["crop_match"]) == ("crop", 0, None)
    assert json.loads(row["final_crop_coords"]) == [0.1, 0.1, 0.9, 0.9]
    with closing(connect(place.project.database)) as connection:
        assert [crop.input for crop in of_batch(connection, 1)] == ["desk"]
    assert {f"{folder}/{group.filenames[0]}" for folder in ("crop_cropped", ORIGINALS)} <= set(
        images_tree(place.folder)
    )


# ------------------------------------------------------------------------------------------------ approved unseen


def test_what_is_covered_is_applied_unseen_and_marked_so(place: AutomationTarget) -> None:
    cover(place, 0.8, drawn=False)
    review(place, "1", "Shift+Enter", "Shift+Enter", only="unseen")
    done = apply.apply(place)
    assert sorted(item.by for item in done.plan.items) == ["auto"] * 5 + ["person"]
    inputs = [row["input"] for row in rows(place.project, "SELECT input FROM decision_context")]
    assert sorted(inputs) == ["auto"] * 5 + ["automation_review"]
    assert sorted(line.by for line in read_approved(place.approved).values()) == ["auto"] * 5 + ["person"]
    # invariant 11: views leave it out of every accuracy, training leaves it out by the same view
    assert rows(place.project, "SELECT total_decisions FROM ai_performance") == [{"total_decisions": 1}]
    # undone and applied again: the machine's lines in the file are no stumbling block
    apply.undo_last(place)
    assert len(apply.apply(place).plan.items) == 6


def test_groups_drawn_for_a_look_wait_for_it(make_project: Make) -> None:
    place = proposed(make_project([(1, 2), (1, 2)]))
    cover(place, 0.8, drawn=True)
    plan = apply.dry_run(place)
    assert (plan.items, plan.left) == ((), {"drawn for a blind look": 2})
    review(place, "2", "2", "Shift+Enter", "Shift+Enter")
    apply.apply(place)
    one, two = groups_of(place)[:2]
    found = decisions(place.project)
    # blind: a crop that was not seen is neither accepted nor refused, and none is made
    assert found[two.group_id]["ai_crop_accepted"] is None and found[two.group_id]["final_crop_coords"] is None
    assert places(place.project, one) == (STAGING, SELECTED)
    assert {row["input"] for row in rows(place.project, "SELECT input FROM decision_context")} == {"automation_review"}


def test_apply_leaves_out_groups_with_unwritten_choices(place: AutomationTarget) -> None:
    cover(place, 0.8, drawn=False)
    review(place, "1", only="unseen")
    plan = apply.dry_run(place)
    assert len(plan.items) == 5
    assert plan.left == {"chosen in the review, not written yet (Shift+Enter)": 1}


def test_auto_approve_written_by_hand_is_refused(place: AutomationTarget) -> None:
    change_line(place.decisions, 2, lambda values: values.update(auto_approve=True))
    for prepare in (lambda: None, place.guarantee.unlink):
        prepare()
        with pytest.raises(UsageError, match=r"line 3: auto_approve, but its confidence 0\.87 is not covered"):
            apply.dry_run(place)


def test_auto_lines_in_approved_file_must_match_decisions(place: AutomationTarget) -> None:
    proposal = proposals_of(place)[0]
    write_lines(place.approved, [person(proposal.group_id, "approved", proposal.chosen, by="auto")])
    with pytest.raises(UsageError, match="not to be approved unseen"):
        apply.dry_run(place)


# ------------------------------------------------------------------------------------------------ bad input


def swap(values: dict[str, Any]) -> None:
    values["images"] = ["20250101_000000_stage1_a.png", *values["images"][1:]]


TAMPERED: dict[str, tuple[str, Callable[[dict[str, Any]], Any], str]] = {
    "no JSON object": ("decisions", lambda values: ["x"], "line 1: Expected 'object', got 'array'"),
    "an image of another name": ("decisions", swap, "its images are not those of group"),
    "a path in a name": (
        "decisions",
        lambda v: v.update(images=["../../a.png", "b.png"]),
        "is not a list of 2 to 4 file names: ['../../a.png'",
    ),
    "a folder outside": ("decisions", lambda v: v.update(directory="../../images/anna"), "leads out of the project"),
    "another folder": ("decisions", lambda v: v.update(directory="bert"), "its directory 'bert' is not that of"),
    "another project": ("decisions", lambda v: v.update(project_id="q"), "it names project 'q'"),
    "an unknown group": ("decisions", lambda v: v.update(group_id="p_group_x"), "it names an unknown group"),
    "another pick": (
        "decisions",
        lambda v: v["step1_selection"].update(chosen=v["images"][0]),
        "is not what was proposed for",
    ),
    "an approval of another image": ("approved", lambda v: v.update(final_choice="b.png"), "is none of the images of"),
    "an approval of an unknown group": ("approved", lambda v: v.update(group_id="p_group_x"), "an unknown group"),
    "a crop that nobody proposed": (
        "approved",
        lambda v: v.update(needs_crop=True, crop_coords=[0, 0, 0.5, 0.5]),
        "its crop is not what was proposed",
    ),
}


@pytest.mark.parametrize(("file", "change", "words"), TAMPERED.values(), ids=TAMPERED)
def test_tampered_line_gives_one_clear_line_and_changes_nothing(
    place: AutomationTarget, file: str, change: Callable[[dict[str, Any]], Any], words: str
) -> None:
    approve_all(place)
    path = place.decisions if file == "decisions" else place.approved
    change_line(path, 0, change)
    before = state_of(place)
    for act in (apply.dry_run, apply.apply):
        with pytest.raises(UsageError) as refused:
            act(place)
        assert words in refused.value.line and "line 1" in refused.value.line
        assert str(place.folder) in refused.value.line and ".jsonl" in refused.value.line
    assert state_of(place) == before


@pytest.mark.parametrize("name", ["decisions", "approved"])
def test_a_group_id_that_stands_twice_is_one_clear_line(place: AutomationTarget, name: str) -> None:
    approve_all(place)
    path: Path = getattr(place, name)
    path.write_text(path.read_text() + path.read_text().splitlines()[2] + "\n")
    before = state_of(place)
    with pytest.raises(UsageError, match=r"line 7: group .* stands in line 3 already"):
        apply.apply(place)
    assert state_of(place) == before


def vanish(path: Path) -> None:
    path.unlink()


def alter(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0")


def link(path: Path) -> None:
    path.rename(path.with_name("elsewhere.png"))
    path.symlink_to(path.with_name("elsewhere.png"))


@pytest.mark.parametrize(
    ("change", "words"),
    [(vanish, "has vanished since the scan"), (alter, "has changed since the scan"), (link, "this is a link")],
)
def test_an_image_that_is_not_what_it_was_stops_everything(
    place: AutomationTarget, change: Callable[[Path], None], words: str
) -> None:
    approve_all(place)
    change(place.folder / "anna" / groups_of(place)[3].filenames[0])
    before = state_of(place)
    for act in (apply.dry_run, apply.apply):
        with pytest.raises(PickroomError) as refused:
            act(place)
        assert words in refused.value.line
    assert state_of(place) == before


def test_every_problem_is_listed(place: AutomationTarget) -> None:
    approve_all(place)
    for group in groups_of(place)[:2]:
        (place.folder / "anna" / group.filenames[0]).unlink()
    (place.folder / "selected").mkdir()
    (place.folder / "selected" / groups_of(place)[4].filenames[1]).write_text("in the way")
    with pytest.raises(ConflictError, match="and 2 more") as refused:
        apply.apply(place)
    assert len(refused.value.items) == 3 and "exists already" in refused.value.items[2]


def test_a_folder_that_leads_out_of_the_sandbox_is_refused(place: AutomationTarget, tmp_path: Path) -> None:
    approve_all(place)
    outside = tmp_path / "outside"
    outside.mkdir()
    (place.folder / "delete_staging").symlink_to(outside)
    before = state_of(place)
    with pytest.raises(UsageError, match=r"leads out of the sandbox.*delete_staging.*nothing was touched"):
        apply.apply(place)
    assert list(outside.iterdir()) == [] and state_of(place) == before


def test_plan_that_changed_since_it_was_shown_is_not_applied(place: AutomationTarget) -> None:
    approve_all(place)
    plan = apply.dry_run(place)
    review(place, "Home", "1", "Shift+Enter", "Shift+Enter")
    before = state_of(place)
    with pytest.raises(ConflictError, match="something changed since the plan was shown"):
        apply.apply(place, plan)
    assert state_of(place) == before


def test_what_was_applied_before_is_history(place: AutomationTarget) -> None:
    review(place, "a", "a", "Shift+Enter", "Shift+Enter")
    apply.apply(place)
    generate(place)
    review(place, "a", "Shift+Enter", "Shift+Enter")
    plan = apply.dry_run(place)
    assert len(plan.items) == 1 and plan.left == {"not reviewed yet": 3, "decided already": 2}
    assert apply.apply(place).plan.batch == 2


def test_nothing_to_do_does_nothing(place: AutomationTarget) -> None:
    before = state_of(place)
    done = apply.apply(place)
    assert done.plan.items == () and done.plan.left == {"not reviewed yet": 6}
    assert state_of(place) == before


# ------------------------------------------------------------------------------------------------ failing on the way


def test_database_error_after_commit_warns_of_moved_files(
    place: AutomationTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(place)

    def fail(connection: sqlite3.Connection, ops: Sequence[FileOp]) -> None:
        raise sqlite3.DatabaseError("disk image is malformed")

    with monkeypatch.context() as patched:
        patched.setattr(operations, "mark_done", fail)
        with pytest.raises(StoreError, match="some files may have moved") as refused:
            apply.apply(place)
    assert "no file was moved" not in refused.value.line
    assert decisions(place.project) and set(places(place.project, groups_of(place)[0])) != {"anna"}
    apply.apply(place)
    assert {row["state"] for row in rows(place.project, "SELECT state FROM file_operations")} == {"done"}


def test_an_error_on_the_way_puts_everything_back(place: AutomationTarget, monkeypatch: pytest.MonkeyPatch) -> None:
    approve_all(place)
    before = state_of(place)
    moved = []

    def refuse_the_ninth(source: Path, destination: Path) -> None:
        moved.append(source)
        if len(moved) == 9:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, destination)

    rename = atomic.rename_noreplace
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "rename_noreplace", refuse_the_ninth)
        with pytest.raises(ConflictError, match=r"Input/output error while moving a file.*everything was put back"):
            apply.apply(place)
    after = state_of(place)
    assert after == before
    failed = rows(place.project, "SELECT DISTINCT state FROM file_operations")
    assert failed == [{"state": "failed"}]
    assert len(apply.apply(place).plan.items) == 6


def test_a_closed_folder_puts_everything_back(place: AutomationTarget) -> None:
    approve_all(place)
    before = state_of(place)

    def try_it(place: AutomationTarget) -> str:
        (place.folder / "selected").mkdir()
        (place.folder / "selected").chmod(0o555)
        obey_permissions()
        try:
            apply.apply(place)
        except PickroomError as error:
            return error.line
        return "done"

    assert "Permission denied" in in_child(try_it, place)
    assert state_of(place) == before


def test_a_full_disk_while_rendering_leaves_nothing_behind(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 4)
    with small_disk(tmp_path, "4m") as disk:
        place = sandbox.prepare(project, disk / "sandboxes")
        generate(place)
        place = crops_everywhere(project, place)
        before = state_of(place)
        filler = fill(disk)
        with pytest.raises(PickroomError) as refused:
            apply.apply(place)
        assert refused.value.hint.startswith(("make room on the disk", "nothing was changed: make room"))
        assert state_of(place) == before
        assert [path for path in read_tree(place.folder) if ".pickroom-partial" in path] == []
        filler.unlink()
        assert len(apply.apply(place).plan.items) == 4
        assert apply.undo_last(place)[1] == 4


def crops_everywhere(project: Project, place: AutomationTarget) -> AutomationTarget:
    from support.reviewing import recommend

    for group in queue(project):
        recommend(project, group, 1, BOX, crop_needed=True)
    generate(place)
    approve_all(place)
    return place


def test_an_image_that_cannot_be_cropped_stops_everything(
    place: AutomationTarget, monkeypatch: pytest.MonkeyPatch
) -> None:
    approve_all(place)
    before = state_of(place)

    def spoiled(source: Path, box: object) -> bytes:
        raise ImageError(source, "truncated")

    with monkeypatch.context() as patched:
        patched.setattr(cropping.rendering, "render", spoiled)
        with pytest.raises(ImageError, match="truncated while reading an image"):
            apply.apply(place)
    assert state_of(place) == before
    with monkeypatch.context() as patched:
        patched.setattr(atomic, "write_bytes", lambda path, data: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
        with pytest.raises(FileOperationError, match=r"full while rendering a crop.*make room"):
            apply.apply(place)
    assert state_of(place) == before


# ------------------------------------------------------------------------------------------------ production


def test_production_apply_moves_files_of_the_project_itself(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2, folder="anna")
    copy = proposed(project)
    approve_all(copy)
    before = images_tree(project.root)
    apply.apply(copy)
    assert images_tree(project.root) == before

    place = sandbox.locate(project, production=True)
    assert len(apply.apply(place).plan.items) == 2
    assert {path.split("/")[0] for path in images_tree(project.root)} == {
        "selected",
        "crop_cropped",
        "crop_originals",
        "delete_staging",
    }
    assert len(decisions(project)) == 2
    assert apply.undo_last(place)[1] == 2
    assert before.items() <= images_tree(project.root).items()
    assert replace(place, production=False).project == project
