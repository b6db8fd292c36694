"""Picking without AI: nothing of a recommendation is seen, obeyed or recorded."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from pickroom.sessions.review.session import ManualSession, ReviewSession
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, decisions, places, queue, recommend, rows

BOX = (0.1, 0.0, 0.9, 0.8)
AI_FIELDS = (
    "ai_selected_index",
    "ai_crop_coords",
    "ai_confidence",
    "ai_crop_accepted",
    "selection_match",
    "crop_match",
)


@pytest.fixture
def project(make_project: Callable[..., Project]) -> Project:
    project = make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2)])
    for group in queue(project):
        recommend(project, group, 0, BOX, crop_needed=True, anomaly_flags=("lower stage",))
    return project


def test_no_recommendation_is_seen(project: Project) -> None:
    with closing(ManualSession(project)) as session:
        group = session.view().group
        assert group is not None
        assert all(not image.ai_pick and image.crop is None and image.badge == "" for image in group.images)
        assert group.reasons == "No recommendation"
        assert "agreement" not in session.view().header


def test_none_is_obeyed(project: Project) -> None:
    with closing(ManualSession(project)) as session:
        for key in ("a", "c"):  # nothing to accept, no overlay to switch
            session.press(key)
            assert session.state.position == 0 and session.state.decided == 0


def test_none_is_recorded(project: Project) -> None:
    groups = queue(project)
    with closing(ManualSession(project)) as session:
        for key in ("1", "e", "x", "k", *FINALISE):
            session.press(key)
    made = decisions(project)
    assert [made[g.group_id]["user_action"] for g in groups[:3]] == ["approve", "crop", "reject"]
    assert {row[name] for row in made.values() for name in AI_FIELDS} == {None}
    context = rows(project, "SELECT DISTINCT input, source, versions FROM decision_context")
    assert context == [{"input": "review", "source": None, "versions": "{}"}]
    assert places(project, groups[0]) == ("selected", "delete_staging"), "not crop_auto/: its crop was never shown"


def test_what_was_shown_in_the_other_deck_stays_what_is_recorded(project: Project) -> None:
    first, second, *_ = queue(project)
    with closing(ReviewSession(project)) as session:
        session.press("a")
    with closing(ManualSession(project)) as session:
        assert session.state.decided == 1 and session.state.position == 1
        for key in ("2", *FINALISE):
            session.press(key)
    made = decisions(project)
    assert made[first.group_id]["ai_selected_index"] == 0 and made[first.group_id]["ai_crop_accepted"] == 1
    assert made[second.group_id]["ai_selected_index"] is None


def test_undo_and_redo_in_another_deck_restore_choice_as_made(project: Project) -> None:
    group = queue(project)[0]
    saved = "SELECT action, selected_index, input, shown IS NULL AS alone FROM review_state WHERE group_id = ?"
    alone = {"action": "approve", "selected_index": 1, "input": "review", "alone": 1}
    with closing(ManualSession(project)) as session:
        session.press("2")
    with closing(ReviewSession(project, blind=True)) as session:
        session.press("Home")
        session.press("1")
        assert rows(project, saved, group.group_id) == [{**alone, "selected_index": 0, "input": "blind"}]
        session.press("u")
        assert rows(project, saved, group.group_id) == [alone]
    with closing(ReviewSession(project)) as session:
        session.press("u")  # Home
        session.press("u")  # the pick made alone
        shown = session.group_at(0)
        assert shown is not None and shown.reasons != "No recommendation", "nothing is chosen: the deck's own shows"
        session.press("Shift+U")
        assert rows(project, saved, group.group_id) == [alone]
        shown = session.group_at(0)
        assert shown is not None and shown.reasons == "No recommendation", "nothing was shown when it was chosen"
        session.press("End")
        for key in ("s", *FINALISE):
            session.press(key)
    assert decisions(project)[group.group_id]["ai_selected_index"] is None
