"""A finalise of 100 groups (rows and moves) next to the plain way: `shutil.move` and a committed INSERT a group.

The plain way keeps no journal, checks nothing, syncs nothing and cannot be undone: the ratio is the price of that.
Both run on the same files, made anew for each run.

    python benchmarks/finalise.py [--quick]
"""

from __future__ import annotations

import argparse
import shutil
import sqlite3
import tempfile
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image

from _measure import finish, median, seconds, table
from pickroom.indexing import projects
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Workspace

TARGET = 2.0  # times the plain way, at the most
STAGES = ((1.0, "generated"), (1.5, "face_swapped"), (2.0, "upscaled"))


def make_files(folder: Path, count: int) -> list[list[str]]:
    """`count` groups of three small PNG files, each with a YAML companion."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    made = []
    for number in range(count):
        names = []
        for place, (stage, word) in enumerate(STAGES):
            moment = datetime(2025, 8, 3) + timedelta(minutes=20 * number + place)
            name = f"{moment:%Y%m%d_%H%M%S}_stage{stage:g}_{word}"
            Image.fromarray(rng.integers(0, 255, (64, 48, 3), dtype=np.uint8)).save(folder / f"{name}.png")
            (folder / f"{name}.yaml").write_text(f"seed: {number}\n")
            names.append(f"{name}.png")
        made.append(names)
    return made


def prepared(home: Path, count: int) -> ReviewSession:
    """A review whose every group is picked; a third of them also sent to the crop desk."""
    make_files(home / "images", count)
    project, _ = projects.start(Workspace(home), "bench", home / "images")
    session = ReviewSession(project, batch_size=count)
    for number in range(count):
        session.press("q" if number % 3 == 0 else "2")
    return session


def ours(count: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        session = prepared(Path(home), count)
        session.press("Shift+Enter")  # the summary
        took = seconds(lambda: session.press("Shift+Enter"))
        assert session.last_result is not None and sum(session.last_result.counts.values()) == count
        session.close()
    return took


def plain(count: int) -> float:
    with tempfile.TemporaryDirectory() as home:
        root = Path(home) / "images"
        made = make_files(root, count)
        for folder in ("selected", "crop", "delete_staging"):
            (root / folder).mkdir()
        connection = sqlite3.connect(Path(home) / "plain.db")
        connection.execute("CREATE TABLE decisions (group_id TEXT PRIMARY KEY, images TEXT, pick INTEGER, action TEXT)")

        def run() -> None:
            for number, names in enumerate(made):
                pick, target = (0, "crop") if number % 3 == 0 else (1, "selected")
                row = (str(number), ",".join(names), pick, target)
                connection.execute("INSERT INTO decisions VALUES (?, ?, ?, ?)", row)
                connection.commit()
                for place, name in enumerate(names):
                    folder = target if place == pick else "delete_staging"
                    for file in (name, name.replace(".png", ".yaml")):
                        shutil.move(root / file, root / folder / file)

        took = seconds(run)
        connection.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="20 groups and one run")
    quick = parser.parse_args().quick
    count, runs = (20, 1) if quick else (100, 5)
    pairs = [(ours(count), plain(count)) for _ in range(runs)]  # in turns, so that both meet the same weather
    mine, theirs = median([p[0] for p in pairs]), median([p[1] for p in pairs])
    rows = [
        ("", "Pickroom", "shutil.move + INSERT"),
        (f"{count} groups, {count * 6} files", f"{mine * 1000:.0f} ms", f"{theirs * 1000:.0f} ms"),
        ("ratio", f"{mine / theirs:.2f}", "1"),
    ]
    table("Finalise", rows)
    missed = [f"ratio {mine / theirs:.2f} > {TARGET}"] if mine / theirs > TARGET else []
    finish({"finalise_s": mine, "plain_s": theirs, "ratio": mine / theirs, "groups": count}, missed)


if __name__ == "__main__":
    main()
