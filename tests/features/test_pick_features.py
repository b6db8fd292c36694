"""Features of picks: the same for training and recommending, and honest about gaps."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import SCANNED_AT
from pickroom.core.errors import ProjectError, StoreError, UsageError
from pickroom.features import technical
from pickroom.features.blocks import BLOCKS, BlockRow, BlockStore
from pickroom.features.candidates import Candidates
from pickroom.features.consistency import NAMES
from pickroom.features.pick_features import pick_features, stage_values
from pickroom.features.sources import FeatureSources
from pickroom.indexing import projects
from pickroom.store.workspace import Project, Workspace
from support.learning import SPEC, embed_colours, write_groups
from support.reviewing import queue


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Three groups of three small images, with vectors and patches."""
    root = tmp_path_factory.mktemp("features")
    write_groups(root / "images", 3)
    started = projects.start(Workspace(root / "home"), "p", root / "images", at=SCANNED_AT)[0]
    return embed_colours(started)


@pytest.fixture(scope="module")
def items(project: Project) -> list[Candidates]:
    return [Candidates.of(group) for group in queue(project)]


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


def test_every_block_is_filled_for_those_who_are_there(project: Project, items: list[Candidates]) -> None:
    pair = replace(items[0], filenames=items[0].filenames[1:], hashes=items[0].hashes[1:], stages=items[0].stages[1:])
    features = pick_features([*items, pair], FeatureSources([project]))
    assert set(features.blocks) == {"stage", "vector", "consistency", *(spec.name for spec in BLOCKS)}
    assert features.blocks["consistency"].shape == (4, 4, len(NAMES))
    assert features.mask.tolist() == [[True, True, True, False]] * 3 + [[True, True, False, False]]
    assert not features.missing and features.encoder == SPEC.encoder_id
    for name in ("stage", "vector", "consistency"):
        assert (features.present[name] == features.mask).all()
        assert np.isfinite(features.blocks[name][features.mask]).all()
    np.testing.assert_allclose(np.linalg.norm(features.blocks["vector"][features.mask], axis=1), 1, atol=1e-5)
    assert ((features.peaks >= 0) & (features.peaks <= 1)).all()
    # a pair is compared as a pair, not as part of the series that it comes from
    assert not np.allclose(features.blocks["consistency"][0, 1], features.blocks["consistency"][3, 0])
    assert features.images[0, 1] == features.images[3, 0] == items[0].hashes[1] and features.images[3, 2] == ""
    some = features.take([3, 0])
    np.testing.assert_array_equal(some.blocks["vector"][1], features.blocks["vector"][0])


def test_stored_blocks_are_read_and_gaps_are_not_present(tmp_path: Path) -> None:
    write_groups(tmp_path / "images", 1)
    own = embed_colours(projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "images", at=SCANNED_AT)[0])
    item = Candidates.of(queue(own)[0])
    store = BlockStore(own)
    values = np.arange(len(technical.COLUMNS), dtype=np.float32)
    rows = [BlockRow(item.filenames[0], str(item.hashes[0]), values)]
    rows.append(BlockRow(item.filenames[1], str(item.hashes[1]), None, "it cannot be read"))
    with store.writing("a test"):
        store.append({"technical": rows})
    features = pick_features([item], FeatureSources([own]))
    assert features.present["technical"].tolist() == [[True, False, False, False]]
    np.testing.assert_array_equal(features.blocks["technical"][0, 0], values)


def test_a_group_whose_images_are_gone_has_features(tmp_path: Path) -> None:
    write_groups(tmp_path / "images", 2)
    own = embed_colours(projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "images", at=SCANNED_AT)[0])
    some = [Candidates.of(group) for group in queue(own)]
    pick_features(some[:1], FeatureSources([own]))  # the first is compared, and that is stored
    shutil.rmtree(tmp_path / "images")
    features = pick_features(some, FeatureSources([own]))
    assert not features.missing and features.present["vector"][:, :3].all()
    assert features.present["consistency"][:, 0].tolist() == [True, False]


def test_a_group_without_a_vector_has_a_reason_and_no_features(project: Project, items: list[Candidates]) -> None:
    other = replace(items[1], hashes=(items[1].hashes[0], None, "0" * 64))
    features = pick_features([items[0], other], FeatureSources([project]))
    assert list(features.missing) == [1] and items[1].filenames[2] in features.missing[1]
    assert features.mask.any(axis=1).tolist() == [True, False]
    assert features.take([1]).missing == {0: features.missing[1]}


def test_what_cannot_be_is_said(project: Project, items: list[Candidates], tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="was not opened"):
        pick_features([replace(items[0], project_id="q")], FeatureSources([project]))
    write_groups(tmp_path / "images", 1, seed=5)
    bare = projects.start(Workspace(tmp_path / "home"), "bare", tmp_path / "images", at=SCANNED_AT)[0]
    with pytest.raises(StoreError, match="no vectors"):
        pick_features([Candidates.of(group) for group in queue(bare)], FeatureSources([bare]))


def test_projects_of_different_encoders_do_not_mix(project: Project, items: list[Candidates], tmp_path: Path) -> None:
    write_groups(tmp_path / "images", 1, seed=6)
    other = projects.start(Workspace(tmp_path / "home"), "q", tmp_path / "images", at=SCANNED_AT)[0]
    other = embed_colours(other, replace(SPEC, model="others"))
    both = [*items, *(Candidates.of(group) for group in queue(other))]
    with pytest.raises(UsageError, match="different encoders"):
        pick_features(both, FeatureSources([project, other]))
