"""A command that Pickroom suggests reaches the workspace that the user named, in every text that holds one."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pickroom import cli
from pickroom.cli.console import KNOW_HOME, NO_PROJECT
from pickroom.cli.page import ENDS, with_home

PACKAGE = Path(cli.__file__).parents[1]
HOME = "a b/past"
GIVEN = "--home 'a b/past'"
# what a suggested command consists of, no placeholder among it; X stands for a value that the user has
WORDS = r"decisions\.csv|holiday|demo-2|demo|openclip|bundled|similarity|ranker|crop_proposer"
ARGUMENT = re.compile(rf"X|\.|~/\S+|--?[a-z-]+|'.*|{WORDS}")


@pytest.mark.parametrize(
    ("text", "completed"),
    [
        ("Do it: pickroom finish demo --execute", f"Do it: pickroom finish demo --execute {GIVEN}"),
        ("no vectors (make them: pickroom embed demo)", f"no vectors (make them: pickroom embed demo {GIVEN})"),
        ("run `pickroom embed` again, it merges", f"run `pickroom embed {GIVEN}` again, it merges"),
        ("pickroom embed demo; without a network: --encoder x", f"pickroom embed demo {GIVEN}; without a network: "),
        ("pickroom auto undo demo --production", f"pickroom auto undo demo --production {GIVEN}"),
        ("see pickroom lab, then 20.ipynb\npickroom recover p", f"see pickroom lab {GIVEN}, then 20.ipynb\npickroom r"),
        ("Review it: pickroom lab --home elsewhere", "Review it: pickroom lab --home elsewhere"),
        ("as in: pickroom undo holiday; see: pickroom undo --help", f"pickroom undo holiday {GIVEN}; see: pickroom"),
        (
            "pickroom: pickroom's own folder pickroom embedded lib/pickroom status",
            "pickroom's own folder pickroom embed",
        ),
    ],
)
def test_suggested_commands_carry_the_home(text: str, completed: str) -> None:
    said = with_home(text, HOME, KNOW_HOME)
    assert completed in said
    assert with_home(said, HOME, KNOW_HOME) == said, "a line is completed once"
    assert with_home(text, None, KNOW_HOME) == text


def test_commands_without_a_workspace_are_left_alone() -> None:
    assert with_home("see: pickroom status", HOME, ("auto apply",)) == "see: pickroom status"
    assert {"finish", "embed", "train", "auto apply", "status"} <= set(KNOW_HOME)


def test_errors_and_results_name_the_home_but_json_does_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def said(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["pickroom", *arguments])
        with pytest.raises(SystemExit):
            cli.main()
        return capsys.readouterr()

    home = tmp_path / "home"
    _, err = said("status", "demmo", "--home", str(home))
    assert f"pickroom start demmo --images . --home {home})" in err
    assert "no project is named 'demmo', as seen while looking for its manifest: " in err
    out, _ = said("status", "--home", str(home))
    assert f"pickroom open . --home {home}), or try the demo (pickroom demo --home {home})" in out
    out, _ = said("doctor", "--home", str(home), "--json")
    assert "--home " not in out.replace("or give --home", "")
    monkeypatch.setenv("PICKROOM_HOME", str(home))
    out, _ = said("status")
    assert out == f"{NO_PROJECT}\n", "nothing was named, nothing is added"


def texts() -> Iterator[tuple[str, str]]:
    """(where, text) of every string of the package but docstrings and patterns; values in f-strings are X."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "words.py":  # patterns of messages
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        prose = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        prose |= {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if id(node) in prose:
                continue
            where = f"{path.relative_to(PACKAGE)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield where, node.value
            elif isinstance(node, ast.JoinedStr):
                yield where, "".join(str(p.value) if isinstance(p, ast.Constant) else "X" for p in node.values)


def test_suggested_commands_are_whole_and_hold_no_placeholder() -> None:
    names = "|".join(sorted(KNOW_HOME, key=len, reverse=True))
    suggested = re.compile(rf"(?<![\w/.-])pickroom (?:{names})(?![\w-])([^{re.escape(ENDS)}]*)")
    trailing = [
        (where, found[0])
        for where, text in texts()
        for found in suggested.finditer(text)
        if not all(ARGUMENT.fullmatch(word) for word in found[1].split())
    ]
    assert trailing == [], "words after a command: put it in backticks, or end it with one of the marks"
