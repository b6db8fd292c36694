"""What the deck shows of a group and of the batch, in words a person reads."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from pickroom.core.records import Choice, CropBox, Group, Image, Recommendation
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import GroupView, Pace, group_view, header, summary
from support.reviewing import card_of

BOX = CropBox(0.1, 0.2, 0.8, 0.9)
GROUP = Group(
    "g",
    "p",
    "anna",
    1,
    tuple(
        Image(f"{stage:g}.png", "anna", 768, 1024, stage, datetime(2025, 8, 3), f"hash{stage:g}", 1, 1)
        for stage in (1.0, 1.5, 2.0)
    ),
)
MODEL = Recommendation(
    "g", "model", 1, BOX, True, 0.874, 0.5, ("sharper eyes", "better hands"), ("extra finger",), {"ranker": "v3"}
)
BASELINE = Recommendation("g", "baseline", 2, reasons=("highest stage (2)",))
FIRST = Choice(overlay=True)  # nothing chosen yet, the overlay on


def shown(choice: Choice = FIRST, recommendation: Recommendation | None = MODEL, **options: Any) -> GroupView:
    return group_view(GROUP, choice, recommendation, **options)


# ------------------------------------------------------------------------------------------------ one group


def test_images_come_in_group_order_with_stage_and_size() -> None:
    images = shown().images
    assert [(i.number, i.filename, i.directory, i.sha256) for i in images] == [
        (1, "1.png", "anna", "hash1"),
        (2, "1.5.png", "anna", "hash1.5"),
        (3, "2.png", "anna", "hash2"),
    ]
    assert [i.label for i in images] == ["stage 1 · 768 × 1024", "stage 1.5 · 768 × 1024", "stage 2 · 768 × 1024"]
    assert {(i.width, i.height) for i in images} == {(768, 1024)}


def test_unknown_stage_is_not_shown_as_a_number() -> None:
    group = replace(GROUP, images=tuple(replace(image, stage=None) for image in GROUP.images))
    assert {image.label for image in group_view(group, Choice(), None).images} == {"768 × 1024"}


@pytest.mark.parametrize(
    ("choice", "marks"),
    [
        (Choice(), ["none", "none", "none"]),
        (Choice("skip"), ["none", "none", "none"]),
        (Choice("approve", 0), ["keep", "reject", "reject"]),
        (Choice("approve", 1, True), ["reject", "keep", "reject"]),
        (Choice("crop", 2), ["reject", "reject", "keep"]),
        (Choice("reject"), ["reject", "reject", "reject"]),
        (Choice("keep"), ["keep", "keep", "keep"]),
    ],
    ids=str,
)
def test_marks_say_what_is_kept_and_what_is_rejected(choice: Choice, marks: list[str]) -> None:
    view = shown(choice)
    assert [image.mark for image in view.images] == marks
    assert view.decided is choice.decided


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        (Choice(), "Undecided: every image stays where it is"),
        (Choice("skip"), "Skipped: left undecided, every image stays"),
        (Choice("approve", 0), "1 → selected/   ·   2, 3 → delete_staging/"),
        (Choice("approve", 1, False), "2 → selected/   ·   1, 3 → delete_staging/"),
        (Choice("approve", 1, True), "2 → crop_auto/ with the AI's crop   ·   1, 3 → delete_staging/"),
        (Choice("approve", 0, True), "1 → selected/   ·   2, 3 → delete_staging/"),
        (Choice("crop", 2), "3 → crop/ to be cropped by hand   ·   1, 2 → delete_staging/"),
        (Choice("reject"), "Reject: every image → delete_staging/"),
        (Choice("keep"), "Keep all: every image → selected/ (never used for training)"),
    ],
    ids=str,
)
def test_chosen_state_is_written_in_words_with_every_destination(choice: Choice, words: str) -> None:
    assert shown(choice).route == words


@pytest.mark.parametrize(
    ("recommendation", "badges"),
    [
        (MODEL, ["", "AI pick 87 %", ""]),
        (replace(MODEL, confidence=None), ["", "AI pick", ""]),
        (replace(MODEL, source="simulated"), ["", "simulated AI pick 87 %", ""]),
        (BASELINE, ["", "", "highest stage"]),
        (replace(BASELINE, selected_index=None), ["", "", ""]),
        (None, ["", "", ""]),
    ],
)
def test_badge_says_whose_pick_it_is(recommendation: Recommendation | None, badges: list[str]) -> None:
    images = shown(recommendation=recommendation).images
    assert [image.badge for image in images] == badges
    assert [image.ai_pick for image in images] == [bool(badge) for badge in badges]


@pytest.mark.parametrize(
    ("choice", "recommendation", "boxes"),
    [
        pytest.param(FIRST, MODEL, [None, BOX, None], id="on"),
        pytest.param(Choice(), MODEL, [None, None, None], id="off"),
        pytest.param(FIRST, replace(MODEL, crop_needed=False), [None, None, None], id="no crop needed"),
        pytest.param(FIRST, replace(MODEL, crop=None), [None, None, None], id="no crop proposed"),
        pytest.param(FIRST, BASELINE, [None, None, None], id="a baseline has no crop"),
        pytest.param(FIRST, None, [None, None, None], id="no recommendation"),
        pytest.param(Choice("approve", 0, True), MODEL, [None, BOX, None], id="still the AI's own image"),
    ],
)
def test_crop_is_drawn_on_the_ais_pick_while_the_overlay_is_on(
    choice: Choice, recommendation: Recommendation | None, boxes: list[CropBox | None]
) -> None:
    assert [image.crop for image in shown(choice, recommendation).images] == boxes


@pytest.mark.parametrize(
    ("recommendation", "line"),
    [
        (MODEL, "sharper eyes · better hands · pick 87 % · crop 50 %"),
        (replace(MODEL, crop_confidence=None), "sharper eyes · better hands · pick 87 % · crop"),
        (replace(MODEL, crop_needed=False), "sharper eyes · better hands · pick 87 % · no crop needed"),
        (replace(MODEL, crop=None, crop_needed=None), "sharper eyes · better hands · pick 87 %"),
        (replace(MODEL, confidence=None, crop=None, crop_needed=None, reasons=()), "model"),
        (BASELINE, "highest stage (2)"),
        (None, "No recommendation"),
    ],
)
def test_reasons_and_confidences_are_one_line(recommendation: Recommendation | None, line: str) -> None:
    assert shown(recommendation=recommendation).reasons == line


def test_anomaly_flags_are_words() -> None:
    assert shown().flags == ("extra finger",)
    assert shown(recommendation=None).flags == ()


def test_held_back_group_says_why() -> None:
    assert shown(held_reason="1.png has vanished since the scan").held_reason == "1.png has vanished since the scan"


def test_blind_group_gives_nothing_of_the_recommendation_away() -> None:
    blind, nothing = shown(FIRST, hidden=True), shown(FIRST, None)
    assert blind.images == nothing.images
    assert (blind.flags, blind.route) == ((), nothing.route)
    assert blind.reasons == "Blind: the recommendation shows once you have chosen"


# ------------------------------------------------------------------------------------------------ the header


def batch(count: int, decided: int, position: int = 0) -> ReviewState:
    cards = tuple(card_of(str(n), 2) for n in range(count))
    return ReviewState(cards, {str(n): Choice("approve", 0) for n in range(decided)}, position)


@pytest.mark.parametrize(
    ("state", "pace", "waiting", "line"),
    [
        (
            batch(340, 11, 11),
            Pace(4.1, 0.91),
            0,
            "Group 12 of 340 - reviewed 11 (3 %) - 4.1 s/group - about 22 min left - agreement 91 %",
        ),
        (batch(3, 0), Pace(None, None), 0, "Group 1 of 3 - reviewed 0 (0 %)"),
        (batch(3, 2, 2), Pace(2.0, None), 0, "Group 3 of 3 - reviewed 2 (67 %) - 2.0 s/group - under a minute left"),
        (batch(3, 3), Pace(None, 0.0), 0, "Group 1 of 3 - reviewed 3 (100 %) - agreement 0 %"),
        (batch(2, 0), Pace(None, None), 240, "Group 1 of 2 - reviewed 0 (0 %) - 240 more after this batch"),
        (batch(0, 0), Pace(None, None), 0, "No group is waiting: every group is decided"),
    ],
)
def test_header_says_where_one_is_and_how_long_it_takes(
    state: ReviewState, pace: Pace, waiting: int, line: str
) -> None:
    assert header(state, pace, waiting) == line


# ------------------------------------------------------------------------------------------------ the summary


def test_summary_counts_every_route_and_destination() -> None:
    chosen = [
        Choice("approve", 1, True),
        Choice("approve", 1, False),
        Choice("approve", 0, True),
        Choice("crop", 2),
        Choice("reject"),
        Choice("keep"),
        Choice("skip"),
        Choice(),
    ]
    groups = [replace(GROUP, group_id=str(n)) for n in range(len(chosen))]
    cards = tuple(card_of(group.group_id, 3, 1, True) for group in groups)
    state = ReviewState(cards, {str(n): choice for n, choice in enumerate(chosen)})
    recommendations = {group.group_id: MODEL for group in groups}
    assert summary(groups, state, recommendations) == (
        "1 group: the AI's pick with its crop → crop_auto/, the others → delete_staging/",
        "2 groups: the picked image → selected/, the others → delete_staging/",
        "1 group: the picked image → crop/ for the crop desk, the others → delete_staging/",
        "1 group: every image → delete_staging/",
        "1 group: every image → selected/",
        "2 groups: undecided or skipped: stay where they are",
        "Images: 1 to crop/, 1 to crop_auto/, 11 to delete_staging/, 5 to selected/",
    )


def test_summary_names_only_what_there_is() -> None:
    state = ReviewState((card_of("g", 3),), {"g": Choice("reject")})
    assert summary([GROUP], state, {}) == ("1 group: every image → delete_staging/", "Images: 3 to delete_staging/")
