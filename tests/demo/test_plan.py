"""What is decided before any pixel: the hidden reviewer, the time stamps, and which stages have defects."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from conftest import read_tree
from demo.conftest import SMALL
from pickroom.core.naming import parse_name
from pickroom.demo.plan import DEFECT_KINDS, DemoConfig, GroupPlan, plan_group
from pickroom.demo.project import make_images
from pickroom.demo.stages import render_stages

MANY = DemoConfig(groups=600, seed=3)


@pytest.fixture(scope="module")
def plans() -> list[GroupPlan]:
    return [plan_group(MANY, index) for index in range(MANY.groups)]


def test_the_pick_is_the_highest_stage_without_a_defect(plans: list[GroupPlan]) -> None:
    for plan in plans:
        onset = min((plan.stages.index(stage) for stage in plan.defects), default=len(plan.stages))
        if plan.truth.action == "reject":
            assert (onset, plan.truth.pick) == (0, 0)
        else:
            assert plan.truth.pick == onset - 1


def test_the_rates_hold(plans: list[GroupPlan]) -> None:
    actions = Counter(plan.truth.action for plan in plans)
    assert actions["reject"] == MANY.groups * MANY.reject_rate
    lower = sum(bool(plan.defects) and plan.truth.action != "reject" for plan in plans)
    assert lower / MANY.groups == pytest.approx(MANY.anomaly_rate, abs=0.03)
    assert actions["crop"] / MANY.groups == pytest.approx(MANY.crop_rate, abs=0.04)


def test_crops_are_like_the_real_ones(plans: list[GroupPlan]) -> None:
    boxes = [plan.truth.box for plan in plans if plan.truth.box is not None]
    scales = [box.x2 - box.x1 for box in boxes]
    # one scale on both axes is the image's own aspect ratio
    assert scales == pytest.approx([box.y2 - box.y1 for box in boxes], abs=2e-4)
    assert np.median(scales) == pytest.approx(0.73, abs=0.03)
    assert np.mean([box.y1 == 0 for box in boxes]) == pytest.approx(0.64, abs=0.1)
    assert np.mean([box.area == 1 for box in boxes]) == pytest.approx(0.08, abs=0.05)


def test_time_stamps_keep_groups_together_and_apart(plans: list[GroupPlan]) -> None:
    times = [[parse_name(name).taken_at for name in plan.truth.images] for plan in plans]
    for taken, following in pairwise(times):
        assert all(timedelta(seconds=20) < b - a < timedelta(minutes=5) for a, b in pairwise(taken))
        assert taken[-1] < following[0]
    assert all(plan.stages[0] == 1 for plan in plans)


def test_photographs_are_used_equally_and_all_groups_differ(plans: list[GroupPlan]) -> None:
    assert set(Counter(plan.photograph.name for plan in plans).values()) == {MANY.groups // 10}
    looks = {(p.photograph.name, p.window, p.flip, p.hue, p.grade) for p in plans}
    assert len(looks) == MANY.groups


def test_a_defect_changes_its_stage_and_the_later_ones_only(tmp_path: Path) -> None:
    sound = replace(SMALL, groups=12, anomaly_rate=0, reject_rate=0)
    damaged = replace(sound, anomaly_rate=1)
    make_images(tmp_path / "sound", sound)
    truths = make_images(tmp_path / "damaged", damaged)
    before, after = read_tree(tmp_path / "sound"), read_tree(tmp_path / "damaged")
    assert before.keys() == after.keys()
    changed = {name.rpartition("/")[2] for name in before if before[name] != after[name]}
    higher = {name for truth in truths for name in truth.images[truth.pick + 1 :]}
    assert changed - {"demo_truth.jsonl"} == higher


@pytest.mark.parametrize("kind", DEFECT_KINDS)
def test_each_kind_of_defect_is_local_and_visible(kind: str) -> None:
    config = replace(SMALL, long_side=256, anomaly_rate=1, reject_rate=0, defect_kinds=(kind,))
    for index in range(3):
        plan = plan_group(config, index)
        *_, (_, damaged) = render_stages(plan, config)
        *_, (_, sound) = render_stages(replace(plan, defects={}), config)
        change = np.abs(np.asarray(damaged, dtype=int) - np.asarray(sound, dtype=int)).max(axis=2)
        assert 0.003 < np.mean(change > 24) < 0.2
