"""The commands that commands end with: run as they are printed, they work."""

from __future__ import annotations

import io
import json
import shlex
import sys
from pathlib import Path

import pytest

from conftest import write_image
from pickroom import cli

FINALISE = "Shift+Enter\nShift+Enter\n"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `pickroom LINE` in this process; returns the command that its last line ends with, "" without one."""

    def run_line(line: str, stdin: str = "") -> str:
        monkeypatch.setattr(sys, "argv", ["pickroom", *shlex.split(line)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr()
        assert not ended.value.code, said.err
        return said.out.splitlines()[-1].partition("pickroom ")[2]

    return run_line


def test_commands_lead_from_a_folder_to_its_end_as_printed(run, tmp_path: Path) -> None:
    images, home = tmp_path / "my images", tmp_path / "a home"
    for seed, name in enumerate(("one.png", "two.png")):
        write_image(images / name, seed=seed)
    at = f"--home {shlex.quote(str(home))}"
    said = run(f"start p --images {shlex.quote(str(images))} {at}")
    assert said == f"index p {at}"
    assert run(said) == run(f"groups p --by similarity {at}") == run(f"embed p {at}") == f"app p {at}"
    assert run(f"review p --keys - {at}", "q\n" + FINALISE) == ""
    assert (said := run(f"crop p {at}")) == f"app p {at}"
    waiting = next(path.name for path in (images / "crop").iterdir() if path.suffix == ".png")
    box = json.dumps({"filename": waiting, "box": [0.0, 0.0, 0.5, 0.5]})
    assert (said := run(f"crop p --boxes - {at}", box)) == f"finish p {at}"
    assert run(said) == f"finish p --execute {at}"


def test_a_demo_is_made_once_and_opened_again(run, tmp_path: Path) -> None:
    demo = shlex.quote(str(tmp_path / "a demo"))
    said = run(f"demo {demo} --groups 3 --decided 0 --long-side 96 --no-review")
    assert said == f"app demo --home {demo}"
    assert run(f"demo {demo} --no-review") == said
