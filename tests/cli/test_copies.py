"""Commands that move files keep a copy of the database, after their result, at most once an hour."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from cli.test_cli import Ran, pickroom, project  # noqa: F401 (fixtures)
from pickroom.store import copies
from pickroom.store.workspace import Project

REVIEW = ("review", "p", "--keys", "-")
KEYS = "1\nShift+Enter\nShift+Enter\n"


MARKED = (
    ("browse", "p", "--marks", "-", "--execute"),
    ("sort", "p", "--assign", "-", "--execute"),
)


@pytest.mark.parametrize("arguments", MARKED, ids=["browse", "sort"])
def test_command_that_moves_files_keeps_a_copy(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
    arguments: tuple[str, ...],
) -> None:
    assert pickroom(*REVIEW, stdin=KEYS).code == 0
    (first,) = copies.newest(project.database)
    first.unlink()
    (picked,) = (project.root / "selected").glob("*.png")
    line = {"filename": picked.name, "directory": "selected", "mark": "staging", "folder": "bea"}
    ran = pickroom(*arguments, stdin=json.dumps(line))
    assert ran.code == 0, ran
    assert len(copies.newest(project.database)) == 1


def test_undo_and_a_second_batch_within_the_hour_keep_none(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
) -> None:
    pickroom(*REVIEW, stdin=KEYS)
    kept = copies.newest(project.database)
    assert pickroom(*REVIEW, stdin=KEYS).code == 0
    assert pickroom("undo", "p", "--batch", "2").code == 0
    assert copies.newest(project.database) == kept


def test_batch_whose_copy_fails_has_succeeded(
    pickroom: Callable[..., Ran],  # noqa: F811 (the fixture)
    project: Project,  # noqa: F811 (the fixture)
) -> None:
    copies.folder_of(project.database).parent.write_text("a file lies here")
    ran = pickroom(*REVIEW, stdin=KEYS)
    assert ran.code == 0
    said = [line for line in ran.err.splitlines() if "no copy of the database" in line]
    assert len(said) == 1 and "all decisions are saved" in said[0]
