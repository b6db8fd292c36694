"""A folder taken away in the midst of a command, and brought back: nothing is made in its place, and recover finishes.

The folder is renamed by the command's own process before a given step, so that every moment can be tried.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from faults.kills import Bench
from faults.launcher import CROP_DESK
from faults.scenarios import Stage
from faults.steps import bring_back

# the image folder itself, and folders of Pickroom's that may be disks of their own
FOLDERS = ("", "", "crop", "delete_staging", "crop_cropped")


@dataclass(frozen=True)
class Absence:
    """Which folder goes and when, counted in steps from 1.

    Attributes:
        folder: relative to the root, "" is the root itself.
        back_at: the step before which it is there again; None when the command has ended before.
        hollow: an empty folder is in its place meanwhile.
        only: as `Plan.only`.
    """

    leaves_at: int
    folder: str = ""
    back_at: int | None = None
    hollow: bool = False
    only: str = ""


@dataclass
class Absent:
    """What became of one absence: the command, the last step that it came to, and what is not as it was promised."""

    name: str
    step: str
    problems: list[str] = field(default_factory=list)


def leave(made: Stage, absence: Absence) -> Absent:
    """Run a stage's command with a folder that goes away, bring that back, recover, and count everything again."""
    leaving, away = made.project.root / absence.folder, made.folder / "away"
    given = {"leaving": leaving, "away": away, "hollow": absence.hollow, "only": absence.only}
    run = made.run(plan=made.way.plan(leaves_at=absence.leaves_at, returns_at=absence.back_at, **given))
    found = Absent(made.scenario.name, run.step)
    found.problems += ["it never came to that step"] if run.count < absence.leaves_at else []
    found.problems += [f"it ended in a traceback: {run.said}"] if "Traceback" in run.said else []
    if away.exists() and not made.scenario.in_sandbox:
        planned = made.planned()
        said = run.code != 0 or made.scenario.command[0] == CROP_DESK  # what has no exit code says it in words
        found.problems += [] if said or not planned else [f"it ended with 0, {planned} steps are planned: {run.said}"]
        if absence.folder == "":  # of another, recover cannot always know that it is not simply a new one
            recovered = made.recover()
            taken = planned - made.planned()
            if planned and (recovered.code == 0 or taken or "Traceback" in recovered.said):
                found.problems.append(f"recover took {taken} steps with the folder away: {recovered.said}")
    if not bring_back(leaving, away, hollow=absence.hollow):
        found.problems.append(f"made where {absence.folder or 'the image folder'} was: {sorted(leaving.rglob('*'))}")
        return found
    found.problems += [f"nowhere once it was back: {path}" for path in made.missing()]
    recovered = made.recover()
    found.problems += [f"recover left {made.planned()} steps: {recovered.said}"] if made.planned() else []
    found.problems += made.census().lines
    return found


def at_random(benches: Sequence[Bench], rng: random.Random) -> Iterator[Absent]:
    """Absences without end, of commands drawn at random."""
    while True:
        bench, folder = rng.choice(benches), rng.choice(FOLDERS)
        # one of Pickroom's folders that is missing before a command looks is simply made
        first = 1 if not folder else next(n for n, name in enumerate(bench.steps, 1) if name.startswith("plan"))
        step = rng.randint(first, bench.count)
        back = rng.choice((None, rng.randint(step, bench.count) + 1))
        made = bench.fresh()
        yield leave(made, Absence(step, folder, back, hollow=not folder and rng.random() < 0.5))
        shutil.rmtree(made.folder / "away", ignore_errors=True)
        bench.clear(made)
