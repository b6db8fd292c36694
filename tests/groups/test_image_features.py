"""Pictures with nothing to compare have no hash; photographs have the hash that imagehash gives them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import imagehash
import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageDraw

from pickroom.demo.photographs import PHOTOGRAPHS, load
from pickroom.groups.image_features import fingerprint, is_flat, small_preview
from pickroom.images import decode, thumbnails

SIDE = 400
Y, X = np.mgrid[0:SIDE, 0:SIDE] / SIDE


def noisy(grey: float | np.ndarray, sigma: float) -> Pillow.Image:
    rng = np.random.default_rng(7)
    levels = np.broadcast_to(np.asarray(grey), (SIDE, SIDE))[..., None] + rng.normal(0, sigma, (SIDE, SIDE, 3))
    return Pillow.fromarray(np.clip(levels, 0, 255).astype(np.uint8))


def spotted(size: int, spot: tuple[int, int, int, int]) -> Pillow.Image:
    image = Pillow.new("RGB", (size, size))
    ImageDraw.Draw(image).rectangle(spot, fill="white")
    return image


def drawn(draw: Callable[[ImageDraw.ImageDraw], None]) -> Pillow.Image:
    image = Pillow.new("RGB", (SIDE, SIDE), "white")
    draw(ImageDraw.Draw(image))
    return image


def preview(image: Pillow.Image, quality: int = 88) -> Pillow.Image:
    """As the duplicates and the groups see it: through JPEG."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    small = Pillow.open(buffer)
    small.draft("RGB", (128, 128))
    return small.convert("RGB")


FLAT = {
    "one colour": Pillow.new("RGB", (SIDE, SIDE), (30, 200, 90)),
    "black": Pillow.new("RGB", (SIDE, SIDE)),
    "a faint gradient": noisy(120 + 4 * X, 0),
    "a faint gradient with noise": noisy(120 + 6 * Y, 2),
    "a scanned blank page": noisy(244, 5),
    "a scanned blank page, coarse": noisy(236, 12),
    "a small blank page": noisy(240, 8).crop((0, 0, 64, 64)),
    "a small grey page": noisy(120, 3).convert("L").convert("RGB").crop((0, 0, 128, 96)),
    "a black frame with a dead pixel": spotted(SIDE, (100, 200, 100, 200)),
    "a small black frame with a dead pixel": spotted(64, (30, 30, 30, 30)),
    "a black frame with dust": spotted(256, (40, 40, 42, 42)),
}


@pytest.mark.parametrize("image", FLAT.values(), ids=FLAT)
def test_what_has_nothing_to_compare_has_no_hash(image: Pillow.Image) -> None:
    assert is_flat(preview(image)) and fingerprint(preview(image)) is None


@pytest.mark.parametrize("levels", [60 * X, 255 * Y], ids=["across", "down"])
def test_a_plain_gradient_has_no_hash_and_is_not_flat(levels: np.ndarray) -> None:
    assert fingerprint(preview(noisy(levels, 1))) is None and not is_flat(preview(noisy(levels, 1)))


CONTENT = {
    "a circle": drawn(lambda d: d.ellipse((80, 80, 300, 300), outline="black", width=20)),
    "a thin line": drawn(lambda d: d.line((20, 30, 380, 300), fill="black", width=2)),
    "lines of text": drawn(lambda d: [d.text((20, y), 9 * "lorem ipsum ", fill="black") for y in range(20, 380, 20)]),
    **{f"photograph {n}": load(name).convert("RGB").resize((300, 240)) for n, name in enumerate(PHOTOGRAPHS)},
}


@pytest.mark.parametrize("image", CONTENT.values(), ids=CONTENT)
def test_what_has_content_has_the_hash_of_imagehash(image: Pillow.Image) -> None:
    assert f"{fingerprint(image):016x}" == str(imagehash.phash(image))
    assert not is_flat(image)


def test_photographs_with_a_flat_sky_or_in_fog_have_a_hash() -> None:
    whole = load(PHOTOGRAPHS[0]).convert("RGB").resize((300, 300))
    sky = Pillow.new("RGB", (300, 600), (120, 170, 230))
    sky.paste(whole, (0, 300))
    foggy = Pillow.eval(whole, lambda level: 200 + (level - 128) // 10)
    hashes = {fingerprint(preview(image)) for image in (whole, sky, foggy)}
    assert None not in hashes


def test_a_preview_of_white_on_white_is_made_again(tmp_path: Path) -> None:
    drawing = Pillow.new("RGBA", (200, 200))
    ImageDraw.Draw(drawing).ellipse((20, 20, 150, 120), fill="white")
    drawing.save(tmp_path / "a.png")
    sha256 = decode.content_hash(tmp_path / "a.png")
    old = thumbnails.thumbnail_path(tmp_path, sha256)
    old.parent.mkdir()
    Pillow.new("RGB", (200, 200), "white").save(old, "JPEG")
    image, flat = small_preview(tmp_path, sha256, tmp_path / "a.png")
    assert fingerprint(image) is not None and not flat
    assert decode.read_rgb(old).convert("L").getextrema() == (0, 255)
