"""What the benchmarks share: timing in turns, a table, and the closing line of JSON."""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(title: str, rows: Sequence[tuple[str, str, str]]) -> None:
    """Print rows of (what, ours, plain alternative)."""
    print(title)
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def finish(figures: dict[str, float], missed: Sequence[str]) -> None:
    """Name the targets missed, print the figures as one JSON line, and exit 1 if any was."""
    for target in missed:
        print(f"MISSED: {target}")
    print(json.dumps({key: round(value, 4) for key, value in figures.items()}))
    sys.exit(1 if missed else 0)
