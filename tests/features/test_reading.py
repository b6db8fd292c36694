"""Reading: as little of a file as the encoder needs, upright, in sRGB, at the size it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from pickroom.features.reading import EmbedItem, ImageSource
from pickroom.images import decode, thumbnails
from pickroom.storage import atomic
from support.encoding import photograph

SIZE = (1600, 2000)


def item_of(path: Path, size: tuple[int, int] | tuple[None, None] = (None, None)) -> EmbedItem:
    info = path.stat()
    return EmbedItem("", path.name, atomic.sha256_of(path), info.st_size, info.st_mtime_ns, *size)


@pytest.mark.parametrize(("least", "expected"), [(128, (200, 250)), (448, (800, 1000)), (900, SIZE), (5000, SIZE)])
def test_jpeg_is_decoded_at_the_smallest_sufficient_scale(
    tmp_path: Path, least: int, expected: tuple[int, int]
) -> None:
    photograph(0, SIZE).save(tmp_path / "a.jpg", quality=95)
    rgb, size = ImageSource(tmp_path, None).read(item_of(tmp_path / "a.jpg"), least)
    assert rgb.size == expected and size == SIZE
    whole = decode.read_rgb(tmp_path / "a.jpg")
    assert whole.size == SIZE
    small = [np.asarray(image.resize((40, 50), PillowImage.Resampling.BOX)) for image in (rgb, whole)]
    assert np.abs(small[0].astype(int) - small[1].astype(int)).mean() < 2  # the same picture


def test_an_image_comes_upright_with_its_upright_size(tmp_path: Path) -> None:
    upright = photograph(1, (300, 400))
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate by 90 degrees to look at it
    upright.rotate(90, expand=True).save(tmp_path / "a.jpg", quality=98, exif=exif)
    rgb, size = ImageSource(tmp_path, None).read(item_of(tmp_path / "a.jpg"), 1000)
    assert rgb.size == size == (300, 400)
    assert np.abs(np.asarray(rgb).astype(int) - np.asarray(upright)).mean() < 3


def test_preview_is_used_only_if_large_enough_and_intact(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    PillowImage.new("RGB", SIZE, "white").save(path)
    item, previews = item_of(path, SIZE), tmp_path / "previews"
    preview = thumbnails.thumbnail_path(previews, item.content_hash or "")
    preview.parent.mkdir(parents=True)
    source = ImageSource(tmp_path, previews)

    def brightness(least: int) -> int:
        rgb, size = source.read(item, least)
        assert size == SIZE
        return int(np.asarray(rgb).mean())

    assert brightness(100) == 255  # no preview exists yet
    PillowImage.new("RGB", (400, 500), "black").save(preview, "WEBP" if preview.suffix == ".webp" else "JPEG")
    assert brightness(100) == 0 and brightness(400) == 0
    assert brightness(401) == 255  # the preview is too small
    preview.write_bytes(preview.read_bytes()[:60])
    assert brightness(100) == 255
    assert source.read(item_of(path), 100)[0].size == SIZE  # of an unknown size: a preview would hide it
