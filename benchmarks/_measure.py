"""What the benchmarks share: timing in turns, peak memory, a table, and the closing line of JSON."""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def seconds(run: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def peak_mib() -> float:
    """The most memory that this process has held, in MiB."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss on Linux also counts what the parent held when it started this process
        (line,) = [line for line in status.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1 << 20)  # macOS counts in bytes


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
