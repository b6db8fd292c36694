"""Generate writes what the recommendations say, approves only what the guarantee covers, and touches no image."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.automation import evidence, generate, sandbox
from pickroom.automation.decisions_file import Approval, read_approval, read_approved, read_decisions, write_lines
from pickroom.automation.guarantee import BlindDecision, RiskTarget
from pickroom.core.errors import LockedError, StoreError, UsageError
from pickroom.core.records import BoxSource, Choice, CropBox, Recommendation
from pickroom.files.cropping import Order, submit
from pickroom.files.preflight import project_lock
from pickroom.indexing import projects
from pickroom.store import recommendations, review_state
from pickroom.store.connect import connect, open_read_only
from pickroom.store.review_state import SavedChoice
from pickroom.store.workspace import Project, Workspace
from support.automating import BOX, WRITE, approve_all, change_line, groups_of, person, proposals_of, proposed, review
from support.photographs import shoot
from support.reviewing import FINALISE, queue, recommend, rows
from support.reviewing import review as review_by_hand

Make = Callable[..., Project]


def test_every_undecided_group_gets_its_line(make_project: Make) -> None:
    project = make_project([(1, 1.5, 2), (1, 2), (1, 2), (1, 2)])
    review_by_hand(project, "1", *FINALISE)
    first, second, third = queue(project)
    recommend(project, first, 0, BOX, crop_needed=True, crop_confidence=0.7, reasons=("sharp",), anomaly_flags=("odd",))
    recommend(project, second, 1, None, crop_needed=False)
    with closing(connect(project.database)) as connection:
        connection.execute("DELETE FROM recommendations WHERE group_id = ?", (third.group_id,))
    before = read_tree(project.root)

    made = generate.generate(sandbox.prepare(project))

    one, two, three = made.proposals
    assert [p.group_id for p in made.proposals] == [g.group_id for g in (first, second, third)]
    assert (one.chosen, one.confidence, one.reason, one.anomaly_flags) == (first.filenames[0], 0.87, "sharp", ("odd",))
    assert (one.needs_crop, one.crop, one.crop_confidence, one.models) == (True, CropBox(*BOX), 0.7, {"ranker": "v1"})
    assert (two.chosen, two.needs_crop, two.crop, two.crop_reason) == (
        second.filenames[1],
        False,
        None,
        "no crop needed",
    )
    assert (three.chosen, three.confidence, three.reason) == (None, None, "no recommendation yet")
    assert not any(p.auto_approve for p in made.proposals)
    assert list(read_decisions(made.target.decisions).values()) == list(made.proposals)
    assert read_tree(project.root) == before


def test_bursts_of_more_than_four_are_left_to_the_review(tmp_path: Path) -> None:
    shoot(tmp_path / "card", bursts=1, shots=6)
    shoot(tmp_path / "card" / "more", bursts=1, shots=3)
    for number, path in enumerate(sorted((tmp_path / "card" / "more").iterdir())):
        path.rename(path.with_name(f"MORE_{number}.jpg"))
    project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card")[0]
    made = generate.generate(sandbox.prepare(project))
    assert [len(one.images) for one in made.proposals] == [3]
    assert "1 burst of more than four images left to the review, round by round" in made.notes
    review_by_hand(project, "1", "2", *FINALISE, blind=True)
    with open_read_only(project.database) as connection:
        assert evidence.blind_decisions(connection, {}, frozenset()) == []


def test_new_recommendations_reach_the_copy(make_project: Make) -> None:
    project = make_project([(1, 2)])
    place = proposed(project)
    recommend(project, queue(project)[0], 0, versions={"ranker": "v2"})
    made = generate.generate(place).proposals[0]
    assert (made.chosen, made.models) == (queue(project)[0].filenames[0], {"ranker": "v2"})


def test_a_copy_older_than_the_project_says_so(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)
    place = proposed(project)
    assert generate.generate(place).notes == ()
    review_by_hand(project, "1", *FINALISE)
    assert "the copy is older than the project: it lacks 0 groups, and 1" in generate.generate(place).notes[0]


def test_what_the_person_has_spoken_of_stays_as_it_was(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    place = proposed(project)
    review(place, "a", *WRITE, "ArrowRight", "r")  # written, looked at, chosen but not written
    before = proposals_of(place)
    for group in queue(project):
        recommend(project, group, 0, versions={"ranker": "v2"})
    made = generate.generate(place)
    assert [p.models["ranker"] for p in made.proposals] == ["v1", "v2", "v1"]
    assert [made.proposals[0], made.proposals[2]] == [before[0], before[2]]


def test_damaged_decisions_are_rewritten_but_user_file_is_kept(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)] * 2))
    change_line(place.decisions, 0, lambda values: values.update(images=["x"]))
    assert "the decisions were damaged and are written anew" in generate.generate(place).notes[0]
    assert len(read_decisions(place.decisions)) == 2
    place.approved.write_text("{")
    before = place.decisions.read_bytes()
    with pytest.raises(UsageError, match="line 1"):
        generate.generate(place)
    assert (place.decisions.read_bytes(), place.approved.read_text()) == (before, "{")


def test_the_machines_own_lines_go_and_the_persons_stay(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)] * 2))
    one, two = proposals_of(place)
    persons = person(one.group_id, "rejected")
    write_lines(place.approved, [persons, person(two.group_id, "approved", two.chosen, by="auto")])
    generate.generate(place)
    assert list(read_approved(place.approved).values()) == [persons]


# ------------------------------------------------------------------------------------------------ the guarantee


def blind_on(project: Project, decided: int, wrong: int) -> None:
    """As if that many groups had been decided blind: rows of the tables that the guarantee reads."""
    shown = Recommendation("g", "model", 1, confidence=0.99, versions={"ranker": "v1"})
    with closing(connect(project.database)) as connection:
        group = queue(project)[-1]
        connection.execute("PRAGMA foreign_keys = OFF")
        for number in range(decided):
            picked = 0 if number < wrong else 1
            group_id, now = f"blind{number:04}", f"2026-01-01T00:00:{number:06}Z"
            connection.execute(
                """INSERT INTO ai_decisions
                VALUES (?, ?, 'p', '', 1, ?, 1, NULL, .99, ?, 'approve', NULL, NULL, NULL, 9, 9, ?, NULL)""",
                (group_id, now, f'["{group.filenames[0]}", "{group.filenames[1]}"]', picked, picked == 1),
            )
            connection.execute(
                """INSERT INTO decision_context (group_id, batch, input, outcome, decided_at)
                VALUES (?, 1, 'blind', 'approve', ?)""",
                (group_id, now),
            )
            connection.execute(
                "INSERT INTO review_state (group_id, action, selected_index, overlay, input, shown, updated_at)"
                " VALUES (?, 'approve', ?, 0, 'blind', ?, ?)",
                (group_id, picked, shown.to_json(), now),
            )


def test_enough_blind_decisions_approve_only_sure_proposals(make_project: Make) -> None:
    project = make_project([(1, 2)] * 4)
    sure, unsure, flagged, other = queue(project)
    recommend(project, sure, 1, confidence=0.99)
    recommend(project, unsure, 1, confidence=0.3)
    recommend(project, flagged, 1, confidence=0.99, anomaly_flags=("odd",))
    recommend(project, other, 1, confidence=0.99, versions={"ranker": "v2"})
    blind_on(project, 200, 0)
    first_alone = RiskTarget(anomaly=None)

    place = sandbox.prepare(project)
    assert [p.auto_approve for p in generate.generate(place).proposals] == [False] * 4  # the second promise needs more
    made = generate.generate(place, first_alone)
    assert [p.auto_approve for p in made.proposals] == [True, False, False, False]
    assert made.approval.risk == first_alone
    stored = read_approval(place.guarantee)
    assert stored == made.approval and stored.approves(made.proposals[0].recommendation(sure.filenames))
    # decisions that trained these versions are none to calibrate them on
    trained_on = frozenset(f"blind{number:04}" for number in range(200))
    assert generate.generate(place, first_alone, trained_on=trained_on).approved == 0


def test_blind_decisions_are_read_as_they_were_made(make_project: Make) -> None:
    project = make_project([(1, 2)] * 5)
    groups = queue(project)
    for group, index in zip(groups, (1, 1, 0, 1, 1), strict=True):
        recommend(project, group, index)
    review_by_hand(project, "2", "1", "2", "x", "w", *FINALISE, blind=True, order="folder")
    with closing(connect(project.database)) as connection:
        found = evidence.blind_decisions(connection, {"ranker": "v1"})
        assert evidence.blind_decisions(connection, {"ranker": "v2"}) == []
    assert found == [
        BlindDecision(0.87, False, False),
        BlindDecision(0.87, True, True),  # a lower stage than the one recommended
        BlindDecision(0.87, True, False),
        BlindDecision(0.87, True, None),  # a reject picks nothing
        BlindDecision(0.87, True, False),  # a crop asked for where none is proposed
    ]


@pytest.mark.parametrize(
    ("choice", "needed", "crop", "matches", "expected"),
    [
        (Choice("approve", 1), None, None, None, False),
        (Choice("approve", 1), False, None, None, False),
        (Choice("approve", 1), None, BOX, None, False),  # nobody says that it is needed: it would not have been made
        (Choice("approve", 1), True, BOX, None, True),  # a crop would have been made of what the user left whole
        (Choice("approve", 1), True, None, None, True),
        (Choice("approve", 0), None, None, None, True),
        (Choice("crop", 1), None, None, None, True),
        (Choice("crop", 1), False, BOX, None, True),
        (Choice("crop", 1), True, None, None, False),  # to the crop desk, as the user sent it
        (Choice("crop", 1), True, BOX, None, None),  # not drawn yet
        (Choice("crop", 1), True, BOX, True, False),
        (Choice("crop", 1), True, BOX, False, True),
        (Choice("crop", 0), True, BOX, True, True),
        (Choice("reject"), None, None, None, True),
        (Choice("keep"), None, None, None, True),
    ],
)
def test_what_overrides_a_recommendation_not_seen(
    choice: Choice, needed: bool | None, crop: tuple | None, matches: bool | None, expected: bool | None
) -> None:
    shown = Recommendation("g", "model", 1, crop=CropBox(*crop) if crop else None, crop_needed=needed)
    assert evidence.overrides(choice, shown, matches) is expected


@pytest.mark.parametrize(
    ("match", "source", "expected"),
    [
        *[(None, None, []), (1, "drawn", [False]), (0, "drawn", [True]), (1, "ai", [False])],
        *[(match, source, []) for match in (0, 1) for source in ("ai_all", "default")],
    ],
)
def test_a_crop_counts_once_the_person_has_drawn_it(
    make_project: Make, match: int | None, source: BoxSource | None, expected: list[bool]
) -> None:
    project = make_project([(1, 2)])
    recommend(project, queue(project)[0], 1, BOX, crop_needed=True)
    (group,) = queue(project)
    review_by_hand(project, "w", *FINALISE, blind=True)
    with closing(connect(project.database)) as connection:
        if source is not None:
            box = CropBox(*BOX) if match else CropBox(0, 0, 1, 1)
            assert submit(project, connection, [Order("crop", group.filenames[1], box, source)]).done
        found = evidence.blind_decisions(connection, {"ranker": "v1"})
    assert [one.overridden for one in found] == expected


def test_drawn_groups_that_are_overridden_switch_approval_off(make_project: Make) -> None:
    project = make_project([(1, 2)] * 12)
    for group in queue(project):
        recommend(project, group, 1, confidence=0.99)
    blind_on(project, 200, 0)
    place = sandbox.prepare(project)
    assert generate.generate(place, RiskTarget(anomaly=None)).approval.threshold is not None
    shown = Recommendation("g", "model", 1, confidence=0.99, versions={"ranker": "v1"})
    with closing(connect(place.project.database)) as connection:
        for group in groups_of(place)[:10]:
            review_state.AUTOMATION.save_choice(
                connection, group.group_id, SavedChoice(Choice("approve", 0), shown, "blind")
            )
    made = generate.generate(place, RiskTarget(anomaly=None))
    assert made.approval.threshold is None and made.approved == 0
    assert "switched off: 10 of 10 groups drawn at random" in made.approval.explanation[-1]


def test_a_damaged_guarantee_is_refused(make_project: Make) -> None:
    place = proposed(make_project([(1, 2)]))
    good = place.guarantee.read_text()
    for text in ("{", "[]", good.replace("null", "7", 1), good.replace('"seed"', '"feed"')):
        place.guarantee.write_text(text)
        with pytest.raises(UsageError, match="what may be approved unseen"):
            read_approval(place.guarantee)
    place.guarantee.unlink()
    assert read_approval(place.guarantee) is None


def test_the_same_groups_are_drawn_in_the_copy_and_at_every_run(make_project: Make) -> None:
    project = make_project([(1, 2)])
    place = sandbox.prepare(project)
    assert generate.seed_of(place.project) == generate.seed_of(project)
    approval = Approval(0.5, {}, generate.seed_of(project), ())
    drawn = [approval.drawn(f"group{n}") for n in range(3000)]
    assert 0.02 < sum(drawn) / len(drawn) < 0.04
    assert drawn == [Approval(0.9, {}, approval.seed, ()).drawn(f"group{n}") for n in range(3000)]


def test_what_was_applied_is_proposed_no_more(make_project: Make) -> None:
    from pickroom.automation import apply

    place = proposed(make_project([(1, 2)] * 2))
    approve_all(place)
    apply.apply(place)
    assert generate.generate(place).proposals == ()
    assert rows(place.project, "SELECT input FROM decision_context") == [{"input": "automation_review"}] * 2
    with closing(connect(place.project.database)) as connection:
        assert recommendations.waiting(connection) == []


def test_generate_writes_nothing_while_the_project_is_locked(make_project: Make) -> None:
    place = sandbox.prepare(make_project([(1, 2)]))
    before = read_tree(place.folder)
    with project_lock(place.project, "writing what was chosen"), pytest.raises(LockedError, match="what was chosen"):
        generate.generate(place)
    assert {k: v for k, v in read_tree(place.folder).items() if k in before} == before and not place.decisions.exists()


def test_a_damaged_row_of_a_blind_decision_is_one_line(make_project: Make) -> None:
    project = make_project([(1, 2)])
    blind_on(project, 2, 0)
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE review_state SET shown = '[]' WHERE group_id = 'blind0001'")
        with pytest.raises(StoreError, match="a row of decision_context is damaged"):
            evidence.blind_decisions(connection, {"ranker": "v1"})
