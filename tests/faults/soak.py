"""`make soak`: commands killed until so many kills have landed in the midst of a batch; prints where and at what cost.

    PYTHONPATH=tests python -m faults.soak --kills 1000 --seed 1

First every step of every command once, in random order, then steps and moments at random; every third recovery is
killed as well. Then a folder is taken away at random steps, a quarter as often, and brought back. Last a few kills of
`finish`, which takes long. A kill counts as inside when the database says so
afterwards: its steps are committed, and not all of them known to be taken. Exit code 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path

from faults.absence import at_random as at_random_absent
from faults.finishing import kill_finishes
from faults.kills import Bench, Killed, at_random, cases

_FINISHES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the soak; the exit code."""
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=1000, help="inside a commit")
    parser.add_argument("--seed", type=int, default=None, help="else drawn, and printed")
    given = parser.parse_args(arguments)
    seed = random.SystemRandom().randrange(10**6) if given.seed is None else given.seed
    print(f"seed {seed}", flush=True)
    since = time.monotonic()
    with ExitStack() as places:
        # memory, where there is such a disk: the promise is about processes, and a sync to memory costs nothing
        shared = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
        folder = Path(places.enter_context(tempfile.TemporaryDirectory(prefix="pickroom-soak-", dir=shared)))
        other = Path(places.enter_context(tempfile.TemporaryDirectory(prefix="pickroom-soak-")))
        disk = other if other.stat().st_dev != folder.stat().st_dev else None
        (folder / "templates").mkdir()
        benches = [Bench(case, folder, folder / "templates") for case in cases(disk)]
        moving = [b for b in benches if b.case.scenario.commits and not b.case.way.closed and b.case.way.disk is None]
        found = _until(given.kills, _kills(benches, random.Random(seed)))
        absences = list(itertools.islice(at_random_absent(moving, random.Random(seed)), given.kills // 4))
        finishes = kill_finishes(folder, random.Random(seed), _FINISHES)
    print("\n".join(table(found)))
    print(f"finish: {len(finishes)} kills, {sum(bool(f.problems) for f in finishes)} with a problem")
    print(f"folders taken away: {len(absences)}, {sum(bool(f.problems) for f in absences)} with a problem")
    bad = [(f.name, f.step, problem) for f in [*found, *finishes, *absences] for problem in f.problems]
    for name, step, problem in bad[:50]:
        print(f"PROBLEM {name} at {step}: {problem[:400]}")
    note = "" if disk else "; no other disk here: moves to one were left out"
    print(f"{time.monotonic() - since:.0f} s, seed {seed}{note}")
    return 1 if bad else 0


def _kills(benches: Sequence[Bench], rng: random.Random) -> Iterator[Killed]:
    every = [(bench, step) for bench in benches for step in range(1, bench.count + 1)]
    rng.shuffle(every)
    again = (rng.randint(1, bench.count) if rng.random() < 1 / 3 else None for bench, _ in every)
    first = (bench.kill_at(step, at) for (bench, step), at in zip(every, again, strict=True))
    return itertools.chain(first, at_random(benches, rng))


def _until(wanted: int, kills: Iterator[Killed]) -> list[Killed]:
    found: list[Killed] = []
    inside = 0
    while inside < wanted:
        found.append(next(kills))
        inside += found[-1].inside
        for problem in found[-1].problems:
            print(f"PROBLEM {found[-1].case.name}, {found[-1].step}: {problem[:400]}", file=sys.stderr, flush=True)
        if len(found) % 100 == 0:
            print(f"{len(found)} kills, {inside} inside a commit", file=sys.stderr, flush=True)
    return found


def table(found: Sequence[Killed]) -> list[str]:
    """Kills inside a commit by journal step and by command, and what they cost."""
    inside = Counter((f.step, f.case.scenario.name) for f in found if f.inside)
    commands = list(dict.fromkeys(name for _, name in sorted(inside, key=lambda k: k[1])))
    steps = sorted({step for step, _ in inside})
    wide = max(map(len, steps), default=4)
    lines = ["kills inside a commit, by the step that was not taken", f"{'':{wide}}   all"]
    lines[-1] += "".join(f"  {name}" for name in commands)
    for step in [*steps, ""]:
        counts = {name: sum(inside[one, name] for one in ([step] if step else steps)) for name in commands}
        cells = "".join(f"  {count or '':>{len(name)}}" for name, count in counts.items())
        lines.append(f"{step:{wide}} {sum(counts.values()):5}{cells}")
    ways = Counter(f.case.way.name or "rename" for f in found if f.inside)
    lines.append("by the way of the files: " + ", ".join(f"{name} {count}" for name, count in sorted(ways.items())))
    words = f"{len(found)} kills, {sum(inside.values())} inside a commit, "
    words += f"{sum(f.again for f in found)} with the recovery killed too: {sum(f.lost for f in found)} lost, "
    words += f"{sum(f.duplicated for f in found)} duplicated, {sum(f.half_moved for f in found)} half-moved, "
    lines.append(words + f"{sum(bool(f.problems) for f in found)} with any problem")
    return lines


if __name__ == "__main__":
    sys.exit(main())
