"""Every command in the documentation, in the Makefile's help and in the command line's own examples is one."""

from __future__ import annotations

import re

import pytest

from docs.commands import NoCommand, check, lines_of, options, targets
from docs.pages import ROOT, Page, pages
from pickroom.cli.page import EXAMPLES


@pytest.mark.parametrize("page", pages(), ids=lambda page: page.name)
def test_commands_of_the_page_are_commands(page: Page) -> None:
    for line in (line for block in page.blocks("sh") for line in lines_of(block)):
        for part in re.split(r"\s+(?:&&|\|\|?|;)\s+", line):
            check(part, whole=True)
    for span in page.spans:
        if re.match(r"(\.venv/bin/)?pickroom [a-z]|make [a-z]|(\S*python )?benchmarks/", span):
            assert check(span, whole=False), span


def test_there_are_commands_to_check() -> None:
    blocks = [line for page in pages() for block in page.blocks("sh") for line in lines_of(block)]
    spans = [span for page in pages() for span in page.spans if span.startswith(("pickroom ", "make "))]
    assert len(blocks) > 10
    assert len(spans) > 30


@pytest.mark.parametrize(
    "line",
    [
        "pickroom nonsense",
        "pickroom undo holiday --batch one",
        "pickroom undo holiday",
        "pickroom groups holiday --colour",
        "make nonsense",
        "make test NO_SUCH_ARGS=1",
        ".venv/bin/python benchmarks/none.py",
        "python benchmarks/grid.py --slow",
    ],
)
def test_what_is_no_command_is_found(line: str) -> None:
    with pytest.raises(NoCommand):
        check(line, whole=True)


def test_makefiles_help_names_every_target_and_no_other() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"@echo 'make ([\w-]+)", makefile)) == targets() - {"help"}


def test_every_benchmark_takes_quick() -> None:
    scripts = sorted((ROOT / "benchmarks").glob("[a-z]*.py"))
    assert len(scripts) > 10
    assert [path.name for path in scripts if "--quick" not in options(path)] == []


@pytest.mark.parametrize("command", sorted(EXAMPLES))
def test_example_of_the_command_is_whole(command: str) -> None:
    assert EXAMPLES[command].startswith(command)
    assert check(f"pickroom {EXAMPLES[command]}", whole=True)
