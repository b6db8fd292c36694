"""A kill during `auto apply`: the copy's journal is seen, and finished, from the project it was made of."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from faults.launcher import Plan
from faults.scenarios import KEYS, Stage
from pickroom.cli.doctor import workspaces
from pickroom.storage.atomic import PARTIAL_SUFFIX
from pickroom.store.workspace import Workspace
from support.reviewing import whole_tree

Make = Callable[..., Stage]
COMMITTED = Plan(kill_at=1, only="image moved")
APPLY = ("auto", "apply", "p", "--execute", "--yes")


def status(made: Stage) -> dict:
    done = made.run(("status", "p", "--json"))
    assert done.code == 0, done.said
    return json.loads(done.said)


def test_status_and_doctor_report_a_killed_apply(staged: Make) -> None:
    made = staged("apply")
    assert status(made)["unfinished"] == []
    assert made.run(plan=COMMITTED).killed
    found = status(made)
    assert found["planned_operations"] == made.planned() > 0
    assert [one["root"] for one in found["unfinished"]] == [str(made.project.root)]
    assert "pickroom recover p" in made.run(("status", "p")).said
    seen = workspaces.project(Workspace(made.home), "p")
    assert (seen.state, seen.todo) == ("warn", "pickroom recover p") and str(made.project.root) in seen.found
    assert made.planned() == found["planned_operations"]  # looking has changed nothing


@pytest.mark.parametrize(
    "command",
    [("recover", "p"), APPLY, ("auto", "generate", "p"), ("auto", "review", "p"), ("review", "p", "--keys", KEYS)],
    ids=lambda command: " ".join(command[:2]),
)
@pytest.mark.parametrize("at", [(1, "image moved"), (3, "image moved"), (1, "done: COMMIT")])
def test_the_next_command_finishes_a_killed_apply(
    staged: Make, ends_as: Callable[[str], dict[str, str]], command: tuple[str, ...], at: tuple[int, str]
) -> None:
    made = staged("apply")
    assert made.run(plan=Plan(kill_at=at[0], only=at[1])).killed
    assert made.planned() > 0
    (made.home / KEYS).write_text("x\nShift+Enter\nShift+Enter\n")
    done = made.run(command)
    assert done.code == 0, done.said
    assert made.planned() == 0 and made.census().lines == []
    assert whole_tree(made.project.root).items() >= ends_as("apply").items()


def test_a_dry_run_names_the_interrupted_steps(staged: Make) -> None:
    made = staged("apply")
    made.run(plan=COMMITTED)
    done = made.run(("auto", "apply", "p"))
    assert done.code == 0 and "file operations were interrupted: applying finishes them first" in done.said
    assert made.planned() > 0


def test_auto_undo_takes_a_killed_apply_back(staged: Make) -> None:
    made = staged("apply")
    before = made.before
    made.run(plan=Plan(kill_at=3, only="image moved"))
    done = made.run(("auto", "undo", "p"))
    assert done.code == 0 and "Batch 1 of p is undone: 3 groups wait again" in done.said
    assert made.planned() == 0 and made.census().lines == []
    after = {path: sha256 for path, sha256 in whole_tree(made.project.root).items() if ".undone-1." not in path}
    assert after.items() >= before.items()


def test_a_killed_undo_is_finished_by_the_next_undo(staged: Make) -> None:
    made = staged("undo apply")
    assert made.run(plan=Plan(kill_at=2, only="image moved")).killed
    done = made.run()
    assert done.code == 0 and "Batch 1 of p is undone: 3 groups wait again" in done.said
    assert made.planned() == 0 and made.census().lines == []
    assert made.run().code == 2  # nothing stands any more


@pytest.mark.parametrize("command", [("recover", "p"), APPLY], ids=lambda command: " ".join(command[:2]))
def test_partial_crops_of_a_killed_apply_are_removed(staged: Make, command: tuple[str, ...]) -> None:
    made = staged("apply")
    assert made.run(plan=Plan(kill_at=1, only="plan: ")).killed
    partials = [path for path in whole_tree(made.project.root) if path.endswith(PARTIAL_SUFFIX)]
    assert partials and made.planned() == 0
    assert made.run(command).code == 0
    assert not [path for path in whole_tree(made.project.root) if path.endswith(PARTIAL_SUFFIX)]
