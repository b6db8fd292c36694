"""Killed with half of a file written: the half is nobody's image, what it was made from is whole, and it goes again."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.launcher import Plan
from faults.scenarios import Stage, Way
from pickroom.core.naming import IMAGE_EXTENSIONS
from pickroom.images.scan import walk
from pickroom.storage.atomic import PARTIAL_SUFFIX
from support.reviewing import another_disk, rows, whole_tree

HALF = ": half written"


@pytest.fixture
def other_disk(tmp_path: Path) -> Iterator[Way]:
    with another_disk(tmp_path) as folder:
        yield Way("other disk", disk=folder)


def halves(made: Stage) -> list[str]:
    """The partial files in the project's folder, also where it leads to other disks."""
    return [path for path in whole_tree(made.project.root) if path.endswith(PARTIAL_SUFFIX)]


def test_a_copy_to_another_disk_killed_in_its_midst(staged: Callable[..., Stage], other_disk: Way) -> None:
    made = staged("review", other_disk)
    run = made.run(plan=Plan(kill_at=2, only=f"image moved{HALF}"))
    assert run.code == -signal.SIGXFSZ and run.step == f"image moved{HALF}"
    (half,) = halves(made)
    written = (made.project.root / half).read_bytes()
    planned = rows(made.project, "SELECT source FROM file_operations WHERE state = 'planned'")
    sources = [path.read_bytes() for row in planned if (path := made.project.root / (row["source"] or "-")).is_file()]
    assert [source for source in sources if source[: len(source) // 2] == written != b""]
    assert made.missing() == []
    assert Path(half).name not in {entry.filename for entry in walk(made.project.root, IMAGE_EXTENSIONS)[0]}
    assert made.recover().code == 0
    assert made.census().lines == [] and halves(made) == []


def test_crop_killed_midway_is_made_again_by_next_submit(staged: Callable[..., Stage]) -> None:
    made = staged("crop")
    run = made.run(plan=Plan(kill_at=2, only=f"crop rendered{HALF}"))
    assert run.code == -signal.SIGXFSZ and made.planned() == 0
    assert halves(made) and made.missing() == []
    assert made.run().code == 0  # not `recover`: nobody was told that anything was interrupted
    assert made.census().lines == [] and halves(made) == []
    assert len(rows(made.project, "SELECT * FROM crops")) == 3


def test_half_written_file_is_removed_after_a_killed_recovery(staged: Callable[..., Stage], other_disk: Way) -> None:
    """An undo copies back among the user's own folders: where no later sweep would look."""
    half_undone = Plan(kill_at=3, only=f"image moved{HALF}")
    made = staged("undo review", other_disk)
    assert made.run(plan=half_undone).killed
    (half,) = halves(made)
    assert half.startswith("anna/")
    steps = made.recover().steps
    settled = max(number for number, step in enumerate(steps, start=1) if step == "done: COMMIT")
    assert made.census().lines == []
    made = staged("undo review", other_disk)
    assert made.run(plan=half_undone).killed
    assert made.recover(Plan(kill_at=settled + 1)).killed
    assert made.planned() == 0
    assert made.recover().code == 0
    assert made.census().lines == [] and halves(made) == []
