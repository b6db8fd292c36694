"""A demo with a past: the hidden reviewer's own decisions, blind, in a project like any other."""

from __future__ import annotations

import json

import pytest

from pickroom.core.errors import ConflictError, UsageError
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import decide, start_demo
from pickroom.demo.truth import read_truth
from pickroom.store.workspace import Workspace
from support.reviewing import queue, rows

CONFIG = DemoConfig(groups=12, seed=7, long_side=96)
DECIDED = """
    SELECT d.images, d.user_selected_index, d.user_action, d.final_crop_coords, c.input, c.milliseconds
    FROM ai_decisions AS d JOIN decision_context AS c USING (group_id)
"""


def test_the_first_groups_are_decided_as_the_hidden_reviewer_would(workspace: Workspace) -> None:
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


def test_more_decisions_than_groups_are_refused_before_anything_is_made(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="13 decided of 12 groups"):
        start_demo(workspace, CONFIG, decided=13)
    assert not (workspace.root / "demo_images").exists()
