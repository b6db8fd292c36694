"""JPEG crops: the source's tables, subsampling, progression and segments."""

from __future__ import annotations

import io
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PillowImage
from PIL import ImageFile, JpegImagePlugin

from images.pictures import (
    BOX,
    ICC,
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
from pickroom.core.records import CropBox
from pickroom.images import crops


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """(marker, payload) of everything before the first scan."""
    found, at = [], 2
    while data[at + 1] != 0xDA:
        (length,) = struct.unpack_from(">H", data, at + 2)
        found.append((data[at + 1], data[at + 4 : at + 2 + length]))
        at += 2 + length
    return found


def with_segments(data: bytes, extra: list[tuple[int, bytes]], *, drop: tuple[int, ...] = ()) -> bytes:
    """A JPEG with more segments at its front, behind a JFIF header if there is one; some kinds dropped."""
    kept = [segment for segment in segments(data) if segment[0] not in drop]
    first = [s for s in kept if s[0] == 0xE0]
    rest = [s for s in kept if s[0] != 0xE0]
    scan = data[data.index(b"\xff\xda") :]
    body = [struct.pack(">BBH", 0xFF, m, len(d) + 2) + d for m, d in [*first, *extra, *rest]]
    return b"\xff\xd8" + b"".join(body) + scan


def close(source: Path, limit: float) -> None:
    assert difference(pixels(cropped(source)), expected(source)) < limit


@pytest.mark.parametrize("quality", [40, 75, 90, 98])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_quality_and_subsampling_stay(quality: int, subsampling: int, progressive: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph().save(source, quality=quality, subsampling=subsampling, progressive=progressive)
    crop, image = cropped(source), PillowImage.open(source)
    assert crop.quantization == image.quantization
    assert JpegImagePlugin.get_sampling(crop) == subsampling
    assert ("progressive" in crop.info) == progressive
    close(source, {40: 9, 75: 6, 90: 4, 98: 2}[quality])


def test_a_crop_on_the_block_grid_loses_next_to_nothing(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph().save(source, quality=75)
    box = CropBox(16 / 214, 32 / 143, 192 / 214, 128 / 143)
    assert difference(pixels(cropped(source, box)), expected(source, box)) < 1


def test_own_tables_and_their_assignment(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    tables = [[n + 1 for n in range(64)], [n + 20 for n in range(64)], [n + 40 for n in range(64)]]
    photograph().save(source, qtables=tables, subsampling=1)
    crop = cropped(source)
    assert crop.quantization == PillowImage.open(source).quantization
    assert [layer[3] for layer in crop.layer] == [0, 1, 2]


def test_16_bit_tables(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.jpg", qtables=[[300] * 64, [400] * 64])
    assert cropped(tmp_path / "a.jpg").quantization == {0: [300] * 64, 1: [400] * 64}


def test_grey_stays_grey(tmp_path: Path) -> None:
    photograph("L").save(tmp_path / "a.jpg", quality=90)
    crop = cropped(tmp_path / "a.jpg")
    assert crop.mode == "L" and crop.quantization == PillowImage.open(tmp_path / "a.jpg").quantization
    close(tmp_path / "a.jpg", 3)


@pytest.mark.parametrize("adobe", [True, False])
def test_cmyk_is_read_as_before(adobe: bool, tmp_path: Path) -> None:
    """Adobe writes ink values inverted, and says so by its marker: it must be there exactly if it was."""
    source = tmp_path / "a.jpg"
    photograph("CMYK").save(source, quality=90, icc_profile=ICC)
    if not adobe:
        source.write_bytes(with_segments(source.read_bytes(), [], drop=(0xEE,)))
    crop = cropped(source)
    assert crop.mode == "CMYK" and ("adobe" in crop.info) == adobe and crop.info["icc_profile"] == ICC
    assert crop.quantization == PillowImage.open(source).quantization
    close(source, 3)


def test_ycck_becomes_cmyk_of_the_same_colours(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph("CMYK").save(source, quality=95)
    data = source.read_bytes()
    adobe = data.index(b"Adobe")
    source.write_bytes(data[: adobe + 11] + b"\x02" + data[adobe + 12 :])  # the same samples, read as YCCK
    crop = cropped(source)
    assert PillowImage.open(source).info["adobe_transform"] == 2 and crop.info["adobe_transform"] == 0
    close(source, 3)


@pytest.mark.parametrize("marker", [True, False])
def test_rgb_components_stay_rgb(marker: bool, tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph().save(source, quality=90, keep_rgb=True)
    if not marker:  # then the components' ids, R G B, say it
        source.write_bytes(with_segments(source.read_bytes(), [], drop=(0xEE,)))
    assert [layer[0] for layer in cropped(source).layer] == [ord(c) for c in "RGB"]
    close(source, 3)


def test_a_file_without_jfif_gets_none(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph().save(source, quality=90)
    source.write_bytes(with_segments(source.read_bytes(), [], drop=(0xE0,)))
    assert "jfif" not in cropped(source).info
    close(source, 4)


@pytest.mark.parametrize("factors", [0x12, 0x41])
def test_other_subsampling_loses_no_chroma(factors: int, tmp_path: Path) -> None:
    """4:4:0 and 4:1:1 cannot be written: 4:4:4 keeps what they hold."""
    source = tmp_path / "a.jpg"
    image = PillowImage.new("RGB", (64, 64), (200, 90, 40))
    image.save(source, quality=90, subsampling=2 if factors == 0x41 else 1)
    data = bytearray(source.read_bytes())
    data[data.index(b"\xff\xc0") + 11] = factors  # as many blocks a unit as before, laid out otherwise
    if factors == 0x41:
        assert data[data.index(b"\xff\xc0") + 11] == 0x41
    source.write_bytes(data)
    crop = cropped(source, CropBox(0, 0, 0.5, 0.5))
    assert [layer[1:3] for layer in crop.layer] == [(1, 1)] * 3
    assert difference(np.asarray(crop), expected(source, CropBox(0, 0, 0.5, 0.5))) < 2


def test_metadata_segments_survive(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    large_icc = ICC + bytes(100_000)  # two segments
    photograph().save(source, icc_profile=large_icc, exif=exif_block(6), xmp=XMP, comment=b"a comment", dpi=(300, 200))
    extra = [
        (0xE1, b"http://ns.adobe.com/xmp/extension/\0" + b"0" * 32 + bytes(8) + b"<more/>"),
        (0xEC, b"Ducky\0\1\0\4\0\0\0\x50\0\0"),
        (0xED, b"Photoshop 3.0\0" + resource(0x0404, b"iptc") + resource(1036, THUMBNAIL) + resource(0x040F, b"x")),
    ]
    source.write_bytes(with_segments(source.read_bytes(), extra))
    before, crop = PillowImage.open(source), cropped(source)
    for name in ("icc_profile", "xmp", "comment", "dpi", "jfif_density"):
        assert crop.info[name] == before.info[name]
    assert set(crop.info["photoshop"]) == {0x0404, 0x040F}
    fields, kept = exif_fields(before), exif_fields(crop)
    assert kept["main"] == fields["main"] | {0x0100: crop.width, 0x0101: crop.height}
    assert kept["exif"] == fields["exif"] | {0xA002: crop.width, 0xA003: crop.height}
    assert kept["gps"] == fields["gps"] and not kept["thumbnail"]
    assert [s for s in segments(crops.render(source, BOX)) if s in extra[:2]] == extra[:2]
    assert THUMBNAIL not in crops.render(source, BOX)


def resource(number: int, data: bytes) -> bytes:
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + bytes(len(data) % 2)


def test_what_is_bound_to_the_whole_picture_goes(tmp_path: Path) -> None:
    source = tmp_path / "a.jpg"
    photograph().save(source)
    extra = [(0xE0, b"JFXX\0\x10" + THUMBNAIL), (0xEB, b"JP\0\1\0\0\0\1\0\0\0\x12jumb-signature")]
    source.write_bytes(with_segments(source.read_bytes(), extra))
    kinds = [marker for marker, _ in segments(crops.render(source, BOX))]
    assert 0xEB not in kinds and kinds.count(0xE0) == 1


def test_previews_of_a_camera_are_no_hindrance(tmp_path: Path) -> None:
    """A multi-picture file whose further pictures are larger previews (CIPA DC-007) crops as a plain JPEG."""
    source = tmp_path / "a.jpg"
    photograph().save(source, "MPO", save_all=True, append_images=[photograph().resize((80, 60))], quality=90)
    data = source.read_bytes()
    at = data.index(struct.pack("<I", 0x030000), data.index(b"0100"))
    source.write_bytes(data[: at + 16] + struct.pack("<I", 0x010001) + data[at + 20 :])
    assert PillowImage.open(source).format == "MPO"
    crop = cropped(source)
    assert crop.format == "JPEG" and crop.quantization == PillowImage.open(source).quantization
    close(source, 4)


def test_a_gain_map_is_refused(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.jpg", xmp=XMP.replace(b"xmp:Rating", b'hdrgm:Version="1.0" xmp:Rating'))
    with pytest.raises(ImageError) as refused:
        crops.check_croppable(tmp_path / "a.jpg")
    assert refused.value.reason == "cannot be cropped: holds an HDR gain map, which would be lost"


def test_progressive_noise_at_full_quality(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More bytes than Pillow gives a progressive file: it is written as a sequential one."""
    noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    options: dict[str, Any] = {"quality": 100, "subsampling": 0, "progressive": True}
    with monkeypatch.context() as patch:
        patch.setattr(ImageFile, "MAXBLOCK", 1 << 22)
        PillowImage.fromarray(noise).save(tmp_path / "a.jpg", **options)
    crop = cropped(tmp_path / "a.jpg", CropBox(0, 0, 0.99, 0.99))
    assert crop.size == (297, 297) and crop.quantization == PillowImage.open(tmp_path / "a.jpg").quantization


def test_bytes_are_a_file_others_read(tmp_path: Path) -> None:
    photograph().save(tmp_path / "a.jpg", exif=exif_block())
    data = crops.render(tmp_path / "a.jpg", BOX)
    assert data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9")
    PillowImage.open(io.BytesIO(data)).verify()
