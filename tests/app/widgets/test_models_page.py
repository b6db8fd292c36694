"""The page of the models, without a browser: what it says of real models, and training from its button."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from app.widgets.test_automate_page import WAIT_S, press
from pickroom.app.widgets.models_page import SAMPLE, ModelsPage
from pickroom.learn import progress, retraining
from pickroom.learn.picks.learner import ENOUGH
from pickroom.learn.standing import standing
from pickroom.store.workspace import Project
from support.learning import make_learned

Make = Callable[..., Project]


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of 42 decided groups, and a ranker trained on them; four groups wait."""
    project = make_learned(tmp_path_factory.mktemp("learned"), "p", 46, 42)
    retraining.retrain(project.workspace, "p", versions=True)
    return project


def opened(project: Project) -> ModelsPage:
    page = ModelsPage(project)
    page.settle()
    return page


def begun(page: ModelsPage) -> None:
    """Wait until the training's own words are on the page."""
    assert page.training.thread is not None
    while "retraining: " not in page.training.line.value:
        assert page.training.thread.is_alive()
        page.training.thread.join(0.05)


def test_nothing_learned_yet_is_said_in_each_part(make_project: Make) -> None:
    page = opened(make_project([(1, 2)]))
    assert "Nothing has been learned yet." in page.agreement.body.value and not page.agreement.line.value
    assert "decisions in p." in page.training.body.value
    assert "No model has learned enough yet." in page.weights.body.value
    assert "highest stage (2)" in page.weights.body.value
    assert "no model was trained yet" in press(page.sample, page.draw_sample)


def test_agreement_is_said_with_interval_baseline_and_evidence(learned: Project) -> None:
    found, page = standing(learned), opened(learned)
    assert len(found.right) == len(found.baseline) == len(found.sure) == 42
    right, share = found.right.mean(), found.baseline.mean()
    assert f"The model was right in {100 * right:.0f} % (" in page.agreement.body.value
    assert f"highest stage&quot; in {100 * share:.0f} % (" in page.agreement.body.value
    assert "of the last 42. 42 decisions seen" in page.agreement.body.value
    assert page.agreement.body.value.count("<img ") == 2
    assert found.over_time[-1]["selection_accuracy"] == pytest.approx(right)
    assert found.over_time[-1]["baseline"] == pytest.approx(share)
    assert sum(row["selections"] for row in found.calibration) == 42
    rivals = {name: value for name, _, value in found.bets}
    assert set(rivals) == {"highest stage", "chance"} and rivals["chance"] > ENOUGH
    assert "e-value" in page.versions.body.value and "ranker v1" in page.versions.body.value
    assert sum(found.weights.values()) == pytest.approx(1) and "generation stage" in found.weights
    assert list(found.weights.values()) == sorted(found.weights.values(), reverse=True)


def test_a_version_whose_file_is_damaged_is_named(learned: Project) -> None:
    path = learned.workspace.models / "ranker_v1_metadata.json"
    sound = path.read_bytes()
    path.write_text('{"name": "ranker", "version": 1}')
    try:
        assert "its metadata cannot be read" in opened(learned).versions.body.value
    finally:
        path.write_bytes(sound)


def test_a_sample_shows_groups_side_by_side(learned: Project) -> None:
    page = opened(learned)
    said = press(page.sample, page.draw_sample)
    if "no ranker recommends yet" not in said:
        assert "Your pick in " in said and f"of {SAMPLE} groups" in said
        assert "data:image/png" in page.sample.body.value


@pytest.mark.slow
def test_training_goes_on_in_a_process_and_a_new_page_follows_it(learned: Project) -> None:
    page = opened(learned)
    page.train.click()
    assert page.train.disabled and page.training.stop.layout.display is None
    begun(page)
    other = opened(learned)
    assert other.train.disabled
    for one in (page, other):
        assert one.training.thread is not None
        one.training.thread.join(WAIT_S)
        assert not one.train.disabled
        assert "ranker v2" in one.training.line.value and "recommend" in one.training.line.value
    page.agreement.thread.join(WAIT_S)  # type: ignore[union-attr]
    assert "ranker v2" in page.versions.body.value


@pytest.mark.slow
def test_training_is_stopped_from_the_page(learned: Project) -> None:
    page = opened(learned)
    page.train.click()
    begun(page)
    page.training.stop.click()
    page.training.thread.join(WAIT_S)  # type: ignore[union-attr]
    assert "stopped" in page.training.line.value and not page.train.disabled
    status = progress.read_status(learned.workspace, retraining.NAME)
    assert status is not None and status.state == "stopped"
