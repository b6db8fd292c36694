"""A project's own share of lower picks is read off its scores, and nothing else of them is changed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pickroom.features.pick_features import stage_values
from pickroom.learn.picks.model import adapted, lower_counts

PRIOR = 0.35
KNOWN = {"learned from": (350, 1000)}


def scored(count: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Chances of a ranker that reads its evidence rightly and expects `PRIOR`; stages; whether a lower one is meant."""
    rng = np.random.default_rng(seed)
    meant = rng.random(count) < share
    evidence = rng.normal(np.where(meant, 1.2, -1.2), 1.0)  # log odds of the evidence: 2.4 x
    lower = 1 / (1 + np.exp(-(2.4 * evidence + np.log(PRIOR / (1 - PRIOR)))))
    chances = np.stack([np.zeros(count), lower, 1 - lower, np.zeros(count)], axis=1)
    stage = np.zeros((count, 4, 4), dtype=np.float32)
    stage[:, :3] = stage_values([1.0, 1.5, 2.0])
    return chances, stage, meant


@pytest.mark.parametrize("share", [0.03, 0.35, 0.6])
def test_picks_are_no_worse_where_the_share_is_another(share: float) -> None:
    chances, stage, meant = scored(2000, share, 1)
    found = adapted(chances, stage, ["p"] * 2000, KNOWN)
    before, after = (((some[:, 1] > 0.5) == meant).mean() for some in (chances, found))
    assert after >= before - 0.003
    assert found[:, 1].mean() == pytest.approx(share, abs=0.03)
    assert share != 0.03 or after > before + 0.02


@given(seed=st.integers(0, 1000), count=st.integers(1, 60), prior=st.floats(0.01, 0.99))
def test_the_order_of_the_evidence_stays(seed: int, count: int, prior: float) -> None:
    chances, stage, _ = scored(count, 0.3, seed)
    found = adapted(chances, stage, ["p"] * count, {"r": (round(prior * 1000), 1000)})
    np.testing.assert_allclose(found.sum(axis=1), 1)
    order = np.argsort(chances[:, 1], kind="stable")
    assert (np.diff(found[order, 1]) >= -1e-12).all()


def test_projects_do_not_speak_for_each_other() -> None:
    few, stage, _ = scored(100, 0.02, 2)
    many, _, _ = scored(100, 0.6, 3)
    both = adapted(np.concatenate([few, many]), np.concatenate([stage, stage]), ["p"] * 100 + ["q"] * 100, KNOWN)
    np.testing.assert_allclose(both[:100], adapted(few, stage, ["p"] * 100, KNOWN))
    np.testing.assert_allclose(both[100:], adapted(many, stage, ["q"] * 100, KNOWN))


def test_a_few_groups_change_little() -> None:
    chances, stage, _ = scored(1, 0.0, 4)
    assert np.abs(adapted(chances, stage, ["p"], KNOWN) - chances).max() < 0.1


def test_a_project_that_is_known_is_changed_less() -> None:
    chances, stage, _ = scored(40, 0.02, 6)
    new = adapted(chances, stage, ["p"] * 40, KNOWN)
    own = adapted(chances, stage, ["p"] * 40, {**KNOWN, "p": (35, 100)})
    assert np.abs(own - chances).max() < np.abs(new - chances).max() / 2


def test_learned_projects_that_differ_say_less_of_another() -> None:
    chances, stage, _ = scored(40, 0.02, 8)
    alike, apart = (
        adapted(chances, stage, ["p"] * 40, {f"r{n}": counts for n, counts in enumerate(known)})
        for known in ([(35, 100)] * 6, [(3, 100), (67, 100)] * 3)
    )
    assert apart[:, 1].mean() < alike[:, 1].mean() < chances[:, 1].mean()


def test_doubt_after_few_groups_is_not_read_as_another_share() -> None:
    _, stage, _ = scored(40, 0.2, 5)
    unsure = np.tile([0.32, 0.32, 0.36, 0.0], (40, 1))
    np.testing.assert_array_equal(adapted(unsure, stage, ["p"] * 40, {"p": (4, 20)}), unsure)


def test_lower_picks_are_counted_by_project() -> None:
    _, stage, meant = scored(50, 0.4, 7)
    chosen = np.where(meant, 1, 2)
    projects = np.array(["p", "q"] * 25, dtype=object)
    counts = lower_counts(stage, chosen, projects)
    assert counts["p"] == (int(meant[::2].sum()), 25) and counts["q"] == (int(meant[1::2].sum()), 25)


def test_unknown_stages_missing_rows_and_prior_change_nothing() -> None:
    chances, stage, _ = scored(30, 0.02, 5)
    np.testing.assert_array_equal(adapted(chances, stage, ["p"] * 30, {}), chances)
    chances[3] = 0
    unknown = stage.copy()
    unknown[5, :3] = stage_values([None, None, None])
    unknown[6, :3] = stage_values([1.0, 2.0, 2.0])
    found = adapted(chances, unknown, ["p"] * 30, KNOWN)
    assert not found[3].any()
    np.testing.assert_array_equal(found[5:7], chances[5:7])
