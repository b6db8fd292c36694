"""The image folder, or one of Pickroom's folders in it, goes away in the midst of a command and comes back.

`make soak` does so at random steps of every command; these are the moments that differ.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from faults.absence import Absence, leave
from faults.scenarios import Stage, Way

Staged = Callable[..., Stage]
CASES = [
    ("review", Absence(1, only="plan: BEGIN")),
    ("review", Absence(2, only="planned: ", hollow=True)),
    ("review", Absence(3, only="image moved: ")),
    ("review", Absence(3, only="image moved: ", back_at=5)),
    ("review", Absence(1, only="sidecar written: ", hollow=True)),
    ("review", Absence(1, only="folders synced: ", hollow=True)),
    ("review", Absence(4, "delete_staging", only="image moved: ")),
    ("crop", Absence(1, only="crop rendered: ")),
    ("crop", Absence(2, only="image moved: ", hollow=True)),
    ("apply", Absence(2, only="image moved: ", hollow=True)),
    ("sort", Absence(2, only="image moved: ")),
    ("undo review", Absence(2, only="image moved: ", hollow=True)),
    ("undo crop", Absence(1, only="sidecar written: ", hollow=True)),
    ("recover review", Absence(2, only="image moved: ")),
    ("review cards", Absence(4, "delete_staging", only="image moved: ")),
    ("review cards", Absence(4, "delete_staging", only="image moved: ", hollow=True)),
    ("undo cards", Absence(2, "selected", only="image moved: ", hollow=True)),
]


@pytest.mark.parametrize(("name", "absence"), CASES)
def test_a_folder_that_goes_and_comes_back_costs_no_file(staged: Staged, name: str, absence: Absence) -> None:
    assert leave(staged(name), absence).problems == []


def test_a_folder_that_goes_during_a_rollback_costs_no_file(staged: Staged) -> None:
    made = staged("review", Way(closed="crop"))
    assert leave(made, Absence(8, only="companion moved: ")).problems == []
