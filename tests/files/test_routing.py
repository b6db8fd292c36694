"""REVIEW.md, Routes: each choice goes where its row of the table says, and says so in the database."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path

import pytest

from pickroom.core.records import Choice, CropBox, Group, Image, Recommendation
from pickroom.files import routing
from pickroom.store import decisions
from pickroom.store.connect import create

BOX = CropBox(0.1, 0.05, 0.9, 0.85)
NOW = "2025-08-03T06:54:06.000000Z"
SELECTED, CROP, AUTO, STAGING = "selected", "crop", "crop_auto", "delete_staging"


def group_of(count: int, directory: str = "anna") -> Group:
    images = tuple(
        Image(
            filename=f"2025080{place + 1}_060000_stage{stage}_w.png",
            directory=directory,
            width=100 + place,
            height=200 + place,
            stage=float(stage),
            taken_at=datetime(2025, 8, place + 1, 6),
            sha256=hashlib.sha256(bytes([place])).hexdigest(),
            file_size=1,
            mtime_ns=1,
        )
        for place, stage in enumerate(("1", "1.5", "2", "3")[:count])
    )
    return Group("p_group_20250803T065406Z_batch002_img007", "p", directory, 2, images)


def ai(index: int | None, **fields: object) -> Recommendation:
    values = {"source": "model", "confidence": 0.87, **fields}
    return Recommendation("p_group_20250803T065406Z_batch002_img007", selected_index=index, **values)  # type: ignore[arg-type]


PICK = ai(1)
WITH_CROP = ai(1, crop=BOX)
NEEDS_CROP = ai(1, crop=BOX, crop_needed=True)
NO_CROP_NEEDED = ai(1, crop=BOX, crop_needed=False)
BASELINE = ai(2, source="baseline", confidence=None)
UNSURE = ai(None, confidence=None)

APPROVE_0, APPROVE_1, APPROVE_2 = (Choice("approve", i) for i in range(3))
APPROVE_1_ON = Choice("approve", 1, overlay=True)
REJECT, KEEP = Choice("reject"), Choice("keep")

# name: (choice, recommendation) -> (folders, sidecar), and the row: (action, index, accepted, match), None for none
ROUTES = {
    # AI's pick, crop on
    "the AI's pick with its crop on": (
        (APPROVE_1_ON, WITH_CROP),
        ((STAGING, AUTO, STAGING), "suggestion"),
        ("approve", 1, True, True),
    ),
    "the AI's pick with the crop it calls needed": (
        (APPROVE_1_ON, NEEDS_CROP),
        ((STAGING, AUTO, STAGING), "suggestion"),
        ("approve", 1, True, True),
    ),
    # AI's pick, crop off
    "the AI's pick with its crop switched off": (
        (APPROVE_1, NEEDS_CROP),
        ((STAGING, SELECTED, STAGING), None),
        ("approve", 1, False, True),
    ),
    "the AI's pick where no crop was proposed": (
        (APPROVE_1, PICK),
        ((STAGING, SELECTED, STAGING), None),
        ("approve", 1, None, True),
    ),
    "the AI's pick where it says that no crop is needed": (
        (APPROVE_1_ON, NO_CROP_NEEDED),
        ((STAGING, SELECTED, STAGING), None),
        ("approve", 1, None, True),
    ),
    "the baseline's pick": (
        (APPROVE_2, BASELINE),
        ((STAGING, STAGING, SELECTED), None),
        ("approve", 2, None, True),
    ),
    # another image
    "another image than the AI's": (
        (APPROVE_0, NEEDS_CROP),
        ((SELECTED, STAGING, STAGING), None),
        ("approve", 0, None, False),
    ),
    "another image with the overlay still on": (
        (Choice("approve", 2, overlay=True), NEEDS_CROP),
        ((STAGING, STAGING, SELECTED), None),
        ("approve", 2, None, False),
    ),
    "an image where the AI offers no pick": (
        (APPROVE_2, UNSURE),
        ((STAGING, STAGING, SELECTED), None),
        ("approve", 2, None, None),
    ),
    "an image without any recommendation": (
        (APPROVE_0, None),
        ((SELECTED, STAGING, STAGING), None),
        ("approve", 0, None, None),
    ),
    # Q W E R
    "the AI's pick to the crop desk": (
        (Choice("crop", 1, overlay=True), NEEDS_CROP),
        ((STAGING, CROP, STAGING), "manual"),
        ("crop", 1, None, True),
    ),
    "another image to the crop desk": (
        (Choice("crop", 0), NEEDS_CROP),
        ((CROP, STAGING, STAGING), "manual"),
        ("crop", 0, None, False),
    ),
    "an image to the crop desk without any recommendation": (
        (Choice("crop", 2), None),
        ((STAGING, STAGING, CROP), "manual"),
        ("crop", 2, None, None),
    ),
    # X: the index is a placeholder, and nothing matched or failed to match
    "a reject with an AI pick": ((REJECT, NEEDS_CROP), ((STAGING,) * 3, None), ("reject", 1, None, None)),
    "a reject without an AI pick": ((REJECT, UNSURE), ((STAGING,) * 3, None), ("reject", 0, None, None)),
    "a reject without any recommendation": ((REJECT, None), ((STAGING,) * 3, None), ("reject", 0, None, None)),
    # K
    "keep all": ((KEEP, NEEDS_CROP), ((SELECTED,) * 3, None), None),
}


@pytest.mark.parametrize(("given", "where", "row"), ROUTES.values(), ids=ROUTES)
def test_route_and_row_are_those_of_the_table(
    given: tuple[Choice, Recommendation | None], where: tuple, row: tuple | None
) -> None:
    group = group_of(3)
    choice, recommendation = given

    way = routing.route(choice, 3, recommendation)
    decision = routing.decision(group, choice, recommendation, NOW)

    assert way is not None
    assert (way.folders, way.sidecar) == where
    if row is None:
        assert decision is None
        assert way.outcome == "keep"
        return
    assert decision is not None
    matched = (decision.user_action, decision.user_selected_index, decision.ai_crop_accepted, decision.selection_match)
    assert matched == row
    assert way.outcome == decision.user_action
    # what was recommended is written down as it was, whatever the user did
    assert decision.ai_selected_index == (recommendation.selected_index if recommendation else None)
    assert decision.ai_confidence == (recommendation.confidence if recommendation else None)
    assert decision.ai_crop_coords == (recommendation.offered_crop if recommendation else None)
    # the size is that of the image at user_selected_index
    assert (decision.image_width, decision.image_height) == (100 + row[1], 200 + row[1])
    # no crop has been made yet
    assert (decision.final_crop_coords, decision.crop_timestamp, decision.crop_match) == (None, None, None)
    assert (decision.group_id, decision.project_id, decision.timestamp) == (group.group_id, "p", NOW)
    assert (decision.directory, decision.batch_number, decision.images) == ("anna", 2, group.filenames)


@pytest.mark.parametrize("given", [given for given, _, row in ROUTES.values() if row], ids=str)
def test_database_takes_every_row_and_gives_it_back(given: tuple, tmp_path: Path) -> None:
    decision = routing.decision(group_of(3), *given, NOW)
    assert decision is not None
    connection = create(tmp_path / "p.db")
    try:
        decisions.insert(connection, decision)
        assert decisions.get(connection, decision.group_id) == decision
    finally:
        connection.close()


@pytest.mark.parametrize("action", ["undecided", "skip"])
def test_undecided_and_skipped_groups_have_no_route_and_no_row(action: str) -> None:
    choice = Choice(action, overlay=True)  # type: ignore[arg-type]
    assert routing.route(choice, 3, NEEDS_CROP) is None
    assert routing.decision(group_of(3), choice, NEEDS_CROP, NOW) is None


@pytest.mark.parametrize(("count", "picked"), [(count, picked) for count in (2, 3, 4) for picked in range(count)])
def test_only_the_picked_image_is_kept_in_any_group_size(count: int, picked: int) -> None:
    way = routing.route(Choice("approve", picked), count, None)
    assert way is not None
    assert way.folders == tuple(SELECTED if place == picked else STAGING for place in range(count))


# --- the file plan ----------------------------------------------------------------------------------------------


def plan(choice: Choice, recommendation: Recommendation | None, directory: str = "anna", **companions: tuple) -> list:
    group = group_of(3, directory)
    way = routing.route(choice, 3, recommendation)
    assert way is not None
    return routing.plan(group, way, companions, recommendation, batch=4)


def test_each_image_moves_with_its_companions_and_keeps_its_name() -> None:
    stem = "20250802_060000_stage1.5_w"
    ops = plan(APPROVE_1, PICK, **{f"{stem}.png": ((f"{stem}.yaml", "aa"), (f"{stem}.hands.json", "bb"))})
    assert [(op.op, op.source, op.destination) for op in ops] == [
        ("move", "anna/20250801_060000_stage1_w.png", "delete_staging/20250801_060000_stage1_w.png"),
        ("move", "anna/20250802_060000_stage1.5_w.png", "selected/20250802_060000_stage1.5_w.png"),
        ("move", f"anna/{stem}.yaml", f"selected/{stem}.yaml"),
        ("move", f"anna/{stem}.hands.json", f"selected/{stem}.hands.json"),
        ("move", "anna/20250803_060000_stage2_w.png", "delete_staging/20250803_060000_stage2_w.png"),
    ]
    assert {(op.batch, op.unit, op.state) for op in ops} == {(4, group_of(3).group_id, "planned")}
    hashes = [image.sha256 for image in group_of(3).images]
    assert [op.sha256 for op in ops] == [hashes[0], hashes[1], "aa", "bb", hashes[2]]


def test_images_in_the_root_have_paths_without_a_folder() -> None:
    assert plan(REJECT, None, directory="")[0].source == "20250801_060000_stage1_w.png"


@pytest.mark.parametrize(
    ("choice", "recommendation", "folder", "ai_route", "box"),
    [
        (APPROVE_1_ON, NEEDS_CROP, AUTO, "suggestion", BOX.to_list()),
        (Choice("crop", 1), NEEDS_CROP, CROP, "manual", BOX.to_list()),
        (Choice("crop", 1), NO_CROP_NEEDED, CROP, "manual", None),
        (Choice("crop", 2), NEEDS_CROP, CROP, "manual", None),  # a box of another image would mean nothing
        (Choice("crop", 1), None, CROP, "manual", None),
    ],
)
def test_sidecar_says_which_crop_is_asked_for(
    choice: Choice, recommendation: Recommendation | None, folder: str, ai_route: str, box: list[float] | None
) -> None:
    *moves, sidecar = plan(choice, recommendation)
    assert {op.op for op in moves} == {"move"}
    filename = group_of(3).images[choice.index or 0].filename
    assert (sidecar.op, sidecar.source) == ("write", None)
    assert sidecar.destination == f"{folder}/{filename.removesuffix('.png')}.decision"
    assert json.loads(sidecar.content) == {
        "group_id": group_of(3).group_id,
        "project_id": "p",
        "needs_crop": True,
        "ai_route": ai_route,
        "ai_crop_coords": box,
        "filename": filename,
        "directory": "anna",
    }
    assert sidecar.sha256 == hashlib.sha256(sidecar.content.encode()).hexdigest()


@pytest.mark.parametrize("choice", [APPROVE_1, REJECT, KEEP, APPROVE_0], ids=str)
def test_no_sidecar_is_written_where_no_crop_is_asked_for(choice: Choice) -> None:
    assert {op.op for op in plan(choice, NEEDS_CROP)} == {"move"}


# --- the words under the group ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (APPROVE_1_ON, "2 → crop_auto/ with the AI's crop   ·   1, 3 → delete_staging/"),
        (APPROVE_1, "2 → selected/   ·   1, 3 → delete_staging/"),
        (Choice("crop", 0), "1 → crop/ to be cropped by hand   ·   2, 3 → delete_staging/"),
        (REJECT, "Reject: every image → delete_staging/"),
        (KEEP, "Keep all: every image → selected/ (never used for training)"),
        (Choice(), "Undecided: every image stays where it is"),
    ],
)
def test_words_say_where_each_file_will_go(choice: Choice, words: str) -> None:
    assert routing.words(routing.route(choice, 3, NEEDS_CROP)) == words
