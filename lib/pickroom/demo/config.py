"""The settings of the demo, each with its unit, and the random streams that make it deterministic."""

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
    defect_kinds: tuple[str, ...] = DEFECT_KINDS  # the kinds to draw from

    def __post_init__(self) -> None:
        kinds = bool(self.defect_kinds) and set(self.defect_kinds) <= set(DEFECT_KINDS)
        allowed = {
            "groups": (1 <= self.groups <= MAX_GROUPS, f"1 to {MAX_GROUPS}"),
            "seed": (self.seed >= 0, "0 or more"),
            "long_side": (MIN_SIDE <= self.long_side <= MAX_SIDE, f"{MIN_SIDE} to {MAX_SIDE}"),
            "defect_kinds": (kinds, f"some of {', '.join(DEFECT_KINDS)}"),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            holds, range_ = allowed.get(field.name) or (math.isfinite(value) and 0 <= value <= 1, "0 to 1")
            if not holds:
                what = f"{field.name} cannot be {value!r}"
                raise UsageError(what, doing="making the demo", hint=f"allowed: {range_}")


def stream(*key: int) -> np.random.Generator:
    """The random numbers of one part of one group.

    Each part has its own, so that threads make groups in any order, and a rate changes only what it concerns.
    """
    return np.random.default_rng(key)
