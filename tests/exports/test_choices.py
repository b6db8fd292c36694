"""Which of a person's choices leave the house, and where their images are found."""

from __future__ import annotations

from contextlib import closing

import pytest

from conftest import read_tree, write_image
from exports.conftest import BOX
from pickroom.core.errors import ConflictError
from pickroom.exports import choices, sidecars
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import rows


def verdicts(project: Project) -> list[list[str]]:
    return [[judged.verdict for judged in group.images] for group in choices.read(project).groups]


def test_every_verdict_of_the_person_and_none_of_the_machine(judged: Project) -> None:
    found = choices.read(judged)
    assert sorted(verdicts(judged)) == [
        ["kept", "kept"],
        ["passed over", "picked", "passed over"],
        ["picked", "passed over"],
        ["rejected", "rejected"],
    ]
    assert found.left_out == {choices.BY_MACHINE: 1}
    assert all((judged.root / image.path).is_file() for image in found.images)


def test_box_is_the_persons_and_lies_on_the_original(judged: Project) -> None:
    (cut,) = [image for image in choices.read(judged).images if image.box is not None]
    assert cut.box == BOX
    assert cut.path.startswith("crop_originals/")
    assert cut.cropped == f"crop_cropped/{cut.image.filename}"


def test_reading_changes_nothing(judged: Project) -> None:
    before = read_tree(judged.root)
    stored = rows(judged, "SELECT * FROM ai_decisions")
    choices.read(judged)
    assert (read_tree(judged.root), rows(judged, "SELECT * FROM ai_decisions")) == (before, stored)


def test_crop_that_no_person_looked_at_is_left_out_and_counted(judged: Project) -> None:
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE decision_context SET crop_input = 'apply_ai' WHERE crop_input IS NOT NULL")
    found = choices.read(judged)
    assert [image for image in found.images if image.box is not None] == []
    assert found.left_out[choices.CUT_BY_MACHINE] == 1
    assert [group.picked is not None for group in found.groups].count(True) == 2  # the pick is the user's all the same


@pytest.mark.parametrize(
    ("source", "boxes", "left_out"),
    [
        ("drawn", 1, {}),
        ("ai", 1, {}),
        ("ai_all", 0, {choices.CUT_BY_MACHINE: 1}),
        ("default", 0, {choices.DEFAULT_BOX: 1}),
    ],
)
def test_only_the_users_boxes_are_exported(judged: Project, source: str, boxes: int, left_out: dict[str, int]) -> None:
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE crops SET box_source = ?", (source,))
    found = choices.read(judged)
    assert len([image for image in found.images if image.box is not None]) == boxes
    assert found.left_out == {choices.BY_MACHINE: 1, **left_out}
    assert ["HasCrop" in (item.after or "") for item in sidecars.plan(found)].count(True) == boxes


def test_pick_dropped_at_the_crop_desk_is_no_pick(judged: Project) -> None:
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE decision_context SET dropped_at = '2026-01-01Z' WHERE outcome = 'crop'")
    assert ["passed over", "rejected", "passed over"] in verdicts(judged)


def test_sorted_image_is_found_by_content_and_not_by_name(judged: Project) -> None:
    cut = next(image for image in choices.read(judged).images if image.cropped)
    anna = judged.root / "anna"
    anna.mkdir()
    (judged.root / cut.cropped).rename(anna / cut.image.filename)  # what the sorter does with a finished crop
    again = next(image for image in choices.read(judged).images if image.image.filename == cut.image.filename)
    assert (again.path, again.cropped) == (cut.path, f"anna/{cut.image.filename}")
    (judged.root / cut.path).unlink()
    found = choices.read(judged)
    assert cut.image.filename not in {image.image.filename for image in found.images}
    assert found.left_out[choices.NOT_THERE] == 1


def test_image_that_was_changed_is_not_the_one_decided_on(judged: Project) -> None:
    first = choices.read(judged).images[0]
    write_image(judged.root / first.path, seed=99)
    assert choices.read(judged).left_out[choices.NOT_THERE] == 1


def test_only_an_emptied_staging_folder_loses_nothing(judged: Project) -> None:
    for path in (judged.root / "delete_staging").iterdir():
        path.unlink()
    found = choices.read(judged)
    assert found.left_out[choices.REMOVED] > 0 and found.lost == []
    picked = next(group.picked for group in found.groups if group.picked is not None)
    (judged.root / picked.path).unlink()
    assert choices.read(judged).lost == [picked.image.filename]


def test_unfinished_operations_and_unsound_rows_are_refused(judged: Project) -> None:
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE file_operations SET state = 'planned' WHERE id = 1")
    with pytest.raises(ConflictError, match="pickroom recover p"):
        choices.read(judged)
    with closing(connect(judged.database)) as connection:
        connection.execute("UPDATE file_operations SET state = 'done' WHERE id = 1")
        connection.execute("UPDATE ai_decisions SET project_id = 'other'")
    with pytest.raises(ConflictError, match="not sound"):
        choices.read(judged)
