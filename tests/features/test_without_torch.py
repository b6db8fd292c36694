"""The base works where PyTorch, OpenCLIP and Ray cannot be imported; what needs them says so in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from support.learning import make_learned

# Runs commands in one process that cannot import the extras' packages; prints [exit code, stdout, stderr] of each.
PROGRAM = """
import contextlib, io, json, sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "open_clip", "ray"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from pickroom.cli import main

found = []
for command in json.loads(sys.stdin.read()):
    sys.argv = ["pickroom", *command]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main()
        except SystemExit as end:
            code = end.code
    found.append([code or 0, out.getvalue(), err.getvalue()])
print(json.dumps(found))
"""


def run(*commands: list[str]) -> list[tuple[int, str, str]]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM], input=json.dumps(commands), capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stderr
    return [tuple(one) for one in json.loads(ran.stdout.splitlines()[-1])]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Project `p`: 30 groups decided and 4 that wait, with vectors."""
    return make_learned(tmp_path_factory.mktemp("base"), "p", 34, 30).workspace.root


def test_base_commands_run_without_torch(home: Path, tmp_path: Path) -> None:
    at = ["--home", str(home)]
    commands = [
        ["status", "p", *at],
        ["groups", "p", *at],
        ["groups", "p", "--by", "similarity", *at],
        ["train", "ranker", "p", *at],
        ["train", "crop_proposer", "p", *at],
        ["recommend", "p", *at],
        ["evaluate", "p", *at],
        ["check", "p", *at],
        ["sql", "SELECT count(*) FROM decisions", *at],
        ["export", "p", "--parquet", str(tmp_path / "tables"), *at],
        ["duplicates", "p", *at],
        ["embed", "p", "--encoder", "bundled", "--change-encoder", *at],
    ]
    for command, (code, _, err) in zip(commands, run(*commands), strict=True):
        assert code == 0, (command, err)


def test_what_needs_an_extra_names_the_install_command(home: Path) -> None:
    at = ["--home", str(home)]
    found = run(
        ["embed", "p", "--encoder", "openclip", "--change-encoder", *at],
        ["embed", "p", "--encoder", "bundled", "--change-encoder", "--engine", "ray", *at],
    )
    needs = ("loading OpenCLIP", "embedding through Ray")
    for (code, _, err), doing, extra in zip(found, needs, ("learn", "ray"), strict=True):
        last = err.strip().splitlines()[-1]
        assert code == 2 and f"while {doing}" in last and f"pip install 'pickroom[{extra}]'" in last, err
