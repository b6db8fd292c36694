"""The crop proposer learns what the grid shows, keeps the aspect ratio, says when no crop is needed, and comes back."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from learn.crops.crop_rows import spotted
from pickroom.core.errors import StoreError, UsageError
from pickroom.features.encoder import reduce_channels
from pickroom.learn.crops.fitting import fit_crops
from pickroom.learn.crops.model import CropModel, best_constant
from pickroom.learn.crops.proposer import CropConfig, CropProposer, is_crop, keeps_aspect
from pickroom.learn.metrics import ious

CONFIG = CropConfig(members=2, hidden=16, components=4, steps=150, least_epochs=1)


@pytest.fixture(scope="module")
def fitted() -> CropProposer:
    features, boxes = spotted(160)
    return fit_crops(features, boxes, CONFIG)


def test_it_beats_the_best_constant_box_on_rows_it_never_saw(fitted: CropProposer) -> None:
    features, meant = spotted(60, seed=1)
    boxes, needed, confidence = fitted.predict(features)
    constant = np.repeat(best_constant(spotted(160)[1])[None], 60, axis=0)
    assert ious(boxes, meant).mean() > ious(constant, meant).mean() + 0.1
    assert (needed > 0.9).all()  # nobody ever left an image as it is
    assert ((confidence > 0) & (confidence < 1)).all()
    size = boxes[:, 2:] - boxes[:, :2]
    np.testing.assert_allclose(size[:, 0], size[:, 1], atol=1e-5)  # the image's own aspect ratio
    assert boxes.dtype == needed.dtype == confidence.dtype == np.float32


def test_a_seed_gives_one_proposer_and_another_seed_another(fitted: CropProposer) -> None:
    features, boxes = spotted(160)
    again = fit_crops(features, boxes, CONFIG)
    assert all(np.array_equal(again.arrays[name], values) for name, values in fitted.arrays.items())
    other = fit_crops(features, boxes, replace(CONFIG, seed=2, steps=10))
    assert not np.array_equal(other.predict(features)[0], fitted.predict(features)[0])


def test_it_comes_back_from_arrays_and_json_as_it_was(fitted: CropProposer) -> None:
    back = CropProposer.from_state(fitted.arrays, json.loads(json.dumps(fitted.description)))
    features, _ = spotted(20, seed=2)
    for ours, theirs in zip(fitted.predict(features), back.predict(features), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("without", ["3.1.enter", "3.mean", "directions", "3.0.base", ""])
def test_a_damaged_file_is_refused(fitted: CropProposer, without: str) -> None:
    kept = {name: values for name, values in fitted.arrays.items() if without and name != without}
    with pytest.raises(StoreError, match="does not fit") as raised:
        CropProposer.from_state(kept, fitted.description)
    assert "train again: pickroom train crop_proposer" in str(raised.value)


@pytest.mark.parametrize("description", [{"version": 1}, {"version": 2, "config": {}}])
def test_a_file_of_an_earlier_version_is_refused(fitted: CropProposer, description: dict[str, Any]) -> None:
    with pytest.raises(StoreError, match="an earlier version") as raised:
        CropProposer.from_state(fitted.arrays, {**fitted.description, **description})
    assert "train again: pickroom train crop_proposer" in str(raised.value)


def test_one_proposer_answers_for_whole_and_reduced_grids() -> None:
    features, boxes = spotted(160)
    assert features.grid is not None
    whole = np.tile(features.grid, (1, 1, 1, 30))  # 90 channels
    features = replace(features, grid=whole + np.random.default_rng(0).normal(0, 0.1, whole.shape).astype(np.float16))
    model = fit_crops(features.take(range(120)), boxes[:120], CONFIG)
    asked, meant = features.take(range(120, 160)), boxes[120:]
    reduced = replace(asked, grid=reduce_channels(asked.grid))
    constant = ious(np.repeat(best_constant(boxes[:120])[None], 40, axis=0), meant).mean()
    for some in (asked, reduced):
        assert ious(model.predict(some)[0], meant).mean() > constant + 0.05
    older = fit_crops(replace(features, grid=reduce_channels(features.grid)), boxes, replace(CONFIG, steps=10))
    np.testing.assert_array_equal(older.predict(asked)[0], older.predict(reduced)[0])


def test_progress_counts_the_epochs_of_all_members() -> None:
    features, boxes = spotted(64)
    steps: list[tuple[int, int, float]] = []
    fit_crops(features, boxes, replace(CONFIG, steps=6), lambda *step: steps.append(step))
    assert [epoch for epoch, *_ in steps] == list(range(1, len(steps) + 1)) == list(range(1, steps[0][1] + 1))
    assert all(np.isfinite(loss) for *_, loss in steps)


def test_it_learns_which_images_need_no_crop() -> None:
    features, boxes = spotted(240)
    none = np.arange(240) % 3 == 0
    assert features.grid is not None
    features.grid[none] = features.grid[none] * np.float16(0.1)  # they show nothing
    boxes[none] = np.nan
    model = fit_crops(features.take(range(180)), boxes[:180], CONFIG)
    found, needed, _ = model.predict(features.take(range(180, 240)))
    assert ((needed < 0.5) == none[180:]).mean() > 0.9
    # where the crop would lie is known nevertheless; what is offered there is the full frame
    assert np.isfinite(found).all() and (found[needed < 0.5] != [0, 0, 1, 1]).any()
    offered = CropModel(model).box(features.take(range(180, 240))).offered
    assert (offered[needed < 0.5] == [0, 0, 1, 1]).all()


def test_crops_stay_free_if_the_user_changes_the_aspect_ratio() -> None:
    features, boxes = spotted(160)
    boxes[:, 3] = boxes[:, 1] + 0.5 * (boxes[:, 3] - boxes[:, 1])
    model = fit_crops(features, boxes, CONFIG)
    assert not model.keep_aspect
    found, _, _ = model.predict(spotted(30, seed=3)[0])
    assert np.median((found[:, 3] - found[:, 1]) / (found[:, 2] - found[:, 0])) == pytest.approx(0.5, abs=0.15)


def test_the_aspect_ratio_is_measured_on_the_crops() -> None:
    _, boxes = spotted(50)
    assert keeps_aspect(boxes)
    few = boxes.copy()
    few[:4, 3] -= 0.1
    assert keeps_aspect(few)  # a slip now and then
    few[:20, 3] -= 0.1
    assert not keeps_aspect(few)
    assert keeps_aspect(np.full((3, 4), np.nan, dtype=np.float32))


def test_a_box_of_nearly_the_whole_image_is_no_crop() -> None:
    boxes = np.array([[0, 0, 1, 1], [0, 0, 0.995, 0.995], [0, 0, 0.98, 0.98], [np.nan] * 4], dtype=np.float32)
    assert is_crop(boxes).tolist() == [False, False, True, False]


def test_without_a_grid_it_learns_from_the_vector() -> None:
    features, boxes = spotted(200)
    vector = features.vector.copy()
    vector[:, :2] = (boxes[:, :2] - boxes[:, :2].mean(axis=0)) * 20
    features = replace(features, grid=None, vector=vector)
    model = fit_crops(features.take(range(150)), boxes[:150], replace(CONFIG, steps=200))
    found, _, _ = model.predict(features.take(range(150, 200)))
    constant = np.repeat(best_constant(boxes[:150])[None], 50, axis=0)
    assert ious(found, boxes[150:]).mean() > ious(constant, boxes[150:]).mean() + 0.02


def test_rows_without_features_are_not_learned_or_predicted(fitted: CropProposer) -> None:
    features, boxes = spotted(40)
    mask = features.mask.copy()
    mask[3] = False
    features = replace(features, mask=mask, missing={3: "p.jpg has no vector"})
    for part in fitted.predict(features):
        assert np.isnan(part[3]).all() and np.isfinite(np.delete(part, 3, axis=0)).all()
    boxes[3] = [0.0, 0.0, 0.02, 0.02]
    changed = boxes.copy()
    changed[3] = [0.5, 0.5, 0.6, 0.6]
    config = replace(CONFIG, steps=4)
    one, other = fit_crops(features, boxes, config).arrays, fit_crops(features, changed, config).arrays
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_empty_data_and_wrong_feature_shape_are_refused(fitted: CropProposer) -> None:
    features, boxes = spotted(30)
    with pytest.raises(UsageError, match="no image has both"):
        fit_crops(features, np.full_like(boxes, np.nan), CONFIG)
    with pytest.raises(UsageError, match="another shape"):
        fitted.predict(spotted(5, rows=7)[0])
    assert fitted.predict(features.take([]))[0].shape == (0, 4)
