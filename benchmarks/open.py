"""From "I have a folder" to the first picture, in a real Chromium: `pickroom open` on folders of photographs.

First the demo, until its first group is painted. Then, of each folder: until the server listens, until all pictures of
the first group are painted, and until everything is read, embedded and grouped. Nothing in an earlier workspace helps:
each has a home of its own.

    python benchmarks/open.py [--files DIR] [--quick]

The folder is filled with copies of the photographs of `--files` (else of the demo's), each with a capture time of its
own, so that contents differ and there are bursts of 2-6.
"""

from __future__ import annotations

import argparse
import io
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image as PillowImage
from PIL.ExifTags import IFD, Base

from _measure import finish, table
from _photographs import photographs
from pickroom.indexing.opening import job_name
from pickroom.learn import progress
from pickroom.store.workspace import Workspace

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
from browser.lab import open_browser

TARGETS_S = {200: 6.0, 10_000: 12.0}  # to the first painted picture, on two quiet cores
DEMO_TARGET_S = 60.0  # the same of the demo, from an installed environment
SIDE = 2_000  # pixels of the photographs, at most
START = datetime(2024, 5, 6, 9, 0, 0)
PAINTED = """() => { const stage = document.querySelector('.pickroom-image-view')?.dataset;
    return stage?.settled && stage.images > 0 && stage.drawn === stage.images; }"""


def sources(folder: Path | None) -> list[bytes]:
    """Photographs as JPEG files without metadata."""
    found = []
    for picture in photographs(folder, SIDE).values():
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=90)
        found.append(buffer.getvalue())
    return found


def fill(folder: Path, count: int, pictures: Sequence[bytes]) -> None:
    """Bursts of 2-6 copies of one photograph, a second apart; ten minutes between two bursts."""
    folder.mkdir()
    at, left, burst = START, 0, 0
    for number in range(count):
        if not left:
            at, left, burst = at + timedelta(minutes=10), 2 + burst % 5, burst + 1
        exif = PillowImage.Exif()
        exif[Base.Model] = "Benchmark"
        exif.get_ifd(IFD.Exif).update({Base.DateTimeOriginal: f"{at:%Y:%m:%d %H:%M:%S}", Base.ImageNumber: number})
        block = b"Exif\0\0" + exif.tobytes().removeprefix(b"Exif\0\0")
        segment = b"\xff\xe1" + (len(block) + 2).to_bytes(2, "big") + block
        picture = pictures[burst % len(pictures)]
        (folder / f"IMG_{number:05d}.JPG").write_bytes(picture[:2] + segment + picture[2:])
        at, left = at + timedelta(seconds=1), left - 1


def measure(home: Path, *command: str) -> tuple[float, float, float]:
    """Seconds from a command to (the address, the first group painted, everything read)."""
    words = [sys.executable, "-m", "pickroom.cli", *command, "--no-browser", "--home", str(home)]
    began = time.monotonic()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            address = next(found[0] for line in server.stdout if (found := re.search(r"http\S+", line)))
            listening = time.monotonic() - began
            with open_browser() as browser:
                page = browser.new_page(viewport={"width": 1280, "height": 800})
                page.goto(address)
                page.wait_for_function(PAINTED, timeout=60_000, polling=20)
                painted = time.monotonic() - began
            if command[0] == "demo":  # nothing is left to the background
                return listening, painted, painted
            workspace = Workspace(home)
            (project_id,) = workspace.project_ids()
            last = progress.follow(workspace, job_name(project_id), lambda status: None)
            assert last is not None and last.state == "done", last
            return listening, painted, time.monotonic() - began
        finally:
            server.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--files", type=Path, help="photographs of one's own")
    parser.add_argument("--quick", action="store_true", help="200 images only")
    given = parser.parse_args()
    pictures = sources(given.files)
    rows = [("images", "server listens / first group painted", "all read, embedded and grouped")]
    figures: dict[str, float] = {}
    missed = []
    with tempfile.TemporaryDirectory(prefix="pickroom-open-") as folder:
        listening, demo_s, _ = measure(Path(folder), "demo")
    print(f"pickroom demo: server listens after {listening:.1f} s, first group painted after {demo_s:.1f} s")
    figures["painted_demo_s"] = demo_s
    if demo_s > DEMO_TARGET_S:
        missed.append(f"demo: {demo_s:.1f} s to the first group, {DEMO_TARGET_S:g} s at most")
    for count in (200,) if given.quick else (200, 2_000, 10_000):
        with tempfile.TemporaryDirectory(prefix="pickroom-open-") as folder:
            fill(Path(folder, "card"), count, pictures)
            listening, painted, done = measure(Path(folder, "home"), "open", str(Path(folder, "card")))
        rows.append((f"{count:,}", f"{listening:.1f} s / {painted:.1f} s", f"{done:.0f} s"))
        figures |= {f"painted_{count}_s": painted, f"done_{count}_s": done}
        if painted > TARGETS_S.get(count, painted):
            missed.append(f"{count} images: {painted:.1f} s to the first picture, {TARGETS_S[count]:g} s at most")
    table("pickroom open FOLDER, from the command on", rows)
    finish(figures, missed)


if __name__ == "__main__":
    main()
