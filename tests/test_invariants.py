"""DESIGN.md, Invariants, those that no single module keeps by itself: two libraries on one file, two decks at once."""

from __future__ import annotations

import gc
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pytest
from duckdb_extensions import import_extension
from IPython.core.interactiveshell import InteractiveShell

from conftest import read_tree
from pickroom.core.errors import StoreError
from pickroom.files import moves
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.connect import connect, open_read_only, transaction
from pickroom.store.connections import release_file
from pickroom.store.snapshot import open_as_it_is
from pickroom.store.workspace import Project, Workspace
from support.reviewing import (
    FINALISE,
    child,
    decisions,
    exit_code_of,
    hear,
    in_child,
    is_locked,
    places,
    queue,
    review,
    rows,
)

Make = Callable[..., Project]

# --- 10: one library per file and process ------------------------------------------------------------------------


@contextmanager
def analysis(path: Path, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with a database attached as `p`, as an analysis would: without the network."""
    settings = {
        "extension_directory": str(scratch / "extensions"),
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    with duckdb.connect(config=settings) as connection:
        import_extension("sqlite", con=connection)
        connection.execute("LOAD sqlite")
        connection.execute(f"ATTACH '{path}' AS p (TYPE sqlite, READ_ONLY)")
        yield connection


def count_groups(path: Path, scratch: Path) -> int:
    with analysis(path, scratch) as connection:
        return connection.execute("SELECT count(*) FROM p.groups").fetchone()[0]


def begin_deciding(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.execute("UPDATE groups SET deferrals = 7")


def as_it_is(path: Path) -> AbstractContextManager[sqlite3.Connection]:
    return open_as_it_is(path, 0.1)


def test_analysis_in_the_same_process_is_refused_and_keeps_the_write_lock(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    with closing(connect(project.database)) as connection:
        begin_deciding(connection)
        assert in_child(is_locked, project.database)
        with pytest.raises(StoreError, match="this process has the database open"), as_it_is(project.database):
            pass
        assert in_child(is_locked, project.database)
        connection.execute("COMMIT")
    assert rows(project, "SELECT DISTINCT deferrals FROM groups") == [{"deferrals": 7}]


def test_sql_cells_and_attach_do_not_free_the_lock_of_a_write(make_project: Make, workspace: Workspace) -> None:
    project = make_project([(1, 2)] * 3)
    shell = InteractiveShell()
    shell.run_line_magic("load_ext", "pickroom")
    shell.run_line_magic("sql_home", str(workspace.root))
    with closing(connect(project.database)) as connection:
        begin_deciding(connection)
        for cell in (
            "SELECT max(deferrals) AS d FROM groups",
            f"ATTACH '{project.database}' AS own",
            "SELECT max(deferrals) AS d FROM own.groups",
        ):
            found = shell.run_cell_magic("sql", "answer", cell)
            assert in_child(is_locked, project.database), cell
            assert "d" not in found or list(found["d"]) == [0], cell  # what is not committed is not seen
        connection.execute("COMMIT")
        assert list(shell.run_cell_magic("sql", "", "SELECT max(deferrals) AS d FROM groups")["d"]) == [7]
        assert list(shell.user_ns["answer"]["d"]) == [0]
        # a snapshot is of the moment at which it was attached
        assert list(shell.run_cell_magic("sql", "", "SELECT max(deferrals) AS d FROM own.groups")["d"]) == [0]
        begin_deciding(connection)
        assert in_child(is_locked, project.database)
        connection.execute("ROLLBACK")


def test_attaching_the_file_itself_in_that_state_would_free_it(make_project: Make, tmp_path: Path) -> None:
    """The control: why the snapshot is needed. Should this ever fail, DuckDB has learned to share its file."""
    project = make_project([(1, 2)] * 3)

    def attach_directly(pipe: Connection) -> None:
        with closing(connect(project.database)) as connection:
            begin_deciding(connection)
            pipe.send("writing")
            hear(pipe)
            pipe.send(count_groups(project.database, tmp_path))
            hear(pipe)

    with child(attach_directly) as pipe:
        hear(pipe)
        assert is_locked(project.database)
        pipe.send("look")
        assert hear(pipe) == 3
        assert not is_locked(project.database)  # a second writer is let in next to the first
        pipe.send("end")


def test_analysis_reads_a_database_that_nobody_here_has_open(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 3)
    with as_it_is(project.database) as connection:
        assert connection.execute("SELECT count(*) FROM groups").fetchone() == (3,)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM groups")
    assert count_groups(project.database, tmp_path) == 3
    # a closed connection no longer counts, nor does one that nobody closed but that is gone
    closed, gone = connect(project.database), connect(project.database)
    closed.close()
    del gone
    gc.collect()
    with as_it_is(project.database):
        pass


@pytest.mark.parametrize("opened", [lambda p: closing(connect(p)), open_read_only], ids=["writing", "reading"])
def test_store_connections_count_until_the_last_is_closed(make_project: Make, opened: Callable) -> None:
    project = make_project([(1, 2)])
    other_name = project.database.parent / ".." / project.database.parent.name / project.database.name
    with opened(project.database):
        with opened(project.database):
            pass
        with pytest.raises(StoreError, match="this process has the database open"), as_it_is(other_name):
            pass
    with as_it_is(project.database):
        pass


def test_the_store_does_not_open_a_file_that_is_lent(make_project: Make) -> None:
    project = make_project([(1, 2)])
    with release_file(project.database) as free, release_file(project.database):
        assert free
        for opening in (ReviewSession, queue):
            with pytest.raises(StoreError, match="is at work on the database file itself"):
                opening(project)
    assert len(queue(project)) == 1


def test_another_process_may_write_while_an_analysis_reads(make_project: Make, tmp_path: Path) -> None:
    project = make_project([(1, 2)] * 2)
    with analysis(project.database, tmp_path) as duck:
        assert duck.execute("SELECT count(*) FROM p.ai_decisions").fetchone() == (0,)
        assert exit_code_of(review, project, "1", *FINALISE) == 0
        assert duck.execute("SELECT count(*) FROM p.ai_decisions").fetchone() == (1,)


def test_missing_database_is_one_line_and_is_not_created(tmp_path: Path) -> None:
    missing = tmp_path / "none.db"
    with pytest.raises(StoreError, match="the database does not exist"), as_it_is(missing):
        pass
    assert not missing.exists()


# --- two decks on one project ------------------------------------------------------------------------------------


def press_one_by_one(pipe: Connection, project: Project) -> None:
    """Press each key that comes through the pipe; answer with the group it was pressed on, and what it says."""
    with closing(ReviewSession(project)) as session:
        pipe.send("ready")
        while pipe.poll(None):
            try:
                key = pipe.recv()
            except EOFError:
                return
            card = session.state.card
            state = session.press(key)
            pipe.send((card.group_id if card else "", state.message))


def test_two_decks_on_one_project_lose_no_key(make_project: Make) -> None:
    project = make_project([(1, 2)] * 6)
    ids = [group.group_id for group in queue(project)]
    with child(press_one_by_one, project) as one, child(press_one_by_one, project) as two:
        assert (hear(one), hear(two)) == ("ready", "ready")
        for deck, key in ((two, "End"), (one, "1"), (two, "x"), (one, "q"), (two, "ArrowUp"), (two, "k"), (one, "2")):
            deck.send(key)
            hear(deck)
        with closing(ReviewSession(project)) as third:
            chosen = [third.state.choice(card) for card in third.state.cards]
        assert [(choice.action, choice.index) for choice in chosen] == [
            ("approve", 0),
            ("crop", 0),
            ("approve", 1),
            ("undecided", None),
            ("keep", None),
            ("reject", None),
        ]
        for key in (*FINALISE, *FINALISE):  # the first summary may have to be looked at again
            one.send(key)
            _, message = hear(one)
            if message.startswith("Batch"):
                break
        assert message.startswith("Batch 1: 2 picked, 1 to crop, 1 kept whole, 1 rejected · ")
        two.send("x")
        pressed_on, message = hear(two)
        assert "look, and press again" in message  # its group is gone; the one that came up is not rejected unseen
        assert pressed_on in (ids[4], ids[5])
    assert [group.group_id for group in queue(project)] == [ids[3]]
    assert set(decisions(project)) == {ids[0], ids[1], ids[2], ids[5]}


def test_no_deck_finishes_a_finalise_that_another_is_still_at(make_project: Make) -> None:
    project = make_project([(1, 2)] * 3)
    groups = queue(project)
    review(project, "1", "x", "q")

    def finalise_slowly(pipe: Connection) -> None:
        execute = moves.execute

        def wait_first(*arguments: object, **options: object) -> None:
            pipe.send("about to move")
            hear(pipe)
            execute(*arguments, **options)  # type: ignore[arg-type]

        moves.execute = wait_first
        review(project, *FINALISE)
        pipe.send("done")

    with child(finalise_slowly) as pipe:
        for _ in range(3):  # in the middle of the second group
            assert hear(pipe) == "about to move"
            before = read_tree(project.root)
            with closing(ReviewSession(project)) as other:
                assert "is at work on project p while recovering" in other.state.message
            assert read_tree(project.root) == before
            pipe.send("go on")
        while hear(pipe) != "done":
            pipe.send("go on")
    assert [places(project, group) for group in groups] == [
        ("selected", "delete_staging"),
        ("delete_staging", "delete_staging"),
        ("crop", "delete_staging"),
    ]
    assert {row["state"] for row in rows(project, "SELECT state FROM file_operations")} == {"done"}


def test_a_writer_that_waits_for_another_gets_its_turn(make_project: Make) -> None:
    project = make_project([(1, 2)] * 2)

    def write_until_told(pipe: Connection) -> None:
        with closing(connect(project.database)) as connection, transaction(connection):
            pipe.send("writing")
            hear(pipe)

    with child(write_until_told) as writer, child(press_one_by_one, project) as deck:
        hear(deck)
        hear(writer)
        deck.send("1")
        assert not deck.poll(0.2)  # it waits rather than lose the key
        writer.send("end")
        hear(deck)
    with closing(ReviewSession(project)) as session:
        assert session.state.decided == 1
