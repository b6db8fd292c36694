"""Everything else that can go wrong under a command: full disks, closed folders, files that change, locks, torn pages.

Whatever it was: no file of the user is lost or there twice, what could not be done is said with its reason, and once
the fault is gone `pickroom recover` and the same command again bring everything to its end.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from faults.census import Tree, state_of, tree_of
from faults.launcher import Plan, Run
from faults.scenarios import KEYS, Stage
from pickroom.core.naming import is_image_name
from support.reviewing import fill, queue, rows, small_disk

Staged = Callable[..., Stage]
EndsAs = Callable[[str], Tree]
COMMANDS = ("review", "crop", "apply", "sort")
OTHER_COMMANDS = COMMANDS[1:]  # these have a fault once where the review has it in each of its forms
WAL_HEADER, FRAME_HEADER = 32, 24  # bytes; https://sqlite.org/fileformat2.html#the_write_ahead_log


def said_in_one_line(run: Run) -> str:
    """What a command said that was refused: one line for what went wrong, and no traceback."""
    assert "Traceback" not in run.said, run.said
    told = [line for line in run.said.splitlines() if line.startswith("pickroom: ")]
    assert len(told) <= 1, run.said
    return told[0] if told else ""


def comes_to_its_end(made: Stage, ends_as: EndsAs) -> None:
    """The fault is gone: recovered and done again, everything is as if nothing had been the matter."""
    recovered = made.recover()
    assert recovered.code == 0, recovered.said
    assert made.census().lines == []
    again = made.run()  # exit code 1 where some of it had been done already
    assert "Traceback" not in again.said, again.said
    assert made.planned() == 0
    assert made.census().lines == []
    assert tree_of(made.project) == ends_as(made.scenario.name)


# --- a full disk ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS)
def test_full_disk_loses_nothing_and_command_completes_with_room(
    staged: Staged, ends_as: EndsAs, tmp_path: Path, name: str
) -> None:
    with small_disk(tmp_path, "4m") as disk:
        for room in (0, 48 << 10):  # bytes: for nothing; for a commit, and not for all that follows
            made = staged(name, folder=disk / "run")
            filler = fill(disk)
            os.truncate(filler, filler.stat().st_size - room)
            run = made.run()
            if run.code != 0:
                assert said_in_one_line(run) or "full" in run.said or "No space" in run.said, run.said
            made.recover()  # may be refused too, and makes nothing worse
            assert made.missing() == []
            filler.unlink()
            comes_to_its_end(made, ends_as)


# --- folders that are closed ----------------------------------------------------------------------------------

CLOSED = {
    # what is closed to writing: its folder, given the home and the root of the project whose files move
    "where the images are": lambda made: next(
        path.parent for name in made.before if is_image_name(name) and (path := made.project.root / name)
    ),
    "where they go": lambda made: made.project.root / "delete_staging",
    "where the database is": lambda made: made.project.database.parent,
}


@pytest.mark.parametrize(
    ("name", "closed"),
    [("review", closed) for closed in CLOSED] + [(name, "where they go") for name in OTHER_COMMANDS],
)
def test_closed_folder_is_reported_and_command_completes_later(
    staged: Staged, ends_as: EndsAs, name: str, closed: str
) -> None:
    made = staged(name)
    folder = CLOSED[closed](made)
    folder.mkdir(exist_ok=True)
    folder.chmod(0o555)
    run = made.run(plan=Plan(powerless=True))
    assert run.code == 0 or said_in_one_line(run) or "Permission denied" in run.said, run.said
    assert made.missing() == []
    assert made.recover(Plan(powerless=True)).code in (0, 1)
    assert made.missing() == []
    folder.chmod(0o755)
    comes_to_its_end(made, ends_as)


# --- files that change underfoot ------------------------------------------------------------------------------


def _remove(made: Stage, path: Path) -> None:
    path.unlink()


def _edit(made: Stage, path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"edited")


def _take_its_place(made: Stage, path: Path) -> None:
    for row in rows(made.project, "SELECT destination FROM file_operations WHERE state = 'planned' AND op = 'move'"):
        if Path(row["destination"]).name == path.name:
            (made.project.root / row["destination"]).parent.mkdir(exist_ok=True)
            (made.project.root / row["destination"]).write_bytes(b"a stranger")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        *(("review", change) for change in (_remove, _edit, _take_its_place)),
        *zip(OTHER_COMMANDS, (_take_its_place, _remove, _edit), strict=True),
    ],
)
def test_file_changed_during_move_is_named_and_affects_no_other(
    staged: Staged, name: str, change: Callable[[Stage, Path], None]
) -> None:
    """The command stands right after its commit, when one of the images that it is about to move changes."""
    made = staged(name)
    running = made.start(plan=Plan(stop_at=made.scenario.looks, only="planned: "))
    assert running.wait_stopped() and made.planned()
    moved = rows(made.project, "SELECT source FROM file_operations WHERE state = 'planned' AND op = 'move'")
    victim = next(row["source"] for row in reversed(moved) if is_image_name(row["source"]) and row["source"][0] != ".")
    kept = (made.project.root / victim).read_bytes()
    change(made, made.project.root / victim)
    running.go_on()
    running.wait()
    made.recover()
    counted = made.census()
    told = running.said + str(rows(made.project, "SELECT error FROM file_operations"))
    assert "Traceback" not in told
    stem = Path(victim).stem  # the group or image that it belongs to; all others are as they should be
    assert [line for line in counted.lines if stem not in line] == []
    now = tree_of(made.project)
    assert sum(digest == hashlib.sha256(kept).hexdigest() for digest in now.values()) == (change is _take_its_place)
    if change is _edit:
        assert sum(digest == hashlib.sha256(kept + b"edited").hexdigest() for digest in now.values()) == 1
    else:
        assert Path(victim).name in told, "the file that is the matter is named"


# --- a database that another program keeps --------------------------------------------------------------------


@contextmanager
def locked(made: Stage) -> Iterator[None]:
    """Another process, this one, is writing to the project's database and does not end."""
    with closing(sqlite3.connect(made.project.database, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


@pytest.mark.parametrize(("name", "step"), [("review", "plan: BEGIN"), *((name, "done: BEGIN") for name in COMMANDS)])
def test_locked_database_gives_one_line_and_recovers_later(
    staged: Staged, ends_as: EndsAs, name: str, step: str
) -> None:
    made = staged(name)
    running = made.start(plan=Plan(stop_at=1, only=step, busy_s=0.1))
    assert running.wait_stopped()
    with locked(made):
        running.go_on()
        assert running.wait() == 1
        told = said_in_one_line(running)
        assert "database is locked" in told and "try again" in told
    assert (made.planned() > 0) == (step == "done: BEGIN")
    assert made.missing() == []
    comes_to_its_end(made, ends_as)


def test_locked_database_refuses_a_key_and_keeps_earlier_keys(staged: Staged) -> None:
    made = staged("keys")
    running = made.start(plan=Plan(stop_at=3, only="key saved: BEGIN", busy_s=0.1))
    assert running.wait_stopped()
    with locked(made):
        running.go_on()
        assert running.wait() == 1
        assert "database is locked" in said_in_one_line(running)
    assert [row["key"] for row in rows(made.project, "SELECT key FROM review_log")] == ["1", "w"]
    assert made.census().lines == []


# --- a write-ahead log with a torn end ------------------------------------------------------------------------


def _cut(log: bytes, frame: int) -> bytes:
    return log[: len(log) - frame // 2]


def _zeros(log: bytes, frame: int) -> bytes:
    return log[:-frame] + bytes(frame)


def _one_bit(log: bytes, frame: int) -> bytes:
    return log[:-100] + bytes([log[-100] ^ 1]) + log[-99:]


def tear(made: Stage, damage: Callable[[bytes, int], bytes]) -> None:
    """Damage the last page that the database's log holds, as a power cut in the midst of a commit would."""
    log = made.project.database.with_name("p.db-wal")
    content = log.read_bytes()
    frame = FRAME_HEADER + int.from_bytes(content[8:12], "big")
    # a log is written from its beginning again: the frames that count bear the salt of its header
    starts = range(WAL_HEADER, len(content), frame)
    end = max(start for start in starts if content[start + 8 : start + 16] == content[16:24]) + frame
    log.write_bytes(damage(content[:end], frame))


def run_and_keep_the_log(made: Stage) -> None:
    """Run the command to its end, and leave the database as it is on disk while somebody else has it open too."""
    running = made.start(plan=Plan(stop_at=1))
    assert running.wait_stopped()  # what is opened before the fork would be the command's too
    database = made.project.database
    with closing(sqlite3.connect(database)) as other:
        other.execute("SELECT count(*) FROM file_operations").fetchone()
        running.go_on()
        assert running.wait() == 0, running.said
        files = {path: path.read_bytes() for path in (database, database.with_name("p.db-wal"))}
    for path, content in files.items():
        path.write_bytes(content)


TORN = [("review", damage, commit) for damage in (_cut, _zeros, _one_bit) for commit in ("plan", "done")]
TORN += [(name, _cut, "done") for name in OTHER_COMMANDS]


@pytest.mark.parametrize(("name", "damage", "commit"), TORN)
def test_a_torn_last_page_takes_back_one_commit_and_no_file(
    staged: Staged, ends_as: EndsAs, name: str, damage: Callable[[bytes, int], bytes], commit: str
) -> None:
    made = staged(name)
    if commit == "plan":
        assert made.run(plan=Plan(kill_at=made.scenario.looks, only="planned: ")).killed
    else:
        run_and_keep_the_log(made)
    tear(made, damage)
    assert (made.planned() > 0) == (commit == "done")  # the last commit never was
    assert made.missing() == []
    comes_to_its_end(made, ends_as)


def test_files_moved_before_a_lost_commit_are_listed_as_missing(staged: Staged) -> None:
    """A disk that says it has synced and has not: no file is lost, and what no row knows of is listed."""
    made = staged("review")
    assert made.run(plan=Plan(kill_at=made.scenario.looks, only="planned: ")).killed
    log = made.project.database.with_name("p.db-wal")
    assert made.recover(Plan(kill_at=1, only="done: ")).killed  # moved, and nothing more written
    tear(made, _cut)
    assert made.planned() == 0 and log.exists()
    assert made.recover().code == 0
    counted = made.census()
    assert (counted.lost, counted.duplicated, counted.half_moved, counted.database) == ([], [], [], [])
    moved = [path for path in made.before if path not in tree_of(made.project)]
    listed = made.run(["groups", "p"]).said
    assert all(f"missing since the last scan: {path}" in listed for path in moved if is_image_name(path))
    refused = made.run()
    assert "has vanished since the scan" in refused.said and refused.code == 1


# --- two processes on one project -----------------------------------------------------------------------------

OTHERS = (
    ("recover", "p"),
    ("undo", "p", "--batch", "1"),
    ("groups", "p"),
    ("crop", "p", "--apply-ai"),
    ("finish", "p", "--execute"),
    ("relocate", "p", "IMAGES"),
)


def test_other_commands_are_refused_while_one_moves_files(staged: Staged, ends_as: EndsAs) -> None:
    made = staged("review")
    running = made.start(plan=Plan(stop_at=2, only="image moved: "))
    assert running.wait_stopped()
    before, state = tree_of(made.project), state_of(made.project)
    for command in OTHERS:
        other = made.run([str(made.project.root) if word == "IMAGES" else word for word in command])
        assert other.code == 1, f"{command}: {other.said}"
        assert f"process {running.pid}" in said_in_one_line(other) or "unfinished" in other.said, other.said
        assert tree_of(made.project) == before and state_of(made.project) == state, command
    # a key on the group that still waits is saved all the same
    (made.home / KEYS).write_text("s\n")
    assert made.run().code == 0
    running.go_on()
    assert running.wait() == 0
    assert made.census().lines == []
    assert tree_of(made.project) == ends_as("review")
    (waiting,) = queue(made.project)
    assert rows(made.project, "SELECT action FROM review_state WHERE group_id = ?", waiting.group_id) == [
        {"action": "skip"}
    ]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_same_command_twice_at_once_happens_once(staged: Staged, ends_as: EndsAs, name: str) -> None:
    made = staged(name)
    both = [made.start(said=f"one-{number}") for number in range(2)]
    for running in both:
        running.wait()
        said_in_one_line(running)
    assert 0 in {running.code for running in both}, [running.said for running in both]
    assert made.recover().code == 0
    assert made.census().lines == []
    assert tree_of(made.project) == ends_as(name)


def test_recover_is_refused_until_the_killed_process_has_ended(staged: Staged, ends_as: EndsAs) -> None:
    made = staged("review")
    first = made.start(plan=Plan(stop_at=3, only="image moved: "))
    assert first.wait_stopped()
    assert made.run(["recover", "p"]).code == 1
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    assert made.recover().code == 0  # the kernel has freed the lock
    assert made.census().lines == []
    assert tree_of(made.project) == ends_as("review")
