"""A log that only grows: a line torn by a crash costs itself, and nothing that comes after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pickroom.storage import append_log

ROWS: list[dict[str, Any]] = [{"n": 1, "text": "ä\n\u2028"}, {"n": 2}]


@pytest.mark.parametrize("durable", [False, True])
def test_rows_are_read_back_in_their_order(durable: bool, tmp_path: Path) -> None:
    log = tmp_path / "logs" / "a.jsonl"
    assert list(append_log.read(log)) == []
    append_log.append(log, [], durable=durable)
    assert not log.exists()
    append_log.append(log, ROWS[:1], durable=durable)
    append_log.append(log, ROWS[1:], durable=durable)
    assert list(append_log.read(log)) == ROWS
    assert list(append_log.read(log, holding='"n": 2')) == ROWS[1:]
    assert log.read_bytes().count(b"\n") == 2


def test_a_torn_last_line_is_ended_wherever_it_was_cut(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    append_log.append(log, ROWS)
    whole = log.read_bytes()
    for end in range(len(whole) + 1):
        log.write_bytes(whole[:end])
        kept = list(append_log.read(log))
        assert kept == ROWS[: whole[: end + 1].count(b"\n")]
        append_log.append(log, [{"n": 3}])
        assert list(append_log.read(log)) == [*kept, {"n": 3}]


def test_what_is_no_row_is_passed_over(tmp_path: Path) -> None:
    log = tmp_path / "a.jsonl"
    log.write_bytes(b'\n[1]\n"a"\n{"n"\n\xff\xfe\n' + b'{"p": ' * 9000 + b"\n")
    append_log.append(log, ROWS)
    assert list(append_log.read(log)) == ROWS
