"""The truth file: its format."""

from __future__ import annotations

import json

from demo.conftest import Demo
from support.simulated import read_truth


def test_the_file_holds_one_object_a_group(demo: Demo) -> None:
    lines = [json.loads(line) for line in (demo.home / "demo_truth.jsonl").read_text().splitlines()]
    assert len(lines) == 20
    for line in lines:
        assert list(line) == ["images", "pick", "action", "box"]
        assert (line["box"] is not None) == (line["action"] == "crop")
    assert {line["action"] for line in lines} == {"approve", "crop", "reject"}


def test_it_reads_back_as_it_was(demo: Demo) -> None:
    assert read_truth(demo.home / "demo_truth.jsonl") == demo.truths
