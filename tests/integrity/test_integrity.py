"""Integrity first: every check finds what it is for, refuses or leaves out as it says, and mends nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pickroom import integrity
from pickroom.core.errors import ConflictError, StoreError
from pickroom.integrity import Inspection, inspect
from pickroom.store.workspace import Project
from support.analysing import MEANT, SERIES, change, crop, decide, earlier_row, write_earlier, write_vectors
from support.reviewing import decisions, rows

Make = Callable[..., Project]


@pytest.fixture
def project(make_project: Make) -> Project:
    made = make_project(SERIES)
    decide(made)
    return made


@pytest.fixture
def embedded(project: Project) -> Project:
    """Every image has a vector, and no crop waits: nothing to find."""
    images = rows(project, "SELECT filename, sha256 FROM images")
    write_vectors(project, "small", [(image["filename"], image["sha256"], [1.0, 0.0]) for image in images], 2)
    (waiting,) = rows(project, "SELECT * FROM incomplete_crops")
    crop(project, "crop_auto", json.loads(waiting["images"])[waiting["user_selected_index"]], MEANT)
    return project


def found(inspection: Inspection) -> dict[str, tuple[str, int]]:
    """Check -> (level, count) of what did not pass."""
    return {finding.check: (finding.level, finding.count) for finding in inspection.findings}


def test_a_sound_project_passes_every_check(embedded: Project) -> None:
    for purpose in ("training", "finishing"):
        inspection = inspect(embedded, purpose=purpose)
        assert found(inspection) == {}
        inspection.require_sound("training")
    assert (inspection.rows, inspection.by_project) == (5, {"p": 5})
    assert inspection.by_action == {"approve": 3, "crop": 1, "reject": 1}
    assert inspection.excluded_ids == frozenset()


@pytest.mark.parametrize(
    ("check", "spoil", "words"),
    [
        ("project", "UPDATE ai_decisions SET project_id = 'other' WHERE {one}", "a row of project 'other'"),
        ("ids", "UPDATE ai_decisions SET project_id = ' ' WHERE {one}", "project_id empty"),
        ("ids", "UPDATE ai_decisions SET group_id = '' WHERE {one}", "group_id empty"),
        ("actions", "UPDATE ai_decisions SET user_action = 'maybe' WHERE {one}", "action 'maybe'"),
        ("sizes", "UPDATE ai_decisions SET image_width = 0 WHERE {one}", "size 0 x 64"),
        ("sizes", "UPDATE ai_decisions SET image_height = 'tall' WHERE {one}", "size 48 x 'tall'"),
        (
            "coordinates",
            "UPDATE ai_decisions SET final_crop_coords = '[0, 0, 2, 1]' WHERE {one}",
            "final_crop_coords: ",
        ),
        ("coordinates", "UPDATE ai_decisions SET ai_crop_coords = '[0.5, 0, 0.5, 1]' WHERE {one}", "ai_crop_coords: "),
        ("coordinates", "UPDATE ai_decisions SET ai_crop_coords = '[1, 2' WHERE {one}", "ai_crop_coords: "),
        (
            "file names",
            """UPDATE ai_decisions SET images = '["a/b.png", "c.png"]' WHERE {one}""",
            "'a/b.png' is not a file name",
        ),
        ("file names", """UPDATE ai_decisions SET images = '["a.png", "a.png"]' WHERE {one}""", "a file name twice"),
        ("file names", """UPDATE ai_decisions SET images = '["a.png"]' WHERE {one}""", "is not a list of 2 to 4 names"),
        ("file names", "UPDATE ai_decisions SET images = 'x' WHERE {one}", "is not a list of 2 to 4 names"),
        ("indexes", "UPDATE ai_decisions SET user_selected_index = 2 WHERE {one}", "user_selected_index 2 of 2 images"),
        ("indexes", "UPDATE ai_decisions SET ai_selected_index = -1 WHERE {one}", "ai_selected_index -1 of 2 images"),
    ],
)
def test_unsound_row_is_named_and_refuses_nothing(embedded: Project, check: str, spoil: str, words: str) -> None:
    one = next(iter(decisions(embedded)))
    change(embedded, spoil.format(one=f"group_id = '{one}'"))
    before = embedded.database.read_bytes()
    for purpose in ("training", "finishing"):
        inspection = inspect(embedded, purpose=purpose)
        (finding,) = [finding for finding in inspection.errors if finding.check == check]
        assert finding.count == 1 and words in finding.examples[0]
        if check == "project":
            with pytest.raises(ConflictError, match=r"not sound: project \(1\)") as refused:
                inspection.require_sound("training")
            assert any(words in item for item in refused.value.items)
        else:
            inspection.require_sound("training")
            (line,) = inspection.unsound.lines
            assert line.startswith(f"{check}: ") and words in line
    assert embedded.database.read_bytes() == before


def test_an_alias_is_no_other_project(embedded: Project) -> None:
    change(embedded, "UPDATE ai_decisions SET project_id = 'old_name'")
    assert found(inspect(embedded)) == {"project": ("error", 5)}
    assert found(inspect(embedded.with_manifest(aliases=("old_name",)))) == {}


def test_waiting_crop_is_left_out_of_training_and_blocks_finish(project: Project) -> None:
    (waiting,) = [row["group_id"] for row in rows(project, "SELECT group_id FROM incomplete_crops")]
    training = next(finding for finding in inspect(project).excluded if finding.check == "waiting crops")
    assert (training.count, training.group_ids) == (1, {waiting})
    assert found(inspect(project, purpose="finishing")) == {"waiting crops": ("error", 1)}


def test_rows_without_vectors_are_excluded_but_never_stop_finish(embedded: Project) -> None:
    other = embedded.with_manifest(encoder="another")
    assert found(inspect(other)) == {"vectors": ("excluded", 5)}
    ids = list(decisions(embedded))
    one, two, three = [json.loads(row["images"])[0] for row in list(decisions(embedded).values())[:3]]
    folder = embedded.workspace.embeddings / "another" / embedded.id
    images = rows(embedded, "SELECT filename, sha256 FROM images")
    vectors = [
        (i["filename"], i["sha256"], None if i["filename"] == two else [1.0]) for i in images if i["filename"] != one
    ]
    stale = [(name, "content before" if name == three else sha256, vector) for name, sha256, vector in vectors]
    write_vectors(embedded, "another", stale, 1)
    (folder / "regions-1.parquet").write_text("not looked at")
    inspection = inspect(other)
    assert found(inspection) == {"vectors": ("excluded", 3)}
    assert inspection.excluded_ids == set(ids[:3])
    assert one in inspection.findings[0].examples[0]
    assert found(inspect(other, purpose="finishing")) == {}
    assert found(inspect(embedded)) == {}  # any encoder will do while none is named


def test_what_the_machine_decided_is_left_out(embedded: Project) -> None:
    change(embedded, "UPDATE decision_context SET input = 'auto' WHERE outcome = 'approve'")
    change(embedded, "UPDATE decision_context SET crop_input = 'apply_ai' WHERE outcome = 'crop'")
    inspection = inspect(embedded)
    assert found(inspection) == {"machine decisions": ("excluded", 3), "machine crops": ("excluded", 1)}
    assert len(inspection.excluded_ids) == 4
    # a person picked what the machine cropped
    assert sorted(inspection.excluded_by("picks").values()) == ["machine decisions"] * 3
    assert sorted(inspection.excluded_by("crops").values()) == ["machine crops"] + ["machine decisions"] * 3


def test_default_crops_are_left_out_with_a_reason(embedded: Project) -> None:
    change(embedded, "UPDATE crops SET box_source = 'default'")
    inspection = inspect(embedded)
    assert found(inspection) == {"default crops": ("excluded", 2)}
    assert "cropped to the default box, which nobody drew" in inspection.findings[0].examples[0]
    assert inspection.excluded_by("picks") == {} and len(inspection.excluded_by("crops")) == 2
    assert found(inspect(embedded, purpose="finishing")) == {}


def test_history_is_reported_and_not_mended(embedded: Project) -> None:
    embedded.database.unlink()
    good = [earlier_row(f"g{n}", "p") for n in range(60)]
    bad = [earlier_row("pixels", "p", final_crop_coords="[10, 20, 300, 400]"), earlier_row("empty", "p", image_width=0)]
    write_earlier(embedded.database, good + bad)
    inspection = inspect(embedded)
    assert found(inspection) == {"sizes": ("error", 1), "coordinates": ("error", 1), "vectors": ("excluded", 62)}
    assert {row["group_id"] for row in inspection.invalid_rows} == {"'pixels'", "'empty'"}
    assert len(inspection.first_rows) == 50
    assert rows(embedded, "SELECT image_width FROM ai_decisions WHERE group_id = 'empty'") == [{"image_width": 0}]


def test_damage_of_the_file_is_an_error(embedded: Project) -> None:
    change(embedded, "PRAGMA foreign_keys = OFF; DELETE FROM groups WHERE sequence = 1")
    (finding,) = inspect(embedded).errors
    assert (finding.check, finding.group_ids, finding.refuses) == ("database", frozenset(), False)
    assert any("belong to nothing" in example for example in finding.examples)


def test_what_cannot_be_read_is_one_clear_line(embedded: Project) -> None:
    folder = embedded.workspace.embeddings / "small" / embedded.id
    next(folder.glob("*.parquet")).write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="while reading vectors"):
        inspect(embedded)
    embedded.database.write_bytes(b"nonsense")
    with pytest.raises(StoreError, match="not a database"):
        inspect(embedded)


def test_the_inspection_report_holds_the_rows_as_they_stand(project: Project) -> None:
    change(project, "UPDATE ai_decisions SET image_width = 'wide' || char(10) WHERE user_action = 'reject'")
    path = integrity.save_report(project.workspace, [inspect(project)])
    assert path.parent == project.workspace.summaries
    assert path.name.startswith("ai_training_inspection_")
    report = json.loads(path.read_text())
    (entry,) = report["projects"]
    assert report["made_at"].endswith("Z")
    assert (entry["rows"], entry["ok"], entry["by_action"]) == (5, False, {"approve": 3, "crop": 1, "reject": 1})
    assert [row["group_id"] for row in entry["first_rows"]] == [repr(group_id) for group_id in decisions(project)]
    assert [row["image_width"] for row in entry["invalid_rows"]] == ["'wide\\n'"]
    findings = {finding["check"]: (finding["level"], finding["count"]) for finding in entry["findings"]}
    assert findings == {"sizes": ("error", 1), "waiting crops": ("excluded", 1), "vectors": ("excluded", 5)}
    assert integrity.save_report(project.workspace, []) != path  # each report is kept


def test_check_command(project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from pickroom import cli

    def run(*arguments: str) -> tuple[int, str, str]:
        home = str(project.workspace.root)
        monkeypatch.setattr("sys.argv", ["pickroom", "check", "p", *arguments, "--home", home])
        try:
            cli.main()
            code = 0
        except SystemExit as done:
            code = int(done.code or 0)
        return code, *capsys.readouterr()

    code, out, _ = run()
    assert code == 0
    assert out.splitlines()[:2] == ["p: 5 decisions, 5 of them left out of training", "  excluded: waiting crops (1)"]
    assert "before it can be finished: waiting crops (1)" in out
    change(project, "UPDATE ai_decisions SET image_width = 0")
    code, out, err = run("--json")
    values = json.loads(out)
    assert (code, values["ok"], values["finishing_ok"], err) == (1, False, False, "")
    assert values["findings"][0]["check"] == "sizes"
    assert Path(values["report"]).is_file()
