"""Simulated recommendations: about right, labelled, the same every time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pickroom.core.geometry import iou
from pickroom.core.naming import group_id, parse_name
from pickroom.core.records import Group, Image, Recommendation
from pickroom.demo.plan import DemoConfig, plan_group
from pickroom.demo.project import simulated_recommendations
from pickroom.demo.truth import Truth

TRUTHS = [plan_group(DemoConfig(groups=400), index).truth for index in range(400)]


def groups_of(truths: Sequence[Truth]) -> list[Group]:
    """Groups as a scan makes them."""
    made = []
    for place, truth in enumerate(truths):
        first = parse_name(truth.images[0]).taken_at
        assert first is not None
        identity, batch = group_id("demo", first, place)
        images = tuple(
            Image(name, "", 96, 128, (p := parse_name(name)).stage, p.taken_at, "0" * 64, 1, 1) for name in truth.images
        )
        made.append(Group(identity, "demo", "", batch, images))
    return made


@pytest.fixture(scope="module")
def made() -> list[Recommendation]:
    return simulated_recommendations(groups_of(TRUTHS), TRUTHS, seed=1)


def test_one_for_each_group_in_order_and_labelled(made: list[Recommendation]) -> None:
    assert [r.group_id for r in made] == [g.group_id for g in groups_of(TRUTHS)]
    for recommendation in made:
        assert recommendation.source == "simulated"
        assert set(recommendation.versions.values()) == {"simulated"}
        assert any("simulated" in reason for reason in recommendation.reasons)


def test_picks_are_right_nine_times_in_ten_and_confidence_tells(made: list[Recommendation]) -> None:
    pairs = [(r, t) for r, t in zip(made, TRUTHS, strict=True) if t.action != "reject"]
    right = np.array([r.selected_index == t.pick for r, t in pairs])
    confidence = np.array([r.confidence for r, _ in pairs])
    assert right.mean() == pytest.approx(0.9, abs=0.04)
    assert ((confidence >= 0) & (confidence <= 1)).all()
    assert confidence[right].mean() > confidence[~right].mean() + 0.15
    assert confidence[~right].max() > confidence[right].min()  # they overlap: nothing separates them for free


def test_crops_follow_the_truth_mostly(made: list[Recommendation]) -> None:
    assert {r.crop_needed for r in made} == {True, False, None}
    assert all((r.crop is not None) == (r.crop_needed is True) for r in made)
    cropped = [(r, t) for r, t in zip(made, TRUTHS, strict=True) if t.box is not None]
    overlaps = [iou(r.crop, t.box) for r, t in cropped if r.crop is not None and t.box is not None]
    assert 0.7 < len(overlaps) / len(cropped) < 0.95
    assert np.median(overlaps) > 0.9
    needless = sum(r.crop is not None for r, t in zip(made, TRUTHS, strict=True) if t.box is None)
    assert 0 < needless < 0.2 * len(made)
    for recommendation in made:
        if recommendation.crop is not None:
            box = recommendation.crop
            assert box.x2 - box.x1 == pytest.approx(box.y2 - box.y1, abs=2e-4)


def test_some_are_flagged(made: list[Recommendation]) -> None:
    assert 0.1 < np.mean([bool(r.anomaly_flags) for r in made]) < 0.4


def test_each_depends_on_its_group_seed_and_truth_only(made: list[Recommendation]) -> None:
    groups = groups_of(TRUTHS)
    backwards = simulated_recommendations(groups[::-1], TRUTHS[::-1], seed=1)
    assert backwards[::-1] == made
    assert simulated_recommendations(groups, TRUTHS, seed=2) != made


def test_a_group_the_truth_does_not_know_gets_none() -> None:
    groups = groups_of(TRUTHS[:3])
    assert len(simulated_recommendations(groups, TRUTHS[:2], seed=1)) == 2
