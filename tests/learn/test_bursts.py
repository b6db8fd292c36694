"""Bursts in learning: each round is an example, figures count a burst once, a model gives the order of meeting."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from conftest import SCANNED_AT
from pickroom.groups import rounds
from pickroom.indexing import projects
from pickroom.learn import splits, training_sets
from pickroom.learn.picks.current import update
from pickroom.learn.picks.model import scores
from pickroom.learn.picks.task import PickTask
from pickroom.learn.progress import read_summary
from pickroom.learn.reading import read_examples
from pickroom.learn.recommending import recommend
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project, Workspace
from support.analysing import change
from support.learning import embed_colours
from support.photographs import shoot, take
from support.reviewing import FINALISE, queue, review, rows


@pytest.fixture
def bursts(tmp_path: Path) -> Project:
    """Three bursts of seven with vectors: the first two picked, an image of the second kept in addition; one waits."""
    shoot(tmp_path / "card", bursts=3, shots=7)
    project = projects.start(Workspace(tmp_path / "home"), "p", tmp_path / "card", at=SCANNED_AT)[0]
    project = embed_colours(project)
    review(project, "1", "2", "2", "6", "3", *FINALISE)
    return project


def test_every_round_is_an_example(bursts: Project) -> None:
    found = read_examples(bursts, "picks")
    assert (found.rows, dict(found.left_out)) == (4, {})
    read = {(p.candidates.filenames, p.chosen, p.comparison) for p in found.picks}
    names = [f"IMG_{number:04d}.jpg" for number in range(14)]
    assert read == {
        (tuple(names[0:4]), 0, True),
        ((names[0], *names[4:7]), 1, False),
        (tuple(names[7:11]), 1, True),
        # the second of the last round was kept in addition: it neither won nor lost
        ((names[8], names[12], names[13]), 1, False),
    }
    assert len(read_examples(bursts, "crops").crops) == 2
    families = {splits.families(found.picks)[row]: pick.candidates.group_id for row, pick in enumerate(found.picks)}
    assert len(families) == 2, "the rounds of a burst go to one side"


def test_a_rejected_or_kept_burst_trains_nothing(bursts: Project) -> None:
    before = read_examples(bursts, "picks").picks
    review(bursts, "1", "x", *FINALISE)
    assert read_examples(bursts, "picks").picks == before
    assert len(rows(bursts, "SELECT * FROM comparisons")) == 3


def test_an_unsound_comparison_is_left_out(bursts: Project) -> None:
    change(bursts, 'UPDATE comparisons SET images = \'["a.jpg", "a.jpg"]\', chosen = 0 WHERE rowid = 1')
    found = read_examples(bursts, "picks")
    assert (len(found.picks), dict(found.left_out)) == (3, {"unsound row: comparisons": 1})


def test_a_frozen_set_marks_comparisons_and_old_sets_load(bursts: Project) -> None:
    made = training_sets.collect(bursts.workspace, "ranker", ["p"])
    training_sets.freeze(bursts.workspace, made)
    assert training_sets.load(bursts.workspace, "ranker", made.hash).examples == made.examples
    written = [json.loads(line) for line in made.lines.splitlines()]
    assert sorted("comparison" in line for line in written) == [False, False, True, True]


def test_figures_count_a_burst_once(bursts: Project, quick: PickTask) -> None:
    picks = read_examples(bursts, "picks").picks
    said = np.full((4, 4), 0.25)
    assert scores(picks, said)["overall"]["of"] == 2
    state, _ = update(bursts.workspace, ["p"], quick)
    assert (len(state.learner.learned), len(state.learner.counted)) == (4, 2)
    summary = read_summary(bursts.workspace)
    assert summary is not None and (summary.decisions, summary.last) == (2, 2)


@pytest.mark.slow
def test_a_model_orders_a_burst_and_knows_how_sure_it_is(trained: Project) -> None:
    for number in range(9):
        take(trained.root / f"IMG_{number}.jpg", 3 + number % 3, number / 3)
    projects.rescan(trained)
    embed_colours(trained)
    burst = next(group for group in queue(trained) if len(group.images) == 9)
    report = recommend(trained)
    assert report.baselines == {}
    (said,) = rows(trained, "SELECT * FROM recommendations WHERE group_id = ?", burst.group_id)
    ranking = json.loads(said["ranking"])
    assert sorted(ranking) == list(range(9)) and ranking[-1] == said["selected_index"]
    assert 0.2 < said["confidence"] <= 1 and said["source"] == "model"
    with closing(ReviewSession(trained)) as session:
        session.state = replace(session.state, position=[g.group_id for g in session.groups].index(burst.group_id))
        for _ in range(2):
            shown = session.group_at(session.state.position)
            assert shown is not None and [image.badge for image in shown.images if image.ai_pick] == ["AI pick"]
            session.press("a")
        shown = session.group_at(session.state.position)
        assert shown is not None
        names = [burst.filenames[place] for place in rounds.finalists(ranking)]
        assert [image.filename for image in shown.images] == names, "accepting leads to the four that were asked about"
        (badge,) = [image.badge for image in shown.images if image.ai_pick]
        assert badge == f"AI pick {said['confidence']:.0%}".replace("%", " %")


def test_without_all_vectors_a_burst_has_the_baseline(trained: Project) -> None:
    for number in range(6):
        take(trained.root / f"IMG_{number}.jpg", 3, number / 3)
    projects.rescan(trained)
    report = recommend(trained)
    assert report.baselines == {"an image has no vector": 1}
