"""Scores by hand: intervals, normal and anomaly apart, baselines that guess, overlap, calibration, promotion."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.core.geometry import corners_match
from pickroom.core.records import CropBox
from pickroom.features.candidates import Candidates
from pickroom.learn import metrics
from pickroom.learn.crops.model import MARK, Calibration, CropTask, Evidence, fit_calibration
from pickroom.learn.evaluation import marks
from pickroom.learn.examples import Pick
from pickroom.learn.metrics import rate
from pickroom.learn.training import Rival, evaluate_crop_gate, judge
from support.recounting import iou


def pick(chosen: int, *stages: float | None, project: str = "p") -> Pick:
    names = tuple(f"{n}.png" for n in range(len(stages)))
    return Pick(Candidates(project, "g", names, (None,) * len(stages), stages), chosen, None, False, "")


PICKS = [pick(1, 1, 2), pick(0, 1, 2), pick(0, None, 2), pick(1, 1, 2, 2, project="q"), pick(2, 1, 1.5, 2, project="q")]


def test_wilson_is_the_published_interval() -> None:
    assert metrics.wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=1e-4)  # Newcombe 1998, table I
    assert metrics.wilson(0, 20) == pytest.approx((0.0, 0.1611), abs=1e-4)
    assert metrics.wilson(0, 0) == (0.0, 1.0)


def test_normal_and_anomaly_are_counted_apart() -> None:
    score = metrics.score_picks(PICKS, np.array([1, 0, 1, 1, 0]))
    assert (score["overall"]["right"], score["overall"]["of"]) == (3, 5)
    assert (score["normal"]["right"], score["normal"]["of"]) == (2, 3)
    assert (score["anomaly"]["right"], score["anomaly"]["of"]) == (0, 1)
    assert (score["unknown"]["right"], score["unknown"]["of"]) == (1, 1)
    assert {name: rate["right"] for name, rate in score["by_project"].items()} == {"p": 2, "q": 1}


def test_the_baselines_guess_where_they_know_nothing() -> None:
    assert metrics.highest_stage_right(PICKS).tolist() == [1, 0, 0.5, 0.5, 1]
    assert metrics.chance_right(PICKS).tolist() == [0.5, 0.5, 0.5, pytest.approx(1 / 3), pytest.approx(1 / 3)]


def test_rolling_is_the_share_of_the_last_ones() -> None:
    right = np.array([1, 0, 1, 1])
    assert metrics.rolling(right, 2).tolist() == [1, 0.5, 0.5, 1]
    assert metrics.rolling(np.zeros(0)).tolist() == []


BOXES = st.tuples(*[st.floats(0, 0.45)] * 2, *[st.floats(0.55, 1)] * 2)


@given(st.lists(st.tuples(BOXES, BOXES), min_size=1, max_size=8))
def test_overlap_and_corners_agree_with_the_geometry_of_one_box(pairs: list) -> None:
    a, b = (np.array(side, dtype=np.float64) for side in zip(*pairs, strict=True))
    ones = [(CropBox(*p), CropBox(*q)) for p, q in pairs]
    assert metrics.ious(a, b) == pytest.approx([iou(p, q) for p, q in ones])
    away = np.abs(np.abs(a - b) - 0.05).min(axis=1) > 1e-5  # on the edge itself, rounding may decide
    expected = [corners_match(p, q) for p, q in ones]
    assert metrics.within_corners(a, b)[away].tolist() == np.array(expected)[away].tolist()
    score = metrics.score_crops(a, b)
    assert score["mean_iou"] == pytest.approx(np.mean([iou(p, q) for p, q in ones]))


def test_calibration_lowers_overconfidence_and_keeps_order() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 0.95, 2000)
    right = rng.random(2000) < truth
    raw = 1 / (1 + np.exp(-3 * np.log(truth / (1 - truth))))  # three times too sure, in logits
    fitted = fit_calibration(raw, right)
    assert metrics.calibration_error(raw, right) > 0.1  # type: ignore[operator]
    assert metrics.calibration_error(fitted(raw), right) < 0.03  # type: ignore[operator]
    assert (np.diff(fitted(np.sort(raw))) >= 0).all()


def test_few_rows_change_nothing() -> None:
    assert fit_calibration(np.array([0.9] * 9), np.zeros(9)) == Calibration(rows=9)
    assert Calibration()(np.array([0.3, 0.9])) == pytest.approx([0.3, 0.9])


def evidence(figures: np.ndarray, loss: float = 0.2) -> Evidence:
    return Evidence(figures, figures, figures, np.full(len(figures), loss))


def test_version_must_beat_baselines_and_current_on_unseen_rows() -> None:
    good, fair = np.array([1.0] * 18 + [0.0] * 2), np.array([1.0] * 14 + [0.0] * 6)
    baselines = {"highest stage": fair, "chance": fair * 0}
    every = np.ones(20, dtype=bool)
    ours, same, closer, theirs = (evidence(good), evidence(good), evidence(good, 0.1), evidence(fair))
    assert judge(ours, baselines, None).promoted
    assert not judge(theirs, baselines, None).promoted
    assert not judge(evidence(good[:7]), {"highest stage": fair[:7] * 0}, None).promoted, "too few rows"
    assert judge(ours, baselines, Rival("v1", theirs, every)).promoted
    assert not judge(ours, baselines, Rival("v1", same, every)).promoted
    assert judge(closer, baselines, Rival("v1", same, every)).promoted, "equal picks, better probabilities"
    assert "cannot be compared fairly" in judge(ours, baselines, Rival("v1", theirs, every & False)).reason


@pytest.mark.parametrize(
    ("right", "majority", "of", "counts"),
    [(25, 26, 37, False), (26, 26, 37, False), (27, 26, 37, True), (37, 37, 37, True), (0, 0, 0, False)],
)
def test_crop_gate_counts_only_if_better_than_majority_answer(right: int, majority: int, of: int, counts: bool) -> None:
    scored = {"need": rate(right, of), "need_without_asking": rate(majority, of)}
    assert evaluate_crop_gate(scored) == {
        "counts": counts,
        "new": right / of if of else None,
        "majority": majority / of if of else None,
    }


def test_success_marks_are_shown_as_reached_or_not() -> None:
    scored = {"normal": {"value": 0.88}, "anomaly": {"value": 0.76}}
    assert marks(scored) == [
        "mark for first version: normal 88% of 85% (reached), anomaly 76% of 70% (reached)",
        "mark for success: normal 88% of 90% (not reached), anomaly 76% of 75% (reached)",
    ]
    assert marks({"normal": {"value": None}, "anomaly": {"value": None}}) == []
    box = np.array([[0.0, 0.0, 0.5, 0.8]], dtype=np.float32)
    for shift, words in ((0.05, "a mean IoU of 0.7, is reached"), (0.2, "a mean IoU of 0.7, is not reached")):
        moved = box + np.array([shift, 0, shift, 0], dtype=np.float32)
        scored = metrics.score_crops(moved, box)
        mark = {"mean_iou": MARK, "reached": scored["mean_iou"] >= MARK}
        assert words in CropTask().words({**scored, "mark": mark})
