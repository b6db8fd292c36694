"""The order of review: worth, conflicts and a random slice; and the batch that a session makes of it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.automation.order import PATTERN, by_worth, next_groups, shuffled
from pickroom.cli import main
from pickroom.core.errors import UsageError
from pickroom.core.records import Group, Recommendation
from pickroom.sessions.review.session import ReviewSession
from pickroom.store import groups, recommendations
from pickroom.store.connect import connect, transaction
from pickroom.store.recommendations import Waiting
from pickroom.store.workspace import Project

MakeProject = Callable[..., Project]


def waiting(*confidences: float | None, conflicts: tuple[int, ...] = ()) -> list[Waiting]:
    return [Waiting(f"g{n:03d}", 0, c, None, n in conflicts) for n, c in enumerate(confidences)]


def certain_ones(count: int, conflicts: tuple[int, ...] = ()) -> list[Waiting]:
    """Groups in folder order, each less sure than the one before."""
    return waiting(*(0.99 - n / 1000 for n in range(count)), conflicts=conflicts)


def test_least_sure_groups_come_first() -> None:
    ranked = by_worth(certain_ones(100))
    worth = [n for n, way in enumerate(PATTERN * 3) if way == "worth"]
    assert ranked[0] == "g099"
    assert [ranked[place] for place in worth] == sorted((ranked[place] for place in worth), reverse=True)


def test_conflicts_are_mixed_in_however_sure_the_model_is() -> None:
    ranked = by_worth(certain_ones(400, conflicts=(0, 1, 2, 3)))
    assert [ranked[place] for place, way in enumerate(PATTERN) if way == "conflict"] == ["g003", "g002"]
    assert {"g000", "g001"} <= set(ranked[10:20])


def test_one_in_ten_is_drawn_at_random() -> None:
    many = certain_ones(2000)
    ranked = by_worth(many, "p")
    drawn = [ranked[place] for place in range(4, 300, 10)]
    assert sum(int(group_id[1:]) < 1500 for group_id in drawn) > 15  # three quarters of all are that sure
    assert by_worth(many, "p") == ranked
    assert by_worth(many, "q")[4] != ranked[4]


def test_crop_decides_between_picks_of_one_confidence() -> None:
    pair = [Waiting("sure", 0, 0.8, 0.9, False), Waiting("unsure", 0, 0.8, 0.4, False)]
    assert by_worth(pair) == ["unsure", "sure"]


def test_without_any_confidence_the_folder_decides() -> None:
    some = waiting(None, None, None, conflicts=(2,))
    assert next_groups(some, (), 10) == next_groups(some, (), 10, blind=True) == ["g000", "g001", "g002"]


def test_unknown_confidence_comes_after_the_known_ones() -> None:
    ranked = by_worth(waiting(None, 0.9, 0.5), seed="a")
    assert set(ranked[:4]) == {"g000", "g001", "g002"} and ranked[0] == "g002"


def test_folder_order_can_be_asked_for() -> None:
    assert next_groups(certain_ones(5), (), 3, order="folder") == ["g000", "g001", "g002"]
    with pytest.raises(UsageError, match="no order 'size'"):
        next_groups(certain_ones(5), (), 3, order="size")  # type: ignore[arg-type]


def test_skipped_groups_come_behind_all_others_in_every_order() -> None:
    some = [replace(group, deferrals=int(n == 4)) for n, group in enumerate(certain_ones(5))]
    for options in ({}, {"order": "folder"}, {"blind": True}):
        assert next_groups(some, (), 5, **options)[-1] == "g004"  # type: ignore[arg-type]


def test_blind_decisions_are_a_random_sample() -> None:
    many = certain_ones(1000)
    sample = next_groups(many, (), 300, blind=True, seed="p")
    half = sum(group_id < "g500" for group_id in sample) / 300
    assert abs(half - 0.5) < 0.12
    left = [group for group in many if group.group_id not in sample[:100]]
    assert next_groups(left, (), 200, blind=True, seed="p") == sample[100:]


def test_group_with_a_choice_stays_in_the_batch() -> None:
    assert "g000" not in next_groups(certain_ones(50), (), 3)
    batch = next_groups(certain_ones(50), {"g000"}, 3)
    assert batch[-1] == "g000" and len(batch) == 3


@given(st.lists(st.integers(0, 99), unique=True).map(lambda ns: [str(n) for n in ns]), st.data())
def test_only_those_drawn_are_shuffled(ids: list[str], data: st.DataObject) -> None:
    those = set(data.draw(st.lists(st.sampled_from(ids)))) if ids else set()
    mixed = shuffled(ids, those, "p")
    assert [one for one in mixed if one not in those] == [one for one in ids if one not in those]
    assert [one in those for one in mixed] == [one in those for one in ids]
    assert mixed == shuffled(ids, those, "p") and sorted(mixed) == sorted(ids)
    turned = [one for one in ids if one not in those] + sorted(those, reverse=True)
    assert [o for o in shuffled(turned, those, "p") if o in those] == [o for o in mixed if o in those]


groups_lists = st.lists(
    st.tuples(st.integers(0, 2), st.one_of(st.none(), st.floats(0, 1)), st.booleans()), max_size=60
).map(lambda rows: [Waiting(f"g{n:02d}", d, c, None, conflict) for n, (d, c, conflict) in enumerate(rows)])


@given(groups_lists, st.integers(0, 70), st.sampled_from(["worth", "folder"]), st.booleans(), st.data())
def test_whatever_waits_each_group_comes_once(
    some: list[Waiting], count: int, order: str, blind: bool, data: st.DataObject
) -> None:
    ids = [group.group_id for group in some]
    touched = set(data.draw(st.lists(st.sampled_from(ids), max_size=8))) if ids else set()
    batch = next_groups(some, touched, count, order=order, blind=blind)  # type: ignore[arg-type]
    assert len(batch) == len(set(batch)) == min(count, len(some))
    assert set(batch) <= set(ids)
    assert len(touched & set(batch)) == min(len(touched), len(batch))
    everything = next_groups(some, touched, len(some), order=order, blind=blind)  # type: ignore[arg-type]
    assert sorted(everything) == ids


# ------------------------------------------------------------------------------------------------ in a session


def recommend(project: Project, found: dict[str, Recommendation]) -> None:
    with closing(connect(project.database)) as connection, transaction(connection):
        recommendations.upsert(connection, found.values())


def queue(project: Project) -> list[Group]:
    with closing(connect(project.database)) as connection:
        return groups.queue(connection, project.id)


def order_of(project: Project, **options: object) -> list[str]:
    with closing(ReviewSession(project, **options)) as session:  # type: ignore[arg-type]
        return [group.group_id for group in session.groups]


def test_session_takes_the_order_asked_for(make_project: MakeProject) -> None:
    project = make_project([(1, 2)] * 6)
    ids = [group.group_id for group in queue(project)]
    assert order_of(project, order="worth") == ids  # the baseline has no confidence
    sure = [0.9, 0.5, 0.8, 0.6, 0.7, 0.95]
    recommend(project, {g: Recommendation(g, "model", 1, confidence=c) for g, c in zip(ids, sure, strict=True)})
    assert order_of(project, order="worth", batch_size=2) == [ids[1], ids[3]]
    assert order_of(project, batch_size=2) == order_of(project, order="folder", batch_size=2) == ids[:2]


def test_batch_keeps_its_choices_when_a_model_speaks_meanwhile(make_project: MakeProject) -> None:
    project = make_project([(1, 2)] * 6)
    ids = [group.group_id for group in queue(project)]
    recommend(project, {g: Recommendation(g, "model", 1, confidence=0.5 + n / 20) for n, g in enumerate(ids)})
    with closing(ReviewSession(project, order="worth", batch_size=2)) as session:
        chosen = session.groups[0].group_id
        session.press("1")
        recommend(project, {g: Recommendation(g, "model", 1, confidence=0.95 - n / 20) for n, g in enumerate(ids)})
        session.refresh()
        assert chosen in [group.group_id for group in session.groups]
        session.press("Shift+Enter")
        session.press("Shift+Enter")
        assert session.last_result is not None and session.last_result.counts == {"approve": 1}
        assert chosen not in [group.group_id for group in session.groups]


def test_conflict_is_a_pick_below_the_highest_stage_or_a_flag(make_project: MakeProject) -> None:
    project = make_project([(1, 1.5, 2)] * 4)
    ids = [group.group_id for group in queue(project)]
    made = [
        Recommendation(ids[0], "model", 2, confidence=0.9),
        Recommendation(ids[1], "model", 1, confidence=0.9),
        Recommendation(ids[2], "model", 2, confidence=0.9, anomaly_flags=("stage 2 may have a defect",)),
        Recommendation(ids[3], "model", None),
    ]
    recommend(project, {r.group_id: r for r in made})
    with closing(connect(project.database)) as connection:
        found = recommendations.waiting(connection)
    assert [(w.group_id, w.conflict, w.confidence) for w in found] == [
        (ids[0], False, 0.9),
        (ids[1], True, 0.9),
        (ids[2], True, 0.9),
        (ids[3], False, None),
    ]


def test_command_line_takes_an_order(
    make_project: MakeProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    project = make_project([(1, 2)] * 3)
    ids = [group.group_id for group in queue(project)]
    recommend(project, {g: Recommendation(g, "model", 1, confidence=0.9 - n / 10) for n, g in enumerate(ids)})
    (tmp_path / "keys").write_text("1\nShift+Enter\nShift+Enter\n")

    def run(*arguments: str) -> int:
        command = ["pickroom", "review", "p", *arguments, "--home", str(project.workspace.root)]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as end:
            main()
        return int(end.value.code or 0)

    assert run("--order", "size") == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1) and "'size' is not one of 'folder', 'worth'" in said.err
    assert run("--order", "worth", "--keys", str(tmp_path / "keys")) == 0
    assert [group.group_id for group in queue(project)] == ids[:2]  # the least sure one was decided
