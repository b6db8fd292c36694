"""The two files of JSON lines: what is written is read again, and what is damaged is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import write_image
from pickroom.automation.decisions_file import (
    ApprovedDecision,
    AutomationDecision,
    read_approved,
    read_decisions,
    source_of,
    write_lines,
)
from pickroom.core.errors import UsageError
from pickroom.core.records import CropBox
from pickroom.groups import baseline
from support.automating import NOW, person

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters="/\\"), min_size=1).filter(
    lambda name: bool(name.strip()) and name not in (".", "..")
)
SHARES = st.none() | st.floats(0, 1)
BOXES = st.none() | st.just(CropBox(0.1, 0, 0.9, 1))


@st.composite
def proposals(draw: st.DrawFn) -> AutomationDecision:
    names = tuple(draw(st.lists(NAMES, min_size=2, max_size=4, unique=True)))
    chosen = draw(st.none() | st.sampled_from(names))
    return AutomationDecision(
        group_id=draw(NAMES),
        project_id="p",
        directory=draw(st.sampled_from(("", "anna", "anna/märz 2025"))),
        images=names,
        chosen=chosen,
        confidence=draw(SHARES),
        reason=draw(st.text()),
        anomaly_flags=tuple(draw(st.lists(st.text(), max_size=2))),
        needs_crop=draw(st.none() | st.booleans()),
        crop=draw(BOXES) if chosen else None,
        crop_confidence=draw(SHARES),
        crop_reason=draw(st.text()),
        auto_approve=chosen is not None and draw(st.booleans()),
        models=draw(st.dictionaries(st.text(), st.text(), max_size=2)),
    )


@given(proposals())
def test_a_proposal_is_read_as_it_was_written(proposal: AutomationDecision) -> None:
    assert AutomationDecision.from_json(proposal.to_json()) == proposal


@given(st.sampled_from(("approved", "overridden")), NAMES, BOXES)
def test_an_approved_line_is_read_as_it_was_written(action: str, choice: str, box: CropBox | None) -> None:
    line = person("g", action, choice, needs_crop=box is not None, crop=box)
    assert ApprovedDecision.from_json(line.to_json()) == line


def test_a_line_has_the_fields_that_others_rely_on() -> None:
    proposal = AutomationDecision(
        "g", "p", "anna", ("a.png", "b.png"), "b.png", 0.9, crop=CropBox(0, 0, 0.5, 0.5), needs_crop=True
    )
    values = json.loads(proposal.to_json())
    assert list(values) == [
        "group_id",
        "project_id",
        "directory",
        "images",
        "step1_selection",
        "step2_crop",
        "auto_approve",
        "models",
    ]
    assert list(values["step1_selection"]) == ["chosen", "index", "confidence", "reason", "anomaly_flags"]
    assert list(values["step2_crop"]) == ["needs_crop", "crop_coords", "confidence", "reason"]
    assert values["step1_selection"]["index"] == 1
    fields = ["group_id", "action", "final_choice", "needs_crop", "crop_coords", "by", "timestamp"]
    assert list(json.loads(person("g", "rejected").to_json())) == fields


def test_names_decide_whatever_the_index_says() -> None:
    values = json.loads(AutomationDecision("g", "p", "", ("a.png", "b.png"), "b.png").to_json())
    values["step1_selection"]["index"] = 0
    assert AutomationDecision.from_json(json.dumps(values)).recommendation(("b.png", "a.png")).selected_index == 0


GOOD = AutomationDecision("g", "p", "anna", ("a.png", "b.png"), "b.png", 0.9)
DAMAGE: dict[str, dict[str, Any]] = {
    "chosen 'c.png' is none of the group's images": {"step1_selection": {"chosen": "c.png", "anomaly_flags": []}},
    "Expected 'object', got 'null'": {"step1_selection": None},
    "images is not a list of 2 to 4 file names: ['a.png']": {"images": ["a.png"]},
    "2 to 4 file names: ['../a.png'": {"images": ["../a.png", "b.png"]},
    "images holds a name twice": {"images": ["b.png", "b.png"]},
    "leads out of the project's folder": {"directory": "anna/../../elsewhere"},
    "directory '/etc' leads out": {"directory": "/etc"},
    "in field 'group_id'": {"group_id": ""},
    "Expected 'bool', got 'str' in field 'auto_approve'": {"auto_approve": "true"},
    "Expected 'float' <= 1.0 in field 'confidence'": {
        "step1_selection": {"chosen": "b.png", "confidence": 1.5, "anomaly_flags": []}
    },
    "must satisfy 0 <= x1": {"step2_crop": {"crop_coords": [0.5, 0, 0.2, 1]}},
    "in field 'models[...]'": {"models": {"ranker": 3}},
}


@pytest.mark.parametrize(("words", "change"), [(words, change) for words, change in DAMAGE.items()], ids=list(DAMAGE))
def test_a_damaged_line_is_refused_in_one_line_that_says_where(tmp_path: Path, words: str, change: dict) -> None:
    path = tmp_path / "automation_decisions.jsonl"
    path.write_text(
        GOOD.to_json() + "\n" + json.dumps({**json.loads(GOOD.to_json()), "group_id": "h", **change}) + "\n"
    )
    with pytest.raises(UsageError) as refused:
        read_decisions(path)
    assert words in refused.value.line and "line 2" in refused.value.line and str(path) in refused.value.line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "it is not JSON"),
        ("[]", "Expected 'object', got 'array'"),
        ("[" * 5000, ""),
        (GOOD.to_json().replace('"p"', '"p", "project_id": "q"'), "an object has a key twice"),
        (GOOD.to_json().replace("0.9", "NaN"), "NaN is not a number"),
        (GOOD.to_json().replace("0.9", "1e999"), "Expected 'float' <= 1.0 in field 'confidence'"),
        (GOOD.to_json().replace("0.9", "9" * 400), "out of range"),
    ],
    ids=["cut off", "a list", "nested without end", "a field twice", "NaN", "infinite", "a huge number"],
)
def test_what_is_no_json_object_is_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "automation_decisions.jsonl"
    path.write_text(text + "\n")
    with pytest.raises(UsageError, match="line 1") as refused:
        read_decisions(path)
    assert words in refused.value.line


def test_a_group_that_stands_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "approved_decisions.jsonl"
    write_lines(path, [person("g", "rejected"), person("h", "rejected"), person("g", "approved", "a.png")])
    with pytest.raises(UsageError, match="line 3: group g stands in line 1 already"):
        read_approved(path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"action": "perhaps"}, "Invalid enum value 'perhaps' in field 'action'"),
        ({"by": "somebody"}, "Invalid enum value 'somebody' in field 'by'"),
        ({"final_choice": None}, "approved without a final_choice"),
        ({"final_choice": "../a.png"}, "is not a file name"),
        ({"crop_coords": [0, 0, 1, 1]}, "although needs_crop is not true"),
        ({"action": "rejected", "needs_crop": True}, "without an image that was picked"),
        ({"timestamp": "yesterday"}, "Invalid isoformat string: 'yesterday'"),
        ({"needs_crop": 1}, "Expected 'bool', got 'int' in field 'needs_crop'"),
    ],
)
def test_an_approved_line_that_contradicts_itself_is_refused(tmp_path: Path, change: dict, words: str) -> None:
    path = tmp_path / "approved_decisions.jsonl"
    path.write_text(json.dumps({**json.loads(person("g", "approved", "a.png").to_json()), **change}))
    with pytest.raises(UsageError) as refused:
        read_approved(path)
    assert words in refused.value.line


def test_files_that_are_none(tmp_path: Path) -> None:
    assert read_approved(tmp_path / "approved_decisions.jsonl") == {}
    with pytest.raises(UsageError, match="no such file"):
        read_decisions(tmp_path / "automation_decisions.jsonl")
    picture = write_image(tmp_path / "picture.png")
    with pytest.raises(UsageError, match="cannot be read"):
        read_decisions(picture)
    link = tmp_path / "link.jsonl"
    link.symlink_to(picture)
    with pytest.raises(UsageError, match="not a plain file"):
        read_approved(link)


def test_an_empty_line_and_a_mark_at_the_start_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "approved_decisions.jsonl"
    path.write_text("\ufeff" + person("g", "rejected").to_json() + "\r\n\n")
    assert read_approved(path) == {"g": ApprovedDecision("g", "rejected", None, False, None, "person", NOW)}


def test_who_made_a_recommendation_is_known_by_its_versions() -> None:
    assert source_of({"ranker": "v3"}) == "model"
    assert source_of({"ranker": "simulated"}) == "simulated"
    assert source_of(baseline.VERSIONS) == "baseline"
