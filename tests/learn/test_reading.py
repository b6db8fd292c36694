"""Decisions as examples: a person's only, nothing invented, and every row left out has its reason."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace

import pytest

from pickroom.core.errors import ConflictError, StoreError
from pickroom.features.candidates import Candidates
from pickroom.learn import splits, training_sets
from pickroom.learn.examples import Pick
from pickroom.learn.reading import read_examples
from pickroom.store.legacy import connect_legacy, legacy_path
from pickroom.store.workspace import Project
from support.analysing import change
from support.learning import crop_of, has_defect
from support.reviewing import FINALISE, decisions, queue, recommend, review, rows


def test_picks_are_the_persons_choices(learned: Project) -> None:
    found = read_examples(learned, "picks")
    assert (found.rows, len(found.picks), dict(found.left_out)) == (60, 60, {})
    for number, pick in enumerate(found.picks):
        assert pick.chosen == (1 if has_defect(number) else 2)
        assert pick.anomaly is has_defect(number)
        assert pick.candidates.stages == (1.0, 1.5, 2.0) and None not in pick.candidates.hashes


def test_crops_are_user_boxes_and_untouched_images_need_none(learned: Project) -> None:
    found = read_examples(learned, "crops")
    assert len(found.crops) == 60
    boxes = {crop.group_id: crop.box for crop in found.crops}
    for number, group_id in enumerate(decisions(learned)):
        meant = crop_of(number)
        box = boxes[group_id]
        assert (box is None) == (meant is None)
        if box is not None and meant is not None:
            assert box.to_list() == pytest.approx(meant.to_list(), abs=0.02)  # whole pixels


def test_what_the_machine_did_never_trains(learned: Project) -> None:
    first, second, third = list(decisions(learned))[:3]
    change(learned, f"UPDATE decision_context SET input = 'auto' WHERE group_id = '{first}'")
    change(learned, f"UPDATE decision_context SET crop_input = 'apply_ai' WHERE group_id = '{second}'")
    picks, crops = read_examples(learned, "picks"), read_examples(learned, "crops")
    assert first not in {pick.candidates.group_id for pick in picks.picks}
    assert second in {pick.candidates.group_id for pick in picks.picks}, "a person picked it"
    assert {first, second} & {crop.group_id for crop in crops.crops} == set()
    assert third in {crop.group_id for crop in crops.crops}
    assert dict(picks.left_out) == {"excluded: machine decisions": 1}
    assert dict(crops.left_out) == {"excluded: machine decisions": 1, "excluded: machine crops": 1}


def test_only_the_users_boxes_train(learned: Project) -> None:
    cropped = [group_id for group_id, row in decisions(learned).items() if row["final_crop_coords"]]
    wanted = dict(zip(cropped, ("drawn", "ai", "ai_all", "default"), strict=False))
    for group_id, source in wanted.items():
        change(learned, f"UPDATE crops SET box_source = '{source}' WHERE group_id = '{group_id}'")
    picks, crops = read_examples(learned, "picks"), read_examples(learned, "crops")
    assert len(picks.picks) == 60, "the user picked them all"
    trained = {crop.group_id for crop in crops.crops}
    assert [group_id in trained for group_id in wanted] == [True, True, False, False]
    assert dict(crops.left_out) == {"excluded: machine crops": 1, "excluded: default crops": 1}


def test_kept_rejected_and_waiting_groups_are_no_examples(learned: Project) -> None:
    review(learned, "k", "x", "q", *FINALISE)
    picks, crops = read_examples(learned, "picks"), read_examples(learned, "crops")
    assert len(picks.picks) == len(crops.crops) == 60
    assert dict(picks.left_out) == {"rejected: no image was picked": 1, "excluded: waiting crops": 1}
    assert picks.rows == 62, "a kept group has no row"


def test_what_was_recommended_and_hidden_is_known(learned: Project) -> None:
    one, two, *_ = queue(learned)
    recommend(learned, one, 0)
    recommend(learned, two, 1)
    review(learned, "2", "2", *FINALISE, blind=True)
    corrected, agreed = read_examples(learned, "picks").picks[-2:]
    assert (corrected.recommended, corrected.corrected, corrected.blind) == (0, True, True)
    assert (agreed.recommended, agreed.corrected, agreed.blind) == (1, False, True)


def test_imports_are_read_from_all_three_tables(learned: Project) -> None:
    stem = "20240101_0600{:02}_stage{}_x.png"
    names = [stem.format(n, stage) for n, stage in enumerate((1, "1.5", 2))]
    row = [*rows(learned, "SELECT * FROM ai_decisions LIMIT 1")[0].values()]
    row[0], row[5] = "old", json.dumps(names)
    with closing(connect_legacy(legacy_path(learned.workspace, "p"))) as connection:
        connection.execute(f"INSERT INTO ai_decisions VALUES ({', '.join('?' * 18)})", row)
        values = [
            ("p", "b_stage2.png", json.dumps(["a_stage1.png"]), None, "log.csv", 2),
            ("p", "b.png", json.dumps(["b.png"]), None, "log.csv", 3),
            ("p", names[2], json.dumps(names[:2]), None, "log.csv", 4),
        ]
        connection.executemany("INSERT INTO legacy_selections VALUES (?, ?, ?, ?, ?, ?)", values)
        crops = [("p", "c.png", "[0.1, 0.0, 0.9, 0.8]", 100, 200, None, None, "log.csv", 5)]
        crops.append(("p", "d.png", None, None, None, None, None, "log.csv", 6))
        connection.executemany("INSERT INTO legacy_crops VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", crops)
    picks, cropped = read_examples(learned, "picks"), read_examples(learned, "crops")
    assert picks.left_out["excluded: vectors"] == 1, "names that no vector is known of"
    assert picks.left_out["unsound row: imported picks"] == 1
    assert {frozenset(p.candidates.filenames) for p in picks.picks[60:]} == {
        frozenset(["a_stage1.png", "b_stage2.png"]),
        frozenset(names),
    }
    one = picks.picks[60].candidates
    assert (one.filenames, one.hashes) == (("a_stage1.png", "b_stage2.png"), (None, None))
    assert cropped.crops[-1].filename == "c.png" and cropped.crops[-1].sha256 is None
    assert cropped.left_out["imported: no box, or no size"] == 1


def test_two_projects_are_never_mixed(learned: Project) -> None:
    ids = list(decisions(learned))
    others = json.loads(decisions(learned)[ids[1]]["images"])
    change(learned, "UPDATE ai_decisions SET images = ? WHERE group_id = ?", json.dumps(others), ids[0])
    with pytest.raises(ConflictError, match="has the images of another group"):
        read_examples(learned, "picks")


def test_a_row_of_another_project_is_refused(learned: Project) -> None:
    one = next(iter(decisions(learned)))
    change(learned, f"UPDATE ai_decisions SET project_id = 'q' WHERE group_id = '{one}'")
    with pytest.raises(ConflictError, match="not sound: project"):
        read_examples(learned, "picks")
    with closing(connect_legacy(legacy_path(learned.workspace, "p"))) as connection:
        values = ("q", "b.png", '["a.png"]', None, "log.csv", 2)
        connection.execute("INSERT INTO legacy_selections VALUES (?, ?, ?, ?, ?, ?)", values)
    change(learned, f"UPDATE ai_decisions SET project_id = 'p' WHERE group_id = '{one}'")
    with pytest.raises(ConflictError, match="not sound: project"):
        read_examples(learned, "picks")


def test_the_last_assertion_holds_whatever_was_read(learned: Project) -> None:
    pick = read_examples(learned, "picks").picks[0]
    foreign = Pick(replace(pick.candidates, project_id="q"), pick.chosen, None, False, "")
    with pytest.raises(AssertionError, match="a row of project 'q'"):
        splits.require_one_project([pick, foreign], ["p"])
    with pytest.raises(AssertionError, match="is both of p and of q"):
        splits.require_one_project([pick, foreign], ["p", "q"])


def test_a_frozen_set_is_what_it_was(learned: Project) -> None:
    made = training_sets.collect(learned.workspace, "ranker", ["p"])
    path = training_sets.freeze(learned.workspace, made)
    again = training_sets.load(learned.workspace, "ranker", made.hash)
    assert (again.examples, again.hash, again.rows) == (made.examples, made.hash, {"p": 60})
    crops = training_sets.collect(learned.workspace, "crop_proposer", ["p"])
    training_sets.freeze(learned.workspace, crops)
    assert training_sets.load(learned.workspace, "crop_proposer", crops.hash).examples == crops.examples
    assert training_sets.collect(learned.workspace, "ranker", ["p"]).hash == made.hash
    path.write_text(path.read_text().replace('"chosen": 2', '"chosen": 0', 1))
    with pytest.raises(StoreError, match="changed after it was frozen"):
        training_sets.load(learned.workspace, "ranker", made.hash)
    assert len(list(learned.workspace.summaries.glob("ai_training_inspection_*.json"))) == 3


def test_candidates_and_picks_refuse_what_cannot_be() -> None:
    with pytest.raises(ValueError, match="has 1 images"):
        Candidates("p", "g", ("a",), (None,), (None,))
    with pytest.raises(ValueError, match="different lengths"):
        Candidates("p", "g", ("a", "b"), (None,), (None, None))
    with pytest.raises(ValueError, match="names one image twice"):
        Candidates("p", "g", ("a", "a"), (None, None), (None, None))
    group = Candidates("p", "g", ("a", "b"), (None, None), (1.0, None))
    assert Pick(group, 0, None, False, "").anomaly is None
    with pytest.raises(ValueError, match="index 2 lies outside"):
        Pick(group, 2, None, False, "")
