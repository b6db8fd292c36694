"""The journal's runner: each unit wholly or not at all, forward after a crash, never in silence."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import read_tree
from pickroom.core.records import FileOp
from pickroom.files import journal
from pickroom.files.journal import OperationHandler
from pickroom.files.preflight import ImageFolder
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store import operations
from pickroom.store.connect import connect, create, transaction
from support.reviewing import in_child, obey_permissions, without_renames

SIDECAR = '{"needs_crop": true}'


def note_undone(connection: sqlite3.Connection, step: FileOp) -> None:
    connection.execute("INSERT INTO told VALUES (?, ?)", (f"{step.unit} undone", ""))


def note_failed(connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
    values = (f"{step.unit} failed", reason, f"{step.unit} undone")  # it is always called after `note_undone`
    connection.execute("UPDATE told SET what = ?, reason = ? WHERE what = ?", values)


@pytest.fixture(autouse=True)
def handler(monkeypatch: pytest.MonkeyPatch) -> None:
    """A handler of steps of kind `test`, which writes down what it is told in the transaction it is told it in."""
    noting = OperationHandler(("", ""), note_undone, note_failed)
    monkeypatch.setattr(journal, "HANDLERS", {"test": noting})


def run_planned(root: Path, connection: sqlite3.Connection, **options: bool) -> journal.Outcome:
    with ImageFolder(root, "p") as folder:
        return journal.run_planned(folder, connection, **options)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    return tmp_path / "images"


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    opened = create(tmp_path / "p.db")
    opened.execute("CREATE TABLE told (what TEXT, reason TEXT)")
    yield opened
    opened.close()


def move(unit: str, name: str, content: str | None = None) -> FileOp:
    digest = hashlib.sha256((content or name).encode()).hexdigest()
    return FileOp(1, "test", unit, "move", name, f"selected/{name}", digest)


def write(unit: str, name: str) -> FileOp:
    digest = hashlib.sha256(SIDECAR.encode()).hexdigest()
    return FileOp(1, "test", unit, "write", None, f"crop/{name}", digest, content=SIDECAR)


def remove(unit: str, name: str) -> FileOp:
    digest = hashlib.sha256(SIDECAR.encode()).hexdigest()
    return FileOp(1, "test", unit, "remove", f"crop/{name}", None, digest, content=SIDECAR)


def plan(connection: sqlite3.Connection, *ops: FileOp) -> None:
    with transaction(connection):
        operations.plan(connection, ops)


def lay(root: Path, **files: str) -> None:
    """Files of the given contents; `a__b` stands for `a/b`."""
    for name, content in files.items():
        path = root / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def tree(root: Path) -> dict[str, str]:
    return {name: (root / name).read_text() for name in read_tree(root)}


def states(connection: sqlite3.Connection) -> list[str]:
    return [row["state"] for row in connection.execute("SELECT state FROM file_operations ORDER BY id")]


def told(connection: sqlite3.Connection) -> list[str]:
    return [row["what"] for row in connection.execute("SELECT what FROM told")]


def test_planned_steps_are_taken_and_marked_done(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a", b="b")
    plan(connection, move("one", "a"), write("one", "a.decision"), move("two", "b"))
    outcome = run_planned(root, connection)
    assert (outcome.done, outcome.failed, outcome.stuck) == (["one", "two"], {}, {})
    assert tree(root) == {"selected/a": "a", "crop/a.decision": SIDECAR, "selected/b": "b"}
    assert states(connection) == ["done"] * 3
    assert run_planned(root, connection) == journal.Outcome()


def test_many_more_units_than_one_transaction_takes_are_all_done(root: Path, connection: sqlite3.Connection) -> None:
    names = [f"n{place}" for place in range(60)]
    lay(root, **{name: name for name in names})
    plan(connection, *(move(f"unit {name}", name) for name in names))
    assert len(run_planned(root, connection).done) == 60
    assert set(tree(root)) == {f"selected/{name}" for name in names}


@pytest.mark.parametrize("place", [0, 1, 2])
def test_failed_unit_is_put_back_and_other_units_go_on(root: Path, connection: sqlite3.Connection, place: int) -> None:
    lay(root, a="a", b="b", c="c", d="d", e="e")
    (root / "abc"[place]).unlink()
    before = tree(root)
    plan(
        connection,
        move("before", "d"),
        *(move("broken", name) for name in "abc"),
        write("broken", "a.decision"),
        move("after", "e"),
    )
    outcome = run_planned(root, connection)
    missing = "abc"[place]
    reason = f"the file has vanished while moving a file: {root}/{missing} -> {root}/selected/{missing}"
    assert (outcome.done, outcome.failed) == (["before", "after"], {"broken": reason})
    assert tree(root) == {n: c for n, c in before.items() if n not in "de"} | {"selected/d": "d", "selected/e": "e"}
    assert states(connection) == ["done", "failed", "failed", "failed", "failed", "done"]
    assert told(connection) == ["broken failed"]
    errors = connection.execute("SELECT DISTINCT error FROM file_operations WHERE state = 'failed'").fetchall()
    assert [row["error"] for row in errors] == [reason]


def test_the_handler_runs_in_the_transaction_that_marks_steps(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(connection: sqlite3.Connection, step: FileOp, reason: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(journal, "HANDLERS", {"test": OperationHandler(("", ""), note_undone, fail)})
    plan(connection, move("broken", "a"))
    with pytest.raises(ZeroDivisionError):
        run_planned(root, connection)
    assert (states(connection), told(connection)) == (["planned"], [])


def test_undo_step_marks_both_steps_and_calls_handler_once(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a", b="b")
    plan(connection, move("one", "a"), move("one", "b"))
    run_planned(root, connection)
    done = operations.of_batch(connection, 1)
    plan(connection, *(journal.moves.inverse(op) for op in reversed(done)))
    assert run_planned(root, connection).done == ["one"]
    assert tree(root) == {"a": "a", "b": "b"}
    assert states(connection) == ["undone", "undone", "done", "done"]
    assert told(connection) == ["one undone"]


def test_an_undo_that_fails_leaves_what_it_would_have_undone(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a", b="b")
    plan(connection, move("one", "a"), move("one", "b"))
    run_planned(root, connection)
    lay(root, a="something else came")
    before = tree(root)
    done = operations.of_batch(connection, 1)
    plan(connection, *(journal.moves.inverse(op) for op in reversed(done)))
    assert set(run_planned(root, connection).failed) == {"one"}
    assert tree(root) == before
    assert states(connection) == ["done", "done", "failed", "failed"]
    assert told(connection) == []  # the decision stands, its files are where they were


# --- after a crash: what the steps find on disk ------------------------------------------------------------------

HALFWAY = {
    "nothing was moved": {"a": "a", "b": "b"},
    "the first file was moved": {"selected/a": "a", "b": "b"},
    "the first was copied or linked": {"a": "a", "selected/a": "a", "b": "b"},
    "both were moved": {"selected/a": "a", "selected/b": "b"},
    "everything was done": {"selected/a": "a", "selected/b": "b", "crop/a.decision": SIDECAR},
}


@pytest.mark.parametrize("there", HALFWAY.values(), ids=HALFWAY)
def test_recovery_goes_forward_from_wherever_the_crash_came(
    root: Path, connection: sqlite3.Connection, there: dict[str, str]
) -> None:
    lay(root, **there)
    lay(
        root,
        **{f"crop/.a.decision.x1{PARTIAL_SUFFIX}": "{", f"selected/.x{PARTIAL_SUFFIX}": "", f".x{PARTIAL_SUFFIX}": ""},
    )
    plan(connection, move("one", "a"), move("one", "b"), write("one", "a.decision"))
    outcome = run_planned(root, connection, verify=True)
    assert outcome.done == ["one"]
    assert tree(root) == {"selected/a": "a", "selected/b": "b", "crop/a.decision": SIDECAR}


@pytest.mark.parametrize("there", HALFWAY.values(), ids=HALFWAY)
def test_recovery_puts_a_unit_back_if_one_of_its_files_changed(
    root: Path, connection: sqlite3.Connection, there: dict[str, str]
) -> None:
    lay(root, **there, c="edited")
    plan(connection, move("one", "a"), move("one", "b"), write("one", "a.decision"), move("one", "c"))
    outcome = run_planned(root, connection, verify=True)
    assert "the file has changed since it was decided on" in outcome.failed["one"]
    assert tree(root) == {"a": "a", "b": "b", "c": "edited"}


def test_source_edited_after_its_copy_is_never_lost(root: Path, connection: sqlite3.Connection) -> None:
    # a crash came between the copy and the removal of its source; then the user edited the source
    lay(root, a="edited", selected__a="a")
    plan(connection, move("one", "a"))
    outcome = run_planned(root, connection, verify=True)
    assert tree(root) == {"a": "edited", "selected/a": "a"}
    assert "another file has taken its place" in outcome.stuck["one"]
    assert states(connection) == ["planned"]
    (root / "a").unlink()  # what the line tells the user to look at
    assert run_planned(root, connection, verify=True).done == ["one"]
    assert tree(root) == {"selected/a": "a"}


def test_what_cannot_be_put_back_stays_planned_with_both_reasons(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, x__a="a", x__b="b", c="c")
    a = move("one", "a")
    b = move("one", "b")
    plan(connection, *(FileOp(1, "test", "one", "move", f"x/{op.source}", op.destination, op.sha256) for op in (a, b)))
    plan(connection, move("two", "c"))
    lay(root, selected__b="something else")
    (root / "selected").chmod(0o755)

    def run() -> tuple[list[str], dict[str, str]]:
        obey_permissions()
        opened = connect(root.parent / "p.db")
        (root / "x" / "a").rename(root / "selected" / "a")  # as a crash may have left it
        (root / "x").chmod(0o500)
        outcome = run_planned(root, opened, verify=True)
        opened.close()
        return outcome.done, outcome.stuck

    done, stuck = in_child(run)
    assert done == ["two"]
    assert "the destination exists while moving a file" in stuck["one"]
    assert "could not be put back: Permission denied" in stuck["one"]
    assert states(connection) == ["planned", "planned", "done"]
    # once the folder can be written again, the next run finishes putting it back
    (root / "x").chmod(0o700)
    assert set(run_planned(root, connection, verify=True).failed) == {"one"}
    assert tree(root) == {"x/a": "a", "x/b": "b", "selected/b": "something else", "selected/c": "c"}


def test_moves_that_cannot_be_made_durable_stay_planned(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, x__a="a")
    plan(connection, FileOp(1, "test", "one", "move", "x/a", "selected/a", move("one", "a").sha256))

    def run() -> dict[str, str]:
        obey_permissions()
        (root / "x").chmod(0o300)  # names may be moved out of it, but it cannot be opened
        opened = connect(root.parent / "p.db")
        outcome = run_planned(root, opened)
        opened.close()
        return outcome.stuck

    assert in_child(run) == {"one": f"Permission denied while making moves durable: {root}/x"}
    assert states(connection) == ["planned"]
    (root / "x").chmod(0o700)
    assert run_planned(root, connection, verify=True).done == ["one"]


def test_a_sidecar_edited_before_its_removal_is_left_alone(root: Path, connection: sqlite3.Connection) -> None:
    # an undo was planned, a crash came, and the user wrote something into the sidecar
    lay(root, **{"crop/a.decision": "edited", "b": "b"})
    plan(connection, move("one", "b"), remove("one", "a.decision"))
    outcome = run_planned(root, connection, verify=True)
    assert "changed by hand" in outcome.failed["one"]
    assert tree(root) == {"crop/a.decision": "edited", "b": "b"}


def test_sweep_keeps_partial_files_that_planned_steps_need(root: Path, connection: sqlite3.Connection) -> None:
    partial = f"selected/.1-ab{PARTIAL_SUFFIX}"
    lay(root, **{partial: "a crop", "a": "edited", "selected/a": "a"})
    crop = FileOp(1, "test", "one", "move", partial, "selected/b", hashlib.sha256(b"a crop").hexdigest())
    plan(connection, move("one", "a"), crop)
    assert set(run_planned(root, connection, verify=True).stuck) == {"one"}
    assert tree(root)[partial] == "a crop"


# --- after a power cut: the only copy lies under a temporary name --------------------------------------------------


@pytest.mark.parametrize("folder", ["selected", "anna"])
def test_a_partial_file_that_is_the_only_copy_is_published(
    root: Path, connection: sqlite3.Connection, folder: str
) -> None:
    # the removal of its source reached the disk, the new name of the copy did not; the half one is of an earlier try
    lay(root, **{f"{folder}/.x{PARTIAL_SUFFIX}": "a", f"{folder}/.y{PARTIAL_SUFFIX}": "half", "anna/b": "b"})
    ops = [move("one", "a"), move("one", "b")]
    plan(connection, *(FileOp(1, "test", "one", "move", f"anna/{op.source}", op.destination, op.sha256) for op in ops))
    assert run_planned(root, connection, verify=True).done == ["one"]
    assert tree(root) == {"selected/a": "a", "selected/b": "b"}


@pytest.mark.parametrize("folder", ["selected", "anna"])
def test_a_unit_put_back_publishes_what_only_a_partial_holds(
    root: Path, connection: sqlite3.Connection, folder: str
) -> None:
    lay(root, **{f"{folder}/.x{PARTIAL_SUFFIX}": "a", "anna/b": "edited"})
    ops = [move("one", "b"), move("one", "a")]
    plan(connection, *(FileOp(1, "test", "one", "move", f"anna/{op.source}", op.destination, op.sha256) for op in ops))
    assert set(run_planned(root, connection, verify=True).failed) == {"one"}
    assert tree(root) == {"anna/a": "a", "anna/b": "edited"}


@pytest.mark.parametrize("folder", ["selected", "anna"])
@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("torn", ["selected/a", "anna/a"])
def test_a_torn_file_costs_no_whole_copy_of_it(
    root: Path, connection: sqlite3.Connection, folder: str, first: str, torn: str
) -> None:
    lay(root, **{f"{folder}/.x{PARTIAL_SUFFIX}": "a", torn: "torn", "anna/b": "edited", "selected/c": "c"})
    ops = [move("one", name) for name in ("ab" if first == "a" else "ba")]
    plan(connection, *(FileOp(1, "test", "one", "move", f"anna/{op.source}", op.destination, op.sha256) for op in ops))
    outcome = run_planned(root, connection, verify=True)
    whole = {"selected/a", "anna/a"} - {torn}
    assert tree(root).items() >= {whole.pop(): "a", torn: "torn", "anna/b": "edited"}.items()
    assert set(outcome.failed if torn == "selected/a" else outcome.stuck) == {"one"}


def test_no_partial_goes_while_a_step_is_still_to_be_taken(root: Path, connection: sqlite3.Connection) -> None:
    partials = {f"selected/.x{PARTIAL_SUFFIX}": "half", f".y{PARTIAL_SUFFIX}": "a"}
    lay(root, a="edited", selected__a="a", b="b", **partials)
    plan(connection, move("stuck", "a"), move("fine", "b"))
    outcome = run_planned(root, connection, verify=True)
    assert (outcome.done, set(outcome.stuck)) == (["fine"], {"stuck"})
    assert set(partials) <= set(tree(root))
    (root / "a").unlink()
    assert run_planned(root, connection, verify=True).done == ["stuck"]
    assert tree(root) == {"selected/a": "a", "selected/b": "b"}


def test_partials_are_there_until_the_last_step_is_settled(root: Path, connection: sqlite3.Connection) -> None:
    partial = root / "selected" / f".x{PARTIAL_SUFFIX}"
    lay(root, a="a", selected__b="b")
    partial.write_text("a")
    seen: list[bool] = []
    connection.set_trace_callback(lambda sql: seen.append(partial.exists()) if sql == "COMMIT" else None)
    plan(connection, move("one", "a"), move("two", "b"))
    run_planned(root, connection, verify=True)
    assert set(seen) == {True} and not partial.exists()


# --- a disk that can neither rename without replacing nor link: an empty file claims each name ------------------------


@pytest.mark.parametrize("claimed", ["selected/a", "crop/a.decision"])
def test_recovery_takes_a_claim_of_its_own_for_nothing(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, claimed: str
) -> None:
    without_renames(monkeypatch)
    lay(root, a="a", **{claimed: "", f"selected/.x{PARTIAL_SUFFIX}": "a"})
    plan(connection, move("one", "a"), write("one", "a.decision"))
    assert run_planned(root, connection, verify=True).done == ["one"]
    assert tree(root) == {"selected/a": "a", "crop/a.decision": SIDECAR}


@pytest.mark.parametrize("claimed", ["selected/b", "crop/a.decision"])
def test_a_unit_put_back_leaves_no_claim_behind(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, claimed: str
) -> None:
    without_renames(monkeypatch)
    lay(root, a="a", b="edited", **{claimed: ""})
    plan(connection, move("one", "a"), move("one", "b"), write("one", "a.decision"))
    assert set(run_planned(root, connection, verify=True).failed) == {"one"}
    assert tree(root) == {"a": "a", "b": "edited"}


def test_a_putting_back_that_was_killed_over_its_claims_goes_on(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_renames(monkeypatch)
    lay(root, a="", selected__a="a", b="edited", **{"crop/c.decision": ""})
    plan(connection, move("one", "a"), remove("one", "c.decision"), move("one", "b"))
    assert set(run_planned(root, connection, verify=True).failed) == {"one"}
    assert tree(root) == {"a": "a", "b": "edited", "crop/c.decision": SIDECAR}


def test_a_source_that_was_emptied_is_no_claim(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_renames(monkeypatch)
    lay(root, a="")
    plan(connection, move("one", "a"))
    assert "has changed" in run_planned(root, connection, verify=True).failed["one"]
    assert tree(root) == {"a": ""}


def test_an_empty_file_on_another_disk_is_no_claim(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a", selected__a="")
    plan(connection, move("one", "a"))
    assert "the destination exists" in run_planned(root, connection, verify=True).failed["one"]
    assert tree(root) == {"a": "a", "selected/a": ""}


def test_an_empty_file_that_was_moved_is_no_claim(
    root: Path, connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_renames(monkeypatch)
    nothing = hashlib.sha256(b"").hexdigest()
    lay(root, selected__a="")  # moved, then killed
    plan(connection, FileOp(1, "test", "one", "move", "a", "selected/a", nothing))
    assert run_planned(root, connection, verify=True).done == ["one"]
    assert tree(root) == {"selected/a": ""}


def test_outcome_names_first_failure_and_what_to_do() -> None:
    assert journal.Outcome(done=["g"]).troubles("p") == []
    outcome = journal.Outcome(failed={"a": "in the way", "b": "gone"}, stuck={"c": "no permission"})
    assert outcome.troubles("p") == [
        "2 put back (the first: a: in the way)",
        "1 unfinished: run `pickroom recover p` (the first: c: no permission)",
    ]


# --- folders that go away -----------------------------------------------------------------------------------------


def test_a_file_in_neither_place_stays_planned_after_a_crash(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, b="b", c="c")
    (root / "selected").mkdir()
    (root / "selected" / "x").write_text("x")
    plan(connection, move("one", "a"), move("one", "b"), move("two", "c"))
    outcome = run_planned(root, connection, verify=True)
    assert outcome.done == ["two"] and outcome.failed == {}
    assert "the file is in neither place" in outcome.stuck["one"]
    assert "gone for good: pickroom recover p --give-up" in outcome.stuck["one"]
    assert tree(root) == {"b": "b", "selected/c": "c", "selected/x": "x"}  # nothing of the unit is touched
    assert states(connection) == ["planned", "planned", "done"]
    lay(root, selected__a="a")  # the disk is back
    assert run_planned(root, connection, verify=True).done == ["one"]


def test_a_file_that_certainly_was_never_moved_has_vanished(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a")  # steps are taken in order: the first was not, nor was the second
    plan(connection, move("one", "a"), move("one", "b"))
    outcome = run_planned(root, connection, verify=True)
    assert "the file has vanished" in outcome.failed["one"] and outcome.stuck == {}
    assert told(connection) == ["one failed"] and tree(root) == {"a": "a"}


@pytest.mark.parametrize("hollow", [False, True])
def test_with_the_image_folder_away_every_step_stays_planned(
    root: Path, connection: sqlite3.Connection, hollow: bool
) -> None:
    lay(root, a="a", b="b")
    with ImageFolder(root) as folder:
        plan(connection, move("one", "a"), write("one", "a.decision"), move("two", "b"))
        root.rename(root.parent / "away")
        if hollow:
            root.mkdir()
        outcome = journal.run_planned(folder, connection)
        assert (set(outcome.stuck), outcome.failed, outcome.done) == ({"one", "two"}, {}, [])
        assert states(connection) == ["planned"] * 3
        assert list(root.iterdir()) == [] if hollow else not root.exists()
    if hollow:  # a later run does not know the folder that was
        assert set(run_planned(root, connection, verify=True).stuck) == {"one", "two"}
        assert list(root.iterdir()) == []
        root.rmdir()
    (root.parent / "away").rename(root)
    assert run_planned(root, connection, verify=True).done == ["one", "two"]
    assert told(connection) == []


def test_emptied_folder_takes_nothing_in_after_a_crash(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, a="a", b="b", c="c")
    plan(connection, move("one", "a"))
    run_planned(root, connection)
    plan(connection, move("two", "b"), FileOp(2, "test", "three", "move", "c", "crop/c", move("", "c").sha256))
    (root / "selected").rename(root.parent / "away")
    (root / "selected").mkdir()  # a mount point whose disk is away
    outcome = run_planned(root, connection, verify=True)
    assert set(outcome.stuck) == {"two"} and outcome.done == ["three"]
    assert list((root / "selected").iterdir()) == []
    trusted = run_planned(root, connection, verify=True, trusting=True)
    assert trusted.done == ["two"]


def test_closing_a_lost_unit_puts_back_what_is_there(root: Path, connection: sqlite3.Connection) -> None:
    lay(root, selected__b="b", c="c")
    plan(connection, move("one", "a"), move("one", "b"), move("two", "c"))
    with ImageFolder(root) as folder:
        assert set(journal.run_planned(folder, connection, verify=True).stuck) == {"one"}
        missing, outcome = journal.close_lost(folder, connection, execute=False)
        assert missing == {"one": ["a"]} and outcome == journal.Outcome()
        assert states(connection) == ["planned", "planned", "done"]
        missing, outcome = journal.close_lost(folder, connection, execute=True)
    assert missing == {"one": ["a"]} and outcome.failed == {"one": "given up: a is nowhere"}
    assert tree(root) == {"b": "b", "selected/c": "c"}
    assert states(connection) == ["failed", "failed", "done"] and told(connection) == ["one failed"]


def test_a_crop_whose_original_is_gone_is_kept(root: Path, connection: sqlite3.Connection) -> None:
    partial = f"crop_cropped/.1-ab{PARTIAL_SUFFIX}"
    digest = hashlib.sha256(b"a crop").hexdigest()
    lay(root, **{"crop_cropped/a.png": "a crop"})
    made = FileOp(1, "test", "one", "move", partial, "crop_cropped/a.png", digest)
    plan(connection, made, FileOp(1, "test", "one", "move", "crop/a.png", "crop_originals/a.png", "aa"))
    with ImageFolder(root) as folder:
        journal.run_planned(folder, connection, verify=True, trusting=True)
        journal.close_lost(folder, connection, execute=True)
    assert tree(root) == {"crop_cropped/a.png": "a crop"}
    assert states(connection) == ["failed", "failed"]
