"""The sources of the demo's pictures: ten photographs in `photos/`, and colour grades.

The README of `photos/` names their makers and licences. With grades, ten photographs give sixty different pictures.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance

from pickroom.core.records import CropBox

PORTRAIT, SQUARE, LANDSCAPE = (3, 4), (1, 1), (4, 3)
TALL, WIDE = (2, 3), (3, 2)
Aspect = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Photograph:
    """One base photograph."""

    file: str
    # (width, height) in pixels of the file, so that planning needs no file; a test holds it against the file
    size: tuple[int, int]
    folder: str  # the demo's sub-folder its groups go to
    # where the eye may go, as fractions of the photograph (set by hand); a group takes one
    subjects: tuple[CropBox, ...]
    hue: int  # degrees its colours may turn either way and still look right: little for skin, any way for paint
    aspects: tuple[Aspect, ...]  # width : height that suit it
    prompt: str  # a prompt for such a picture
    hides: tuple[str, ...] = ()  # kinds of defects that would be invisible in it

    @property
    def name(self) -> str:
        return Path(self.file).stem


_FOLDER = Path(__file__).parent / "photos"
_FACE, _ANY = (PORTRAIT, PORTRAIT, TALL, SQUARE), (SQUARE, LANDSCAPE, PORTRAIT)
_BROAD = (LANDSCAPE, WIDE, WIDE)
# the first fields of each, and its subjects in percent: x1 y1 x2 y2
_ROWS: tuple[tuple[str, tuple[int, int], str, int, tuple[Aspect, ...], str], ...] = (
    ("astronaut.png", (512, 512), "people", 12, _FACE, "22 2 72 60, 30 3 62 40, 10 2 95 98"),
    ("grace_hopper.jpg", (512, 600), "people", 12, _FACE, "28 2 75 62, 8 3 92 95"),
    ("chelsea.png", (451, 300), "people", 20, (LANDSCAPE, SQUARE, WIDE), "20 10 85 98, 24 12 60 62"),
    ("camera.png", (512, 512), "people", 0, (PORTRAIT, SQUARE, LANDSCAPE), "15 10 70 60, 30 12 68 45, 5 10 75 98"),
    ("china.jpg", (640, 427), "places", 25, (LANDSCAPE, WIDE, PORTRAIT, SQUARE), "13 6 55 90, 20 5 52 50"),
    ("rocket.jpg", (640, 427), "places", 30, (LANDSCAPE, PORTRAIT, SQUARE, TALL), "38 25 62 100, 25 60 75 100"),
    ("hubble_deep_field.jpg", (1000, 872), "places", 180, _ANY, "55 40 90 80, 8 5 45 45, 50 5 95 45, 10 50 50 95"),
    ("coffee.png", (600, 400), "things", 30, (LANDSCAPE, SQUARE, WIDE), "20 4 76 96, 30 5 66 60"),
    ("flower.jpg", (640, 427), "things", 180, (*_ANY, WIDE), "30 20 69 86, 36 28 64 72"),
    ("motorcycle_left.png", (741, 500), "things", 180, _BROAD, "14 12 94 95, 38 25 78 80, 58 20 95 95"),
)
_PROMPTS = (
    "portrait of a smiling astronaut in a pressure suit, flag and model shuttle behind",
    "official portrait of a navy officer with glasses and cap, plain backdrop",
    "close-up of a tabby cat with large eyes, shallow depth of field",
    "photographer in a dark coat behind a tripod, open lawn, towers far away",
    "ornate pagoda above a misty lake, green trees, hazy afternoon",
    "white rocket on its launch pad at dusk, floodlights, lattice towers",
    "deep field of distant galaxies, black sky, tiny coloured spirals",
    "espresso in a glazed cup on a wooden table, spoon on the saucer",
    "dahlia in full bloom, dark leaves behind, soft light",
    "motorcycle in a cluttered garage, shelves and a bench behind",
)
_HIDES = {"hubble_deep_field.jpg": ("smear", "ringing")}


def _boxes(percents: str) -> tuple[CropBox, ...]:
    return tuple(CropBox(*(int(edge) / 100 for edge in box.split())) for box in percents.split(", "))


PHOTOGRAPHS = tuple(
    Photograph(file, size, folder, _boxes(subjects), hue, aspects, prompt, _HIDES.get(file, ()))
    for (file, size, folder, hue, aspects, subjects), prompt in zip(_ROWS, _PROMPTS, strict=True)
)


@functools.cache
def load(photograph: Photograph) -> Pillow.Image:
    """The photograph as RGB, kept in memory (all ten are 10 MB); never to be changed in place."""
    with Pillow.open(_FOLDER / photograph.file) as image:
        return image.convert("RGB")


Tint = tuple[int, int, int]
_NONE = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Grade:
    """Three curves of 256 entries and a saturation: the same to the last bit on every machine.

    Attributes:
        prompt: how a prompt would ask for it.
        shadows, highlights: added to red, green, blue at black and at white, fading in between, 8-bit units.
        gamma: below 1 brightens the middle. contrast: 1 leaves it. saturation: 1 leaves it, 0 is grey.
        fade: how far black is lifted, 8-bit units.
    """

    prompt: str
    shadows: Tint = _NONE
    highlights: Tint = _NONE
    gamma: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    fade: int = 0

    def apply(self, image: Pillow.Image) -> Pillow.Image:
        """The graded copy of an RGB image."""
        if self.saturation != 1.0:
            image = ImageEnhance.Color(image).enhance(self.saturation)
        level = np.linspace(0.0, 1.0, 256)
        curve = 255 * ((level**self.gamma - 0.5) * self.contrast + 0.5)
        curve = self.fade + curve * (255 - self.fade) / 255
        table: list[int] = []
        for dark, bright in zip(self.shadows, self.highlights, strict=True):
            tinted = curve + dark * (1 - level) ** 2 + bright * level**2
            table += np.clip(np.rint(tinted), 0, 255).astype(int).tolist()
        return image.point(table)


GRADES = (
    Grade("natural light"),
    Grade("soft daylight, pale shadows", (4, 4, 8), gamma=0.8, contrast=0.92),
    Grade("golden hour", (10, -4, -26), (34, 10, -46), gamma=0.92),
    Grade("cool morning light", (-16, 2, 26), (-28, 0, 20), gamma=0.94),
    Grade("teal and orange film look", (-34, 10, 34), (32, 8, -40), contrast=1.12),
    Grade("faded analogue film", (14, 4, 26), (6, -2, -30), contrast=0.84, saturation=0.7, fade=30),
    Grade("vivid colours, high contrast", contrast=1.16, saturation=1.4),
    Grade("sepia print", (30, 8, -22), (20, 2, -48), saturation=0.08, fade=10),
    Grade("black and white, deep shadows", contrast=1.2, saturation=0.0),
    Grade("blue hour, dim", (-14, -2, 40), (-64, -30, 10), gamma=1.3, saturation=0.8),
    Grade("rose tinted, dreamy", (30, -8, 24), (14, -16, 4), gamma=0.84, contrast=0.9, fade=8),
    Grade("green shade of late summer", (-14, 16, -14), (4, 14, -36), gamma=0.94, saturation=1.1),
    Grade("cross-processed slide", (-26, -6, 36), (20, 22, -48), contrast=1.18, saturation=1.15),
    Grade("lilac dusk", (12, -14, 36), (-4, -30, 8), gamma=1.08, saturation=0.9),
)

# SVG 1.1, feColorMatrix hueRotate: hues turn, brightness stays.
_LUMA = np.array(((0.213, 0.715, 0.072),) * 3)
_SINE = np.array(((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072)))


def turn_hue(image: Pillow.Image, degrees: float) -> Pillow.Image:
    """The RGB image with every hue turned by so many degrees, brightness kept."""
    if round(degrees) == 0:
        return image
    angle = np.radians(degrees)
    matrix = _LUMA + np.cos(angle) * (np.eye(3) - _LUMA) + np.sin(angle) * _SINE
    rows = np.hstack([matrix, np.zeros((3, 1))])
    return image.convert("RGB", tuple(float(value) for value in rows.ravel()))
