"""Whether a command of the documentation is one: parsed by the real parsers, never run."""

from __future__ import annotations

import ast
import re
import shlex
from functools import cache
from pathlib import Path
from typing import Any

import typer

from docs.pages import ROOT
from pickroom import cli

_PROGRAMS = ("pickroom", ".venv/bin/pickroom", "$(PICKROOM)")
_PLACEHOLDER = re.compile(r"[A-Z][A-Z_]*|\.\.\.|…")


class NoCommand(Exception):
    """Why a line is not a command."""


def lines_of(block: str) -> list[str]:
    """The commands of a shell block: comments and continuations taken out."""
    joined = block.replace("\\\n", " ")
    return [line for line in (re.sub(r"(^|\s)#.*$", "", line).strip() for line in joined.splitlines()) if line]


def check(line: str, *, whole: bool) -> bool:
    """Check one command line of a page; False where it is none of Pickroom's.

    Args:
        whole: it must be complete, as in a block; a span in a sentence may leave arguments out.

    Raises:
        NoCommand: it names a command, an option, a target or a file that is not there.
    """
    words = shlex.split(line)
    choice = next((word for word in words if re.fullmatch(r"[\w-]+(\|[\w-]+)+", word)), None)
    if choice is not None and not whole:  # `auto generate|review`: each of them
        return all(check(line.replace(choice, one, 1), whole=whole) for one in choice.split("|"))
    while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):  # settings in front
        words = words[1:]
    if not words:
        return False
    if words[0] in _PROGRAMS:
        _pickroom(words[1:], whole)
    elif words[0] == "make":
        _make(words[1:])
    elif any(word.startswith("benchmarks/") for word in words[:2]):
        place = next(place for place, word in enumerate(words) if word.startswith("benchmarks/"))
        _benchmark(words[place], words[place + 1 :])
    else:
        return False
    return True


def _pickroom(words: list[str], whole: bool) -> None:
    if not whole:  # `history ORIGINAL FINAL --project P`, `import-csv FILE... [--project P]`
        words = [w.strip("[]") for w in words if w.strip("[].…")]
        words = ["1" if _PLACEHOLDER.fullmatch(word) else word for word in words]
    command: Any = typer.main.get_command(cli.app)
    parent = None
    name: str | None = "pickroom"
    try:
        while True:
            context = command.make_context(name, words, parent=parent)
            if not hasattr(command, "commands"):
                return
            name, inner, words = command.resolve_command(context, [*context._protected_args, *context.args])
            command, parent = inner, context
    except typer.Exit:  # --help, --version, or no arguments: they say something and end
        return
    except Exception as error:
        kind = type(error).__name__
        if not whole and kind in ("MissingParameter", "NoArgsIsHelpError"):
            return
        if not hasattr(error, "format_message"):
            raise
        raise NoCommand(f"pickroom: {error.format_message()}") from error


def _make(words: list[str]) -> None:
    unknown = [word for word in words if not re.fullmatch(r"[A-Z_]+=.*", word) and word not in targets()]
    variables = {word.partition("=")[0] for word in words if "=" in word}
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    unknown += [name for name in variables if f"$({name})" not in makefile]
    if unknown:
        raise NoCommand(f"make: no {', '.join(unknown)} in the Makefile")


@cache
def targets() -> frozenset[str]:
    """The targets that the Makefile says are for people."""
    (phony,) = re.findall(r"^\.PHONY:(.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(phony.split()) - {"FORCE"}


def _benchmark(script: str, words: list[str]) -> None:
    path = ROOT / script
    if not path.is_file():
        raise NoCommand(f"{script} is not there")
    used = {word.partition("=")[0] for word in words if word.startswith("--")}
    unknown = used - options(path) - {"--help"}
    if unknown:
        raise NoCommand(f"{script} has no {', '.join(sorted(unknown))}")


@cache
def options(script: Path) -> frozenset[str]:
    """The options that a benchmark adds to its parser; read, not run: importing one costs seconds."""
    found = set()
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "add_argument":
            found |= {arg.value for arg in node.args if isinstance(arg, ast.Constant)}
    return frozenset(found)
