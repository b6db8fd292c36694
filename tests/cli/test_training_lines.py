"""Where nobody watches, a training is a line a phase and about ten of its epochs, not one every few seconds."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pickroom.cli.learn import shown_progress
from pickroom.learn.progress import Status


def test_a_training_without_a_terminal_is_about_ten_lines(capsys: pytest.CaptureFixture[str]) -> None:
    status = Status("ranker", ("p",), 1)
    with shown_progress() as shown:
        shown(replace(status, phase="checking the decisions"))
        for epoch in range(801):
            shown(replace(status, phase="training", done=epoch, of=800, loss=1 / (epoch + 1)))
        for fold in (1, 2, 3):
            for epoch in range(801):
                shown(replace(status, phase=f"measuring its confidence, {fold} of 3", done=epoch, of=800))
        shown(replace(status, phase="evaluating"))
    lines = capsys.readouterr().err.splitlines()
    assert len([line for line in lines if "training" in line]) == 11
    assert len([line for line in lines if "measuring" in line]) == 3
    assert len(lines) == 16
