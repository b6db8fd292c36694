"""Commands and options of version 0.1 work under their old names, with a notice that no JSON has."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import typer

from cli.test_cli import Ran, pickroom, project  # noqa: F401 (fixtures)
from pickroom import cli
from pickroom.cli.page import COMMANDS, OPTIONS, with_new_names
from pickroom.store.workspace import Project

Run = Callable[..., Ran]


@pytest.mark.parametrize(
    ("given", "today", "count"),
    [
        (("reclaim", "--execute", "--hard"), ["reclaim", "--execute", "--permanent"], 1),
        (("groups", "p", "--bits=3"), ["groups", "p", "--hash-distance=3"], 1),
        (("duplicates", "p", "--stage", "--bits", "4"), ["duplicates", "p", "--move", "--hash-distance", "4"], 2),
        (("history", "a", "b"), ["import-folders", "a", "b"], 1),
        (("review", "--", "--unaided"), ["review", "--", "--unaided"], 0),
        (("status", "--hard"), ["status", "--hard"], 0),
        ((), [], 0),
    ],
)
def test_old_names_become_todays(given: tuple[str, ...], today: list[str], count: int) -> None:
    arguments, notices = with_new_names(given)
    assert (arguments, len(notices)) == (today, count)


def test_todays_names_are_real_and_old_ones_are_gone() -> None:
    commands = typer.main.get_command(cli.app).commands  # type: ignore[attr-defined]
    assert set(COMMANDS.values()) <= set(commands) and not set(COMMANDS) & set(commands)
    for command, names in OPTIONS.items():
        options = {option for parameter in commands[command].params for option in parameter.opts}
        assert set(names.values()) <= options and not set(names) & options


def test_notice_is_one_line_and_never_with_json(
    pickroom: Run,  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
) -> None:
    ran = pickroom("duplicates", "p", "--stage")
    assert ran.code == 0
    assert ran.err.count("is now") == 1
    assert "pickroom: --stage is now --move; the old name works in this release only\n" in ran.err
    ran = pickroom("duplicates", "p", "--stage", "--json")
    assert (json.loads(ran.out)["planned"], "is now" in ran.err) == ([], False)
