"""Perceptual hashes and vectors of a project's images.

Perceptual hashes and colours of previews are kept by content: made once, and read back the next time.
"""

import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image as PillowImage

from pickroom.core.errors import ImageError
from pickroom.core.records import Image
from pickroom.features.store import load_vectors
from pickroom.groups.similar import ImageFeatures
from pickroom.images import decode, thumbnails
from pickroom.images.scan import Progress
from pickroom.storage import append_log
from pickroom.store.workspace import Project, Workspace

_DRAFT = 128  # pixels: four times the size that the hash is computed on; a JPEG decodes to it in a fraction of the time


FLAT = "it is of nearly one colour, with nothing to compare"
_SIDE = 32  # squares a side that a picture is compared by
# the eight slowest waves of the DCT-II, as rows; of unit norm in `_UNIT_WAVES`. SciPy's, which has all of them, takes a
# sixth of a second to import
_SLOWEST = 2 * np.cos(np.pi / (2 * _SIDE) * np.outer(np.arange(8), 2 * np.arange(_SIDE) + 1))
_UNIT_WAVES = _SLOWEST / np.linalg.norm(_SLOWEST, axis=1, keepdims=True)
_SPECK = 24  # of 255: a few pixels that differ by more from most of the picture are dust or dead pixels
_MOST_SPECKS, _MOST_SPECKED = 0.0005, 0.05  # of all pixels, and of the squares, which a speck may lie across
_LEAST_SPREAD = 2.5  # of 255, standard deviation by the slowest waves alone; a gradient of 8 steps makes 2.3
_ROUNDING = 1.6  # of 255, in a wave of unit norm: five times what rounding to whole numbers leaves
_NOISE = 4  # standard deviations
_LEAST_BITS = 12  # of 64 that noise does not decide; a gradient has 8


def fingerprint(rgb: PillowImage.Image) -> int | None:
    """The 64-bit perceptual hash (DCT) of an upright image; None where most of its bits would be noise.

    Source: `phash` of imagehash, bit for bit.
    """
    return None if is_flat(rgb) else _phash(rgb)


def _phash(rgb: PillowImage.Image) -> int | None:
    grey = rgb.convert("L").resize((_SIDE, _SIDE), PillowImage.Resampling.LANCZOS)
    waves = _SLOWEST @ np.asarray(grey, np.float64) @ _SLOWEST.T
    above = waves - np.median(waves)
    decided = int((np.abs(above) > _ROUNDING * 2 * _SIDE).sum())  # unnormalised waves are longer by so much
    return None if decided < _LEAST_BITS else int.from_bytes(np.packbits(above > 0).tobytes(), "big")


def is_flat(rgb: PillowImage.Image) -> bool:
    """Whether a picture has one colour, apart from noise, specks and a faint gradient."""
    squares = _squares(rgb)
    if _is_plain(squares):
        return True
    if _specks(squares).mean() > _MOST_SPECKED:
        return False
    specks = _specks(np.asarray(rgb))
    if not 0 < specks.mean() <= _MOST_SPECKS:
        return False
    cleaned = np.where(specks[:, :, None], np.median(squares, axis=(0, 1)).astype(np.uint8), np.asarray(rgb))
    return _is_plain(_squares(PillowImage.fromarray(cleaned)))


def _squares(rgb: PillowImage.Image) -> np.ndarray:
    return np.asarray(rgb.resize((_SIDE, _SIDE), PillowImage.Resampling.BOX))


def _specks(pixels: np.ndarray) -> np.ndarray:
    """(H, W) bool, which pixels of (H, W, 3) differ from most."""
    few = pixels[:: max(1, len(pixels) // _SIDE), :: max(1, pixels.shape[1] // _SIDE)]
    middle = np.median(few, axis=(0, 1)).astype(np.int16)
    apart: np.ndarray = np.abs(pixels.astype(np.int16) - middle).max(axis=2) > _SPECK
    return apart


def _is_plain(squares: np.ndarray) -> bool:
    waves = _UNIT_WAVES @ np.moveaxis(squares, 2, 0).astype(np.float64) @ _UNIT_WAVES.T
    waves[:, 0, 0] = 0
    spread = np.sqrt(np.square(waves).sum(axis=(1, 2))) / _SIDE
    if (spread >= _LEAST_SPREAD).any():  # of most images
        return False
    # the median of neighbours' differences, since drawings differ only along their lines
    noise = 1.05 * np.median(np.abs(np.diff(squares.astype(np.int16), axis=0)), axis=(0, 1))
    decided = (np.abs(waves) > np.maximum(_ROUNDING, _NOISE * noise)[:, None, None]).sum(axis=(1, 2))
    return bool((decided < _LEAST_BITS).all())


def small_preview(folder: Path, sha256: str, source: Path) -> tuple[PillowImage.Image, bool]:
    """A small preview of an image, of the size that a fingerprint needs, and whether it is flat.

    Raises ImageError where the image cannot be read, OSError where the preview cannot be written.
    """
    rgb = thumbnails.open_preview(folder, sha256, source, draft=_DRAFT)
    flat = is_flat(rgb)
    if flat:
        with decode.open_image(source) as image:
            stale = decode.is_clear(image)  # version 0.1 laid drawings in white on white
        if stale:
            thumbnails.thumbnail_path(folder, sha256).unlink(missing_ok=True)
            rgb = thumbnails.open_preview(folder, sha256, source, draft=_DRAFT)
            flat = is_flat(rgb)
    return rgb, flat


_TILES = 4  # a side: colours of so many squares tell two pictures of one shape apart, and survive a trim

_ALIKE = 2  # steps of 256 between the colours of the squares of a picture that may be of one colour


class Fingerprint(NamedTuple):
    """The hash and colours by which previews are compared."""

    phash: int | None  # 64 bits of the brightness alone; None where noise would decide them
    colours: bytes  # `colours_of`
    flat: bool  # of nearly one colour: its vector means nothing, either


def colours_of(rgb: PillowImage.Image) -> bytes:
    """The mean Cb and Cr of 4x4 squares, as signed bytes about grey."""
    small = np.asarray(rgb.convert("YCbCr").resize((_TILES, _TILES), PillowImage.Resampling.BOX), np.int16)
    return (small[:, :, 1:] - 128).astype(np.int8).tobytes()


def log_path(workspace: Workspace) -> Path:
    """The append log: one JSON line per content: `sha256`, `phash` (16 hex digits or null), `colours` (64), `flat`."""
    return workspace.thumbnails.parent / "fingerprints.jsonl"


def fingerprints(
    workspace: Workspace, places: Mapping[str, Path], progress: Progress | None = None
) -> dict[str, Fingerprint]:
    """Fingerprints by content (sha256 -> a file that has it); unreadable files are left out.

    Fingerprints that are not in the log yet are computed from previews and appended.
    """
    known = _read_log(log_path(workspace))
    found = {sha256: known[sha256] for sha256 in places if sha256 in known}
    missing = [sha256 for sha256 in places if sha256 not in known]
    if not missing:
        return found

    def make(sha256: str) -> Fingerprint | None:
        try:
            rgb, flat = small_preview(workspace.thumbnails, sha256, places[sha256])
            return Fingerprint(None if flat else _phash(rgb), colours_of(rgb), flat)
        except (ImageError, OSError):
            return None  # judged by its vector alone, or by its content alone

    made: dict[str, Fingerprint] = {}
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        for done, (sha256, seen) in enumerate(zip(missing, pool.map(make, missing), strict=True), start=1):
            if seen is not None:
                made[sha256] = seen
            if progress:
                progress(done, len(missing))
    lines = (
        {"sha256": sha256, "phash": None if bits is None else f"{bits:016x}", "colours": colours.hex(), "flat": flat}
        for sha256, (bits, colours, flat) in made.items()
    )
    append_log.append(log_path(workspace), lines)
    return found | made


def _read_log(path: Path) -> dict[str, Fingerprint]:
    """The fingerprints in the log; incomplete lines, and those without colours, are computed again.

    So are lines of version 0.1 with one colour everywhere, since it did not detect flat pictures.
    """
    found = {}
    for values in append_log.read(path):
        try:
            colours, phash = bytes.fromhex(values["colours"]), values["phash"]
            bits = None if phash is None and "flat" in values else int(phash, 16)
            tiles = np.frombuffer(colours, np.int8).reshape(_TILES * _TILES, 2)
            if (bits is None or 0 <= bits < 1 << 64) and ("flat" in values or np.ptp(tiles, axis=0).max() > _ALIKE):
                found[str(values["sha256"])] = Fingerprint(bits, colours, values.get("flat") is True)
        except (ValueError, TypeError, KeyError):
            continue
    return found


def looks_of(project: Project, images: Sequence[Image], progress: Progress | None = None) -> dict[str, ImageFeatures]:
    """Hash and vector of each image, by file name; an unreadable image may still have a vector, and the reverse.

    A picture of nearly one colour has neither, because both would be noise. Raises StoreError where the project has no
    vectors yet.
    """
    vectors = load_vectors(project)
    places = {image.sha256: project.path(image.directory, image.filename) for image in images}
    prints = fingerprints(project.workspace, places, progress)
    found: dict[str, ImageFeatures] = {}
    for image in images:
        seen = prints.get(image.sha256)  # None: the vector's own error says why, or it is judged by its vector alone
        flat = seen is not None and seen.flat
        place = None if flat else vectors.place(image.filename, image.sha256)
        missing = FLAT if flat else vectors.errors.get(image.filename, f"not embedded yet: pickroom embed {project.id}")
        looks = (None, missing) if place is None else (vectors.matrix[place],)
        found[image.filename] = ImageFeatures(None if seen is None else seen.phash, *looks)
    return found
