"""A reclaim is killed before every single thing it does to a file.

Whatever the moment: what is gone is recorded, nothing goes that was not proved needless, and the next one finishes.
"""

from __future__ import annotations

import os
import shutil
import signal
from pathlib import Path

import pytest

from conftest import read_tree
from maintenance.reclaim.conftest import use_trash
from pickroom.maintenance.reclaim import delete
from pickroom.maintenance.reclaim.delete import execute
from pickroom.maintenance.reclaim.planning import plan
from pickroom.store.workspace import Project, Workspace
from support.analysing import write_vectors
from support.crashing import Steps
from support.reclaiming import finished_project, out_of_the_trash
from support.reviewing import copy_of, exit_code_of, in_child, rows

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One group, its pick cropped, with the vectors of an encoder that was dropped."""
    project = finished_project(Workspace(tmp_path_factory.mktemp("reclaim")), ("q",))
    known = [(r["filename"], r["sha256"]) for r in rows(project, "SELECT * FROM images WHERE sha256 IS NOT NULL")]
    for encoder in ("old", "new"):
        write_vectors(project, encoder, [(name, sha256, [1.0, 0.0]) for name, sha256 in known], 2)
    return project.with_manifest(encoder="new")


class Watched(Steps):
    """The trash's own rename counts too."""

    def __init__(self, kill_at: int | None) -> None:
        super().__init__(kill_at)
        os.rename = self._counted(os.rename)


def reclaim(project: Project, hard: bool, kill_at: int | None = None) -> int:
    planned = plan(project.workspace)
    steps = Watched(kill_at)
    execute(planned, project.workspace, hard=hard)
    steps.next()
    return steps.count


def everything(project: Project) -> dict[str, str]:
    """Every file that may go: the images', and the vectors."""
    vectors = read_tree(project.workspace.embeddings)
    return {**read_tree(project.root), **{f"vectors/{name}": sha256 for name, sha256 in vectors.items()}}


@pytest.mark.parametrize("hard", [False, True], ids=["trash", "hard"])
def test_a_kill_at_any_moment_leaves_nothing_gone_and_unrecorded(
    built: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hard: bool
) -> None:
    place, share = tmp_path / "run", tmp_path / "share"
    use_trash(monkeypatch, share)
    project = copy_of(built, place)
    project = project.with_manifest(root=str(project.root))
    before = everything(project)
    planned = plan(project.workspace)
    needless = {item.path for item in planned.items}
    assert {item.kind for item in planned.items} == {"staged", "originals", "vectors"}
    count = in_child(reclaim, project, hard)
    after = everything(project)
    assert count > 4 * len(needless) and len(after) < len(before)
    # the items in between go as the first one does; the last is the folder of vectors
    for kill_at in (*range(1, 8), *range(count - (12 if hard else 7), count + 1)):
        for folder in (place, share):
            shutil.rmtree(folder, ignore_errors=True)
        project = copy_of(built, place)
        project = project.with_manifest(root=str(project.root))
        assert exit_code_of(reclaim, project, hard, kill_at) == -signal.SIGKILL
        left = everything(project)
        assert set(after) <= set(left), f"what was not proved went at step {kill_at} of {count}"
        recorded = {row["path"] for row in delete.logged(project.workspace)}
        gone = {path for path in needless if not path.exists()}
        roots = (project.root, project.workspace.root)
        places = {p.relative_to(next(r for r in roots if p.is_relative_to(r))).as_posix() for p in gone}
        assert places <= recorded, f"gone and not recorded at step {kill_at} of {count}"
        in_child(reclaim, project, hard)
        assert everything(project) == after
        latest = {row["path"]: row["state"] for row in delete.logged(project.workspace)}
        assert set(latest.values()) == {"done"} and len(latest) == len(needless)
        if not hard:
            out_of_the_trash(share)
            assert everything(project) == before, f"lost in the trash at step {kill_at} of {count}"
