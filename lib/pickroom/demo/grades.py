"""Colour grades: what makes sixty pictures of ten photographs look like sixty pictures.

A grade is three 256-entry curves and a saturation: cheap, and the same to the last bit on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image as Pillow
from PIL import ImageEnhance

Tint = tuple[int, int, int]
_NONE = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Grade:
    """One look.

    Attributes:
        words: how a prompt would ask for it.
        shadows, highlights: added to red, green, blue at black and at white, fading in between, 8-bit units.
        gamma: below 1 brightens the middle. contrast: 1 leaves it. saturation: 1 leaves it, 0 is grey.
        fade: how far black is lifted, 8-bit units.
    """

    words: str
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
    Grade("natural light, soft shadows", gamma=0.88, contrast=0.96),
    Grade("warm evening light", (4, -2, -12), (16, 6, -22), gamma=0.95),
    Grade("cool morning light", (-10, 0, 16), (-12, 2, 14), gamma=0.97),
    Grade("teal and orange film look", (-18, 6, 20), (20, 6, -20), contrast=1.1),
    Grade("faded analogue film", (8, 2, 14), (4, 0, -14), contrast=0.88, saturation=0.78, fade=22),
    Grade("vivid colours, high contrast", contrast=1.14, saturation=1.35),
    Grade("sepia print", (18, 6, -12), (14, 2, -30), saturation=0.12, fade=8),
    Grade("black and white, deep shadows", contrast=1.18, saturation=0.0),
    Grade("blue hour, dim", (-8, 0, 26), (-26, -10, 10), gamma=1.2, saturation=0.85),
    Grade("rose tinted, dreamy", (14, -4, 12), (12, -6, 6), gamma=0.9, contrast=0.94),
    Grade("late summer, green shade", (-6, 10, -8), (6, 8, -18), gamma=0.96, saturation=1.1),
)
