"""A backup and a restore, killed before every single thing they do to a file: never half of one, and again is whole."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.maintenance.backup import reading, restoring, writing
from pickroom.store.snapshot import problem_with
from pickroom.store.workspace import Workspace
from support.backing_up import used_project
from support.crashing import Way, run
from support.reviewing import exit_code_of, in_child

pytestmark = pytest.mark.slow


def small_home(folder: Path, project_id: str) -> Path:
    """A manifest, a database and a model: every kind of file once, since each costs many steps."""
    workspace = used_project(folder, project_id).workspace
    few = {workspace.manifests / f"{project_id}.json", workspace.decisions / f"{project_id}.db"}
    few |= {workspace.models / "ranker_v1.pt"}
    for path in workspace.root.rglob("*"):
        if path.is_file() and path not in few:
            path.unlink()
    return workspace.root


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_home(tmp_path_factory.mktemp("saved"), "p")


@pytest.fixture(scope="module")
def saved(home: Path) -> Path:
    return writing.write(Workspace(home), home.parent / "saved.zip").file


def back_up_to(file: Path) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        writing.write(Workspace(home), file)

    return act


def restore_from(file: Path, *, replace: bool) -> Callable[[Path], None]:
    def act(home: Path) -> None:
        restoring.restore(Workspace(home), file, replace=replace)

    return act


@pytest.mark.parametrize("way", [Way(), Way(link=True)], ids=["rename", "link and unlink"])
def test_killed_backup_leaves_nothing_that_looks_like_one(home: Path, tmp_path: Path, way: Way) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    act = back_up_to(folder / "saved.zip")
    count = in_child(run, way, act, home)
    assert count > 5
    whole = reading.check(folder / "saved.zip")
    outcomes = set()
    for kill_at in range(1, count + 1):
        shutil.rmtree(folder)
        folder.mkdir()
        assert exit_code_of(run, way, act, home, kill_at) == -signal.SIGKILL
        seen = [path.name for path in folder.iterdir() if not path.name.startswith(".")]
        assert seen in ([], ["saved.zip"])
        if seen:
            assert [one.name for one in reading.check(folder / "saved.zip").files] == [one.name for one in whole.files]
        outcomes.add(bool(seen))
    assert outcomes == {False, True}
    # what one leaves goes with the next into that folder
    shutil.rmtree(folder)
    folder.mkdir()
    assert exit_code_of(run, way, act, home, count // 2) == -signal.SIGKILL
    assert [path.name for path in folder.iterdir()] != []
    back_up_to(folder / "again.zip")(home)
    assert [path.name for path in folder.iterdir()] == ["again.zip"]


@pytest.mark.parametrize(
    ("replace", "way"),
    [(False, Way(link=True)), (True, Way())],
    ids=["an empty place, link and unlink", "in place of another, rename"],
)
def test_killed_restore_shows_no_half_project_and_next_completes(
    home: Path, saved: Path, tmp_path: Path, replace: bool, way: Way
) -> None:
    template, place = tmp_path / "template", tmp_path / "place"
    template.mkdir()
    if replace:
        shutil.copytree(small_home(tmp_path / "another", "other"), template, dirs_exist_ok=True)
    theirs = {sha for name, sha in read_tree(template).items() if not name.endswith(".lock")}  # a note of who holds it
    act = restore_from(saved, replace=replace)
    shutil.copytree(template, place)
    count = in_child(run, way, act, place)
    assert count > 20
    whole = restored_in(place)
    for kill_at in range(1, count + 1):
        shutil.rmtree(place)
        shutil.copytree(template, place)
        assert exit_code_of(run, way, act, place, kill_at) == -signal.SIGKILL
        found = Workspace(place)
        for project in found.projects():
            assert problem_with(project.database) is None, f"killed at {kill_at} of {count}"
        assert theirs <= set(read_tree(place).values()), f"lost at step {kill_at} of {count}"
        act(place)
        assert restored_in(place) == whole
        assert theirs <= set(read_tree(place).values())


def restored_in(place: Path) -> dict[str, str]:
    """What lies in the workspace but for what was set aside, by name, and the locks."""
    tree = read_tree(place)
    return {n: sha for n, sha in tree.items() if "before-restore-" not in n and not n.endswith(".lock")}
