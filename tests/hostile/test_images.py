"""Hostile image files: what cannot be read is one short reason, whatever its bytes, and memory stays bounded."""

from __future__ import annotations

import io
import random
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import PngImagePlugin

from hostile.guard import limit_memory, survive
from hostile.mutations import checksums_mended, damaged
from pickroom.core.errors import ImageError
from pickroom.core.records import CropBox
from pickroom.images import crops, decode, metadata, thumbnails
from support.raw_files import dng
from support.reviewing import in_child

CASES = 60  # of each kind of file, in every run of the tests


def _pixels(channels: int, size: tuple[int, int] = (40, 30)) -> np.ndarray:
    shape = (size[1], size[0], channels) if channels > 1 else (size[1], size[0])
    return np.random.default_rng(3).integers(0, 255, shape, dtype=np.uint8)


def _saved(image: PillowImage.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _rgb() -> PillowImage.Image:
    return PillowImage.fromarray(_pixels(3))


def _exif() -> PillowImage.Exif:
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    exif[0x9286] = b"UNICODE\0" + "Steps: 20, Sampler: Euler".encode("utf-16-be")
    return exif


def _png_with_text() -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "a cat\nNegative prompt: dog\nSteps: 20, Sampler: Euler a", zip=True)
    info.add_itxt("Comment", "ünï", "de", "x")
    return _saved(_rgb(), "PNG", pnginfo=info, exif=_exif())


def _frames(kind: str) -> bytes:
    others = [PillowImage.fromarray(_pixels(3)) for _ in range(3)]
    return _saved(_rgb(), kind, save_all=True, append_images=others)


# extension -> a sound file of that kind, to be damaged
SOUND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png": ("png", _png_with_text),
    "16-bit": ("png", lambda: _saved(PillowImage.fromarray(_pixels(1).astype(np.uint16) * 257), "PNG")),
    "palette": ("png", lambda: _saved(_rgb().quantize(16), "PNG", transparency=3)),
    "animated": ("png", lambda: _frames("PNG")),
    "jpeg": ("jpg", lambda: _saved(_rgb(), "JPEG", exif=_exif(), comment=b"hello")),
    "progressive": ("jpeg", lambda: _saved(_rgb(), "JPEG", progressive=True)),
    "cmyk": ("jpg", lambda: _saved(PillowImage.fromarray(_pixels(4), "CMYK"), "JPEG")),
    "mpo": ("jpg", lambda: _frames("MPO")),
    "webp": ("webp", lambda: _saved(_rgb(), "WEBP", exif=_exif())),
    "lossless": ("webp", lambda: _saved(PillowImage.fromarray(_pixels(4), "RGBA"), "WEBP", lossless=True)),
    "moving": ("webp", lambda: _frames("WEBP")),
    "tiff": ("tif", lambda: _saved(_rgb(), "TIFF", exif=_exif())),
    "lzw": ("tiff", lambda: _saved(_rgb(), "TIFF", compression="tiff_lzw")),
    "float": ("tif", lambda: _saved(PillowImage.fromarray(_pixels(1).astype(np.float32)), "TIFF")),
    "bmp": ("bmp", lambda: _saved(_rgb(), "BMP")),
    "heic": ("heic", lambda: _saved(_rgb(), "HEIF", exif=_exif())),
    "raw": ("dng", lambda: dng(_rgb(), orientation=6)),
    "raw without a preview": ("dng", lambda: dng(_rgb(), preview=False)),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_damaged_image_is_read_or_refused_in_a_few_words(kind: str, tmp_path: Path) -> None:
    extension, make = SOUND[kind]
    sound = make()
    path = tmp_path / f"image.{extension}"

    def case(rng: random.Random) -> str:
        data = damaged(rng, sound) if rng.random() < 0.97 else rng.randbytes(rng.randrange(2000))
        path.write_bytes(checksums_mended(data) if extension == "png" and rng.random() < 0.8 else data)
        return _look(path, tmp_path / "previews")

    tally = survive(f"images/{kind}", CASES, case)
    assert tally.outcomes["refused"] + tally.outcomes["read"] == tally.cases


def test_crop_of_image_with_impossible_length_is_refused(tmp_path: Path) -> None:
    data = bytearray(SOUND["png"][1]())
    at = data.index(b"IDAT") - 4
    data[at : at + 4] = (0xFFFFFFFF).to_bytes(4, "big")  # more than the file has: read only once the picture is whole
    path = tmp_path / "image.png"
    path.write_bytes(data)

    def attempt() -> str:
        limit_memory(300)
        with pytest.raises(ImageError) as refused:
            crops.render(path, CropBox(0.2, 0.2, 0.8, 0.7))
        return refused.value.reason

    assert in_child(attempt) == "there is not enough memory to crop it"


def _look(path: Path, previews: Path) -> str:
    """Everything that is done with an image's bytes; every refusal is an ImageError with a short reason."""
    said = metadata.read(path)
    assert all(isinstance(text, str) and len(text) <= 4000 for text in said.values())
    outcome = "read"
    try:
        thumbnails.make(previews, "0" * 64, path)
        thumbnails.thumbnail_path(previews, "0" * 64).unlink(missing_ok=True)
        image = decode.read_rgb(path)
        assert image.mode == "RGB"
    except ImageError as error:
        assert error.reason and "\n" not in error.line
        outcome = "refused"
    try:
        crops.check_croppable(path)
        crops.render(path, CropBox(0.2, 0.2, 0.8, 0.7))
    except ImageError as error:
        assert error.reason and "\n" not in error.line
    return outcome
