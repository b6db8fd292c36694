"""Folders of photographs as a camera writes them: names that say nothing, capture times in EXIF."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from PIL import Image as PillowImage
from PIL.ExifTags import IFD, Base

from pickroom.demo.photographs import PHOTOGRAPHS, load

START = datetime(2024, 5, 6, 12, 0, 0)


def take(path: Path, photograph: int, seconds: float | None, bracket: float | None = None) -> None:
    """A small photograph, taken so many seconds after the start; None: without a time.

    Args:
        bracket: one of an exposure bracket, exposed for so many seconds; None is none.
    """
    exif = PillowImage.Exif()
    if seconds is not None:
        at = START + timedelta(seconds=seconds)
        exif[Base.Model] = "Camera"
        exif.get_ifd(IFD.Exif).update(
            {Base.DateTimeOriginal: f"{at:%Y:%m:%d %H:%M:%S}", Base.SubsecTimeOriginal: f"{at:%f}"}
        )
        if bracket is not None:
            exif.get_ifd(IFD.Exif).update({Base.ExposureMode: 2, Base.ExposureTime: bracket})
    path.parent.mkdir(exist_ok=True)
    load(PHOTOGRAPHS[photograph % len(PHOTOGRAPHS)]).convert("RGB").resize((64, 48)).save(path, exif=exif)


def shoot(folder: Path, *, bursts: int, shots: int) -> None:
    """Bursts of so many shots, ten minutes apart."""
    for number in range(bursts * shots):
        burst, shot = divmod(number, shots)
        take(folder / f"IMG_{number:04d}.jpg", burst, 600 * burst + shot / 2)
