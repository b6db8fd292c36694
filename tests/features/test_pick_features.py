"""Features of picks: relative to the siblings, the same for training and recommending, and honest about gaps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import SCANNED_AT
from pickroom.core.errors import ProjectError, StoreError, UsageError
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES
from pickroom.features.pick_features import PickFeatureConfig, pick_features, relative, stage_values
from pickroom.features.sources import FeatureSources
from pickroom.indexing import projects
from pickroom.learn.recommending import candidates_of
from pickroom.store.workspace import Project, Workspace
from support.learning import SPEC, embed_colours, write_groups
from support.reviewing import queue

CONFIG = PickFeatureConfig()


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three groups of three small images, with vectors and patches."""
    root = tmp_path_factory.mktemp("features")
    write_groups(root / "images", 3)
    started = projects.start(Workspace(root / "home"), "p", root / "images", at=SCANNED_AT)[0]
    return embed_colours(started)


@pytest.fixture(scope="module")
def items(project: Project) -> list[Candidates]:
    return [candidates_of(group) for group in queue(project)]


@pytest.mark.parametrize(
    ("stages", "meant"),
    [
        ([1, 1.5, 2], [[0, 1, 1, 0], [0, 0.5, 0, 0], [1, 0, 0, 0]]),
        ([1, 2, 3], [[0, 1, 1, 0], [0, 0.5, 0, 0], [1, 0, 0, 0]]),
        ([None, 2], [[0, 0, 0, 1], [1, 0, 1, 0]]),
        ([2, 2], [[1, 0, 1, 0], [1, 0, 1, 0]]),
    ],
)
def test_stages_are_ranked_within_the_group(stages: list[float | None], meant: list[list[float]]) -> None:
    np.testing.assert_array_equal(stage_values(stages), meant)


@given(st.integers(2, 4), st.integers(0, 100))
def test_relative_values_say_nothing_of_the_whole(count: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(count, 5))
    found = relative(values)
    np.testing.assert_allclose(found.sum(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(found[0], values[0] - values[1:].mean(axis=0))
    np.testing.assert_allclose(relative(values + 7), found, atol=1e-9)


def test_every_block_is_filled_for_those_who_are_there(project: Project, items: list[Candidates]) -> None:
    pair = replace(items[0], filenames=items[0].filenames[1:], hashes=items[0].hashes[1:], stages=items[0].stages[1:])
    features = pick_features([*items, pair], FeatureSources([project]), CONFIG)
    assert list(features.blocks) == ["consistency", "global", "region0", "region1", "patch"]
    assert features.blocks["consistency"] == (0, len(NAMES))
    assert features.values.shape == (4, 4, features.blocks["patch"][1]) and np.isfinite(features.values).all()
    assert features.mask.tolist() == [[True, True, True, False]] * 3 + [[True, True, False, False]]
    assert not features.values[~features.mask].any() and not features.missing
    assert features.encoder == SPEC.encoder_id
    start, stop = features.blocks["global"]
    np.testing.assert_allclose(features.values[:, :, start:stop].sum(axis=1), 0, atol=1e-5)
    assert features.values[:, :3, start:stop].any(axis=(1, 2)).all()
    assert ((features.peaks >= 0) & (features.peaks <= 1)).all()
    # a pair is compared as a pair, not as part of the series that it comes from
    assert not np.allclose(features.values[0, 1, : len(NAMES)], features.values[3, 0, : len(NAMES)])
    some = features.take([3, 0])
    np.testing.assert_array_equal(some.values[1], features.values[0])


def test_without_embeddings_there_is_consistency_alone(project: Project, items: list[Candidates]) -> None:
    config = PickFeatureConfig(embeddings=False)
    features = pick_features(items, FeatureSources([project]), config)
    assert features.blocks == {"consistency": (0, len(NAMES))} and features.encoder is None
    assert features.config_hash == config.hash != CONFIG.hash


def test_a_group_without_a_vector_has_a_reason_and_no_features(project: Project, items: list[Candidates]) -> None:
    other = replace(items[1], hashes=(items[1].hashes[0], None, "0" * 64))
    features = pick_features([items[0], other], FeatureSources([project]), CONFIG)
    assert list(features.missing) == [1] and items[1].filenames[2] in features.missing[1]
    assert features.mask.any(axis=1).tolist() == [True, False]
    assert features.take([1]).missing == {0: features.missing[1]}


def test_what_cannot_be_is_said(project: Project, items: list[Candidates], tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="was not opened"):
        pick_features([replace(items[0], project_id="q")], FeatureSources([project]), CONFIG)
    write_groups(tmp_path / "images", 1, seed=5)
    bare = projects.start(Workspace(tmp_path / "home"), "bare", tmp_path / "images", at=SCANNED_AT)[0]
    with pytest.raises(StoreError, match="no vectors"):
        pick_features([candidates_of(group) for group in queue(bare)], FeatureSources([bare]), CONFIG)


def test_projects_of_different_encoders_do_not_mix(project: Project, items: list[Candidates], tmp_path: Path) -> None:
    write_groups(tmp_path / "images", 1, seed=6)
    other = projects.start(Workspace(tmp_path / "home"), "q", tmp_path / "images", at=SCANNED_AT)[0]
    other = embed_colours(other, replace(SPEC, model="others"))
    both = [*items, *(candidates_of(group) for group in queue(other))]
    with pytest.raises(UsageError, match="different encoders"):
        pick_features(both, FeatureSources([project, other]), CONFIG)
