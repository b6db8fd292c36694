"""A day's shoot: two cameras, two cards with equal names, bursts, brackets, RAW, HEIC, Live Photos.

Every frame is a photograph that somebody took, moved and lit a little as by a hand that holds a camera; what is made up
is when it was taken, by what, and under which name. The truth, which images are one burst, is known because of that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pillow_heif
from PIL import Image as PillowImage
from PIL import ImageEnhance
from PIL.ExifTags import IFD, Base

START = datetime(2024, 5, 6, 9, 0, 0)
SIDE = 640  # pixels of the long side: what the encoder and a preview need
_SERIAL = "032021001234"
CARD_SIZE = 40  # images of a card before the next one begins, with equal names
# seconds between two frames of one burst: a camera held down, a person who presses again, one who waits for a face
PACES = (0.1, 0.5, 1.5, 4.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What was in front of the camera while it was pressed `frames` times.

    Attributes:
        pictures: photographs of one thing; the frames go through them in order.
        pace: seconds between two frames. pause: seconds since the scene before.
        kind: "burst", "bracket" or "single".
    """

    pictures: tuple[PillowImage.Image, ...]
    frames: int
    pace: float
    pause: float
    kind: str = "burst"


@dataclass(slots=True)
class Shoot:
    """What lies in a folder, by path relative to it.

    Attributes:
        bursts: the images of each burst or bracket, two or more, in time order.
        brackets: those of `bursts` that are exposure brackets.
        singles: images that belong to no burst. companions: files that belong to an image.
    """

    bursts: list[list[str]] = field(default_factory=list)
    brackets: list[list[str]] = field(default_factory=list)
    singles: list[str] = field(default_factory=list)
    companions: list[str] = field(default_factory=list)

    @property
    def images(self) -> list[str]:
        return [path for burst in self.bursts for path in burst] + self.singles


def scenes(things: Mapping[str, Sequence[PillowImage.Image]], sizes: Sequence[int], seed: int) -> list[Scene]:
    """One scene per thing, with the sizes in turn: 1 is a single, -3 a bracket of three.

    A third of the scenes begins within 8 s of the one before: another thing, at once.
    """
    rng = np.random.default_rng(seed)
    made = []
    for number, pictures in enumerate(things.values()):
        size = sizes[number % len(sizes)]
        pace = 0.3 if size < 0 else float(PACES[number % len(PACES)] * rng.uniform(0.8, 1.2))
        pause = float(rng.uniform(3, 8) if number % 3 == 1 else rng.uniform(20, 900))
        kind = "bracket" if size < 0 else "single" if size == 1 else "burst"
        made.append(Scene(tuple(pictures), abs(size), pace, pause, kind))
    return made


def write(folder: Path, camera: Sequence[Scene], phone: Sequence[Scene], seed: int, *, raw: bool = False) -> Shoot:
    """Write what a camera with two cards and a phone leave, both begun at the same second.

    Args:
        raw: every fourth scene of the camera is RAW alone, every fourth RAW and JPEG; brackets are JPEG.
    """
    shoot = Shoot()
    for scene, frames in _frames(camera, seed):
        paths = [
            _camera_file(folder, frame, frame.scene % 4 if raw and not frame.bracketed else 0, shoot)
            for frame in frames
        ]
        _note(shoot, scene, paths)
    for scene, frames in _frames(phone, seed + 1):
        _note(shoot, scene, [_phone_file(folder, frame, shoot) for frame in frames])
    return shoot


@dataclass(frozen=True, slots=True)
class _Frame:
    picture: PillowImage.Image
    taken_at: datetime
    scene: int
    card: int  # from 0; a full one is changed between two scenes
    number: int  # of the card's frames, from 0
    exposure_s: float
    bracketed: bool


def _frames(taken: Sequence[Scene], seed: int) -> Iterator[tuple[Scene, list[_Frame]]]:
    rng = np.random.default_rng(seed)
    at, card, number = START, 0, 0
    for place, scene in enumerate(taken):
        at += timedelta(seconds=scene.pause)
        if number >= CARD_SIZE:
            card, number = card + 1, 0
        frames = []
        for frame in range(scene.frames):
            at += timedelta(seconds=scene.pace if frame else 0)
            picture = _shot(scene.pictures[frame * len(scene.pictures) // scene.frames], rng)
            exposure = 1 / 200
            if scene.kind == "bracket":  # one stop each way
                stops = frame - scene.frames // 2
                exposure, picture = exposure * 2.0**stops, picture.point(lambda v, k=2.0**stops: min(255, int(v * k)))
            frames.append(_Frame(picture, at, place, card, number, exposure, scene.kind == "bracket"))
            number += 1
        yield scene, frames


def _shot(whole: PillowImage.Image, rng: np.random.Generator) -> PillowImage.Image:
    """The picture as a hand holds the camera: moved, turned by a degree, lit a little differently."""
    turned = whole.rotate(rng.uniform(-1, 1), PillowImage.Resampling.BICUBIC)
    share = rng.uniform(0.86, 0.94)
    width, height = int(whole.width * share), int(whole.height * share)
    left = int(rng.integers(whole.width // 50, whole.width - width - whole.width // 50 + 1))
    top = int(rng.integers(whole.height // 50, whole.height - height - whole.height // 50 + 1))
    cut = turned.crop((left, top, left + width, top + height))
    return ImageEnhance.Brightness(cut).enhance(rng.uniform(0.93, 1.07))


def _exif(frame: _Frame, model: str, serial: str | None) -> PillowImage.Exif:
    exif = PillowImage.Exif()
    exif[Base.Make], exif[Base.Model] = model.split()[0], model
    said = {
        Base.DateTimeOriginal: f"{frame.taken_at:%Y:%m:%d %H:%M:%S}",
        Base.SubsecTimeOriginal: f"{frame.taken_at:%f}"[:2],
        Base.OffsetTimeOriginal: "+02:00",
        Base.ExposureTime: frame.exposure_s,
        Base.ExposureMode: 2 if frame.bracketed else 0,
    }
    exif.get_ifd(IFD.Exif).update({**said, **({Base.BodySerialNumber: serial} if serial else {})})
    return exif


def _camera_file(folder: Path, frame: _Frame, way: int, shoot: Shoot) -> str:
    """`CARD/DCIM/100CANON/IMG_0001.JPG`: the second card counts from 1 again. `way` 1: RAW alone; 2: RAW and JPEG."""
    place = folder / f"card {frame.card + 1}" / "DCIM" / "100CANON" / f"IMG_{frame.number + 1:04d}.JPG"
    place.parent.mkdir(parents=True, exist_ok=True)
    if way in (1, 2):
        negative = place.with_suffix(".DNG")
        _write_negative(negative, frame)
        if way == 1:
            return str(negative.relative_to(folder))
        shoot.companions.append(str(negative.relative_to(folder)))
    frame.picture.save(place, quality=90, exif=_exif(frame, "Canon EOS R5", _SERIAL))
    return str(place.relative_to(folder))


def _write_negative(path: Path, frame: _Frame) -> None:
    from support.raw_files import write_dng  # the extra raw

    even = frame.picture.crop((0, 0, frame.picture.width // 2 * 2, frame.picture.height // 2 * 2))
    taken, subsec = f"{frame.taken_at:%Y:%m:%d %H:%M:%S}", f"{frame.taken_at:%f}"[:2]
    write_dng(path, even, taken=taken, subsec=subsec, camera=("Canon", "Canon EOS R5"), serial=_SERIAL)


def _phone_file(folder: Path, frame: _Frame, shoot: Shoot) -> str:
    """`phone/IMG_1001.HEIC`; every third is a Live Photo, every fifth has an edit list."""
    place = folder / "phone" / f"IMG_{1001 + CARD_SIZE * 10 * frame.card + frame.number}.HEIC"
    place.parent.mkdir(parents=True, exist_ok=True)
    pillow_heif.from_pillow(frame.picture).save(place, quality=80, exif=_exif(frame, "Apple iPhone 15", None).tobytes())
    for ending, each, content in ((".MOV", 3, b"\0\0\0\x14ftypqt  moov"), (".AAE", 5, b"<plist/>")):
        if frame.number % each == 0:
            place.with_suffix(ending).write_bytes(content + json.dumps(frame.number).encode())
            shoot.companions.append(str(place.with_suffix(ending).relative_to(folder)))
    return str(place.relative_to(folder))


def _note(shoot: Shoot, scene: Scene, paths: list[str]) -> None:
    if len(paths) == 1:
        shoot.singles += paths
        return
    shoot.bursts.append(paths)
    if scene.kind == "bracket":
        shoot.brackets.append(paths)
