"""The automation's review: its keys, its filters, what it writes, and that it goes on where it was left."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from pickroom.automation import apply, sandbox
from pickroom.automation.decisions_file import ApprovedDecision, read_approved, write_lines
from pickroom.automation.generate import generate
from pickroom.automation.sandbox import AutomationTarget
from pickroom.core.errors import ProjectError, UsageError
from pickroom.core.records import CropBox
from pickroom.sessions.review.auto_session import FILTERS, AutoSession
from pickroom.store.workspace import Project
from support.automating import (
    BOX,
    WRITE,
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
from support.reviewing import queue, recommend, rows

Make = Callable[..., Project]
CROP = CropBox(*BOX)


@pytest.fixture
def place(make_project: Make) -> AutomationTarget:
    """Four groups; the last image is proposed, with a crop for the second and the fourth."""
    return proposed(make_project([(1, 2), (1, 1.5, 2), (1, 2), (1, 2)]))


def written(place: AutomationTarget, *keys: str, **options: object) -> list[ApprovedDecision]:
    review(place, *keys, *WRITE, **options)
    return list(read_approved(place.approved).values())


KEYS = {
    # on the second group: three images, the third proposed with its crop shown
    ("a",): ("approved", 2, True, CROP),
    ("3",): ("approved", 2, True, CROP),
    ("c", "a"): ("approved", 2, False, None),
    ("c", "c", "a"): ("approved", 2, True, CROP),
    ("1",): ("overridden", 0, False, None),
    ("Shift+2",): ("overridden", 1, True, None),
    ("Shift+3",): ("overridden", 2, True, None),
    ("r",): ("rejected", None, False, None),
    ("k",): ("overridden", None, False, None),
    ("s",): None,
    ("a", "u"): None,
    ("a", "u", "Shift+u"): ("approved", 2, True, CROP),
    ("r", "ArrowUp", "r"): None,  # again: clear
    ("x",): None,  # not a key here
    ("q",): None,
}


@pytest.mark.parametrize("keys", KEYS, ids=" ".join)
def test_every_key_becomes_the_line_that_it_says(place: AutomationTarget, keys: tuple[str, ...]) -> None:
    before = images_tree(place.folder)
    lines = written(place, "a", *keys, "End", "r")
    group, expected = groups_of(place)[1], KEYS[keys]
    found = {line.group_id: line for line in lines}
    assert len(found) == 2 + (expected is not None)
    if expected:
        line = found[group.group_id]
        name = None if expected[1] is None else group.filenames[expected[1]]
        assert (line.action, line.final_choice, line.needs_crop, line.crop, line.by) == (
            expected[0],
            name,
            *expected[2:],
            "person",
        )
    assert images_tree(place.folder) == before  # it moves nothing


def test_a_crop_that_is_needed_without_a_box_goes_to_the_desk(make_project: Make) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 1, None, crop_needed=True)
    place = sandbox.prepare(project)
    generate(place)
    session = review(place, "a", *WRITE)
    assert "Approved: 2 → crop/ to be cropped by hand" in session.view().group.route  # type: ignore[union-attr]
    (line,) = read_approved(place.approved).values()
    assert (line.action, line.needs_crop, line.crop) == ("approved", True, None)
    apply.apply(place)
    assert (place.folder / "crop" / groups_of(place)[0].filenames[1]).is_file()


def test_the_words_say_what_an_apply_will_do(place: AutomationTarget) -> None:
    for keys, words in (
        ((), "Undecided: nothing is written"),
        (("r", "ArrowUp"), "Rejected: every image stays where it is, nothing is done"),
        (("k", "ArrowUp"), "Overridden, not a group: every image → selected/"),
        (("a", "ArrowUp"), "Approved: 2 → selected/   ·   1 → delete_staging/"),
        (("Shift+1", "ArrowUp"), "Overridden: 1 → crop/ to be cropped by hand"),
        (("ArrowDown", "a", "ArrowUp"), "Approved: 3 → cropped into crop_cropped/, the original → crop_originals/"),
    ):
        session = review(place, "Home", *keys)
        assert words in session.view().group.route  # type: ignore[union-attr]


def test_it_goes_on_where_it_was_left(place: AutomationTarget) -> None:
    review(place, "a", "r")
    session = review(place)
    assert session.state.position == 2 and session.state.decided == 2
    session = review(place, "u", "u")  # also what was pressed yesterday
    assert session.state.position == 0 and session.state.decided == 0
    assert review(place, "Shift+u").state.decided == 1
    # the ordinary deck of the same copy knows nothing of it
    assert rows(place.project, "SELECT * FROM review_state") == []


def test_two_windows_lose_no_key(place: AutomationTarget) -> None:
    one, other = AutoSession(place, order="folder"), AutoSession(place, order="folder")
    one.press("a")
    other.press("ArrowDown")
    other.press("r")
    one.refresh()
    assert [one.state.choice(card).action for card in one.state.cards[:2]] == ["approve", "reject"]
    one.close()
    other.close()


def test_rewriting_keeps_other_lines_and_drops_cleared_ones(place: AutomationTarget) -> None:
    foreign = groups_of(place)[3]
    write_lines(place.approved, [person(foreign.group_id, "approved", foreign.filenames[1])])
    first = written(place, "a", "r")
    assert [line.action for line in first] == ["approved", "approved", "rejected"]
    again = written(place, "Home", "a", "Home", "ArrowDown")  # the first one cleared
    assert again == [line for line in first if line.group_id != groups_of(place)[0].group_id]


def test_a_word_written_is_not_lost_by_looking_at_the_group(place: AutomationTarget) -> None:
    written(place, "a")
    other = groups_of(place)[1]
    write_lines(place.approved, [person(other.group_id, "rejected")])
    review(place, "Home", "ArrowDown", "ArrowDown", "r", *WRITE)
    assert other.group_id in read_approved(place.approved)


def test_the_summary_counts_what_will_be_written(place: AutomationTarget) -> None:
    review(place, "a", "a", "r")
    session = AutoSession(place, order="folder")
    session.press("Shift+Enter")
    assert session.view().summary == (
        "1 group: approved as proposed",
        "1 group: approved with the crop, rendered at apply",
        "1 group: rejected: nothing is done",
        "1 group: skipped or not decided, not written",
    )
    assert not place.approved.exists()
    session.press("Shift+Enter")
    session.close()
    assert session.state.message.startswith("Written to approved_decisions.jsonl: 2 approved, 1 rejected")


# ------------------------------------------------------------------------------------------------ filters


def test_filters_show_what_they_say(make_project: Make) -> None:
    project = make_project([(1, 2)] * 5)
    sure, unsure, cropped, flagged, unknown = queue(project)
    recommend(project, sure, 1, confidence=0.9, crop_needed=False)
    recommend(project, unsure, 1, confidence=0.5, crop_needed=False)
    recommend(project, cropped, 1, BOX, confidence=0.9, crop_needed=True, crop_confidence=0.9)
    recommend(project, flagged, 1, confidence=0.9, crop_needed=False, anomaly_flags=("odd",))
    recommend(project, unknown, None, confidence=None)
    place = sandbox.prepare(project)
    generate(place)
    session = AutoSession(place, order="folder")
    shown = {}
    for name in FILTERS:
        session.show_only(name)
        shown[name] = [card.group_id for card in session.state.cards]
    assert shown == {
        "waiting": [g.group_id for g in (sure, unsure, cropped, flagged, unknown)],
        "uncertain": [unsure.group_id, unknown.group_id],
        "crops": [cropped.group_id],
        "flagged": [flagged.group_id],
        "unseen": [],
    }
    assert session.counts() == {name: len(ids) for name, ids in shown.items()}
    assert session.view().header == "Approved unseen: none of 5 groups"
    session.press("f")
    assert session.only == "waiting"
    session.press("f")
    session.press("1")
    assert session.only == "uncertain" and session.state.decided == 1
    session.press("f")
    session.press("u")  # of a group that this filter leaves out
    assert session.only == "waiting" and session.state.decided == 0
    session.press("Shift+u")
    session.close()
    assert written(place)[0].group_id == unsure.group_id


def test_groups_approved_unseen_wait_only_where_they_were_drawn(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)] * 2))
    cover(place, 0.8, drawn=False)
    assert review(place).counts() == {"waiting": 0, "uncertain": 0, "crops": 0, "flagged": 0, "unseen": 2}
    cover(place, 0.8, drawn=True)
    session = review(place)
    # blind, and in no filter that would tell what is proposed
    assert session.counts() == {"waiting": 2, "uncertain": 0, "crops": 0, "flagged": 0, "unseen": 0}
    group = session.view().group
    assert group is not None and not any(image.ai_pick for image in group.images) and "Blind" in group.reasons
    session = review(place, "a")
    assert session.state.message == "nothing is recommended for this group" and session.state.decided == 0
    session = review(place, "2", "ArrowUp")
    assert session.view().group.images[1].ai_pick  # type: ignore[union-attr] (seen once it is chosen)
    assert rows(place.project, "SELECT input FROM automation_review WHERE action = 'approve'") == [{"input": "blind"}]


def test_the_groups_most_worth_a_look_come_first(make_project: Make) -> None:
    project = make_project([(1, 2)] * 4)
    for group, confidence in zip(queue(project), (0.9, 0.7, 0.5, 0.8), strict=True):
        recommend(project, group, 1, confidence=confidence)
    place = sandbox.prepare(project)
    generate(place)
    assert review(place, order="worth").state.card.group_id == queue(project)[2].group_id  # type: ignore[union-attr]
    assert review(place, order="folder").state.cards[0].group_id == queue(project)[0].group_id


# ------------------------------------------------------------------------------------------------ what is not there


def test_without_decisions_or_with_damaged_ones_it_says_so(make_project: Make) -> None:
    project = make_project([(1, 2)])
    with pytest.raises(ProjectError, match="the project has no copy"):
        sandbox.locate(project)
    place = sandbox.prepare(project)
    with pytest.raises(UsageError, match="no such file"):
        AutoSession(place)
    generate(place)
    change_line(place.decisions, 0, lambda values: values.update(group_id="p_group_x"))
    with pytest.raises(UsageError, match="line 1: it names an unknown group"):
        AutoSession(place)


def test_decisions_generated_meanwhile_are_shown(place: AutomationTarget) -> None:
    session = AutoSession(place, order="folder")
    for group in queue(place.origin):
        recommend(place.origin, group, 0, versions={"ranker": "v2"})
    generate(place)
    session.press("a")  # what was on screen is gone: look, and press again
    assert "look, and press again" in session.state.message and session.state.decided == 0
    session.press("a")
    session.close()
    assert written(place)[0].final_choice == proposals_of(place)[0].images[0]


def test_what_was_applied_is_shown_no_more(place: AutomationTarget) -> None:
    approve_all(place)
    apply.apply(place)
    assert review(place).view().header == "No group is undecided: nothing to look at"
    apply.undo_last(place)
    assert review(place).state.decided == 4


def test_undo_is_no_key_of_the_summary(place: AutomationTarget) -> None:
    with closing(AutoSession(place, order="folder")) as session:
        for key in ("ArrowDown", "a", "Home", "a"):  # the second, with a crop, and last the first, without
            session.press(key)
        session.show_only("crops")
        session.press("Shift+Enter")
        assert session.state.summary
        session.press("u")  # the step's group is behind the filter
        assert session.state.summary and session.only == "crops"
        assert sorted(review_of(place).values()).count("approve") == 2


def test_damaged_decisions_are_told_of_at_every_key(place: AutomationTarget) -> None:
    with closing(AutoSession(place)) as session:
        sound = place.decisions.read_bytes()
        place.decisions.write_bytes(b"[" + sound)
        for _ in range(2):
            with pytest.raises(UsageError, match="line 1"):
                session.press("a")
        assert review_of(place) == {}
        place.decisions.write_bytes(sound)
        session.press("ArrowDown")
        assert "line 1" not in session.state.message


def review_of(place: AutomationTarget) -> dict[str, str]:
    """Group id -> what is stored as chosen."""
    return {row["group_id"]: row["action"] for row in rows(place.project, "SELECT * FROM automation_review")}
