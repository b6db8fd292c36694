"""The metrics report: rates, bands, time saved and gates; and the same from a real review of a project's copy."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.automation.decisions_file import ApprovedDecision, read_approved, write_lines
from pickroom.automation.metrics import Counts, Outcome, measure, metrics_of
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.automating import WRITE, proposed, review
from support.reviewing import FINALISE, queue
from support.reviewing import review as review_by_hand

Make = Callable[..., Project]


def outcomes(approved: int, overridden: int = 0, rejected: int = 0, **fields: object) -> list[Outcome]:
    fields = {"confidence": 0.95, "seconds": 2.0, **fields}
    kinds = [("approved", approved), ("overridden", overridden), ("rejected", rejected)]
    return [Outcome(action, **fields) for action, count in kinds for _ in range(count)]  # type: ignore[arg-type]


def test_rates_are_over_what_a_person_looked_at() -> None:
    found = measure([*outcomes(7, 2, 1), *outcomes(90, by_person=False, seconds=None)], 10.0)
    assert (found.total.reviewed, found.total.unseen) == (10, 90)
    assert (found.total.approval_rate, found.total.override_rate) == (0.7, 0.2)


def test_crops_count_only_where_one_was_shown() -> None:
    crops = [*outcomes(3, crop_accepted=True), *outcomes(1, crop_accepted=False), *outcomes(6)]
    assert (measure(crops, None).total.crops, measure(crops, None).total.crop_acceptance) == (4, 0.75)


def test_time_saved_uses_own_pace_and_counts_unseen_groups() -> None:
    seen, unseen = outcomes(10, seconds=4.0), outcomes(10, by_person=False, seconds=None)
    assert measure(seen, 8.0).time_saved == 0.5
    assert measure([*seen, *unseen], 8.0).time_saved == 0.75
    assert measure(seen, 2.0).time_saved == -1.0
    assert measure(seen, None).time_saved is None
    assert measure([*seen, *outcomes(1, seconds=4000.0)], 8.0).time_saved == 0.5  # a pause is not work
    assert measure(outcomes(1, seconds=4000.0), 8.0).time_saved is None


def test_nothing_measured_is_not_a_zero() -> None:
    found = measure([], None)
    assert (found.total.approval_rate, found.total.crop_acceptance, found.time_saved, found.bands) == (None,) * 3 + (
        {},
    )
    assert set(found.gates.values()) == {None}
    assert sum("not measured yet" in line for line in found.lines()) == 5
    assert "goals before it is trusted with more, of the proposals that were looked at:" in found.lines()


@pytest.mark.parametrize(
    ("approved", "overridden", "passed"),
    [(59, 41, [False, False, False]), (60, 40, [True, False, False]), (80, 20, [True, True, False])],
)
def test_gates_of_the_plan(approved: int, overridden: int, passed: list[bool]) -> None:
    found = measure(outcomes(approved, overridden), 10.0)
    assert [found.gates[f"{gate} approved"] for gate in ("60%", "80%", "90%")] == passed
    assert found.gates["less than 5% overridden"] is False


def test_all_gates_can_be_passed_and_are_shown_so() -> None:
    found = measure(outcomes(96, 4), 10.0)
    assert set(found.gates.values()) == {True}
    assert sum(line.endswith(": passed") for line in found.lines()) == 5
    assert measure(outcomes(96, 4, seconds=6.0), 10.0).gates["50% of the time saved"] is False


def test_bands_are_tenths_of_confidence() -> None:
    found = measure(
        [
            *outcomes(1, confidence=1.0),
            *outcomes(1, 1, confidence=0.9),
            *outcomes(0, 1, confidence=0.89),
            *outcomes(1, confidence=None),
        ],
        10.0,
    )
    assert list(found.bands) == [(0.8, 0.9), (0.9, 1.0), (None, None)]
    assert [counts.reviewed for counts in found.bands.values()] == [1, 3, 1]
    assert found.bands[0.9, 1.0].override_rate == pytest.approx(1 / 3)
    assert any(line.lstrip().startswith("unknown") for line in found.lines())


made = st.builds(
    Outcome,
    st.sampled_from(["approved", "rejected", "overridden"]),
    st.one_of(st.none(), st.floats(0, 1)),
    st.booleans(),
    st.sampled_from([None, True, False]),
    st.one_of(st.none(), st.floats(0, 1e6)),
)


@given(st.lists(made), st.one_of(st.none(), st.floats(0.1, 300)))
def test_bands_add_up_to_the_whole(some: list[Outcome], own: float | None) -> None:
    found = measure(some, own)
    for name in ("approved", "overridden", "rejected", "unseen", "crops", "crops_accepted"):
        assert sum(getattr(counts, name) for counts in found.bands.values()) == getattr(found.total, name)
    assert found.total == Counts.of(some)
    assert found.total.reviewed + found.total.unseen == len(some)
    assert all(line.isprintable() for line in found.lines())


# ------------------------------------------------------------------------------------------------ a project's own


class Clock:
    """A clock that moves by so many seconds at every look at it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_report_of_a_reviewed_copy(make_project: Make) -> None:
    project = make_project([(1, 2)] * 8)
    review_by_hand(project, "1", "1", *FINALISE, clock=Clock(10.0))
    place = proposed(project)  # every second group with a crop
    review(place, "a", "a", "c", "a", "c", "a", "1", "r", *WRITE, clock=Clock(2.0))
    lines = read_approved(place.approved)
    assert [line.action for line in lines.values()] == ["approved"] * 3 + ["approved", "overridden", "rejected"]

    found = metrics_of(place)
    assert (found.total.approved, found.total.overridden, found.total.rejected) == (4, 1, 1)
    assert (found.total.crops, found.total.crops_accepted) == (2, 1)
    assert list(found.bands) == [(0.8, 0.9)]
    assert found.own_seconds == 10.0
    assert 0 < found.spent_seconds < 60
    assert found.time_saved == pytest.approx(1 - found.spent_seconds / 60)


def test_lines_of_the_machine_count_as_unseen(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)
    place = proposed(project)
    group = queue(project)[0]
    by_machine = ApprovedDecision(
        group.group_id, "approved", group.filenames[1], False, None, "auto", "2026-01-02T03:04:05.000000Z"
    )
    write_lines(place.approved, [by_machine])
    found = metrics_of(place)
    assert (found.total.reviewed, found.total.unseen, found.total.approval_rate) == (0, 1, None)
    assert list(found.bands) == [(0.8, 0.9)]  # its confidence is that of the proposal


def test_before_any_review_nothing_is_measured(make_project: Make) -> None:
    found = metrics_of(proposed(make_project([(1, 2)])))
    assert found.total.reviewed == 0 and found.own_seconds is None
    assert any("not known before" in line for line in found.lines())


def test_own_pace_leaves_the_machine_out(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    review_by_hand(project, "1", "1", *FINALISE, clock=Clock(10.0))
    with closing(connect(project.database)) as connection:
        connection.execute("UPDATE decision_context SET input = 'auto', milliseconds = 1 WHERE rowid = 1")
    assert metrics_of(proposed(project)).own_seconds == 10.0
