"""Opening a deck of 100 groups whose thumbnails exist, next to the plain way: decode and shrink them at page load.

Ours opens the session (queue, choices, recommendations), builds the deck's widgets, and reads the previews of the
first group and of those it prefetches. The plain way is what the earlier system did: Pillow opens each image of the
batch, shrinks it to 1024 pixels and encodes it (LESSONS.md, Using it).

    python benchmarks/deck_open.py [--quick]
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from _measure import finish, median, seconds, table
from pickroom.app.widgets.deck import Deck
from pickroom.demo.plan import DemoConfig
from pickroom.sessions.review.session import ReviewSession
from pickroom.store.workspace import Project, Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from support.simulated import start_simulated

TARGET_S = 1.0  # REVIEW.md, Speed
PREFETCHED = 4  # groups whose previews are read at once: the one shown and those behind it


def ours(project: Project) -> float:
    def run() -> None:
        session = ReviewSession(project)
        Deck(session)
        for position in range(PREFETCHED):
            group = session.group_at(position)
            for image in group.images if group else ():
                session.picture(image, "preview")
        session.close()

    return seconds(run)


def plain(project: Project) -> float:
    session = ReviewSession(project)
    paths = [project.path(g.directory, name) for g in session.groups for name in g.filenames]
    session.close()

    def run() -> None:
        for path in paths:
            with Image.open(path) as image:
                small = image.convert("RGB")
                small.thumbnail((1024, 1024))
                small.save(io.BytesIO(), "JPEG", quality=85)

    return seconds(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="10 groups")
    quick = parser.parse_args().quick
    count = 10 if quick else 100
    with tempfile.TemporaryDirectory() as home:
        project = start_simulated(Workspace(Path(home)), DemoConfig(groups=count))
        ours(project)  # imports and the file cache warm for both
        mine = median([ours(project) for _ in range(5)])
        theirs = plain(project)
    rows = [
        ("", "Pickroom", "decode at page load"),
        (f"open a deck of {count} groups", f"{mine:.3f} s", f"{theirs:.2f} s"),
        ("ratio", f"{mine / theirs:.3f}", "1"),
    ]
    table("Opening a deck", rows)
    missed = [f"{mine:.2f} s > {TARGET_S} s"] if mine > TARGET_S else []
    finish({"open_s": mine, "plain_s": theirs, "ratio": mine / theirs, "groups": count}, missed)


if __name__ == "__main__":
    main()
