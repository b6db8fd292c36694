"""The ranker: it learns what is in the features, tells its terms apart, and is the same for the same seed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pickroom.core.errors import StoreError, UsageError
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES
from pickroom.features.pick_features import STAGE_NAMES, PickFeatures, stage_values
from pickroom.learn.examples import Pick, TrainingStep
from pickroom.learn.picks.ranker import Ranker, RankerConfig, fit_ranker, pick_weights

QUICK = RankerConfig(members=2, components=4, hidden=64)
BLOCKS = {"consistency": (0, len(NAMES)), "global": (len(NAMES), len(NAMES) + 12)}


def made(
    groups: int, seed: int, *, signal: float = 3.0, sizes: tuple[int, ...] = (3,)
) -> tuple[PickFeatures, np.ndarray]:
    """Groups whose highest stage is picked, but where its first consistency value stands out: then the one below."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((groups, 4, BLOCKS["global"][1])).astype(np.float32)
    stage = np.zeros((groups, 4, len(STAGE_NAMES)), dtype=np.float32)
    mask = np.zeros((groups, 4), dtype=bool)
    chosen = np.zeros(groups, dtype=np.int64)
    for row in range(groups):
        n = int(rng.choice(sizes))
        mask[row, :n] = True
        stage[row, :n] = stage_values([1.0, 1.5, 2.0, 3.0][:n])
        wrong = rng.random() < 0.3
        values[row, n - 1, :3] += signal if wrong else 0
        chosen[row] = n - 2 if wrong else n - 1
    values[~mask] = 0
    peaks = np.zeros((groups, 4, 4), dtype=np.float32)
    return PickFeatures(values, stage, mask, {}, BLOCKS, peaks, "e", "c"), chosen


@pytest.fixture(scope="module")
def trained() -> tuple[Ranker, PickFeatures, np.ndarray]:
    features, chosen = made(1000, 1)
    return fit_ranker(features, chosen, np.ones(1000, dtype=np.float32), QUICK), features, chosen


def test_it_finds_the_lower_stage_where_something_is_wrong_and_the_highest_elsewhere(trained: tuple) -> None:
    features, chosen = made(300, 2)
    right = trained[0].probabilities(features).argmax(axis=1) == chosen
    assert right[chosen == 1].mean() > 0.85
    assert right[chosen == 2].mean() > 0.9


def test_without_anything_to_see_it_is_the_highest_stage() -> None:
    count = 21 * len(NAMES)  # groups: noise is learned by heart the more, the more values there are
    features, chosen = made(count, 3, signal=0.0)
    ranker = fit_ranker(features, chosen, np.ones(count, dtype=np.float32), QUICK)
    others, _ = made(200, 4, signal=0.0)
    assert (ranker.probabilities(others).argmax(axis=1) == 2).mean() > 0.9


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_chances_sum_to_one_over_the_candidates(trained: tuple, seed: int) -> None:
    features, _ = made(20, seed, sizes=(2, 3, 4))
    features.mask[3] = False  # a group without features
    chances = trained[0].probabilities(features)
    assert (chances[~features.mask] == 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), np.where(np.arange(20) == 3, 0, 1), atol=1e-5)
    spread = trained[0].spread(features)
    assert spread.shape == (20,) and (spread >= 0).all() and (spread <= 0.5).all()


def test_the_stage_is_a_term_of_its_own(trained: tuple) -> None:
    ranker, features, chosen = trained
    normal, anomaly = int(np.flatnonzero(chosen == 2)[0]), int(np.flatnonzero(chosen == 1)[0])
    for row in (normal, anomaly):
        stage = ranker.explain(features, row).terms[:, 0]
        assert stage.argmax() == 2
    seen = ranker.explain(features, anomaly)
    assert seen.departure.argmax() == 2 and seen.departure[2] > 0.5
    assert seen.terms[:, 1:].sum(axis=1).argmin() == 2


def test_the_same_seed_gives_the_same_ranker_and_another_seed_another(trained: tuple) -> None:
    ranker, features, chosen = trained
    weights = np.ones(len(chosen), dtype=np.float32)
    again = fit_ranker(features, chosen, weights, QUICK)
    assert all(np.array_equal(values, again.state()[name]) for name, values in ranker.state().items())
    other = fit_ranker(features, chosen, weights, RankerConfig(**{**vars_of(QUICK), "seed": 2}))
    assert not np.array_equal(ranker.state()["consistency_straight"], other.state()["consistency_straight"])


def vars_of(config: RankerConfig) -> dict:
    return {name: getattr(config, name) for name in RankerConfig.__dataclass_fields__}


def test_what_the_hook_raises_stops_the_fit(trained: tuple) -> None:
    _, features, chosen = trained
    steps: list[TrainingStep] = []

    def stop(step: TrainingStep) -> None:
        steps.append(step)
        if step.epoch == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fit_ranker(features, chosen, np.ones(len(chosen), dtype=np.float32), QUICK, stop)
    assert [step.epoch for step in steps] == [1, 2, 3]
    assert steps[0].loss > steps[2].loss > 0


def test_saved_and_loaded_it_says_the_same(trained: tuple, tmp_path: Path) -> None:
    ranker, features, _ = trained
    np.savez(tmp_path / "state.npz", **ranker.state())
    with np.load(tmp_path / "state.npz") as state:
        again = Ranker.from_state(dict(state), json.loads(json.dumps(ranker.describe())))
    np.testing.assert_array_equal(again.probabilities(features), ranker.probabilities(features))


def test_a_file_that_does_not_fit_is_refused(trained: tuple) -> None:
    ranker = trained[0]
    with pytest.raises(StoreError, match="version 0"):
        Ranker.from_state(ranker.state(), {**ranker.describe(), "version": 0})
    state = {name: tensor for name, tensor in ranker.state().items() if name != "stage"}
    with pytest.raises(StoreError, match="without stage"):
        Ranker.from_state(state, ranker.describe())


def test_features_of_another_layout_are_refused(trained: tuple) -> None:
    features, _ = made(4, 5)
    other = PickFeatures(
        features.values,
        features.stage,
        features.mask,
        {},
        {"consistency": BLOCKS["consistency"]},
        features.peaks,
        "e",
        "c",
    )
    with pytest.raises(UsageError, match="laid out"):
        trained[0].probabilities(other)


def test_the_share_of_lower_picks_is_known_as_it_was_weighed(trained: tuple) -> None:
    ranker, _, chosen = trained
    assert ranker.prior == pytest.approx((chosen == 1).mean(), abs=1e-5)
    again = Ranker.from_state(ranker.state(), ranker.describe())
    assert again.prior == ranker.prior


def test_weights_move_the_balance() -> None:
    features, chosen = made(400, 6, signal=0.8)
    heavy = np.where(chosen == 1, 20.0, 1.0).astype(np.float32)
    plain = fit_ranker(features, chosen, np.ones(400, dtype=np.float32), QUICK).probabilities(features)
    moved = fit_ranker(features, chosen, heavy, QUICK).probabilities(features)
    assert (moved.argmax(axis=1) == 1).sum() > (plain.argmax(axis=1) == 1).sum() + 20


def test_nothing_to_learn_from_is_said() -> None:
    features, chosen = made(3, 7)
    features.mask[:] = False
    with pytest.raises(UsageError, match="no group has features"):
        fit_ranker(features, chosen, np.ones(3, dtype=np.float32), QUICK)
    features, chosen = made(3, 7)
    with pytest.raises(UsageError, match="not there"):
        fit_ranker(features, chosen + 2, np.ones(3, dtype=np.float32), QUICK)


def test_weight_of_a_group_is_given_once() -> None:
    item = Candidates("p", "g", ("a", "b", "c"), ("1", "2", "3"), (1.0, 1.5, 2.0))
    unknown = Candidates("p", "g", ("a", "b"), (None, None), (None, None))
    picks = [
        Pick(item, 2, 2, False, "t"),
        Pick(item, 1, 1, False, "t"),
        Pick(item, 1, 2, False, "t"),
        Pick(item, 2, 0, False, "t"),
        Pick(unknown, 0, None, False, "t"),
    ]
    assert pick_weights(picks, 5.0).tolist() == [1, 5, 10, 2, 1]
