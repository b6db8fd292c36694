"""`pickroom` commands in forked processes: real streams, files and exit codes, without half a second of imports each.

Tests that need the interpreter's own start, such as those of quiet libraries and of kills, begin one themselves.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import typer

from pickroom import cli
from support.reviewing import PATIENCE_S, exit_code_of


@cache
def made_once() -> Any:
    """What Typer makes of the app at every start."""
    return typer.main.get_command(cli.app)


def run_command(*arguments: str, stdin: str = "", patience_s: float = PATIENCE_S) -> subprocess.CompletedProcess[str]:
    """`pickroom ARGUMENTS` with this text on its stdin; what it wrote, and its exit code."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "stdin").write_text(stdin)
        code = exit_code_of(_be_the_command, made_once(), arguments, folder, patience_s=patience_s)
        out, err = ((folder / stream).read_text() for stream in ("stdout", "stderr"))
    return subprocess.CompletedProcess(arguments, code, out, err)


def _be_the_command(commands: Any, arguments: tuple[str, ...], folder: Path) -> None:
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        os.dup2(os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600), number)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    cli.console.messages.file = sys.stderr
    cli.console.app = commands
    sys.argv = ["pickroom", *arguments]
    try:
        cli.main()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
