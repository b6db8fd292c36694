"""A demo with a past: the hidden reviewer's own decisions, blind, in a project like any other."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from conftest import write_series
from pickroom.core.errors import ConflictError, UsageError
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.demo.simulated_user import decide, learn, require_learned
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Workspace
from support.reviewing import queue, rows
from support.simulated import read_truth

CONFIG = DemoConfig(groups=12, seed=7, long_side=96)
DECIDED = """
    SELECT d.images, d.user_selected_index, d.user_action, d.final_crop_coords, c.input, c.milliseconds
    FROM ai_decisions AS d JOIN decision_context AS c USING (group_id)
"""


def test_first_groups_are_decided_like_the_hidden_reviewer(workspace: Workspace) -> None:
    told: list[tuple[int, int]] = []
    project, _ = start_demo(workspace, CONFIG, decided=9, progress=lambda *count: told.append(count))
    truths = {frozenset(truth.images): truth for truth in read_truth(workspace.root / "demo_truth.jsonl")}
    decided = rows(project, DECIDED)
    assert (len(decided), len(queue(project)), told[-1]) == (9, 3, (9, 9))
    cropped = set()
    for row in decided:
        names = json.loads(row["images"])
        truth = truths[frozenset(names)]
        assert row["user_action"] == truth.action
        assert "blind" in row["input"] and 300 < row["milliseconds"] < 60_000
        if truth.action != "reject":
            assert names[row["user_selected_index"]] == truth.images[truth.pick]
        if truth.box is not None:
            cropped.add(truth.images[truth.pick])
            assert json.loads(row["final_crop_coords"]) == pytest.approx(truth.box.to_list(), abs=0.01)  # whole pixels
    kept = {path.name for path in (project.root / "crop_originals").iterdir() if path.suffix in {".png", ".jpg"}}
    assert kept == cropped != set()


def test_a_group_that_the_reviewer_does_not_know_is_one_line(workspace: Workspace) -> None:
    project, _ = start_demo(workspace, CONFIG)
    truths = read_truth(workspace.root / "demo_truth.jsonl")
    first = frozenset(queue(project)[0].filenames)
    with pytest.raises(ConflictError, match="the hidden reviewer knows nothing of group") as refused:
        decide(project, [truth for truth in truths if frozenset(truth.images) != first], 3, CONFIG.seed)
    assert "\n" not in refused.value.line
    assert rows(project, DECIDED) == []


def test_learning_scores_each_decision_and_recommends_the_rest(workspace: Workspace) -> None:
    project, _ = start_demo(workspace, CONFIG, decided=9)
    with pytest.raises(ConflictError, match="it was interrupted"):
        require_learned(project)
    told = learn(project)
    assert "decisions learned, " in told and "3 undecided groups" in told
    require_learned(project)
    with closing(ReviewSession(workspace.project("demo"))) as session:
        assert "trained on 9 decisions of a simulated user, images damaged on purpose" in session.view().header


@pytest.mark.ci
@pytest.mark.timeout(900)
def test_the_demo_promotes_a_model_and_opens_on_a_right_pick(workspace: Workspace) -> None:
    project, _ = start_demo(workspace, DemoConfig(groups=160, seed=1, long_side=432), decided=120)
    assert "ranker v1 recommends from now on" in learn(project)
    truths = {frozenset(truth.images): truth for truth in read_truth(workspace.root / "demo_truth.jsonl")}
    with closing(ReviewSession(workspace.project("demo"), order="worth")) as session:
        view, group = session.view(), session.groups[session.state.position]
        truth, shown = truths[frozenset(group.filenames)], session.recommendations[group.group_id]
        assert "model right in" in view.header and "of a simulated user" in view.header
        assert shown.selected_index is not None and group.filenames[shown.selected_index] == truth.images[truth.pick]
        assert "may have a defect" in shown.anomaly_flags[0] and truth.pick < len(truth.images) - 1
        right = [
            group.filenames[session.recommendations[group.group_id].selected_index or 0] == truth.images[truth.pick]
            for group in session.groups
            if (truth := truths[frozenset(group.filenames)]).action != "reject"
        ]
    highest = [truth.pick == len(truth.images) - 1 for truth in truths.values() if truth.action != "reject"]
    assert sum(right) / len(right) > sum(highest) / len(highest) + 0.1


def test_a_workspace_with_projects_is_not_taught_by_the_demo(workspace: Workspace, images_folder: Path) -> None:
    write_series(images_folder, [(1, 2)])
    projects.start(workspace, "own", images_folder)
    with pytest.raises(UsageError, match="would learn from a simulated user"):
        start_demo(workspace, CONFIG, decided=3)
    assert workspace.project_ids() == ["own"] and not (workspace.root / "demo_images").exists()


def test_too_many_decisions_are_refused_before_anything_is_made(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="13 decided of 12 groups"):
        start_demo(workspace, CONFIG, decided=13)
    assert not (workspace.root / "demo_images").exists()
