"""How time and memory grow with the number of images: from a thousand to a million real files.

Every image is a small real JPEG of its own content, in folders of ten thousand, and so its own preview. Each
step runs in a process of its own, so that its peak memory is its own. The exponent is that of the growth from one size
to the next: 1 is linear, 0 does not grow. It is that of the processor's seconds, which other programs on the machine do
not stretch; the clock's stand next to them. The alternative to each step is n log n, the most that is allowed.

    python benchmarks/scale.py [--quick] [--sizes 1000,10000,100000,1000000] [--home FOLDER] [--undecoded]

A million images take about 5 GB and a million inodes in the folder while they are measured, all removed afterwards.
Reading them all takes a good part of an hour; with --undecoded the first scan hashes each of them, but neither decodes
nor shrinks it, and everything else is measured as without it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

from _measure import finish, peak_mib, seconds
from _scale_files import make_images
from _scale_steps import STEPS, UNDECODED

SIZES, QUICK_SIZES = (1_000, 10_000, 100_000), (1_000, 10_000)
OPENS_WITHIN_S = 2.0  # a deck, at any size
AT_MOST_MIB = 2048.0
# a step shorter than this is mostly what every size costs alike
JUDGED_FROM_S = 0.5
WEATHER = 0.1  # of an exponent: caches of the processor and of the disk serve a small size better
DECKS = ("open_deck", "open_late")


@dataclass(frozen=True, slots=True)
class Taken:
    """What one step took at one size: by the clock, of the processor (all its threads), and in memory."""

    seconds: float
    cpu: float
    peak_mib: float


def run_step(step: str, home: Path) -> Taken:
    """One step in a process of its own."""
    command = [sys.executable, __file__, "--step", step, str(home)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{step}: {done.stderr.strip()}")
    return Taken(*json.loads(done.stdout.splitlines()[-1]))


def measure(folder: Path, size: int, undecoded: bool) -> dict[str, Taken]:
    """Every step on a project of `size` images, in a home of its own that is removed at the end."""
    home = folder / f"scale-{size}"
    try:
        took = seconds(lambda: make_images(home / "images", size))
        progress(f"{size:,} images made in {took:.0f} s")
        found = {}
        for step, (words, _) in STEPS.items():
            taken = run_step("undecoded" if undecoded and step == "scan" else step, home)
            progress(f"{size:,}: {step} {taken.seconds:.2f} s, {taken.peak_mib:.0f} MiB")
            if words is not None:
                found[step] = taken
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return found


def progress(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def exponent(smaller: float, larger: float, sizes: tuple[int, int]) -> float:
    """Of the growth between two sizes: t ~ n^exponent."""
    return math.log(larger / smaller) / math.log(sizes[1] / sizes[0])


def n_log_n(sizes: tuple[int, int]) -> float:
    """The exponent that n log n shows between two sizes."""
    return exponent(sizes[0] * math.log(sizes[0]), sizes[1] * math.log(sizes[1]), sizes)


def show(sizes: Sequence[int], found: dict[int, dict[str, Taken]]) -> None:
    """The table: a line a step, a column a size; growth between the sizes behind."""
    pairs = list(pairwise(sizes))
    head = ["", *(f"{size:,} images" for size in sizes), *(f"{a // 1000}k-{b // 1000}k" for a, b in pairs)]
    rows = [head]
    for step, (words, _) in STEPS.items():
        if words is None:
            continue
        taken = [found[size][step] for size in sizes]
        cells = [f"{one.seconds:.2f} s ({one.cpu:.2f}) {one.peak_mib:.0f} MiB" for one in taken]
        growth = [exponent(found[a][step].cpu, found[b][step].cpu, (a, b)) for a, b in pairs]
        rows.append([words, *cells, *(f"{one:.2f}" for one in growth)])
    rows.append(["n log n", *("" for _ in sizes), *(f"{n_log_n(pair):.2f}" for pair in pairs)])
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    print(
        f"Scale, {datetime.now(UTC):%Y-%m-%d}, {os.cpu_count()} cores: seconds (of the processor), peak memory, growth"
    )
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def misses(sizes: Sequence[int], found: dict[int, dict[str, Taken]]) -> list[str]:
    """Every target missed, in words."""
    missed = []
    for size in sizes:
        for step, taken in found[size].items():
            if taken.peak_mib > AT_MOST_MIB:
                missed.append(f"{step} at {size:,}: {taken.peak_mib:.0f} MiB > {AT_MOST_MIB:.0f}")
            if step in DECKS and taken.seconds > OPENS_WITHIN_S:
                missed.append(f"{step} at {size:,}: {taken.seconds:.2f} s > {OPENS_WITHIN_S}")
    for pair in pairwise(sizes):
        for step in found[pair[0]]:
            smaller, larger = (found[size][step].cpu for size in pair)
            grown, most = exponent(smaller, larger, pair), n_log_n(pair) + WEATHER
            if larger > JUDGED_FROM_S and grown > most:
                missed.append(f"{step} from {pair[0]:,} to {pair[1]:,}: exponent {grown:.2f} > {most:.2f}")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="1,000 and 10,000 images")
    parser.add_argument("--sizes", help="numbers of images, with commas between")
    parser.add_argument("--home", type=Path, help="a folder on a disk with room; else the temporary one")
    parser.add_argument("--undecoded", action="store_true", help="the first scan decodes no image")
    parser.add_argument("--step", nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        step, home = args.step
        run = UNDECODED[1] if step == "undecoded" else STEPS[step][1]
        print(json.dumps([*run(Path(home)), peak_mib()]))
        return
    sizes = sorted(int(size) for size in args.sizes.split(",")) if args.sizes else None
    sizes = sizes or list(QUICK_SIZES if args.quick else SIZES)
    with tempfile.TemporaryDirectory(prefix="pickroom-scale-", dir=args.home) as folder:
        found = {size: measure(Path(folder), size, args.undecoded) for size in sizes}
    if args.undecoded:
        STEPS["scan"] = UNDECODED
    show(sizes, found)
    figures = {
        f"{step}_{size}_{unit}": getattr(taken, name)
        for size in sizes
        for step, taken in found[size].items()
        for unit, name in (("s", "seconds"), ("cpu_s", "cpu"), ("mib", "peak_mib"))
    }
    for pair in pairwise(sizes):
        figures[f"n_log_n_{pair[0]}_{pair[1]}_exponent"] = n_log_n(pair)
    finish(figures, misses(sizes, found))


if __name__ == "__main__":
    main()
