"""The settings of the demo, each with its unit, and the random streams that make it deterministic."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np

from pickroom.core.errors import UsageError

DEFECT_KINDS = ("smear", "duplicate", "ringing", "blown_out", "wrong_colour", "swirl", "noise_band")

SIDE_STEP = 8  # pixels; image generators work in multiples of 8, and 5/4 of one is still a whole number
MAX_GROUPS = 1_000_000  # at 8 minutes a group the time stamps span 15 years: any more is a typing error
MIN_SIDE, MAX_SIDE = 96, 2048


@dataclass(frozen=True)
class DemoConfig:
    """What `make_images` makes. The first n groups of a larger demo are the groups of a demo of n.

    Raises:
        UsageError: a value is out of its range.
    """

    groups: int = 60  # groups of 2-4 images
    seed: int = 1  # >= 0; same seed and settings, same bytes
    long_side: int = 1024  # pixels, stages 1 and 1.5; stages 2 and 3 are 5/4 of it
    anomaly_rate: float = 0.2  # share of groups whose higher stages have a defect: the pick is a lower stage
    reject_rate: float = 0.05  # share of groups with defects in every stage
    crop_rate: float = 0.3  # share of the rest that is framed loosely, so that the reviewer crops
    full_frame_rate: float = 0.08  # share of crops that keep the full frame (LESSONS: 7.8 % of 7,099 real crops)
    jpeg_rate: float = 0.5  # share of groups stored as JPEG; the others are PNG
    caption_rate: float = 0.3  # share of groups that have `.caption` files beside the YAML
    defect_kinds: tuple[str, ...] = DEFECT_KINDS  # the kinds to draw from
    png_level: int = 2  # zlib level 0-9; higher is smaller and much slower
    jpeg_quality: int = 92  # Pillow quality, 1-95

    def __post_init__(self) -> None:
        _require(1 <= self.groups <= MAX_GROUPS, "groups", self.groups, f"1 to {MAX_GROUPS}")
        _require(self.seed >= 0, "seed", self.seed, "0 or more")
        _require(MIN_SIDE <= self.long_side <= MAX_SIDE, "long_side", self.long_side, f"{MIN_SIDE} to {MAX_SIDE}")
        for field in fields(self):
            if field.name.endswith("_rate"):
                value = getattr(self, field.name)
                _require(math.isfinite(value) and 0 <= value <= 1, field.name, value, "0 to 1")
        known = bool(self.defect_kinds) and set(self.defect_kinds) <= set(DEFECT_KINDS)
        _require(known, "defect_kinds", self.defect_kinds, f"some of {', '.join(DEFECT_KINDS)}")
        _require(0 <= self.png_level <= 9, "png_level", self.png_level, "0 to 9")
        _require(1 <= self.jpeg_quality <= 95, "jpeg_quality", self.jpeg_quality, "1 to 95")


def _require(holds: bool, name: str, value: object, allowed: str) -> None:
    if not holds:
        raise UsageError(f"{name} cannot be {value!r}", doing="making the demo", hint=f"allowed: {allowed}")


def stream(*key: int) -> np.random.Generator:
    """The random numbers of one part of one group.

    Every part has its own stream, so that groups can be made in any order by any number of threads, and so
    that changing one rate leaves everything that it does not concern byte for byte as it was.
    """
    return np.random.default_rng(key)
