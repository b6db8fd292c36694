"""The append log: one line an image done, torn lines passed over."""

from __future__ import annotations

import json
import threading
from pathlib import Path

from pickroom.indexing.pipeline import ProcessedLine, ProcessedLog


def line(name: str, project: str = "p") -> ProcessedLine:
    return ProcessedLine(project, "e", name, "h", 1, 2, "embedded")


def test_lines_are_read_back_by_project(tmp_path: Path) -> None:
    log = ProcessedLog(tmp_path / "cache" / "processed_images.jsonl")
    assert list(log.read("p")) == []
    log.append([line("a.png"), line("ä\n.png")])
    log.append([line("b.png", "q"), line("p.png", "p2")])
    log.append([])
    assert [found.filename for found in log.read("p")] == ["a.png", "ä\n.png"]
    assert all(json.loads(text)["timestamp"].endswith("Z") for text in log.path.read_text().splitlines())


def test_a_torn_last_line_costs_only_itself(tmp_path: Path) -> None:
    log = ProcessedLog(tmp_path / "log.jsonl")
    log.append([line("a.png"), line("b.png")])
    whole = log.path.read_bytes()
    for cut in range(1, len(whole) - whole.index(b"\n") - 1, 7):
        log.path.write_bytes(whole[:-cut])
        assert [found.filename for found in log.read("p")][:1] == ["a.png"]
        log.append([line("c.png")])
        names = [found.filename for found in log.read("p")]
        assert names[0] == "a.png" and names[-1] == "c.png"


def test_foreign_lines_are_passed_over(tmp_path: Path) -> None:
    log = ProcessedLog(tmp_path / "log.jsonl")
    log.path.write_bytes(b'"p"\n[1, "p"]\n{"project_id": "p"}\n\xff\xfe "p"\n' + b'{"p": ' * 9000 + b"\n")
    log.append([line("a.png")])
    assert [found.filename for found in log.read("p")] == ["a.png"]


def test_many_writers_mix_no_lines(tmp_path: Path) -> None:
    log = ProcessedLog(tmp_path / "log.jsonl")
    writers = [
        threading.Thread(target=lambda n=n: [log.append([line(f"{n}-{i}.png")] * 3) for i in range(50)])
        for n in range(4)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(list(log.read("p"))) == 4 * 50 * 3
