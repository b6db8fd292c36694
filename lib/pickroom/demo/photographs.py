"""The photographs that the demo is made of: ten files of `photos/`, whose README names their makers and licences."""

import functools
from dataclasses import dataclass
from pathlib import Path

from PIL import Image as Pillow

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
    prompt: str  # what a person would have asked an image generator for
    hides: tuple[str, ...] = ()  # kinds of defects that nobody could find in it

    @property
    def name(self) -> str:
        return Path(self.file).stem


_FOLDER = Path(__file__).parent / "photos"


def _boxes(*corners: tuple[float, float, float, float]) -> tuple[CropBox, ...]:
    return tuple(CropBox(*one) for one in corners)


_FACE = (PORTRAIT, PORTRAIT, TALL, SQUARE)

PHOTOGRAPHS = (
    Photograph(
        "astronaut.png",
        (512, 512),
        "portraits",
        _boxes((0.22, 0.02, 0.72, 0.6), (0.3, 0.03, 0.62, 0.4), (0.1, 0.02, 0.95, 0.98)),
        12,
        _FACE,
        "portrait of a smiling astronaut in a pressure suit, flag and model shuttle behind",
    ),
    Photograph(
        "grace_hopper.jpg",
        (512, 600),
        "portraits",
        _boxes((0.28, 0.02, 0.75, 0.62), (0.08, 0.03, 0.92, 0.95)),
        12,
        _FACE,
        "official portrait of a navy officer with glasses and cap, plain backdrop",
    ),
    Photograph(
        "chelsea.png",
        (451, 300),
        "portraits",
        _boxes((0.2, 0.1, 0.85, 0.98), (0.24, 0.12, 0.6, 0.62)),
        20,
        (LANDSCAPE, SQUARE, WIDE),
        "close-up of a tabby cat with large eyes, shallow depth of field",
    ),
    Photograph(
        "camera.png",
        (512, 512),
        "portraits",
        _boxes((0.15, 0.1, 0.7, 0.6), (0.3, 0.12, 0.68, 0.45), (0.05, 0.1, 0.75, 0.98)),
        0,
        (PORTRAIT, SQUARE, LANDSCAPE),
        "photographer in a dark coat behind a tripod, open lawn, towers far away",
    ),
    Photograph(
        "china.jpg",
        (640, 427),
        "places",
        _boxes((0.13, 0.06, 0.55, 0.9), (0.2, 0.05, 0.52, 0.5)),
        25,
        (LANDSCAPE, WIDE, PORTRAIT, SQUARE),
        "ornate pagoda above a misty lake, green trees, hazy afternoon",
    ),
    Photograph(
        "rocket.jpg",
        (640, 427),
        "places",
        _boxes((0.38, 0.25, 0.62, 1.0), (0.25, 0.6, 0.75, 1.0)),
        30,
        (LANDSCAPE, PORTRAIT, SQUARE, TALL),
        "white rocket on its launch pad at dusk, floodlights, lattice towers",
    ),
    Photograph(
        "hubble_deep_field.jpg",
        (1000, 872),
        "places",
        _boxes((0.55, 0.4, 0.9, 0.8), (0.08, 0.05, 0.45, 0.45), (0.5, 0.05, 0.95, 0.45), (0.1, 0.5, 0.5, 0.95)),
        180,
        (SQUARE, LANDSCAPE, PORTRAIT),
        "deep field of distant galaxies, black sky, tiny coloured spirals",
        hides=("smear", "ringing"),
    ),
    Photograph(
        "coffee.png",
        (600, 400),
        "things",
        _boxes((0.2, 0.04, 0.76, 0.96), (0.3, 0.05, 0.66, 0.6)),
        30,
        (LANDSCAPE, SQUARE, WIDE),
        "espresso in a glazed cup on a wooden table, spoon on the saucer",
    ),
    Photograph(
        "flower.jpg",
        (640, 427),
        "things",
        _boxes((0.3, 0.2, 0.69, 0.86), (0.36, 0.28, 0.64, 0.72)),
        180,
        (SQUARE, LANDSCAPE, PORTRAIT, WIDE),
        "dahlia in full bloom, dark leaves behind, soft light",
    ),
    Photograph(
        "motorcycle_left.png",
        (741, 500),
        "things",
        _boxes((0.14, 0.12, 0.94, 0.95), (0.38, 0.25, 0.78, 0.8), (0.58, 0.2, 0.95, 0.95)),
        180,
        (LANDSCAPE, WIDE, WIDE),
        "motorcycle in a cluttered garage, shelves and a bench behind",
    ),
)


@functools.cache
def load(photograph: Photograph) -> Pillow.Image:
    """The photograph as RGB, kept in memory (all ten are 10 MB); never to be changed in place."""
    with Pillow.open(_FOLDER / photograph.file) as image:
        return image.convert("RGB")
