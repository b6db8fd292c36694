"""The preference model: learns what is picked and says how sure it is; a block that does not help gets no weight."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from pickroom.core.errors import StoreError
from pickroom.features.pick_features import PickFeatures, stage_values
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.model import PickModel, fit_model

CONFIG = ColumnsConfig(directions=8, curved=(("technical", 1.5, 32),))
SIZES = {"vector": 24, "technical": 6, "faces": 5, "consistency": 8}


def made(
    count: int, seed: int, size: int = 3, stages: bool = False, projects: int = 1
) -> tuple[PickFeatures, np.ndarray]:
    """Groups whose pick follows the first technical number, with noise; nothing else matters."""
    rng = np.random.default_rng(seed)
    shape = (count, 4)
    mask = np.zeros(shape, dtype=bool)
    mask[:, :3] = True
    blocks = {name: rng.standard_normal((*shape, width)).astype(np.float32) for name, width in SIZES.items()}
    blocks["vector"] /= np.linalg.norm(blocks["vector"], axis=2, keepdims=True)
    known = stage_values([1.0, 2.0, 3.0] if stages else [None] * 3)
    blocks["stage"] = np.tile(np.concatenate([known, np.zeros((1, 4), np.float32)]), (count, 1, 1))
    utility = 2 * blocks["technical"][:, :, 0] + rng.gumbel(size=shape)
    names = np.array([f"p{row % projects}" for row in range(count)], dtype=object)
    images = np.where(mask, np.array([[f"{seed} {row} {place}" for place in range(4)] for row in range(count)]), "")
    present = {name: mask.copy() for name in blocks}
    peaks = np.zeros((*shape, 4), dtype=np.float32)
    features = PickFeatures(blocks, present, mask, {}, names, images.astype(object), peaks, "x")
    return features, np.where(mask, utility, -np.inf).argmax(axis=1)


@pytest.fixture(scope="module")
def fitted() -> PickModel:
    return fit_model(*made(300, 1), CONFIG)


def test_it_finds_the_block_that_matters_and_leaves_the_others(fitted: PickModel) -> None:
    features, chosen = made(500, 2)
    said = fitted.chances(features)
    assert (said.argmax(axis=1) == chosen).mean() > 0.65  # the noise allows about .72
    columns, weights = fitted.columns.of(features)[features.mask], fitted.preference.mean
    spread = {name: (columns[:, a:b] @ weights[a:b]).std() for name, (a, b) in fitted.preference.blocks.items()}
    assert spread["technical"] > 3 * max(spread["faces"], spread["consistency"], spread["vector"])


def test_chances_sum_to_one_and_are_as_sure_as_they_are_right(fitted: PickModel) -> None:
    features, chosen = made(1500, 3)
    said = fitted.chances(features)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert not said[~features.mask].any()
    sure = said.max(axis=1)
    assert abs(sure.mean() - (said.argmax(axis=1) == chosen).mean()) < 0.08


def test_few_picks_are_no_reason_to_be_sure() -> None:
    features, _ = made(200, 5)
    few, many = (fit_model(*made(count, 4), CONFIG).chances(features).max(axis=1).mean() for count in (12, 300))
    assert few < many


def test_shuffled_picks_teach_next_to_nothing() -> None:
    features, _ = made(200, 6)
    chosen = np.random.default_rng(0).integers(0, 3, 200)
    said = fit_model(features, chosen, CONFIG).chances(made(200, 7)[0])
    assert said.max(axis=1).mean() < 0.5


def test_learning_on_is_close_to_learning_at_once() -> None:
    features, chosen = made(240, 8)
    start = fit_model(features.take(np.arange(200)), chosen[:200], CONFIG)
    on = start.learn(features.take(np.arange(200, 240)), chosen[200:])
    asked = made(200, 9)[0]
    at_once = fit_model(features, chosen, CONFIG, start)
    assert np.abs(on.chances(asked) - at_once.chances(asked)).mean() < 0.05
    assert np.abs(on.chances(asked) - start.chances(asked)).max() > 0


def test_a_block_without_values_is_doubt_and_no_missing_group(fitted: PickModel) -> None:
    features, _ = made(50, 10)
    gone = features.present | {"technical": np.zeros_like(features.mask)}
    said = fitted.chances(replace(features, present=gone))
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert said.max(axis=1).mean() < fitted.chances(features).max(axis=1).mean()
    never = fit_model(replace(features, present=gone), made(50, 10)[1], CONFIG)
    assert "technical" not in never.preference.blocks


def test_projects_deviate_and_a_new_one_has_room() -> None:
    features, chosen = made(200, 11, stages=True, projects=2)
    other = features.projects == "p1"
    chosen = np.where(other, 0, 2)  # one project's user picks the lowest stage, the other's the highest
    model = fit_model(features, chosen, CONFIG)
    said = model.chances(features)
    assert (said.argmax(axis=1) == chosen).mean() > 0.95
    third = replace(features, projects=np.full(len(features), "p2", dtype=object))
    learned = model.learn(third.take(np.arange(40)), np.full(40, 1))
    assert learned.columns.projects[-1] == "p2"
    assert (learned.chances(third.take(np.arange(40, 80))).argmax(axis=1) == 1).mean() > 0.8


def test_a_departure_counts_by_itself_in_the_highest_stage() -> None:
    features, _ = made(300, 16, stages=True)
    departs = features.blocks["consistency"][:, :, 0]
    # the highest stage always departs; it is passed over where it departs more than is usual of it
    departs[:, 2] += 4
    model = fit_model(features, np.where(departs[:, 2] > 5, 1, 2), CONFIG)
    asked, _ = made(300, 17, stages=True)
    asked.blocks["consistency"][:, 2, 0] += 4
    said, odd = model.chances(asked), asked.blocks["consistency"][:, 2, 0] > 5
    assert (said.argmax(axis=1) == np.where(odd, 1, 2)).mean() > 0.9
    # what lower stages have in their numbers says nothing
    blocks = asked.blocks | {"consistency": asked.blocks["consistency"].copy()}
    blocks["consistency"][:, 0, 0] += 4
    assert np.abs(model.chances(replace(asked, blocks=blocks)) - said).mean() < 0.1


def test_a_departure_means_something_else_in_a_group_of_two() -> None:
    def asked(count: int, seed: int) -> tuple[PickFeatures, np.ndarray]:
        """Every second group has two images: both depart alike, and the highest stage is picked all the same."""
        features, _ = made(count, seed, stages=True)
        departs, two = features.blocks["consistency"][:, :, 0], np.arange(count) % 2 == 0
        departs[:, 2] += 4
        chosen = np.where(departs[:, 2] > 4, 0, 2)
        departs[two, 0] = departs[two, 1] = departs[two, 2]
        features.blocks["stage"][two, :2] = stage_values([1.0, 2.0])
        for there in (features.mask, *features.present.values()):
            there[two, 2] = False
        return features, np.where(two, 1, chosen)

    features, chosen = asked(400, 18)
    others, right = asked(400, 19)
    found = fit_model(features, chosen, CONFIG).chances(others).argmax(axis=1) == right
    assert found[::2].mean() > 0.97
    assert found[1::2].mean() > 0.9


def test_an_image_met_again_is_known() -> None:
    features, _ = made(60, 12)
    images = features.images.copy()
    images[:, 0] = "the favourite"
    model = fit_model(replace(features, images=images), np.zeros(60, dtype=np.int64), CONFIG)
    again = made(30, 13)[0]
    images = again.images.copy()
    images[:, 1] = "the favourite"
    assert (model.chances(replace(again, images=images)).argmax(axis=1) == 1).mean() > 0.6


def test_saved_and_loaded_it_says_the_same(fitted: PickModel) -> None:
    features, _ = made(30, 14)
    again = PickModel.from_state(fitted.state(), fitted.describe())
    np.testing.assert_array_equal(again.chances(features), fitted.chances(features))


@pytest.mark.parametrize("change", [{"version": 2}, {"columns": {"stage": [0, 4]}}, {"variances": {}}])
def test_a_file_that_does_not_fit_is_refused(fitted: PickModel, change: dict) -> None:
    with pytest.raises(StoreError, match=r"cannot be used.*pickroom train ranker"):
        PickModel.from_state(fitted.state(), fitted.describe() | change)


def test_a_fit_of_200_groups_takes_under_two_seconds() -> None:
    features, chosen = made(200, 15, stages=True)
    begun = time.process_time()  # the processor's: other tests run at the same time
    fit_model(features, chosen, ColumnsConfig())
    assert time.process_time() - begun < 2 * 2  # two cores at most
