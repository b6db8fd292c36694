"""A review on a real project: every key saved at once, resumed anywhere, shared by windows, never surprising."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from conftest import read_tree, write_image, write_series
from pickroom.core.errors import ProjectError, UsageError
from pickroom.core.records import Choice
from pickroom.files import finalise as finalise_module
from pickroom.files.batch import undo_batch
from pickroom.files.preflight import project_lock
from pickroom.indexing import projects
from pickroom.sessions.review.session import ManualSession, ReviewSession
from pickroom.sessions.review.state import ReviewState
from pickroom.sessions.review.view import NO_GROUP
from pickroom.store import groups as groups_table
from pickroom.store import review_state
from pickroom.store.connect import connect, transaction
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, child, decisions, hear, in_child, places, queue, recommend, review, rows

Make = Callable[..., Project]
Open = Callable[..., ReviewSession]
BOX, OTHER_BOX = (0.1, 0.05, 0.9, 0.85), (0.2, 0.0, 0.8, 0.6)


@pytest.fixture
def open_session() -> Iterator[Open]:
    """Sessions that are closed at the end."""
    opened = []

    def open_one(project: Project, **options: object) -> ReviewSession:
        opened.append(ReviewSession(project, **options))
        return opened[-1]

    yield open_one
    for session in opened:
        session.close()


def press(session: ReviewSession, *keys: str) -> ReviewState:
    for key in keys:
        session.press(key)
    return session.state


def choices(session: ReviewSession) -> list[str]:
    """What is chosen for each group of the batch, "-" for nothing: `approve 2`, `reject`."""
    found = [session.state.choice(card) for card in session.state.cards]
    return [
        "-" if c.action == "undecided" else c.action if c.index is None else f"{c.action} {c.index + 1}" for c in found
    ]


def look(project: Project) -> tuple[list[str], int, list[str]]:
    """What a new session in this process finds: choices, position, keys that can be undone."""
    with closing(ReviewSession(project)) as session:
        return choices(session), session.state.position, [step.key for step in session.state.undo]


# --- every key is saved at once ----------------------------------------------------------------------------------


@pytest.mark.parametrize("another", [look, lambda project: in_child(look, project)], ids=["session", "process"])
def test_a_new_session_resumes_after_every_single_key(
    make_project: Make, open_session: Open, another: Callable[[Project], tuple]
) -> None:
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2), (2, 3)])
    recommend(project, queue(project)[1], 1, BOX)
    session = open_session(project)
    keys = ("1", "c", "w", "ArrowUp", "x", "k", "u", "s", "Home", "1", "End", "u", "u", "Shift+u", "g", "a")
    for key in keys:
        state = session.press(key)
        expected = (choices(session), state.position, [step.key for step in state.undo])
        assert another(project) == expected, key


def test_a_process_that_is_killed_loses_no_key(make_project: Make) -> None:
    project = make_project([(1, 2)] * 4)

    def die(pipe: Connection) -> None:
        session = ReviewSession(project)
        press(session, "1", "q", "x")
        pipe.send("pressed")
        pipe.poll(None)
        os.kill(os.getpid(), signal.SIGKILL)

    with child(die) as pipe:
        assert hear(pipe) == "pressed"
    assert look(project) == (["approve 1", "crop 1", "reject", "-"], 3, ["1", "q", "x"])


def test_undo_and_redo_reach_back_before_a_restart(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 3)
    review(project, "1", "q", "x")
    session = open_session(project)
    assert session.state.message == ""
    press(session, "u", "u")
    assert choices(session) == ["approve 1", "-", "-"]
    session = open_session(project)
    press(session, "Shift+u")
    assert (choices(session), session.state.message) == (["approve 1", "crop 1", "-"], "redone: crop 1")
    press(session, "u", "u", "u", "u")
    assert (choices(session), session.state.message) == (["-", "-", "-"], "nothing to undo")


def test_a_key_after_undo_ends_what_can_be_redone(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 3)
    session = open_session(project)
    press(session, "1", "q", "u", "x")
    assert open_session(project).press("Shift+u").message == "nothing to redo"
    assert choices(session) == ["approve 1", "reject", "-"]


def test_views_are_not_saved_but_the_place_is(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 3)
    press(open_session(project), "Enter", "z", "i", "?")
    state = open_session(project).state
    assert (state.position, state.zoom, state.info, state.help, state.summary) == (1, "", False, False, False)


def test_a_text_that_is_no_key_changes_nothing(make_project: Make, open_session: Open) -> None:
    session = open_session(make_project([(1, 2)]))
    before = session.state
    with pytest.raises(UsageError, match="'F13' is not a key"):
        session.press("F13")
    assert session.state == before


def test_a_project_without_groups_says_how_to_make_them(
    workspace: Workspace, images_folder: Path, open_session: Open
) -> None:
    write_image(images_folder / "IMG_0001.jpg")
    project, _ = projects.start(workspace, "p", images_folder)
    for session in (open_session(project), open_session(project, order="worth")):
        session.press("1")
        assert session.view().header == NO_GROUP
        assert session.view().next_step.startswith("group the images by how they look: pickroom index p")
        assert session.view().progress == 0


def test_an_empty_queue_says_so_and_takes_every_key(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)])
    review(project, "1", *FINALISE)
    session = open_session(project)
    assert session.view().header == "No group is waiting: every group is decided"
    assert session.view().next_step == ""
    for key in ("1", "q", "a", "c", "x", "k", "s", "Enter", "g", "z", "i", "u", *FINALISE):
        session.press(key)
    assert session.view().group is None
    assert session.candidates_info() == []


def test_a_project_without_its_folder_is_refused_in_one_line(make_project: Make) -> None:
    project = make_project([(1, 2)])
    project.root.rename(project.root.with_name("unplugged"))
    with pytest.raises(ProjectError, match="the image folder is not there while opening project p"):
        ReviewSession(project)


# --- batches -----------------------------------------------------------------------------------------------------


def test_batch_has_given_size_and_the_next_follows_finalise(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 5)
    every = [group.group_id for group in queue(project)]
    session = open_session(project, batch_size=2)
    assert [card.group_id for card in session.state.cards] == every[:2]
    assert session.view().header.endswith("3 more after this batch")
    state = press(session, "1", "1", *FINALISE)
    assert [card.group_id for card in state.cards] == every[2:4]
    assert (state.position, state.message, state.undo) == (
        0,
        "Batch 1: 2 picked · undo: pickroom undo p --batch 1",
        (),
    )
    press(session, "x", "x", *FINALISE)
    assert [card.group_id for card in session.state.cards] == every[4:]
    assert "more after" not in session.view().header


def test_skipped_groups_come_again_after_all_others(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 5)
    a, b, c, d, e = (group.group_id for group in queue(project))
    session = open_session(project, batch_size=3)
    press(session, "s", "1", "s", *FINALISE)
    assert [card.group_id for card in session.state.cards] == [d, e, a]
    assert choices(session) == ["-", "-", "-"]  # afresh
    press(session, "1", "1", "s", *FINALISE)
    assert [card.group_id for card in session.state.cards] == [c, a]
    assert b in decisions(project)


def test_undecided_group_comes_first_in_the_next_batch(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    a, _, c, d = (group.group_id for group in queue(project))
    session = open_session(project, batch_size=3)
    press(session, "Enter", "1", *FINALISE)
    assert [card.group_id for card in session.state.cards] == [a, c, d]
    assert session.state.card is not None and session.state.card.group_id == a
    again = open_session(project, batch_size=3)  # and so does whoever opens it next
    assert again.state.card is not None and again.state.card.group_id == a


def test_undo_does_not_reach_into_another_batch(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    session = open_session(project, batch_size=2)
    press(session, "1", "1", *FINALISE)
    assert session.press("u").message == "nothing to undo"
    press(session, "2")
    # a wider batch holds the same groups and more
    assert [step.key for step in open_session(project, batch_size=100).state.undo] == ["2"]


def test_finalise_through_keys_moves_the_files(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2), (1, 2)])
    first, second = queue(project)
    session = open_session(project)
    state = press(session, "2", "x", "Shift+Enter")
    assert state.summary
    assert places(project, first) == ("", "")
    state = press(session, "Shift+Enter")
    assert state.message == "Batch 1: 1 picked, 1 rejected · undo: pickroom undo p --batch 1"
    assert (state.summary, state.cards) == (False, ())
    assert (places(project, first), places(project, second)) == (
        ("delete_staging", "selected"),
        ("delete_staging",) * 2,
    )


# --- time --------------------------------------------------------------------------------------------------------


class Clock:
    """Seconds, moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def milliseconds(project: Project) -> list[int]:
    return [row["milliseconds"] for row in rows(project, "SELECT milliseconds FROM review_state ORDER BY group_id")]


def timed(session: ReviewSession, clock: Clock, *steps: tuple[float, str]) -> None:
    for seconds, key in steps:
        clock.now += seconds
        session.press(key)


def test_time_is_counted_for_the_group_it_was_spent_on(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 3)
    clock = Clock()
    session = open_session(project, clock=clock)
    timed(session, clock, (2.5, "1"), (4, "Enter"), (1, "ArrowUp"), (0.5, "x"))
    # 2.5 s on the first; 4 s, then 0.5 s on the second; 1 s on the third
    assert milliseconds(project) == [2500, 4500, 1000]


def test_zoom_time_counts_for_a_group_but_a_long_pause_does_not(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    clock = Clock()
    session = open_session(project, clock=clock)
    timed(session, clock, (2, "z"), (2, "z"), (1, "1"), (3600, "1"))
    assert milliseconds(project) == [5000, 0]  # how long the user looked before going away is not known


def test_time_spent_finalising_is_not_counted_for_the_next_group(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    clock = Clock()
    session = open_session(project, clock=clock, batch_size=1)
    timed(session, clock, (1, "1"), (20, "Shift+Enter"), (30, "Shift+Enter"), (3, "1"))
    assert milliseconds(project) == [1000, 3000]


def test_header_tells_pace_and_agreement(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    for group in queue(project):
        recommend(project, group, 0)
    clock = Clock()
    session = open_session(project, clock=clock)
    assert session.view().header == "Group 1 of 4 - reviewed 0 (0 %)"
    timed(session, clock, (40, "1"), (80, "2"))
    assert session.view().header == (
        "Group 3 of 4 - reviewed 2 (50 %) - 60.0 s/group - about 2 min left - agreement 50 %"
    )
    assert session.view().progress == 0.5


# --- blind -------------------------------------------------------------------------------------------------------


def test_blind_hides_recommendation_until_user_has_chosen(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    recommend(project, queue(project)[0], 1, BOX, crop_needed=True, reasons=("sharper",), anomaly_flags=("odd",))
    session = open_session(project, blind=True)
    shown = session.view().group
    assert shown is not None
    assert [(image.ai_pick, image.badge, image.crop) for image in shown.images] == [(False, "", None)] * 2
    assert (shown.flags, "sharper" in shown.reasons) == ((), False)
    press(session, "1", "ArrowUp")
    shown = session.view().group
    assert shown is not None
    assert [image.badge for image in shown.images] == ["", "AI pick 87 %"]
    assert shown.reasons.startswith("sharper")


@pytest.mark.parametrize("key", ["a", "c"])
def test_blind_hidden_advice_cannot_be_accepted_or_toggled(make_project: Make, open_session: Open, key: str) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 1, BOX, crop_needed=True)
    session = open_session(project, blind=True)
    press(session, key)
    assert choices(session) == ["-"]


def test_blind_choices_are_recorded_as_blind_with_the_ai_pick(make_project: Make) -> None:
    project = make_project([(1, 2)])
    group = queue(project)[0]
    recommend(project, group, 1)
    review(project, "1", *FINALISE, blind=True)
    assert rows(project, "SELECT input FROM decision_context") == [{"input": "blind"}]
    row = decisions(project)[group.group_id]
    assert (row["ai_selected_index"], row["user_selected_index"], row["selection_match"]) == (1, 0, 0)


def test_blind_hidden_crop_is_neither_accepted_nor_refused(make_project: Make) -> None:
    project = make_project([(1, 2)])
    group = queue(project)[0]
    recommend(project, group, 1, (0.1, 0, 0.9, 0.8), crop_needed=True)
    review(project, "2", *FINALISE, blind=True)
    row = decisions(project)[group.group_id]
    assert (row["selection_match"], row["ai_crop_accepted"], row["ai_crop_coords"]) == (1, None, "[0.1, 0, 0.9, 0.8]")
    assert places(project, group) == ("delete_staging", "selected")


@pytest.mark.parametrize("blind_first", [False, True], ids=["chosen in sight", "chosen blind"])
def test_choice_passed_over_in_another_mode_keeps_its_record(
    make_project: Make, open_session: Open, blind_first: bool
) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    recommend(project, group, 1, BOX, crop_needed=True, versions={"ranker": "v1"})
    review(project, "2", blind=blind_first)
    recommend(project, group, 0, OTHER_BOX, versions={"ranker": "v2"})
    session = open_session(project, blind=not blind_first)
    press(session, "Home", "Enter", "ArrowUp", *FINALISE)
    row = decisions(project)[group.group_id]
    context = rows(project, "SELECT input, versions FROM decision_context")
    if blind_first:
        assert (row["ai_selected_index"], row["ai_crop_accepted"], places(project, group)[1]) == (1, None, "selected")
        assert context == [{"input": "blind", "versions": '{"ranker": "v1"}'}]
    else:
        assert (row["ai_selected_index"], row["ai_crop_accepted"], places(project, group)[1]) == (1, 1, "crop_auto")
        assert context == [{"input": "review", "versions": '{"ranker": "v1"}'}]


def test_unaided_choice_stays_unaided_if_passed_over(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    recommend(project, group, 1, BOX, crop_needed=True)
    with closing(ManualSession(project)) as unaided:
        press(unaided, "2")
    session = open_session(project)
    press(session, "Home")
    shown = session.view().group
    assert shown is not None and not any(image.ai_pick for image in shown.images)
    press(session, "Enter", *FINALISE)
    assert decisions(project)[group.group_id]["ai_selected_index"] is None


@pytest.mark.parametrize("stored", [False, True], ids=["picked now", "stored by an earlier version"])
def test_blind_summary_and_route_ignore_an_overlay_left_on(
    make_project: Make, open_session: Open, stored: bool
) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    shown = recommend(project, group, 1, BOX)
    press(open_session(project), "c")  # on in one window, and left on
    if stored:
        with closing(connect(project.database)) as connection:
            made = SavedChoice(Choice("approve", 1, overlay=True), shown, "blind")
            review_state.REVIEW.save_choice(connection, group.group_id, made)
        session = open_session(project, blind=True)
    else:
        session = open_session(project, blind=True)
        press(session, "2")
        assert not session.state.choices[group.group_id].overlay
    for deck in (session, open_session(project)):
        drawn = deck.group_at(0)
        assert drawn is not None and drawn.route.startswith("2 → selected/   ·")
        assert [image.crop for image in drawn.images] == [None, None]
        assert "1 group: the picked image → selected/, the others → delete_staging/" in deck.summary()
    with closing(connect(project.database)) as connection:
        planned, _ = finalise_module.plan(project, connection, [group.group_id], 1, "now")
    assert [item.route.folders for item in planned] == [("delete_staging", "selected")]
    press(session, *FINALISE)
    assert places(project, group) == ("delete_staging", "selected")
    assert decisions(project)[group.group_id]["ai_crop_accepted"] is None


# --- what was shown is what is recorded --------------------------------------------------------------------------


def test_recorded_recommendation_is_the_one_shown_at_the_choice(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2), (1, 2)])
    group, other = queue(project)
    recommend(project, group, 1, BOX, crop_needed=True, versions={"ranker": "v1"})
    session = open_session(project)
    press(session, "a")
    recommend(project, group, 0, OTHER_BOX, versions={"ranker": "v2"})
    recommend(project, other, 0, versions={"ranker": "v2"})
    press(session, "ArrowUp")
    shown = session.view().group
    assert shown is not None
    assert [image.ai_pick for image in shown.images] == [False, True]  # still what the choice was made on
    press(session, "End", "a", *FINALISE)
    row = decisions(project)[group.group_id]
    assert (row["ai_selected_index"], row["selection_match"], row["ai_crop_accepted"]) == (1, 1, 1)
    assert json.loads(row["ai_crop_coords"]) == list(BOX)
    versions = {r["group_id"]: json.loads(r["versions"]) for r in rows(project, "SELECT * FROM decision_context")}
    assert versions == {group.group_id: {"ranker": "v1"}, other.group_id: {"ranker": "v2"}}


@pytest.mark.parametrize("change", ["the pick", "the box", "the crop"])
def test_changed_recommendation_needs_a_second_press_to_accept(
    make_project: Make, open_session: Open, change: str
) -> None:
    project = make_project([(1, 2), (1, 2)])
    group = queue(project)[0]
    recommend(project, group, 1, BOX, crop_needed=True)
    session = open_session(project)
    session.view()
    if change == "the pick":
        recommend(project, group, 0, BOX, crop_needed=True)
    elif change == "the box":
        recommend(project, group, 1, OTHER_BOX, crop_needed=True)
    else:
        recommend(project, group, 1)
    state = session.press("a")
    assert (choices(session), state.position) == (["-", "-"], 0)
    assert "look, and press again" in state.message
    press(session, "a")
    assert choices(session)[0] == ("approve 1" if change == "the pick" else "approve 2")


def test_clearing_a_choice_shows_the_current_recommendation(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2), (1, 2)])
    group = queue(project)[0]
    recommend(project, group, 1)
    review(project, "1")
    recommend(project, group, 0)
    session = open_session(project)
    press(session, "Home", "1")  # again: clear
    session = open_session(project)
    shown = session.group_at(0)
    assert shown is not None
    assert [image.ai_pick for image in shown.images] == [True, False]


def test_next_batch_starts_at_the_first_group_in_any_order(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 5)
    for group, confidence in zip(queue(project), (0.9, 0.5, 0.8, 0.7, 0.6), strict=True):
        recommend(project, group, 0, confidence=confidence)
    press(open_session(project, order="folder", batch_size=1), "1", *FINALISE)
    assert open_session(project, order="worth").state.position == 0
    session = open_session(project, order="worth")
    press(session, "1", "Enter")
    assert open_session(project, order="worth").state.position == 2  # resumed


# --- several windows on one project ------------------------------------------------------------------------------


def test_each_window_sees_the_others_choices_with_its_next_key(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    one, two = open_session(project), open_session(project)
    press(one, "1", "q")
    press(two, "End")
    assert choices(two) == ["approve 1", "crop 1", "-", "-"]
    press(two, "x")
    assert one.refresh()
    assert choices(one) == ["approve 1", "crop 1", "-", "reject"]
    assert one.state.message == "another window has worked on this batch: its choices are shown"
    assert one.state.position == 2  # where this person is looking
    assert not one.refresh()
    press(one, "k")
    assert look(project)[0] == ["approve 1", "crop 1", "keep", "reject"]


def test_new_recommendations_are_not_blamed_on_another_window(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 3)
    session = open_session(project, order="worth")
    press(session, "Enter", "Enter")
    for group, confidence in zip(queue(project), (0.9, 0.5, 0.7), strict=True):
        recommend(project, group, 0, confidence=confidence)
    assert session.refresh()
    assert session.state.card is not None and session.state.card.group_id == queue(project)[2].group_id
    told = "recommendations were made anew; 1 group before this is open: G goes to the next"
    assert session.state.message == told
    recommend(project, queue(project)[0], 0, confidence=0.9, reasons=("otherwise put",))
    assert session.refresh()
    assert session.state.message == told  # nothing new to say


def test_looking_elsewhere_in_another_window_says_nothing(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    one, two = open_session(project), open_session(project)
    press(two, "Enter", "Enter")
    assert not one.refresh()
    assert (one.state.position, one.state.message) == (0, "")


def test_repeating_a_pick_of_another_window_does_not_clear_it(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    one, two = open_session(project), open_session(project)
    press(one, "1")
    state = press(two, "1")
    assert (choices(two), state.position) == (["approve 1", "-"], 0)
    assert "look, and press again" in state.message
    assert look(project)[0] == ["approve 1", "-"]


def test_key_is_never_applied_to_a_group_that_was_not_shown(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 4)
    one, two = open_session(project, batch_size=2), open_session(project, batch_size=2)
    press(one, "1", "1", *FINALISE)
    state = press(two, "x")  # the group it was looking at has been finalised
    assert choices(two) == ["-", "-"]
    assert "look, and press again" in state.message
    press(two, "x")
    assert choices(two) == ["reject", "-"]


def test_a_summary_that_no_longer_holds_is_shown_again(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    one, two = open_session(project), open_session(project)
    press(one, "1", "Shift+Enter")
    press(two, "End", "x")
    state = press(one, "Shift+Enter")
    assert (one.last_result, decisions(project)) == (None, {})
    assert state.summary
    assert "1 group: every image → delete_staging/" in one.view().summary
    press(one, "Shift+Enter")
    assert len(decisions(project)) == 2


def test_choice_made_elsewhere_during_finalise_is_not_lost(
    make_project: Make, open_session: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project([(1, 2)] * 2)
    first, second = queue(project)
    other = open_session(project)
    plan = finalise_module.plan

    def meanwhile(*arguments: object) -> tuple:
        planned = plan(*arguments)  # type: ignore[arg-type]
        press(other, "Home", "x")
        return planned

    session = open_session(project)
    press(session, "1", "1", "Shift+Enter")
    monkeypatch.setattr(finalise_module, "plan", meanwhile)
    press(session, "Shift+Enter")
    monkeypatch.undo()
    assert session.last_result is not None
    assert session.last_result.counts == {"approve": 1}
    assert session.last_result.held == {first.group_id: "another window chose anew while this was being finalised"}
    assert places(project, first) == ("", "")
    assert places(project, second) == ("selected", "delete_staging")
    assert look(project)[0] == ["reject"]


def test_a_batch_undone_elsewhere_comes_back_with_its_choices(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    session = open_session(project)
    press(session, "1", *FINALISE)
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)
    session.refresh()
    assert choices(session) == ["approve 1", "-"]


def test_a_rescan_elsewhere_brings_new_groups_in(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)])
    session = open_session(project)
    press(session, "1", "Shift+Enter")
    write_series(project.root / "more", [(1, 2)] * 3)
    for path in (project.root / "more").iterdir():
        path.rename(path.with_name(path.name.replace("2025", "2024")))
    projects.rescan(project)
    session.refresh()
    assert choices(session) == ["approve 1", "-", "-", "-"]
    assert session.asks and "3 groups: undecided or skipped: stay where they are" in session.view().summary


def hammer(pipe: Connection, project: Project, seed: int, count: int) -> None:
    chance = random.Random(seed)
    pipe.send("ready")
    hear(pipe)
    with closing(ReviewSession(project)) as session:
        told = 0
        for _ in range(count):
            told += "press again" in session.press(chance.choice("12xkqsu")).message
            session.press(chance.choice(("ArrowUp", "ArrowDown", "Home", "End")))
    pipe.send(told)


def test_undo_keeps_what_is_open_and_shows_the_group_it_undid(make_project: Make) -> None:
    project = make_project([(1, 2)] * 4)
    last = queue(project)[3].group_id
    with closing(ReviewSession(project, order="worth", batch_size=4)) as session:
        session.press("End")
        session.press("2")
    with closing(ReviewSession(project, order="worth", batch_size=2)) as session:
        assert last in [group.group_id for group in session.groups], "what was worked on stays among the next"
        session.press("i")
        session.press("u")
        assert (session.state.message, session.state.info) == ("undone: pick 2", True)
        shown = session.group_at(session.state.position)
        assert shown is not None and shown.group_id == last and shown.images[1].mark == "none"
        session.press("Shift+U")
        assert session.state.choices[last].index == 1


def _logged(text: str) -> Choice:
    return Choice.of(json.loads(text))


def test_two_processes_on_same_groups_never_overwrite_each_other(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    with child(hammer, project, 1, 150) as one, child(hammer, project, 2, 150) as two:
        for pipe in (one, two):
            assert hear(pipe) == "ready"
        for pipe in (one, two):
            pipe.send("go")
        hear(one), hear(two)
    # the log says what was pressed; each group's choice is what its last standing key made of it
    last: dict[str, Choice] = {}
    for row in rows(project, "SELECT * FROM review_log ORDER BY seq"):
        before, after = (_logged(row[name]) for name in ("before", "after"))
        if row["undone"]:
            last.setdefault(row["from_group"], before)
            continue
        assert last.get(row["from_group"], Choice()) == before  # no key was pressed on what was not there
        last[row["from_group"]] = after
    stored = rows(project, "SELECT * FROM review_state")
    assert {r["group_id"]: (r["action"], r["selected_index"]) for r in stored} == {
        group.group_id: (last[group.group_id].action, last[group.group_id].index) for group in queue(project)
    }


# --- an interrupted finalise -------------------------------------------------------------------------------------


def interrupted(project: Project) -> None:
    """A group finalised but for its moves: what a process leaves that dies right after its commit."""
    review(project, "1", *FINALISE)
    for row in rows(project, "SELECT * FROM file_operations"):
        (project.root / row["destination"]).rename(project.root / row["source"])
    with closing(connect(project.database)) as connection, transaction(connection):
        connection.execute("UPDATE file_operations SET state = 'planned', finished_at = NULL")


def test_opening_a_session_completes_an_interrupted_finalise(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    interrupted(project)
    assert places(project, group) == ("", "")
    session = open_session(project)
    assert session.state.message == "interrupted work was completed: 1 done"
    assert places(project, group) == ("selected", "delete_staging")


def test_what_could_not_be_completed_is_said_too(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    interrupted(project)
    (project.root / group.filenames[1]).unlink()
    session = open_session(project)
    told = f"interrupted work was completed: 0 done; 1 put back (the first: {group.group_id}: "
    assert session.state.message.startswith(told)
    assert session.state.cards[0].group_id == group.group_id
    shown = session.group_at(0)
    assert shown is not None
    assert "the file has vanished" in shown.held_reason


def hold(pipe: Connection, project: Project) -> None:
    with project_lock(project, "finalising"):
        pipe.send("held")
        pipe.poll(None)


def test_session_does_not_complete_a_finalise_still_running(make_project: Make, open_session: Open) -> None:
    project = make_project([(1, 2)] * 2)
    group = queue(project)[0]
    interrupted(project)
    before = read_tree(project.root)
    with child(hold, project) as pipe:
        assert hear(pipe) == "held"
        session = open_session(project)
        assert "(finalising) is at work on project p while recovering" in session.state.message
        assert read_tree(project.root) == before
        press(session, "1")  # choosing goes on meanwhile
        assert len(groups_of(project)) == 2
    assert places(project, group) == ("", "")
    open_session(project)
    assert places(project, group) == ("selected", "delete_staging")


def groups_of(project: Project) -> list:
    with closing(connect(project.database)) as connection:
        return groups_table.every(connection, project.id)
