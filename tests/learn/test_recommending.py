"""Every undecided group has a stored recommendation: a model's, or the baseline's with the reason."""

from __future__ import annotations

import json
from contextlib import closing

import pytest

from pickroom.learn import checkpoints
from pickroom.learn.evaluation import evaluate
from pickroom.learn.recommending import recommend
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project
from support.analysing import change
from support.learning import has_defect
from support.reviewing import FINALISE, decisions, queue, review, rows

pytestmark = pytest.mark.slow


def stored(project: Project) -> list[dict]:
    """The recommendations of the groups that wait, in the order of the queue."""
    by_id = {row["group_id"]: row for row in rows(project, "SELECT * FROM recommendations")}
    return [by_id[group.group_id] for group in queue(project)]


def test_the_models_recommend_and_the_deck_shows_it(trained: Project) -> None:
    report = recommend(trained)
    assert (report.groups, report.by_model, report.baselines) == (8, 8, {})
    assert report.versions == {"ranker": "v1", "crop_proposer": "v1"}
    found = stored(trained)
    assert {row["source"] for row in found} == {"model"}
    assert all(0 < row["confidence"] <= 1 and json.loads(row["reasons"]) for row in found)
    right = [row["selected_index"] == (1 if has_defect(60 + n) else 2) for n, row in enumerate(found)]
    assert sum(right) >= 6
    for row in found:
        assert (row["crop_coords"] is None) == (row["crop_needed"] == 0)
        assert 0 <= row["crop_confidence"] <= 1
    with closing(ReviewSession(trained)) as session:
        shown = session.group_at(0)
        assert shown is not None
        badge = next(image.badge for image in shown.images if image.ai_pick)
        assert badge == f"AI pick {found[0]['confidence']:.0%}".replace("%", " %")


@pytest.mark.parametrize("judged", [None, True, False])
def test_a_word_on_crop_or_none_is_only_given_where_it_counts(trained: Project, judged: bool | None) -> None:
    path = trained.workspace.models / "crop_proposer_v1_metadata.json"
    values = json.loads(path.read_text())
    values["verdict"] |= {"crop_or_none": {"counts": judged, "new": 0.5, "majority": 0.7}}
    if judged is None:  # as versions were written before it was judged
        del values["verdict"]["crop_or_none"]
    path.write_text(json.dumps(values))
    recommend(trained)
    found = stored(trained)
    if judged is False:
        assert {row["crop_needed"] for row in found} == {None}
        assert all(row["crop_coords"] is not None and 0 <= row["crop_confidence"] <= 1 for row in found)
        with closing(ReviewSession(trained)) as session:
            shown = session.group_at(0)
            assert shown is not None and "whether to crop is not predicted" in str(shown)
            assert "no crop needed" not in str(shown)
    else:
        assert {row["crop_needed"] for row in found} <= {0, 1}


def test_a_defect_in_the_highest_stage_is_flagged_in_words(trained: Project) -> None:
    recommend(trained)
    spoilt = [row for n, row in enumerate(stored(trained)) if has_defect(60 + n)]
    flagged = [row for row in spoilt if row["selected_index"] == 1]
    assert flagged
    assert any("stage 2 may have a defect" in row["anomaly_flags"] for row in flagged)


def test_what_was_recommended_is_recorded_with_its_versions(trained: Project) -> None:
    recommend(trained)
    first = stored(trained)[0]
    review(trained, "c" if first["crop_needed"] else "s", "Home", "a", *FINALISE)
    row = decisions(trained)[first["group_id"]]
    assert (row["ai_selected_index"], row["ai_confidence"]) == (first["selected_index"], first["confidence"])
    (context,) = rows(trained, "SELECT * FROM decision_context WHERE group_id = ?", first["group_id"])
    assert json.loads(context["versions"]) == {"ranker": "v1", "crop_proposer": "v1"}
    assert context["source"] == "model"


def test_without_a_model_it_is_the_baseline_labelled_so(trained: Project) -> None:
    (trained.workspace.models / "ranker_current.json").unlink()
    report = recommend(trained)
    assert (report.by_model, report.versions) == (0, {"crop_proposer": "v1"})
    assert report.baselines == {"no ranker has been trained that beats its baselines": 8}
    for row in stored(trained):
        assert (row["source"], row["selected_index"], row["confidence"], row["crop_coords"]) == (
            "baseline",
            2,
            None,
            None,
        )
        assert "a baseline: no ranker has been trained" in row["reasons"]


def test_features_that_do_not_match_are_a_fault_and_the_baseline(trained: Project) -> None:
    path = trained.workspace.models / "ranker_v1_metadata.json"
    values = json.loads(path.read_text())
    values["features"]["hash"] = "another"
    path.write_text(json.dumps(values))
    report = recommend(trained)
    assert report.by_model == 0
    assert "features are made otherwise than when it was trained" in report.faults[0]
    path.write_text(json.dumps({**values, "features": {**values["features"], "encoder": "e", "hash": "x"}}))
    assert {row["source"] for row in stored(trained)} == {"baseline"}


def test_a_damaged_model_says_so_and_the_baseline_steps_in(trained: Project) -> None:
    (trained.workspace.models / "ranker_v1.npz").write_bytes(b"nonsense")
    report = recommend(trained)
    assert report.by_model == 0 and "ranker: it cannot be read" in report.faults[0]


def test_group_without_features_gets_baseline_with_reason(trained: Project) -> None:
    one, *_ = queue(trained)
    change(trained, "UPDATE images SET sha256 = 'other' WHERE filename = ?", one.filenames[2])
    report = recommend(trained)
    assert (report.groups, report.by_model) == (8, 7)
    row = stored(trained)[0]
    assert (row["source"], row["selected_index"]) == ("baseline", 2)
    assert "a baseline: " in row["reasons"]


def test_new_order_starts_at_first_group_and_same_order_resumes(trained: Project) -> None:
    def position() -> int:
        with closing(ReviewSession(trained, order="worth")) as session:
            return session.state.position

    review(trained, "Enter", "Enter", "Enter", order="worth")
    assert position() == 3
    assert recommend(trained).changed == 8
    assert position() == 0
    review(trained, "Enter", order="worth")
    assert recommend(trained).changed == 0
    assert position() == 1
    review(trained, "1", "ArrowUp", order="worth")  # at a group with a choice
    change(trained, "UPDATE recommendations SET confidence = 0.5")
    here = review(trained, order="worth").state.card
    recommend(trained)
    assert review(trained, order="worth").state.card == here


def test_decided_groups_keep_what_was_recommended(trained: Project) -> None:
    before = rows(trained, "SELECT * FROM recommendations WHERE group_id IN (SELECT group_id FROM ai_decisions)")
    recommend(trained)
    after = rows(trained, "SELECT * FROM recommendations WHERE group_id IN (SELECT group_id FROM ai_decisions)")
    assert before == after


def test_evaluate_tests_every_version_on_unseen_rows(trained: Project) -> None:
    found = evaluate(trained.workspace, ["p"], sample=5, seed=1)
    ranker, crops = found.versions
    assert (ranker.model, ranker.current, ranker.rows + ranker.seen_left_out) == ("ranker", True, 60)
    assert ranker.metrics["overall"]["of"] == ranker.rows and ranker.rolling_100 is not None
    assert crops.rows > 0 and "mean_iou" in crops.metrics
    assert ranker.figure is not None and ranker.figure > ranker.baselines["highest stage"]["overall"]["value"]
    assert len(found.sample) == 5
    logged = [json.loads(line) for line in found.log.read_text().splitlines()]  # type: ignore[union-attr]
    assert logged == list(found.sample)
    again = evaluate(trained.workspace, ["p"], sample=5, seed=1)
    assert [entry["group_id"] for entry in again.sample] == [entry["group_id"] for entry in found.sample]
    seen = checkpoints.load(trained.workspace, "ranker", 1).seen
    assert len(seen) > 0
    for entry in found.sample:
        assert entry["selection_match"] == (entry["ai_selected_index"] == entry["user_selected_index"])
