"""The demo's settings, and the plan of each group with the simulated user's choice, before any rendering. Pure."""

import json
import math
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np

from pickroom.core.errors import UsageError
from pickroom.core.records import CropBox, UserAction
from pickroom.demo.photographs import GRADES, PHOTOGRAPHS, Aspect, Grade, Photograph

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
    anomaly_rate: float = 0.45  # share of groups whose higher stages have a defect: the pick is a lower stage
    reject_rate: float = 0.05  # share of groups with defects in every stage
    crop_rate: float = 0.3  # share of the rest that is framed loosely, so that the user crops
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


# The keys of this module's random streams: (seed, index, key); rendering has its own (stages.py).
_PLAN, _REVIEWER, _ORDER, _SHARE, _LOOK = 1, 2, 3, 4, 5
_LAST_RATE = 0.75  # share of these where only the last stage has it; else it begins at any stage but the first
_REJECT_DEFECTS = 3  # defects in every image of a group that is rejected
_JPEG_RATE, _CAPTION_RATE = 0.75, 0.3  # shares of groups that are JPEG, not PNG, and that have captions
_RUN = 20  # groups over which the rates hold, so that a small demo has its rejects and defects too

# Series and how often each occurs: mostly [1, 1.5, 2], as in real names; the others give groups of 2 and 4.
SERIES = ((1, 1.5, 2), (1, 1.5, 2, 3), (1, 2, 3), (1, 2), (1, 1.5))
_SERIES_WEIGHTS = (0.4, 0.25, 0.17, 0.12, 0.06)
WORDS = {1: "generated", 1.5: "face_swapped", 2: "upscaled", 3: "enhanced"}
UPSCALED = (2, 3)  # the stages at 5/4 of the first stages' size
_UPSCALE = 5 / 4

# Seconds from one stage to the next, and their spread (LESSONS.md: 30, 140, 150 on real data; 1 -> 2 is the sum of
# two). A group spans at most 368 s and the next begins after 420 s, so that groups neither join nor interleave.
_GAPS = {(1, 1.5): (30, 8), (1.5, 2): (140, 20), (2, 3): (150, 20), (1, 2): (170, 20)}
_FIRST = datetime(2025, 8, 3, 6, 54, 6)
_EVERY, _EVERY_SPREAD = 480, 60  # seconds between the first stages of two groups

# How much larger than its subject a picture is, and the smallest part of a photograph worth enlarging.
_LOOSE, _TIGHT = (1.6, 2.0), (1.1, 1.4)
_SMALLEST_WINDOW = 0.5

# LESSONS.md, Cropping: median scale .73, 64 % start at the top edge, the image's own aspect ratio.
_CROP_SCALE, _CROP_SCALE_SD = 0.73, 0.08
_CROP_SCALE_RANGE = (0.5, 0.95)
_AIM_SD = 0.02  # fraction of the image: inaccuracy of a careful hand
_SUBJECT_HEIGHT = 0.45  # of the box's height: the place of the subject's centre
_SNAP_TO_TOP = 0.17  # a box that would start above this starts at 0; set so that about 64 % do


@dataclass(frozen=True, slots=True)
class Truth:
    """The simulated user's choice for one group, a line of `demo_truth.jsonl`."""

    images: tuple[str, ...]  # file names in stage order, no paths
    pick: int  # 0-based into `images`; 0, a placeholder, for a reject (as in `ai_decisions`)
    action: UserAction
    box: CropBox | None = None  # the crop of the picked image; only for the action `crop`

    def to_json(self) -> str:
        """The line, with its newline."""
        box = self.box.to_list() if self.box else None
        return json.dumps({"images": list(self.images), "pick": self.pick, "action": self.action, "box": box}) + "\n"


@dataclass(frozen=True, slots=True)
class GroupPlan:
    """The plan of one group's files."""

    index: int
    photograph: Photograph
    # (left, top, right, bottom), fractions of the photograph: the part in the picture
    window: tuple[float, float, float, float]
    flip: bool
    hue: float  # degrees by which the colours turn, before the grade
    grade: Grade
    first_size: tuple[int, int]  # (width, height) in pixels of stages 1 and 1.5; `size` of the others
    stages: tuple[float, ...]
    jpeg: bool
    captions: bool
    subject: CropBox  # where the eye goes, as fractions of the finished picture
    # the kinds of the defects that begin at each stage; later stages inherit them
    defects: dict[float, tuple[str, ...]]
    truth: Truth

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels of the upscaled stages."""
        return round(self.first_size[0] * _UPSCALE), round(self.first_size[1] * _UPSCALE)

    def size_of(self, stage: float) -> tuple[int, int]:
        return self.size if stage in UPSCALED else self.first_size


def plan_group(config: DemoConfig, index: int) -> GroupPlan:
    """Decide group `index` (0-based); it depends on the settings and the index only, not on other groups."""
    rng = stream(config.seed, index, _PLAN)
    number = _turn(config.seed, index, len(PHOTOGRAPHS), _ORDER)
    photograph = PHOTOGRAPHS[number]
    stages = SERIES[rng.choice(len(SERIES), p=_SERIES_WEIGHTS)]
    aspect = photograph.aspects[rng.integers(len(photograph.aspects))]
    first_size = _size(aspect, config.long_side)
    flip = bool(rng.random() < 0.5)
    grade = GRADES[_turn(config.seed, index // len(PHOTOGRAPHS), len(GRADES), _LOOK, number)]
    hue = float(rng.uniform(-photograph.hue, photograph.hue))
    jpeg, captions = bool(rng.random() < _JPEG_RATE), bool(rng.random() < _CAPTION_RATE)
    extension = "jpg" if jpeg else "png"
    names = tuple(f"{stamp}_stage{s:g}_{WORDS[s]}.{extension}" for stamp, s in _stamps(index, stages, rng))

    reviewer = stream(config.seed, index, _REVIEWER)
    rejects = _share(config.seed, index, 0) < config.reject_rate
    finds_defect = _share(config.seed, index, 1) < config.anomaly_rate
    crops = _share(config.seed, index, 2) < config.crop_rate
    subject, window = _frame(photograph, first_size, crops, flip, rng)
    early = int(reviewer.integers(1, len(stages)))
    onset = len(stages) - 1 if reviewer.random() < _LAST_RATE else early  # where a defect begins, if there is one
    showing = [kind for kind in config.defect_kinds if kind not in photograph.hides] or config.defect_kinds
    kinds = tuple(str(kind) for kind in reviewer.choice(showing, size=_REJECT_DEFECTS))
    box = crop_box(subject, reviewer, config.full_frame_rate)

    defects: dict[float, tuple[str, ...]]
    if rejects:
        defects, truth = {stages[0]: kinds}, Truth(names, 0, "reject")
    else:
        defects = {stages[onset]: kinds[:1]} if finds_defect else {}
        pick = onset - 1 if finds_defect else len(stages) - 1
        truth = Truth(names, pick, "crop", box) if crops else Truth(names, pick, "approve")
    appearance = (photograph, window, flip, hue, grade)
    return GroupPlan(index, *appearance, first_size, stages, jpeg, captions, subject, defects, truth)


def _turn(seed: int, index: int, of: int, *key: int) -> int:
    """Each run of so many indexes has every number below it once, in an order of its own."""
    run, place = divmod(index, of)
    return int(stream(seed, run, *key).permutation(of)[place])


def _share(seed: int, index: int, what: int) -> float:
    """A number in [0, 1), evenly spread over each run of groups, so that a rate is met exactly."""
    run, place = divmod(index, _RUN)
    rng = stream(seed, run, _SHARE, what)
    return float((rng.permutation(_RUN)[place] + rng.random(_RUN)[place]) / _RUN)


def _size(aspect: Aspect, long_side: int) -> tuple[int, int]:
    unit = max(SIDE_STEP, round(long_side / SIDE_STEP) * SIDE_STEP)
    width, height = (max(SIDE_STEP, round(unit * a / max(aspect) / SIDE_STEP) * SIDE_STEP) for a in aspect)
    return width, height


def _stamps(index: int, stages: tuple[float, ...], rng: np.random.Generator) -> list[tuple[str, float]]:
    at = _FIRST + timedelta(seconds=_EVERY * index + int(rng.integers(0, _EVERY_SPREAD + 1)))
    stamps = [(at, stages[0])]
    for before, after in pairwise(stages):
        gap, spread = _GAPS[before, after]
        at += timedelta(seconds=gap + int(rng.integers(-spread, spread + 1)))
        stamps.append((at, after))
    return [(f"{at:%Y%m%d_%H%M%S}", stage) for at, stage in stamps]


def _frame(
    photograph: Photograph, size: tuple[int, int], loose: bool, flip: bool, rng: np.random.Generator
) -> tuple[CropBox, tuple[float, float, float, float]]:
    """The subject as fractions of the picture, and the window of the photograph (in fractions of it).

    Tight: close around the subject. Loose: nearly everything, the subject off the centre, so that a crop makes sense.
    """
    source_width, source_height = photograph.size
    aspect = size[0] / size[1]
    widest = min(1.0, source_height * aspect / source_width)
    tallest = min(1.0, source_width / aspect / source_height)
    wanted = photograph.subjects[rng.integers(len(photograph.subjects))]
    # how much of the largest possible window the subject itself needs
    needed = max((wanted.x2 - wanted.x1) / widest, (wanted.y2 - wanted.y1) / tallest)
    zoom = float(np.clip(needed * rng.uniform(*(_LOOSE if loose else _TIGHT)), _SMALLEST_WINDOW, 1.0))
    width, height = widest * zoom, tallest * zoom
    aside = rng.choice((-1, 1)) * rng.uniform(0.1, 0.2) if loose else rng.uniform(-0.05, 0.05)
    below = rng.uniform(0.02, 0.14) if loose else rng.uniform(-0.04, 0.04)
    left = (wanted.x1 + wanted.x2) / 2 + aside * width - width / 2
    top = (wanted.y1 + wanted.y2) / 2 + below * height - height / 2
    left, top = float(np.clip(left, 0, 1 - width)), float(np.clip(top, 0, 1 - height))

    xs = np.clip([(wanted.x1 - left) / width, (wanted.x2 - left) / width], 0, 1)
    ys = np.clip([(wanted.y1 - top) / height, (wanted.y2 - top) / height], 0, 1)
    x1, x2 = (1 - xs[1], 1 - xs[0]) if flip else xs
    return CropBox(float(x1), float(ys[0]), float(x2), float(ys[1])), (left, top, left + width, top + height)


def crop_box(subject: CropBox, rng: np.random.Generator, full_frame_rate: float) -> CropBox:
    """The box that the simulated user draws around a subject: the image's aspect ratio, fractions to four decimals."""
    full = rng.random() < full_frame_rate
    scale = float(np.clip(rng.normal(_CROP_SCALE, _CROP_SCALE_SD), *_CROP_SCALE_RANGE))
    x1 = (subject.x1 + subject.x2) / 2 + rng.normal(0, _AIM_SD) - scale / 2
    y1 = (subject.y1 + subject.y2) / 2 + rng.normal(0, _AIM_SD) - scale * _SUBJECT_HEIGHT
    return CropBox(0.0, 0.0, 1.0, 1.0) if full else square_box(x1, 0.0 if y1 < _SNAP_TO_TOP else y1, scale)


def square_box(x1: float, y1: float, scale: float) -> CropBox:
    """The box of one scale on both axes (so of the image's aspect ratio), pushed inside the image."""
    scale = round(min(max(scale, 0.05), 1.0), 4)
    x1 = round(min(max(x1, 0.0), 1 - scale), 4)
    y1 = round(min(max(y1, 0.0), 1 - scale), 4)
    return CropBox(x1, y1, min(round(x1 + scale, 4), 1.0), min(round(y1 + scale, 4), 1.0))
