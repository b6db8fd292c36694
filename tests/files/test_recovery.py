"""The journals of a project: its own, and those of its copies, also in a sandbox named on the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from pickroom.automation import apply, sandbox
from pickroom.automation.generate import generate
from pickroom.automation.sandbox import AutomationTarget
from pickroom.cli.doctor import workspaces
from pickroom.core.errors import ProjectError, StoreError
from pickroom.files import recovery, sidecars
from pickroom.files.batch import recover
from pickroom.indexing import projects
from pickroom.store.connect import connect
from pickroom.store.workspace import Project, Workspace
from support.automating import approve_all, proposed
from support.reviewing import FINALISE, review, rows

Make = Callable[..., Project]


def interrupted(place: AutomationTarget) -> None:
    """As a kill before the last commit leaves a copy: files moved, steps not known to be taken."""
    apply.apply(place)
    with closing(connect(place.project.database)) as connection:
        connection.execute("UPDATE file_operations SET state = 'planned', finished_at = NULL")


def planned(project: Project) -> int:
    return rows(project, "SELECT count(*) AS n FROM file_operations WHERE state = 'planned'")[0]["n"]


def run_recover(project: Project):
    with closing(connect(project.database)) as connection:
        return recover(project, connection)


@pytest.fixture
def elsewhere(make_project: Make, tmp_path: Path) -> AutomationTarget:
    """A copy in a sandbox of its own, an apply in it interrupted."""
    project = make_project([(1, 2)] * 2)
    place = sandbox.prepare(project, tmp_path / "big disk" / "sand")
    generate(place)
    approve_all(proposed(project))
    for name in ("automation_decisions.jsonl", "automation_guarantee.json", "approved_decisions.jsonl"):
        shutil.copy(project.workspace.sandbox / "p" / name, place.folder / name)
    shutil.rmtree(project.workspace.sandbox / "p")
    interrupted(place)
    return place


def test_a_sandbox_elsewhere_is_seen_and_recovered(elsewhere: AutomationTarget) -> None:
    project = elsewhere.origin
    assert [copy.root for copy in recovery.copies(project)] == [elsewhere.folder]
    found = projects.status(project)
    assert found["planned_operations"] == planned(elsewhere.project) > 0
    assert [one["root"] for one in found["unfinished"]] == [str(elsewhere.folder)]
    assert str(elsewhere.folder) in workspaces.project(project.workspace, "p").found
    outcome = run_recover(project)
    assert outcome.done == ["automation-1"] and planned(elsewhere.project) == 0
    assert projects.status(project)["unfinished"] == []


def test_finalise_of_the_project_finishes_its_copy(elsewhere: AutomationTarget) -> None:
    review(elsewhere.origin, "x", *FINALISE)
    assert planned(elsewhere.project) == 0


def test_a_sandbox_of_an_earlier_version_is_listed_when_named(elsewhere: AutomationTarget) -> None:
    project = elsewhere.origin
    (project.workspace.sandbox / "p.sandboxes.json").unlink()
    assert list(recovery.copies(project)) == []
    sandbox.locate(project, elsewhere.folder.parent)
    assert [copy.root for copy in recovery.copies(project)] == [elsewhere.folder]


def test_a_sandbox_in_the_workspace_moves_with_it(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)])
    sandbox.prepare(project, project.workspace.root / "trial")
    listed = json.loads((project.workspace.sandbox / "p.sandboxes.json").read_text())
    assert listed == ["trial"]
    project.workspace.root.rename(tmp_path / "moved")
    moved = Workspace(tmp_path / "moved").project("p")
    assert [copy.root for copy in recovery.copies(moved)] == [tmp_path / "moved" / "trial" / "p"]


def test_a_copy_that_was_removed_is_no_journal(elsewhere: AutomationTarget) -> None:
    shutil.rmtree(elsewhere.folder)
    assert list(recovery.copies(elsewhere.origin)) == []
    assert projects.status(elsewhere.origin)["unfinished"] == []


def test_a_copy_behind_a_link_is_left_alone(elsewhere: AutomationTarget, tmp_path: Path) -> None:
    elsewhere.folder.rename(tmp_path / "there")
    elsewhere.folder.symlink_to(tmp_path / "there")
    assert list(recovery.copies(elsewhere.origin)) == []


def test_a_damaged_copy_is_reported_and_stops_no_finalise(elsewhere: AutomationTarget) -> None:
    elsewhere.project.database.write_bytes(b"nonsense" * 1000)
    (found,) = projects.status(elsewhere.origin)["unfinished"]
    assert "cannot be read" in found["problem"] and found["root"] == str(elsewhere.folder)
    assert list(run_recover(elsewhere.origin).stuck) == [str(elsewhere.folder)]
    assert review(elsewhere.origin, "1", *FINALISE).last_result.counts == {"approve": 1}


def test_a_damaged_list_of_sandboxes_is_reported(make_project: Make) -> None:
    project = make_project([(1, 2)])
    project.workspace.sandbox.mkdir()
    (project.workspace.sandbox / "p.sandboxes.json").write_text("{")
    with pytest.raises(ProjectError, match="the list of sandboxes cannot be read"):
        recovery.remembered(project)
    (found,) = projects.status(project)["unfinished"]
    assert "list of sandboxes" in found["problem"]
    assert review(project, "1", *FINALISE).last_result.counts == {"approve": 1}


@pytest.mark.parametrize("text", [None, "", "no database"])
def test_copy_whose_database_is_lost_is_reported(elsewhere: AutomationTarget, text: str | None) -> None:
    project, database = elsewhere.origin, elsewhere.project.database
    for path in database.parent.glob("p.db*"):
        path.unlink()
    if text is not None:
        database.write_text(text)
    (found,) = projects.status(project)["unfinished"]
    assert found["root"] == str(elsewhere.folder) and "cannot be read" in found["problem"]
    seen = workspaces.project(project.workspace, "p")
    assert (seen.state, str(elsewhere.folder) in seen.found) == ("warn", True)
    assert list(run_recover(project).stuck) == [str(elsewhere.folder)]
    with pytest.raises(StoreError, match="pickroom auto generate p"), closing(connect(database)):
        pass


def test_repair_finishes_the_journal_of_a_copy(elsewhere: AutomationTarget) -> None:
    project = elsewhere.origin
    with closing(connect(project.database)) as connection:
        sidecars.repair(project, connection)
    assert planned(elsewhere.project) == 0
