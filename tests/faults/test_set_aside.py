"""A database that goes from under an open window: no key is shown as saved that is not in the project's database.

Pickroom itself moves none away that anybody has open; a person may, by hand.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from faults.test_two_windows import Open, Window, _serve
from pickroom.core.errors import LockedError
from pickroom.files.batch import undo_batch
from pickroom.indexing import projects
from pickroom.maintenance.backup import restoring, writing
from pickroom.sessions.crop.session import CropSession
from pickroom.sessions.marking.session import BrowseSession
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.boards import with_results
from support.reviewing import FINALISE, child, review, rows, whole_tree

MakeProject = Callable[..., Project]
CHOICES = "SELECT group_id, action, selected_index FROM review_state WHERE action <> 'undecided'"


@contextmanager
def window(opening: Open, project: Project) -> Iterator[Window]:
    """A process that has a session open until the end of the block."""
    with child(_serve, opening, project) as pipe:
        one = Window(pipe)
        one.press()  # it is open
        yield one


def chosen(project: Project) -> dict[str, tuple[str, int | None]]:
    """The choices in the database at the project's path, as a window has them."""
    return {row["group_id"]: (row["action"], row["selected_index"]) for row in rows(project, CHOICES)}


def saved_in(database: Path) -> list[list[tuple]]:
    """What a key may save, in any database."""
    queries = [CHOICES, "SELECT * FROM image_marks", "SELECT * FROM crops", "SELECT * FROM file_operations"]
    with closing(sqlite3.connect(database)) as connection:
        return [connection.execute(query).fetchall() for query in queries]


def to_review(make_project: MakeProject, tmp_path: Path) -> Project:
    return make_project([(1, 2)] * 3)


def to_browse(make_project: MakeProject, tmp_path: Path) -> Project:
    return with_results(tmp_path, 3)


def to_crop(make_project: MakeProject, tmp_path: Path) -> Project:
    project = make_project([(1, 2)] * 2)
    review(project, "q", "q", *FINALISE)
    return project


# what is open, the project that it is open on, and keys that save something
WINDOWS = [
    pytest.param(ReviewSession, to_review, ("x",), id="review"),
    pytest.param(lambda project: BrowseSession(project, ["selected"]), to_browse, ("Home", "c"), id="browse"),
    pytest.param(CropSession, to_crop, ("[", "Enter"), id="crop"),
]


def test_a_restore_waits_for_no_window_and_costs_it_no_key(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 3)
    saved = writing.write(project.workspace, tmp_path / "saved.zip").file
    with window(ReviewSession, project) as deck:
        deck.press("1")
        before = whole_tree(project.workspace.root)
        with pytest.raises(LockedError) as refused:
            restoring.restore(project.workspace, saved, replace=True)
        assert "another process has this database open" in refused.value.line
        assert str(project.database) in refused.value.line and "try again" in refused.value.line
        after = whole_tree(project.workspace.root)
        assert {path: sha for path, sha in after.items() if not path.endswith(".lock")} == {
            path: sha for path, sha in before.items() if not path.endswith(".lock")
        }
        told, has = deck.press("x")
        assert has == chosen(project) and len(has) == 2, told
    done = restoring.restore(project.workspace, saved, replace=True)
    assert chosen(project) == {} and done.aside is not None
    aside = done.aside / project.database.relative_to(project.workspace.root)
    with closing(sqlite3.connect(aside)) as connection:
        assert len(connection.execute(CHOICES).fetchall()) == 2  # both keys, where the command says


@pytest.mark.parametrize("way", ["replaced", "removed"])
@pytest.mark.parametrize(("opening", "build", "keys"), WINDOWS)
def test_window_reports_lost_database_and_shows_no_key_as_saved(
    make_project: MakeProject, tmp_path: Path, opening: Open, build: Callable[..., Project], keys: tuple[str], way: str
) -> None:
    project = build(make_project, tmp_path)
    files = [project.database.with_name(f"p.db{end}") for end in ("", "-wal", "-shm")]
    other = tmp_path / "other.db"
    shutil.copy(project.database, other)
    before = saved_in(project.database)
    with window(opening, project) as one:
        _, had = one.press()
        for path in files:
            if path.exists():
                path.rename(tmp_path / f"aside{path.name}")
        if way == "replaced":
            shutil.copy(other, project.database)
        images = whole_tree(project.root)
        for _ in range(2):  # it is as true the second time
            told, has = one.press(*keys)
            what = "was replaced after it was opened here" if way == "replaced" else "is gone"
            assert f"this database {what}" in told and str(project.database) in told, told
            assert "open the project again" in told and "\n" not in told
            assert has == had
        assert whole_tree(project.root) == images
        assert project.database.exists() == (way == "replaced")  # nor is an empty one made
        assert saved_in(tmp_path / "asidep.db") == before
        assert way == "removed" or saved_in(project.database) == before


def test_relocate_is_refused_while_a_window_has_project_open(make_project: MakeProject, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 2)
    copy = tmp_path / "moved"
    shutil.copytree(project.root, copy)
    with window(ReviewSession, project) as deck:
        with pytest.raises(LockedError, match="another process has this database open"):
            projects.relocate(project.workspace, "p", copy)
        assert project.workspace.project("p").root == project.root
        assert deck.press("1")[1] == chosen(project) != {}
    assert projects.relocate(project.workspace, "p", copy).root == copy


def test_an_undo_under_an_open_window_costs_it_no_key(make_project: MakeProject) -> None:
    project = make_project([(1, 2)] * 4)
    review(project, "1", "2", *FINALISE)
    with window(ReviewSession, project) as deck:
        deck.press("x")
        with closing(connect(project.database)) as connection:
            undo_batch(project, connection, 1)
        told, has = deck.press("End", "k")
        assert has == chosen(project) and len(has) == 4, told
