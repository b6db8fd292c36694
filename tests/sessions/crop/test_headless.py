"""`pickroom crop` by a file of boxes: the demo's hidden reviewer, and bad input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.cli.review import read_boxes
from pickroom.core.errors import UsageError
from pickroom.core.geometry import corners_match
from pickroom.core.records import CropBox
from pickroom.demo.plan import DemoConfig
from pickroom.store import groups, recommendations
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project, Workspace
from support.commands import run_command
from support.reviewing import FINALISE, decisions, review
from support.simulated import read_truth, start_simulated


@pytest.fixture(scope="module")
def reviewed(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A small demo, reviewed as its hidden reviewer would: every crop waits in crop/."""
    home = tmp_path_factory.mktemp("demo")
    config = DemoConfig(groups=24, long_side=256, crop_rate=0.6)
    project = start_simulated(Workspace(home), config)
    truth = {tuple(Path(name).name for name in t.images): t for t in read_truth(home / "demo_truth.jsonl")}
    with open_read_only(project.database) as connection:
        queue = groups.queue(connection, project.id)
    keys = []
    for group in queue:
        wanted = truth[group.filenames]
        keys.append({"approve": "1234", "crop": "qwer", "reject": "xxxx"}[wanted.action][wanted.pick])
    review(project, *keys, *FINALISE)
    return project


def test_the_demos_ground_truth_boxes_are_recorded_exactly(reviewed):
    home = reviewed.workspace.root
    truth = {Path(t.images[t.pick]).name: t for t in read_truth(home / "demo_truth.jsonl") if t.action == "crop"}
    lines = [json.dumps({"filename": name, "box": list(_box(t))}) for name, t in truth.items()]
    ran = run_command("crop", "demo", "--boxes", "-", "--home", str(home), stdin="\n".join(lines))
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    rows = [row for row in decisions(reviewed).values() if row["user_action"] == "crop"]
    assert len(rows) == len(truth) > 5
    with open_read_only(reviewed.database) as connection:
        proposed = recommendations.of_groups(connection, [row["group_id"] for row in rows])
    for row in rows:
        name = json.loads(row["images"])[row["user_selected_index"]]
        assert json.loads(row["final_crop_coords"]) == list(_box(truth[name]))
        recommendation = proposed[row["group_id"]]
        expected = None
        if recommendation.offered_crop and recommendation.selected_index == row["user_selected_index"]:
            expected = int(corners_match(recommendation.offered_crop, CropBox.of(_box(truth[name]))))
        assert row["crop_match"] == expected
    assert {row["crop_match"] for row in rows} >= {1}


def _box(truth) -> tuple[float, float, float, float]:
    return tuple(truth.box.to_list() if isinstance(truth.box, CropBox) else truth.box)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "line 1: "),
        ('\n{"filename": "a.png", "box": [0, 0, 2, 1]}', "line 2: "),
        ('{"filename": "a.png", "box": [0.5, 0, 0.1, 1]}', "line 1: "),
        ('{"filename": "a.png", "box": [0, 0, 0, 1]}', "line 1: "),
        ('{"filename": "a.png", "box": "0011"}', "line 1: "),
        ('{"filename": "a.png", "box": [0, 0, 1, NaN]}', "line 1: "),
        ('{"filename": "a.png"}', "line 1: "),
        ('{"filename": "a.png", "action": "explode"}', "line 1: "),
        ('{"box": [0, 0, 1, 1]}', "line 1: "),
        ('{"filename": "a.png", "action": "delete"}\n{"filename": "a.png", "action": "delete"}', "named twice"),
    ],
)
def test_a_line_that_is_no_order_is_named(text, said):
    with pytest.raises(UsageError, match=said):
        read_boxes(text)


def test_one_bad_line_gives_one_error_line_and_crops_nothing(reviewed):
    before = read_tree(reviewed.root)
    text = '{"filename": "a.png", "box": [0, 0, 1, 1]}\nnonsense'
    ran = run_command("crop", "demo", "--boxes", "-", "--home", str(reviewed.workspace.root), stdin=text)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "line 2: " in ran.stderr and ran.stderr.count("\n") == 1
    assert read_tree(reviewed.root) == before


def test_images_not_waiting_are_refused_on_one_line_each(reviewed):
    before = read_tree(reviewed.root)
    selected = next(path for path in before if path.startswith("selected/"))
    names = ["nobody.png", f"../{selected}", "/etc/passwd", "a\nb.png", ""]
    lines = [json.dumps({"filename": name, "box": [0, 0, 1, 1]}) for name in names]
    ran = run_command("crop", "demo", "--boxes", "-", "--home", str(reviewed.workspace.root), stdin="\n".join(lines))
    assert (ran.returncode, ran.stdout.splitlines()[0]) == (1, f"0 done, {len(names)} refused")
    assert [line.endswith("no such image waits in crop/ or crop_auto/") for line in ran.stderr.splitlines()] == [
        True
    ] * 5
    assert read_tree(reviewed.root) == before
