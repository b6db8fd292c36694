"""The truth file: its format, and what is said of a damaged one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from demo.conftest import Demo
from pickroom.core.errors import ProjectError
from pickroom.demo.truth import Truth, read_truth


def test_the_file_holds_one_object_a_group(demo: Demo) -> None:
    lines = [json.loads(line) for line in (demo.home / "demo_truth.jsonl").read_text().splitlines()]
    assert len(lines) == 20
    for line in lines:
        assert list(line) == ["images", "pick", "action", "box"]
        assert (line["box"] is not None) == (line["action"] == "crop")
    assert {line["action"] for line in lines} == {"approve", "crop", "reject"}


def test_it_reads_back_as_it_was(demo: Demo) -> None:
    assert read_truth(demo.home / "demo_truth.jsonl") == demo.truths


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "[]",
        '{"images": ["a", "b"]}',
        '{"images": ["a"], "pick": 0, "action": "approve", "box": null}',
        '{"images": ["a", "b"], "pick": 2, "action": "approve", "box": null}',
        '{"images": ["a", "b"], "pick": true, "action": "approve", "box": null}',
        '{"images": ["a", "b"], "pick": 0, "action": "keep", "box": null}',
        '{"images": ["a", "b"], "pick": 0, "action": "crop", "box": null}',
        '{"images": ["a", "b"], "pick": 0, "action": "approve", "box": [0, 0, 1, 1]}',
        '{"images": ["a", "b"], "pick": 0, "action": "crop", "box": [0, 0, 1, 2]}',
        '{"images": ["a", "b"], "pick": 0, "action": "crop", "box": "no"}',
        '{"images": ["a", 1], "pick": 0, "action": "approve", "box": null}',
    ],
)
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "demo_truth.jsonl"
    path.write_text(Truth(("a", "b"), 1, "approve").to_json() + "\n\n" + line + "\n")
    with pytest.raises(ProjectError, match="line 3: "):
        read_truth(path)


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match="cannot be read"):
        read_truth(tmp_path / "none.jsonl")
