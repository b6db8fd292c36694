"""One kill: a command begun on a fresh project, killed, recovered by another process, and everything counted again."""

from __future__ import annotations

import random
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from faults.census import state_of
from faults.scenarios import KEYS, SCENARIOS, Scenario, Stage, Way, stage, template
from pickroom import integrity
from support.reviewing import review, rows


@dataclass(frozen=True)
class Case:
    """A command and the way its files get around."""

    scenario: Scenario
    way: Way

    @property
    def name(self) -> str:
        return f"{self.scenario.name}, {self.way.name}" if self.way.name else self.scenario.name


@dataclass
class Killed:
    """What became of one kill.

    Attributes:
        step: before which it died; of a kill at a random moment the last one that it had come to.
        inside: its steps were committed, and not all known to be taken: it was in the midst of moving files.
        again: the recovery was killed too, before the one that ended.
        problems: everything that is not as it was promised; lost, duplicated and half moved files among it.
    """

    case: Case
    step: str
    inside: bool
    again: bool = False
    lost: int = 0
    duplicated: int = 0
    half_moved: int = 0
    problems: list[str] = field(default_factory=list)


class Bench:
    """One case, its template built once: what its command does undisturbed, and kills of it.

    Attributes:
        steps: of the undisturbed command, by name, in order.
        seconds: that it took.
    """

    def __init__(self, case: Case, folder: Path, templates: Path) -> None:
        self.case, self._folder = case, folder / "run"  # one place for all: reasons name it
        self._kills = 0
        self._template = templates / case.scenario.name
        if not self._template.exists():
            template(self._template, case.scenario)
        made = self.fresh()
        self._nothing = self._state(made)
        self._between = self._after_each_key(made) if not case.scenario.commits else []
        done = made.run()
        assert done.code == 0 or case.way.closed, done.said
        assert not made.census().lines, made.census().lines
        assert _astray(made) == []
        self._everything = self._state(made)
        self._journal = len(rows(made.project, "SELECT 1 FROM file_operations"))
        assert self._nothing != self._everything
        self.steps, self.seconds = done.steps, done.seconds
        self.clear(made)

    @property
    def count(self) -> int:
        """How many steps the undisturbed command takes."""
        return len(self.steps)

    def fresh(self) -> Stage:
        """The project as it is before the command."""
        return stage(self._template, self._folder, self.case.scenario, self.case.way)

    def clear(self, made: Stage) -> None:
        """Remove a project that was tried, and what of it lies on another disk."""
        shutil.rmtree(made.folder)
        for there in made.way.disk.iterdir() if made.way.disk is not None else ():
            shutil.rmtree(there)

    def kill_at(self, step: int, again_at: int | None = None) -> Killed:
        """Kill the command before a step, counted from 1; and the recovery before another, if it gets there."""
        made = self.fresh()
        run = made.run(plan=self.case.way.plan(kill_at=step))
        assert run.killed, f"no step {step} of {self.case.name}: {run.said}"
        return self._after(made, run.step, again_at)

    def kill_after(self, seconds: float, again_at: int | None = None) -> Killed | None:
        """Kill the command at a moment; None when it had ended before."""
        made = self.fresh()
        run = made.start()
        run.kill_after(seconds)
        if not run.killed:
            self.clear(made)
            return None
        return self._after(made, run.step or "starting", again_at)

    def _after(self, made: Stage, step: str, again_at: int | None) -> Killed:
        found = Killed(self.case, step, made.planned() > 0)
        found.problems += [f"nowhere right after the kill: {path}" for path in made.missing()]
        if again_at is not None:
            found.again = made.recover(self.case.way.plan(kill_at=again_at)).killed
            found.problems += [f"nowhere after the second kill: {path}" for path in made.missing()]
        # what is written down decides which way recovery goes
        planned = len(rows(made.project, "SELECT 1 FROM file_operations")) == self._journal
        self._kills += 1
        if self._kills % 2:  # every second time it is not `recover` that comes first, but somebody who goes on
            opened = made.run(self.case.scenario.opens)
            if opened.code != 0 or made.planned():
                found.problems.append(f"opening it ended with {opened.code}: {opened.said}")
        recovered = made.recover()
        # a group that cannot go where it must is put back: the command names the reason, and has exit code 1
        rollback = bool(self.case.way.closed) and recovered.code == 1 and "Permission denied" in recovered.said
        if recovered.code != 0 and not rollback:
            found.problems.append(f"recover ended with {recovered.code}: {recovered.said}")
        counted = made.census()
        found.lost, found.duplicated = len(counted.lost), len(counted.duplicated)
        found.half_moved = len(counted.half_moved)
        found.problems += counted.lines + _astray(made)
        state = self._state(made)
        if not self.case.scenario.commits:
            found.problems += [] if state in self._between else ["a key is half saved"]
        else:
            found.problems += self._differences(state, self._everything if planned else self._nothing, planned)
        self.clear(made)
        return found

    def _state(self, made: Stage) -> dict[str, Any]:
        found = state_of(made.project)
        if self.case.scenario.in_sandbox:
            del found["choices"]  # of the review, which the automation does not touch
        return found

    def _after_each_key(self, made: Stage) -> list[dict[str, Any]]:
        """What is saved after each key of the command: a kill may leave any of these, and nothing else."""
        found = [self._nothing]
        for key in (made.home / KEYS).read_text().split():
            review(made.project, key)
            found.append(self._state(made))
        self.clear(made)
        self.fresh()  # in its place: as it was before the keys
        return found

    def _differences(self, found: dict[str, Any], wanted: dict[str, Any], planned: bool) -> list[str]:
        # marks are saved before the batch that carries them out: the census holds each against the disk
        same = [key for key in wanted if planned or key != "marks"]
        return [f"{key} is neither as before nor as after: {found[key]}" for key in same if found[key] != wanted[key]]


def _astray(made: Stage) -> list[str]:
    """What Pickroom itself says of images that lie where nothing put them, or not where it put them."""
    found = integrity.whereabouts(made.project)
    return [f"whereabouts: {path}" for path in (*found.unexplained, *found.misplaced, *found.missing)]


def cases(disk: Path | None) -> list[Case]:
    """Every command by every way that makes a difference to it.

    Args:
        disk: an empty folder on another file system, None where there is none.
    """
    found = [Case(scenario, Way()) for scenario in SCENARIOS.values()]
    linked = ("review", "crop", "apply", "undo review", "undo apply", "recover review")
    found += [Case(SCENARIOS[name], Way("by links", link=True)) for name in linked]
    found += [Case(SCENARIOS[name], Way("by copies", copy=True)) for name in linked]
    found.append(Case(SCENARIOS["review"], Way("by copies, put back", copy=True, closed="crop")))
    found.append(Case(SCENARIOS["review"], Way("put back", closed="crop")))
    elsewhere = ("review", "undo review", "recover review", "crop") if disk is not None else ()
    found += [Case(SCENARIOS[name], Way("other disk", disk=disk)) for name in elsewhere]
    # what a crop leaves aside is copied, both ways
    aside = Way("aside on other disk", disk=disk, elsewhere=("crop_originals", "delete_staging"))
    found += [Case(SCENARIOS[name], aside) for name in (("crop", "back crop") if disk is not None else ())]
    return found


def at_random(benches: Sequence[Bench], rng: random.Random) -> Iterator[Killed]:
    """Kills without end, of commands drawn at random: at a step or at a moment, every third one's recovery as well."""
    while True:
        bench = rng.choice(benches)
        again = rng.randint(1, bench.count) if rng.random() < 1 / 3 else None
        if rng.random() < 0.5:
            yield bench.kill_at(rng.randint(1, bench.count), again)
        else:
            found = bench.kill_after(rng.uniform(0, bench.seconds), again)
            if found is not None:
                yield found
