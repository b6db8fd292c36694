"""An apply, and its undo, killed before every single thing they do to a file or to the database.

Whatever the moment: nothing is lost, and once somebody has recovered, the whole apply has happened, or none of it.
"""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from automating import approve_all, images_tree, proposed
from conftest import write_series
from pickroom import projects
from pickroom.automation import apply
from pickroom.automation.sandbox import Place
from pickroom.workspace import Workspace
from reviewing import exit_code_of, in_child, rows, snapshot
from test_crash import Way, recover_it, run


@pytest.fixture(scope="module")
def approved(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two groups approved, one with a crop, and nothing moved yet: a copy in its sandbox."""
    folder = tmp_path_factory.mktemp("approved")
    write_series(folder / "images" / "anna", [(1, 2), (1, 2)])
    place = proposed(projects.start(Workspace(folder / "home"), "p", folder / "images")[0])
    approve_all(place)
    return place


@pytest.fixture(scope="module")
def applied(approved: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The same copy after its apply."""
    place = copy_of(approved, tmp_path_factory.mktemp("applied") / "copy")
    apply.apply(place)
    return place


def copy_of(place: Place, home: Path) -> Place:
    """The workspace with its sandbox in another folder."""
    shutil.copytree(place.origin.workspace.root, home, ignore=shutil.ignore_patterns("thumbnails"))
    folder = home / "sandbox" / "p"
    project = replace(
        place.project,
        workspace=Workspace(folder / ".pickroom"),
        manifest=replace(place.project.manifest, root=str(folder)),
    )
    return replace(place, project=project, origin=replace(place.origin, workspace=Workspace(home)), folder=folder)


def found(place: Place) -> dict[str, Any]:
    seen = snapshot(place.project)
    del seen["choices"]
    crops = rows(place.project, "SELECT batch, filename, group_id, box, input, sha256 FROM crops")
    rest = [{**row, "crop_timestamp": row["crop_timestamp"] is not None} for row in seen["decisions"]]
    return {**seen, "decisions": rest, "tree": images_tree(place.folder), "crops": crops}


def do_it(place: Place) -> None:
    apply.apply(place)


def undo_it(place: Place) -> None:
    apply.undo_last(place)


@pytest.mark.parametrize(("before", "act"), [("approved", do_it), ("applied", undo_it)], ids=["an apply", "an undo"])
@pytest.mark.parametrize("way", [Way(), Way(link=True)], ids=["rename", "link and unlink"])
def test_a_kill_at_any_moment_leaves_all_or_nothing_once_recovered(
    request: pytest.FixtureRequest, tmp_path: Path, before: str, act: Callable[[Place], None], way: Way
) -> None:
    template: Place = request.getfixturevalue(before)
    home = tmp_path / "run"  # always the same, since reasons name it
    # a sidecar is ours, and so is a crop: every other file is the person's
    theirs = set(images_tree(template.origin.root).values())
    place = copy_of(template, home)
    nothing = found(place)
    count = in_child(run, way, act, place)
    everything = found(place)
    assert nothing["journal"] != everything["journal"] and count > 25
    outcomes = set()
    for kill_at in range(1, count + 1):
        shutil.rmtree(home)
        place = copy_of(template, home)
        assert exit_code_of(run, way, act, place, kill_at) == -signal.SIGKILL
        assert theirs <= set(images_tree(place.folder).values()), f"lost at step {kill_at}"
        planned = len(rows(place.project, "SELECT * FROM file_operations")) == len(everything["journal"])
        in_child(run, way, lambda place: recover_it(place.project), place)
        assert found(place) == (everything if planned else nothing), f"killed at step {kill_at} of {count}"
        outcomes.add(planned)
    assert outcomes == {True, False}
