"""Small decided projects with real pictures and vectors, and models trained on them; each made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from pickroom.features.sources import FeatureSources
from pickroom.learn import checkpoints
from pickroom.learn.crops.model import CropTask
from pickroom.learn.crops.proposer import CropConfig
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.task import PickTask
from pickroom.learn.reading import read_examples
from pickroom.learn.training import train
from pickroom.store.workspace import Project
from support.learning import make_learned
from support.reviewing import copy_of


@pytest.fixture(scope="session")
def learned_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Project `p`: 60 groups of three decided, 4 undecided; a third of the highest stages carry a defect."""
    project = make_learned(tmp_path_factory.mktemp("learned"), "p", 64, 60)
    # every copy has the comparisons of its groups, which take longer than a fit of a second
    PickTask().features(read_examples(project, "picks").picks, FeatureSources([project]))
    return project


@pytest.fixture
def learned(learned_once: Project, tmp_path: Path) -> Project:
    """A copy of its own for each test."""
    return copy_of(learned_once, tmp_path)


@pytest.fixture
def quick() -> PickTask:
    """A ranker that is fitted in a second or two."""
    return PickTask(config=ColumnsConfig(directions=8, curved=(("consistency", 0.5, 32),)))


@pytest.fixture
def quick_crops() -> CropTask:
    return CropTask(config=CropConfig(members=1, steps=30, hidden=8))


@pytest.fixture(scope="session")
def trained_once(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """Project `p`: 60 groups decided, 8 undecided; ranker v1 has earned its place, the crop proposer is given it."""
    project = make_learned(tmp_path_factory.mktemp("trained"), "p", 68, 60)
    ranker = PickTask(config=ColumnsConfig(directions=8, curved=(("consistency", 0.5, 32),)))
    assert train(project.workspace, "ranker", ["p"], task=ranker).promoted
    crop_model = CropTask(config=CropConfig(members=1, steps=30, hidden=8))
    train(project.workspace, "crop_proposer", ["p"], task=crop_model)
    checkpoints.make_current(project.workspace, "crop_proposer", 1, "for a test")
    return project


@pytest.fixture
def trained(trained_once: Project, tmp_path: Path) -> Project:
    """A copy of its own for each test."""
    return copy_of(trained_once, tmp_path)
