"""What a command says and returns where it had to leave unsound rows out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pickroom.cli.console import say
from pickroom.core.quantities import plural
from pickroom.store.workspace import Project

_SHOWN = 5  # rows that are named; `check` shows more


def name_unsound(project: Project, databases: Sequence[Path] | None = None) -> int:
    """Name the rows that are left out of what a command does with a project; how many there are.

    Args:
        databases: those that the command reads; None is the project's own.
    """
    from pickroom.integrity import unsound_rows

    lines = [line for path in databases or [project.database] for line in unsound_rows(path).lines]
    for line in lines[:_SHOWN]:
        say(f"left out, {line}")
    if lines:
        more = f", {len(lines) - _SHOWN} of them not listed here" if len(lines) > _SHOWN else ""
        rows = plural(len(lines), "unsound row")
        say(f"{project.id}: {rows} left out{more} (see: pickroom check {project.id})")
    return len(lines)
