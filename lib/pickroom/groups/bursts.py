"""Bursts: photographs of one camera, close in time, that look alike (FORMATS.md, Groups by capture time). Pure.

Images are divided by time first and by looks second, as in Loui and Savakis, "Automated event clustering and quality
screening of consumer pictures for digital albuming" (IEEE Transactions on Multimedia 5, 2003). Only neighbours in time
are compared, so that a burst is one run of consecutive images: two bursts never interleave. The longer the pause, the
more similar the next image must be; images within two seconds belong together unless their vectors differ.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np

from pickroom.core.records import Capture, Image, Ungrouped

ALONE = "no similar image within 5 minutes"


@dataclass(frozen=True, slots=True)
class Pause:
    """How similar two neighbours that are at most `longest` apart must be."""

    longest: timedelta
    cosine: float  # of their vectors, at least
    bits: int  # of 64 that differ between their perceptual hashes, at most: for images without a vector


# Cosines of the bundled encoder: two photographs of one thing from two sides have .65 at the median (5 %: .44), of two
# things .25 (99 %: .50), on 30 things photographed four times each. Perceptual hashes tell copies only: different
# photographs of one thing differ in 30 bits, as those of two things do; no two things come below 14.
PAUSES = (
    Pause(timedelta(seconds=2), 0.5, 64),
    Pause(timedelta(seconds=30), 0.75, 12),
    Pause(timedelta(minutes=5), 0.88, 8),
)


Taken = tuple[datetime, Image]


def group_by_capture(
    images: Iterable[Image],
    captures: Mapping[str, Capture],
    vector: Callable[[Image], np.ndarray | None],
    fingerprint: Callable[[Image], int | None],
) -> tuple[list[tuple[Image, ...]], list[Ungrouped]]:
    """The bursts, of two images or more, and every other image with its reason.

    The bursts come by folder and then by time, their images by time and name.

    Args:
        captures: by content.
        vector: (D,) of an image, all of one encoder; None where there is none.
        fingerprint: its 64-bit perceptual hash, None where it has none; asked for only where it decides.
    """

    def linked(before: Taken, after: Taken) -> bool:
        pause = next((pause for pause in PAUSES if after[0] - before[0] <= pause.longest), None)
        if pause is None:
            return False
        one, two = vector(before[1]), vector(after[1])
        if one is not None and two is not None:
            norm = float(np.linalg.norm(one) * np.linalg.norm(two))
            return norm > 0 and float(one @ two) / norm >= pause.cosine
        if pause is PAUSES[0]:  # by time alone: a hash could not contradict it
            return True
        first, second = fingerprint(before[1]), fingerprint(after[1])
        return first is not None and second is not None and (first ^ second).bit_count() <= pause.bits

    by_camera: dict[tuple[str, str, str], list[Taken]] = defaultdict(list)
    left_out: list[Ungrouped] = []
    for image in images:
        said = captures.get(image.sha256, Capture())
        if said.captured_at is None:
            left_out.append(Ungrouped(image.directory, image.filename, "no capture time in the file"))
        else:
            by_camera[image.directory, said.camera or "", said.serial or ""].append((said.captured_at, image))
    bursts: list[list[Taken]] = []
    for taken in by_camera.values():
        before = None
        for one in sorted(taken, key=_order):
            if before is not None and linked(before, one):
                bursts[-1].append(one)
            else:
                bursts.append([one])
            before = one
    left_out += [Ungrouped(one.directory, one.filename, ALONE) for ((_, one), *others) in bursts if not others]
    bursts.sort(key=lambda burst: (burst[0][1].directory, *_order(burst[0])))
    return [tuple(image for _, image in burst) for burst in bursts if len(burst) > 1], left_out


def _order(taken: Taken) -> tuple[datetime, str]:
    return taken[0], taken[1].filename
