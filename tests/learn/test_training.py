"""A training end to end, on real pictures: what it writes, what may recommend, stopping and going on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pickroom.core.errors import LockedError, StoreError, UsageError
from pickroom.features.store import VectorRow, VectorStore
from pickroom.learn import checkpoints, progress, splits, training_sets
from pickroom.learn.checkpoints import model_of
from pickroom.learn.crops.model import CropTask
from pickroom.learn.examples import CropExample
from pickroom.learn.picks.task import PickTask
from pickroom.learn.progress import ProgressReporter, Status, TrainingStopped
from pickroom.learn.splits import SplitConfig
from pickroom.learn.training import train
from pickroom.store import images
from pickroom.store.connect import open_read_only
from pickroom.store.workspace import Project
from support.learning import SPEC, make_learned

pytestmark = pytest.mark.slow


def test_a_ranker_that_sees_defects_is_saved_and_recommends(learned: Project, quick: PickTask) -> None:
    workspace = learned.workspace
    shown: list[Status] = []
    made = train(workspace, "ranker", ["p"], task=quick, show=shown.append)
    assert (made.version, made.promoted) == (1, True), made.lines
    assert checkpoints.current(workspace, "ranker") == 1
    held_out, baseline = made.metadata["metrics"]["overall"], made.metadata["baselines"]["highest stage"]["overall"]
    assert held_out["value"] > baseline["value"]
    assert made.metadata["baselines"]["highest stage"]["anomaly"]["value"] == 0
    assert made.metadata["metrics"]["anomaly"]["of"] > 0
    assert made.metadata["data"]["examples"] == 60
    assert made.report.read_text().startswith("# ranker v1")
    right, of = held_out["right"], held_out["of"]
    assert made.lines[0].startswith(f"ranker v1: right in {right:.0f} of {of} groups it had not seen; highest stage: ")
    assert {"checking the decisions", "making features", "training", "evaluating"} <= {s.phase for s in shown}
    assert progress.read_status(workspace, "ranker").state == "done"  # type: ignore[union-attr]
    values = json.loads((workspace.models / "ranker_v1_metadata.json").read_text())
    assert values["features"] == {"hash": quick.feature_hash, "encoder": SPEC.encoder_id}
    assert values["seeds"] == {"model": 1}
    assert set(values["splits"]) == {"random", "blocks", "in time"}
    worst = min(values["splits"][name]["overall"]["value"] for name in ("random", "blocks"))
    assert held_out["value"] == worst, "the headline is the most pessimistic split"
    frozen = training_sets.load(workspace, "ranker", values["data"]["hash"])
    assert len(frozen.examples) == values["data"]["examples"]


def test_same_seed_gives_same_model_and_another_seed_differs(learned: Project, quick: PickTask) -> None:
    workspace = learned.workspace
    for task in (quick, quick, replace(quick, config=replace(quick.config, seed=2))):
        train(workspace, "ranker", ["p"], task=task)
    one, same, other = (checkpoints.load(workspace, "ranker", version).model for version in (1, 2, 3))
    assert all(np.array_equal(one[name], same[name]) for name in one)
    assert not all(np.array_equal(one[name], other[name]) for name in one)


def test_a_version_that_is_no_better_is_kept_and_not_used(learned: Project, quick: PickTask) -> None:
    first = train(learned.workspace, "ranker", ["p"], task=quick)
    again = train(learned.workspace, "ranker", ["p"], task=quick)
    assert (first.promoted, again.promoted) == (True, False)
    assert "has not been shown to beat v1 on 0 groups" in again.metadata["verdict"]["reason"]
    assert checkpoints.versions(learned.workspace, "ranker") == [1, 2]
    assert checkpoints.current(learned.workspace, "ranker") == 1


def test_weights_are_compared_and_never_used(learned: Project, quick: PickTask) -> None:
    plain = train(learned.workspace, "ranker", ["p"], task=quick)
    made = train(learned.workspace, "ranker", ["p"], task=replace(quick, anomaly_weights=(5.0,), override_weight=2.0))
    tried = made.metadata["tried"]
    assert [(one["setting"], one["chosen"]) for one in tried] == [(1.0, True), (5.0, False)]
    assert tried[0]["held_out"]["log_loss"] != tried[1]["held_out"]["log_loss"]
    assert sum("anomaly weight" in line for line in made.lines) == 2 and plain.metadata["tried"] == []
    one, two = (checkpoints.load(learned.workspace, "ranker", version).model for version in (1, 2))
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_a_ranker_stops_when_asked_and_writes_nothing(learned: Project, quick: PickTask) -> None:
    recorders: list[ProgressReporter] = []

    def stop(status: Status) -> None:
        if status.phase == "training":
            recorders[0].ask_to_stop()

    with pytest.raises(TrainingStopped):
        train(learned.workspace, "ranker", ["p"], task=quick, show=stop, recorder=recorders.append)
    assert progress.read_status(learned.workspace, "ranker").state == "stopped"  # type: ignore[union-attr]
    assert checkpoints.versions(learned.workspace, "ranker") == []


def test_crops_stop_when_asked_and_write_nothing(learned: Project, quick_crops: CropTask) -> None:
    recorders: list[ProgressReporter] = []

    def stop_in_the_second_fit(status: Status) -> None:
        if status.phase.startswith("measuring"):  # a phase is told at once, unlike its epochs
            recorders[0].ask_to_stop()

    with pytest.raises(TrainingStopped):
        workspace, recorder = learned.workspace, recorders.append
        train(workspace, "crop_proposer", ["p"], task=quick_crops, show=stop_in_the_second_fit, recorder=recorder)
    assert checkpoints.versions(learned.workspace, "crop_proposer") == []


def test_training_uses_several_projects_or_holds_one_out(tmp_path: Path, quick: PickTask) -> None:
    workspace = make_learned(tmp_path, "p", 30, 30).workspace
    make_learned(tmp_path, "q", 24, 24, seed=900)
    both = train(workspace, "ranker", ["q", "p"], task=quick)
    assert both.metadata["projects"] == ["p", "q"] and "projects" in both.metadata["splits"]
    assert both.metadata["data"]["used"] == {"learned": 54}
    assert set(both.metadata["metrics"]["by_project"]) == {"p", "q"}

    held = train(workspace, "ranker", ["p"], SplitConfig(holdout="q"), quick)
    assert held.metadata["projects"] == ["p", "q"] and held.metadata["headline"] == "project held out"
    assert held.metadata["data"]["used"] == {"learned": 30}
    assert set(held.metadata["metrics"]["by_project"]) == {"q"}
    assert held.metadata["baselines"]["chance"]["overall"]["of"] == 24
    examples = training_sets.load(workspace, "ranker", held.metadata["data"]["hash"]).examples
    seen = splits.seen(examples, checkpoints.load(workspace, "ranker", held.version).seen)
    assert {splits.project_of(example) for example, met in zip(examples, seen, strict=True) if met} == {"p"}


def test_crops_are_learned_by_the_same_road(learned: Project, quick_crops: CropTask) -> None:
    made = train(learned.workspace, "crop_proposer", ["p"], task=quick_crops)
    assert made.metadata["data"]["examples"] == 60
    scored, baselines = made.metadata["metrics"], made.metadata["baselines"]
    assert 0 < scored["mean_iou"] <= 1 and scored["need"]["of"] == made.metadata["data"]["used"]["held_out"]
    assert {"constant", "full_frame", "nearest"} <= set(baselines)
    need = made.metadata["verdict"]["crop_or_none"]
    assert (need["new"], need["majority"]) == (scored["need"]["value"], scored["need_without_asking"]["value"])
    held_out = next(line for line in made.lines if line.startswith("held out: "))
    assert f"crop or none {need['new']:.3f} (the same answer for all: {need['majority']:.3f})" in held_out
    assert need["counts"] is not any("does not predict whether a crop is needed" in line for line in made.lines)
    assert checkpoint_says_need(learned) is need["counts"]
    assert made.lines[0].startswith("crop_proposer v1: its box fits ")
    assert not made.promoted and "too few to tell" in made.metadata["verdict"]["reason"]


def checkpoint_says_need(project: Project) -> bool:
    return model_of(checkpoints.load(project.workspace, "crop_proposer", 1)).gate_enabled


def test_crops_of_vectors_without_a_grid_are_counted_as_such(learned: Project, quick_crops: CropTask) -> None:
    crops = training_sets.collect(learned.workspace, "crop_proposer", ["p"]).examples
    assert isinstance(crops[0], CropExample)
    store = VectorStore(learned.workspace, SPEC, "p")
    with open_read_only(learned.database) as connection:
        image = next(one for one in images.readable(connection) if one.filename == crops[0].filename)
    size = (image.width, image.height, image.file_size, image.mtime_ns)
    with store.writing("importing a vector for a test"):
        vector = np.ones(SPEC.dim, dtype=np.float32)
        store.append([VectorRow(image.filename, image.sha256, *size, vector, None, None)])
    made = train(learned.workspace, "crop_proposer", ["p"], task=quick_crops)
    assert made.metadata["data"]["without_features"] == {"its vector was imported without a patch grid": 1}


def test_one_training_of_a_model_at_a_time(learned: Project, quick: PickTask) -> None:
    with (
        progress.training_lock(learned.workspace, "ranker"),
        pytest.raises(LockedError, match="is at work on the ranker"),
    ):
        train(learned.workspace, "ranker", ["p"], task=quick)


def test_too_little_or_no_vectors_is_one_clear_line(learned: Project, quick: PickTask) -> None:
    with pytest.raises(UsageError, match="nothing is left to train on"):
        train(learned.workspace, "ranker", ["p"], SplitConfig(holdout="p"), quick)
    unbound = learned.with_manifest(encoder=None)
    with pytest.raises(StoreError, match=r"has no vectors.*pickroom embed p"):
        train(unbound.workspace, "ranker", ["p"], task=quick)
    assert checkpoints.versions(learned.workspace, "ranker") == []
    assert progress.read_status(learned.workspace, "ranker").state == "failed"  # type: ignore[union-attr]
