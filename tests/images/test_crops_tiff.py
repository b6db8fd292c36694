"""TIFF crops: every pixel, and every tag that is still true."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PillowImage
from PIL import TiffImagePlugin

from images.pictures import (
    BOX,
    ICC,
    MAKER_NOTE,
    SIZE,
    XMP,
    cropped,
    exif_block,
    exif_fields,
    expected,
    photograph,
    pixels,
)
from pickroom.core.errors import ImageError
from pickroom.core.geometry import to_pixels
from pickroom.images import crops

COMPRESSIONS = ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate"]


@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F"])
def test_modes_keep_every_pixel_and_their_compression(mode: str, compression: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph(mode).save(source, compression=compression)
    crop = cropped(source)
    assert crop.mode == mode and np.array_equal(pixels(crop), expected(source))
    assert crop.info["compression"] == compression
    assert crop.tag_v2.get(258) == PillowImage.open(source).tag_v2.get(258)


@pytest.mark.parametrize("orientation", range(2, 9))
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "CMYK", "I;16", "I", "F"])
def test_turned_files_of_any_mode(mode: str, orientation: int, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph(mode).save(source, tiffinfo={274: orientation})
    assert np.array_equal(pixels(cropped(source)), expected(source))
    with PillowImage.open(io.BytesIO(crops.render(source, BOX))) as crop:
        assert crop.tag_v2[274] == orientation


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("kind", ["u1", "u2", "f4", "i4"])
def test_files_of_another_writer(kind: str, order: str, big: bool, tmp_path: Path) -> None:
    """Both byte orders, tiles, BigTIFF: read by tifffile, which shares no code with us."""
    source = tmp_path / "a.tif"
    values = (np.random.default_rng(0).random(SIZE[::-1]) * 200).astype(kind)
    tifffile.imwrite(source, values, byteorder=order, tile=(32, 32), bigtiff=big, description="hello", metadata=None)
    x1, y1, x2, y2 = to_pixels(BOX, *SIZE)
    with tifffile.TiffFile(io.BytesIO(crops.render(source, BOX))) as crop:
        assert np.array_equal(crop.asarray(), values[y1:y2, x1:x2])
        assert crop.pages[0].description == "hello" and not crop.pages[0].is_tiled


@pytest.mark.parametrize("order", ["<", ">"])
def test_tags_survive(order: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2(prefix=b"II" if order == "<" else b"MM")
    tags[270], tags[315], tags[282], tags[283], tags[296] = "a déjà vu", "Anna", 300.5, 299.25, 2
    tags[34377] = b"8BIM\x04\x0c\0\0\0\0\0\x05whole\0" + b"8BIM\x04\x04\0\0\0\0\0\x04iptc"
    tags[700], tags[33432], tags[65000] = XMP, "(c) Anna", (1, 2, 3)
    tags.tagtype |= {700: 1, 34377: 1, 65000: 3}
    photograph().save(source, tiffinfo=tags, icc_profile=ICC, compression="tiff_lzw")
    before, after = PillowImage.open(source).tag_v2, cropped(source).tag_v2
    layout = {256, 257, 273, 278, 279, 34377}
    assert {t: v for t, v in before.items() if t not in layout} == {t: v for t, v in after.items() if t not in layout}
    assert after[34377] == b"8BIM\x04\x04\0\0\0\0\0\x04iptc"
    assert {65000, 270, 315, 700, 34675} <= set(after)


def test_exif_and_gps_survive(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph().save(source, exif=exif_block())
    before, crop = exif_fields(PillowImage.open(source)), cropped(source)
    after = exif_fields(crop)
    assert after["main"][0x010F] == before["main"][0x010F] == "Pickroom Cameras"
    assert after["gps"] == before["gps"] != {}
    assert after["exif"] == before["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert after["exif"][0x927C] == MAKER_NOTE


def test_a_palette_keeps_its_16_bit_colours(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    colours = np.random.default_rng(0).integers(0, 65536, (3, 256), dtype=np.uint16)
    tifffile.imwrite(source, np.asarray(photograph("L")), photometric="palette", colormap=colours)
    with tifffile.TiffFile(io.BytesIO(crops.render(source, BOX))) as crop:
        assert np.array_equal(crop.pages[0].colormap, colours)
    assert np.array_equal(pixels(cropped(source)), expected(source))


@pytest.mark.parametrize("kind", ["u1", "u2"])
def test_white_is_zero(kind: str, tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tifffile.imwrite(source, np.asarray(photograph("L")).astype(kind), photometric="miniswhite")
    assert np.array_equal(pixels(cropped(source)), expected(source))


def test_a_lossy_compression_becomes_a_lossless_one(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    photograph().save(source, compression="jpeg")
    crop = cropped(source)
    assert crop.info["compression"] == "tiff_adobe_deflate"
    assert np.array_equal(pixels(crop), expected(source))


@pytest.mark.parametrize("compression", ["group3", "group4"])
def test_fax_compressions_of_bilevel_pictures(compression: str, tmp_path: Path) -> None:
    photograph("1").save(tmp_path / "a.tif", compression=compression)
    assert cropped(tmp_path / "a.tif").info["compression"] == compression
    assert np.array_equal(pixels(cropped(tmp_path / "a.tif")), expected(tmp_path / "a.tif"))


def test_the_predictor_is_kept(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.tif", compression="tiff_lzw", tiffinfo={317: 2})
    assert cropped(tmp_path / "a.tif").tag_v2[317] == 2
    assert np.array_equal(pixels(cropped(tmp_path / "a.tif")), expected(tmp_path / "a.tif"))


@pytest.mark.parametrize(
    ("shape", "kind", "options", "said"),
    [
        ((40, 30, 3), "u2", {"photometric": "rgb"}, "16 + 16 + 16 bits"),
        ((40, 30), "i2", {}, "16 bits"),
        ((40, 30), "u4", {}, "32 bits"),
        ((40, 30), "i1", {}, "8 bits"),
        ((40, 30, 4), "u1", {"photometric": "rgb", "extrasamples": ["assocalpha"]}, "premultiplied"),
        ((40, 30, 4), "u1", {"photometric": "rgb", "extrasamples": ["unspecified"]}, "8 + 8 + 8 + 8 bits"),
        ((40, 30, 3), "u1", {"photometric": "cielab"}, "LAB"),
    ],
)
def test_what_pillow_would_change_is_refused(
    shape: tuple[int, ...], kind: str, options: dict[str, object], said: str, tmp_path: Path
) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.zeros(shape, kind), **options)
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(tmp_path / "a.tif")
    assert refused.value.reason.startswith("cannot be cropped: TIFF") and said in refused.value.reason


def test_layers_and_previews_of_the_whole_picture_go(tmp_path: Path) -> None:
    source = tmp_path / "a.tif"
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[37724] = b"Adobe Photoshop Document Data Block\0" + b"layers of the whole picture"
    tags.tagtype[37724] = 7
    photograph().save(source, tiffinfo=tags)
    assert b"layers of the whole" in source.read_bytes()
    assert b"layers of the whole" not in crops.render(source, BOX)
