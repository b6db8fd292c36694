"""WebP, HEIC and BMP crops."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image as PillowImage

from images.pictures import (
    BOX,
    ICC,
    MAKER_NOTE,
    THUMBNAIL,
    XMP,
    cropped,
    difference,
    exif_block,
    exif_fields,
    expected,
    photograph,
    pixels,
)
from pickroom.core.errors import ImageError
from pickroom.images import crops
from pickroom.images.crops.regions import CropError


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_lossless_webp_keeps_every_pixel(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "a.webp"
    photograph(mode).save(source, lossless=True, exact=True)
    assert b"VP8L" in crops.render(source, BOX)
    assert np.array_equal(pixels(cropped(source)), expected(source))


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_lossy_webp_stays_lossy_and_close(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "a.webp"
    photograph(mode).save(source, quality=85)
    data, crop = crops.render(source, BOX), cropped(source)
    assert b"VP8 " in data and b"VP8L" not in data and crop.mode == mode
    seen = [np.asarray(PillowImage.fromarray(p).convert("RGBa")) for p in (pixels(crop), expected(source))]
    assert difference(*seen) < 2
    if mode == "RGBA":
        assert np.array_equal(pixels(crop)[..., 3], expected(source)[..., 3])


@pytest.mark.parametrize("lossless", [False, True])
def test_webp_metadata_survives(lossless: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.webp"
    photograph().save(source, lossless=lossless, icc_profile=ICC, exif=exif_block(8), xmp=XMP)
    before, crop = PillowImage.open(source), cropped(source)
    assert crop.info["icc_profile"] == ICC and crop.info["xmp"] == XMP
    fields, kept = exif_fields(before), exif_fields(crop)
    assert kept["main"] == fields["main"] | {0x0100: crop.width, 0x0101: crop.height}
    assert kept["exif"] == fields["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert kept["gps"] == fields["gps"] and not kept["thumbnail"]


@pytest.mark.parametrize("chroma", [420, 444])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_heic_is_close_and_keeps_its_mode_and_chroma(mode: str, chroma: int, tmp_path: Path) -> None:
    source = tmp_path / "a.heic"
    photograph(mode).save(source, quality=80, chroma=chroma)
    crop = cropped(source)
    assert crop.mode == mode
    assert crop.info.get("chroma") == PillowImage.open(source).info.get("chroma")
    assert difference(pixels(crop), expected(source)) < 3


def test_heic_metadata_survives(tmp_path: Path) -> None:
    source = tmp_path / "a.heic"
    photograph().save(source, icc_profile=ICC, exif=exif_block(1), xmp=XMP)
    before, crop = PillowImage.open(source), cropped(source)
    assert crop.info["icc_profile"] == ICC and crop.info["xmp"] == before.info["xmp"]
    fields, kept = exif_fields(before), exif_fields(crop)
    assert kept["main"] == fields["main"] | {0x0100: crop.width, 0x0101: crop.height}
    assert kept["exif"] == fields["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert kept["gps"] == fields["gps"] and not kept["thumbnail"]


def test_heic_of_10_bits_is_refused(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 1 << 16, (48, 64, 3), dtype=np.uint16)
    pillow_heif.from_bytes("RGB;16", (64, 48), values.tobytes()).save(tmp_path / "a.heic")
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(tmp_path / "a.heic")
    assert refused.value.reason == "cannot be cropped: HEIC of 10 bits, which would be cut to 8"


@pytest.mark.parametrize(("key", "value"), [("aux", {"urn:hdrgainmap": [3]}), ("depth_images", [object()])])
def test_heic_with_a_second_layer_is_refused(key: str, value: object, tmp_path: Path) -> None:
    """libheif's encoder writes neither, so that the header's answer is put in by hand."""
    photograph().save(tmp_path / "a.heic")
    with PillowImage.open(tmp_path / "a.heic") as image:
        assert crops.heif.check_heic(image, b"") == ("", b"")
        image.info[key] = value
        with pytest.raises(CropError, match="would be lost"):
            crops.heif.check_heic(image, b"")


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB"])
def test_bmp_keeps_every_pixel_and_its_resolution(mode: str, tmp_path: Path) -> None:
    source = tmp_path / "a.bmp"
    photograph(mode).save(source, dpi=(300, 200))
    crop = cropped(source)
    assert crop.mode == mode and np.array_equal(pixels(crop), expected(source))
    assert crop.info["dpi"] == PillowImage.open(source).info["dpi"]


def test_a_bmp_without_resolution_gets_none(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.bmp", dpi=(0, 0))
    assert "dpi" not in cropped(tmp_path / "a.bmp").info


def bmp_v5(masks: tuple[int, int, int, int], kind: int) -> bytes:
    """A 2 x 2 BMP of 32 bits with a BITMAPV5HEADER."""
    head = struct.pack("<IiiHHIIiiII", 124, 2, 2, 1, 32, 3, 16, 0, 0, 0, 0) + struct.pack("<4II", *masks, kind)
    body = head.ljust(124, b"\0") + bytes(range(16))
    return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 124) + body


@pytest.mark.parametrize(
    ("masks", "kind", "said"),
    [
        ((0xFF0000, 0xFF00, 0xFF, 0xFF000000), 0x73524742, "transparency"),
        ((0xFF0000, 0xFF00, 0xFF, 0), 0x4D424544, "profile"),
        ((0xFF0000, 0xFF00, 0xFF, 0), 0x73524742, ""),
    ],
)
def test_what_a_bmp_would_lose_is_refused(
    masks: tuple[int, int, int, int], kind: int, said: str, tmp_path: Path
) -> None:
    (tmp_path / "a.bmp").write_bytes(bmp_v5(masks, kind))
    if said:
        with pytest.raises(ImageError, match=said):
            crops.check_croppable(tmp_path / "a.bmp")
    else:
        crops.check_croppable(tmp_path / "a.bmp")


@pytest.mark.parametrize("chroma", ["4:2:0", "4:2:2", "4:4:4"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_avif_is_close_and_keeps_its_mode_and_chroma(mode: str, chroma: str, tmp_path: Path) -> None:
    source = tmp_path / "a.avif"
    photograph(mode).save(source, quality=80, subsampling=chroma)
    data, crop = crops.render(source, BOX), cropped(source)
    assert crop.mode == mode
    assert data[data.index(b"av1C") + 6] == source.read_bytes()[source.read_bytes().index(b"av1C") + 6]
    seen = [np.asarray(PillowImage.fromarray(p).convert("RGB")) for p in (pixels(crop), expected(source))]
    assert difference(*seen) < 3


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_avif_metadata_and_turn_survive(orientation: int, tmp_path: Path) -> None:
    source = tmp_path / "a.avif"
    exif = exif_block(orientation)
    photograph().save(source, icc_profile=ICC, exif=exif, xmp=XMP)
    before, crop = PillowImage.open(source), cropped(source)
    assert crop.info["icc_profile"] == ICC and crop.info["xmp"] == XMP
    fields, kept = exif_fields(before), exif_fields(crop)
    assert before.getexif().get(0x0112, 1) == crop.getexif().get(0x0112, 1) == orientation
    sizes = {0x0100: crop.width, 0x0101: crop.height}
    assert kept["main"] == fields["main"] | {key: sizes[key] for key in sizes.keys() & fields["main"].keys()}
    assert kept["gps"] == fields["gps"] and not kept["thumbnail"]
    assert difference(pixels(crop), expected(source)) < 4


@pytest.mark.parametrize("filler", range(4))
def test_maker_note_in_an_avif_keeps_its_offset(filler: int, tmp_path: Path) -> None:
    source = tmp_path / "a.avif"
    photograph().save(source, exif=exif_block(1, thumbnail=THUMBNAIL[filler:]))
    places = [
        data.index(MAKER_NOTE) - data.index(b"Exif\0\0") for data in (source.read_bytes(), crops.render(source, BOX))
    ]
    assert places[0] == places[1]


def ten_bits(data: bytes) -> bytes:
    """An AVIF file that says 10 bits, in its properties `av1C` and `pixi`."""
    at = data.index(b"av1C") + 6
    said = data[:at] + bytes([data[at] | 0x40]) + data[at + 1 :]
    return said.replace(b"pixi\0\0\0\0\3\x08\x08\x08", b"pixi\0\0\0\0\3\x0a\x0a\x0a")


def in_pq(data: bytes) -> bytes:
    """An AVIF file whose colours are those of HDR video (BT.2020, PQ)."""
    at = data.index(b"nclx") + 4
    return data[:at] + struct.pack(">HH", 9, 16) + data[at + 4 :]


@pytest.mark.parametrize(
    ("change", "said"), [(ten_bits, "AVIF of 10 bits"), (in_pq, r"colours of its own \(9/16"), (bytes, "")]
)
def test_what_an_avif_would_lose_is_refused(change: Callable[[bytes], bytes], said: str, tmp_path: Path) -> None:
    source = tmp_path / "a.avif"
    photograph().save(source)
    source.write_bytes(change(source.read_bytes()))
    if said:
        with pytest.raises(ImageError, match=said):
            crops.check_croppable(source)
    else:
        crops.check_croppable(source)


def test_avif_of_several_pictures_is_refused(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.avif", save_all=True, append_images=[photograph().rotate(90)])
    with pytest.raises(ImageError, match="holds 2 pictures"):
        crops.check_croppable(tmp_path / "a.avif")
