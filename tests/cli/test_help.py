"""`pickroom --help` is a page of every command, and every command's own help ends with its example."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest
import typer

from pickroom import cli
from pickroom.cli.page import EXAMPLES, SECTIONS


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that is not hidden, those of groups by their full name."""
    root: Any = typer.main.get_command(cli.app)
    for name, command in root.commands.items():
        if not command.hidden:
            yield name, command
            yield from ((f"{name} {inner}", one) for inner, one in getattr(command, "commands", {}).items())


def said(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[str, str]:
    monkeypatch.setattr(sys, "argv", ["pickroom", *arguments])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        cli.main()
    return capsys.readouterr()


def test_every_command_has_its_line_and_every_line_its_command() -> None:
    assert {name for name, _ in commands()} == set(EXAMPLES), "give it a line, and an example, in cli/page.py"


def test_page_fits_a_terminal_and_names_each_command_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = said(capsys, monkeypatch, "--help")
    lines = out.splitlines()
    assert [line for line in lines if len(line) > 79] == []
    listed = [line.split()[0] for line in lines if line.startswith("  ") and line.split()[0] in EXAMPLES]
    assert listed == [name for section in SECTIONS.values() for name, _, _ in section]
    assert [line for line in lines if line.startswith("Others")] == []


@pytest.mark.parametrize("name", sorted(EXAMPLES))
def test_help_of_each_command_ends_with_its_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = said(capsys, monkeypatch, *name.split(), "--help")
    assert " ".join(out.split()).endswith(f"Example: pickroom {EXAMPLES[name]}")


@pytest.mark.parametrize("group", [(), ("auto",)])
def test_bare_command_prints_the_page_of_its_help(
    group: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    page, _ = said(capsys, monkeypatch, *group, "--help")
    out, err = said(capsys, monkeypatch, *group)
    assert (out, err.rstrip()) == ("", page.rstrip())
    assert err.startswith("Usage: ") and err.count("\n") > 10


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("statsu",), "No such command 'statsu'. Did you mean 'status'"),
        (("undo", "p"), "Missing option '--batch' (as in: pickroom undo holiday --batch 1; see: pickroom undo --help)"),
        (("auto", "apply"), "(as in: pickroom auto apply holiday --execute; see: pickroom auto apply --help)"),
        (("auto", "aply"), "Did you mean 'apply'? (as in: pickroom auto generate holiday; see: pickroom auto --help)"),
        (("status", "--nonsense"), "No such option: --nonsense (as in: pickroom status holiday"),
    ],
)
def test_wrong_use_is_one_line_with_the_next_step(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out, err = said(capsys, monkeypatch, *arguments)
    assert (out, err.count("\n")) == ("", 1)
    assert says in err
