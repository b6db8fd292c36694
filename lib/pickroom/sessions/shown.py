"""An image as a desk shows it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PictureKind = Literal["preview", "original"]


@dataclass(frozen=True, slots=True)
class ShownImage:
    """One image on a stage.

    Attributes:
        directory: its folder, relative to the project's root.
        number: 1-based, the key that stands for it.
        label: words for it, e.g. "stage 1.5 · 768 × 1024".
        sha256: names its preview and tells whether the browser has it already; "" for a file that has gone.
        width, height: pixels of the EXIF-upright image; boxes and the letterbox are computed from these.
    """

    filename: str
    directory: str
    number: int
    label: str
    sha256: str
    width: int
    height: int
