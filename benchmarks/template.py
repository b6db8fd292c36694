"""Crops found in their originals' pixels, next to the plain way: skimage's `match_template` on the full-size images.

The demo's images, cropped to the hidden reviewer's boxes and saved in their own format (JPEG at quality 92), are looked
for in their originals. A crop counts when every edge is within 2 pixels; the others are listed with their reason. The
plain way takes the highest correlation wherever it is, checks nothing, and is timed on a few images only.

    python benchmarks/template.py [--quick]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
from PIL import Image
from skimage.feature import match_template

from _measure import finish, median, seconds, table
from pickroom.core.geometry import PixelBox, to_pixels
from pickroom.demo.plan import DemoConfig
from pickroom.demo.project import IMAGES_FOLDER, make_images
from pickroom.history.pairing import match_files
from pickroom.history.template import MIN_SCORE, TOLERANCE

T = TypeVar("T")

AT_LEAST = 0.99  # of the crops within TOLERANCE
PLAIN = 8  # images that the plain way is tried on


def make_pairs(home: Path, config: DemoConfig) -> list[tuple[Path, Path, PixelBox]]:
    """(original, its crop, where it was cut) of every crop of a demo; full frames are none."""
    truths = make_images(home, config)
    files = {path.name: path for path in (home / IMAGES_FOLDER).rglob("*.*")}
    pairs = []
    (home / "final").mkdir()
    for truth in truths:
        if truth.box is None:
            continue
        original = files[truth.images[truth.pick]]
        with Image.open(original) as opened:
            image = opened.convert("RGB")
        pixels = to_pixels(truth.box, *image.size)
        if pixels == (0, 0, *image.size):
            continue
        final = home / "final" / original.name
        image.crop(pixels).save(final, quality=92)
        pairs.append((original, final, pixels))
    return pairs


def within(found: PixelBox | None, true: PixelBox) -> bool:
    return found is not None and max(abs(a - b) for a, b in zip(found, true, strict=True)) <= TOLERANCE


def plain(original: Path, final: Path) -> PixelBox:
    whole, part = (np.asarray(Image.open(path).convert("L"), dtype=np.float32) for path in (original, final))
    scores = match_template(whole, part)
    y, x = np.unravel_index(int(np.argmax(scores)), scores.shape)
    return int(x), int(y), int(x) + part.shape[1], int(y) + part.shape[0]


def timed(run: Callable[[], T]) -> tuple[T, float]:
    """What a call gives, and the seconds it took."""
    given: list[T] = []
    took = seconds(lambda: given.append(run()))
    return given[0], took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="30 groups of small images")
    quick = parser.parse_args().quick
    groups, side = (30, 320) if quick else (150, 1024)
    config = DemoConfig(
        groups=groups, seed=7, long_side=side, crop_rate=1.0, reject_rate=0.0, full_frame_rate=0.05, png_level=0
    )
    with tempfile.TemporaryDirectory() as folder:
        pairs = make_pairs(Path(folder), config)
        right, times, scores, listed = 0, [], [], []
        for original, final, true in pairs:
            match, took = timed(lambda pair=(original, final): match_files(*pair, "demo", pair[0].name))
            times.append(took)
            with Image.open(original) as image:
                size = image.size
            box = None if match.box is None else to_pixels(match.box, *size)
            if within(box, true):
                right += 1
                scores.append(match.score)
            else:
                listed.append(f"{original.name}: cut at {true}, found {box}; {match.reason or 'WRONG'}")
        plain_right, plain_times = 0, []
        for original, final, true in pairs[:PLAIN]:
            place, took = timed(lambda pair=(original, final): plain(*pair))
            plain_times.append(took)
            plain_right += within(place, true)
    share = right / len(pairs)
    rows = [
        ("", "Pickroom", "match_template, full size"),
        (f"within {TOLERANCE} px", f"{right} of {len(pairs)}", f"{plain_right} of {len(plain_times)}"),
        ("lowest score", f"{min(scores, default=0):.4f}", f"({MIN_SCORE} is asked for)"),
        ("a crop, decoding too", f"{median(times) * 1000:.0f} ms", f"{median(plain_times) * 1000:.0f} ms"),
    ]
    table(f"Crops of {groups} groups, long side {side} px (load {os.getloadavg()[0]:.1f})", rows)
    for line in listed:
        print(f"  not found: {line}")
    missed = [f"{share:.3f} within {TOLERANCE} px < {AT_LEAST}"] if share < AT_LEAST else []
    figures = {
        "crops": len(pairs),
        "within_2px": share,
        "listed": len(listed),
        "lowest_score": min(scores, default=0),
        "median_s": median(times),
        "plain_median_s": median(plain_times),
        "plain_within_2px": plain_right / len(plain_times),
    }
    finish(figures, missed)


if __name__ == "__main__":
    main()
