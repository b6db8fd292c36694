"""Importing old CSV logs beside two plain ways: a committed INSERT a row, and `executemany` on tuples made ready.

The committed INSERTs read with `csv.DictReader` and are timed on the first rows only (each costs a sync of the disk).
`executemany` neither reads nor checks anything: its tuples are the imported rows themselves, into the same table, in
one transaction; the ratio is the price of reading, checking and comparing. Ours is the whole import of a file (report,
resolving repeats, writing), in a process of its own, so that its peak memory is its own too.

    python benchmarks/import_csv.py [--quick]
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

from _measure import finish, peak_mib, seconds, table
from pickroom.store.legacy import connect_legacy

AT_LEAST_ROWS_PER_S = 8_500  # a million rows in about two minutes
AT_MOST_MIB = 300.0  # peak memory, whatever the number of rows
RUNS = 3
FIRST = datetime(2025, 7, 5, 4, 6, 6)
INSERTS = {"legacy_selections": 6, "legacy_crops": 9}  # columns

SELECTION_HEADER = ("session_id", "set_id", "chosen_path", "neg_paths", "timestamp")
CROP_HEADER = (
    *("session_id", "set_id", "directory", "image_count", "chosen_index", "chosen_path"),
    *("crop_x1", "crop_y1", "crop_x2", "crop_y2", "timestamp", "image_0_path", "image_0_stage", "width_0", "height_0"),
    *("image_1_path", "image_1_stage", "width_1", "height_1"),
)


def selection_rows(count: int) -> Iterator[tuple]:
    """Rows as the earlier system logged them: three stages of one image, one chosen; one row in a thousand is dirty."""
    for number in range(count):
        taken = FIRST + timedelta(seconds=300 * number)
        names = [
            f"{taken + timedelta(seconds=after):%Y%m%d_%H%M%S}_stage{stage}"
            for after, stage in ((0, "1_generated"), (30, "1.5_face_swapped"), (170, "2_upscaled"))
        ]
        paths = [f"PROJECT_ROOT/training data/mojo1/{name}.png" for name in names]
        chosen = paths.pop(number % 3)
        moment = (FIRST + timedelta(seconds=4.1 * number)).isoformat() + "Z"
        if number % 1000 == 7:
            moment = "yesterday"
        yield ("20251004_231807", f"group_{number}", chosen, json.dumps(paths), moment)


def crop_rows(count: int) -> Iterator[tuple]:
    """One crop a row in pixels, as the crop tool logged them; one file in a hundred was opened again."""
    for number in range(count):
        taken = FIRST + timedelta(seconds=300 * (number - (number % 100 == 99)))
        path = f"crop/{taken:%Y%m%d_%H%M%S}_stage3_enhanced.png"
        x, y, side = number % 900, number % 700, 1500 + number % 600
        moment = (FIRST + timedelta(seconds=11.3 * number)).isoformat() + "Z"
        box = (float(x), float(y), float(x + side), float(y + side))
        image = (path, "stage3_enhanced", 3072, 3072)
        yield ("2025-10-08 14:46:56", f"crop_{number}", "crop", 1, 0, path, *box, moment, *image, "", "", "", "")


def write_log(path: Path, header: tuple[str, ...], rows: Iterator[tuple]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)  # ends lines in CRLF, as the samples do
        writer.writerow(header)
        writer.writerows(rows)


def ours(log: Path, home: Path) -> tuple[float, float]:
    """Seconds of the import, and the peak memory in MiB of the process that ran it."""
    command = [sys.executable, __file__, "--import-one", str(log), str(home)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=os.environ)
    took, peak = json.loads(done.stdout)
    return took, peak


def import_one(log: Path, home: Path) -> None:
    from pickroom.history.importing import read_logs
    from pickroom.store.workspace import Workspace

    started = time.perf_counter()
    with read_logs(Workspace(home), [log], "mojo1") as found:
        found.write()
    took = time.perf_counter() - started
    report = found.report
    assert report.rows == report.imported + report.skipped.total()
    print(json.dumps([took, peak_mib()]))


def executemany(database: Path, name: str, imported: Path) -> float:
    """Seconds for the rows that the import wrote, as tuples in memory, in one transaction."""
    with sqlite3.connect(imported) as source:
        rows = source.execute(f"SELECT * FROM {name}").fetchall()
    source.close()
    connection = connect_legacy(database)
    marks = ", ".join("?" * INSERTS[name])

    def run() -> None:
        connection.execute("BEGIN")
        connection.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
        connection.execute("COMMIT")

    took = seconds(run)
    connection.close()
    return took


def committed(database: Path, name: str, log: Path, count: int) -> float:
    """Seconds for the first rows: read by name, a little cutting, one committed INSERT each."""
    connection = connect_legacy(database)
    marks = ", ".join("?" * INSERTS[name])
    make = plain_selection if name == "legacy_selections" else plain_crop

    def run() -> None:
        with log.open(newline="", encoding="utf-8") as file:
            for line, row in zip(range(2, count + 2), csv.DictReader(file), strict=False):
                connection.execute(f"INSERT OR IGNORE INTO {name} VALUES ({marks})", make(row, log.name, line))

    took = seconds(run)
    connection.close()
    return took


def plain_selection(row: dict[str, str], file: str, line: int) -> tuple:
    others = json.dumps([Path(path).name for path in json.loads(row["neg_paths"])])
    return "mojo1", Path(row["chosen_path"]).name, others, row["timestamp"], file, line


def plain_crop(row: dict[str, str], file: str, line: int) -> tuple:
    width, height = int(row["width_0"]), int(row["height_0"])
    edges = zip(("x1", "y1", "x2", "y2"), (width, height) * 2, strict=True)
    box = json.dumps([float(row[f"crop_{edge}"]) / size for edge, size in edges])
    return "mojo1", Path(row["chosen_path"]).name, box, width, height, None, row["timestamp"], file, line


def compare(name: str, write: Callable[[Path, int], None], count: int, few: int) -> dict[str, float]:
    """One format: our rate, and how it compares, all on the same file."""
    with tempfile.TemporaryDirectory() as folder:
        home, log = Path(folder), Path(folder) / "log.csv"
        write(log, count)
        imported = home / "data/training/ai_training_decisions/mojo1_legacy.db"
        took, many, peak = math.inf, math.inf, 0.0
        for turn in range(RUNS):  # in turns, and the best of each: what else runs here then meets both
            imported.unlink(missing_ok=True)
            again, peak = ours(log, home)
            took = min(took, again)
            many = min(many, executemany(home / f"many{turn}.db", name, imported))
        one_by_one = committed(home / "one.db", name, log, few)
        write(log, count // 10)
        imported.unlink()
        _, smaller_peak = ours(log, home)
    figures = {
        "import_s": took,
        "rows_per_s": count / took,
        "executemany_s": many,
        "of_executemany": many / took,
        "committed_rows_per_s": few / one_by_one,
        "times_committed": count / took * one_by_one / few,
        "peak_mib": peak,
        "tenth_peak_mib": smaller_peak,
    }
    rows = [
        ("", "Pickroom", "plain"),
        (f"{count:,} rows", f"{took:.1f} s", f"{many:.1f} s executemany"),
        ("rows a second", f"{count / took:,.0f}", f"{few / one_by_one:,.0f} committed one by one"),
        ("of executemany", f"{many / took:.2f}", "1"),
        ("times committed", f"{figures['times_committed']:.1f}", "1"),
        ("peak memory", f"{peak:.0f} MiB", f"{smaller_peak:.0f} MiB for a tenth of the rows"),
    ]
    table(f"Import into {name} (load {os.getloadavg()[0]:.1f})", rows)
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="200,000 rows")
    parser.add_argument("--import-one", nargs=2, type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.import_one:
        import_one(*args.import_one)
        return
    count, few = (200_000, 1000) if args.quick else (1_000_000, 3000)
    formats: dict[str, Callable[[Path, int], None]] = {
        "legacy_selections": lambda path, n: write_log(path, SELECTION_HEADER, selection_rows(n)),
        "legacy_crops": lambda path, n: write_log(path, CROP_HEADER, crop_rows(n)),
    }
    figures, missed = {}, []
    for name, write in formats.items():
        found = compare(name, write, count, few)
        figures |= {f"{name.removeprefix('legacy_')}_{key}": value for key, value in found.items()}
        if found["rows_per_s"] < AT_LEAST_ROWS_PER_S:
            missed.append(f"{name}: {found['rows_per_s']:,.0f} rows a second < {AT_LEAST_ROWS_PER_S:,}")
        if found["peak_mib"] > AT_MOST_MIB:
            missed.append(f"{name}: {found['peak_mib']:.0f} MiB > {AT_MOST_MIB}")
    finish(figures, missed)


if __name__ == "__main__":
    main()
