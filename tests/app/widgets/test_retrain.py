"""The deck learns after each finalise, in a process of its own, and never waits for it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import write_image
from pickroom.app.widgets.deck import Deck
from pickroom.app.widgets.links import Retrain
from pickroom.indexing.projects import start
from pickroom.learn import progress, retraining
from pickroom.learn.crops.model import CropTask
from pickroom.learn.crops.proposer import CropConfig
from pickroom.learn.evaluation import Task
from pickroom.learn.picks.columns import ColumnsConfig
from pickroom.learn.picks.task import PickTask
from pickroom.learn.progress import Background
from pickroom.learn.training_sets import Kind
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project, Workspace
from support.learning import make_learned
from support.reviewing import FINALISE, PATIENCE_S

pytestmark = pytest.mark.slow
Make = Callable[..., Project]


def press(deck: Deck, *keys: str) -> None:
    for key in keys:
        deck.key_pressed(key, deck.token())


def ended(deck: Deck, seconds: float) -> None:
    """Wait until the process has ended and its result is shown."""
    assert deck.retrain.following is not None
    deck.retrain.following.join(seconds)
    assert not deck.retrain.following.is_alive()


def test_without_vectors_a_finalise_says_that_nothing_is_learned(make_project: Make) -> None:
    deck = Deck(ReviewSession(make_project([(1, 2), (1, 2)])))
    try:
        assert deck.retrain.layout.display == "none"
        press(deck, "2", "1", *FINALISE)
        assert deck.retrain.layout.display is None and deck.retrain.background is None
        assert "the images have no vectors (pickroom embed p)" in deck.retrain.value
    finally:
        deck.close()


def test_a_finalise_is_learned_in_the_background(tmp_path: Path) -> None:
    project = make_learned(tmp_path, "p", 4, 0)
    deck = Deck(ReviewSession(project))
    try:
        press(deck, "2", *FINALISE)
        press(deck, "2")  # the deck takes keys meanwhile
        ended(deck, 4 * PATIENCE_S)
        said = deck.retrain.value
        assert "ranker: 1 new decision learned, 1 in all" in said
        assert "it has not yet been shown to beat" in said and "3 by the baseline" in said
    finally:
        deck.close()


def test_a_finalise_meanwhile_is_learned_afterwards(tmp_path: Path) -> None:
    deck = Deck(ReviewSession(make_learned(tmp_path, "p", 4, 0)))
    try:
        press(deck, "2", *FINALISE)
        press(deck, "2", *FINALISE)
        ended(deck, 6 * PATIENCE_S)
        assert "2 in all" in deck.retrain.value
    finally:
        deck.close()


def test_both_models_are_learned_anew_without_pytorch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # as if it were not installed
    project = make_learned(tmp_path, "p", 62, 60)
    # small models: what a default one learns is for the tests of learning
    small: dict[Kind, Task] = {
        "ranker": PickTask(config=ColumnsConfig(directions=8, curved=(("consistency", 0.5, 32),))),
        "crop_proposer": CropTask(config=CropConfig(members=1, steps=30, hidden=8)),
    }
    lines = retraining.retrain(project.workspace, "p", tasks=small)
    assert lines[1].startswith("ranker v1 recommends from now on")
    assert any(line.startswith("crop_proposer v1: ") for line in lines)
    assert any("2 by ranker v1" in line for line in lines)
    assert lines[-1] == "New recommendations show with the deck's next key."


def test_a_damaged_progress_file_ends_in_one_line(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    write_image(folder / "a.png")
    line = Retrain(start(workspace, "p", folder)[0])
    path = progress.path_of(workspace, "x", "json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{")
    process = subprocess.Popen(["true"])
    process.wait(PATIENCE_S)
    line.background = Background(workspace, "x", process, tmp_path / "log")
    line._follow()
    assert "it cannot be read" in line.value
    line.close()
