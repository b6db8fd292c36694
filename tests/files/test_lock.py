"""One process at a time moves a project's files, and death frees the lock."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
from collections.abc import Callable
from contextlib import closing
from multiprocessing.connection import Connection

import pytest

from pickroom.core.errors import LockedError, StoreError
from pickroom.files.batch import recover, undo_batch
from pickroom.files.preflight import project_lock
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.storage import locking
from pickroom.store.connect import connect
from pickroom.store.workspace import Project
from support.reviewing import FINALISE, child, exit_code_of, hear, places, queue, review, snapshot


def hold(pipe: Connection, project: Project) -> None:
    """Hold the lock until the other end of the pipe closes."""
    with project_lock(project, "testing"):
        pipe.send(os.getpid())
        pipe.poll(None)


def die_holding(project: Project) -> None:
    with project_lock(project, "dying"):
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("code", [errno.ENOTSUP, errno.ENOLCK])
def test_a_disk_without_locks_is_one_clear_line(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    project = make_project([(1, 2)])

    def refused(*_: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(StoreError) as told, project_lock(project, "finalising"):
        raise AssertionError("nothing guards it")
    assert told.value.line == (
        f"the disk of the workspace cannot lock files ({os.strerror(code)}) while finalising: {project.lock_file} "
        "(keep the workspace on a disk of this computer: give its folder with --home)"
    )
    assert not locking.is_held(project.lock_file)


def test_a_second_process_is_refused_and_told_who_is_at_work(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with child(hold, project) as pipe:
        holder = hear(pipe)
        with pytest.raises(LockedError) as refused, project_lock(project, "finalising"):
            pass
    assert refused.value.line == (
        f"process {holder} (testing) is at work on project p while finalising: {project.lock_file}"
        " (wait until it has finished, then try again)"
    )
    with project_lock(project, "finalising"):
        pass


def test_a_second_window_in_the_same_process_is_refused_too(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with project_lock(project, "one"), pytest.raises(LockedError, match=rf"process {os.getpid()} \(one\)"):  # noqa: SIM117
        with project_lock(project, "two"):
            pass


def test_the_lock_is_free_after_an_error(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    with pytest.raises(ZeroDivisionError), project_lock(project, "failing"):
        raise ZeroDivisionError
    with project_lock(project, "again"):
        assert project.lock_file.exists()


def test_a_process_that_is_killed_frees_the_lock(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2)])
    assert exit_code_of(die_holding, project) == -signal.SIGKILL
    assert "dying" in project.lock_file.read_text()  # its name is still written there, but the lock is free
    with project_lock(project, "next"):
        pass


def look_slowly(pipe: Connection, project: Project) -> None:
    """Look whether the lock is held, as the doctor does, and be in the midst of it until told to go on."""
    flock = fcntl.flock

    def slow(descriptor: int, operation: int) -> None:
        flock(descriptor, operation)
        pipe.send("looking")
        hear(pipe)

    fcntl.flock = slow
    pipe.send(locking.is_held(project.lock_file))


def test_one_who_only_looks_makes_no_move_fail(
    make_project: Callable[..., Project], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project([(1, 2)])
    with project_lock(project, "an earlier move"):
        pass
    with child(look_slowly, project) as pipe:
        assert hear(pipe) == "looking"
        waited: list[bool] = []

        def wait(seconds: float) -> None:
            if not waited:
                pipe.send("go on")
                waited.append(hear(pipe))

        monkeypatch.setattr(locking.time, "sleep", wait)
        with project_lock(project, "finalising"):
            assert waited == [False]  # it found nobody at work


def test_two_projects_do_not_wait_for_each_other(make_project: Callable[..., Project], tmp_path) -> None:
    one = make_project([(1, 2)])
    (tmp_path / "other").mkdir()
    other = one.workspace.planned("other", tmp_path / "other")
    with child(hold, one) as pipe:
        hear(pipe)
        with project_lock(other, "finalising"):
            pass


def finalise(project: Project) -> None:
    review(project, *FINALISE)


def undo(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        undo_batch(project, connection, 1)


def recover_it(project: Project) -> None:
    with closing(connect(project.database)) as connection:
        recover(project, connection)


@pytest.mark.parametrize("act", [finalise, undo, recover_it, projects.rescan], ids=lambda act: act.__name__)
def test_commands_that_move_files_change_nothing_without_lock(
    make_project: Callable[..., Project], act: Callable[[Project], None]
) -> None:
    project = make_project([(1, 2), (1, 2)])
    review(project, "1", *FINALISE)
    review(project, "2")
    before = snapshot(project)
    with child(hold, project) as pipe:
        hear(pipe)
        with pytest.raises(LockedError):
            act(project)
        assert snapshot(project) == before


def test_looking_needs_no_lock(make_project: Callable[..., Project]) -> None:
    project = make_project([(1, 2), (1, 2)])
    with child(hold, project) as pipe:
        hear(pipe)
        assert projects.status(project)["waiting"] == 2
        assert review(project, "1", "x").state.decided == 2  # choosing is not moving


def test_refused_finalise_keeps_summary_and_works_once_unlocked(
    make_project: Callable[..., Project],
) -> None:
    project = make_project([(1, 2)])
    group = queue(project)[0]
    with closing(ReviewSession(project)) as session:
        session.press("2")
        session.press("Shift+Enter")
        with child(hold, project) as pipe:
            hear(pipe)
            with pytest.raises(LockedError):
                session.press("Shift+Enter")
        assert session.state.summary
        state = session.press("Shift+Enter")
    assert state.message.startswith("Batch 1: 1 picked · ")
    assert places(project, group) == ("delete_staging", "selected")
