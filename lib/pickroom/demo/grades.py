"""Colour grades: with them sixty pictures of ten photographs look like sixty pictures."""

from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance

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
