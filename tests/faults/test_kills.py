"""The quick half of the soak: every command killed at every kind of step that it has, and at a moment of its own.

`make soak` kills it at every single step, and a thousand times in the midst of a batch.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from faults.finishing import kill_finish
from faults.kills import Bench, Case, Killed, cases
from faults.launcher import PATIENCE_S, Plan
from faults.scenarios import FINISH, REPLACE, SCENARIOS, Stage, Way, stage, template
from faults.soak import table
from support.reviewing import another_disk

pytestmark = pytest.mark.slow
SEED = 20250803
# every command, and the ways that differ most; `make soak` has all
WAYS = ("review, by links", "crop, by links", "review, put back", "review, other disk", "undo review, other disk")
WAYS += ("back crop, aside on other disk", "review, by copies", "crop, by copies", "undo review, by copies")
WAYS += ("recover review, by copies", "review, by copies, put back")
CASES = [case.name for case in cases(Path()) if not case.way.name or case.name in WAYS]


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with another_disk(tmp_path_factory.mktemp("near")) as folder:
        yield folder


@pytest.fixture(scope="module")
def seen() -> set[str]:
    """The kinds of steps that a command of this module was killed at."""
    return set()


@pytest.mark.parametrize("name", CASES)
def test_a_kill_leaves_all_or_nothing_once_recovered(
    request: pytest.FixtureRequest, templates: Path, tmp_path: Path, seen: set[str], name: str
) -> None:
    other = request.getfixturevalue("disk") if "other disk" in name else None
    case = next(case for case in cases(other or Path()) if case.name == name)
    rng = random.Random(f"{SEED} {name}")
    bench = Bench(case, tmp_path, templates)
    kinds: dict[str, list[int]] = {}
    for number, step in enumerate(bench.steps, start=1):
        kinds.setdefault(step, []).append(number)
    new = [step for step in kinds if step not in seen]
    seen |= set(kinds)
    found = [bench.kill_at(rng.choice(kinds[step])) for step in new]
    found.append(bench.kill_at(rng.randint(1, bench.count), again_at=rng.randint(1, bench.count)))
    if not case.way.name:
        found.append(bench.kill_after(rng.uniform(0, bench.seconds)))
    assert [(f.step, problem) for f in found if f is not None for problem in f.problems] == []


def test_a_finish_that_is_killed_leaves_a_whole_archive_or_none(templates: Path, tmp_path: Path) -> None:
    made = template(templates / "finish", FINISH)
    found = kill_finish(made, tmp_path, Plan(kill_at=2, only="archive: pictures", reports=False))
    assert found.problems == [] and found.step.startswith("archive: pictures")


def test_a_torn_sidecar_is_replaced_whenever_the_desk_is_killed(templates: Path, tmp_path: Path) -> None:
    made = template(templates / "torn", REPLACE)
    whole = stage(made, tmp_path / "whole", REPLACE)
    steps = whole.run().steps
    sidecars = [path.read_text() for path in sorted(whole.project.root.glob("crop/*.decision"))]
    assert all(sidecars) and "{" not in sidecars
    last = max(number for number, step in enumerate(steps, start=1) if step == "done: COMMIT")
    # after it a copy of the database is made, in a thread: its steps are not in the same order every time
    for number in [n for n, step in enumerate(steps[:last], start=1) if not step.startswith("lock")]:
        killed = stage(made, tmp_path / "killed", REPLACE)
        assert killed.run(plan=Plan(kill_at=number)).killed
        assert killed.recover().code == 0 and killed.run().code == 0
        root = killed.project.root
        assert [path.read_text() for path in sorted(root.glob("crop/*.decision"))] == sidecars, steps[number - 1]
        assert [path.read_text() for path in root.glob("delete_staging/replaced-*")] == ["{"]


def test_command_killed_in_own_interpreter_is_recovered(staged: Callable[..., Stage]) -> None:
    made = staged("review")
    command = [sys.executable, "-m", "pickroom.cli", *made.arguments()]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + PATIENCE_S
    while not made.planned() and process.poll() is None and time.monotonic() < until:
        pass  # its commit is what is waited for
    process.send_signal(signal.SIGKILL)
    process.wait()
    recover = [sys.executable, "-m", "pickroom.cli", "recover", "p", "--home", str(made.home)]
    assert subprocess.run(recover, capture_output=True, check=False).returncode == 0
    assert made.census().lines == [] and made.planned() == 0


def test_the_table_counts_what_landed_inside_by_step_and_command() -> None:
    case = Case(SCENARIOS["review"], Way())
    found = [
        Killed(case, "image moved: rename", True),
        Killed(case, "image moved: rename", True, again=True),
        Killed(case, "plan: BEGIN", False),
        Killed(Case(SCENARIOS["crop"], Way("by links", link=True)), "crop placed: link", True, lost=1, problems=["x"]),
    ]
    lines = table(found)
    assert lines[1].split() == ["all", "crop", "review"]
    assert [line.split() for line in lines[2:5]] == [
        ["crop", "placed:", "link", "1", "1"],
        ["image", "moved:", "rename", "2", "2"],
        ["3", "1", "2"],
    ]
    assert lines[5] == "by the way of the files: by links 1, rename 2"
    assert lines[6] == (
        "4 kills, 3 inside a commit, 1 with the recovery killed too: "
        "1 lost, 0 duplicated, 0 half-moved, 1 with any problem"
    )
