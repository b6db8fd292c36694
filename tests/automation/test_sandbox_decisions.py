"""What the user decides and applies in the sandbox is a decision of the project; its files and its queue stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.analysis.connection import connect as connect_analysis
from pickroom.automation import apply, sandbox
from pickroom.automation.generate import generate
from pickroom.automation.sandbox import AutomationTarget
from pickroom.demo.plan import DemoConfig
from pickroom.learn.reading import read_examples
from pickroom.sessions.review.auto_session import AutoSession
from pickroom.store.workspace import Project, Workspace
from support.automating import cover
from support.reclaiming import with_vectors
from support.reviewing import FINALISE, queue, review, rows
from support.simulated import start_simulated


@pytest.fixture
def applied(tmp_path: Path) -> tuple[Project, AutomationTarget]:
    """A project of eight groups: four decided by the user in the sandbox (an override, a rejection of the proposal
    among them), the surest ones approved unseen.
    """
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=8, seed=1, long_side=96, anomaly_rate=0.2))
    place = sandbox.prepare(project)
    generate(place)
    cover(place, 0.9, drawn=False)
    session = AutoSession(place, order="folder")
    for key in ("1", "1", "1", "r", "Shift+Enter", "Shift+Enter"):
        session.press(key)
    session.close()
    apply.apply(place, apply.dry_run(place))
    return project, place


def taken(project: Project) -> list[dict[str, object]]:
    return rows(project, "SELECT d.* FROM ai_decisions AS d JOIN sandbox_decisions USING (group_id)")


def test_decision_in_the_sandbox_trains_and_no_file_moves(tmp_path: Path) -> None:
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=8, seed=5, long_side=96, anomaly_rate=0.2))
    before, waiting = read_tree(project.root), [group.group_id for group in queue(project)]
    place = sandbox.prepare(project)
    generate(place)
    session = AutoSession(place, order="folder")
    for key in ("1", "1", "r", "Shift+Enter", "Shift+Enter"):
        session.press(key)
    session.close()
    apply.apply(place, apply.dry_run(place))
    assert [row["group_id"] for row in taken(project)] == waiting[:2]
    assert {row["user_selected_index"] for row in taken(project)} == {0}
    learnt = read_examples(with_vectors(project, "own"), "picks").picks
    assert [pick.candidates.group_id for pick in learnt] == waiting[:2]
    assert read_tree(project.root) == before
    assert [group.group_id for group in queue(project)] == waiting
    apply.undo_last(place)
    assert taken(project) == rows(project, "SELECT * FROM ai_decisions") == []


def test_what_the_machine_decided_stays_in_the_copy(applied: tuple[Project, AutomationTarget]) -> None:
    project, place = applied
    by = {row["group_id"]: row["input"] for row in rows(place.project, "SELECT group_id, input FROM decision_context")}
    assert "auto" in by.values()
    assert {by[str(row["group_id"])] for row in taken(project)} <= {"automation_review", "blind"}
    assert len(taken(project)) >= 2


def test_accepted_ai_crop_trains_with_its_box(tmp_path: Path) -> None:
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=8, seed=5, long_side=96, anomaly_rate=0.2))
    place = sandbox.prepare(project)
    generate(place)
    session = AutoSession(place, order="folder")
    for key in [*"aaaaaaaa", "Shift+Enter", "Shift+Enter"]:
        session.press(key)
    session.close()
    apply.apply(place, apply.dry_run(place))
    accepted = [row for row in rows(place.project, "SELECT * FROM ai_decisions") if row["ai_crop_accepted"]]
    boxes = {str(row["group_id"]): row["ai_crop_coords"] for row in accepted}
    assert {row["group_id"]: row["final_crop_coords"] for row in taken(project) if row["final_crop_coords"]} == boxes
    learnt = read_examples(with_vectors(project, "own"), "crops").crops
    read = {crop.group_id: crop.box.to_json() for crop in learnt if crop.box is not None}
    assert (read, len(learnt)) == (boxes, 8)
    assert 2 <= len(boxes) < 8


def test_figures_show_the_input_and_count_no_finalised_group(applied: tuple[Project, AutomationTarget]) -> None:
    project, _ = applied
    with connect_analysis(project.workspace) as analysis:
        found = analysis.execute("SELECT DISTINCT input, by_person FROM decisions").fetchall()
        assert found == [("sandbox", True)]
        assert analysis.rows("performance_by_project")[0]["total_decisions"] == len(taken(project))
        assert analysis.execute("SELECT count(*) FROM outcomes").fetchall() == [(0,)]


def test_decision_of_the_project_replaces_that_of_the_sandbox(applied: tuple[Project, AutomationTarget]) -> None:
    project, place = applied
    first = queue(project)[0].group_id
    assert first in {row["group_id"] for row in taken(project)}
    review(project, "2", *FINALISE)
    assert rows(project, f"SELECT user_selected_index AS i FROM ai_decisions WHERE group_id = '{first}'") == [{"i": 1}]
    apply.undo_last(place)
    assert [row["group_id"] for row in rows(project, "SELECT group_id FROM ai_decisions")] == [first]
    assert taken(project) == []
