"""Previews: made once, named by content, upright, at most 1024 pixels a side, in sRGB."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow
from PIL import ImageCms

from conftest import read_tree, write_image
from pickroom.core.errors import ImageError
from pickroom.images import thumbnails

SHA = "ab" + "0" * 62
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TURNED = Pillow.Exif()
TURNED[0x0112] = 3


def preview(folder: Path, source: Path) -> Pillow.Image:
    return Pillow.open(BytesIO(thumbnails.read(folder, SHA, source)))


def test_preview_lies_under_the_hash_of_the_content(tmp_path: Path) -> None:
    assert thumbnails.thumbnail_path(tmp_path, SHA) == tmp_path / "ab" / f"{SHA}.jpg"


def test_making_returns_the_images_size_and_keeps_one_jpeg(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.png", size=(300, 200))
    assert thumbnails.make(tmp_path / "cache", SHA, source) == (300, 200)
    assert list(read_tree(tmp_path / "cache")) == [f"ab/{SHA}.jpg"]
    with Pillow.open(thumbnails.thumbnail_path(tmp_path / "cache", SHA)) as image:
        assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (300, 200))


@pytest.mark.parametrize(
    ("size", "shown"),
    [((2048, 1024), (1024, 512)), ((1500, 3000), (512, 1024)), ((1024, 1024), (1024, 1024)), ((30, 20), (30, 20))],
)
@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_preview_has_at_most_1024_pixels_and_is_never_enlarged(
    tmp_path: Path, extension: str, size: tuple[int, int], shown: tuple[int, int]
) -> None:
    source = tmp_path / f"a.{extension}"
    Pillow.new("RGB", size, (10, 200, 30)).save(source)
    assert thumbnails.make(tmp_path / "cache", SHA, source) == size
    assert preview(tmp_path / "cache", source).size == shown


@pytest.mark.parametrize("extension", ["jpg", "png", "tif"])
def test_rotated_image_has_upright_preview_without_orientation(tmp_path: Path, extension: str) -> None:
    source, exif = tmp_path / f"a.{extension}", Pillow.Exif()
    exif[0x0112] = 6
    Pillow.new("RGB", (60, 40)).save(source, exif=exif.tobytes())
    assert thumbnails.make(tmp_path / "cache", SHA, source) == (40, 60)
    shown = preview(tmp_path / "cache", source)
    assert (shown.size, shown.getexif().get(0x0112)) == ((40, 60), None)


def test_preview_of_another_colour_space_is_in_srgb(tmp_path: Path) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # a colour space in which red is blue: the two primaries change their names
    swapped = srgb.replace(b"rXYZ", b"none").replace(b"bXYZ", b"rXYZ").replace(b"none", b"bXYZ")
    source = tmp_path / "a.png"
    Pillow.new("RGB", (8, 8), (255, 0, 0)).save(source, icc_profile=swapped)
    shown = preview(tmp_path / "cache", source)
    assert "icc_profile" not in shown.info
    assert shown.getpixel((4, 4)) == pytest.approx((0, 0, 255), abs=4)


def test_damaged_colour_profile_does_not_stop_the_preview(tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    Pillow.new("RGB", (8, 8), (200, 10, 10)).save(source, icc_profile=b"no profile at all")
    assert preview(tmp_path / "cache", source).getpixel((4, 4)) == pytest.approx((200, 10, 10), abs=4)


def test_preview_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.png")
    thumbnails.make(tmp_path / "cache", SHA, source)
    path = thumbnails.thumbnail_path(tmp_path / "cache", SHA)
    path.write_bytes(b"kept as it is\xff\xd9")  # ends as a JPEG does
    thumbnails.make(tmp_path / "cache", SHA, source)
    assert thumbnails.read(tmp_path / "cache", SHA, source) == b"kept as it is\xff\xd9"


def test_preview_is_read_without_the_image(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.png")
    thumbnails.make(tmp_path / "cache", SHA, source)
    source.unlink()
    assert preview(tmp_path / "cache", source).size == (48, 64)


def test_preview_is_made_again_when_the_cache_was_cleared(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.png")
    assert preview(tmp_path / "cache", source).size == (48, 64)
    assert len(read_tree(tmp_path / "cache")) == 1


def test_damaged_image_leaves_no_preview(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.png", size=(96, 128))
    os.truncate(source, source.stat().st_size // 2)
    with pytest.raises(ImageError, match="truncated"):
        thumbnails.make(tmp_path / "cache", SHA, source)
    assert not (tmp_path / "cache").exists()


def test_making_a_preview_leaves_the_image_alone(tmp_path: Path) -> None:
    source = write_image(tmp_path / "a.jpg")
    before = hashlib.sha256(source.read_bytes()).hexdigest()
    thumbnails.make(tmp_path / "cache", SHA, source)
    assert hashlib.sha256(source.read_bytes()).hexdigest() == before


@pytest.mark.parametrize("extension", ["png", "jpg"])  # a small JPEG has no preview
def test_a_small_thumbnail_is_made_of_the_preview_once_and_kept(tmp_path: Path, extension: str) -> None:
    source = write_image(tmp_path / f"a.{extension}", size=(900, 600))
    first = thumbnails.read_small(tmp_path / "cache", SHA, source)
    with Pillow.open(BytesIO(first)) as small:
        assert (small.format, small.size) == ("JPEG", (256, 171))
    source.unlink()  # from now on it comes from the cache
    assert thumbnails.read_small(tmp_path / "cache", SHA, source) == first


@pytest.mark.parametrize("left", [0, 500])
@pytest.mark.parametrize("read", [thumbnails.read, thumbnails.read_small])
def test_preview_that_a_power_cut_tore_is_made_again(tmp_path: Path, read: Callable[..., bytes], left: int) -> None:
    source = write_image(tmp_path / "a.png", size=(300, 200))
    whole = read(tmp_path / "cache", SHA, source)
    for path in (tmp_path / "cache").rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:left])
    assert read(tmp_path / "cache", SHA, source) == whole
    assert read(tmp_path / "cache", SHA, source) == whole


def save_photograph(path: Path, size: tuple[int, int] = (300, 200), **options: object) -> Path:
    noise = np.random.default_rng(3).normal(128, 40, (size[1] // 10, size[0] // 10, 3)).clip(0, 255).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(noise).resize(size).save(path, "JPEG", **{"quality": 92, **options})
    return path


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"keep_rgb": True}])
def test_small_jpeg_is_its_own_preview_without_metadata(tmp_path: Path, options: dict[str, object]) -> None:
    exif = Pillow.Exif()
    exif[0x010E] = "a private place"
    source = save_photograph(tmp_path / "a.jpg", exif=exif, comment=b"a private place", **options)
    source.write_bytes(source.read_bytes() + b"a private place")  # as phones append a film
    assert thumbnails.make(tmp_path / "cache", SHA, source) == (300, 200)
    data = thumbnails.read(tmp_path / "cache", SHA, source)
    assert not (tmp_path / "cache").exists()
    assert b"private" not in data and data.endswith(b"\xff\xd9")
    with Pillow.open(source) as original, Pillow.open(BytesIO(data)) as shown:
        assert shown.tobytes() == original.tobytes()


@pytest.mark.parametrize(
    "options", [{"size": (1200, 800)}, {"icc_profile": SRGB}, {"exif": TURNED}, {"size": (1000, 1000), "quality": 100}]
)
def test_other_jpegs_get_a_preview_of_their_own(tmp_path: Path, options: dict[str, object]) -> None:
    source = save_photograph(tmp_path / "a.jpg", **options)  # type: ignore[arg-type]
    if options.get("quality") == 100:  # more bytes than a preview may have
        source = tmp_path / "noise.jpg"
        pixels = np.random.default_rng(3).integers(0, 256, (1000, 1000, 3), dtype=np.uint8)
        Pillow.fromarray(pixels).save(source, quality=100)
    thumbnails.make(tmp_path / "cache", SHA, source)
    assert list(read_tree(tmp_path / "cache")) == [f"ab/{SHA}.jpg"]


def test_preview_that_an_earlier_version_kept_is_shown(tmp_path: Path) -> None:
    source, kept = save_photograph(tmp_path / "a.jpg"), thumbnails.thumbnail_path(tmp_path / "cache", SHA)
    kept_bytes = save_photograph(kept, (30, 20)).read_bytes()
    assert thumbnails.make(tmp_path / "cache", SHA, source) == (300, 200)
    assert thumbnails.read(tmp_path / "cache", SHA, source) == kept_bytes


def test_truncated_small_jpeg_is_refused(tmp_path: Path) -> None:
    source = save_photograph(tmp_path / "a.jpg")
    os.truncate(source, source.stat().st_size * 3 // 4)
    with pytest.raises(ImageError, match="truncated"):
        thumbnails.make(tmp_path / "cache", SHA, source)


def test_small_image_is_its_own_small_thumbnail(tmp_path: Path) -> None:
    source = save_photograph(tmp_path / "a.jpg", (200, 100))
    cache = tmp_path / "cache"
    assert thumbnails.read_small(cache, SHA, source) == thumbnails.read(cache, SHA, source)
    assert not cache.exists()
