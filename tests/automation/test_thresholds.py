"""What thresholds would have approved, on blind decisions and past picks; thresholds set by hand; metrics as a file."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.automation import evidence, sandbox
from pickroom.automation.decisions_file import Approval, read_approval
from pickroom.automation.generate import generate
from pickroom.core.records import CropBox, Recommendation
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import start_demo
from pickroom.learn.picks.learner import FIRST_FIT
from pickroom.learn.reading import read_examples
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.reviewing import FINALISE, review
from support.simulated import start_simulated

SHOWN = Recommendation("g", "model", 0, confidence=0.9, versions={"ranker": "v1"})


@pytest.fixture(scope="module")
def decided(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project of thirty groups, all picked, with vectors."""
    home = Workspace(tmp_path_factory.mktemp("thresholds"))
    project = start_simulated(home, DemoConfig(groups=30, seed=2, long_side=96))
    review(project, *(["1", "2"] * 15), *FINALISE)
    assert run("embed", project.id, "--encoder", "bundled", "--no-regions", "--home", str(home.root)) == 0
    return home.project(project.id)


def run(*arguments: str) -> int:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["pickroom", *arguments])
        try:
            cli.main()
        except SystemExit as done:
            return int(done.code or 0)
    return 0


def test_past_picks_are_predicted_from_earlier_ones_only(decided: Project) -> None:
    picks = sorted(read_examples(decided, "picks").picks, key=lambda pick: pick.decided_at)
    found = evidence.predicted_in_time(decided)
    assert len(found) == len(picks) - FIRST_FIT > 0
    assert all(0 < confidence <= 1 for confidence, _ in found)
    last = picks[-1].candidates.group_id
    with closing(connect(decided.database)) as connection, connection:
        chosen = "UPDATE ai_decisions SET user_selected_index = 1 - user_selected_index WHERE group_id = ?"
        connection.execute(chosen, (last,))
    try:
        again = evidence.predicted_in_time(decided)
    finally:
        with closing(connect(decided.database)) as connection, connection:
            connection.execute(chosen, (last,))
    # another last pick changes whether that was right, and nothing that was said
    assert [confidence for confidence, _ in again] == [confidence for confidence, _ in found]
    assert again[:-1] == found[:-1]


def test_counts_add_up_at_every_threshold(decided: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    past = [(sure, wrong) for sure, wrong in ((0.55, True), (0.75, False), (0.97, False))]
    monkeypatch.setattr(evidence, "predicted_in_time", lambda *_: past)
    found = evidence.report(decided, [0.75])
    at = {row.threshold: (row.of, row.approved, row.wrong) for row in found.past}
    assert (at[0.5], at[0.75], at[0.8], at[0.99]) == ((3, 3, 1), (3, 2, 0), (3, 1, 0), (3, 0, 0))
    assert [row.most_wrong for row in found.past if not row.approved] == [1.0, 1.0]
    assert found.blind == ()
    assert found.to_dict()["past"][0]["wrong"] == 1


def test_command_prints_and_gives_one_json_object(decided: Project, capsys: pytest.CaptureFixture[str]) -> None:
    home = ("--home", str(decided.workspace.root))
    assert run("auto", "thresholds", decided.id, "--confidence", "0.42", *home, "--json") == 0
    values = json.loads(capsys.readouterr().out)
    assert values["blind"] == [] and 0.42 in [row["threshold"] for row in values["past"]]
    assert run("auto", "thresholds", decided.id, *home) == 0
    out = capsys.readouterr().out
    assert "blind decisions: 0" in out and "past picks, each predicted from earlier ones" in out


def test_project_without_vectors_says_why_it_has_no_past(tmp_path: Path) -> None:
    project, _ = start_demo(Workspace(tmp_path), DemoConfig(groups=2, seed=2, long_side=96))
    found = evidence.report(project)
    assert found.past == () and any("past picks cannot be predicted" in note for note in found.notes)


def test_threshold_set_by_hand_approves_without_a_guarantee(tmp_path: Path) -> None:
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=8, seed=5, long_side=96))
    place = sandbox.prepare(project)
    assert not any(p.auto_approve for p in generate(place).proposals)
    made = generate(place, confidence=0.5, most_cut=0.4)
    assert any(p.auto_approve for p in made.proposals)
    assert all(p.confidence is not None and p.confidence >= 0.5 for p in made.proposals if p.auto_approve)
    cuts = [1 - p.crop.area for p in made.proposals if p.auto_approve and p.needs_crop and p.crop is not None]
    assert all(cut <= 0.4 for cut in cuts)
    approval = read_approval(place.guarantee)
    assert approval is not None and (approval.by_hand, approval.most_cut) == (True, 0.4)
    assert "set by hand, not guaranteed" in "\n".join(approval.explanation)


@pytest.mark.parametrize(("most_cut", "approved"), [(None, True), (0.5, True), (0.49, False)])
def test_crop_that_cuts_away_more_than_allowed_waits(most_cut: float | None, approved: bool) -> None:
    approval = Approval(0.5, {"ranker": "v1"}, "seed", (), by_hand=True, most_cut=most_cut)
    cropped = replace(SHOWN, crop=CropBox(0, 0, 1, 0.5), crop_needed=True)
    assert approval.approves(cropped) is approved
    assert approval.approves(SHOWN)
    assert approval.approves(replace(cropped, crop=None)) is (most_cut is None)


def test_metrics_are_printed_and_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    project = start_simulated(Workspace(tmp_path), DemoConfig(groups=4, seed=5, long_side=96))
    place = sandbox.prepare(project)
    generate(place)
    assert run("auto", "metrics", project.id, "--home", str(tmp_path)) == 0
    assert "60% approved" in capsys.readouterr().out
    written = json.loads((place.folder / "automation_metrics.json").read_text())
    assert {"60% approved", "80% approved", "90% approved"} <= set(written["gates"])
    assert written["total"]["approval_rate"] is None
