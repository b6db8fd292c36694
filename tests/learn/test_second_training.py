"""A second training is compared with the current version on the same rows, whatever has changed since the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pickroom.features.sources import FeatureSources
from pickroom.files.batch import undo_batch
from pickroom.learn import checkpoints, splits, training_sets
from pickroom.learn.checkpoints import model_of
from pickroom.learn.crops.model import CropTask
from pickroom.learn.crops.proposer import CropConfig
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.task import PickTask
from pickroom.learn.splits import SplitConfig
from pickroom.learn.training import LEAST_ROWS, Trained, train
from pickroom.learn.training_sets import KINDS, Kind
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.learning import decide, make_learned
from support.reviewing import copy_of, rows

pytestmark = pytest.mark.slow
HALF = SplitConfig(held_out=0.5)  # of 20 crops enough are held out to be compared


class AgainstFullFrame(CropTask):
    """Judged against the full frame only, so that a fit of a second gets as far as the version before."""

    def baselines(self, *rows: Any) -> Any:
        judged, scored = super().baselines(*rows)
        return {"full_frame": judged["full_frame"]}, scored


TASKS: dict[Kind, Any] = {
    "ranker": PickTask(config=ColumnsConfig(directions=8, curved=(("consistency", 0.5, 32),))),
    "crop_proposer": AgainstFullFrame(config=CropConfig(members=1, steps=30, hidden=8)),
}
KIND: Kind = "crop_proposer"  # the ranker's versions are held against each other by bets: test_learner.py


class Situation(NamedTuple):
    """What happens after the first training, and how the second one is asked for."""

    change: Callable[[Project], None]
    split: SplitConfig = HALF
    projects: tuple[str, ...] = ("p",)


def nothing(project: Project) -> None:
    """No change."""


def decide_more(project: Project) -> None:
    decide(project, range(62, 64), crop=False)


def undo_the_last(project: Project) -> None:
    batch = rows(project, "SELECT max(batch) AS batch FROM file_operations")[0]["batch"]
    with closing(connect(project.database)) as connection:
        assert len(undo_batch(project, connection, batch).done) == 2


def another_project(project: Project) -> None:
    make_learned(project.workspace.root.parent, "q", 24, 24, seed=900)


def models(project: Project, change: Callable[[Path], None]) -> None:
    for path in sorted(project.workspace.models.glob("*_v1*")):
        change(path)


def delete_files(project: Project) -> None:
    models(project, Path.unlink)


def edited(*keys: str, value: object) -> Callable[[Project], None]:
    """Write one value of the metadata of every version 1."""

    def change(path: Path) -> None:
        if path.suffix == ".json":
            values = json.loads(path.read_text())
            inner = values
            for key in keys[:-1]:
                inner = inner[key]
            inner[keys[-1]] = value
            path.write_text(json.dumps(values))

    return lambda project: models(project, change)


SITUATIONS = {
    "unchanged": Situation(nothing),
    "grown": Situation(decide_more),
    "shrunk": Situation(undo_the_last),
    "another split": Situation(nothing, SplitConfig(held_out=0.5, seed=7)),
    "another project": Situation(another_project, HALF, ("p", "q")),
    "held out new": Situation(another_project, SplitConfig(holdout="q")),
    "held out seen": Situation(another_project, SplitConfig(holdout="p"), ("q",)),
}
UNUSABLE = {
    "files deleted": Situation(delete_files),
    "older features": Situation(edited("features", "hash", value="older")),
    "another version of the model": Situation(edited("model", "version", value=99)),
}


@pytest.fixture(scope="module")
def trained_once(learned_once: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """62 groups decided, the last two in a batch of their own; version 1 of each model recommends."""
    project = copy_of(learned_once, tmp_path_factory.mktemp("trained"))
    decide(project, range(60, 62), crop=False)
    for kind in KINDS:
        train(project.workspace, kind, ["p"], HALF, TASKS[kind])
        checkpoints.make_current(project.workspace, kind, 1, "a test")
    return project


@pytest.fixture
def trained(trained_once: Project, tmp_path: Path) -> Project:
    return copy_of(trained_once, tmp_path)


def again(project: Project, kind: Kind, situation: Situation) -> Trained:
    situation.change(project)
    return train(project.workspace, kind, situation.projects, situation.split, TASKS[kind])


@pytest.mark.parametrize("name", SITUATIONS)
def test_a_second_training_compares_the_same_rows(trained: Project, name: str) -> None:
    kind = KIND
    made = again(trained, kind, SITUATIONS[name])
    workspace, task = trained.workspace, TASKS[kind]
    frozen = training_sets.load(workspace, kind, made.metadata["data"]["hash"])
    features = task.features(frozen.examples, FeatureSources(workspace.project(one) for one in frozen.projects))
    first = checkpoints.load(workspace, kind, 1)
    held_out = splits.split(frozen.examples, SITUATIONS[name].split).rows(splits.HELD_OUT)
    held = [frozen.examples[row] for row in held_out]
    judged = task.judged(held)
    unseen = ~splits.seen([held[row] for row in judged], first.seen)
    verdict, previous = made.metadata["verdict"], made.metadata["previous"]
    assert verdict["rows"] == len(judged) and previous["version"] == 1
    assert previous["rows"] == (~splits.seen(held, first.seen)).sum()
    assert verdict["current"] is made.promoted is (checkpoints.current(workspace, kind) == made.version)
    assert made.lines[-1].startswith("it recommends from now on" if made.promoted else "kept, and not used")
    if "previous" in verdict:
        assert verdict["previous"]["rows"] == unseen.sum()
        if unseen.sum() >= LEAST_ROWS:
            both = features.take(held_out[judged])
            its = task.evidence(model_of(first), [held[row] for row in judged], both).figures[unseen]
            assert verdict["previous"]["previous"] == pytest.approx(its.mean())
    else:
        assert not made.promoted and ("baseline" in verdict["reason"] or len(judged) < LEAST_ROWS)


@pytest.mark.parametrize("name", UNUSABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_an_unusable_version_is_not_compared_with(trained: Project, kind: Kind, name: str) -> None:
    made = again(trained, kind, UNUSABLE[name])
    assert made.metadata["previous"] is None
    assert "does not beat v1" not in made.metadata["verdict"]["reason"]
